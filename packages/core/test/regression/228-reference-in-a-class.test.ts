/** A payload that is an instance of a class was copied into a plain object when its reference was put in, and refused as one that is none of its class. */
import { assert, describe, it } from "@effect/vitest"
import { Auth, Client, Idempotency, IdempotencyStore, Provider, Resolution } from "@breakwater/core"
import { Context, Effect, Layer, Redacted, Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, run } from "../support/Scenario.ts"

class Transfer extends Schema.Class<Transfer>("test/Transfer")({
  cents: Schema.Int,
  reference: Schema.optional(Schema.String)
}) {}

const Done = Schema.Struct({ id: Schema.String })
const find = HttpApiEndpoint.get("find", "/transfers", { success: Schema.Array(Done) })
const send = HttpApiEndpoint.post("send", "/transfers", { payload: Transfer, success: Done }).pipe(
  Resolution.lookup(find, { reference: "reference", request: () => ({}), match: ([first]) => first, settlesAfter: 0 })
)
const api = HttpApi.make("bank").add(HttpApiGroup.make("transfers").add(find, send))
const url = "https://bank.test"
const bank = Provider.make("bank", { api, environments: { sandbox: url, production: url }, auth: Auth.bearer() })
class Bank extends Context.Service<Bank, Client.Of<typeof bank>>()("test/BankOfClasses") {}

describe("Resolution.lookup with a reference", () => {
  it.effect("puts it into an instance of a class", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json({ id: "t1" })])
        const layer = Client.layer(Bank, bank, { credential: Redacted.make("key") })
        const { transfers } = yield* Effect.map(Layer.build(Layer.provide(layer, transport.layer)), Context.get(Bank))
        const sent = transfers
          .send({ payload: new Transfer({ cents: 1 }) })
          .pipe(
            Idempotency.once("k"),
            Effect.provideService(IdempotencyStore.IdempotencyStore, IdempotencyStore.memory())
          )

        assert.deepStrictEqual((yield* run(sent)).outcome, { value: { id: "t1" } })
        assert.deepStrictEqual(JSON.parse(transport.sent[0]?.body ?? ""), { cents: 1, reference: "k" })
      })
    )
  )
})
