import { assert, describe, it } from "@effect/vitest"
import { Call } from "@breakwater/core"
import { Effect, Fiber, Metric, References } from "effect"
import { TestClock } from "effect/testing"
import { inScenario } from "../support/Scenario.ts"

/** More turns than a call has until it waits for its answer, when it lets others run after a few steps. */
const turns = 24
const stepsInATurn = 3

const longestCall = Effect.map(Metric.snapshot, (series) =>
  Math.max(
    ...series
      .filter(({ id }) => id === "breakwater.call.duration")
      .map(({ state }) => (state as { readonly max: number }).max)
  )
)

describe("a call that is interrupted before it began", () => {
  it.effect("is not counted as one that has run since 1970", () =>
    inScenario(
      Effect.gen(function* () {
        yield* TestClock.adjust("1 hour")
        const provider = yield* Call.connect({ provider: "sdk" })
        const call = Call.protect(Effect.never, { provider, operation: "send", safety: "safe" }).pipe(
          Effect.provideService(References.MaxOpsBeforeYield, stepsInATurn)
        )
        for (let turn = 0; turn < turns; turn++) {
          const fiber = yield* Effect.forkChild(call)
          for (let passed = 0; passed < turn; passed++) yield* Effect.yieldNow
          yield* Fiber.interrupt(fiber)
        }

        assert.strictEqual(yield* longestCall, 0)
      })
    )
  )
})
