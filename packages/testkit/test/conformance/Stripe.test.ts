/** Stripe's declaration and its simulation, under every fault. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import * as Idempotency from "@breakwater/core/Idempotency"
import { type PaymentIntentId, Stripe } from "@breakwater/providers/stripe"
import { Conformance, SimulatedStripe } from "@breakwater/testkit"

type Client = typeof Stripe.Service

const payload = { amount: 4200, currency: "eur", payment_method: "pm_card_visa" }
const declined = { ...payload, payment_method: "pm_card_chargeDeclined" }

/** A payment intent that is there before the call, and the request for it. */
const withIntent =
  <Request>(confirm: boolean, request: (id: PaymentIntentId) => Request) =>
  ({ paymentIntents }: Client) =>
    paymentIntents.create({ payload: { ...payload, confirm } }).pipe(
      Idempotency.withKey("made before"),
      Effect.map(({ id }) => request(id))
    )

describe("Stripe", () => {
  Conformance.suite(it, {
    provider: Stripe.provider,
    service: Stripe,
    layer: Stripe.layer({ credential: Redacted.make(SimulatedStripe.defaultApiKey) }),
    simulated: SimulatedStripe.make(),
    operations: {
      "paymentIntents.create": {
        request: { payload: { ...payload, confirm: true, receipt_email: "jo.doe@example.com" } },
        counts: "charge.succeeded",
        errors: { CardError: { payload: { ...declined, confirm: true } } }
      },
      "paymentIntents.confirm": {
        request: withIntent(false, (id) => ({ params: { id }, payload: {} })),
        counts: "charge.succeeded",
        errors: {
          CardError: withIntent(false, (id) => ({
            params: { id },
            payload: { payment_method: declined.payment_method }
          }))
        }
      },
      "paymentIntents.cancel": { request: withIntent(false, (id) => ({ params: { id }, payload: {} })) },
      "paymentIntents.retrieve": { request: withIntent(false, (id) => ({ params: { id } })) },
      "refunds.create": { request: withIntent(true, (id) => ({ payload: { payment_intent: id } })) },
      "refunds.retrieve": {
        request: Effect.fnUntraced(function* (stripe) {
          const back = yield* withIntent(true, (id) => ({ payload: { payment_intent: id } }))(stripe)
          const { id } = yield* stripe.refunds.create(back).pipe(Idempotency.withKey("given back before"))
          return { params: { id } }
        })
      }
    },
    onReport: (report) => {
      assert.strictEqual(report.cases.length, 7 * (1 + Conformance.faults.length + 2 + 1) + 2)
      assert.deepStrictEqual(report.violations, [])
      assert.deepStrictEqual(report.notExercised, [])
    }
  })
})
