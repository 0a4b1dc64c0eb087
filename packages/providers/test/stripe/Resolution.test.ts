import { assert, describe, it } from "@effect/vitest"
import { Doubts, Idempotency, IdempotencyStore, Resolver } from "@breakwater/core"
import { Connections } from "@breakwater/core/Connections"
import { scopeOf } from "@breakwater/core/IdempotencyRecord"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import type { Stripe } from "@breakwater/providers/stripe"
import { Fault } from "@breakwater/testkit"
import { open as openAny, quietly, shortly, toEnd } from "./Checkout.ts"

const key = "order/7"
const payload = { amount: 4200, currency: "eur", confirm: true, payment_method: "pm_card_visa" }

/** Stripe keeps the failure under the key: asking again gives it again, though the money was taken. */
const stored = Fault.crash({ processed: true })
const once = { attempts: 2, backoff: { base: 1, cap: 1 } }

const open = (faults: ReadonlyArray<Fault.Fault>) => openAny({ faults, policy: once })

const pay = (stripe: Stripe["Service"], under = key) =>
  stripe.paymentIntents.create({ payload }).pipe(Resolver.orLookup, Idempotency.withKey(under))

describe("Stripe: a charge in doubt", () => {
  it.effect("is found by its key, and charged once", () =>
    Effect.gen(function* () {
      const { ledger, stripe } = yield* open([stored])
      const exit = yield* toEnd(pay(stripe))

      assert.strictEqual(exit._tag, "Success")
      assert.deepStrictEqual(
        [exit._tag === "Success" && exit.value.status, ledger.ofKind("charge.succeeded").length],
        ["succeeded", 1]
      )
      assert.strictEqual(ledger.exchanges.at(-1)?.operation, "paymentIntents.list")
    }).pipe(quietly)
  )

  it.effect("stays in doubt where the page is full of others", () =>
    Effect.gen(function* () {
      const { ledger, stripe } = yield* openAny({
        faults: [stored],
        policy: once,
        simulated: { rateLimit: Number.POSITIVE_INFINITY }
      })
      const inDoubt = stripe.paymentIntents.create({ payload }).pipe(Idempotency.withKey(key))
      assert.strictEqual(shortly(yield* toEnd(inDoubt, "1 second")), "OutcomeUnknown Unavailable after 2")
      const others = Effect.forEach(Array.from({ length: 100 }).keys(), (other) => pay(stripe, `other/${other}`), {
        concurrency: 50
      })
      yield* toEnd(others, "30 seconds")
      const exit = yield* toEnd(pay(stripe), "1 second")

      const page = ledger.exchanges.filter(({ operation }) => operation === "paymentIntents.list")
      assert.deepStrictEqual([shortly(exit).split(" ")[0], page.length], ["OutcomeUnknown", 1])
      assert.strictEqual(ledger.ofKind("charge.succeeded").length, 101)
    }).pipe(quietly)
  )

  it.effect("is settled by a sweep, so that its record has the payment", () =>
    Effect.gen(function* () {
      const store = IdempotencyStore.memory()
      const within = Effect.provideService(IdempotencyStore.IdempotencyStore, store)
      const { stripe } = yield* open([stored])
      const scope = scopeOf({
        operation: "stripe.paymentIntents.create",
        connection: "default",
        environment: "sandbox"
      })
      const answer = yield* store.claim({ scope, key, fingerprint: "f", leaseMillis: 60_000, sendsNow: true })
      yield* toEnd(stripe.paymentIntents.create({ payload }).pipe(Idempotency.withKey(key)))
      if (answer._tag === "Granted") yield* store.settle(answer.claim, { _tag: "Unknown" })
      const doubts = yield* within(Doubts.list())
      yield* TestClock.adjust("1 minute")
      const swept = yield* toEnd(within(Resolver.sweep()))
      const again = yield* store.claim({ scope, key, fingerprint: "f", leaseMillis: 60_000 })

      assert.deepStrictEqual(
        doubts.map(({ operation, way }) => [operation, way]),
        [["stripe.paymentIntents.create", "Lookup"]]
      )
      assert.deepStrictEqual(swept._tag === "Success" && swept.value, {
        done: 1,
        undone: 0,
        stays: 0,
        unanswered: 0,
        "moved on": 0
      })
      const kept = again._tag === "Settled" ? (again.payload.value as { outcome: { text: string } }).outcome.text : "{}"
      const { amount, metadata, status } = JSON.parse(kept) as Record<string, unknown>
      assert.deepStrictEqual([status, amount, metadata], ["succeeded", 4200, { idempotency_key: key }])
    }).pipe(Effect.provideService(Connections, new Set()), quietly)
  )

  it.effect("is found also when its key is no longer known at Stripe, and remembered from then on", () =>
    Effect.gen(function* () {
      const { ledger, stripe } = yield* open([stored])
      const plain = stripe.paymentIntents.create({ payload }).pipe(Idempotency.withKey(key))
      const first = yield* toEnd(plain)
      yield* TestClock.adjust("25 hours")
      const looked = yield* toEnd(pay(stripe))
      const again = yield* toEnd(plain)

      assert.deepStrictEqual([first, looked, again].map(shortly), [
        "OutcomeUnknown Unavailable after 2",
        "succeeded",
        "succeeded"
      ])
      assert.lengthOf(ledger.ofKind("charge.succeeded"), 1)
    }).pipe(
      Effect.provideService(IdempotencyStore.IdempotencyStore, IdempotencyStore.memory()),
      Effect.provideService(Connections, new Set()),
      quietly
    )
  )
})
