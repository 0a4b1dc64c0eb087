/**
 * Makes the error that a call ends with out of its last failure: which of the three classes, and the context that all of them carry. @internal
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import type { AttemptFailure } from "../vocabulary/AttemptFailure.ts"
import type { FatalReason } from "../vocabulary/FatalReason.ts"
import { isFatalReason } from "../vocabulary/FatalReason.ts"
import type { ProviderError } from "../vocabulary/ProviderError.ts"
import { FatalError, OutcomeUnknown, RetryableError } from "../vocabulary/ProviderError.ts"
import type { RetryableReason } from "../vocabulary/RetryableReason.ts"
import { RetriesSpent, isAttemptReason } from "../vocabulary/RetryableReason.ts"
import type { RunningCall } from "./RunningCall.ts"

const withCause = <E extends ProviderError>(error: E, cause: Error | undefined): E => {
  if (cause !== undefined)
    Object.defineProperty(error, "cause", { value: cause, enumerable: false, configurable: true })
  return error
}

const contextOf = (call: RunningCall, failure: AttemptFailure, now: number) => ({
  provider: call.connection.options.provider,
  operation: call.operation.name,
  connection: call.connection.options.id,
  correlationId: call.correlationId,
  attempts: call.attempts,
  elapsed: Duration.millis(Math.max(0, Math.round(now - call.startedAt))),
  requestId: failure.requestId,
  excerpt: failure.excerpt,
  ...(call.body?.isHandedOn === true ? { bytesRead: call.body.bytes } : {})
})

/**
 * The error of a call that sent nothing, since those come in floods when a circuit is open: what its class would make of the fields, by the constructor below that class. That leaves out two things, which are
 * most of what an error costs: the schema, which would check again what our own types say, and the stack, which would show our own run loop and not the caller.
 */
const unsent = <Fields, E extends ProviderError>(made: new (fields: Fields) => E, fields: Fields): E => {
  const limit: unknown = Reflect.get(Error, "stackTraceLimit")
  const isSet = limit !== undefined && Reflect.set(Error, "stackTraceLimit", 0)
  const error: E = Reflect.construct(Data.Error, [fields], made)
  if (isSet) Reflect.set(Error, "stackTraceLimit", limit)
  return error
}

/** Trying again changes nothing. @category constructors @since 0.1.0 */
export const fatal = (call: RunningCall, failure: AttemptFailure, reason: FatalReason, now: number): FatalError => {
  const fields = { _tag: "FatalError", ...contextOf(call, failure, now), reason } as const
  return withCause(call.attempts === 0 ? unsent(FatalError, fields) : new FatalError(fields), failure.cause)
}

/** The provider may have done it. @category constructors @since 0.1.0 */
export const unknown = (call: RunningCall, failure: AttemptFailure, now: number): OutcomeUnknown =>
  withCause(
    new OutcomeUnknown({
      ...contextOf(call, failure, now),
      reason: failure.reason,
      firstSentAt: call.firstSentAt ?? now
    }),
    failure.cause
  )

/** Trying again is safe. @category constructors @since 0.1.0 */
export const retryable = (
  call: RunningCall,
  failure: AttemptFailure,
  reason: RetryableReason,
  now: number,
  keyUntil: number | undefined
): RetryableError => {
  const fields = {
    _tag: "RetryableError",
    ...contextOf(call, failure, now),
    reason,
    sent: call.maybeDone ? "unknown" : "no",
    retryUntil: call.maybeDone ? keyUntil : undefined
  } as const
  return withCause(call.attempts === 0 ? unsent(RetryableError, fields) : new RetryableError(fields), failure.cause)
}

/** The reason of a call whose retry budget is spent. @category constructors @since 0.1.0 */
export const spent = (reason: RetryableReason): RetryableReason =>
  isAttemptReason(reason) ? new RetriesSpent({ last: reason }) : reason

/** The error for a call that ends now: fatal, unknown, or one that may be tried again. @category constructors @since 0.1.0 */
export const ending = (
  call: RunningCall,
  failure: AttemptFailure,
  outcome: "give up" | "final" | "unknown",
  now: number,
  keyUntil: number | undefined
): ProviderError => {
  if (outcome === "unknown") return unknown(call, failure, now)
  return isFatalReason(failure.reason)
    ? fatal(call, failure, failure.reason, now)
    : retryable(call, failure, failure.reason, now, keyUntil)
}
