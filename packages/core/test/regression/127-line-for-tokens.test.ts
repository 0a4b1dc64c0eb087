import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario } from "../support/Scenario.ts"

const order = { id: "o1", amount: 100 }
const limited = Acme.variant({ rate: { limit: 10, window: "1 second" } })

describe("calls that wait for their rate tokens", () => {
  it.effect("leave one after the other also when a block struck while they waited (RATE-3)", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((n) =>
          n === 1 ? Fake.late(50, Fake.empty(429, { "retry-after": "5" })) : Fake.json(order)
        )
        const acme = yield* Acme.connectTo(limited, transport, { policy: { rate: { margin: 0 }, attempts: 1 } })
        const get = Effect.exit(acme.orders.get({ params: { id: "o1" } }))
        for (let call = 0; call < 11; call++) yield* Effect.forkChild(get, { startImmediately: true })
        yield* TestClock.adjust("1 minute")

        assert.deepStrictEqual(
          transport.sent.map(({ at }) => at),
          [0, 5050, 5150, 5250, 5350, 5450, 5550, 5650, 5750, 5850, 5950]
        )
      })
    )
  )

  it.effect("leave no faster when some of those before them were interrupted (RATE-1)", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make(() => Fake.json(order))
        const acme = yield* Acme.connectTo(limited, transport)
        const get = Effect.exit(acme.orders.get({ params: { id: "o1" } }))
        const fibers: Array<Fiber.Fiber<unknown>> = []
        for (let call = 0; call < 20; call++) fibers.push(yield* Effect.forkChild(get, { startImmediately: true }))
        for (const fiber of fibers.slice(1, 10)) yield* Fiber.interrupt(fiber)
        for (let call = 0; call < 9; call++) yield* Effect.forkChild(get, { startImmediately: true })
        yield* TestClock.adjust("1 minute")

        assert.deepStrictEqual(
          transport.sent.map(({ at }) => at),
          Array.from({ length: 20 }, (_, index) => index * 100)
        )
      })
    )
  )
})
