import { assert, describe, it } from "@effect/vitest"
import { caller, learn, limited } from "../support/Budgets.ts"

const now = 1_790_000_000_000

describe("RateBudget.snapshot while calls that were let through before are sent", () => {
  it("shows that nothing is left, never less than nothing", () => {
    const budget = limited()
    const holder = caller(budget, now, { cost: 2 })
    budget.take(holder, now)
    learn(budget, { remaining: 0, resetMillis: 1000 }, now)

    budget.spend(holder, now)

    const { remaining, waitMillis } = budget.snapshot(now)
    assert.deepStrictEqual({ remaining, waitMillis }, { remaining: 0, waitMillis: 1000 })
  })
})
