import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, outcome } from "../support/Scenario.ts"

describe("a long queue that empties at once, since the circuit opened", () => {
  it.effect("ends every call of it, however long it is", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.late(100, Fake.broken("ECONNRESET"))])
        const acme = yield* Acme.connect(transport, {
          policy: { attempts: 1, breaker: { consecutiveFailures: 1 }, bulkhead: { concurrency: 1, queue: 10_000 } }
        })
        const get = Effect.exit(acme.orders.get({ params: { id: "o1" } }))
        const fibers = yield* Effect.forEach(Array.from({ length: 1000 }), () =>
          Effect.forkChild(get, { startImmediately: true })
        )
        yield* TestClock.adjust("100 millis")
        const tags = new Map<string, number>()
        for (const fiber of fibers) {
          const ended = outcome(yield* Fiber.join(fiber)) as { readonly reason: { readonly _tag: string } }
          tags.set(ended.reason._tag, (tags.get(ended.reason._tag) ?? 0) + 1)
        }

        assert.deepStrictEqual(
          [...tags],
          [
            ["TransportFailed", 1],
            ["CircuitOpen", 999]
          ]
        )
        assert.strictEqual(transport.sent.length, 1)
      })
    )
  )
})
