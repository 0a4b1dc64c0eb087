import { assert, describe, it } from "@effect/vitest"
import { caller, learn, limited } from "../support/Budgets.ts"

const now = 1_790_000_000_000

describe("RateBudget.refund of tokens that were taken before an answer told what is left", () => {
  it("does not grant more than the answer told: twenty interrupted calls make no quota", () => {
    const budget = limited({ limit: 100, windowMillis: 1000, burst: 20 })
    const holders = Array.from({ length: 20 }, () => caller(budget, now))
    for (const holder of holders) assert.isTrue(budget.take(holder, now))
    learn(budget, { remaining: 1, resetMillis: 60_000 }, now)

    for (const holder of holders) budget.refund(holder, now)

    const { remaining, waitMillis } = budget.snapshot(now)
    assert.deepStrictEqual({ remaining, waitMillis }, { remaining: 1, waitMillis: 0 })
  })
})
