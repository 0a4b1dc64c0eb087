import { assert, describe, it } from "@effect/vitest"
import {
  Answer,
  Auth,
  Call,
  Client,
  Health,
  Idempotency,
  Operation,
  Policies,
  Provider,
  Safety
} from "@breakwater/core"
import { FaultMenu } from "@breakwater/testkit"
import { ConfigProvider, Context, Effect, Layer, Redacted, Result, Schema } from "effect"
import { HttpClient } from "effect/http"
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import * as Acme from "../support/Acme.ts"
import { batchOf, layer, simulated, ways } from "../support/Bulk.ts"
import * as Fake from "../support/FakeTransport.ts"
import { counted } from "../support/Metrics.ts"
import { inScenario, LogBook, run } from "../support/Scenario.ts"

const order = { id: "o1", amount: 100 }
const params = { id: "o1" }

const create = (acme: Acme.AcmeClient) =>
  acme.orders.create({ payload: { amount: 100 } }).pipe(Idempotency.withKey("order/1"))
const writes = (acme: Acme.AcmeClient) => [
  create(acme),
  acme.orders.capture({ params, payload: { amount: 1 } }),
  acme.orders.replace({ params, payload: { amount: 1 } }),
  acme.orders.remove({ params })
]
const reads = (acme: Acme.AcmeClient) => [acme.orders.get({ params }), acme.orders.search({ payload: { q: "x" } })]

const keptBack = { outcome: { class: "FatalError", attempts: 0, reason: { _tag: "DryRun" } }, took: 0 }
const answering = () => Fake.make((_, request) => (request.method === "POST" ? Fake.json([order]) : Fake.json(order)))

describe("Call.dryRun", () => {
  it.effect("sends no write, and every read", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = answering()
        const acme = yield* Acme.connect(transport)
        for (const write of writes(acme))
          assert.deepStrictEqual(yield* run(Call.dryRun<unknown, unknown, never>(write)), keptBack)
        assert.strictEqual(transport.sent.length, 0)
        for (const read of reads(acme)) yield* Call.dryRun<unknown, unknown, never>(read)
        assert.strictEqual(transport.sent.length, 2)
      })
    )
  )

  it.effect("checks what would have been sent, as ever, and leaves the key and the connection as they were", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(order)])
        const acme = yield* Acme.connect(transport)
        const { create: post } = acme.orders
        const write = post({ payload: { amount: 1 } })
        const reasonOf = <A, E>(effect: Effect.Effect<A, E>) =>
          Effect.map(run(Call.dryRun(effect)), ({ outcome }) => {
            const { reason } = outcome as { readonly reason: Record<string, unknown> }
            return reason["field"]
          })

        assert.strictEqual(yield* reasonOf(write.pipe(Idempotency.withKey(""))), "idempotency key")
        assert.strictEqual(yield* reasonOf(post({ payload: { amount: 0.5 } }).pipe(Idempotency.withKey("a"))), "amount")
        assert.strictEqual(yield* reasonOf(acme.orders.remove({ params: { id: ".." } })), "params.id")
        assert.strictEqual(
          yield* reasonOf(write.pipe(Idempotency.withKey("a"), Call.withPolicy({ attempts: 0 }))),
          "policy attempts"
        )
        const twice = Effect.gen(function* () {
          const rehearsed = yield* Effect.result(Call.dryRun(write))
          return [rehearsed._tag, yield* write]
        }).pipe(Idempotency.withKey("order/1"))
        assert.deepStrictEqual(yield* twice, ["Failure", order])
        const { connections } = yield* Health.snapshot
        assert.strictEqual(connections[0]?.lastFailure?.code, "INVALID_REQUEST")
      })
    )
  )

  it.effect("tells at level Info what would have been sent, but for its values, and counts it as refused", () => {
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(Fake.make([]), { userAgent: "shop/1" })
        yield* run(Call.dryRun(create(acme).pipe(Call.withCorrelationId("c1"))))
        const series = yield* counted
        const line = book.of("Info").at(-1)

        assert.deepStrictEqual(line, {
          level: "Info",
          message: "acme.orders.create dry run, not sent: POST /orders, 14 bytes, with an idempotency key",
          fields: {
            service: "shop",
            third_party: "acme",
            method: "POST",
            endpoint: "/orders",
            operation: "acme.orders.create",
            correlation_id: "c1",
            attempt: 1,
            duration_ms: 0,
            event: "dry run"
          }
        })
        assert.deepStrictEqual(book.of("Warn"), [])
        assert.deepStrictEqual(
          [
            series["breakwater.refusal.count acme.orders.create reason=DryRun"],
            series["breakwater.call.count acme.orders.create outcome=refused"]
          ],
          [1, 1]
        )
      }),
      book
    )
  })

  it.effect("lets a credential be refreshed, since reads need it", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(order)])
        const acme = yield* Acme.connect(transport)
        yield* Call.dryRun(Call.refreshLane(create(acme)))

        assert.strictEqual(transport.sent.length, 1)
      })
    )
  )

  it.effect("keeps back the writes of a plain client and protected effects", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(order)])
        const client = yield* Effect.flatMap(Effect.provide(HttpClient.HttpClient, transport.layer), (inner) =>
          Call.client(inner, { provider: "plain" })
        )
        const provider = yield* Call.connect({ provider: "sdk" })
        let ran = 0
        const effect = Effect.sync(() => ++ran)
        const post = yield* Effect.flip(Call.dryRun(client.post("https://plain.test/x")))
        yield* Call.dryRun(client.get("https://plain.test/x"))
        const write = yield* run(Call.dryRun(Call.protect(effect, { provider, operation: "write", safety: "unsafe" })))
        yield* Call.dryRun(Call.protect(effect, { provider, operation: "read", safety: "safe" }))

        assert.include(String(post.cause), "dry run, not sent")
        assert.deepStrictEqual(write, keptBack)
        assert.deepStrictEqual([transport.sent.length, ran], [1, 1])
      })
    )
  )
})

const Note = Schema.Struct({ id: Schema.String })

const notes = Provider.make("notes", {
  api: HttpApi.make("notes").add(
    HttpApiGroup.make("notes").add(
      HttpApiEndpoint.post("add", "/notes", { payload: Schema.Struct({ text: Schema.String }), success: Note }).pipe(
        Safety.keyed(Acme.keys),
        Operation.dryRun({ id: "dry-run" })
      )
    )
  ),
  environments: { sandbox: "https://sandbox.notes.test", production: "https://notes.test" },
  auth: Auth.bearer()
})

class Notes extends Context.Service<Notes, Client.Of<typeof notes>>()("test/Notes") {}

describe("Operation.dryRun", () => {
  it.effect("is what a write that was kept back gives, and not taken for the provider's answer", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json({ id: "n1" })])
        const layer = Client.layer(Notes, notes, { credential: Redacted.make("key-of-a-test") })
        const client = Context.get(yield* Layer.build(Layer.provide(layer, transport.layer)), Notes)
        const add = client.notes.add({ payload: { text: "x" } }).pipe(Idempotency.withKey("note/1"))
        const { degradedBy, operation, source, value } = yield* Answer.capture(Call.dryRun(add))

        assert.deepStrictEqual(
          [value, source, operation, degradedBy?.reason._tag],
          [{ id: "dry-run" }, "fallback", "notes.notes.add", "DryRun"]
        )
        assert.deepStrictEqual(yield* add, { id: "n1" })
      })
    )
  )
})

describe("<PROVIDER>_DRY_RUN", () => {
  const connectFrom = (transport: Fake.FakeTransport, from: Record<string, string>) =>
    Layer.build(Client.layerConfig(Acme.Acme, Acme.provider).pipe(Layer.provide(transport.layer))).pipe(
      Effect.map(Context.get(Acme.Acme)),
      Effect.provideService(
        ConfigProvider.ConfigProvider,
        ConfigProvider.make((path) => ConfigProvider.fromUnknown(from).load(path))
      )
    )
  const variables = (dryRun: string): Record<string, string> => ({ ACME_API_KEY: "test_9", ACME_DRY_RUN: dryRun })

  it.effect("keeps back all writes, or those that it names, from the start or a reload on", () => {
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        const from = variables("true")
        const acme = yield* connectFrom(
          Fake.make((_, { method }) => (method === "DELETE" ? Fake.empty(204) : Fake.json(order))),
          from
        )
        const kept = Effect.map(
          Effect.forEach(writes(acme), (write) => Effect.result<unknown, unknown, never>(write)),
          (results) => results.map((result) => Result.isFailure(result))
        )
        const seen = [yield* kept]
        for (const text of ["false", "orders.capture, orders.remove", "orders.*"]) {
          from["ACME_DRY_RUN"] = text
          const [changed] = yield* Policies.reload()
          seen.push(yield* kept)
          if (text === "false") {
            assert.deepStrictEqual(changed?.changes, [{ field: "dryRun", from: "all writes", to: "off" }])
          }
        }

        assert.deepStrictEqual(seen, [
          [true, true, true, true],
          [false, false, false, false],
          [false, true, false, true],
          [true, true, true, true]
        ])
        assert.match(
          book.of("Info")[0]?.message ?? "",
          /API version 2026-11-01, records: no, dry run: all writes not sent$/u
        )
      }),
      book
    )
  })

  it.effect("refuses a name that is no write, when the layer is built and at a reload, which changes nothing", () =>
    inScenario(
      Effect.gen(function* () {
        for (const wrong of ["orders.creat", "orders.get", "order.*", "perhaps"]) {
          const error = yield* Effect.flip(connectFrom(answering(), variables(`orders.create, ${wrong}`)))
          assert.include(
            error.message,
            `ACME_DRY_RUN names ${wrong}, which is no write of acme: true, or names of orders.replace, orders.remove, orders.create, orders.capture`
          )
        }
        const from = variables("orders.create")
        const transport = answering()
        const acme = yield* connectFrom(transport, from)
        from["ACME_DRY_RUN"] = "orders.creat"
        assert.strictEqual((yield* Effect.flip(Policies.reload()))._tag, "CallPolicyError")
        assert.deepStrictEqual(yield* run(create(acme)), keptBack)
      })
    )
  )
})

describe("a dry run against a simulated provider", () => {
  it.effect.each(ways)("leaves nothing in its ledger: %s", (way) =>
    inScenario(
      Effect.gen(function* () {
        const bulk = yield* simulated
        const program = Effect.gen(function* () {
          const batch = yield* batchOf(way)
          return yield* batch.run(["o1", "o2", "o3"].map((id) => ({ id })))
        }).pipe(Effect.provide(layer(bulk, FaultMenu.make([]))))
        const results = yield* Call.dryRun(program)

        assert.deepStrictEqual([bulk.ledger.entries.length, bulk.ledger.exchangeCount], [0, 0])
        assert.deepStrictEqual(
          results.map((result) => (Result.isFailure(result) ? [result.failure._tag, result.failure.detail] : [])),
          results.map(() => ["ItemFailed", `bulk.orders.${way}: dry run, not sent`])
        )
        yield* run(program)
        assert.isAbove(bulk.ledger.entries.length, 0)
      })
    )
  )
})
