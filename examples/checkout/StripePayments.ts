/** `Payments` over Stripe: the shop's words on one side, Stripe's on the other. */
import { Idempotency, type ProviderError, Resolver } from "@breakwater/core"
import { Stripe } from "@breakwater/providers/stripe"
import { Duration, Effect, Layer } from "effect"
import { type Order, Payments, Postponed, Refused } from "./Payments.ts"

const cards = { good: "pm_card_visa", declined: "pm_card_visa_chargeDeclined" }

const postponed = (error: ProviderError.ProviderError) =>
  new Postponed({
    retryAfterMillis:
      error._tag === "RetryableError" && error.retryAfter !== undefined ? Duration.toMillis(error.retryAfter) : 250,
    reason: error.message
  })

export const layer = Layer.effect(
  Payments,
  Effect.map(Stripe, (stripe) =>
    Payments.of({
      charge: (order: Order) =>
        stripe.paymentIntents
          .create({
            payload: {
              amount: order.amountCents,
              currency: "eur",
              confirm: true,
              payment_method: cards[order.card],
              metadata: { order: order.id }
            }
          })
          .pipe(
            // A charge in doubt is looked up by its key, before anybody is told.
            Resolver.orLookup,
            // One key for the order, the same after a restart: however often this runs, Stripe charges once.
            Idempotency.withKey(`order/${order.id}/charge`),
            Effect.catchTags({
              CardError: (error) => Effect.fail(new Refused({ reason: error.code })),
              FatalError: (error) => Effect.fail(new Refused({ reason: error.message })),
              RetryableError: (error) => Effect.fail(postponed(error)),
              // It could not be found out now: asked again with the same key, Stripe gives the same answer, and it is looked up again.
              OutcomeUnknown: (error) => Effect.fail(postponed(error))
            }),
            // What is found may be a payment that the bank refused, or one that its customer must confirm.
            Effect.flatMap(({ status }) =>
              status === "succeeded" ? Effect.void : Effect.fail(new Refused({ reason: status }))
            )
          )
    })
  )
)
