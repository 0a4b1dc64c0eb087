import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { Exchange, RateWindow } from "@breakwater/testkit"
import * as Wallet from "./support/Wallet.ts"

const limited = (limit: number) =>
  Wallet.make({
    parts: [
      RateWindow.make({ limit, window: "1 second", refusal: (_, waitMillis) => Exchange.json(429, { waitMillis }) })
    ]
  })

describe("RateWindow", () => {
  it.effect("lets its limit through in any window, and says how long the next has to wait", () =>
    Effect.gen(function* () {
      const { handle, ledger } = yield* limited(2)
      const statuses: Array<number> = []
      const at = Effect.fnUntraced(function* (millis: number) {
        yield* TestClock.setTime(millis)
        statuses.push((yield* handle(Wallet.deposit(1))).status)
      })
      for (const millis of [0, 600, 700, 999, 1000, 1001, 1600]) yield* at(millis)
      const refused = yield* handle(Wallet.deposit(1))

      assert.deepStrictEqual(statuses, [200, 200, 429, 429, 200, 429, 200])
      assert.deepStrictEqual(JSON.parse(Exchange.text(refused)), { waitMillis: 400 })
      assert.isFalse(refused.executed)
      assert.strictEqual(ledger.entries.length, 4)
    })
  )

  it.effect("tells what is left with every answer, in the provider's own headers (RATE-2)", () =>
    Effect.gen(function* () {
      const headers = ({ limit, remaining, resetAtMillis }: RateWindow.Left) => ({
        "x-left": `${remaining} of ${limit} until ${resetAtMillis}`
      })
      const refusal = () => Exchange.json(429, {}, { "x-own": "1" })
      const { handle } = yield* Wallet.make({
        parts: [RateWindow.make({ limit: 2, window: "1 second", refusal, headers })]
      })
      const told: Array<unknown> = []
      for (const millis of [5000, 5600, 5700, 6000]) {
        yield* TestClock.setTime(millis)
        const answer = yield* handle(Wallet.deposit(1))
        told.push([answer.status, answer.headers["x-left"], answer.headers["x-own"]])
      }

      assert.deepStrictEqual(told, [
        [200, "1 of 2 until 6000", undefined],
        [200, "0 of 2 until 6000", undefined],
        [429, "0 of 2 until 6000", "1"],
        [200, "0 of 2 until 6600", undefined]
      ])
    })
  )

  it.effect("lets everything through without a limit", () =>
    Effect.gen(function* () {
      const { handle, ledger } = yield* limited(Number.POSITIVE_INFINITY)
      for (let each = 0; each < 100; each++) yield* handle(Wallet.deposit(1))

      assert.strictEqual(ledger.entries.length, 100)
    })
  )

  it("refuses a limit that lets nothing through", () => {
    assert.throws(
      () => RateWindow.make({ limit: 0, refusal: () => Exchange.json(429, {}) }),
      RangeError,
      /limit must be 1 or more, got 0/u
    )
  })
})
