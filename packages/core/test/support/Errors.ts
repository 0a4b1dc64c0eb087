/** Errors of calls, as the pipeline would make them, for what takes more than one call. */
import { FatalReason, ProviderError, RetryableReason } from "@breakwater/core"
import { Duration } from "effect"

const context = {
  provider: "acme",
  operation: "acme.orders.bulk",
  connection: "default",
  correlationId: "c1",
  attempts: 1,
  elapsed: Duration.millis(12)
}

export const notSent = (retryAfter?: Duration.Input) =>
  new ProviderError.RetryableError({
    ...context,
    sent: "no",
    reason: new RetryableReason.RateLimited({
      by: "provider",
      ...(retryAfter === undefined ? {} : { retryAfter: Duration.fromInputUnsafe(retryAfter) })
    })
  })

/** The answer was lost: of a write with a key, of a read. */
export const inDoubt = (retryUntil?: number) =>
  new ProviderError.RetryableError({
    ...context,
    sent: "unknown",
    reason: new RetryableReason.TransportFailed({ code: "ECONNRESET" }),
    retryUntil
  })

/** The answer was lost, of a write without a key. */
export const outcomeUnknown = () =>
  new ProviderError.OutcomeUnknown({
    ...context,
    reason: new RetryableReason.TransportFailed({ code: "ECONNRESET" }),
    firstSentAt: 0
  })

export const refused = () =>
  new ProviderError.FatalError({ ...context, reason: new FatalReason.InvalidRequest({ status: 422 }) })

export const unreadable = () =>
  new ProviderError.FatalError({
    ...context,
    reason: new FatalReason.ResponseInvalid({ status: 200, path: "", expected: "an array" })
  })
