import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Acme from "../support/Acme.ts"
import { credential } from "../support/Credentials.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, run } from "../support/Scenario.ts"

describe("a credential source that has nothing to show without waiting", () => {
  it.effect("is asked once for each attempt, and what it gave is sent", () =>
    inScenario(
      Effect.gen(function* () {
        let asked = 0
        const transport = Fake.make([Fake.json({ id: "o1", amount: 1 })])
        const acme = yield* Acme.connect(transport, {
          credential: {
            peek: () => undefined,
            current: Effect.suspend(() => {
              asked++
              // A test that spins fails here, not by a timeout.
              return asked > 10 ? Effect.never : Effect.succeed(credential(7))
            }),
            refresh: undefined
          }
        })
        const { outcome } = yield* run(acme.orders.get({ params: { id: "o1" } }))

        assert.deepStrictEqual(outcome, { value: { id: "o1", amount: 1 } })
        assert.strictEqual(asked, 1)
        assert.strictEqual(transport.sent[0]?.headers["authorization"], "Bearer test_secret_7")
      })
    )
  )
})
