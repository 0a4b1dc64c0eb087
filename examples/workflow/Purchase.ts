/**
 * An order that is charged and confirmed by e-mail, as a workflow of Effect's: the engine remembers which of the two is done, whatever becomes of the process. What it cannot know is whether an activity
 * that was under way when the process died had done its work. Stripe knows by the key of the charge. SendGrid has no keys: a record of ours says that the e-mail may have been sent, and then its activity is looked into.
 */
import { Call, Idempotency, Resolver } from "@breakwater/core"
import { SendGrid } from "@breakwater/providers/sendgrid"
import { Stripe } from "@breakwater/providers/stripe"
import { Effect, Schedule, Schema } from "effect"
import { Activity, Workflow } from "effect/workflow"

/** The customer must pay another way. */
class Declined extends Schema.TaggedError<Declined>("@breakwater/examples/workflow/Declined")("Declined", {
  reason: Schema.String
}) {}

/** Nobody knows whether the customer was charged, and nobody will by asking: somebody must look. */
class Unsettled extends Schema.TaggedError<Unsettled>("@breakwater/examples/workflow/Unsettled")("Unsettled", {
  reason: Schema.String
}) {}

export const Purchase = Workflow.make("Purchase", {
  payload: { order: Schema.String, amountCents: Schema.Int, to: Schema.String },
  success: Schema.String,
  error: Schema.Union([Declined, Unsettled]),
  // One execution for an order: who asks again joins it, or is told what came of it.
  idempotencyKey: ({ order }) => order
})

const charge = (payload: { readonly order: string; readonly amountCents: number }) =>
  Activity.make({
    name: "charge",
    success: Schema.String,
    error: Schema.Union([Declined, Unsettled]),
    execute: Effect.gen(function* () {
      const stripe = yield* Stripe
      const intent = yield* stripe.paymentIntents
        .create({
          payload: {
            amount: payload.amountCents,
            currency: "eur",
            confirm: true,
            payment_method: "pm_card_visa",
            metadata: { order: payload.order }
          }
        })
        .pipe(
          // In doubt, it is looked up by its key.
          Resolver.orLookup,
          // The same in every life of the process: an activity that ran when it died runs again, and Stripe knows it.
          Idempotency.withKeyFrom(Activity.idempotencyKey("charge")),
          // Safe with the same key. What the provider asks to wait, the client keeps to: sooner, nothing is sent.
          Effect.retry({
            while: ({ _tag }) => _tag === "RetryableError",
            schedule: Schedule.spaced("2 seconds"),
            times: 10_000
          })
        )
      // What is found may be one that the bank refused.
      return intent.status === "succeeded" ? intent.id : yield* new Declined({ reason: intent.status })
    }).pipe(
      Effect.catchTags({
        CardError: ({ code }) => Effect.fail(new Declined({ reason: code })),
        FatalError: ({ message }) => Effect.fail(new Declined({ reason: message })),
        RetryableError: ({ message }) => Effect.fail(new Unsettled({ reason: message })),
        OutcomeUnknown: ({ message }) => Effect.fail(new Unsettled({ reason: message }))
      })
    )
  })

const confirm = (payload: { readonly order: string; readonly to: string }, payment: string) =>
  Activity.make({
    name: "confirm",
    execute: Effect.gen(function* () {
      const { mail } = yield* SendGrid
      yield* mail
        .send({
          payload: {
            personalizations: [{ to: [{ email: payload.to }] }],
            from: { email: "shop@shop.example", name: "Shop" },
            subject: `Your order ${payload.order}`,
            content: [{ type: "text/plain", value: `It is paid (${payment}), and on its way.` }]
          }
        })
        .pipe(
          // What may have been sent is never sent again: it is looked up, by the name that went with it.
          Resolver.orLookup,
          Idempotency.once(`order/${payload.order}/confirmation`),
          // A process that dies keeps the e-mail locked for that long, and 5 seconds.
          Call.withDeadline("2 seconds"),
          // In doubt, to ask again is to look again.
          Effect.retry({
            while: ({ _tag }) => _tag !== "FatalError",
            schedule: Schedule.spaced("500 millis"),
            times: 10_000
          })
        )
    }).pipe(Effect.orDie)
  })

/** First the money, then the e-mail: what is remembered is not done again. */
export const PurchaseLive = Purchase.toLayer(
  Effect.fnUntraced(function* (payload) {
    const payment = yield* charge(payload)
    yield* confirm(payload, payment)
    return payment
  })
)
