/**
 * When a window starts anew, in the forms that answers have it: seconds from now, seconds or milliseconds since the epoch, a duration such as `6m0s`. What cannot be read
 * says nothing. @since 0.1.0
 */

/** `auto` tells numbers apart by their size, and takes anything else for a duration. @category models @since 0.1.0 */
export type ResetForm = "auto" | "seconds" | "epoch seconds" | "epoch milliseconds" | "duration"

/** A window of more than 31 days is a field that was misread. @category constants @since 0.1.0 */
export const longestMillis = 31 * 24 * 3600 * 1000

const number = /^\d{1,15}(?:\.\d{1,9})?$/u

/** The form in which Go prints durations, and days. */
const duration = /^(?:\d{1,9}(?:\.\d{1,9})?(?:ms|s|m|h|d))+$/u
const part = /(\d+(?:\.\d+)?)(ms|s|m|h|d)/gu
const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

const ofDuration = (text: string): number | undefined => {
  if (text.length > 64 || !duration.test(text)) return undefined
  let millis = 0
  for (const [, amount, unit = ""] of text.matchAll(part)) millis += Number(amount) * (units[unit] ?? 0)
  return millis
}

const ofNumber = (value: number, form: ResetForm, from: number): number => {
  const isEpochMillis = form === "epoch milliseconds" || (form === "auto" && value >= 1e12)
  if (isEpochMillis) return Math.max(0, value - from)
  const isEpoch = form === "epoch seconds" || (form === "auto" && value >= 1e9)
  return isEpoch ? Math.max(0, value * 1000 - from) : value * 1000
}

const bounded = (millis: number | undefined): number | undefined =>
  millis === undefined || millis > longestMillis ? undefined : millis

/**
 * Milliseconds until the window starts anew, from 0 to 31 days, or `undefined` for what cannot be read or is longer. Times since the epoch count from `from`, the time it was for
 * the provider. @category parsing @since 0.1.0
 */
export const parse = (text: string, form: ResetForm, from: number): number | undefined => {
  const trimmed = text.trim()
  if (form !== "duration" && number.test(trimmed)) return bounded(ofNumber(Number(trimmed), form, from))
  return form === "duration" || form === "auto" ? bounded(ofDuration(trimmed)) : undefined
}
