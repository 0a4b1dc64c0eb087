import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, outcome } from "../support/Scenario.ts"

const order = { id: "o1", amount: 100 }

describe("a full line for tokens that empties at once, since the provider's wait is over", () => {
  it.effect("lets every call of it leave, in the order in which they came", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((n) => (n === 1 ? Fake.empty(429, { "retry-after": "5" }) : Fake.json(order)))
        const acme = yield* Acme.connect(transport, {
          policy: { rate: { margin: 0 }, attempts: 1, bulkhead: { concurrency: 1000 } }
        })
        yield* Effect.exit(acme.orders.get({ params: { id: "first" } }))
        const ids = Array.from({ length: 256 }, (_, index) => `n${index}`)
        const fibers = yield* Effect.forEach(ids, (id) =>
          Effect.forkChild(Effect.exit(acme.orders.get({ params: { id } })), { startImmediately: true })
        )
        yield* TestClock.adjust("5 seconds")
        const ended = yield* Effect.forEach(fibers, (fiber) => Effect.map(Fiber.join(fiber), outcome))

        assert.deepStrictEqual(
          ended,
          ids.map(() => ({ value: order }))
        )
        assert.deepStrictEqual(
          transport.sent.slice(1).map(({ at, url }) => [at, url]),
          ids.map((id) => [5000, `https://sandbox.acme.test/orders/${id}`])
        )
      })
    )
  )
})
