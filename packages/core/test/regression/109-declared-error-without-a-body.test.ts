import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema } from "effect/http-api"
import * as Client from "@breakwater/core/Client"
import * as Auth from "@breakwater/core/Auth"
import * as Provider from "@breakwater/core/Provider"
import * as Safety from "@breakwater/core/Safety"
import { apiKey } from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, run } from "../support/Scenario.ts"

class Gone extends Schema.TaggedError<Gone>("test/Gone")("Gone", {}, { httpApiStatus: 410 }) {}

const plainText = Schema.String.pipe(HttpApiSchema.asText(), HttpApiSchema.status(418))

const provider = Provider.make("bare", {
  api: HttpApi.make("bare").add(
    HttpApiGroup.make("things").add(
      HttpApiEndpoint.post("touch", "/touch", { success: HttpApiSchema.Empty(200) }).pipe(Safety.safe),
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

describe("a success that is declared to have no body", () => {
  it.effect.each([Fake.json({ ok: true }), Fake.text("OK"), Fake.empty(200)])(
    "is itself whatever body it has",
    (step) =>
      inScenario(
        Effect.gen(function* () {
          const bare = yield* connect(Fake.make([step]))
          const { outcome } = yield* run(bare.things.touch())

          assert.deepStrictEqual(outcome, { value: undefined })
        })
      )
  )
})

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

  it.effect("without a body is itself also where there is one", () =>
    inScenario(
      Effect.gen(function* () {
        const bare = yield* connect(Fake.make([Fake.json({ gone: true }, 410)]))
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
