import { assert, describe, it } from "@effect/vitest"
import { departures, limited } from "../support/Budgets.ts"

const now = 1_790_000_000_000

describe("RateBudget after a quiet time", () => {
  it("lets the declared burst leave at once, not twice as many (RATE-1)", () => {
    const budget = limited({ limit: 10, windowMillis: 1000, burst: 2 })

    assert.deepStrictEqual(departures(budget, 4, now), [0, 0, 100, 200])
  })

  it("charges a call that costs more than the burst only once", () => {
    const budget = limited({ limit: 10, windowMillis: 1000, burst: 1 })

    const four = departures(budget, 1, now, { cost: 4 })
    const one = departures(budget, 1, now)

    assert.deepStrictEqual([four, one], [[0], [400]])
  })
})
