/** The name of `Idempotency.once`, and a dry run, reached the calls that a call makes for itself: the request for a new credential, and what a protected effect calls, were refused. */
import { assert, describe, it } from "@effect/vitest"
import { Call, Idempotency, IdempotencyStore } from "@breakwater/core"
import { CredentialSourceError } from "@breakwater/core/CredentialSource"
import { Effect, Schema } from "effect"
import * as Acme from "../support/Acme.ts"
import * as Credentials from "../support/Credentials.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, run } from "../support/Scenario.ts"

const order = { id: "o1", amount: 1 }
const remembered = Effect.provideService(IdempotencyStore.IdempotencyStore, IdempotencyStore.memory())

/** A source that asks an authorisation server of its own, by a protected client. */
const asking = Effect.fnUntraced(function* () {
  const server = Fake.make(() => Fake.json({}))
  const client = yield* Call.client(server.client, { provider: "auth" })
  const token = Effect.mapError(
    client.post("https://auth.test/token"),
    () => new CredentialSourceError({ detail: "the server was not asked", revoked: false })
  )
  const refresh = (generation: number) => Effect.as(token, Credentials.credential(generation + 1))
  return { server, source: Credentials.source({ generation: undefined, current: refresh(0), refresh }) }
})

describe("a call that is made for another one", () => {
  it.effect("has not its name: a credential", () =>
    inScenario(
      Effect.gen(function* () {
        const { server, source } = yield* asking()
        const transport = Fake.make([Fake.empty(401), Fake.json(order)])
        const acme = yield* Acme.connect(transport, { credential: source })
        const capture = acme.orders.capture({ params: { id: "o1" }, payload: { amount: 1 } })

        assert.deepStrictEqual((yield* run(capture.pipe(Idempotency.once("o1"), remembered))).outcome, { value: order })
        assert.strictEqual(server.sent.length, 2)
      })
    )
  )

  it.effect("is not held back with it: a credential", () =>
    inScenario(
      Effect.gen(function* () {
        const { source } = yield* asking()
        const acme = yield* Acme.connect(Fake.make([Fake.json(order)]), { credential: source })

        assert.deepStrictEqual((yield* run(Call.dryRun(acme.orders.get({ params: { id: "o1" } })))).outcome, {
          value: order
        })
      })
    )
  )

  it.effect("has not its name: within a protected effect", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make(() => Fake.json(order))
        const client = yield* Call.client(transport.client, { provider: "bank" })
        const provider = yield* Call.connect({ provider: "payer" })
        const post = Effect.flatMap(client.post("https://bank.test/pay"), ({ status }) => Effect.succeed(status))
        const pay = Call.protect(post, {
          provider,
          operation: "pay",
          safety: "unsafe",
          record: { success: Schema.Int }
        }).pipe(Idempotency.once("invoice/1"), remembered)

        assert.deepStrictEqual([(yield* run(pay)).outcome, (yield* run(pay)).outcome], [{ value: 200 }, { value: 200 }])
        assert.strictEqual(transport.sent.length, 1)
      })
    )
  )
})
