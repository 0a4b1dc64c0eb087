/**
 * What one failed attempt came to, in the words that every policy decides by: may it be sent again, does it count against the provider's health,
 * how long did the provider ask us to wait. @since 0.1.0
 */
import type * as Schedule from "effect/Schedule"
import type { FatalReason } from "./FatalReason.ts"
import type { RetryableReason } from "./RetryableReason.ts"

/** @category models @since 0.1.0 */
export interface AttemptFailure {
  readonly reason: RetryableReason | FatalReason
  /**
   * `no`: nothing left the process, or nothing reached the provider. `refused`: the provider said that it did no work. `unknown`: it may have.
   */
  readonly sent: "no" | "refused" | "unknown"
  /** Whether it speaks against the provider's health: transport failures, timeouts and 5xx do; 4xx, 429, locks and drift do not. */
  readonly unhealthy: boolean
  /** `connection`: what is unhealthy is this connection alone, such as one tenant's account; the circuit of the origin takes it for an answer. Default: the origin as well. */
  readonly concerns?: "connection" | undefined
  /** The provider's hint, in milliseconds from the answer. */
  readonly hintMillis: number | undefined
  /** The answer is one that the provider stored under the idempotency key: sending the key again gives the same. */
  readonly replayed: boolean
  readonly status: number | undefined
  readonly requestId: string | undefined
  /** Sanitised start of the body. */
  readonly excerpt: string | undefined
  /** A sanitised stand-in for the original failure. */
  readonly cause: Error | undefined
}

/** A schedule that is given each failed attempt and decides the wait before the next. @category models @since 0.1.0 */
export type BackoffSchedule = Schedule.Schedule<unknown, AttemptFailure>

const plain = {
  unhealthy: false,
  hintMillis: undefined,
  replayed: false,
  status: undefined,
  requestId: undefined,
  excerpt: undefined,
  cause: undefined
}

/** A refusal of ours: nothing was sent by it. @category constructors @since 0.1.0 */
export const refusal = (reason: RetryableReason | FatalReason): AttemptFailure => ({ ...plain, reason, sent: "no" })

/** The attempt went out and no answer came. @category constructors @since 0.1.0 */
export const unanswered = (
  reason: RetryableReason | FatalReason,
  options: {
    readonly sent: "no" | "unknown"
    readonly unhealthy: boolean
    readonly cause?: Error | undefined
  }
): AttemptFailure => ({ ...plain, reason, ...options, cause: options.cause })
