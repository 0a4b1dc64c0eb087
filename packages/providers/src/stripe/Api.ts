/**
 * Stripe's payments API as far as it is declared here: payment intents and refunds.
 * @see https://docs.stripe.com/api/payment_intents (read 2026-11-21)
 * @see https://docs.stripe.com/api/refunds (read 2026-11-21)
 * @since 0.1.0
 */
import * as Form from "@breakwater/core/Form"
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "@breakwater/core/PlatformApi"
import * as Resolution from "@breakwater/core/Resolution"
import * as Safety from "@breakwater/core/Safety"
import * as Schema from "effect/Schema"
import { CardErrorAnswer } from "./Errors.ts"
import {
  Amount,
  Currency,
  ListOf,
  NewMetadata,
  PaymentIntent,
  PaymentIntentId,
  Refund,
  RefundId,
  Timestamp
} from "./Model.ts"

/**
 * How Stripe takes idempotency keys: POST only, at most 255 characters, kept for at least 24 hours, a stored answer marked on replay.
 * @see https://docs.stripe.com/api/idempotent_requests (read 2026-11-21)
 */
const keyed = Safety.keyed({
  header: "Idempotency-Key",
  window: "24 hours",
  maxLength: 255,
  replayedHeader: "Idempotent-Replayed"
})

/** An amount that can be charged or given back: 1 or more. */
const PositiveAmount = Amount.check(Schema.isGreaterThanOrEqualTo(1))

/** @category schemas @since 0.1.0 */
export const CreatePaymentIntent = Schema.Struct({
  amount: PositiveAmount,
  currency: Currency,
  /** Charges at once; needs `payment_method`. Default false. */
  confirm: Schema.optional(Schema.Boolean),
  payment_method: Schema.optional(Schema.String),
  /** The kinds of payment method that are offered, such as `card`. Default: what the dashboard says. */
  allowed_payment_method_types: Schema.optional(Schema.Array(Schema.String)),
  automatic_payment_methods: Schema.optional(
    Schema.Struct({
      enabled: Schema.Boolean,
      /** Whether methods that send the customer to another site are offered. */
      allow_redirects: Schema.optional(Schema.Literals(["always", "never"]))
    })
  ),
  customer: Schema.optional(Schema.String),
  description: Schema.optional(Schema.String),
  metadata: Schema.optional(NewMetadata),
  receipt_email: Schema.optional(Schema.String),
  /** Where the customer comes back to from a method that sends them elsewhere. */
  return_url: Schema.optional(Schema.String)
})

/** @category schemas @since 0.1.0 */
export const ConfirmPaymentIntent = Schema.Struct({
  /** In place of the one that the payment intent has. */
  payment_method: Schema.optional(Schema.String),
  return_url: Schema.optional(Schema.String)
})

/** @category schemas @since 0.1.0 */
export const CancelPaymentIntent = Schema.Struct({
  cancellation_reason: Schema.optional(
    Schema.Literals(["duplicate", "fraudulent", "requested_by_customer", "abandoned"])
  )
})

/** Gives back a payment, or a part of it: one of `payment_intent` and `charge` is needed. @category schemas @since 0.1.0 */
export const CreateRefund = Schema.Struct({
  payment_intent: Schema.optional(PaymentIntentId),
  charge: Schema.optional(Schema.String),
  /** Default: all that has not been given back yet. */
  amount: Schema.optional(PositiveAmount),
  reason: Schema.optional(Schema.Literals(["duplicate", "fraudulent", "requested_by_customer"])),
  metadata: Schema.optional(NewMetadata)
}).check(
  Schema.makeFilter((refund) =>
    refund.payment_intent === undefined && refund.charge === undefined
      ? { path: ["payment_intent"], issue: "a payment_intent or a charge" }
      : undefined
  )
)

/** Which page of a list. @category schemas @since 0.1.0 */
export const ListParams = {
  /** Items on a page, 1 to 100. Default 10. */
  limit: Schema.optional(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100 }))),
  /** Items older than this one. */
  starting_after: Schema.optional(PaymentIntentId),
  /** Items newer than this one. */
  ending_before: Schema.optional(PaymentIntentId),
  /** Items made then or later. */
  "created[gte]": Schema.optional(Timestamp),
  /** Items made then or earlier. */
  "created[lte]": Schema.optional(Timestamp)
}

const listPaymentIntents = HttpApiEndpoint.get("list", "/v1/payment_intents", {
  query: ListParams,
  success: ListOf(PaymentIntent)
})

/** The name in `metadata` that holds the idempotency key of a new payment intent: by it the payment is found again. @category constants @since 0.1.0 */
export const keyMetadata = "idempotency_key"

/** Seconds around the first and the last request within which a payment intent is looked for: clocks differ, and requests travel. */
const slack = { before: 60, after: 300 }

/** Payment intents of the time in which it was sent; not the search, which may be an hour behind (https://docs.stripe.com/api/payment_intents/search, read 2026-11-21). */
const byKey = Resolution.lookup(listPaymentIntents, {
  reference: `metadata.${keyMetadata}`,
  request: ({ firstSentAt, lastSentAt }) => ({
    query: {
      limit: 100,
      "created[gte]": Math.max(0, Math.floor(firstSentAt / 1000) - slack.before),
      "created[lte]": Math.ceil(lastSentAt / 1000) + slack.after
    }
  }),
  match: ({ data, has_more }, { key }) =>
    data.find(({ metadata }) => metadata?.[keyMetadata] === key) ?? (has_more ? Resolution.undecided : undefined),
  settlesAfter: "15 minutes"
})

const paymentIntents = HttpApiGroup.make("paymentIntents").add(
  HttpApiEndpoint.post("create", "/v1/payment_intents", {
    payload: CreatePaymentIntent.pipe(Form.bracketed),
    success: PaymentIntent,
    error: CardErrorAnswer
  }).pipe(keyed, byKey),
  HttpApiEndpoint.post("confirm", "/v1/payment_intents/:id/confirm", {
    params: { id: PaymentIntentId },
    payload: ConfirmPaymentIntent.pipe(Form.bracketed),
    success: PaymentIntent,
    error: CardErrorAnswer
  }).pipe(keyed),
  HttpApiEndpoint.post("cancel", "/v1/payment_intents/:id/cancel", {
    params: { id: PaymentIntentId },
    payload: CancelPaymentIntent.pipe(Form.bracketed),
    success: PaymentIntent
  }).pipe(keyed),
  HttpApiEndpoint.get("retrieve", "/v1/payment_intents/:id", {
    params: { id: PaymentIntentId },
    success: PaymentIntent
  }),
  listPaymentIntents
)

const refunds = HttpApiGroup.make("refunds").add(
  HttpApiEndpoint.post("create", "/v1/refunds", {
    payload: CreateRefund.pipe(Form.bracketed),
    success: Refund
  }).pipe(keyed),
  HttpApiEndpoint.get("retrieve", "/v1/refunds/:id", { params: { id: RefundId }, success: Refund })
)

/** The declaration: the client and the simulated Stripe both come from it. @category declarations @since 0.1.0 */
export const api = HttpApi.make("stripe").add(paymentIntents, refunds)
