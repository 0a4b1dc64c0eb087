/** `Mail` over SendGrid: the shop's words on one side, SendGrid's on the other. */
import type { ProviderError } from "@breakwater/core"
import { SendGrid, byCustomArg } from "@breakwater/providers/sendgrid"
import { Duration, Effect, Layer } from "effect"
import { type Email, InDoubt, Mail, Postponed, Refused } from "./Mail.ts"

interface Options {
  readonly from: { readonly email: string; readonly name: string }
  /**
   * How long after a doubt the activity knows: longer than a request can be under way, and than the activity lags behind. What turns up later was sent twice. SendGrid does not say
   * how long that is; minutes are better than seconds.
   */
  readonly settlesAfter: Duration.Input
  /** When to try again where SendGrid does not say. */
  readonly pause: Duration.Input
}

/** The name under which the reference travels in `custom_args`. */
const reference = "reference"

export const layer = ({ from, pause, settlesAfter }: Options) => {
  const postponed = (error: ProviderError.ProviderError) =>
    new Postponed({
      after: (error._tag === "RetryableError" ? error.retryAfter : undefined) ?? Duration.fromInputUnsafe(pause)
    })
  return Layer.effect(
    Mail,
    Effect.map(SendGrid, ({ mail, messages }) =>
      Mail.of({
        send: (email: Email) =>
          mail
            .send({
              payload: {
                personalizations: [{ to: [{ email: email.to }] }],
                from,
                subject: email.subject,
                content: [{ type: "text/plain", value: email.text }],
                custom_args: { [reference]: email.reference }
              }
            })
            .pipe(
              Effect.catchTags({
                FatalError: (error) => Effect.fail(new Refused({ reason: error.message })),
                RetryableError: (error) => Effect.fail(postponed(error)),
                OutcomeUnknown: () => Effect.fail(new InDoubt({ askAfter: Duration.fromInputUnsafe(settlesAfter) }))
              }),
              Effect.asVoid
            ),
        wasSent: (email: Email) =>
          messages.list({ query: { query: byCustomArg(reference, email.reference), limit: 1 } }).pipe(
            Effect.map((found) => found.messages.length > 0),
            Effect.mapError(postponed)
          )
      })
    )
  )
}
