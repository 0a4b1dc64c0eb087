import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Context, Duration, Effect, Fiber, Layer, Redacted, Schema } from "effect"
import { HttpClient, type HttpClientRequest, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { expectTypeOf } from "vitest"
import * as Idempotency from "@breakwater/core/Idempotency"
import type { IdempotencyKey } from "@breakwater/core/Idempotency"
import type { FatalError, OutcomeUnknown, RetryableError } from "@breakwater/core/ProviderError"
import { CardError, PaymentIntentId, RefundId, Stripe } from "@breakwater/providers/stripe"
import { Fault, FaultPlan, Hint, SimulatedNetwork, SimulatedStripe } from "@breakwater/testkit"
import { inTime, open, quietly, shortly, toEnd } from "./Checkout.ts"

const payload = {
  amount: 4200,
  currency: "eur",
  confirm: true,
  payment_method: "pm_card_visa",
  metadata: { order: "7" }
}

const pay = (stripe: Stripe["Service"], over: Partial<typeof payload> = {}, key = "order/7") =>
  stripe.paymentIntents.create({ payload: { ...payload, ...over } }).pipe(Idempotency.withKey(key))

type Operations = Stripe["Service"]
type ErrorOf<F> = F extends (...args: never) => Effect.Effect<infer _A, infer E, infer _R> ? E : never
type KeyOf<F> = F extends (...args: never) => Effect.Effect<infer _A, infer _E, infer R> ? R : never

describe("Stripe: the types", () => {
  it("follow the safety of each operation (SAFE-3)", () => {
    type Write = RetryableError | FatalError | OutcomeUnknown

    expectTypeOf<ErrorOf<Operations["paymentIntents"]["create"]>>().toEqualTypeOf<CardError | Write>()
    expectTypeOf<ErrorOf<Operations["paymentIntents"]["confirm"]>>().toEqualTypeOf<CardError | Write>()
    expectTypeOf<ErrorOf<Operations["paymentIntents"]["cancel"]>>().toEqualTypeOf<Write>()
    expectTypeOf<ErrorOf<Operations["refunds"]["create"]>>().toEqualTypeOf<Write>()
    expectTypeOf<ErrorOf<Operations["paymentIntents"]["list"]>>().toEqualTypeOf<RetryableError | FatalError>()
    expectTypeOf<KeyOf<Operations["paymentIntents"]["create"]>>().toEqualTypeOf<
      IdempotencyKey<"stripe.paymentIntents.create">
    >()
    expectTypeOf<KeyOf<Operations["refunds"]["create"]>>().toEqualTypeOf<IdempotencyKey<"stripe.refunds.create">>()
    expectTypeOf<KeyOf<Operations["paymentIntents"]["retrieve"]>>().toEqualTypeOf<never>()
  })
})

describe("Stripe: charging", () => {
  it.effect("charges a card (SYS-2)", () =>
    Effect.gen(function* () {
      const { ledger, stripe } = yield* open()
      const intent = yield* inTime(pay(stripe))

      assert.deepStrictEqual(
        [intent.status, intent.amount_received, intent.livemode, intent.metadata],
        ["succeeded", 4200, false, { order: "7", idempotency_key: "order/7" }]
      )
      assert.deepStrictEqual(
        ledger.entries.map(({ amount, ids, key, kind, metadata }) => ({ amount, ids, key, kind, metadata })),
        [
          {
            amount: 4200,
            ids: { payment_intent: intent.id, charge: intent.latest_charge ?? "" },
            key: "order/7",
            kind: "charge.succeeded",
            metadata: { order: "7", idempotency_key: "order/7" }
          }
        ]
      )
    }).pipe(quietly)
  )

  it("needs no promise: the whole path, client and Stripe, under runSync", () => {
    const program = Effect.flatMap(open(), ({ stripe }) => pay(stripe))

    assert.strictEqual(Effect.runSync(Effect.scoped(quietly(program))).status, "succeeded")
  })

  it.effect("says that a card was declined, and does not ask again", () =>
    Effect.gen(function* () {
      const { ledger, stripe } = yield* open()
      const error = yield* inTime(
        Effect.flip(pay(stripe, { payment_method: "pm_card_chargeDeclinedInsufficientFunds" }))
      )

      assert(error instanceof CardError)
      const [entry] = ledger.ofKind("charge.declined")
      assert.deepStrictEqual(Schema.encodeSync(CardError)(error), {
        _tag: "CardError",
        code: "card_declined",
        declineCode: "insufficient_funds",
        customerMessage: "Your card has insufficient funds.",
        paymentIntent: entry?.ids["payment_intent"] ?? "",
        charge: entry?.ids["charge"] ?? ""
      })
      assert.strictEqual(error.message, "card refused: card_declined (insufficient_funds)")
      assert.strictEqual(ledger.exchanges.length, 1)
    }).pipe(quietly)
  )

  it.effect("charges once when the response is lost: tries again with the key (TEST-4, IDEM-1)", () =>
    Effect.gen(function* () {
      const { ledger, stripe } = yield* open({ faults: [Fault.lostResponse] })
      const intent = yield* inTime(pay(stripe))

      assert.strictEqual(intent.status, "succeeded")
      assert.deepStrictEqual(
        ledger.exchanges.map(({ fault, key, processed }) => [fault, key, processed]),
        [
          ["lost response", "order/7", true],
          ["none", "order/7", false]
        ]
      )
      assert.strictEqual(ledger.ofKind("charge.succeeded").length, 1)
    }).pipe(quietly)
  )

  it.effect("says that a card was declined also when that answer was lost", () =>
    Effect.gen(function* () {
      const { ledger, stripe } = yield* open({ faults: [Fault.lostResponse] })
      const error = yield* inTime(Effect.flip(pay(stripe, { payment_method: "pm_card_visa_chargeDeclined" })))

      assert.strictEqual(error._tag, "CardError")
      assert.deepStrictEqual(
        ledger.entries.map(({ kind }) => kind),
        ["charge.declined"]
      )
    }).pipe(quietly)
  )

  it.effect("returns quickly with a clear error from an endpoint that is a black hole (TEST-4)", () =>
    Effect.gen(function* () {
      const { stripe } = yield* open({ plan: FaultPlan.always(Fault.blackhole()) })
      const error = yield* inTime(Effect.flip(pay(stripe)))

      assert(error._tag === "RetryableError")
      assert.deepStrictEqual(
        [error.reason._tag, error.sent, error.message],
        ["Timeout", "unknown", "stripe.paymentIntents.create: silence timeout after 5s"]
      )
      assert.isTrue(Duration.isLessThanOrEqualTo(error.elapsed, Duration.seconds(30)))
    }).pipe(quietly)
  )
})

/** What one fault, and then none, comes to: the call's end, the charges made, the requests that arrived. */
const befallen: ReadonlyArray<readonly [fault: Fault.Fault, end: string, charges: number, exchanges: number]> = [
  [Fault.none, "succeeded", 1, 1],
  [Fault.latency("4 seconds"), "succeeded", 1, 1],
  [Fault.latency("6 seconds"), "succeeded", 1, 2],
  [Fault.refused, "succeeded", 1, 2],
  [Fault.connectBlackhole(), "succeeded", 1, 2],
  [Fault.resetBefore, "succeeded", 1, 2],
  [Fault.lostResponse, "succeeded", 1, 2],
  [Fault.blackhole(), "succeeded", 1, 2],
  [Fault.blackhole({ processed: true }), "succeeded", 1, 2],
  [Fault.silence, "succeeded", 1, 2],
  [Fault.truncated(0), "succeeded", 1, 2],
  [Fault.truncated(0.5), "succeeded", 1, 2],
  [Fault.garbage, "succeeded", 1, 2],
  [Fault.html(), "succeeded", 1, 2],
  [Fault.html(502), "succeeded", 1, 2],
  [Fault.emptyBody, "succeeded", 1, 2],
  [Fault.status(500), "succeeded", 1, 2],
  [Fault.status(500, { processed: true }), "succeeded", 1, 2],
  [Fault.status(503, { hint: Hint.milliseconds(500) }), "succeeded", 1, 2],
  [Fault.status(408), "succeeded", 1, 2],
  [Fault.rateLimited(), "succeeded", 1, 2],
  [Fault.rateLimited(Hint.seconds(2)), "succeeded", 1, 2],
  [Fault.rateLimited(Hint.httpDate(2)), "succeeded", 1, 2],
  [Fault.rateLimited(Hint.milliseconds(1500)), "succeeded", 1, 2],
  [Fault.rateLimited(Hint.unreadable()), "succeeded", 1, 2],
  [Fault.rateLimited(Hint.xRateLimit({ resetSeconds: 2 })), "succeeded", 1, 2],
  [Fault.rateLimited(Hint.rateLimit({ resetSeconds: 2 })), "succeeded", 1, 2],
  // A day is no wait for a caller: it ends now and says when.
  [Fault.rateLimited(Hint.aDay), "RetryableError RateLimited after 1", 0, 1],
  // The 500 was stored: asking again gives it again, so nobody knows what was done.
  [Fault.crash({ processed: true }), "OutcomeUnknown Unavailable after 2", 1, 2],
  [Fault.crash(), "OutcomeUnknown Unavailable after 2", 0, 2]
]

describe("Stripe: one fault, then none", () => {
  for (const [fault, end, charges, exchanges] of befallen) {
    it.effect(`${fault.name}: ${end} (TEST-2)`, () =>
      Effect.gen(function* () {
        const { ledger, stripe } = yield* open({ faults: [fault] })
        const exit = yield* toEnd(pay(stripe))

        assert.deepStrictEqual(
          [shortly(exit), ledger.ofKind("charge.succeeded").length, ledger.exchanges.length],
          [end, charges, exchanges]
        )
      }).pipe(quietly)
    )
  }

  it.effect("an answer that is too large to read: charged, and not tried again", () =>
    Effect.gen(function* () {
      const { ledger, stripe } = yield* open({ faults: [Fault.hugeBody()] })
      const exit = yield* toEnd(pay(stripe))

      assert.match(shortly(exit), /ResponseInvalid after 1$/u)
      assert.strictEqual(ledger.ofKind("charge.succeeded").length, 1)
    }).pipe(quietly)
  )
})

describe("Stripe: keys", () => {
  it.effect("waits while its key is in use, and gets the answer (IDEM-1)", () =>
    Effect.gen(function* () {
      const { ledger, stripe } = yield* open({ simulated: { latency: "300 millis" } })
      const both = Effect.all([pay(stripe), pay(stripe)], { concurrency: 2 })
      const [first, second] = yield* inTime(both)

      assert.strictEqual(first.id, second.id)
      assert.include(
        ledger.exchanges.map(({ status }) => status),
        409
      )
      assert.strictEqual(ledger.ofKind("charge.succeeded").length, 1)
    }).pipe(quietly)
  )

  it.effect("is told that a key was used for another payment (IDEM-2)", () =>
    Effect.gen(function* () {
      const { ledger, stripe } = yield* open()
      yield* inTime(pay(stripe))
      const exit = yield* toEnd(pay(stripe, { amount: 1 }))

      assert.strictEqual(shortly(exit), "FatalError IdempotencyMismatch after 1")
      assert.strictEqual(ledger.ofKind("charge.succeeded").length, 1)
    }).pipe(quietly)
  )

  it.effect("does not send a key once Stripe may have forgotten it", () =>
    Effect.gen(function* () {
      const { ledger, stripe } = yield* open({
        plan: FaultPlan.script([Fault.lostResponse, Fault.rateLimited(Hint.seconds(82_799))]),
        policy: { deadline: "2 days", hintCap: "2 days" }
      })
      const exit = yield* toEnd(pay(stripe), "3 days")

      assert.match(shortly(exit), /^OutcomeUnknown/u)
      assert.strictEqual(ledger.ofKind("charge.succeeded").length, 1)
    }).pipe(quietly)
  )

  it.effect("refuses a key that Stripe would not take, before anything is sent", () =>
    Effect.gen(function* () {
      const { ledger, stripe } = yield* open()

      assert.strictEqual(shortly(yield* toEnd(pay(stripe, {}, "k".repeat(256)))), "FatalError InvalidRequest after 0")
      assert.strictEqual(ledger.exchanges.length, 0)
      assert.strictEqual(shortly(yield* toEnd(pay(stripe, {}, "k".repeat(255)))), "succeeded")
    }).pipe(quietly)
  )
})

describe("Stripe: the other operations", () => {
  it.effect("takes a payment through its life: created, confirmed, refunded in parts", () =>
    Effect.gen(function* () {
      const { ledger, stripe } = yield* open()
      const { paymentIntents, refunds } = stripe
      const created = yield* inTime(
        paymentIntents.create({ payload: { amount: 500, currency: "eur" } }).pipe(Idempotency.withKey("create"))
      )
      const confirmed = yield* inTime(
        paymentIntents
          .confirm({ params: { id: created.id }, payload: { payment_method: "pm_card_visa" } })
          .pipe(Idempotency.withKey("confirm"))
      )
      const part = yield* inTime(
        refunds.create({ payload: { payment_intent: created.id, amount: 200 } }).pipe(Idempotency.withKey("refund/1"))
      )
      const rest = yield* inTime(
        refunds.create({ payload: { payment_intent: created.id } }).pipe(Idempotency.withKey("refund/2"))
      )
      const found = yield* inTime(refunds.retrieve({ params: { id: part.id } }))

      assert.deepStrictEqual([created.status, confirmed.status], ["requires_payment_method", "succeeded"])
      assert.deepStrictEqual([part.amount, rest.amount, rest.payment_intent], [200, 300, created.id])
      assert.deepStrictEqual(found, part)
      assert.deepStrictEqual(
        ledger.entries.map(({ amount, kind }) => [kind, amount]),
        [
          ["charge.succeeded", 500],
          ["refund.succeeded", 200],
          ["refund.succeeded", 300]
        ]
      )
    }).pipe(quietly)
  )

  it.effect("cancels, once", () =>
    Effect.gen(function* () {
      const { stripe } = yield* open()
      const { id } = yield* inTime(
        stripe.paymentIntents.create({ payload: { amount: 500, currency: "eur" } }).pipe(Idempotency.withKey("create"))
      )
      const cancel = (key: string) =>
        stripe.paymentIntents
          .cancel({ params: { id }, payload: { cancellation_reason: "abandoned" } })
          .pipe(Idempotency.withKey(key))
      const canceled = yield* inTime(cancel("cancel/1"))

      assert.deepStrictEqual([canceled.status, canceled.cancellation_reason], ["canceled", "abandoned"])
      assert.strictEqual(shortly(yield* toEnd(cancel("cancel/2"))), "FatalError Conflict after 1")
    }).pipe(quietly)
  )

  it.effect("lists newest first, page by page (PAGE-1)", () =>
    Effect.gen(function* () {
      const { stripe } = yield* open()
      const { paymentIntents } = stripe
      const ids = yield* inTime(
        Effect.forEach([1, 2, 3, 4, 5], (amount) =>
          Effect.map(
            paymentIntents
              .create({ payload: { amount, currency: "eur" } })
              .pipe(Idempotency.withKey(`create/${amount}`)),
            ({ id }) => id
          )
        )
      )
      const first = yield* inTime(paymentIntents.list({ query: { limit: 2 } }))
      const second = yield* inTime(paymentIntents.list({ query: { limit: 3, starting_after: first.data[1]!.id } }))
      const back = yield* inTime(paymentIntents.list({ query: { limit: 2, ending_before: ids[0]! } }))

      assert.deepStrictEqual(
        first.data.map(({ id }) => id),
        [ids[4], ids[3]]
      )
      assert.deepStrictEqual(
        second.data.map(({ id }) => id),
        [ids[2], ids[1], ids[0]]
      )
      assert.deepStrictEqual(
        back.data.map(({ id }) => id),
        [ids[2], ids[1]]
      )
      assert.deepStrictEqual([first.has_more, second.has_more, back.has_more], [true, false, true])
    }).pipe(quietly)
  )

  it.effect("says what is not there, and what may not be asked", () =>
    Effect.gen(function* () {
      const { stripe } = yield* open()
      const { paymentIntents, refunds } = stripe

      assert.strictEqual(
        shortly(yield* toEnd(paymentIntents.retrieve({ params: { id: PaymentIntentId.make("pi_nobody") } }))),
        "FatalError NotFound after 1"
      )
      assert.strictEqual(
        shortly(yield* toEnd(refunds.retrieve({ params: { id: RefundId.make("re_nothing") } }))),
        "FatalError NotFound after 1"
      )
      assert.strictEqual(
        shortly(yield* toEnd(pay(stripe, { payment_method: "pm_nobody" }))),
        "FatalError InvalidRequest after 1"
      )
    }).pipe(quietly)
  )

  it.effect("refuses what does not fit the declaration, before anything is sent (SAFE-10)", () =>
    Effect.gen(function* () {
      const { ledger, stripe } = yield* open()
      const { paymentIntents, refunds } = stripe
      const calls = [
        pay(stripe, { amount: 0 }),
        pay(stripe, { amount: 1.5 }),
        pay(stripe, { currency: "EUR" }),
        paymentIntents.list({ query: { limit: 101 } }),
        paymentIntents.list({ query: { limit: 0 } }),
        paymentIntents.retrieve({ params: { id: "pi_1/../../v1/customers" as PaymentIntentId } }),
        refunds.create({ payload: {} }).pipe(Idempotency.withKey("refund"))
      ]
      const ends: Array<string> = []
      for (const call of calls) ends.push(shortly(yield* toEnd(call as Effect.Effect<unknown, unknown>)))

      assert.deepStrictEqual(
        ends,
        calls.map(() => "FatalError InvalidRequest after 0")
      )
      assert.strictEqual(ledger.exchanges.length, 0)
    }).pipe(quietly)
  )
})

describe("Stripe: limits and outages", () => {
  it.effect("never meets a 429 of its own making: a burst of 60 leaves at 25 a second (RATE-1)", () =>
    Effect.gen(function* () {
      const { ledger, stripe } = yield* open()
      const burst = Effect.forEach(
        Array.from({ length: 60 }, (_, n) => n),
        (n) => pay(stripe, {}, `order/${n}`),
        { concurrency: "unbounded" }
      )
      yield* inTime(burst)

      assert.deepStrictEqual([...new Set(ledger.exchanges.map(({ status }) => status))], [200])
      assert.strictEqual(ledger.ofKind("charge.succeeded").length, 60)
    }).pipe(quietly)
  )

  it.effect("outlasts an outage of two seconds", () =>
    Effect.gen(function* () {
      const { ledger, stripe } = yield* open({
        plan: FaultPlan.outage({ from: 0, to: "2 seconds" }),
        policy: { attempts: 6, breaker: { consecutiveFailures: 50 } }
      })
      const exit = yield* toEnd(pay(stripe))

      assert.strictEqual(shortly(exit), "succeeded")
      assert.isAbove(ledger.exchanges.length, 1)
      assert.strictEqual(ledger.ofKind("charge.succeeded").length, 1)
    }).pipe(quietly)
  )

  it.effect("stops asking when the outage lasts: the circuit opens (SAFE-6)", () =>
    Effect.gen(function* () {
      const { ledger, stripe } = yield* open({ plan: FaultPlan.outage({ from: 0, to: "1 hour" }, Fault.status(503)) })
      const ends: Array<string> = []
      for (const n of [1, 2, 3]) ends.push(shortly(yield* toEnd(pay(stripe, {}, `order/${n}`), "5 seconds")))

      assert.strictEqual(ends.at(-1), "RetryableError CircuitOpen after 0")
      assert.strictEqual(ledger.exchanges.length, 5)
    }).pipe(quietly)
  )
})

describe("Stripe: keys and secrets", () => {
  it.effect("charges in live mode with a live key", () =>
    Effect.gen(function* () {
      const { stripe } = yield* open({ simulated: { apiKey: "sk_live_4242" }, client: { environment: "production" } })

      assert.isTrue((yield* inTime(pay(stripe))).livemode)
    }).pipe(quietly)
  )

  it.effect("refuses a live key in the sandbox, and the reverse (AUTH-8)", () =>
    Effect.gen(function* () {
      const live = yield* Effect.flip(open({ simulated: { apiKey: "sk_live_4242" } }))
      const test = yield* Effect.flip(open({ client: { environment: "production" } }))

      assert.deepStrictEqual(
        [live._tag, live.message],
        [
          "ConnectionError",
          "connection to stripe: credential is a production key, and the environment is sandbox: nothing was sent"
        ]
      )
      assert.include(test.message, "is a sandbox key, and the environment is production")
    }).pipe(quietly)
  )

  it.effect("takes its settings from Config (AUTH-1)", () =>
    Effect.gen(function* () {
      const simulated = yield* SimulatedStripe.make({ apiKey: "sk_test_from_config" })
      const config = ConfigProvider.layer(ConfigProvider.fromUnknown({ STRIPE_API_KEY: "sk_test_from_config" }))
      const live = Stripe.layerConfig().pipe(Layer.provide(SimulatedNetwork.layer([simulated])), Layer.provide(config))
      const stripe = Context.get(yield* Layer.build(live), Stripe)

      assert.strictEqual((yield* inTime(pay(stripe))).status, "succeeded")
    }).pipe(quietly)
  )

  it.effect("says that a key was refused", () =>
    Effect.gen(function* () {
      const { stripe } = yield* open({ client: { credential: Redacted.make("sk_test_wrong") } })

      assert.strictEqual(shortly(yield* toEnd(pay(stripe))), "FatalError Unauthorized after 1")
    }).pipe(quietly)
  )

  it.effect("lets no secret into errors, logs or JSON (AUTH-10)", () => {
    const lines: Array<string> = []
    const program = Effect.gen(function* () {
      const { ledger, stripe } = yield* open({ faults: [Fault.none, Fault.garbage], policy: { attempts: 1 } })
      const intent = yield* inTime(pay(stripe))
      const error = yield* inTime(Effect.flip(pay(stripe, {}, "order/8")))
      const secret = intent.client_secret
      const seen = [JSON.stringify(intent), String(error), JSON.stringify(error), ...lines].join("\n")

      assert(Redacted.isRedacted(secret))
      assert.match(Redacted.value(secret), /^pi_\w+_secret_/u)
      assert(error._tag === "RetryableError")
      assert.include(error.excerpt ?? "", "client_secret", "the body is quoted")
      assert.notMatch(seen, /_secret_[A-Z0-9]{4}/u)
      assert.notInclude(seen, SimulatedStripe.defaultApiKey)
      assert.isAbove(lines.length, 1)
      assert.strictEqual(ledger.entries.length, 2)
    })
    return quietly(program, lines)
  })

  it.effect("ends at once when the caller leaves, while Stripe goes on (SAFE-1)", () =>
    Effect.gen(function* () {
      const { ledger, stripe } = yield* open({ simulated: { latency: "3 seconds" } })
      const call = yield* Effect.forkChild(pay(stripe), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(call)
      yield* TestClock.adjust("5 seconds")

      assert.strictEqual(ledger.ofKind("charge.succeeded").length, 1)
    }).pipe(quietly)
  )
})

/** Our client over a Stripe that always says the same, and what was asked of it. */
const saying = Effect.fnUntraced(function* (
  status: number,
  said: { readonly headers?: Record<string, string>; readonly error?: object }
) {
  const asked: Array<HttpClientRequest.HttpClientRequest> = []
  const client = HttpClient.make((request) =>
    Effect.sync(() => {
      asked.push(request)
      const body = { error: { type: "api_error", ...said.error } }
      return HttpServerResponse.toClientResponse(
        HttpServerResponse.jsonUnsafe(body, { status, headers: said.headers ?? {} }),
        { request }
      )
    })
  )
  const live = Stripe.layer({ credential: Redacted.make("sk_test_1"), userAgent: "shop/1.4" })
  const built = yield* Layer.build(Layer.provide(live, Layer.succeed(HttpClient.HttpClient, client)))
  return { stripe: Context.get(built, Stripe), asked }
})

const advice = (retry: "true" | "false") => ({ headers: { "stripe-should-retry": retry } })

describe("Stripe: what travels", () => {
  it.effect("sends key, version, ids and form as Stripe wants them (SAFE-13, SAFE-14)", () =>
    Effect.gen(function* () {
      const { asked, stripe } = yield* saying(400, {})
      yield* toEnd(pay(stripe))
      const [request] = asked
      assert(request?.body._tag === "Uint8Array")
      const { "x-request-id": id, ...headers } = request.headers

      assert.deepStrictEqual([request.method, request.url], ["POST", "https://api.stripe.com/v1/payment_intents"])
      assert.strictEqual(
        new TextDecoder().decode(request.body.body),
        "amount=4200&currency=eur&confirm=true&payment_method=pm_card_visa&metadata%5Border%5D=7&metadata%5Bidempotency_key%5D=order%2F7"
      )
      assert.deepStrictEqual(
        [headers["authorization"], headers["stripe-version"], headers["idempotency-key"], headers["user-agent"]],
        ["Bearer sk_test_1", "2026-10-28.endive", "order/7", "shop/1.4"]
      )
      assert.strictEqual(headers["content-type"], "application/x-www-form-urlencoded")
      assert.isString(id)
    }).pipe(quietly)
  )

  it.effect("quotes an answer without what is secret in it (AUTH-10)", () =>
    Effect.gen(function* () {
      const secrets = {
        client_secret: "opaque-1",
        receipt_email: "opaque-2",
        payment_method_data: { number: "opaque-3" }
      }
      const { stripe } = yield* saying(400, { error: { payment_intent: secrets } })
      const error = yield* inTime(Effect.flip(pay(stripe)))

      assert(error._tag === "FatalError")
      assert.include(error.excerpt ?? "", "receipt_email")
      assert.notMatch(error.excerpt ?? "", /opaque/u)
    }).pipe(quietly)
  )
})

describe("Stripe: what Stripe says about retries", () => {
  it.effect("tries again where it says so", () =>
    Effect.gen(function* () {
      const { asked, stripe } = yield* saying(400, advice("true"))
      yield* toEnd(pay(stripe))

      assert.strictEqual(asked.length, 4)
    }).pipe(quietly)
  )

  it.effect(
    "does not try a 500 again where it says so, and does not call that a refusal: nobody knows what was done",
    () =>
      Effect.gen(function* () {
        const { asked, stripe } = yield* saying(500, advice("false"))
        const exit = yield* toEnd(pay(stripe))

        assert.strictEqual(asked.length, 1)
        assert.match(shortly(exit), /^OutcomeUnknown/u)
      }).pipe(quietly)
  )
})
