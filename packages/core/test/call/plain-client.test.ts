import { assert, describe, it } from "@effect/vitest"
import { Call, Health, ProviderError, Telemetry } from "@breakwater/core"
import { Effect, Layer, Metric, Option, Schema } from "effect"
import { HttpBody, HttpClient, HttpClientError, HttpClientRequest, HttpClientResponse } from "effect/http"
import * as Fake from "../support/FakeTransport.ts"
import { errorOf, inScenario, LogBook, outcome, run, toEnd } from "../support/Scenario.ts"

const url = "https://plain.test/things"
const order = { id: "o1", amount: 1 }

/** A program as people write it, that knows nothing of us. */
const existing = Effect.gen(function* () {
  const client = HttpClient.filterStatusOk(yield* HttpClient.HttpClient)
  const response = yield* client.get(url)
  return yield* HttpClientResponse.schemaBodyJson(Schema.Struct({ id: Schema.String, amount: Schema.Int }))(response)
})

const withLayer = (script: Fake.Script, options: Partial<Call.Options> = {}) => {
  const transport = Fake.make(script)
  const layer = Call.layer({ provider: "plain", ...options }).pipe(Layer.provide(transport.layer))
  return Effect.map(Layer.build(layer), (context) => ({ context, transport }))
}

const send = Effect.fnUntraced(function* (
  request: HttpClientRequest.HttpClientRequest,
  script: Fake.Script,
  options: Partial<Call.Options> = {}
) {
  const transport = Fake.make(script)
  const client = yield* Call.client(transport.client, { provider: "plain", ...options })
  const { exit } = yield* toEnd(
    client.execute(request).pipe(
      Effect.map(({ status }) => status),
      Effect.mapError((error) => error.cause)
    )
  )
  return { outcome: outcome(exit), attempts: transport.sent.length, sent: transport.sent }
})

describe("Call.layer", () => {
  it.effect("gives existing code its retries without a change", () =>
    inScenario(
      Effect.gen(function* () {
        const { context, transport } = yield* withLayer([Fake.empty(503), Fake.broken("ECONNRESET"), Fake.json(order)])
        const ended = yield* run(existing.pipe(Effect.provideContext(context)))

        assert.deepStrictEqual(ended, { outcome: { value: order }, took: 300 })
        assert.strictEqual(transport.sent.length, 3)
      })
    )
  )

  it.effect.each([503, 404, 429, 302])(
    "leaves the last answer an answer, also a %i, with its headers and its body",
    (status) =>
      inScenario(
        Effect.gen(function* () {
          const { context } = yield* withLayer([Fake.json({ why: "so" }, status, { "x-own": "1" })])
          const program = Effect.gen(function* () {
            const client = yield* HttpClient.HttpClient
            const response = yield* client.get(url)
            return {
              status: response.status,
              own: response.headers["x-own"],
              json: yield* response.json,
              text: yield* response.text,
              bytes: (yield* response.arrayBuffer).byteLength
            }
          })
          const ended = yield* run(program.pipe(Effect.provideContext(context)))

          assert.deepStrictEqual(ended.outcome, {
            value: { status, own: "1", json: { why: "so" }, text: '{"why":"so"}', bytes: 12 }
          })
        })
      )
  )

  it.effect("is what filterStatusOk sees: a status that is not ok is its error, after the retries", () =>
    inScenario(
      Effect.gen(function* () {
        const { context, transport } = yield* withLayer([Fake.empty(503)])
        const error = yield* errorOf(existing.pipe(Effect.provideContext(context)))

        assert(HttpClientError.isHttpClientError(error))
        assert.deepStrictEqual([error.reason._tag, error.response?.status], ["StatusCodeError", 503])
        assert.strictEqual(transport.sent.length, 4)
      })
    )
  )

  it.effect("puts our error as cause of a TransportError, with the request that the code sent", () =>
    inScenario(
      Effect.gen(function* () {
        const { context } = yield* withLayer([Fake.broken("ECONNREFUSED")])
        const error = yield* errorOf(existing.pipe(Effect.provideContext(context)))

        assert(HttpClientError.isHttpClientError(error))
        assert.strictEqual(error.reason._tag, "TransportError")
        assert.strictEqual(error.request.url, url)
        assert(ProviderError.isProviderError(error.cause))
        assert.strictEqual(error.cause.message, "plain.GET: transport failed with ECONNREFUSED")
        assert.strictEqual(
          error.message,
          "Transport: plain.GET: transport failed with ECONNREFUSED (GET https://plain.test/things)"
        )
      })
    )
  )

  it.effect("bounds the bodies that it reads", () =>
    inScenario(
      Effect.gen(function* () {
        const { outcome } = yield* send(HttpClientRequest.get(url), [Fake.text("x".repeat(11))], {
          policy: { maxBodyBytes: 10 }
        })

        assert.deepStrictEqual(outcome, {
          class: "FatalError",
          attempts: 1,
          reason: { _tag: "ResponseInvalid", status: 200, path: "", expected: "at most 10 bytes" }
        })
      })
    )
  )

  it.effect("takes an answer of any success, without a schema", () =>
    inScenario(
      Effect.gen(function* () {
        for (const step of [
          Fake.empty(200),
          Fake.text("<html>"),
          Fake.json([], 201),
          Fake.empty(204),
          Fake.empty(304)
        ]) {
          assert.strictEqual((yield* send(HttpClientRequest.get(url), [step])).attempts, 1)
        }
      })
    )
  )

  it.effect("refuses what an open circuit refuses, for that origin only", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((_, { url }) => (url.startsWith("https://ill") ? Fake.empty(500) : Fake.empty(204)))
        const client = yield* Call.client(transport.client, {
          provider: "plain",
          policy: { attempts: 1, breaker: { consecutiveFailures: 1 } }
        })
        const status = (to: string) =>
          Effect.map(
            run(
              Effect.map(client.get(to), ({ status }) => status),
              0
            ),
            ({ outcome }) => outcome
          )
        const first = yield* status("https://ill.test/a")
        yield* status("https://ill.test/b")
        const well = yield* status("https://well.test/")
        const otherPort = yield* status("https://ill.test:8443/")

        assert.deepStrictEqual([first, well, otherPort], [{ value: 500 }, { value: 204 }, { value: 500 }])
        assert.strictEqual(transport.sent.length, 3)
      })
    )
  )

  it.effect("keeps the state of 256 origins, and forgets the one that was not used for longest", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((_, { url }) => (url.includes("origin-0.") ? Fake.empty(500) : Fake.empty(204)))
        const client = yield* Call.client(transport.client, {
          provider: "plain",
          policy: { attempts: 1, breaker: { consecutiveFailures: 1 } }
        })
        const visit = (n: number) => Effect.exit(client.get(`https://origin-${n}.test/`))
        const known = Effect.map(Health.snapshot, ({ connections }) => connections.map(({ connection }) => connection))
        for (let n = 0; n < 256; n++) yield* visit(n)
        yield* visit(0)
        const full = yield* known
        yield* visit(256)
        const after = yield* known

        assert.strictEqual(full.length, 256)
        assert.strictEqual(after.length, 256)
        // Origin 0 was used last, though its circuit refused; origin 1 was not used for longest.
        assert.deepStrictEqual([full[0], full.at(-1)], ["https://origin-1.test", "https://origin-0.test"])
        assert.deepStrictEqual(
          [after[0], after.at(-2), after.at(-1)],
          ["https://origin-2.test", "https://origin-0.test", "https://origin-256.test"]
        )
        assert.strictEqual(transport.sent.length, 257)
      })
    )
  )

  it.effect("reads the answers by the table that it is given", () =>
    inScenario(
      Effect.gen(function* () {
        const { attempts } = yield* send(HttpClientRequest.get(url), [Fake.empty(418), Fake.empty(204)], {
          errors: { rules: [{ status: 418, means: "Unavailable" }] }
        })

        assert.strictEqual(attempts, 2)
      })
    )
  )

  it.effect("keeps to the rate that it is given, for each origin", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(204)])
        const client = yield* Call.client(transport.client, {
          provider: "plain",
          rate: { limit: 1, window: "1 second", burst: 1 }
        })
        const took = (to: string) => Effect.map(run(client.get(to)), ({ took }) => took)
        yield* client.get("https://a.test/")

        assert.deepStrictEqual([yield* took("https://b.test/"), yield* took("https://a.test/")], [0, 1000])
      })
    )
  )

  it.effect("names its operations by provider and method, and its lines by them", () => {
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        yield* send(HttpClientRequest.get(url), [Fake.empty(404)], { userAgent: "shop/2" })
        const [line] = book.of("Warn")

        assert.strictEqual(line?.message, "plain.GET attempt 1 failed: not found (404); final")
        assert.deepStrictEqual(
          [line?.fields["service"], line?.fields["third_party"], line?.fields["endpoint"], line?.fields["method"]],
          ["shop", "plain", "plain.GET", "GET"]
        )
      }),
      book
    )
  })

  it.effect("counts a last answer that failed as handed on", () =>
    inScenario(
      Effect.gen(function* () {
        yield* send(HttpClientRequest.get(url), [Fake.empty(404)])
        const { attribute } = Telemetry
        const labels = { [attribute.provider]: "plain", [attribute.operation]: "plain.GET" }
        const of = (outcome: string) =>
          Metric.value(Metric.withAttributes(Telemetry.calls, { ...labels, [attribute.outcome]: outcome }))

        assert.strictEqual((yield* of("handed on")).count, 1)
        assert.strictEqual((yield* of("ok")).count, 0)
      })
    )
  )

  it.effect("sends a correlation id, and no trace header", () =>
    inScenario(
      Effect.gen(function* () {
        const { sent } = yield* send(HttpClientRequest.get(url), [Fake.empty(204)])

        assert.deepStrictEqual(Object.keys(sent[0]?.headers ?? {}).toSorted(), ["user-agent", "x-request-id"])
      })
    )
  )
})

describe("what a plain client sends again (SAFE-3)", () => {
  const lost = [Fake.broken("ECONNRESET"), Fake.empty(204)]
  const post = HttpClientRequest.post(url).pipe(HttpClientRequest.setBody(HttpBody.text("a")))
  const keyed = HttpClientRequest.setHeader(post, "Idempotency-Key", "k1")

  it.effect.each(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"] as const)("%s, after a lost answer", (method) =>
    inScenario(
      Effect.gen(function* () {
        const { attempts } = yield* send(HttpClientRequest.make(method)(url), lost)

        assert.strictEqual(attempts, 2)
      })
    )
  )

  it.effect.each(["POST", "PATCH"] as const)("not %s: its outcome is unknown", (method) =>
    inScenario(
      Effect.gen(function* () {
        const { attempts, outcome } = yield* send(HttpClientRequest.make(method)(url), lost)

        assert.deepStrictEqual(outcome, {
          class: "OutcomeUnknown",
          attempts: 1,
          reason: { _tag: "TransportFailed", code: "ECONNRESET" },
          firstSentAt: 0
        })
        assert.strictEqual(attempts, 1)
      })
    )
  )

  it.effect("not a POST with a key in a header that the options do not name", () =>
    inScenario(
      Effect.gen(function* () {
        assert.strictEqual((yield* send(keyed, lost)).attempts, 1)
        assert.strictEqual((yield* send(keyed, lost, { idempotencyHeader: "X-Other" })).attempts, 1)
      })
    )
  )

  it.effect("a POST with a key in the header that they name, with the same key and bytes", () =>
    inScenario(
      Effect.gen(function* () {
        const { attempts, outcome, sent } = yield* send(keyed, lost, { idempotencyHeader: "idempotency-key" })

        assert.deepStrictEqual({ outcome, attempts }, { outcome: { value: 204 }, attempts: 2 })
        assert.deepStrictEqual(
          sent.map(({ body, headers }) => [headers["idempotency-key"], body]),
          [
            ["k1", "a"],
            ["k1", "a"]
          ]
        )
      })
    )
  )

  it.effect("not a POST without the key, though they name the header", () =>
    inScenario(
      Effect.gen(function* () {
        assert.strictEqual((yield* send(post, lost, { idempotencyHeader: "Idempotency-Key" })).attempts, 1)
      })
    )
  )

  it.effect("a POST of 503 comes back as it is, once", () =>
    inScenario(
      Effect.gen(function* () {
        assert.deepStrictEqual(
          (({ attempts, outcome }) => ({ attempts, outcome }))(yield* send(post, [Fake.empty(503), Fake.empty(204)])),
          { attempts: 1, outcome: { value: 503 } }
        )
      })
    )
  )

  it.effect("a POST of 429, which was refused before work", () =>
    inScenario(
      Effect.gen(function* () {
        assert.strictEqual((yield* send(post, [Fake.empty(429), Fake.empty(204)])).attempts, 2)
      })
    )
  )

  it.effect("a POST with a key, in the window of the key and no later", () =>
    inScenario(
      Effect.gen(function* () {
        const options = { idempotencyHeader: "Idempotency-Key", keyWindow: "3602 seconds" } as const
        const script = [Fake.empty(503, { "retry-after": "3" }), Fake.empty(204)]

        assert.deepStrictEqual((yield* send(keyed, script, options)).outcome, { value: 503 })
        assert.deepStrictEqual((yield* send(keyed, script, { ...options, keyWindow: "3604 seconds" })).outcome, {
          value: 204
        })
      })
    )
  )

  it.effect("no key that cannot be sent", () =>
    inScenario(
      Effect.gen(function* () {
        const spaced = HttpClientRequest.setHeader(post, "Idempotency-Key", "")
        const { attempts, outcome } = yield* send(spaced, lost, { idempotencyHeader: "Idempotency-Key" })

        assert.deepStrictEqual(outcome, {
          class: "FatalError",
          attempts: 0,
          reason: { _tag: "InvalidRequest", field: "idempotency key", detail: "must have 1 to 255 characters, has 0" }
        })
        assert.strictEqual(attempts, 0)
      })
    )
  )
})

describe("a buffered answer", () => {
  it.effect("may be read twice, and as what it is", () =>
    inScenario(
      Effect.gen(function* () {
        const client = yield* Call.client(Fake.make([Fake.chunks(["a=1", "&b=2"])]).client, { provider: "plain" })
        const response = yield* client.get(url)
        const params = yield* response.urlParamsBody

        assert.strictEqual(yield* response.text, "a=1&b=2")
        assert.strictEqual(yield* response.text, "a=1&b=2")
        assert.deepStrictEqual(params.params, [
          ["a", "1"],
          ["b", "2"]
        ])
        assert.deepStrictEqual(Option.isNone(response.remoteAddress), true)
        const error = yield* Effect.flip(response.json)
        assert.strictEqual(error.reason._tag, "DecodeError")
      })
    )
  )
})
