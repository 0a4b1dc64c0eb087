import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Call from "@breakwater/core/Call"
import { counted } from "../support/Metrics.ts"
import { inScenario, run } from "../support/Scenario.ts"

describe("the attempts of an effect that is not HTTP", () => {
  it.effect("have a duration of their own, and none of an HTTP client", () =>
    inScenario(
      Effect.gen(function* () {
        const connected = yield* Call.connect({ provider: "acme" })
        let attempts = 0
        const flaky = Effect.suspend(() => (++attempts === 1 ? Effect.fail("busy" as const) : Effect.succeed(1)))
        const classify = () => ({ sent: "no" as const })
        yield* run(Call.protect(flaky, { provider: connected, operation: "send", safety: "safe", classify }))
        const names = Object.keys(yield* counted).filter((name) => name.includes("duration acme.send"))

        assert.deepStrictEqual(names, [
          "breakwater.attempt.duration acme.send error.type=UNAVAILABLE",
          "breakwater.wait.duration acme.send wait.for=backoff",
          "breakwater.attempt.duration acme.send",
          "breakwater.call.duration acme.send outcome=ok"
        ])
      })
    )
  )
})
