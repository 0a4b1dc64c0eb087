/**
 * Answers that are kept: a safe operation declares for how long, and a provider that is down is not noticed for as long again. What is kept is private to the connection, goes to the `AnswerStore` at
 * hand (in memory by default), and says where it comes from (`Answer.capture`). For what answers say about themselves in HTTP, `HttpCaching`. @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type { Asked, Head, Rules, Tags, Verdict } from "../definition/AnswerRules.ts"
import { Forgotten, Invalidates, Keep, Mode } from "../definition/AnswerRules.ts"
import type { StoreError } from "../store/StoreError.ts"
import { engine } from "./AnswerPath.ts"

export type { Asked, Tags } from "../definition/AnswerRules.ts"

/** @category models @since 0.1.0 */
export interface KeepOptions {
  /** What an answer is of, in place of the path, the query and the body as they are sent. Headers that the operation declares count beside it. Default: all of them. */
  readonly key?: ((asked: Asked) => string) | undefined
  /** What `Answers.invalidate` and `Caching.invalidates` find the answer by, at most 14 of at most 128 characters. Default none. */
  readonly tags?: Tags | undefined
  /** A whole number, counted up when the declaration reads other things out of an answer than before: what was kept under another is not used. Default 0. */
  readonly version?: number | undefined
}

/** @category models @since 0.1.0 */
export interface TtlOptions extends KeepOptions {
  /** How long an answer is as good as the provider's, more than 0. */
  readonly ttl: Duration.Input
  /** How much longer it stands in for the provider when that is down: not answering, overloaded, rate limited, stopped, or behind an open circuit. Default 0, not at all. */
  readonly staleFor?: Duration.Input | undefined
  /** How long a 404 or 410 is kept, which is an answer as well. Default: not at all. */
  readonly negativeTtl?: Duration.Input | undefined
}

const maxTags = 14
const maxTagLength = 128

/** Throws a `RangeError` for options that no answer could be kept by. @internal @category guards @since 0.1.0 */
export const checked = (who: string, { tags = [], version = 0 }: KeepOptions): void => {
  checkTags(who, tags)
  if (!Number.isSafeInteger(version) || version < 0)
    throw new RangeError(`${who}: version must be a whole number from 0, got ${version}`)
}

const checkTags = (who: string, tags: Tags): void => {
  if (!Array.isArray(tags)) return
  if (tags.length > maxTags) throw new RangeError(`${who}: at most ${maxTags} tags, got ${tags.length}`)
  const wrong = (tags as ReadonlyArray<string>).find((tag) => tag === "" || tag.length > maxTagLength)
  if (wrong !== undefined)
    throw new RangeError(`${who}: a tag must have 1 to ${maxTagLength} characters, has ${wrong.length}`)
}

/** A time in milliseconds, or a `RangeError` that names it. @internal @category guards @since 0.1.0 */
export const millisOf = (name: string, input: Duration.Input, lowest: number): number => {
  const millis = Duration.toMillis(input)
  if (!(millis >= lowest && millis < Number.POSITIVE_INFINITY))
    throw new RangeError(`${name} must be ${lowest === 0 ? "0 or more" : "above 0"} and finite`)
  return millis
}

type Annotated = { annotate<I, S>(key: Context.Key<I, S>, value: S): unknown }

/** Declares the rules. @internal @category combinators @since 0.1.0 */
export const keeping =
  (rules: Rules, { key, tags = [], version = 0 }: KeepOptions) =>
  <T extends Annotated>(target: T): T =>
    target.annotate(Keep, { rules, key, tags, version, engine }) as T

const isNegative = ({ status }: Head): boolean => status === 404 || status === 410

const ttlRules = (options: TtlOptions): Rules => {
  const ttl = millisOf("Caching.ttl: ttl", options.ttl, 1)
  const stale = millisOf("Caching.ttl: staleFor", options.staleFor ?? 0, 0)
  const negative = millisOf("Caching.ttl: negativeTtl", options.negativeTtl ?? 0, 0)
  const judge = (life: number, staleFor: number, age: number): Verdict => ({
    use: age < life ? "fresh" : "ask",
    whenDown: age < life + staleFor,
    conditions: undefined
  })
  return {
    headers: [],
    admit: (_, answer) => {
      const keepMillis = isNegative(answer) ? negative : ttl + stale
      return keepMillis > 0 ? { keepMillis, state: undefined } : undefined
    },
    judge: (_, kept, age) => (isNegative(kept) ? judge(negative, 0, age) : judge(ttl, stale, age))
  }
}

/**
 * Keeps the answers of a safe operation for a time of one's own, whatever their headers say (CACHE-1). Calls for what is fresh make no attempt and take no token; of many that ask for what is not kept
 * one asks the provider. Throws a `RangeError` for a time or a tag that cannot be; on an operation that is not safe the layer is not built.
 * **Example** `Caching.ttl({ ttl: "7 days", staleFor: "30 days", negativeTtl: "1 hour", key: Caching.normalised("address") })`
 * @category annotations @since 0.1.0
 */
export const ttl = (options: TtlOptions): (<T extends Annotated>(target: T) => T) => {
  checked("Caching.ttl", options)
  return keeping(ttlRules(options), options)
}

/**
 * Says that a write makes kept answers with these tags void, over its own connection: when it has succeeded, and when nobody knows whether it has. Throws a `RangeError` for tags that cannot be.
 * **Example** `Caching.invalidates(({ params }) => [`order/${params["id"]}`])`
 * @category annotations @since 0.1.0
 */
export const invalidates = (tags: Tags): (<T extends Annotated>(target: T) => T) => {
  checkTags("Caching.invalidates", tags)
  return <T extends Annotated>(target: T): T => target.annotate(Invalidates, { tags, engine }) as T
}

/** Asks the provider, whatever is kept, and keeps what it says: for calls whose answer must be of now (CACHE-2). @category combinators @since 0.1.0 */
export const bypass = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(self, Mode, "bypass")

/**
 * Forgets what is kept for the call inside, which is not made: `Caching.forget(acme.orders.get({ params: { id } }))`. A call of an operation that keeps no answers is refused as `InvalidRequest`. Fails
 * with `StoreError` when the store cannot be reached. @category combinators @since 0.1.0
 */
export const forget = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<void, E | StoreError, R> =>
  Effect.catch(Effect.asVoid(Effect.provideService(self, Mode, "forget")), (error) =>
    error instanceof Forgotten ? Effect.void : Effect.fail(error)
  )

/** A text without what people write differently: trimmed, white space collapsed to one space, cases folded, composed (Unicode NFC). Said twice it says the same. @category keys @since 0.1.0 */
export const normalise = (text: string): string => {
  const folded = text.normalize("NFC").toUpperCase().toLowerCase().normalize("NFC")
  return folded.trim().replaceAll(/\s+/gu, " ")
}

const fieldsOf = ({ params, payload, query }: Asked): Array<readonly [string, unknown]> => [
  ...Object.entries(params).map(([name, value]) => [`params.${name}`, value] as const),
  ...[...query].map(([name, value]) => [`query.${name}`, value] as const),
  ...(Predicate.isObject(payload) && !Array.isArray(payload)
    ? Object.entries(payload).map(([name, value]) => [`payload.${name}`, value] as const)
    : [["payload", payload] as const])
]

/**
 * A key in which these parameters are normalised, wherever they stand: in the path, the query or the first level of a JSON body. All others count as they are sent; the order of their names does not.
 * @category keys @since 0.1.0
 */
export const normalised = (...names: ReadonlyArray<string>): ((asked: Asked) => string) => {
  const meant = new Set(names)
  const shown = ([name, value]: readonly [string, unknown]): readonly [string, unknown] => {
    const isMeant = Predicate.isString(value) && meant.has(name.slice(name.indexOf(".") + 1))
    return [name, isMeant ? normalise(value) : value]
  }
  // By name alone: values of one that is repeated may mean something by their order.
  const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]) => (a < b ? -1 : a > b ? 1 : 0)
  return (asked) => JSON.stringify(fieldsOf(asked).toSorted(byName).map(shown))
}
