/** A look-up that declares `Caching` was answered by what was kept: a write that had been made was "not there", its key was freed, and the next call made it again. */
import { assert, describe, it } from "@effect/vitest"
import { Auth, Caching, Client, Idempotency, IdempotencyStore, Provider, Resolution, Resolver } from "@breakwater/core"
import { Context, Effect, Layer, Redacted, Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { TestClock } from "effect/testing"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, run } from "../support/Scenario.ts"

const Parcel = Schema.Struct({ id: Schema.String })
const params = { id: Schema.String }

const find = HttpApiEndpoint.get("find", "/parcels", { success: Schema.Array(Parcel) }).pipe(
  Caching.ttl({ ttl: "1 hour" })
)
const get = HttpApiEndpoint.get("get", "/parcels/:id", { params, success: Parcel }).pipe(
  Caching.ttl({ ttl: "1 hour", negativeTtl: "1 hour" })
)
const send = HttpApiEndpoint.post("send", "/parcels", { payload: Parcel, success: Parcel }).pipe(
  Resolution.lookup(find, {
    request: () => ({}),
    match: (parcels, { key }) => parcels.find(({ id }) => id === key),
    settlesAfter: "10 minutes"
  }),
  Resolution.existing(get, {
    request: ({ request }) => ({ params: { id: request.payload.id } }),
    match: (parcel) => parcel
  })
)
const api = HttpApi.make("depot").add(HttpApiGroup.make("parcels").add(find, get, send))
const url = "https://depot.test"
const depot = Provider.make("depot", { api, environments: { sandbox: url, production: url }, auth: Auth.bearer() })
class Depot extends Context.Service<Depot, Client.Of<typeof depot>>()("test/Depot") {}

const parcel = { id: "p1" }

/** A depot that has the parcel as soon as it is posted, and loses the answer; or has it already. */
const world = Effect.fnUntraced(function* (posted: Fake.Step) {
  let there = false
  const transport = Fake.make((_, { method, url: asked }) => {
    if (method === "POST") {
      there = true
      return posted
    }
    if (asked.endsWith("/p1")) return there ? Fake.json(parcel) : Fake.empty(404)
    return Fake.json(there ? [parcel] : [])
  })
  const layer = Client.layer(Depot, depot, { credential: Redacted.make("key") }).pipe(Layer.provide(transport.layer))
  const { parcels } = yield* Effect.map(Layer.build(layer), Context.get(Depot))
  const sent = () => transport.sent.filter(({ method }) => method === "POST").length
  return { parcels, sent, create: parcels.send({ payload: parcel }).pipe(Idempotency.once("p1")) }
})

const lost = Fake.broken("ECONNRESET")

describe("a look-up whose answers are kept", () => {
  it.effect("asks the provider all the same", () =>
    inScenario(
      Effect.gen(function* () {
        const records = IdempotencyStore.memory()
        const { create, parcels, sent } = yield* world(lost)
        const program = Effect.gen(function* () {
          yield* parcels.find()
          yield* run(create)
          yield* TestClock.adjust("10 minutes")
          const swept = yield* Resolver.sweep()
          return [swept.done, swept.undone, (yield* run(create)).outcome]
        })

        assert.deepStrictEqual(yield* Effect.provideService(program, IdempotencyStore.IdempotencyStore, records), [
          1,
          0,
          { value: parcel }
        ])
        assert.strictEqual(sent(), 1)
      })
    )
  )

  it.effect("does so before it is created", () =>
    inScenario(
      Effect.gen(function* () {
        const { create, parcels, sent } = yield* world(lost)
        const first = Effect.provideService(create, IdempotencyStore.IdempotencyStore, IdempotencyStore.memory())
        yield* parcels.find()
        yield* run(first)
        const again = Effect.provideService(create, IdempotencyStore.IdempotencyStore, IdempotencyStore.memory())

        assert.deepStrictEqual((yield* run(Resolver.createIfAbsent(again))).outcome, { value: parcel })
        assert.strictEqual(sent(), 1)
      })
    )
  )

  it.effect("does so when it exists already", () =>
    inScenario(
      Effect.gen(function* () {
        const { create, parcels } = yield* world(Fake.empty(409))
        yield* run(parcels.get({ params: parcel }))
        const made = Effect.provideService(create, IdempotencyStore.IdempotencyStore, IdempotencyStore.memory())

        assert.deepStrictEqual((yield* run(made)).outcome, { value: parcel })
      })
    )
  )
})
