import { assert, describe, it } from "@effect/vitest"
import { RetryBudget, terms } from "@breakwater/core/RetryBudget"
import { Schema } from "effect"

/** Takes retries until the bucket has none left, with a circuit that is not closed, so that none is free. */
const drained = (): RetryBudget => {
  const budget = new RetryBudget()
  while (budget.withdraw(false, false, 0) !== undefined);
  while (budget.withdraw(true, false, 0) !== undefined);
  return budget
}

describe("RetryBudget.withdraw", () => {
  it("pays 14 for a retry and 5 for one after a throttled attempt (DESIGN §8)", () => {
    const budget = new RetryBudget()

    const plain = budget.withdraw(false, true, 0)
    const afterPlain = budget.tokens
    const throttled = budget.withdraw(true, true, 0)

    assert.deepStrictEqual([plain, afterPlain, throttled, budget.tokens], [14, 486, 5, 481])
  })

  it("pays for 35 retries at once, and for 100 throttled ones (SAFE-5)", () => {
    const plain = new RetryBudget()
    const throttled = new RetryBudget()

    const paid = Array.from({ length: 36 }, () => plain.withdraw(false, false, 0))
    const paidThrottled = Array.from({ length: 101 }, () => throttled.withdraw(true, false, 0))

    assert.deepStrictEqual(paid, [...Array.from({ length: 35 }, () => 14), undefined])
    assert.deepStrictEqual(paidThrottled, [...Array.from({ length: 100 }, () => 5), undefined])
    assert.deepStrictEqual([plain.tokens, throttled.tokens], [10, 0])
  })

  it("pays to the last token", () => {
    const budget = drained()
    budget.deposit(14)

    const paid = budget.withdraw(false, false, 0)

    assert.deepStrictEqual([paid, budget.tokens], [14, 0])
  })

  it("lets one retry a second through for free while the circuit is closed, on both sides of the boundary", () => {
    const budget = drained()

    const free = [5000, 5001, 5999, 6000, 6000].map((now) => budget.withdraw(false, true, now))

    assert.deepStrictEqual(free, [0, undefined, undefined, 0, undefined])
    assert.strictEqual(budget.tokens, 0)
  })

  it("lets none through for free while the circuit is not closed", () => {
    const budget = drained()

    assert.isUndefined(budget.withdraw(false, false, 60_000))
    assert.isUndefined(budget.withdraw(true, false, 60_000))
  })

  it("keeps the free retry for when there is nothing to pay with", () => {
    const budget = new RetryBudget()
    for (let retry = 0; retry < 35; retry++) budget.withdraw(false, true, 1000)

    assert.strictEqual(budget.withdraw(false, true, 1000), 0)
  })
})

describe("RetryBudget.deposit", () => {
  it("gives a call that succeeded after retries what its last retry paid", () => {
    const budget = drained()

    budget.deposit(14)
    budget.deposit(5)

    assert.strictEqual(budget.tokens, 19)
  })

  it("earns one token for a success at the first attempt", () => {
    const budget = drained()

    for (let call = 0; call < 13; call++) budget.deposit(0)
    const after13 = budget.withdraw(false, false, 0)
    budget.deposit(0)

    assert.isUndefined(after13)
    assert.strictEqual(budget.tokens, 14)
    assert.strictEqual(budget.withdraw(false, false, 0), 14)
  })

  it("never holds more than its capacity", () => {
    const budget = new RetryBudget()
    budget.withdraw(true, true, 0)

    budget.deposit(14)

    assert.strictEqual(budget.tokens, 500)
  })
})

const whole = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

describe("RetryBudget under failure", () => {
  it.prop(
    "costs a total failure at most 35 retries at once plus one a second (SAFE-5)",
    [Schema.Array(Schema.Struct({ millis: whole(0, 700), retries: whole(0, 50) }))],
    ([bursts]) => {
      const budget = new RetryBudget()
      let now = 1_790_000_000_000
      const start = now
      let granted = 0

      for (const burst of bursts) {
        now += burst.millis
        for (let retry = 0; retry < burst.retries; retry++) {
          if (budget.withdraw(false, true, now) !== undefined) granted++
        }
        assert.isAtMost(granted, 35 + 1 + Math.floor((now - start) / terms.floorMillis))
      }
    },
    { arbitrary: { runs: 500, seed: "outage" } }
  )

  it.prop(
    "is a ledger: tokens are what was there, less what was paid, plus what was earned, within its bounds",
    [
      Schema.Array(
        Schema.Struct({
          millis: whole(0, 700),
          throttled: Schema.Boolean,
          closed: Schema.Boolean,
          outcome: Schema.Literals(["success", "failure", "first try"])
        })
      )
    ],
    ([retries]) => {
      const budget = new RetryBudget()
      let now = 0
      let expected: number = terms.capacity
      let freeAt = Number.NEGATIVE_INFINITY

      for (const { closed, millis, outcome, throttled } of retries) {
        now += millis
        const price = throttled ? terms.throttledRetry : terms.retry
        const free = closed && now - freeAt >= terms.floorMillis
        const paid = outcome === "first try" ? 0 : budget.withdraw(throttled, closed, now)
        if (outcome !== "first try") {
          assert.strictEqual(paid, expected >= price ? price : free ? 0 : undefined)
          if (expected >= price) expected -= price
          else if (free) freeAt = now
        }
        if (outcome !== "failure" && paid !== undefined) {
          budget.deposit(paid)
          expected = Math.min(terms.capacity, expected + (paid === 0 ? terms.success : paid))
        }
        assert.strictEqual(budget.tokens, expected)
      }
    },
    { arbitrary: { runs: 1000, size: 200, seed: "ledger" } }
  )
})
