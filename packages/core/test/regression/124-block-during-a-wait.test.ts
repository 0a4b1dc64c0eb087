import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, outcome } from "../support/Scenario.ts"

const order = { id: "o1", amount: 100 }
const limited = Acme.variant({ rate: { limit: 1, window: "1 second", burst: 1 } })

describe("a call that waits for its token while the provider asks everyone to wait (RATE-3)", () => {
  const waiting = Effect.fnUntraced(function* (retryAfter: string) {
    const transport = Fake.make((n) =>
      n === 1 ? Fake.late(500, Fake.empty(429, { "retry-after": retryAfter })) : Fake.json(order)
    )
    const acme = yield* Acme.connectTo(limited, transport, { policy: { rate: { margin: 0 }, attempts: 1 } })
    const get = Effect.exit(acme.orders.get({ params: { id: "o1" } }))
    const throttled = yield* Effect.forkChild(get, { startImmediately: true })
    const waiter = yield* Effect.forkChild(get, { startImmediately: true })
    yield* TestClock.adjust("1 minute")
    yield* Fiber.join(throttled)
    const ended = outcome(yield* Fiber.join(waiter))
    return { outcome: ended, sentAt: transport.sent.map(({ at }) => at) }
  })

  it.effect("leaves when that wait is over, not when its token is good", () =>
    inScenario(
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* waiting("5"), { outcome: { value: order }, sentAt: [0, 5500] })
      })
    )
  )

  it.effect("has paid once then: the next one leaves a second later", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((n) =>
          n === 1 ? Fake.late(500, Fake.empty(429, { "retry-after": "5" })) : Fake.json(order)
        )
        const acme = yield* Acme.connectTo(limited, transport, { policy: { rate: { margin: 0 }, attempts: 1 } })
        const get = Effect.exit(acme.orders.get({ params: { id: "o1" } }))
        yield* Effect.forkChild(get, { startImmediately: true })
        yield* Effect.forkChild(get, { startImmediately: true })
        yield* TestClock.adjust("6 seconds")
        yield* Effect.forkChild(get, { startImmediately: true })
        yield* TestClock.adjust("1 minute")

        assert.deepStrictEqual(
          transport.sent.map(({ at }) => at),
          [0, 5500, 6500]
        )
      })
    )
  )

  it.effect("gives its first token back: it is not late by a whole turn", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((n) =>
          n === 1 ? Fake.late(9500, Fake.empty(429, { "retry-after": "2" })) : Fake.json(order)
        )
        const acme = yield* Acme.connectTo(
          Acme.variant({ rate: { limit: 1, window: "10 seconds", burst: 1 } }),
          transport,
          { policy: { rate: { margin: 0 }, attempts: 1, silenceTimeout: "10 seconds", rateWait: "20 seconds" } }
        )
        const get = Effect.exit(acme.orders.get({ params: { id: "o1" } }))
        yield* Effect.forkChild(get, { startImmediately: true })
        yield* Effect.forkChild(get, { startImmediately: true })
        yield* TestClock.adjust("1 minute")

        assert.deepStrictEqual(
          transport.sent.map(({ at }) => at),
          [0, 11_500]
        )
      })
    )
  )

  it.effect("is refused when that is longer than it may wait in all", () =>
    inScenario(
      Effect.gen(function* () {
        // One second for its token, so nine are left; at 1,000 ms the block has 9,500 to go.
        assert.deepStrictEqual(yield* waiting("10"), {
          outcome: {
            class: "RetryableError",
            attempts: 0,
            reason: { _tag: "RateLimited", by: "budget", retryAfter: 9500 },
            sent: "no",
            retryAfter: 9500
          },
          sentAt: [0]
        })
      })
    )
  )
})
