/** The vendor's own client is the judge of the simulation: nobody here wrote it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Stripe as OfficialStripe } from "stripe"
import { Fault, FaultPlan, SimulatedStripe } from "@breakwater/testkit"
import * as Serve from "@breakwater/testkit/node/Serve"

const connect = (port: number, retries = 0, apiKey = SimulatedStripe.defaultApiKey) =>
  new OfficialStripe(apiKey, {
    host: "127.0.0.1",
    port,
    protocol: "http",
    maxNetworkRetries: retries,
    telemetry: false
  })

const world = Effect.fnUntraced(function* (options?: {
  readonly plan?: FaultPlan.FaultPlan
  readonly retries?: number
  readonly rateLimit?: number
}) {
  const simulated = yield* SimulatedStripe.make({ rateLimit: options?.rateLimit ?? Number.POSITIVE_INFINITY })
  const { port } = yield* Serve.make(simulated, { plan: options?.plan })
  return { simulated, stripe: connect(port, options?.retries), port }
})

/** The error with which a promise is rejected. */
const rejection = (run: () => Promise<unknown>) =>
  Effect.promise(() =>
    run().then(
      () => assert.fail("it succeeded"),
      (error: unknown) => {
        assert(error instanceof OfficialStripe.errors.StripeError)
        return error
      }
    )
  )

const charge = {
  amount: 4200,
  currency: "eur",
  confirm: true,
  payment_method: "pm_card_visa",
  allowed_payment_method_types: ["card"],
  metadata: { order: "7" }
}

/** Parameters of older versions, and of none. */
const unheardOf = { payment_method_types: ["card"], radar_options: { session: "rse_1" }, unheard_of: "yes" } as object

describe("the official stripe client", () => {
  it.live("creates and confirms (SYS-2)", () =>
    Effect.gen(function* () {
      const { simulated, stripe } = yield* world()
      const created = yield* Effect.promise(() =>
        stripe.paymentIntents.create({
          amount: 4200,
          currency: "eur",
          expand: ["latest_charge"],
          metadata: { order: "7" },
          ...unheardOf
        })
      )
      const confirmed = yield* Effect.promise(() =>
        stripe.paymentIntents.confirm(created.id, {
          payment_method: "pm_card_visa",
          return_url: "https://shop.example/back"
        })
      )
      const retrieved = yield* Effect.promise(() => stripe.paymentIntents.retrieve(created.id))

      assert.deepStrictEqual(
        [created.status, created.livemode, created.payment_method_types],
        ["requires_payment_method", false, ["card"]]
      )
      assert.match(created.client_secret ?? "", /^pi_\w+_secret_\w+$/u)
      assert.deepStrictEqual([confirmed.status, confirmed.amount_received], ["succeeded", 4200])
      assert.deepStrictEqual({ ...retrieved }, { ...confirmed })
      assert.match(created.lastResponse.requestId, /^req_/u)
      assert.strictEqual(created.lastResponse.apiVersion, OfficialStripe.API_VERSION)
      assert.deepStrictEqual(
        simulated.ledger.entries.map(({ kind, amount, metadata }) => ({ kind, amount, metadata })),
        [{ kind: "charge.succeeded", amount: 4200, metadata: { order: "7" } }]
      )
    })
  )

  it.live("confirms without parameters, cancels, and is told what a state does not allow", () =>
    Effect.gen(function* () {
      const { stripe } = yield* world()
      const first = yield* Effect.promise(() =>
        stripe.paymentIntents.create({ amount: 100, currency: "eur", payment_method: "pm_card_visa" })
      )
      const paid = yield* Effect.promise(() => stripe.paymentIntents.confirm(first.id))
      const second = yield* Effect.promise(() => stripe.paymentIntents.create({ amount: 100, currency: "eur" }))
      const canceled = yield* Effect.promise(() =>
        stripe.paymentIntents.cancel(second.id, { cancellation_reason: "abandoned" })
      )
      const refused = yield* rejection(() => stripe.paymentIntents.cancel(first.id))

      assert.deepStrictEqual(
        [first.status, paid.status, canceled.status, canceled.cancellation_reason],
        ["requires_confirmation", "succeeded", "canceled", "abandoned"]
      )
      assert.deepStrictEqual(
        [refused.type, refused.statusCode, refused.code],
        ["StripeInvalidRequestError", 400, "payment_intent_unexpected_state"]
      )
    })
  )

  it.live("pages through more than 100 intents by itself, each once, newest first (TEST-1)", () =>
    Effect.gen(function* () {
      const { simulated, stripe } = yield* world()
      const ids: Array<string> = []
      for (let amount = 1; amount <= 251; amount++) {
        ids.push((yield* Effect.promise(() => stripe.paymentIntents.create({ amount, currency: "eur" }))).id)
      }
      const listed = yield* Effect.promise(() =>
        stripe.paymentIntents.list({ limit: 100 }).autoPagingToArray({ limit: 1000 })
      )
      const backwards = yield* Effect.promise(() =>
        stripe.paymentIntents.list({ limit: 100, ending_before: ids[0]! }).autoPagingToArray({ limit: 1000 })
      )

      assert.deepStrictEqual(
        listed.map(({ id }) => id),
        ids.toReversed()
      )
      assert.deepStrictEqual(
        backwards.map(({ id }) => id),
        ids.slice(1)
      )
      assert.strictEqual(
        simulated.ledger.exchanges.filter(({ operation }) => operation === "paymentIntents.list").length,
        6
      )
    })
  )

  it.live("is declined with a StripeCardError, and the intent wants another card", () =>
    Effect.gen(function* () {
      const { simulated, stripe } = yield* world()
      const seen: Array<unknown> = []
      for (const method of [
        "pm_card_visa_chargeDeclined",
        "pm_card_chargeDeclinedInsufficientFunds",
        "pm_card_chargeDeclinedExpiredCard"
      ]) {
        const error = yield* rejection(() => stripe.paymentIntents.create({ ...charge, payment_method: method }))
        assert(error instanceof OfficialStripe.errors.StripeCardError)
        seen.push([
          error.statusCode,
          error.code,
          error.decline_code,
          error.payment_intent?.status,
          error.payment_intent?.last_payment_error?.decline_code
        ])
      }

      assert.deepStrictEqual(seen, [
        [402, "card_declined", "generic_decline", "requires_payment_method", "generic_decline"],
        [402, "card_declined", "insufficient_funds", "requires_payment_method", "insufficient_funds"],
        [402, "expired_card", "expired_card", "requires_payment_method", "expired_card"]
      ])
      assert.deepStrictEqual(
        simulated.ledger.entries.map(({ kind }) => kind),
        Array.from({ length: 3 }, () => "charge.declined")
      )
    })
  )

  it.live("has to ask the customer where the card demands it", () =>
    Effect.gen(function* () {
      const { simulated, stripe } = yield* world()
      const waiting = yield* Effect.promise(() =>
        stripe.paymentIntents.create({ ...charge, payment_method: "pm_card_authenticationRequired" })
      )

      assert.deepStrictEqual([waiting.status, waiting.next_action?.type], ["requires_action", "use_stripe_sdk"])
      assert.deepStrictEqual(simulated.ledger.ofKind("charge.succeeded"), [])
    })
  )

  it.live("replays a key, and the charge is made once (IDEM-1)", () =>
    Effect.gen(function* () {
      const { simulated, stripe } = yield* world()
      const pay = () => Effect.promise(() => stripe.paymentIntents.create(charge, { idempotencyKey: "order/7" }))
      const first = yield* pay()
      const second = yield* pay()

      assert.strictEqual(second.id, first.id)
      assert.deepStrictEqual(
        [first.lastResponse.headers["idempotent-replayed"], second.lastResponse.headers["idempotent-replayed"]],
        [undefined, "true"]
      )
      assert.strictEqual(second.lastResponse.idempotencyKey, "order/7")
      assert.strictEqual(simulated.ledger.ofKind("charge.succeeded").length, 1)
    })
  )

  it.live("is refused a key that was used with other parameters (IDEM-2)", () =>
    Effect.gen(function* () {
      const { simulated, stripe } = yield* world()
      yield* Effect.promise(() => stripe.paymentIntents.create(charge, { idempotencyKey: "order/7" }))
      const error = yield* rejection(() =>
        stripe.paymentIntents.create({ ...charge, amount: 4300 }, { idempotencyKey: "order/7" })
      )

      assert.deepStrictEqual([error.type, error.statusCode], ["StripeIdempotencyError", 400])
      assert.strictEqual(simulated.ledger.ofKind("charge.succeeded").length, 1)
    })
  )

  it.live("retries a lost response by itself, with its own key, and is charged once", () =>
    Effect.gen(function* () {
      const { simulated, stripe } = yield* world({ plan: FaultPlan.script([Fault.lostResponse]), retries: 1 })
      const paid = yield* Effect.promise(() => stripe.paymentIntents.create(charge))

      assert.strictEqual(paid.status, "succeeded")
      assert.deepStrictEqual(
        simulated.ledger.exchanges.map(({ fault, processed }) => [fault, processed]),
        [
          ["lost response", true],
          ["none", false]
        ]
      )
      assert.strictEqual(simulated.ledger.ofKind("charge.succeeded").length, 1)
    })
  )

  it.live("refunds a part, then the rest, and no more", () =>
    Effect.gen(function* () {
      const { simulated, stripe } = yield* world()
      const paid = yield* Effect.promise(() => stripe.paymentIntents.create(charge))
      const part = yield* Effect.promise(() =>
        stripe.refunds.create({ payment_intent: paid.id, amount: 200, reason: "requested_by_customer" })
      )
      const tooMuch = yield* rejection(() => stripe.refunds.create({ payment_intent: paid.id, amount: 4001 }))
      assert(typeof paid.latest_charge === "string")
      const chargeId = paid.latest_charge
      const rest = yield* Effect.promise(() => stripe.refunds.create({ charge: chargeId }))
      const again = yield* rejection(() => stripe.refunds.create({ payment_intent: paid.id }))
      const found = yield* Effect.promise(() => stripe.refunds.retrieve(part.id))

      assert.deepStrictEqual(
        [part.amount, part.status, rest.amount, rest.payment_intent],
        [200, "succeeded", 4000, paid.id]
      )
      assert.deepStrictEqual([tooMuch.statusCode, tooMuch.param], [400, "amount"])
      assert.deepStrictEqual([again.statusCode, again.code], [400, "charge_already_refunded"])
      assert.deepStrictEqual({ ...found }, { ...part })
      assert.deepStrictEqual(
        simulated.ledger.ofKind("refund.succeeded").map(({ amount }) => amount),
        [200, 4000]
      )
    })
  )

  it.live("is told what is wrong in the vendor's words", () =>
    Effect.gen(function* () {
      const { port, stripe } = yield* world()
      const told = (error: InstanceType<typeof OfficialStripe.errors.StripeError>) => [
        error.type,
        error.statusCode,
        error.code,
        error.param
      ]

      const missing = yield* rejection(() => stripe.paymentIntents.create({ currency: "eur" } as never))
      const invalid = yield* rejection(() => stripe.paymentIntents.create({ amount: 1.5, currency: "eur" }))
      const method = yield* rejection(() => stripe.paymentIntents.create({ ...charge, payment_method: "pm_nobody" }))
      const intent = yield* rejection(() => stripe.paymentIntents.retrieve("pi_nobody"))
      const malformed = yield* rejection(() => stripe.refunds.retrieve("nothing"))
      const page = yield* rejection(() => stripe.paymentIntents.list({ limit: 101 }))
      const cursor = yield* rejection(() => stripe.paymentIntents.list({ starting_after: "pi_nobody" }))
      const path = yield* rejection(() => stripe.customers.list())
      const key = yield* rejection(() => connect(port, 0, "sk_test_another").paymentIntents.list())

      assert.deepStrictEqual([missing, invalid, method, intent, malformed, page, cursor, path, key].map(told), [
        ["StripeInvalidRequestError", 400, "parameter_missing", "amount"],
        ["StripeInvalidRequestError", 400, "parameter_invalid_integer", "amount"],
        ["StripeInvalidRequestError", 400, "resource_missing", "payment_method"],
        ["StripeInvalidRequestError", 404, "resource_missing", "intent"],
        ["StripeInvalidRequestError", 404, "resource_missing", "id"],
        ["StripeInvalidRequestError", 400, "parameter_invalid_integer", "limit"],
        ["StripeInvalidRequestError", 400, "resource_missing", "starting_after"],
        ["StripeInvalidRequestError", 404, undefined, undefined],
        ["StripeAuthenticationError", 401, undefined, undefined]
      ])
    })
  )

  it.live("is limited, with the reason", () =>
    Effect.gen(function* () {
      const { stripe } = yield* world({ rateLimit: 2 })
      const results = yield* Effect.promise(() => Promise.allSettled([1, 2, 3].map(() => stripe.paymentIntents.list())))
      const refused = results.flatMap((result) => (result.status === "rejected" ? [result.reason as unknown] : []))

      assert.strictEqual(refused.length, 1)
      const [error] = refused
      assert(error instanceof OfficialStripe.errors.StripeRateLimitError)
      assert.deepStrictEqual(
        [error.statusCode, error.code, error.headers?.["stripe-rate-limited-reason"]],
        [429, "rate_limit", "global-rate"]
      )
    })
  )
})
