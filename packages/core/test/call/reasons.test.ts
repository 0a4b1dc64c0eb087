import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { HttpClientError } from "effect/http"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, run } from "../support/Scenario.ts"

/** A read: what it comes to says what the answer means; which operations are resent is `safety.test.ts`. */
const get = Effect.fnUntraced(function* (script: Fake.Script, options?: Parameters<typeof Acme.connect>[1]) {
  const transport = Fake.make(script)
  const acme = yield* Acme.connect(transport, options)
  const ended = yield* run(acme.orders.get({ params: { id: "o1" } }))
  return { ...ended, attempts: transport.sent.length }
})

const order = { id: "o1", amount: 100 }
const html = "<!doctype html><title>Bad gateway</title>"

interface Case {
  readonly when: string
  readonly step: Fake.Step
  readonly reason: Record<string, unknown>
}

const coded = (status: number, code: string, headers: Record<string, string> = {}) =>
  Fake.json({ error: { code } }, status, headers)

describe("answers that may pass (SAFE-2)", () => {
  const unavailable = (status: number, problem = "status") => ({ _tag: "Unavailable", status, problem })
  const cases: ReadonlyArray<Case> = [
    ...[500, 502, 503, 504, 507, 520, 599].map((status) => ({
      when: `undeclared ${status} with JSON`,
      step: Fake.json({}, status),
      reason: unavailable(status)
    })),
    { when: "408", step: Fake.empty(408), reason: unavailable(408) },
    { when: "425", step: Fake.empty(425), reason: unavailable(425) },
    { when: "HTML with 502", step: Fake.text(html, 502, { "content-type": "text/html" }), reason: unavailable(502) },
    {
      when: "HTML with 200",
      step: Fake.text(html, 200, { "content-type": "text/html" }),
      reason: unavailable(200, "not JSON")
    },
    { when: "malformed JSON", step: Fake.text('{"id":"o1","amount":1', 200), reason: unavailable(200, "not JSON") },
    { when: "malformed UTF-8 of JSON", step: Fake.chunks(["\u0000"]), reason: unavailable(200, "not JSON") },
    { when: "an empty body with 200", step: Fake.empty(200), reason: unavailable(200, "empty body") },
    { when: "an empty body in chunks", step: Fake.chunks([]), reason: unavailable(200, "empty body") },
    { when: "a body of white space", step: Fake.text(" \n"), reason: unavailable(200, "not JSON") },
    {
      when: "a body that is cut in the middle",
      step: Fake.chunks(['{"id":"o1",', { code: "ECONNRESET" }]),
      reason: { _tag: "TransportFailed", code: "ECONNRESET" }
    },
    {
      when: "a body of an error that is cut in the middle",
      step: Fake.chunks(['{"id":"o1",', { code: "UND_ERR_SOCKET" }], 400),
      reason: { _tag: "TransportFailed", code: "UND_ERR_SOCKET" }
    },
    {
      when: "a code that the table calls locked",
      step: coded(409, "in_flight"),
      reason: { _tag: "Locked", status: 409, code: "in_flight" }
    },
    {
      when: "423 that the table calls locked",
      step: coded(423, "in_flight"),
      reason: { _tag: "Locked", status: 423, code: "in_flight" }
    },
    {
      when: "425 that the table calls locked",
      step: coded(425, "in_flight"),
      reason: { _tag: "Locked", status: 425, code: "in_flight" }
    }
  ]

  it.effect.each(cases)("$when is $reason._tag, retried, sent unknown", ({ reason, step }) =>
    inScenario(
      Effect.gen(function* () {
        const ended = yield* get([step])

        assert.deepStrictEqual(ended, {
          outcome: { class: "RetryableError", attempts: 4, reason, sent: "unknown" },
          attempts: 4,
          // Half of 200, 400 and 800 ms: full jitter with every draw in the middle.
          took: 700
        })
      })
    )
  )

  it.effect.each(cases)("$when, once, costs a retry and no more", ({ step }) =>
    inScenario(
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* get([step, Fake.json(order)]), {
          outcome: { value: order },
          attempts: 2,
          took: 100
        })
      })
    )
  )
})

describe("throttling (RATE-3)", () => {
  const cases: ReadonlyArray<Case> = [
    { when: "429", step: Fake.empty(429), reason: { _tag: "RateLimited", by: "provider", status: 429 } },
    {
      when: "a throttle code with 400",
      step: coded(400, "slow_down"),
      reason: { _tag: "RateLimited", by: "provider", status: 400, code: "slow_down" }
    }
  ]

  it.effect.each(cases)("$when is RateLimited, sent no, retried after longer delays", ({ reason, step }) =>
    inScenario(
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* get([step]), {
          outcome: { class: "RetryableError", attempts: 4, reason, sent: "no" },
          attempts: 4,
          took: 3500
        })
      })
    )
  )
})

describe("failures of the transport", () => {
  const nothingSent = [
    "ENOTFOUND",
    "EAI_AGAIN",
    "ECONNREFUSED",
    "EHOSTUNREACH",
    "ENETUNREACH",
    "CERT_HAS_EXPIRED",
    "DEPTH_ZERO_SELF_SIGNED_CERT",
    "SELF_SIGNED_CERT_IN_CHAIN",
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "ERR_TLS_CERT_ALTNAME_INVALID",
    "ERR_SSL_WRONG_VERSION_NUMBER"
  ]
  const perhapsSent = ["ECONNRESET", "EPIPE", "ETIMEDOUT", "UND_ERR_SOCKET", "ERR_STREAM_PREMATURE_CLOSE"]

  it.effect.each([
    ...nothingSent.map((code) => ({ code, sent: "no" })),
    ...perhapsSent.map((code) => ({ code, sent: "unknown" }))
  ])("$code is TransportFailed, retried, sent $sent", ({ code, sent }) =>
    inScenario(
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* get([Fake.broken(code)]), {
          outcome: { class: "RetryableError", attempts: 4, reason: { _tag: "TransportFailed", code }, sent },
          attempts: 4,
          took: 700
        })
      })
    )
  )

  const nameless: ReadonlyArray<readonly [string, unknown, string]> = [
    ["a TypeError, as fetch throws it", new TypeError("fetch failed"), "EFETCH"],
    ["an error without a code", new Error("odd"), "EUNKNOWN"],
    ["a code that is no text", Object.assign(new Error("odd"), { code: 20 }), "EUNKNOWN"]
  ]

  it.effect.each(nameless)("%s is TransportFailed, sent unknown", ([, cause, code]) =>
    inScenario(
      Effect.gen(function* () {
        const step: Fake.Step = (request) =>
          Effect.fail(
            new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request, cause }) })
          )
        const failing: Fake.Step =
          code === "EFETCH" ? () => Effect.fail(cause as HttpClientError.HttpClientError) : step
        const ended = yield* get([failing])

        assert.deepStrictEqual(ended.outcome, {
          class: "RetryableError",
          attempts: 4,
          reason: { _tag: "TransportFailed", code },
          sent: "unknown"
        })
      })
    )
  )

  it.effect("that could not encode the request is InvalidRequest, nothing sent", () =>
    inScenario(
      Effect.gen(function* () {
        const encode: Fake.Step = (request) =>
          Effect.fail(
            new HttpClientError.HttpClientError({
              reason: new HttpClientError.EncodeError({ request, cause: new Error("x") })
            })
          )
        const url: Fake.Step = (request) =>
          Effect.fail(
            new HttpClientError.HttpClientError({
              reason: new HttpClientError.InvalidUrlError({ request, cause: new Error("x") })
            })
          )
        const invalid = (field: string) => ({
          class: "FatalError",
          attempts: 1,
          reason: { _tag: "InvalidRequest", field, detail: "could not be encoded" }
        })

        assert.deepStrictEqual((yield* get([encode])).outcome, invalid("body"))
        assert.deepStrictEqual((yield* get([url])).outcome, invalid("url"))
      })
    )
  )

  it.effect("a connect timeout of the transport is Timeout, and nothing was sent", () =>
    inScenario(
      Effect.gen(function* () {
        const connectTimeout = Fake.late(2000, Fake.broken("UND_ERR_CONNECT_TIMEOUT"))

        assert.deepStrictEqual(yield* get([connectTimeout]), {
          outcome: {
            class: "RetryableError",
            attempts: 4,
            reason: { _tag: "Timeout", phase: "connect", after: 2000 },
            sent: "no"
          },
          attempts: 4,
          took: 8700
        })
      })
    )
  )
})

describe("answers that do not pass", () => {
  const cases: ReadonlyArray<Case> = [
    { when: "400", step: Fake.empty(400), reason: { _tag: "InvalidRequest", status: 400 } },
    { when: "422", step: Fake.empty(422), reason: { _tag: "InvalidRequest", status: 422 } },
    { when: "401 with a static key", step: Fake.empty(401), reason: { _tag: "Unauthorized", status: 401 } },
    { when: "403", step: Fake.empty(403), reason: { _tag: "PermissionDenied", status: 403 } },
    { when: "404", step: Fake.empty(404), reason: { _tag: "NotFound", status: 404 } },
    { when: "410", step: Fake.empty(410), reason: { _tag: "NotFound", status: 410 } },
    { when: "409", step: Fake.empty(409), reason: { _tag: "Conflict", status: 409 } },
    { when: "412", step: Fake.empty(412), reason: { _tag: "Conflict", status: 412 } },
    {
      when: "a quota code with 429",
      step: coded(429, "quota", { "retry-after": "1" }),
      reason: { _tag: "QuotaExhausted", status: 429, code: "quota" }
    },
    {
      when: "a mismatch code with 409",
      step: coded(409, "key_reused"),
      reason: { _tag: "IdempotencyMismatch", status: 409, code: "key_reused" }
    },
    ...[402, 405, 406, 418, 423, 501, 505].map((status) => ({
      when: String(status),
      step: Fake.json({}, status),
      reason: { _tag: "Rejected", status }
    })),
    {
      when: "a code no rule knows",
      step: coded(400, "odd"),
      reason: { _tag: "InvalidRequest", status: 400, code: "odd" }
    },
    { when: "304", step: Fake.empty(304), reason: { _tag: "Rejected", status: 304 } },
    {
      when: "an undeclared success: 201",
      step: Fake.json(order, 201),
      reason: { _tag: "ResponseInvalid", status: 201, path: "", expected: "status 200" }
    },
    {
      when: "an undeclared 204",
      step: Fake.empty(204),
      reason: { _tag: "ResponseInvalid", status: 204, path: "", expected: "status 200" }
    }
  ]

  it.effect.each(cases)("$when is $reason._tag, final", ({ reason, step }) =>
    inScenario(
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* get([step]), {
          outcome: { class: "FatalError", attempts: 1, reason },
          attempts: 1,
          took: 0
        })
      })
    )
  )
})

describe("drift (SAFE-9)", () => {
  const drifts = [
    { when: "a field is missing", body: { id: "o1" }, path: "amount", expected: "a value" },
    { when: "a field has another type", body: { id: "o1", amount: "planted-7" }, path: "amount", expected: "number" },
    { when: "a number is not whole", body: { id: "o1", amount: 0.7 }, path: "amount", expected: "an integer" },
    { when: "a field is null", body: { id: null, amount: 1 }, path: "id", expected: "string" },
    {
      when: "a field deep inside is wrong",
      body: {
        ...order,
        lines: [
          { sku: "a", count: 1 },
          { sku: "b", count: "planted-7" }
        ]
      },
      path: "lines.1.count",
      expected: "number"
    },
    { when: "the whole is an array", body: ["planted-7"], path: "", expected: "object" },
    { when: "the whole is null", body: null, path: "", expected: "object" }
  ]

  it.effect.each(drifts)(
    "when $when names the path and what was expected, never the value",
    ({ body, expected, path }) =>
      inScenario(
        Effect.gen(function* () {
          const ended = yield* get([Fake.json(body)])

          assert.deepStrictEqual(ended, {
            outcome: {
              class: "FatalError",
              attempts: 1,
              reason: { _tag: "ResponseInvalid", status: 200, path, expected }
            },
            attempts: 1,
            took: 0
          })
        })
      )
  )

  it.effect("is not what a field too many is: providers add fields", () =>
    inScenario(
      Effect.gen(function* () {
        const ended = yield* get([Fake.json({ ...order, new: true })])

        assert.deepStrictEqual(ended.outcome, { value: order })
      })
    )
  )
})

describe("bodies beyond the limit", () => {
  const limited = { policy: { maxBodyBytes: 40 } }
  const reason = { _tag: "ResponseInvalid", status: 200, path: "", expected: "at most 40 bytes" }
  const exact = JSON.stringify({ id: "x".repeat(20), amount: 1 })

  it.effect("announced by content-length are ResponseInvalid, unread", () =>
    inScenario(
      Effect.gen(function* () {
        const ended = yield* get([Fake.text(`${exact} `)], limited)

        assert.strictEqual(exact.length, 40)
        assert.deepStrictEqual(ended, { outcome: { class: "FatalError", attempts: 1, reason }, attempts: 1, took: 0 })
      })
    )
  )

  it.effect("in chunks are ResponseInvalid at the first chunk too many, not at the end", () =>
    inScenario(
      Effect.gen(function* () {
        const ended = yield* get([Fake.chunks([exact, 100, " ", 100, " ", 100, " "])], limited)

        assert.deepStrictEqual(ended, { outcome: { class: "FatalError", attempts: 1, reason }, attempts: 1, took: 100 })
      })
    )
  )

  it.effect("are those of one byte more: the limit itself is read, announced or not", () =>
    inScenario(
      Effect.gen(function* () {
        const announced = yield* get([Fake.text(exact)], limited)
        const inChunks = yield* get([Fake.chunks([exact.slice(0, 20), exact.slice(20)])], limited)

        assert.deepStrictEqual(announced.outcome, { value: JSON.parse(exact) })
        assert.deepStrictEqual(inChunks.outcome, { value: JSON.parse(exact) })
      })
    )
  )

  it.effect("that are announced and longer than what is read at once are read chunk by chunk", () =>
    inScenario(
      Effect.gen(function* () {
        const long = JSON.stringify({ id: "x".repeat(200_000), amount: 1 })
        const halves = [long.slice(0, 100_000), 4000, long.slice(100_000), 4000]
        const ended = yield* get([Fake.chunks(halves, 200, { "content-length": String(long.length) })])

        // 8 s in all, and never 5 s of silence.
        assert.deepStrictEqual(ended, { outcome: { value: JSON.parse(long) }, attempts: 1, took: 8000 })
      })
    )
  )
})

describe("an operation that answers nothing", () => {
  const ping = Effect.fnUntraced(function* (step: Fake.Step) {
    const acme = yield* Acme.connect(Fake.make([step]))
    const { outcome } = yield* run(acme.orders.ping())
    return outcome
  })

  it.effect("takes the 204 that it declares", () =>
    inScenario(
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* ping(Fake.empty(204)), { value: undefined })
      })
    )
  )

  it.effect("takes no 200 that it does not declare", () =>
    inScenario(
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* ping(Fake.json({})), {
          class: "FatalError",
          attempts: 1,
          reason: { _tag: "ResponseInvalid", status: 200, path: "", expected: "status 204" }
        })
      })
    )
  )
})
