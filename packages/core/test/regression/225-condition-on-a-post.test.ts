/** A POST that reads was asked about by its `ETag`: a server refuses that with 412 where nothing has changed (RFC 9110 §13.1.2), so that what was kept could not be read any more. */
import { assert, describe, it } from "@effect/vitest"
import { Auth, Client, Provider, Safety } from "@breakwater/core"
import * as HttpCaching from "@breakwater/core/HttpCaching"
import { Context, Effect, Layer, Redacted, Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { TestClock } from "effect/testing"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, run } from "../support/Scenario.ts"

const search = HttpApiEndpoint.post("search", "/search", {
  payload: Schema.Struct({ q: Schema.String }),
  success: Schema.Array(Schema.String)
}).pipe(Safety.safe, HttpCaching.http())
const api = HttpApi.make("depot").add(HttpApiGroup.make("things").add(search))
const url = "https://depot.test"
const depot = Provider.make("depot", { api, environments: { sandbox: url, production: url }, auth: Auth.bearer() })
class Depot extends Context.Service<Depot, Client.Of<typeof depot>>()("test/DepotThatIsSearched") {}

describe("HttpCaching.http of a POST", () => {
  it.effect("asks without a condition when the answer is not fresh any more", () =>
    inScenario(
      Effect.gen(function* () {
        const answer = Fake.json(["a"], 200, { etag: '"1"', "cache-control": "max-age=60" })
        const transport = Fake.make((_, { headers }) => ("if-none-match" in headers ? Fake.empty(412) : answer))
        const layer = Client.layer(Depot, depot, { credential: Redacted.make("key") })
        const { things } = yield* Effect.map(Layer.build(Layer.provide(layer, transport.layer)), Context.get(Depot))
        const call = things.search({ payload: { q: "a" } })
        yield* call
        yield* TestClock.adjust("1 minute")

        assert.deepStrictEqual((yield* run(call)).outcome, { value: ["a"] })
        assert.strictEqual(transport.sent.length, 2)
      })
    )
  )
})
