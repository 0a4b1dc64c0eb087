/**
 * What an answer says about when to come back, or how much may still be sent: the dialects that clients meet, readable and not. @since 0.1.0
 */
import { Headers } from "@breakwater/core/Platform"
import * as DateTime from "effect/DateTime"

/** @category models @since 0.1.0 */
export type Hint =
  | { readonly _tag: "Seconds"; readonly seconds: number }
  | { readonly _tag: "HttpDate"; readonly seconds: number }
  | { readonly _tag: "Milliseconds"; readonly millis: number }
  | { readonly _tag: "Unreadable"; readonly value: string }
  | { readonly _tag: "XRateLimit"; readonly remaining: number; readonly resetSeconds: number; readonly epoch: boolean }
  | { readonly _tag: "RateLimit"; readonly remaining: number; readonly resetSeconds: number }

/** `Retry-After: 2`. @category constructors @since 0.1.0 */
export const seconds = (seconds: number): Hint => ({ _tag: "Seconds", seconds })

/** `Retry-After` as the date so many seconds from the answer (RFC 9110 §10.2.3). @category constructors @since 0.1.0 */
export const httpDate = (seconds: number): Hint => ({ _tag: "HttpDate", seconds })

/** `retry-after-ms`, as some providers send it. @category constructors @since 0.1.0 */
export const milliseconds = (millis: number): Hint => ({ _tag: "Milliseconds", millis })

/** A `Retry-After` that says nothing. Default `"soon-ish"`. @category constructors @since 0.1.0 */
export const unreadable = (value = "soon-ish"): Hint => ({ _tag: "Unreadable", value })

/** `Retry-After` of a day: longer than any caller waits. @category constructors @since 0.1.0 */
export const aDay: Hint = seconds(86_400)

/** What is left of a quota, and when it starts anew. @category models @since 0.1.0 */
export interface Quota {
  /** Default 0. */
  readonly remaining?: number | undefined
  readonly resetSeconds: number
}

/** `X-RateLimit-Remaining` and `X-RateLimit-Reset`, the reset as seconds from now, or since the epoch. @category constructors @since 0.1.0 */
export const xRateLimit = (
  quota: Quota & {
    /** Whether the reset is a time since the epoch. Default false. */
    readonly epoch?: boolean | undefined
  }
): Hint => ({
  _tag: "XRateLimit",
  remaining: quota.remaining ?? 0,
  resetSeconds: quota.resetSeconds,
  epoch: quota.epoch ?? false
})

/** The IETF's `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers). @category constructors @since 0.1.0 */
export const rateLimit = (quota: Quota): Hint => ({
  _tag: "RateLimit",
  remaining: quota.remaining ?? 0,
  resetSeconds: quota.resetSeconds
})

/** An instant in milliseconds since the epoch as an HTTP-date, which knows seconds (RFC 9110 §5.6.7). @category conversions @since 0.1.0 */
export const httpDateOf = (millis: number): string => Headers.formatHttpDate(DateTime.makeUnsafe(millis))

/** The hint as response headers, `now` in milliseconds since the epoch. @category conversions @since 0.1.0 */
export const headers = (hint: Hint, now: number): Record<string, string> => {
  switch (hint._tag) {
    case "Seconds":
      return { "retry-after": String(hint.seconds) }
    case "HttpDate":
      return { "retry-after": httpDateOf(now + hint.seconds * 1000) }
    case "Milliseconds":
      return { "retry-after-ms": String(hint.millis) }
    case "Unreadable":
      return { "retry-after": hint.value }
    case "XRateLimit": {
      const reset = hint.epoch ? Math.ceil(now / 1000) + hint.resetSeconds : hint.resetSeconds
      return { "x-ratelimit-remaining": String(hint.remaining), "x-ratelimit-reset": String(reset) }
    }
    case "RateLimit":
      return {
        ratelimit: `"default";r=${hint.remaining};t=${hint.resetSeconds}`,
        "ratelimit-policy": `"default";q=100;w=${Math.max(1, hint.resetSeconds)}`
      }
  }
}

/** The hint in a few words, for the names of faults. @category conversions @since 0.1.0 */
export const inWords = (hint: Hint): string => {
  switch (hint._tag) {
    case "Seconds":
      return `Retry-After ${hint.seconds} s`
    case "HttpDate":
      return `Retry-After as a date in ${hint.seconds} s`
    case "Milliseconds":
      return `retry-after-ms ${hint.millis}`
    case "Unreadable":
      return `Retry-After "${hint.value}"`
    case "XRateLimit":
      return `X-RateLimit ${hint.remaining} left for ${hint.resetSeconds} s${hint.epoch ? " (epoch)" : ""}`
    case "RateLimit":
      return `RateLimit ${hint.remaining} left for ${hint.resetSeconds} s`
  }
}
