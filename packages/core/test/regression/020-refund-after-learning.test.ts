import { assert, describe, it } from "@effect/vitest"
import { RateBudget } from "@breakwater/core/RateBudget"

const now = 1_790_000_000_000

describe("RateBudget.refund of tokens that were taken before an answer told what is left", () => {
  it("does not grant more than the answer told: twenty interrupted waiters make no quota", () => {
    const budget = new RateBudget({ limit: 10, windowMillis: 1000, burst: 1 })
    for (let call = 0; call < 20; call++) budget.reserve(1, now, 10_000)
    budget.learn({ remaining: 1, resetMillis: 60_000 }, now)

    for (let call = 0; call < 20; call++) budget.refund(1)

    assert.deepStrictEqual(budget.snapshot(now), { remaining: 1, waitMillis: 0, waiting: 0 })
  })
})
