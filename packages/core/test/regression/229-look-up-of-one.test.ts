/** A look-up by an endpoint of one thing, `GET /parcels/:reference`, failed with its 404: what was not made stayed in doubt for ever. And a declared error of a look-up was told as a store that is down. */
import { assert, describe, it } from "@effect/vitest"
import { Auth, Client, Idempotency, IdempotencyStore, Provider, Resolution, Resolver } from "@breakwater/core"
import { Context, Effect, Layer, Redacted, Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { TestClock } from "effect/testing"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, LogBook, run } from "../support/Scenario.ts"

class Closed extends Schema.TaggedError<Closed>("test/Closed")("Closed", {}, { httpApiStatus: 451 }) {}

const Parcel = Schema.Struct({ reference: Schema.String })
const get = HttpApiEndpoint.get("get", "/parcels/:reference", {
  params: { reference: Schema.String },
  success: Parcel,
  error: Closed
})
const send = HttpApiEndpoint.post("send", "/parcels", { payload: Parcel, success: Parcel }).pipe(
  Resolution.lookup(get, {
    request: ({ key }) => ({ params: { reference: key } }),
    match: (parcel) => parcel,
    settlesAfter: "10 minutes"
  })
)
const api = HttpApi.make("depot").add(HttpApiGroup.make("parcels").add(get, send))
const url = "https://depot.test"
const depot = Provider.make("depot", { api, environments: { sandbox: url, production: url }, auth: Auth.bearer() })
class Depot extends Context.Service<Depot, Client.Of<typeof depot>>()("test/DepotOfOne") {}

const parcel = { reference: "p1" }

/** A write that was lost, and what it is looked up with. */
const world = Effect.fnUntraced(function* (answer: Fake.Step) {
  let isLost = true
  const transport = Fake.make((_, { method }) => {
    if (method === "GET") return answer
    return isLost ? Fake.broken("ECONNRESET") : Fake.json(parcel)
  })
  const layer = Client.layer(Depot, depot, { credential: Redacted.make("key") }).pipe(Layer.provide(transport.layer))
  const { parcels } = yield* Effect.map(Layer.build(layer), Context.get(Depot))
  const create = parcels.send({ payload: parcel }).pipe(Idempotency.once("p1"))
  yield* run(create)
  isLost = false
  return create
})

const stored = Effect.provideServiceEffect(
  IdempotencyStore.IdempotencyStore,
  Effect.sync(() => IdempotencyStore.memory())
)

describe("a look-up of one thing", () => {
  it.effect("takes a 404 for not there, once absence counts", () =>
    inScenario(
      stored(
        Effect.gen(function* () {
          const create = yield* world(Fake.empty(404))
          yield* TestClock.adjust(599_999)
          const early = yield* Resolver.sweep()
          yield* TestClock.adjust(1)
          const late = yield* Resolver.sweep()

          assert.deepStrictEqual([early.stays, late.undone], [1, 1])
          assert.deepStrictEqual((yield* run(create)).outcome, { value: parcel })
        })
      )
    )
  )

  it.effect("says that it failed where it fails otherwise, and leaves the doubt", () => {
    const book = new LogBook()
    return inScenario(
      stored(
        Effect.gen(function* () {
          yield* Effect.asVoid(world(Fake.json({ _tag: "Closed" }, 451)))
          yield* TestClock.adjust("10 minutes")
          const { unanswered } = yield* Resolver.sweep()

          assert.strictEqual(unanswered, 1)
          assert.deepStrictEqual(
            book
              .of("Warn")
              .flatMap(({ fields, message }) => (fields["event"] === "resolution failed" ? [message] : [])),
            ["depot.parcels.send: the outcome stays unknown, since finding out failed: the look-up failed with Closed"]
          )
        })
      ),
      book
    )
  })
})
