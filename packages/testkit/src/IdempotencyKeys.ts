/**
 * A part of a simulated provider's protocol: answers kept under the idempotency key of their request, and given again.
 *
 * Kept is every answer for which the endpoint began its work, errors and all. What was refused before that is forgotten, so that the key may be used again.
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Answer, Received } from "./Exchange.ts"
import * as Exchanges from "./Exchange.ts"
import type { Handle, Part } from "./SimulatedProvider.ts"

/** @category models @since 0.1.0 */
export interface Options {
  /** Name of the request header. */
  readonly header: string
  /** How long an answer is kept, from its request. */
  readonly window: Duration.Input
  /** Methods that take keys; with others the header is ignored. Default `POST`. */
  readonly methods?: ReadonlyArray<string> | undefined
  /** Longest key, in characters. Default 255. */
  readonly maxLength?: number | undefined
  /** What must be the same when a key is used again. Default method, target and body. */
  readonly fingerprint?: ((request: Received) => string) | undefined
  /** Headers added to an answer that is given again. Default none. */
  readonly replayedHeaders?: Readonly<Record<string, string>> | undefined
  /** The request that the key belongs to is not answered yet. Default 409. */
  readonly inUse?: ((key: string) => Answer) | undefined
  /** The key belongs to another request. Default 422. */
  readonly mismatch?: ((key: string) => Answer) | undefined
  /** The key is too long. Default 400. */
  readonly tooLong?: ((key: string) => Answer) | undefined
}

interface Kept {
  readonly fingerprint: string
  readonly until: number
  /** `undefined` while the request is under way. */
  answer: Answer | undefined
}

/**
 * What a key that cannot be used is answered with when the provider does not say: the statuses of the IETF's draft.
 * @see https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/ (read 2026-11-21)
 */
const refusals = {
  inUse: () => Exchanges.json(409, { error: "a request with this idempotency key is in progress" }),
  mismatch: () => Exchanges.json(422, { error: "the idempotency key was used for another request" }),
  tooLong: () => Exchanges.json(400, { error: "the idempotency key is too long" })
}

const exact = (request: Received): string => `${request.method} ${request.target}\n${Exchanges.text(request)}`

/** Forgets the keys whose time is over: they were added in the order in which they end. */
const prune = (kept: Map<string, Kept>, now: number): void => {
  for (const [key, { until }] of kept) {
    if (until > now) return
    kept.delete(key)
  }
}

/** Keeps answers under keys. @category constructors @since 0.1.0 */
export const make = (options: Options): Part => {
  const { fingerprint = exact, maxLength = 255, methods = ["POST"] } = options
  const { inUse = refusals.inUse, mismatch = refusals.mismatch, tooLong = refusals.tooLong } = options
  const header = options.header.toLowerCase()
  const windowMillis = Duration.toMillis(options.window)
  const kept = new Map<string, Kept>()
  const again = (answer: Answer): Answer => ({
    ...answer,
    headers: { ...answer.headers, ...options.replayedHeaders },
    executed: false
  })
  const first = (next: Handle, request: Received, key: string, print: string, now: number): Effect.Effect<Answer> => {
    const entry: Kept = { fingerprint: print, until: now + windowMillis, answer: undefined }
    kept.set(key, entry)
    return Effect.onExit(next(request), (exit) =>
      Effect.sync(() => {
        if (Exit.isSuccess(exit) && exit.value.executed) entry.answer = exit.value
        else if (kept.get(key) === entry) kept.delete(key)
      })
    )
  }
  return (next) => (request) => {
    const key = request.headers[header]
    if (key === undefined || key === "" || !methods.includes(request.method)) return next(request)
    if (key.length > maxLength) return Effect.succeed(tooLong(key))
    return Effect.flatMap(Clock.currentTimeMillis, (now) => {
      prune(kept, now)
      const print = fingerprint(request)
      const entry = kept.get(key)
      if (entry === undefined) return first(next, request, key, print, now)
      if (entry.fingerprint !== print) return Effect.succeed(mismatch(key))
      return Effect.succeed(entry.answer === undefined ? inUse(key) : again(entry.answer))
    })
  }
}
