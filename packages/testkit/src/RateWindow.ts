/**
 * A part of a simulated provider's protocol: so many requests in a window that slides. @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Answer, Received } from "./Exchange.ts"
import type { Part } from "./SimulatedProvider.ts"

/** What is left of a window. @category models @since 0.1.0 */
export interface Left {
  readonly limit: number
  readonly remaining: number
  /** Milliseconds since the epoch at which the window has more again. */
  readonly resetAtMillis: number
}

/** @category models @since 0.1.0 */
export interface Options {
  /** Requests in any window, 1 or more; `Infinity` for no limit. What is refused does not count. */
  readonly limit: number
  /** Default `"1 second"`. */
  readonly window?: Duration.Input | undefined
  /** 429, in the provider's words, with the milliseconds until the next request would be let through. */
  readonly refusal: (request: Received, waitMillis: number) => Answer
  /** Headers by which every answer tells what is left, in the provider's dialect. Default none. */
  readonly headers?: ((left: Left) => Readonly<Record<string, string>>) | undefined
}

/** Refuses what exceeds the limit. Throws a `RangeError` for a limit below 1. @category constructors @since 0.1.0 */
export const make = (options: Options): Part => {
  const { limit, refusal } = options
  if (!(limit >= 1)) throw new RangeError(`RateWindow.make: limit must be 1 or more, got ${limit}`)
  const windowMillis = Duration.toMillis(options.window ?? Duration.seconds(1))
  let taken: Array<number> = []
  const told = (now: number) => {
    const left = {
      limit,
      remaining: Math.max(0, limit - taken.length),
      resetAtMillis: (taken[0] ?? now) + windowMillis
    }
    const headers = options.headers?.(left)
    return (answer: Answer): Answer =>
      headers === undefined ? answer : { ...answer, headers: { ...answer.headers, ...headers } }
  }
  return (next) => {
    if (limit === Number.POSITIVE_INFINITY) return next
    return (request) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        taken = taken.filter((at) => now - at < windowMillis)
        const oldest = taken[0]
        if (oldest !== undefined && taken.length >= limit)
          return Effect.succeed(told(now)(refusal(request, oldest + windowMillis - now)))
        taken.push(now)
        return Effect.map(next(request), told(now))
      })
  }
}
