/**
 * Reads what an answer says about the quota that is left: IETF `RateLimit` (draft-ietf-httpapi-ratelimit-headers) and the `X-RateLimit-*` family
 * (RATE-2). A field that cannot be read says nothing. @since 0.1.0
 */
import { parseList } from "structured-headers"
import * as AnswerTime from "../vocabulary/AnswerTime.ts"
import type { Headers } from "../vocabulary/Platform.ts"

/** @category models @since 0.1.0 */
export interface Quota {
  /** Requests that may still be sent in the window. */
  readonly remaining: number
  /** Milliseconds until the window starts anew. */
  readonly resetMillis: number
}

/** A window of more than 31 days is a field that was misread. */
const longestMillis = 31 * 24 * 3600 * 1000

const whole = (text: string | undefined): number | undefined => {
  const trimmed = text?.trim()
  return trimmed !== undefined && /^\d{1,15}$/u.test(trimmed) ? Number(trimmed) : undefined
}

const bounded = (remaining: number, resetMillis: number): Quota | undefined =>
  resetMillis >= 0 && resetMillis <= longestMillis ? { remaining, resetMillis } : undefined

/** Less is left, or as little for longer. */
const isTighter = (a: Quota, b: Quota): boolean =>
  a.remaining < b.remaining || (a.remaining === b.remaining && a.resetMillis > b.resetMillis)

/** `RateLimit: "default";r=50;t=30`: the tightest of its policies. */
const ofStructuredField = (field: string): Quota | undefined => {
  let tightest: Quota | undefined
  for (const item of listOf(field)) {
    const parameters = item[1]
    const remaining = parameters.get("r")
    const reset = parameters.get("t")
    if (typeof remaining !== "number" || typeof reset !== "number" || !Number.isInteger(remaining) || remaining < 0)
      continue
    const quota = bounded(remaining, reset * 1000)
    if (quota !== undefined && (tightest === undefined || isTighter(quota, tightest))) tightest = quota
  }
  return tightest
}

const listOf = (field: string): ReturnType<typeof parseList> => {
  try {
    return parseList(field)
  } catch {
    return []
  }
}

/** A reset is seconds from now, seconds since the epoch, or milliseconds since the epoch: told apart by size. */
const resetMillis = (value: number, now: number): number => {
  if (value >= 1e12) return Math.max(0, value - now)
  return value >= 1e9 ? Math.max(0, value * 1000 - now) : value * 1000
}

/** The quota that an answer tells of, or `undefined`. The IETF field goes before the `X-` ones. @category parsing @since 0.1.0 */
export const quota = (headers: Headers.Headers, now: number): Quota | undefined => {
  const field = headers["ratelimit"]
  if (field !== undefined) {
    const read = ofStructuredField(field)
    if (read !== undefined) return read
  }
  const remaining = whole(headers["x-ratelimit-remaining"] ?? headers["ratelimit-remaining"])
  const reset = whole(headers["x-ratelimit-reset"] ?? headers["ratelimit-reset"])
  if (remaining === undefined || reset === undefined) return undefined
  return bounded(remaining, resetMillis(reset, AnswerTime.ofAnswer(headers, now)))
}
