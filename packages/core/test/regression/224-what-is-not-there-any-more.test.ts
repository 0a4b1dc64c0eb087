/** A call past the cache learnt that something is gone, and the calls after it were given it all the same. */
import { assert, describe, it } from "@effect/vitest"
import { Auth, Caching, Client, Provider } from "@breakwater/core"
import { Context, Effect, Layer, Redacted, Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, run } from "../support/Scenario.ts"

const params = { id: Schema.String }
const Thing = Schema.Struct({ id: Schema.String })
const get = HttpApiEndpoint.get("get", "/things/:id", { params, success: Thing }).pipe(Caching.ttl({ ttl: "1 hour" }))
const api = HttpApi.make("depot").add(HttpApiGroup.make("things").add(get))
const url = "https://depot.test"
const depot = Provider.make("depot", { api, environments: { sandbox: url, production: url }, auth: Auth.bearer() })
class Depot extends Context.Service<Depot, Client.Of<typeof depot>>()("test/DepotOfThings") {}

const gone = { class: "FatalError", attempts: 1, reason: { _tag: "NotFound", status: 404 } }

describe("Caching.bypass", () => {
  it.effect("forgets what the provider has not any more", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json({ id: "t1" }), Fake.empty(404)])
        const layer = Client.layer(Depot, depot, { credential: Redacted.make("key") })
        const { things } = yield* Effect.map(Layer.build(Layer.provide(layer, transport.layer)), Context.get(Depot))
        const call = things.get({ params: { id: "t1" } })
        yield* call

        assert.deepStrictEqual((yield* run(Caching.bypass(call))).outcome, gone)
        assert.deepStrictEqual((yield* run(call)).outcome, gone)
      })
    )
  )
})
