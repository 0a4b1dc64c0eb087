import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario } from "../support/Scenario.ts"

const order = { id: "o1", amount: 100 }

describe("an operation that costs more than the burst of its rate", () => {
  it.effect("is sent: after a quiet time at once, otherwise when the rest has been earned (RATE-1)", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make(() => Fake.json(order))
        const acme = yield* Acme.connectTo(Acme.variant({ rate: { limit: 10, window: "1 second" } }), transport)
        const replace = acme.orders.replace({ params: { id: "o1" }, payload: { amount: 1 } })
        for (let call = 0; call < 3; call++) yield* Effect.forkChild(replace, { startImmediately: true })
        yield* TestClock.adjust("30 seconds")

        assert.deepStrictEqual(
          transport.sent.map(({ at }) => at),
          [0, 300, 600]
        )
      })
    )
  )
})
