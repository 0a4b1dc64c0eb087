import { assert, describe, it } from "@effect/vitest"
import { Call } from "@breakwater/core"
import { Cause, Effect } from "effect"
import { inScenario, run } from "../support/Scenario.ts"

describe("a failure whose message is no text", () => {
  it.effect.each([new Cause.TimeoutError(), Object.assign(new Error("x"), { message: 7 })])(
    "is classified like any other",
    (error) =>
      inScenario(
        Effect.gen(function* () {
          const connected = yield* Call.connect({ provider: "sdk", policy: { attempts: 1 } })
          const failing = Call.protect(Effect.fail(error as Error), {
            provider: connected,
            operation: "send",
            safety: "safe",
            classify: () => ({ sent: "unknown" })
          })

          assert.deepStrictEqual((yield* run(failing)).outcome, {
            class: "RetryableError",
            attempts: 1,
            reason: { _tag: "Unavailable", problem: "failure" },
            sent: "unknown"
          })
        })
      )
  )
})
