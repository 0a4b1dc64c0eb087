import { assert, describe, it } from "@effect/vitest"
import { Ledger } from "@breakwater/testkit"
import type { LedgerEntry, LoggedExchange } from "@breakwater/testkit/Ledger"
import { maxExchanges } from "@breakwater/testkit/Ledger"

const entry = (over: Partial<LedgerEntry>): LedgerEntry => ({
  at: 0,
  operation: "deposits.create",
  kind: "deposit",
  key: undefined,
  amount: 1,
  currency: "eur",
  ids: {},
  metadata: {},
  ...over
})

const logged = (index: number): LoggedExchange => ({
  index,
  at: 0,
  operation: "deposits.create",
  method: "POST",
  path: "/deposits",
  key: undefined,
  fault: "none",
  status: 200,
  processed: true
})

describe("Ledger", () => {
  it("finds entries by kind, key and metadata", () => {
    const ledger = new Ledger()
    const first = entry({ key: "a", metadata: { order: "1" } })
    const second = entry({ kind: "refund", key: "a", metadata: { order: "1" } })
    const third = entry({ key: "b", metadata: { order: "2" } })
    for (const each of [first, second, third]) ledger.record(each)

    assert.deepStrictEqual(ledger.entries, [first, second, third])
    assert.deepStrictEqual(ledger.ofKind("deposit"), [first, third])
    assert.deepStrictEqual(ledger.byKey("a"), [first, second])
    assert.deepStrictEqual(ledger.byMetadata("order", "2"), [third])
    assert.deepStrictEqual(ledger.byMetadata("order", "3"), [])
  })

  it("remembers the last exchanges, and never more than twice its bound", () => {
    const ledger = new Ledger()
    let most = 0
    for (let index = 0; index < 5 * maxExchanges; index++) {
      ledger.log(logged(index))
      most = Math.max(most, ledger.exchanges.length)
    }

    assert.isBelow(most, 2 * maxExchanges)
    assert.isAtLeast(ledger.exchanges.length, maxExchanges)
    assert.strictEqual(ledger.exchanges.at(-1)?.index, 5 * maxExchanges - 1)
    assert.strictEqual(ledger.exchangeCount, 5 * maxExchanges)
  })
})
