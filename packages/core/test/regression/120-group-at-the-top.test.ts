import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import * as Client from "@breakwater/core/Client"
import * as Auth from "@breakwater/core/Auth"
import * as Provider from "@breakwater/core/Provider"
import * as Idempotency from "@breakwater/core/Idempotency"
import * as Safety from "@breakwater/core/Safety"
import { apiKey } from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, run } from "../support/Scenario.ts"

const provider = Provider.make("flat", {
  api: HttpApi.make("flat").add(
    HttpApiGroup.make("root", { topLevel: true }).add(
      HttpApiEndpoint.get("ping", "/ping", { success: Schema.String }),
      HttpApiEndpoint.post("pay", "/pay", { success: Schema.String }).pipe(
        Safety.keyed({ header: "Idempotency-Key", window: "24 hours" })
      )
    ),
    HttpApiGroup.make("v1.things").add(HttpApiEndpoint.get("list", "/things", { success: Schema.String }))
  ),
  environments: { sandbox: "https://sandbox.flat.test", production: "https://flat.test" },
  auth: Auth.bearer()
})

class Flat extends Context.Service<Flat, Client.Of<typeof provider>>()("test/Flat") {}

describe("Client.layer", () => {
  it.effect("puts the methods of a top-level group into the client itself, as HttpApiClient does", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json("done")])
        const built = yield* Layer.build(
          Client.layer(Flat, provider, { credential: apiKey }).pipe(Layer.provide(transport.layer))
        )
        const flat = Context.get(built, Flat)
        const pinged = yield* run(flat.ping())
        const paid = yield* run(flat.pay().pipe(Idempotency.withKey("k")))
        const listed = yield* run(flat["v1.things"].list())

        const done = { value: "done" }
        assert.deepStrictEqual([pinged.outcome, paid.outcome, listed.outcome], [done, done, done])
        assert.deepStrictEqual(
          transport.sent.map(({ method, url }) => `${method} ${new URL(url).pathname}`),
          ["GET /ping", "POST /pay", "GET /things"]
        )
      })
    )
  )
})
