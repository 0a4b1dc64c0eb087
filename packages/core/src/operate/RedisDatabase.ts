/** What the Redis stores have in common: the names of their keys, their errors and their bound on time. *Now* is the server's. @internal */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type { Place, Problem, StoreError } from "../store/StoreError.ts"
import { make as storeError } from "../store/StoreError.ts"
import * as Redaction from "../vocabulary/Redaction.ts"
import { within } from "./Bounded.ts"
import { Redis } from "./Drivers.ts"

/** @category models @since 0.1.0 */
export interface RedisOptions {
  /**
   * What all keys begin with, at most 60 characters. On a cluster it must have a hash tag, such as `{breakwater}`, since scripts touch several keys. Default `breakwater`.
   * @see https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags (read 2026-11-21)
   */
  readonly prefix?: string | undefined
  /** How long one request may take; a client that has lost its connection queues it meanwhile. Default `"2 seconds"`. */
  readonly timeout?: Duration.Input | undefined
}

/** The values used when an option is left out. */
const defaults = { prefix: "breakwater", timeout: "2 seconds" } as const satisfies RedisOptions

/** A script, the keys it touches and what it is given. @category models @since 0.1.0 */
export interface Request {
  readonly keys: ReadonlyArray<string>
  readonly values: ReadonlyArray<string | number>
}

/** @category models @since 0.1.0 */
export interface RedisDatabase {
  /** The name of a key. */
  readonly key: (...parts: ReadonlyArray<string>) => string
  /** Runs a script in one step. */
  readonly run: <A>(place: Place, script: Script<A>, request: Request) => Effect.Effect<A, StoreError>
}

/** @category models @since 0.1.0 */
export type Script<A> = Redis.Script<{ params: [Request]; result: A }>

/** A script, after a line that reads the server's clock into `now`, in milliseconds. @category constructors @since 0.1.0 */
export const script = <A>(lua: string): Script<A> =>
  Redis.script(({ keys, values }: Request) => [...keys, ...values], {
    lua: `local time = redis.call('TIME')\nlocal now = time[1] * 1000 + math.floor(time[2] / 1000)\nlocal function text(number) return string.format('%.0f', number) end\n${lua}`,
    numberOfKeys: ({ keys }: Request) => keys.length
  }).withReturnType<A>()

const redaction = Redaction.make()

/** The first word of an answer of the server's, where it has a meaning of its own. @see https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors (read 2026-11-21) */
const words: Readonly<Record<string, Problem>> = {
  OOM: "full",
  MISCONF: "full",
  WRONGTYPE: "corrupt",
  LOADING: "busy",
  BUSY: "busy",
  TRYAGAIN: "busy",
  READONLY: "unavailable",
  MASTERDOWN: "unavailable",
  CLUSTERDOWN: "unavailable",
  NOAUTH: "unavailable",
  WRONGPASS: "unavailable"
}

/** An error of the client, without what it holds on to. What the server did not say itself is trouble with the connection. */
const fromRedis = (place: Place, { cause }: Redis.RedisError): StoreError => {
  const { message } = Redaction.safeCause(cause, redaction)
  const word = /^[A-Z]{2,}/u.exec(message)?.[0] ?? ""
  const isAnswer = Predicate.isError(cause) && cause.constructor.name === "SimpleError"
  const problem = words[word] ?? (isAnswer ? "failed" : "unavailable")
  return storeError(place, problem, message.slice(0, 300))
}

/** Throws a `RangeError` for a prefix of a wrong length. @category constructors @since 0.1.0 */
export const make = Effect.fnUntraced(function* (options?: RedisOptions) {
  const redis = yield* Redis.Redis
  const prefix = options?.prefix ?? defaults.prefix
  if (prefix.length === 0 || prefix.length > 60)
    throw new RangeError(`RedisDatabase.make: prefix must have 1 to 60 characters, got "${prefix}"`)
  const timeout = Duration.fromInputUnsafe(options?.timeout ?? defaults.timeout)
  const database: RedisDatabase = {
    key: (...parts) => [prefix, ...parts].join(":"),
    run: (place, script, request) =>
      within(
        place,
        timeout,
        Effect.mapError(redis.eval(script)(request), (error) => fromRedis(place, error))
      )
  }
  return database
})
