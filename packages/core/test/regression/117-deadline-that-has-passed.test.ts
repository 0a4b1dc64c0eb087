import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Call from "@breakwater/core/Call"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"

import { inScenario, outcome, run } from "../support/Scenario.ts"
import * as Shop from "../support/Shop.ts"

describe("Call.withDeadline", () => {
  it.effect("that has passed before the call begins leaves a deadline of zero, never a negative one", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json({ id: "o1", amount: 1 })])
        const acme = yield* Acme.connect(transport)
        const late = Effect.andThen(Effect.sleep("10 seconds"), acme.orders.get({ params: { id: "o1" } }))
        const ended = yield* run(Call.withDeadline(late, "5 seconds"))

        assert.deepStrictEqual(ended, {
          outcome: {
            class: "RetryableError",
            attempts: 0,
            reason: { _tag: "DeadlineExceeded", deadline: 0 },
            sent: "no"
          },
          took: 10_000
        })
        assert.strictEqual(transport.sent.length, 0)
      })
    )
  )

  it.effect.each(["coalesced", "kept"])("that has passed sends nothing where calls are %s, either", (which) =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json({ id: "o1", amount: 1 })])
        const params = { id: "o1" }
        const get: Effect.Effect<unknown, unknown> =
          which === "kept"
            ? (yield* Shop.connect(transport)).places.get({ params })
            : (yield* Acme.connect(transport, { policy: { coalesce: true } })).orders.get({ params })

        assert.deepStrictEqual((yield* run(Call.withDeadline(get, 0))).outcome, {
          class: "RetryableError",
          attempts: 0,
          reason: { _tag: "DeadlineExceeded", deadline: 0 },
          sent: "no"
        })
        assert.strictEqual(transport.sent.length, 0)
      })
    )
  )

  it.effect("that is over in the instant in which a slot comes free sends nothing", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.late(1000, Fake.json({ id: "o1", amount: 1 }))])
        const acme = yield* Acme.connect(transport, { policy: { bulkhead: { concurrency: 1 } } })
        const get = acme.orders.get({ params: { id: "o1" } })
        // The slot's holder sleeps first, so that it wakes first at the same instant.
        const first = yield* Effect.forkChild(get, { startImmediately: true })
        const queued = yield* Effect.forkChild(Call.withDeadline(get, "1 second"), { startImmediately: true })
        yield* TestClock.adjust("1 second")
        yield* Fiber.await(first)

        assert.deepStrictEqual(outcome(yield* Fiber.await(queued)), {
          class: "RetryableError",
          attempts: 0,
          reason: { _tag: "DeadlineExceeded", deadline: 1000 },
          sent: "no"
        })
        assert.strictEqual(transport.sent.length, 1)
      })
    )
  )
})
