/**
 * The objects of Stripe's payments API, as far as charging and refunding need them, under Stripe's own names.
 *
 * Fields that Stripe adds are ignored; fields that it may leave out or set to null are optional here. Amounts are whole numbers in the smallest unit of the
 * currency: 4200 is 42.00 EUR and 4200 JPY.
 * @see https://docs.stripe.com/api/payment_intents/object (read 2026-11-21)
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/** Id of a payment intent, `pi_…`. @category schemas @since 0.1.0 */
export const PaymentIntentId = Schema.String.check(
  Schema.isPattern(/^pi_\w{1,250}$/u, { expected: "an id that starts with pi_" })
).pipe(Schema.brand("PaymentIntentId"))

/** Id of a payment intent, `pi_…`. @category models @since 0.1.0 */
export type PaymentIntentId = typeof PaymentIntentId.Type

/** Id of a refund: `re_…`, or `pyr_…` for some payment methods. @category schemas @since 0.1.0 */
export const RefundId = Schema.String.check(
  Schema.isPattern(/^(?:re|pyr)_\w{1,250}$/u, { expected: "an id that starts with re_" })
).pipe(Schema.brand("RefundId"))

/** Id of a refund, `re_…`. @category models @since 0.1.0 */
export type RefundId = typeof RefundId.Type

/** A whole number of the currency's smallest unit, from 0. @category schemas @since 0.1.0 */
export const Amount = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** ISO 4217 in lower case, such as `eur`. @category schemas @since 0.1.0 */
export const Currency = Schema.String.check(
  Schema.isPattern(/^[a-z]{3}$/u, { expected: "three lower-case letters, such as eur" })
)

/** Your own names and values on an object: put the id of your order here, it is how a charge is found again. @category schemas @since 0.1.0 */
export const Metadata = Schema.Record(Schema.String, Schema.String)

const metadataProblem = (metadata: { readonly [name: string]: string }): Schema.FilterOutput => {
  for (const [name, value] of Object.entries(metadata)) {
    if (!/^[^[\]]{1,40}$/u.test(name)) return "names of 1 to 40 characters without square brackets"
    if (value.length > 500) return { path: [name], issue: "at most 500 characters" }
    // Half of a surrogate pair has no UTF-8: two names that have one would arrive as the same.
    if ([name, value].some((text) => /\p{Surrogate}/u.test(text))) return "well-formed names and values"
  }
  return Object.keys(metadata).length <= 50 ? undefined : "at most 50 names"
}

/**
 * `Metadata` as it may be sent: at most 50 names of 1 to 40 characters without square brackets, values of at most 500.
 * @see https://docs.stripe.com/api/metadata (read 2026-11-21)
 * @category schemas
 * @since 0.1.0
 */
export const NewMetadata = Metadata.check(Schema.makeFilter(metadataProblem))

/** Seconds since the epoch. @category schemas @since 0.1.0 */
export const Timestamp = Schema.Int

/** A field that may be absent or null. */
const maybe = <S extends Schema.Constraint>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))

/**
 * Where a payment intent stands; `succeeded` and `canceled` are final.
 * @see https://docs.stripe.com/payments/paymentintents/lifecycle (read 2026-11-21)
 * @category schemas
 * @since 0.1.0
 */
export const PaymentIntentStatus = Schema.Literals([
  "requires_payment_method",
  "requires_confirmation",
  "requires_action",
  "processing",
  "requires_capture",
  "succeeded",
  "canceled"
])

/** Why the last attempt to pay failed. @category schemas @since 0.1.0 */
export const LastPaymentError = Schema.Struct({
  type: Schema.String,
  code: maybe(Schema.String),
  decline_code: maybe(Schema.String),
  message: maybe(Schema.String),
  charge: maybe(Schema.String)
})

/** A payment from its start to its end. @category schemas @since 0.1.0 */
export const PaymentIntent = Schema.Struct({
  id: PaymentIntentId,
  object: Schema.Literal("payment_intent"),
  amount: Amount,
  /** What has been taken so far. */
  amount_received: Schema.optionalKey(Amount),
  currency: Currency,
  status: PaymentIntentStatus,
  /** For the customer's browser only: whoever has it can complete the payment. */
  client_secret: maybe(Schema.RedactedFromValue(Schema.String)),
  payment_method: maybe(Schema.String),
  /** The charge of the last attempt to pay, failed or not. */
  latest_charge: maybe(Schema.String),
  last_payment_error: maybe(LastPaymentError),
  cancellation_reason: maybe(Schema.String),
  canceled_at: maybe(Timestamp),
  customer: maybe(Schema.String),
  description: maybe(Schema.String),
  metadata: Schema.optionalKey(Metadata),
  created: Timestamp,
  /** False in the sandbox. */
  livemode: Schema.Boolean
})

/** A payment from its start to its end. @category models @since 0.1.0 */
export interface PaymentIntent extends Schema.Schema.Type<typeof PaymentIntent> {}

/** Where a refund stands. @category schemas @since 0.1.0 */
export const RefundStatus = Schema.Literals(["pending", "requires_action", "succeeded", "failed", "canceled"])

/** Money on its way back. @see https://docs.stripe.com/api/refunds/object (read 2026-11-21) @category schemas @since 0.1.0 */
export const Refund = Schema.Struct({
  id: RefundId,
  object: Schema.Literal("refund"),
  amount: Amount,
  currency: Currency,
  status: maybe(RefundStatus),
  charge: maybe(Schema.String),
  payment_intent: maybe(PaymentIntentId),
  reason: maybe(Schema.String),
  failure_reason: maybe(Schema.String),
  metadata: Schema.optionalKey(Schema.NullOr(Metadata)),
  created: Timestamp
})

/** Money on its way back. @category models @since 0.1.0 */
export interface Refund extends Schema.Schema.Type<typeof Refund> {}

/** One page of a list, newest first. @see https://docs.stripe.com/api/pagination (read 2026-11-21) @category schemas @since 0.1.0 */
export const ListOf = <Item extends Schema.Constraint>(item: Item) =>
  Schema.Struct({
    object: Schema.Literal("list"),
    data: Schema.Array(item),
    /** Whether there are more after the last one (before the first one, with `ending_before`). */
    has_more: Schema.Boolean,
    url: Schema.String
  })
