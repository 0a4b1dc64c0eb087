/** A queue of mails, and what its tests ask of it. */
import * as Outbox from "@breakwater/core/Outbox"
import { OutboxStore } from "@breakwater/core/OutboxStore"
import type { StoreError } from "@breakwater/core/StoreError"
import * as ProviderError from "@breakwater/core/ProviderError"
import { CircuitOpen, RateLimited, TransportFailed } from "@breakwater/core/RetryableReason"
import { NotFound } from "@breakwater/core/FatalReason"
import { Clock, Duration, Effect, Schema } from "effect"

export const Mail = Schema.Struct({ to: Schema.String })
export type Mail = typeof Mail.Type

const context = {
  provider: "sendgrid",
  operation: "sendgrid.mail.send",
  connection: "default",
  correlationId: "c1",
  attempts: 1,
  elapsed: Duration.seconds(1)
}

export const retryable = (options?: {
  readonly after?: Duration.Input
  readonly sent?: "no"
  readonly until?: number
}) =>
  new ProviderError.RetryableError({
    ...context,
    reason:
      options?.after === undefined
        ? new TransportFailed({ code: "ECONNRESET" })
        : new RateLimited({ by: "provider", retryAfter: Duration.fromInputUnsafe(options.after) }),
    sent: options?.sent ?? "unknown",
    retryUntil: options?.until
  })

export const circuitOpen = new ProviderError.RetryableError({
  ...context,
  reason: new CircuitOpen({ retryAfter: Duration.minutes(2) }),
  sent: "no"
})

export const fatal = new ProviderError.FatalError({ ...context, reason: new NotFound({ status: 404 }) })

export const unknown = new ProviderError.OutcomeUnknown({
  ...context,
  reason: new TransportFailed({ code: "ECONNRESET" }),
  firstSentAt: 0
})

/** What a handler was called with, and when. */
export interface Seen {
  readonly to: string
  readonly at: number
  readonly occasion: Outbox.Occasion
}

/** A queue whose handler writes down what it is called with, and then does as it is told. */
export const recording = <E = never>(
  act: (mail: Mail, attempt: number) => Effect.Effect<unknown, E> = () => Effect.void,
  options?: Partial<Outbox.Options<Mail, typeof Mail.Encoded, E, never, never, never>>
) => {
  const seen: Array<Seen> = []
  const mails = Outbox.make<Mail, typeof Mail.Encoded, E, never>({
    queue: "mail",
    payload: Mail,
    jitter: 0,
    handle: (mail, occasion) =>
      Effect.flatMap(Clock.currentTimeMillis, (at) => {
        seen.push({ to: mail.to, at, occasion })
        return act(mail, occasion.attempt)
      }),
    ...options
  })
  return { mails, seen }
}

type Counts = Readonly<Record<string, number>>

/** How many commands are in which state, of those that have any. */
export const counts = (
  mails: Pick<Outbox.Outbox<Mail, never>, "counts">
): Effect.Effect<Counts, StoreError, OutboxStore> =>
  Effect.map(mails.counts, (all) => Object.fromEntries(Object.entries(all).filter(([, count]) => count > 0)))

/** Every command of the queue, as the store has it. */
export const all = Effect.flatMap(OutboxStore, (store) =>
  store.list({ queue: "mail", states: ["Ready", "Claimed", "Scheduled", "Done", "Dead", "Discarded"], limit: 1000 })
)
