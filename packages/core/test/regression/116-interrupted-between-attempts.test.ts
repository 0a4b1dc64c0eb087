import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Call from "@breakwater/core/Call"
import * as Idempotency from "@breakwater/core/Idempotency"
import * as Telemetry from "@breakwater/core/Telemetry"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { valueOf } from "../support/Metrics.ts"
import { inScenario, LogBook } from "../support/Scenario.ts"

const abandoned = valueOf(Telemetry.abandoned, "acme.orders.create")

const interruptedAfter = (step: Fake.Step) => {
  const book = new LogBook()
  return inScenario(
    Effect.gen(function* () {
      const transport = Fake.make([step])
      const acme = yield* Acme.connect(transport)
      const create = acme.orders
        .create({ payload: { amount: 1 } })
        .pipe(Idempotency.withKey("k"), Call.withCorrelationId("c-1"))
      const fiber = yield* Effect.forkChild(create, { startImmediately: true })
      yield* TestClock.adjust("50 millis")
      yield* Fiber.interrupt(fiber)
      return {
        sent: transport.sent.length,
        count: (yield* abandoned).count,
        last: book.lines.at(-1)?.message,
        event: book.lines.at(-1)?.fields["event"]
      }
    }),
    book
  )
}

describe("a write that its caller interrupts while it waits for another attempt", () => {
  it.effect("is abandoned: its first attempt may have been carried out", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* interruptedAfter(Fake.broken("ECONNRESET")), {
        sent: 1,
        count: 1,
        last: "acme.orders.create abandoned: interrupted after attempt 1, outcome unknown",
        event: "abandoned"
      })
    })
  )

  it.effect("is not abandoned when nothing can have been carried out", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* interruptedAfter(Fake.broken("ECONNREFUSED")), {
        sent: 1,
        count: 0,
        last: "acme.orders.create attempt 1 failed: transport failed with ECONNREFUSED; trying again in 100ms",
        event: undefined
      })
    })
  )
})
