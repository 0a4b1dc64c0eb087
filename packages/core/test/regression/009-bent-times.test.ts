import { assert, describe, it } from "@effect/vitest"
import * as CallPolicies from "@breakwater/core/CallPolicy"
import * as PolicyRules from "@breakwater/core/PolicyRules"
import { Result } from "effect"

describe("CallPolicy.merge with a shorter deadline", () => {
  it("bends a longer attempt to the deadline, not back to its default, which a written silence may exceed", () => {
    const base = { deadline: "1 minute", attemptTimeout: "25 seconds", silenceTimeout: "20 seconds" } as const

    const merged = PolicyRules.resolve("acme", CallPolicies.merge(base, { deadline: "22 seconds" }))

    const { attemptMillis, silenceMillis } = Result.getOrThrow(merged)
    assert.deepStrictEqual([attemptMillis, silenceMillis], [22_000, 20_000])
  })
})
