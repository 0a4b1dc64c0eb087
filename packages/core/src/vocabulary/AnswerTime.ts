/**
 * What time it was for the provider when it answered: its clock may be minutes off ours, so times that it tells count from its own `Date` (RFC 9110 §6.6.1).
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Result from "effect/Result"
import { Headers } from "./Platform.ts"

/** An HTTP-date is 29 characters, and an old form of it not much longer. */
const longestText = 64

/** Milliseconds since the epoch of an HTTP-date in any of its three forms (RFC 9110 §5.6.7), or `undefined`. @category parsing @since 0.1.0 */
export const ofHttpDate = (text: string): number | undefined => {
  if (text.length > longestText) return undefined
  const parsed = Headers.parseHttpDate(text)
  return Result.isSuccess(parsed) ? DateTime.toEpochMillis(parsed.success) : undefined
}

/** The answer's `Date` in milliseconds since the epoch, or `now` where it has none that can be read. @category accessors @since 0.1.0 */
export const ofAnswer = (headers: Headers.Headers, now: number): number => {
  const date = headers["date"]
  return (date === undefined ? undefined : ofHttpDate(date)) ?? now
}
