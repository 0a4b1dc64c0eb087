import { assert, describe, it } from "@effect/vitest"
import * as PolicyRules from "@breakwater/core/PolicyRules"
import { Result } from "effect"

describe("PolicyRules.resolve of a longest open time alone", () => {
  it("lets the open time that nobody wrote bend to it", () => {
    const { breaker } = Result.getOrThrow(PolicyRules.resolve("acme", { breaker: { maxOpenFor: "10 seconds" } }))

    assert.deepStrictEqual([breaker.openMillis, breaker.maxOpenMillis], [10_000, 10_000])
  })
})
