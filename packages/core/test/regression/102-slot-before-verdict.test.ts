import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, outcome } from "../support/Scenario.ts"

describe("a failure that opens the circuit", () => {
  it.effect("is known to the circuit before its slot goes to the next in the queue", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.late(1000, Fake.broken("ECONNRESET"))])
        const acme = yield* Acme.connect(transport, {
          policy: { attempts: 1, breaker: { consecutiveFailures: 1 }, bulkhead: { concurrency: 1 } }
        })
        const get = acme.orders.get({ params: { id: "o1" } })
        const first = yield* Effect.forkChild(get, { startImmediately: true })
        const queued = yield* Effect.forkChild(get, { startImmediately: true })
        yield* TestClock.adjust("1 second")

        assert.deepStrictEqual(outcome(yield* Fiber.await(first)), {
          class: "RetryableError",
          attempts: 1,
          reason: { _tag: "TransportFailed", code: "ECONNRESET" },
          sent: "unknown"
        })
        assert.deepStrictEqual(outcome(yield* Fiber.await(queued)), {
          class: "RetryableError",
          attempts: 0,
          reason: { _tag: "CircuitOpen", retryAfter: 30_000 },
          sent: "no",
          retryAfter: 30_000
        })
        assert.strictEqual(transport.sent.length, 1)
      })
    )
  )
})
