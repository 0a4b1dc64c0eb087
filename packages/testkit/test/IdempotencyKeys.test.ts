import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Exchange, Fault, IdempotencyKeys, type SimulatedProvider } from "@breakwater/testkit"
import * as Wallet from "./support/Wallet.ts"

const wallet = (options?: Pick<SimulatedProvider.Options<string, never>, "latency">) =>
  Wallet.make({
    ...options,
    parts: [
      IdempotencyKeys.make({
        header: "Idempotency-Key",
        window: "24 hours",
        maxLength: 8,
        replayedHeaders: { "x-replayed": "true" },
        inUse: (key) => Exchange.json(409, { inUse: key }),
        mismatch: (key) => Exchange.json(400, { mismatch: key }),
        tooLong: () => Exchange.json(400, "too long")
      })
    ]
  })

const key = (value: string) => ({ "idempotency-key": value })

const seen = (answer: Exchange.Answer) => [
  answer.status,
  Exchange.text(answer),
  answer.headers["x-replayed"] ?? "first"
]

const crash = (processed: boolean): Exchange.Received["crash"] => {
  const fault = Fault.crash({ processed })
  assert(fault._tag === "Crash")
  return fault
}

describe("IdempotencyKeys", () => {
  it.effect("gives the first answer again, marked, and does the work once (IDEM-1)", () =>
    Effect.gen(function* () {
      const { handle, ledger } = yield* wallet()
      const first = yield* handle(Wallet.deposit(5, key("a")))
      const second = yield* handle(Wallet.deposit(5, key("a")))

      assert.deepStrictEqual(seen(first), [200, '{"id":"d1","amount":5}', "first"])
      assert.deepStrictEqual(seen(second), [200, '{"id":"d1","amount":5}', "true"])
      assert.deepStrictEqual([first.executed, second.executed], [true, false])
      assert.strictEqual(ledger.entries.length, 1)
    })
  )

  it.effect("takes a request without a key, or with another, for a new one", () =>
    Effect.gen(function* () {
      const { handle, ledger } = yield* wallet()
      for (const headers of [{}, {}, key(""), key("a"), key("b")]) yield* handle(Wallet.deposit(5, headers))

      assert.strictEqual(ledger.entries.length, 5)
    })
  )

  it.effect("refuses a key that belongs to another request (IDEM-2)", () =>
    Effect.gen(function* () {
      const { handle, ledger } = yield* wallet()
      yield* handle(Wallet.deposit(5, key("a")))

      assert.deepStrictEqual(seen(yield* handle(Wallet.deposit(6, key("a")))), [400, '{"mismatch":"a"}', "first"])
      assert.strictEqual(ledger.entries.length, 1)
    })
  )

  it.effect("refuses a key whose request is under way, and has the answer when it is done", () =>
    Effect.gen(function* () {
      const { handle, ledger } = yield* wallet({ latency: "1 second" })
      const first = yield* Effect.forkChild(handle(Wallet.deposit(5, key("a"))), { startImmediately: true })
      const during = yield* handle(Wallet.deposit(5, key("a")))
      yield* TestClock.adjust("1 second")

      assert.deepStrictEqual(seen(during), [409, '{"inUse":"a"}', "first"])
      assert.deepStrictEqual(seen(yield* Fiber.join(first)), [200, '{"id":"d1","amount":5}', "first"])
      assert.deepStrictEqual(seen(yield* handle(Wallet.deposit(5, key("a")))), [200, '{"id":"d1","amount":5}', "true"])
      assert.strictEqual(ledger.entries.length, 1)
    })
  )

  it.effect("forgets a key when its window is over, and not before", () =>
    Effect.gen(function* () {
      const { handle, ledger } = yield* wallet()
      yield* handle(Wallet.deposit(5, key("a")))
      yield* TestClock.adjust("86399999 millis")
      const before = yield* handle(Wallet.deposit(5, key("a")))
      yield* TestClock.adjust("1 millis")
      const after = yield* handle(Wallet.deposit(5, key("a")))

      assert.deepStrictEqual(seen(before), [200, '{"id":"d1","amount":5}', "true"])
      assert.deepStrictEqual(seen(after), [200, '{"id":"d2","amount":5}', "first"])
      assert.strictEqual(ledger.byKey("a").length, 2)
    })
  )

  it.effect("keeps an error of an endpoint that had begun, done or not", () =>
    Effect.gen(function* () {
      const { handle, ledger } = yield* wallet()
      const undone = yield* handle({ ...Wallet.deposit(5, key("a")), crash: crash(false) })
      const done = yield* handle({ ...Wallet.deposit(5, key("b")), crash: crash(true) })

      assert.deepStrictEqual(
        [seen(undone), seen(done)],
        [
          [500, '{"failed":500}', "first"],
          [500, '{"failed":500}', "first"]
        ]
      )
      assert.deepStrictEqual(seen(yield* handle(Wallet.deposit(5, key("a")))), [500, '{"failed":500}', "true"])
      assert.deepStrictEqual(seen(yield* handle(Wallet.deposit(5, key("b")))), [500, '{"failed":500}', "true"])
      assert.deepStrictEqual(
        ledger.entries.map((entry) => entry.key),
        ["b"]
      )
    })
  )

  it.effect("forgets what was refused before work: the key may be used for a better request", () =>
    Effect.gen(function* () {
      const { handle, ledger } = yield* wallet()
      const refused = yield* handle(Wallet.deposit("five", key("a")))

      assert.strictEqual(refused.status, 422)
      assert.deepStrictEqual(seen(yield* handle(Wallet.deposit(5, key("a")))), [200, '{"id":"d1","amount":5}', "first"])
      assert.strictEqual(ledger.entries.length, 1)
    })
  )

  it.effect("gives a key back when its work is interrupted", () =>
    Effect.gen(function* () {
      const { handle } = yield* wallet({ latency: "1 second" })
      const first = yield* Effect.forkChild(handle(Wallet.deposit(5, key("a"))), { startImmediately: true })
      yield* Fiber.interrupt(first)
      const second = yield* Effect.forkChild(handle(Wallet.deposit(5, key("a"))), { startImmediately: true })
      yield* TestClock.adjust("1 second")

      assert.deepStrictEqual(seen(yield* Fiber.join(second)), [200, '{"id":"d1","amount":5}', "first"])
    })
  )

  it.effect("takes keys up to its length", () =>
    Effect.gen(function* () {
      const { handle } = yield* wallet()

      assert.strictEqual((yield* handle(Wallet.deposit(5, key("a".repeat(8))))).status, 200)
      assert.deepStrictEqual(seen(yield* handle(Wallet.deposit(5, key("a".repeat(9))))), [400, '"too long"', "first"])
    })
  )

  it.effect("ignores keys of other methods", () =>
    Effect.gen(function* () {
      const { handle } = yield* wallet()
      const get = { ...Wallet.deposit(5, key("a")), method: "GET", target: "/deposits/d1", body: new Uint8Array(0) }
      yield* handle(get)

      assert.deepStrictEqual(seen(yield* handle({ ...get, target: "/deposits/d2" })), [
        200,
        '{"id":"d2","amount":1}',
        "first"
      ])
    })
  )
})
