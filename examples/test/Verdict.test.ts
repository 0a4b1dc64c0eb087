import { assert, describe, it } from "@effect/vitest"
import { figures, problems, type Told } from "../checkout/Verdict.ts"

const order = (id: string, card: "good" | "declined" = "good") => ({ id, amountCents: 100, card })

const judge = (
  orders: ReadonlyArray<ReturnType<typeof order>>,
  told: Record<string, Told>,
  charged: ReadonlyArray<string>
) =>
  figures({
    orders,
    told: new Map(Object.entries(told)),
    charges: charged.map((order) => ({ order, key: undefined })),
    attempts: 7,
    latenciesMillis: [30, 10, 20]
  })

describe("Verdict", () => {
  it("finds nothing wrong when everyone was told what the ledger says", () => {
    const orders = [order("a"), order("b", "declined")]
    const result = judge(orders, { a: "paid", b: "refused" }, ["a"])

    assert.deepStrictEqual(result, {
      charged: 1,
      deferred: 0,
      refused: 1,
      doubleCharged: 0,
      lost: 0,
      attempts: 7,
      retries: 5,
      p50Ms: 20,
      p95Ms: 30
    })
    assert.deepStrictEqual(problems(orders, result), [])
  })

  it("counts an order that was charged twice once", () => {
    const orders = [order("a"), order("b")]

    assert.deepStrictEqual(problems(orders, judge(orders, { a: "paid", b: "paid" }, ["a", "a", "a", "b"])), [
      "1 charged twice"
    ])
  })

  it("calls lost who was told paid and not charged, and who was told refused and charged", () => {
    const orders = [order("a"), order("b")]

    assert.strictEqual(judge(orders, { a: "paid", b: "refused" }, ["b"]).lost, 2)
  })

  it("does not let an order wait for ever", () => {
    const orders = [order("a"), order("b")]

    assert.deepStrictEqual(problems(orders, judge(orders, { a: "paid", b: "later" }, ["a"])), [
      "charged 1 of 2 payable orders",
      "1 left deferred"
    ])
  })
})
