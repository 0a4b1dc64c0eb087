import { assert, describe, it } from "@effect/vitest"
import { RateBudget } from "@breakwater/core/RateBudget"

const now = 1_790_000_000_000

describe("RateBudget.snapshot while calls wait for a window", () => {
  it("shows that nothing is left, never less than nothing", () => {
    const budget = new RateBudget(undefined)
    budget.learn({ remaining: 0, resetMillis: 1000 }, now)

    budget.reserve(2, now, 5000)

    assert.deepStrictEqual(budget.snapshot(now), { remaining: 0, waitMillis: 1000, waiting: 0 })
  })
})
