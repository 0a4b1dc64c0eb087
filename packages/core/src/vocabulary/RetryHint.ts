/**
 * What an answer says about when to come back: `retry-after-ms`, then `Retry-After` in seconds or as an HTTP-date (RFC 9110 §10.2.3, SAFE-4).
 * Whatever cannot be read, or is negative, is no hint. @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import { Headers } from "./Platform.ts"

/** A hint of more than a year is a broken clock, not a wish. */
const longestMillis = 366 * 24 * 3600 * 1000

const milliseconds = /^\d{1,12}(\.\d{1,6})?$/u

/**
 * Milliseconds to wait, counted from `now`, or `undefined` without a readable hint. A date in the past is 0. Never negative, never more than 366
 * days. @category parsing @since 0.1.0
 */
export const fromHeaders = (headers: Headers.Headers, now: number): number | undefined => {
  const exact = headers["retry-after-ms"]
  if (exact !== undefined && milliseconds.test(exact.trim())) return Math.min(Number(exact), longestMillis)
  const value = headers["retry-after"]
  if (value === undefined) return undefined
  const parsed = Headers.parseRetryAfter(value)
  if (Result.isFailure(parsed)) return undefined
  return Math.min(Duration.toMillis(Headers.retryAfterDelay(parsed.success, now)), longestMillis)
}
