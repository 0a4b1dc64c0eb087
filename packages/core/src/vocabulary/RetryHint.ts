/**
 * What an answer says about when to come back: `retry-after-ms`, then `Retry-After` in seconds or as an HTTP-date (RFC 9110 §10.2.3, SAFE-4). A date counts from
 * the answer's own `Date`. Whatever cannot be read, or is negative, is no hint. @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as AnswerTime from "./AnswerTime.ts"
import { Headers } from "./Platform.ts"

/** A hint of more than a year is a broken clock, not a wish. */
const longestMillis = 366 * 24 * 3600 * 1000

const milliseconds = /^\d{1,12}(\.\d{1,6})?$/u

/**
 * Milliseconds to wait, or `undefined` without a readable hint. A date that was past when the answer was made is 0; without a `Date` it counts from `now`. Never
 * negative, never more than 366 days. @category parsing @since 0.1.0
 */
export const fromHeaders = (headers: Headers.Headers, now: number): number | undefined => {
  const exact = headers["retry-after-ms"]
  if (exact !== undefined && milliseconds.test(exact.trim())) return Math.min(Number(exact), longestMillis)
  const value = headers["retry-after"]
  if (value === undefined) return undefined
  const parsed = Headers.parseRetryAfter(value)
  if (Result.isFailure(parsed)) return undefined
  const { success: hint } = parsed
  const from = hint._tag === "Duration" ? now : AnswerTime.ofAnswer(headers, now)
  return Math.min(Duration.toMillis(Headers.retryAfterDelay(hint, from)), longestMillis)
}
