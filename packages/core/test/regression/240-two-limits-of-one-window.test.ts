/** Two limits of one policy with windows of the same length became one when the policy was given other limits: the second took the place of the first. */
import { assert, describe, it } from "@effect/vitest"
import { budgetOf, departures, policy } from "../support/Budgets.ts"

describe("A policy with two limits in windows of the same length", () => {
  it("keeps both when its limits change", () => {
    const limits = (limit: number) => [
      { limit, windowMillis: 1000, burst: 1 },
      { limit: 1000, windowMillis: 1000, burst: 10 }
    ]
    const budget = budgetOf([policy(limits(10))])
    budget.replace([policy(limits(5))], 0)

    assert.deepStrictEqual(departures(budget, 3, 0), [0, 200, 400])
  })
})
