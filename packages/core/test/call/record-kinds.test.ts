import { assert, describe, it } from "@effect/vitest"
import { Call, FatalReason, Idempotency, ProviderError, Safety } from "@breakwater/core"
import * as Auth from "@breakwater/core/Auth"
import * as Client from "@breakwater/core/Client"
import * as Form from "@breakwater/core/Form"
import { IdempotencyStore, memory } from "@breakwater/core/IdempotencyStore"
import * as Provider from "@breakwater/core/Provider"
import { Context, Data, DateTime, Duration, Effect, Layer, Redacted, Schema, Scope, Stream } from "effect"
import { HttpClientRequest, HttpClientResponse } from "effect/http"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema } from "effect/http-api"
import * as Fake from "../support/FakeTransport.ts"
import { counted } from "../support/Metrics.ts"
import { inScenario, run } from "../support/Scenario.ts"

class Declined extends Schema.TaggedError<Declined>("test/kinds/Declined")("Declined", { code: Schema.String }) {}
class Lost extends Data.TaggedError("Lost")<{ readonly code: string }> {}

const Receipt = Schema.Struct({ id: Schema.String, at: Schema.DateTimeUtc })
const receipt = { id: "r1", at: DateTime.makeUnsafe("2026-11-21T10:00:00Z") }

/** A protected effect that comes to each of these in turn, run until it says so. */
const protecting = Effect.fnUntraced(function* (safety: "keyed" | "unsafe") {
  const sdk = yield* Call.connect({ provider: "sdk" })
  const store = memory()
  let runs = 0
  const call = <A, E>(effect: Effect.Effect<A, E>, record?: Call.RecordOptions<A, E>) => {
    const counted = Effect.suspend(() => {
      runs++
      return effect
    })
    const options = { provider: sdk, operation: "send", classify: () => undefined, record }
    const once = Call.protect(counted, { ...options, safety: "unsafe" }).pipe(Idempotency.once("mail/1"))
    const keyed = Call.protect(counted, { ...options, safety: "keyed" }).pipe(Idempotency.withKey("mail/1"))
    const named: Effect.Effect<A, unknown> = safety === "keyed" ? keyed : once
    return Effect.map(run(Effect.provideService(named, IdempotencyStore, store)), ({ outcome }) => outcome)
  }
  const state = Effect.map(store.get({ scope: "sdk.send@default/default", key: "mail/1" }), (row) => row?.state)
  return { call, state, runs: () => runs }
})

const record = { success: Receipt, error: Declined }

describe("the record of a protected effect", () => {
  it.effect("replays its value, as its schema writes and reads it", () =>
    inScenario(
      Effect.gen(function* () {
        const { call, runs } = yield* protecting("unsafe")

        assert.deepStrictEqual(yield* call(Effect.succeed(receipt), record), { value: receipt })
        assert.deepStrictEqual(yield* call(Effect.die("must not run"), record), { value: receipt })
        assert.strictEqual(runs(), 1)
      })
    )
  )

  it.effect("replays a failure that its schema knows", () =>
    inScenario(
      Effect.gen(function* () {
        const { call, runs, state } = yield* protecting("keyed")
        const declined = new Declined({ code: "no_funds" })

        assert.deepStrictEqual(yield* call(Effect.fail(declined), record), { declared: declined })
        assert.strictEqual(yield* state, "Failed")
        assert.deepStrictEqual(yield* call(Effect.succeed(receipt), record), { declared: declined })
        assert.strictEqual(runs(), 1)
      })
    )
  )

  it.effect.each([
    { safety: "keyed" as const, state: "Pending" },
    { safety: "unsafe" as const, state: "Unknown" }
  ])(
    "takes any other failure for one that leaves open what was done: $safety is $state",
    ({ safety, state: expected }) =>
      inScenario(
        Effect.gen(function* () {
          const { call, state } = yield* protecting(safety)
          const lost = new Lost({ code: "ECONNRESET" })

          assert.deepStrictEqual(yield* call(Effect.fail(lost), { success: Receipt }), { declared: lost })
          assert.strictEqual(yield* state, expected)
        })
      )
  )

  it.effect("takes the last word of another call inside for none of its own", () =>
    inScenario(
      Effect.gen(function* () {
        const { call, state } = yield* protecting("unsafe")
        const inner = new ProviderError.FatalError({
          provider: "p",
          operation: "p.x",
          connection: "default",
          correlationId: "c",
          attempts: 1,
          elapsed: Duration.zero,
          reason: new FatalReason.NotFound({ status: 404 })
        })
        yield* call(Effect.fail(inner), { success: Receipt })

        assert.strictEqual(yield* state, "Unknown")
      })
    )
  )

  it.effect("has no key to send where the other side takes none", () =>
    inScenario(
      Effect.gen(function* () {
        const unsafe = yield* protecting("unsafe")
        const keyed = yield* protecting("keyed")
        const success = Schema.UndefinedOr(Schema.String)

        assert.deepStrictEqual(yield* unsafe.call(Call.currentKey, { success }), { value: undefined })
        assert.deepStrictEqual(yield* keyed.call(Call.currentKey, { success }), { value: "mail/1" })
      })
    )
  )

  it.effect("gives a value that its schema cannot write to its caller, and says to the next that it is done", () =>
    inScenario(
      Effect.gen(function* () {
        const { call, runs } = yield* protecting("unsafe")
        const other = { id: 7 } as unknown as typeof receipt

        assert.deepStrictEqual(yield* call(Effect.succeed(other), record), { value: other })
        assert.deepStrictEqual(yield* call(Effect.succeed(receipt), record), {
          class: "FatalError",
          attempts: 0,
          reason: { _tag: "RecordUnusable", problem: "not kept" }
        })
        assert.strictEqual(runs(), 1)
      })
    )
  )

  it.effect("keeps a value that is nothing", () =>
    inScenario(
      Effect.gen(function* () {
        const { call, runs } = yield* protecting("unsafe")
        yield* call(Effect.void, { success: Schema.Void })

        assert.deepStrictEqual(yield* call(Effect.void, { success: Schema.Void }), { value: undefined })
        assert.strictEqual(runs(), 1)
      })
    )
  )

  it.effect("refuses its key for what has another fingerprint", () =>
    inScenario(
      Effect.gen(function* () {
        const { call, runs } = yield* protecting("unsafe")
        yield* call(Effect.succeed(receipt), { ...record, fingerprint: "to a@b.c" })

        assert.deepNestedInclude(yield* call(Effect.succeed(receipt), { ...record, fingerprint: "to d@e.f" }), {
          class: "FatalError",
          "reason._tag": "IdempotencyMismatch"
        })
        assert.strictEqual(runs(), 1)
      })
    )
  )

  it.effect("is required by a name, and by nothing else", () =>
    inScenario(
      Effect.gen(function* () {
        const unsafe = yield* protecting("unsafe")
        const keyed = yield* protecting("keyed")

        assert.deepNestedInclude(yield* unsafe.call(Effect.succeed(receipt)), {
          "reason._tag": "InvalidRequest",
          "reason.field": "record"
        })
        yield* keyed.call(Effect.succeed(receipt))
        yield* keyed.call(Effect.succeed(receipt))
        assert.deepStrictEqual([unsafe.runs(), keyed.runs()], [0, 2])
      })
    )
  )
})

describe("a window in which no key could be sent", () => {
  const [tooShort, enough] = ["1 hour", "61 minutes"] as const

  it.effect("is refused where an effect is protected", () =>
    Effect.gen(function* () {
      const provider = yield* Call.connect({ provider: "payer" })
      const protect = (window: typeof tooShort | typeof enough) =>
        Call.protect(Effect.succeed(1), {
          provider,
          operation: "pay",
          safety: "keyed",
          record: { success: Schema.Int, window }
        })
      assert.throws(() => protect(tooShort), RangeError, "Call.protect: record.window must be longer than 1h")
      assert.isTrue(Effect.isEffect(protect(enough)))
    }).pipe(inScenario)
  )

  it.effect("is refused where a client is protected", () =>
    inScenario(
      Effect.gen(function* () {
        const { client } = Fake.make([])
        const error = yield* Effect.flip(Call.client(client, { provider: "plain", keyWindow: tooShort }))

        assert.deepStrictEqual(
          [error.field, error.rule],
          ["keyWindow", "must be longer than 1h, since no key is sent in the last of it"]
        )
        yield* Call.client(client, { provider: "plain", keyWindow: enough })
      })
    )
  )
})

describe("the record of a plain client", () => {
  const post = HttpClientRequest.post("https://plain.test/orders?x=1").pipe(
    HttpClientRequest.setHeader("idempotency-key", "order/1"),
    HttpClientRequest.bodyText("a")
  )

  const plain = Effect.fnUntraced(function* (script: Fake.Script) {
    const transport = Fake.make(script)
    const store = memory()
    const client = yield* Call.client(transport.client, {
      provider: "plain",
      idempotencyHeader: "Idempotency-Key"
    }).pipe(Effect.provideService(IdempotencyStore, store))
    const send = (request = post) =>
      Effect.map(
        run(
          Effect.flatMap(client.execute(request), (response) =>
            Effect.map(response.text, (text) => [response.status, response.headers["x-name"], text])
          )
        ),
        ({ outcome }) => outcome
      )
    return { transport, store, client, send }
  })

  it.effect.each([
    ["a success", Fake.text("done", 201, { "x-name": "n" }), [201, "n", "done"]],
    ["a refusal", Fake.text("no", 422, { "x-name": "n" }), [422, "n", "no"]]
  ] as const)("replays %s as a response", ([, step, value]) =>
    inScenario(
      Effect.gen(function* () {
        const { send, transport } = yield* plain([step, Fake.empty(500)])

        assert.deepStrictEqual(yield* send(), { value })
        assert.deepStrictEqual(yield* send(), { value })
        assert.strictEqual(transport.sent.length, 1)
      })
    )
  )

  it.effect("keeps no cookie, and nothing of the moment", () =>
    inScenario(
      Effect.gen(function* () {
        const headers = { "set-cookie": "session=s3cret", "x-ratelimit-remaining": "0", date: "x", "x-name": "n" }
        const { send, store } = yield* plain([Fake.text("done", 200, headers)])
        yield* send()
        const row = yield* store.get({ scope: "plain.POST@https://plain.test/default", key: "order/1" })
        const kept = JSON.parse(row?.payload?.json ?? "null") as { outcome: { headers: Record<string, string> } }

        assert.deepStrictEqual(Object.keys(kept.outcome.headers).toSorted(), ["content-type", "x-name"])
      })
    )
  )

  it.effect("tells nothing of limits and ends that were told with the first", () =>
    inScenario(
      Effect.gen(function* () {
        const store = memory()
        const deprecated = Fake.text("done", 200, { deprecation: "@1688169599" })
        const send = Effect.fnUntraced(function* () {
          const client = yield* Call.client(Fake.make([deprecated]).client, {
            provider: "plain",
            idempotencyHeader: "Idempotency-Key"
          }).pipe(Effect.provideService(IdempotencyStore, store))
          yield* run(client.execute(post))
        })
        yield* send()
        yield* send()

        assert.strictEqual((yield* counted)["breakwater.deprecation.count plain.POST provider=plain"], 1)
      })
    )
  )

  it.effect("hands on a 503 as it is, and sends the next with the same key", () =>
    inScenario(
      Effect.gen(function* () {
        const { send, store, transport } = yield* plain((n) => (n <= 4 ? Fake.empty(503) : Fake.text("done")))

        assert.deepStrictEqual(yield* send(), { value: [503, undefined, ""] })
        const row = yield* store.get({ scope: "plain.POST@https://plain.test/default", key: "order/1" })
        assert.strictEqual(row?.state, "Pending")
        assert.deepStrictEqual(yield* send(), { value: [200, undefined, "done"] })
        assert.strictEqual(transport.sent.length, 5)
      })
    )
  )

  it.effect.each([
    ["another path", HttpClientRequest.setUrl(post, "https://plain.test/refunds?x=1")],
    ["another query", HttpClientRequest.setUrl(post, "https://plain.test/orders?x=2")],
    ["another body", HttpClientRequest.bodyText(post, "b")]
  ] as const)("refuses the key for %s", ([, request]) =>
    inScenario(
      Effect.gen(function* () {
        const { client, send, transport } = yield* plain([Fake.text("done")])
        yield* send()
        const error = yield* Effect.flip(client.execute(request))

        assert.deepNestedInclude(error, { "reason.cause.reason._tag": "IdempotencyMismatch" })
        assert.strictEqual(transport.sent.length, 1)
      })
    )
  )

  it.effect("keeps bytes that are no text as they are", () =>
    inScenario(
      Effect.gen(function* () {
        const bytes = new Uint8Array([0xef, 0xbb, 0xbf, 0x41, 0xff, 0x00])
        const binary: Fake.Step = (request) =>
          Effect.succeed(HttpClientResponse.fromWeb(request, new Response(bytes, { status: 200 })))
        const { client } = yield* plain([binary, Fake.empty(500)])
        const read = Effect.flatMap(client.execute(post), (response) => response.arrayBuffer)
        yield* run(read)

        assert.deepStrictEqual(new Uint8Array(yield* read), bytes)
      })
    )
  )

  it.effect("of an answer that is read as it comes says only that it is done", () =>
    inScenario(
      Effect.gen(function* () {
        const { client, transport } = yield* plain([Fake.chunks(["a", "b"])])
        const scope = yield* Scope.make()
        const streamed = Effect.flatMap(client.execute(post), ({ stream }) =>
          Stream.runCollect(Stream.decodeText(stream))
        ).pipe(Call.streaming, Scope.provide(scope))
        yield* streamed
        const error = yield* Effect.flip(streamed)

        assert.deepNestedInclude(error, { "reason.cause.reason.problem": "not kept" })
        assert.strictEqual(transport.sent.length, 1)
      })
    )
  )

  it.effect(
    "of an upload that cannot be read twice keeps the answer, and compares what is known before it is sent",
    () =>
      inScenario(
        Effect.gen(function* () {
          const upload = (type: string) =>
            HttpClientRequest.bodyStream(post, Stream.make(new Uint8Array([1])), { contentType: type })
          const { client, send, transport } = yield* plain([Fake.text("done")])
          yield* send(upload("image/png"))

          assert.deepStrictEqual(yield* send(upload("image/png")), { value: [200, undefined, "done"] })
          assert.deepNestedInclude(yield* Effect.flip(client.execute(upload("image/gif"))), {
            "reason.cause.reason._tag": "IdempotencyMismatch"
          })
          assert.strictEqual(transport.sent.length, 1)
        })
      )
  )
})

const Payment = Schema.Struct({
  amount: Schema.Int,
  receipt: Schema.optional(Schema.String),
  meta: Schema.optional(
    Schema.Struct({ reference: Schema.optional(Schema.String), note: Schema.optional(Schema.String) })
  )
})
const success = Schema.Struct({ id: Schema.String })
const window = "24 hours"

const payments = HttpApiGroup.make("payments").add(
  HttpApiEndpoint.post("quoted", "/quoted", { payload: Payment, success }).pipe(
    Safety.keyed({ header: "Idempotency-Key", window, encoding: "quoted" })
  ),
  HttpApiEndpoint.post("inField", "/field", { payload: Payment, success }).pipe(
    Safety.keyed({ field: "receipt", window })
  ),
  HttpApiEndpoint.post("inForm", "/form", { payload: Payment.pipe(Form.bracketed), success }).pipe(
    Safety.keyed({ field: "meta.reference", window })
  ),
  HttpApiEndpoint.post("empty", "/empty", { success: HttpApiSchema.NoContent }).pipe(
    Safety.keyed({ field: "receipt", window })
  ),
  HttpApiEndpoint.post("referred", "/referred", { payload: Payment, success }).pipe(
    Safety.reference({ field: "meta.reference", maxLength: 10 })
  )
)

const bank = Provider.make("bank", {
  api: HttpApi.make("bank").add(payments),
  environments: { sandbox: "https://sandbox.bank.test", production: "https://api.bank.test" },
  auth: Auth.bearer()
})
class Bank extends Context.Service<Bank, Client.Of<typeof bank>>()("test/Bank") {}

const banking = Effect.fnUntraced(function* (script: Fake.Script) {
  const transport = Fake.make(script)
  const { payments } = yield* Layer.build(
    Client.layer(Bank, bank, { credential: Redacted.make("key-of-a-test") }).pipe(Layer.provide(transport.layer))
  ).pipe(Effect.map(Context.get(Bank)))
  return { transport, payments }
})

const paid = Fake.json({ id: "p1" })

describe("where the key goes", () => {
  it.effect("is a quoted string where the provider wants that (RFC 8941)", () =>
    inScenario(
      Effect.gen(function* () {
        const { payments, transport } = yield* banking([paid])
        yield* run(payments.quoted({ payload: { amount: 1 } }).pipe(Idempotency.withKey(String.raw`a"b\c`)))

        assert.strictEqual(transport.sent[0]?.headers["idempotency-key"], String.raw`"a\"b\\c"`)
      })
    )
  )

  it.effect("is a field of the JSON body, the same in every attempt", () =>
    inScenario(
      Effect.gen(function* () {
        const { payments, transport } = yield* banking([Fake.empty(503), paid])
        yield* run(payments.inField({ payload: { amount: 1 } }).pipe(Idempotency.withKey("order/1")))
        const [first, second] = transport.sent

        assert.deepStrictEqual(JSON.parse(first?.body ?? ""), { amount: 1, receipt: "order/1" })
        assert.strictEqual(first?.headers["content-length"], String(first?.bytes?.length))
        assert.strictEqual(first?.bytes, second?.bytes)
        assert.notProperty(first?.headers, "idempotency-key")
      })
    )
  )

  it.effect("is a nested field of a form", () =>
    inScenario(
      Effect.gen(function* () {
        const { payments, transport } = yield* banking([paid])
        const payload = { amount: 1, meta: { note: "n" } }
        yield* run(payments.inForm({ payload }).pipe(Idempotency.withKey("order/1")))

        assert.deepStrictEqual(
          [...new URLSearchParams(transport.sent[0]?.body)],
          [
            ["amount", "1"],
            ["meta[note]", "n"],
            ["meta[reference]", "order/1"]
          ]
        )
      })
    )
  )

  it.effect("may hold the key already, and nothing else", () =>
    inScenario(
      Effect.gen(function* () {
        const { payments, transport } = yield* banking([paid])
        const detail = "is where the idempotency key goes, and holds something else"
        const inField = (receipt: string) =>
          run(payments.inField({ payload: { amount: 1, receipt } }).pipe(Idempotency.withKey("order/1")))
        const inForm = run(
          payments.inForm({ payload: { amount: 1, meta: { reference: "x" } } }).pipe(Idempotency.withKey("order/1"))
        )

        assert.deepStrictEqual((yield* inField("order/1")).outcome, { value: { id: "p1" } })
        assert.deepNestedInclude((yield* inField("x")).outcome, { "reason.field": "receipt", "reason.detail": detail })
        assert.deepNestedInclude((yield* inForm).outcome, { "reason.field": "meta.reference", "reason.detail": detail })
        assert.strictEqual(transport.sent.length, 1)
      })
    )
  )

  it.effect("needs a body", () =>
    inScenario(
      Effect.gen(function* () {
        const { payments, transport } = yield* banking([paid])

        assert.deepNestedInclude((yield* run(payments.empty().pipe(Idempotency.withKey("order/1")))).outcome, {
          "reason._tag": "InvalidRequest",
          "reason.field": "receipt"
        })
        assert.strictEqual(transport.sent.length, 0)
      })
    )
  )

  it.effect("of an operation without keys is the field of its reference, with a store and without", () =>
    inScenario(
      Effect.gen(function* () {
        const { payments, transport } = yield* banking([paid])
        const send = payments
          .referred({ payload: { amount: 1, meta: { note: "n" } } })
          .pipe(Idempotency.once("order/1"))
        yield* run(send)
        const stored = Effect.provideService(send, IdempotencyStore, memory())
        yield* run(Effect.andThen(stored, stored))

        assert.deepStrictEqual(
          transport.sent.map(({ body }) => JSON.parse(body) as unknown),
          Array.from({ length: 3 }, () => ({ amount: 1, meta: { note: "n", reference: "order/1" } })).slice(1)
        )
      })
    )
  )

  it.effect("is no longer than the provider takes", () =>
    inScenario(
      Effect.gen(function* () {
        const { payments, transport } = yield* banking([paid])

        assert.deepNestedInclude(
          (yield* run(payments.referred({ payload: { amount: 1 } }).pipe(Idempotency.once("order/12345")))).outcome,
          { "reason.field": "idempotency key", "reason.detail": "must have 1 to 10 characters, has 11" }
        )
        assert.strictEqual(transport.sent.length, 0)
      })
    )
  )

  const badNames: ReadonlyArray<readonly [string, string]> = [
    ["", "must have 1 to 255 characters, has 0"],
    ["a\nb", "must not have control characters or broken surrogates"],
    ["x".repeat(256), "must have 1 to 255 characters, has 256"]
  ]

  it.effect.each(badNames)("is refused as a name where no store takes it: %j", ([name, detail]) =>
    inScenario(
      Effect.gen(function* () {
        const sdk = yield* Call.connect({ provider: "sdk" })
        const send = Call.protect(Effect.void, {
          provider: sdk,
          operation: "send",
          safety: "unsafe",
          record: { success: Schema.Void }
        }).pipe(Idempotency.once(name), Effect.provideService(IdempotencyStore, memory()))

        assert.deepStrictEqual((yield* run(send)).outcome, {
          class: "FatalError",
          attempts: 0,
          reason: { _tag: "InvalidRequest", field: "idempotency key", detail }
        })
      })
    )
  )

  it("is refused when the declaration names none, two, or no field", () => {
    const keyed = (options: object) => () => Safety.keyed({ window, ...options } as never)

    assert.throws(keyed({}), "Safety.keyed: needs either a header or a field")
    assert.throws(keyed({ header: "a", field: "b" }), "Safety.keyed: needs either a header or a field")
    assert.throws(keyed({ field: "b", encoding: "quoted" }), "Safety.keyed: encoding is that of a header")
    for (const field of ["", "a..b", "a b", "__proto__", "a.constructor.b"])
      assert.throws(keyed({ field }), `Safety.keyed: field must be names with dots, got "${field}"`)
    assert.throws(() => Safety.reference({ field: "a[b]" }), "Safety.reference: field must be names with dots")
  })
})
