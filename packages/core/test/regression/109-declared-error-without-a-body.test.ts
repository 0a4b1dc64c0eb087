import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema } from "effect/http-api"
import * as Client from "@breakwater/core/Client"
import * as Auth from "@breakwater/core/Auth"
import * as Provider from "@breakwater/core/Provider"
import { apiKey } from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, run } from "../support/Scenario.ts"

class Gone extends Schema.TaggedError<Gone>("test/Gone")("Gone", {}, { httpApiStatus: 410 }) {}

const plainText = Schema.String.pipe(HttpApiSchema.asText(), HttpApiSchema.status(418))

const provider = Provider.make("bare", {
  api: HttpApi.make("bare").add(
    HttpApiGroup.make("things").add(
      HttpApiEndpoint.get("get", "/thing", {
        success: Schema.String,
        error: [Gone.pipe(HttpApiSchema.asNoContent({ decode: () => new Gone() })), plainText]
      })
    )
  ),
  environments: { sandbox: "https://sandbox.bare.test", production: "https://bare.test" },
  auth: Auth.bearer()
})

class Bare extends Context.Service<Bare, Client.Of<typeof provider>>()("test/Bare") {}

const connect = (transport: Fake.FakeTransport) =>
  Effect.map(
    Layer.build(Client.layer(Bare, provider, { credential: apiKey }).pipe(Layer.provide(transport.layer))),
    Context.get(Bare)
  )

describe("a declared error", () => {
  it.effect("without a body is itself, not what its status alone would mean", () =>
    inScenario(
      Effect.gen(function* () {
        const bare = yield* connect(Fake.make([Fake.empty(410)]))
        const { outcome } = yield* run(bare.things.get())

        assert.deepStrictEqual(outcome, { declared: new Gone() })
      })
    )
  )

  it.effect("of text is itself", () =>
    inScenario(
      Effect.gen(function* () {
        const bare = yield* connect(Fake.make([Fake.text("short and stout", 418)]))
        const { outcome } = yield* run(bare.things.get())

        assert.deepStrictEqual(outcome, { declared: "short and stout" })
      })
    )
  )
})
