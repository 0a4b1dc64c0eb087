import { assert, describe, it } from "@effect/vitest"
import { Call } from "@breakwater/core"
import { Effect } from "effect"
import { inScenario, run } from "../support/Scenario.ts"

describe("a protected effect under a class, or under a policy of the call", () => {
  it.effect("keeps the rest of the policy that it was connected with", () =>
    inScenario(
      Effect.gen(function* () {
        let sent = 0
        const provider = yield* Call.connect({ provider: "sdk", policy: { attempts: 1 } })
        const failing = Effect.suspend(() => Effect.fail(++sent))
        const call = Call.protect(failing, {
          provider,
          operation: "send",
          safety: "safe",
          classify: () => ({ sent: "no" })
        })
        yield* run(Call.withClass(call, "import"))
        yield* run(Call.withPolicy(call, { deadline: "20 seconds" }))

        assert.strictEqual(sent, 2)
      })
    )
  )
})
