/**
 * Why a call failed in a way that trying again may mend. One class for each trigger; each is plain data, redacted before it was made, and takes
 * no stack: the error around it has one. The table of triggers is in `docs/errors.md`. @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"

/** In whole milliseconds: a wait that was drawn at random has nanoseconds. */
const inTime = (retryAfter: Duration.Duration | undefined): string =>
  retryAfter === undefined
    ? ""
    : `, retry in ${Duration.format(Duration.millis(Math.ceil(Duration.toMillis(retryAfter))))}`

const answer = {
  /** HTTP status of the answer, where there was one. */
  status: Schema.optional(Schema.Int),
  /** The provider's own error code, where its error table reads one. */
  code: Schema.optional(Schema.String)
}

/** Called too often: 429, a throttle code of the provider, or our own rate budget (`by: "budget"`, nothing sent). @category reasons @since 0.1.0 */
export class RateLimited extends Schema.TaggedClass<RateLimited>("@breakwater/core/RetryableReason/RateLimited")(
  "RateLimited",
  {
    ...answer,
    by: Schema.Literals(["provider", "budget"]),
    retryAfter: Schema.optional(Schema.Duration)
  }
) {
  get message(): string {
    return `rate limited by the ${this.by === "provider" ? "provider" : "rate budget"}${inTime(this.retryAfter)}`
  }
}

const unavailable = {
  status: (status: number) => `answered ${status}`,
  "not JSON": (status: number) => `answered ${status} with a body that is not JSON`,
  "empty body": (status: number) => `answered ${status} with an empty body`,
  failure: () => "failed in a way that may pass"
}

/** The provider could not serve: 5xx except 501 and 505, or an answer that is not the JSON that was declared. @category reasons @since 0.1.0 */
export class Unavailable extends Schema.TaggedClass<Unavailable>("@breakwater/core/RetryableReason/Unavailable")(
  "Unavailable",
  {
    ...answer,
    problem: Schema.Literals(["status", "not JSON", "empty body", "failure"]),
    retryAfter: Schema.optional(Schema.Duration)
  }
) {
  get message(): string {
    return unavailable[this.problem](this.status ?? 0) + inTime(this.retryAfter)
  }
}

/** No answer in time. `connect`: no connection; `silence`: no byte for so long; `attempt`: the whole attempt took too long. @category reasons @since 0.1.0 */
export class Timeout extends Schema.TaggedClass<Timeout>("@breakwater/core/RetryableReason/Timeout")("Timeout", {
  phase: Schema.Literals(["connect", "silence", "attempt"]),
  after: Schema.Duration
}) {
  get message(): string {
    return `${this.phase} timeout after ${Duration.format(this.after)}`
  }
}

/** DNS, refused, reset, TLS, or a body that ended early. `code` is the system's, such as `ECONNRESET`. @category reasons @since 0.1.0 */
export class TransportFailed extends Schema.TaggedClass<TransportFailed>(
  "@breakwater/core/RetryableReason/TransportFailed"
)("TransportFailed", {
  code: Schema.String
}) {
  get message(): string {
    return `transport failed with ${this.code}`
  }
}

/** Another request for the same thing is in flight: 409, 423 or 425 where the error table says so, or the key is in use here. @category reasons @since 0.1.0 */
export class Locked extends Schema.TaggedClass<Locked>("@breakwater/core/RetryableReason/Locked")("Locked", {
  ...answer,
  retryAfter: Schema.optional(Schema.Duration)
}) {
  get message(): string {
    return `locked by a request in flight${inTime(this.retryAfter)}`
  }
}

/** The circuit breaker is open; nothing was sent. @category reasons @since 0.1.0 */
export class CircuitOpen extends Schema.TaggedClass<CircuitOpen>("@breakwater/core/RetryableReason/CircuitOpen")(
  "CircuitOpen",
  {
    retryAfter: Schema.Duration
  }
) {
  get message(): string {
    return `circuit open${inTime(this.retryAfter)}`
  }
}

/** The bulkhead's queue is full, or the call queued too long; nothing was sent. @category reasons @since 0.1.0 */
export class Overloaded extends Schema.TaggedClass<Overloaded>("@breakwater/core/RetryableReason/Overloaded")(
  "Overloaded",
  {
    problem: Schema.Literals(["queue full", "queued too long", "throttled"]),
    concurrency: Schema.Int
  }
) {
  get message(): string {
    return this.problem === "throttled"
      ? "overloaded: throttled, the provider refuses most of what is sent"
      : `overloaded: ${this.problem} behind ${this.concurrency} calls`
  }
}

/** No time left before the call's deadline. @category reasons @since 0.1.0 */
export class DeadlineExceeded extends Schema.TaggedClass<DeadlineExceeded>(
  "@breakwater/core/RetryableReason/DeadlineExceeded"
)("DeadlineExceeded", {
  deadline: Schema.Duration
}) {
  get message(): string {
    return `deadline of ${Duration.format(this.deadline)} exceeded`
  }
}

/** The source of the credential, or its token endpoint, is down; nothing was sent. @category reasons @since 0.1.0 */
export class CredentialUnavailable extends Schema.TaggedClass<CredentialUnavailable>(
  "@breakwater/core/RetryableReason/CredentialUnavailable"
)("CredentialUnavailable", {
  detail: Schema.String
}) {
  get message(): string {
    return `credential unavailable: ${this.detail}`
  }
}

/** An operator has stopped it (`Calls.stop`), or `Config` has; nothing was sent. @category reasons @since 0.1.0 */
export class Stopped extends Schema.TaggedClass<Stopped>("@breakwater/core/RetryableReason/Stopped")("Stopped", {
  /** Whose decision it is, in their own words. */
  by: Schema.String
}) {
  get message(): string {
    return `stopped by ${this.by}`
  }
}

/** The store that remembers writes could not be asked, and a write that is not remembered may be made twice; nothing was sent. @category reasons @since 0.1.0 */
export class StoreUnavailable extends Schema.TaggedClass<StoreUnavailable>(
  "@breakwater/core/RetryableReason/StoreUnavailable"
)("StoreUnavailable", {
  /** Which store, such as `idempotency`. */
  store: Schema.String,
  /** What was asked of it, such as `claim`. */
  operation: Schema.String,
  /** Why it could not: a `Problem` of `StoreError`, such as `unavailable` or `timeout`. */
  problem: Schema.String
}) {
  get message(): string {
    return `${this.store} store, ${this.operation}: ${this.problem}`
  }
}

const AttemptReason = Schema.Union([RateLimited, Unavailable, Timeout, TransportFailed, Locked])

/** The retry budget is spent. Carries the reason of the last attempt. @category reasons @since 0.1.0 */
export class RetriesSpent extends Schema.TaggedClass<RetriesSpent>("@breakwater/core/RetryableReason/RetriesSpent")(
  "RetriesSpent",
  {
    last: AttemptReason
  }
) {
  get message(): string {
    return `retry budget spent: ${this.last.message}`
  }
  get retryAfter(): Duration.Duration | undefined {
    return "retryAfter" in this.last ? this.last.retryAfter : undefined
  }
}

/** @category reasons @since 0.1.0 */
export type RetryableReason =
  | RateLimited
  | Unavailable
  | Timeout
  | TransportFailed
  | Locked
  | CircuitOpen
  | Overloaded
  | RetriesSpent
  | DeadlineExceeded
  | CredentialUnavailable
  | Stopped
  | StoreUnavailable

/** The reasons that an attempt on the wire can end with; the others are refusals of ours. @category reasons @since 0.1.0 */
export type AttemptReason = typeof AttemptReason.Type

/** @category schemas @since 0.1.0 */
export const RetryableReason = Schema.Union([
  RateLimited,
  Unavailable,
  Timeout,
  TransportFailed,
  Locked,
  CircuitOpen,
  Overloaded,
  RetriesSpent,
  DeadlineExceeded,
  CredentialUnavailable,
  Stopped,
  StoreUnavailable
])

/** True for what `RetriesSpent` may carry. @category guards @since 0.1.0 */
export const isAttemptReason: (reason: unknown) => reason is AttemptReason = Schema.is(AttemptReason)

/** How long the provider, or the policy that refused, asks us to wait. @category accessors @since 0.1.0 */
export const retryAfter = (reason: RetryableReason): Duration.Duration | undefined =>
  "retryAfter" in reason ? reason.retryAfter : undefined
