/**
 * What a protected call fails with: one class for each *decision that the caller must take*, a `reason` that says why. Every field is text
 * that was redacted before the error was made; nothing of the raw request is reachable from it (ADR 0003). @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { FatalReason } from "./FatalReason.ts"
import type { ProblemDetails } from "./Platform.ts"
import { RetryableReason, retryAfter } from "./RetryableReason.ts"

const context = {
  /** Name of the provider, such as `stripe`. */
  provider: Schema.String,
  /** Full name of the operation, such as `stripe.paymentIntents.create`. */
  operation: Schema.String,
  /** The authorised link that was used. */
  connection: Schema.String,
  /** One id for all attempts of the call; sent as `X-Request-ID`, found in every log line. */
  correlationId: Schema.String,
  /** Requests sent, the first included; 0 when nothing left the process. */
  attempts: Schema.Int,
  /** From the start of the call to its end, waits included. */
  elapsed: Schema.Duration,
  /** The provider's id of the last answered request, to quote to its support. */
  requestId: Schema.optional(Schema.String),
  /** The first 2 KiB of the last answer's body, sanitised. */
  excerpt: Schema.optional(Schema.String),
  /** Of a body that was read as it came: bytes that the reader had been given when it broke. */
  bytesRead: Schema.optional(Schema.Int)
}

const after = (bytes: number | undefined): string => (bytes === undefined ? "" : ` after ${bytes} bytes`)

/**
 * Trying again is safe, with the same key where there is one, not after `retryUntil`. `sent` is `"no"` when no request left the process or
 * every one was refused before work. @category errors @since 0.1.0
 */
export class RetryableError extends Schema.TaggedError<RetryableError>("@breakwater/core/ProviderError/RetryableError")(
  "RetryableError",
  {
    ...context,
    reason: RetryableReason,
    sent: Schema.Literals(["no", "unknown"]),
    /** Milliseconds since the epoch after which the key must not be sent again. */
    retryUntil: Schema.optional(Schema.Number)
  }
) {
  /** How long to wait before trying again, where the provider or a policy of ours said. */
  get retryAfter(): Duration.Duration | undefined {
    return retryAfter(this.reason)
  }
  override get message(): string {
    return `${this.operation}: ${this.reason.message}${after(this.bytesRead)}`
  }
}

/** Trying again changes nothing. @category errors @since 0.1.0 */
export class FatalError extends Schema.TaggedError<FatalError>("@breakwater/core/ProviderError/FatalError")(
  "FatalError",
  {
    ...context,
    reason: FatalReason
  }
) {
  override get message(): string {
    return `${this.operation}: ${this.reason.message}${after(this.bytesRead)}`
  }
}

/** The provider may have done it. Never sent again by us: find out first. @category errors @since 0.1.0 */
export class OutcomeUnknown extends Schema.TaggedError<OutcomeUnknown>("@breakwater/core/ProviderError/OutcomeUnknown")(
  "OutcomeUnknown",
  {
    ...context,
    /** Of the last attempt. Fatal where that one was refused but an earlier one may have been carried out. */
    reason: Schema.Union([RetryableReason, FatalReason]),
    /** Milliseconds since the epoch at which the first request left. */
    firstSentAt: Schema.Number
  }
) {
  override get message(): string {
    return `${this.operation}: outcome unknown, ${this.reason.message}${after(this.bytesRead)}`
  }
}

/** @category errors @since 0.1.0 */
export type ProviderError = RetryableError | FatalError | OutcomeUnknown

/** @category schemas @since 0.1.0 */
export const ProviderError = Schema.Union([RetryableError, FatalError, OutcomeUnknown])

/** @category guards @since 0.1.0 */
export const isProviderError = (u: unknown): u is ProviderError =>
  u instanceof RetryableError || u instanceof FatalError || u instanceof OutcomeUnknown

const statusOf = (error: ProviderError): number => {
  if (error._tag !== "RetryableError") return 502
  return error.reason._tag === "DeadlineExceeded" || error.reason._tag === "Timeout" ? 504 : 503
}

const titles = {
  RetryableError: "A service that we depend on is not available",
  FatalError: "A service that we depend on refused the request",
  OutcomeUnknown: "We do not know yet whether the request was carried out"
}

/**
 * The error as an answer for your own callers (RFC 9457): a status, a title and the correlation id. Nothing of the provider's is in it
 * (SAFE-11). @category encoding @since 0.1.0
 */
export const toProblem = (error: ProviderError): ProblemDetails.ProblemDetails => {
  const problem = {
    type: "about:blank",
    status: statusOf(error),
    title: titles[error._tag],
    instance: `urn:breakwater:call:${error.correlationId}`
  }
  const wait = error._tag === "RetryableError" ? error.retryAfter : undefined
  return wait === undefined ? problem : { ...problem, retryAfter: Math.ceil(Duration.toSeconds(wait)) }
}

/** A status that says by itself that something failed. */
const isFailure = (status: number): boolean => status < 200 || status > 299

const codes = new Map<string, string>()

/** `CircuitOpen` to `CIRCUIT_OPEN`. Tags are few, so each is turned once. */
const inCapitals = (tag: string): string => {
  const known = codes.get(tag)
  if (known !== undefined) return known
  const code = tag.replaceAll(/(?<=[a-z])(?=[A-Z])/gu, "_").toUpperCase()
  codes.set(tag, code)
  return code
}

/**
 * The error code of a log line: a closed list that alerts can name (OBS-1). `HTTP_<status>` for an answer that says that it failed, `ETIMEDOUT` and `ECONN` for the wire,
 * `RESPONSE_INVALID` for drift, `RESPONSE_UNREADABLE` for a success that is not the JSON it should be, the reason's own name in capitals for a refusal of ours.
 * @category encoding @since 0.1.0
 */
export const errorCode = (reason: RetryableReason | FatalReason): string => {
  if (reason._tag === "ResponseInvalid") return "RESPONSE_INVALID"
  if ("status" in reason && Predicate.isNumber(reason.status) && isFailure(reason.status))
    return `HTTP_${reason.status}`
  switch (reason._tag) {
    case "Timeout":
      return "ETIMEDOUT"
    case "TransportFailed":
      return "ECONN"
    case "RetriesSpent":
      return errorCode(reason.last)
    case "Unavailable":
      return reason.problem === "not JSON" || reason.problem === "empty body" ? "RESPONSE_UNREADABLE" : "UNAVAILABLE"
    default:
      return inCapitals(reason._tag)
  }
}
