/**
 * Whether a failed attempt may be followed by another, and how long to wait (SAFE-2 to SAFE-4). What counts as a failure is the error table's business;
 * what a retry costs is the retry budget's. ADR 0004. @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type { ResolvedPolicy } from "../definition/CallPolicy.ts"
import type { AttemptFailure, BackoffSchedule } from "../vocabulary/AttemptFailure.ts"
import { isFatalReason } from "../vocabulary/FatalReason.ts"
import type { Safety } from "../vocabulary/Safety.ts"

/** A policy's `backoff`, resolved. @category models @since 0.1.0 */
export type Backoff = ResolvedPolicy["backoff"]

/**
 * Full jitter: uniform between zero and the ceiling, which doubles up to the cap; a throttled attempt has a ceiling of its own.
 * **Details** A hint is not this schedule's business: the pipeline adds it as a floor, so that jitter stays on top of it and many callers with one hint
 * do not return together. @category schedules @since 0.1.0
 */
export const fullJitter = (backoff: Backoff): BackoffSchedule =>
  Schedule.forever.pipe(
    Schedule.setInputType<AttemptFailure>(),
    Schedule.modifyDelay(({ attempt, input }) => {
      const base = input.reason._tag === "RateLimited" ? backoff.throttledBaseMillis : backoff.baseMillis
      const ceiling = Math.min(backoff.capMillis, base * 2 ** Math.min(attempt - 1, 40))
      return Effect.map(Random.next, (share) => Duration.millis(ceiling * share))
    })
  )

/** What is known of a call when an attempt has failed. @category models @since 0.1.0 */
export interface Situation {
  readonly safety: Safety
  /** Attempts sent, the failed one included. */
  readonly attempts: number
  readonly maxAttempts: number
  /** Whether any attempt, the failed one included, may have been carried out. */
  readonly maybeDone: boolean
  /** Instant after which the idempotency key must not be sent; `undefined` without a key. */
  readonly keyUntil: number | undefined
  /** Whether the body can be sent again; a stream cannot. */
  readonly replayable: boolean
}

/**
 * `again`: another attempt is safe. `give up`: the caller may try again later. `final`: trying again changes nothing. `unknown`: it may have been
 * done, and nothing more may be sent.
 * @category models @since 0.1.0
 */
export type Next = "again" | "give up" | "final" | "unknown"

/**
 * The one answer that tells that an earlier attempt was not carried out: the request is wrong, so it was wrong then. A 409 or a 404 may be what the earlier one
 * left behind, a 401 or 403 is given without a look at the request.
 */
const conclusive = new Set(["InvalidRequest"])

const isWrite = (safety: Safety): boolean => safety === "keyed" || safety === "unsafe"

/** What may follow a failed attempt. @category accessors @since 0.1.0 */
export const next = (situation: Situation, failure: AttemptFailure, now: number): Next => {
  const { attempts, keyUntil, maxAttempts, maybeDone, replayable, safety } = situation
  const doubtful = maybeDone && isWrite(safety)
  if (isFatalReason(failure.reason)) return doubtful && !conclusive.has(failure.reason._tag) ? "unknown" : "final"
  if (doubtful && safety === "unsafe") return "unknown"
  if (doubtful && failure.replayed) return "unknown"
  if (doubtful && now >= (keyUntil ?? Number.POSITIVE_INFINITY)) return "unknown"
  return attempts < maxAttempts && replayable ? "again" : "give up"
}
