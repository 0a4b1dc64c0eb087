/**
 * What Stripe's errors mean: a refused card is the one that a caller of a payment expects, all others go by the table.
 * @see https://docs.stripe.com/api/errors (read 2026-11-21)
 * @see https://docs.stripe.com/error-low-level (read 2026-11-21)
 * @since 0.1.0
 */
import type { ErrorTable } from "@breakwater/core/ErrorTable"
import { HttpApiSchema } from "@breakwater/core/PlatformApi"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { PaymentIntentId } from "./Model.ts"

/**
 * The payment was refused (402): by the card's bank, or because the card needs something that the customer must do. Final for this payment method, so the
 * customer has to choose another one.
 * **Details** The payment intent stays, at `requires_payment_method`: confirm it with another payment method rather than make a second one.
 * @category errors @since 0.1.0
 */
export class CardError extends Schema.TaggedError<CardError>("@breakwater/providers/stripe/Errors/CardError")(
  "CardError",
  {
    /** Such as `card_declined`, `expired_card`, `incorrect_cvc`, `authentication_required`. */
    code: Schema.String,
    /** Why the bank refused, as far as it says: `insufficient_funds`, `generic_decline`, … */
    declineCode: Schema.optionalKey(Schema.String),
    /** Stripe's sentence for the customer, in English. */
    customerMessage: Schema.optionalKey(Schema.String),
    /** The payment intent that was refused, to confirm with another card. */
    paymentIntent: Schema.optionalKey(PaymentIntentId),
    /** The failed charge, `ch_…`. */
    charge: Schema.optionalKey(Schema.String)
  }
) {
  override get message(): string {
    return `card refused: ${this.code}${this.declineCode === undefined ? "" : ` (${this.declineCode})`}`
  }
}

const maybe = <S extends Schema.Constraint>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))

/** The error object of an answer, as far as it matters to a refused card. */
const CardErrorBody = Schema.Struct({
  error: Schema.Struct({
    type: Schema.String,
    code: maybe(Schema.String),
    decline_code: maybe(Schema.String),
    message: maybe(Schema.String),
    charge: maybe(Schema.String),
    payment_intent: maybe(Schema.Struct({ id: Schema.String }))
  })
})

/** Leaves out what Stripe says with null. */
const given = <T extends object>(fields: { readonly [K in keyof T]: T[K] | null | undefined }): T =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => Predicate.isNotNullish(value))) as T

/** `CardError` as it travels: `{"error": {…}}` with status 402. @category schemas @since 0.1.0 */
export const CardErrorAnswer = CardErrorBody.pipe(
  Schema.decodeTo(
    CardError,
    SchemaTransformation.transform({
      decode: ({ error }) =>
        given<typeof CardError.Encoded>({
          _tag: "CardError",
          code: error.code ?? error.type,
          declineCode: error.decline_code,
          customerMessage: error.message,
          paymentIntent: error.payment_intent?.id,
          charge: error.charge
        }),
      encode: (error) => ({
        error: {
          type: "card_error",
          code: error.code,
          decline_code: error.declineCode ?? null,
          message: error.customerMessage ?? null,
          charge: error.charge ?? null,
          payment_intent: error.paymentIntent === undefined ? null : { id: error.paymentIntent }
        }
      })
    })
  ),
  HttpApiSchema.status(402)
)

const property = (value: unknown, name: string): unknown =>
  Predicate.hasProperty(value, name) ? value[name] : undefined

/** Stripe's `code`, or its `type` where it gives no code. @category accessors @since 0.1.0 */
export const codeOf = (body: unknown): string | undefined => {
  const error = property(body, "error")
  const code = property(error, "code") ?? property(error, "type")
  return Predicate.isString(code) ? code : undefined
}

/**
 * What Stripe's answers mean, where the status alone does not tell.
 * **Details** `Stripe-Should-Retry` wins over the rules. A key in use is told by status and code alone, since sources disagree about its type.
 * @category constants @since 0.1.0
 */
export const errors: ErrorTable = {
  code: codeOf,
  shouldRetryHeader: "Stripe-Should-Retry",
  rules: [
    { status: 409, code: "idempotency_key_in_use", means: "Locked" },
    { status: 400, code: "idempotency_error", means: "IdempotencyMismatch" },
    // A lock on the object, not the rate: https://docs.stripe.com/rate-limits#object-lock-timeouts (read 2026-11-21).
    { status: [409, 429], code: "lock_timeout", means: "Locked" },
    { status: [400, 429], code: "rate_limit", means: "RateLimited" },
    { code: ["api_key_expired", "platform_api_key_expired"], means: "Unauthorized" },
    { status: 400, code: ["payment_intent_unexpected_state", "charge_already_refunded"], means: "Conflict" }
  ]
}
