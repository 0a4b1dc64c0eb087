import { assert, describe, it } from "@effect/vitest"
import { RateBudget } from "@breakwater/core/RateBudget"

const now = 1_790_000_000_000

describe("RateBudget.reserve after a quiet time", () => {
  it("lets the declared burst leave at once, not twice as many (RATE-1)", () => {
    const budget = new RateBudget({ limit: 10, windowMillis: 1000, burst: 2 })

    const waits = [1, 2, 3, 4].map(() => budget.reserve(1, now, 10_000))

    assert.deepStrictEqual(waits, [0, 0, 100, 200])
  })

  it("charges a call that costs more than the burst only once", () => {
    const budget = new RateBudget({ limit: 10, windowMillis: 1000, burst: 1 })

    const waits = [4, 1].map((cost) => budget.reserve(cost, now, 10_000))

    assert.deepStrictEqual(waits, [300, 400])
  })
})
