import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Exchange, Fault } from "@breakwater/testkit"
import * as Wallet from "./support/Wallet.ts"

const get = (target: string): Exchange.Received => ({
  ...Wallet.deposit(0),
  method: "GET",
  target,
  body: new Uint8Array(0)
})
const seen = (answer: Exchange.Answer) => [answer.status, JSON.parse(Exchange.text(answer)) as unknown, answer.executed]

describe("SimulatedProvider.make", () => {
  it("answers without a promise: the whole way under runSync", () => {
    const answer = Effect.runSync(
      Effect.scoped(Effect.flatMap(Wallet.make(), ({ handle }) => handle(Wallet.deposit(5))))
    )

    assert.deepStrictEqual(seen(answer), [200, { id: "d1", amount: 5 }, true])
    assert.deepStrictEqual(answer.headers, { "content-type": "application/json" })
  })

  it.effect("lives where the declaration says", () =>
    Effect.gen(function* () {
      const { name, origins } = yield* Wallet.make()

      assert.deepStrictEqual([name, origins], ["wallet", ["https://sandbox.wallet.test", "https://api.wallet.test"]])
    })
  )

  it.effect("knows which operation a request is for, and its key", () =>
    Effect.gen(function* () {
      const { identify } = yield* Wallet.make()

      assert.deepStrictEqual(identify(Wallet.deposit(5, { "idempotency-key": "a" })), {
        operation: "deposits.create",
        key: "a"
      })
      assert.deepStrictEqual(identify(Wallet.deposit(5)), { operation: "deposits.create", key: undefined })
      assert.deepStrictEqual(
        identify({ ...get("/deposits/d7?page=2"), headers: Wallet.deposit(5, { "idempotency-key": "a" }).headers }),
        {
          operation: "deposits.get",
          key: undefined
        }
      )
      assert.deepStrictEqual(identify(get("/deposits/d7/more")), { operation: "unknown", key: undefined })
    })
  )

  it.effect("says in the provider's words what does not fit the declaration, and works for none of it", () =>
    Effect.gen(function* () {
      const { handle, ledger } = yield* Wallet.make()
      const missing = { ...Wallet.deposit(5), body: new TextEncoder().encode("{}") }
      const notJson = { ...Wallet.deposit(5), body: new TextEncoder().encode("{") }

      assert.deepStrictEqual(seen(yield* handle(missing)), [
        422,
        { place: "payload", field: "amount", missing: true, expected: "a value" },
        false
      ])
      assert.deepStrictEqual(seen(yield* handle(Wallet.deposit(1.5))), [
        422,
        { place: "payload", field: "amount", missing: false, expected: "an integer" },
        false
      ])
      assert.deepStrictEqual(seen(yield* handle(notJson)), [
        422,
        { place: "payload", field: "", missing: false, expected: "a valid JSON body" },
        false
      ])
      assert.deepStrictEqual(seen(yield* handle(get("/deposits/x"))).slice(0, 1), [422])
      assert.deepStrictEqual(seen(yield* handle(get("/deposits/d1?page=a"))).slice(0, 1), [422])
      assert.deepStrictEqual(seen(yield* handle(get("/nowhere"))), [404, { unknown: "/nowhere" }, false])
      assert.strictEqual(ledger.entries.length, 0)
    })
  )

  it.effect("dies of a bug in a handler", () =>
    Effect.gen(function* () {
      const { handle } = yield* Wallet.make()
      const exit = yield* Effect.exit(handle(Wallet.deposit(-1)))

      assert(Exit.isFailure(exit))
      assert.include(String(exit.cause), "a bug of the simulation")
    })
  )

  it.effect("works as long as it is told to", () =>
    Effect.gen(function* () {
      const { handle, ledger } = yield* Wallet.make({ latency: "2 seconds" })
      const fiber = yield* Effect.forkChild(handle(Wallet.deposit(5)), { startImmediately: true })
      yield* TestClock.adjust("1999 millis")
      assert.strictEqual(ledger.entries.length, 0)
      yield* TestClock.adjust("1 millis")

      assert.strictEqual((yield* Fiber.join(fiber)).status, 200)
      assert.strictEqual(ledger.entries.length, 1)
    })
  )

  it.effect("breaks inside an endpoint, before or after its work", () =>
    Effect.gen(function* () {
      const { handle, ledger } = yield* Wallet.make()
      const broken = (processed: boolean, amount: unknown) => {
        const crash = Fault.crash({ processed, status: 503 })
        assert(crash._tag === "Crash")
        return Effect.map(handle({ ...Wallet.deposit(amount), crash }), (answer) => [
          ...seen(answer),
          ledger.entries.length
        ])
      }

      assert.deepStrictEqual(yield* broken(false, 5), [503, { failed: 503 }, true, 0])
      assert.deepStrictEqual(yield* broken(true, 5), [503, { failed: 503 }, true, 1])
      assert.deepStrictEqual(
        (yield* broken(true, "five"))[0],
        422,
        "what is refused before work does not reach the fault"
      )
    })
  )
})
