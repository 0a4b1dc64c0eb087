/**
 * One key for each logical operation, the same on every attempt (IDEM-1). The types ask for a key where the declaration says `keyed`, bound to the
 * operation's name; at run time the key is a cell that binds to the first request it is used for (IDEM-2). @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { IdempotencyMismatch, InvalidRequest } from "../vocabulary/FatalReason.ts"
import * as Fingerprints from "../vocabulary/Fingerprint.ts"
import { Locked } from "../vocabulary/RetryableReason.ts"

/** What a keyed operation requires. Only `withKey` and `withKeyOf` give it; there is no layer of it. @category type-level @since 0.1.0 */
export interface IdempotencyKey<in out Operation extends string> {
  readonly "~@breakwater/core/IdempotencyKey": (operation: Operation) => Operation
}

type KeyIn<R> = R extends IdempotencyKey<infer Operation> ? Operation : never

type IsUnion<T, All = T> = T extends unknown ? ([All] extends [T] ? false : true) : never

type One<R> = [KeyIn<R>] extends [never]
  ? "nothing in this effect needs an idempotency key"
  : IsUnion<KeyIn<R>> extends false
    ? unknown
    : "one key names one operation: key each call by itself"

type WithoutKey<R> = R extends IdempotencyKey<string> ? never : R extends IdempotencyKey<infer _> ? never : R

/** What a request is, for telling whether a key is used for another: method and URL, and the bytes of the body. @category models @since 0.1.0 */
export interface Fingerprint {
  readonly line: string
  readonly body: Uint8Array | undefined
}

const sameBytes = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean => {
  if (a === b) return true
  return a !== undefined && b !== undefined && a.length === b.length && a.every((byte, index) => byte === b[index])
}

/** A key at run time. @category models @since 0.1.0 */
export class KeyCell {
  readonly key: string
  private state: "in use" | "done" | undefined = undefined
  private operation: string | undefined
  private fingerprint: Fingerprint | undefined

  constructor(key: string) {
    this.key = key
  }

  /** Binds the key to a request, or says why it must not be sent with it. A bound key must be given back with `end`. */
  begin(operation: string, fingerprint: Fingerprint): IdempotencyMismatch | InvalidRequest | Locked | undefined {
    if (this.operation !== undefined && this.operation !== operation) {
      return new IdempotencyMismatch({ detail: `the key was used for ${this.operation} before` })
    }
    if (
      this.fingerprint !== undefined &&
      (this.fingerprint.line !== fingerprint.line || !sameBytes(this.fingerprint.body, fingerprint.body))
    ) {
      return new IdempotencyMismatch({ detail: "the key was used for another request before" })
    }
    if (this.state === "in use") return new Locked({})
    if (this.state === "done")
      return new InvalidRequest({ field: "idempotency key", detail: "was used for a call that succeeded" })
    this.state = "in use"
    this.operation = operation
    this.fingerprint = fingerprint
    return undefined
  }

  /** The call that used the key is over; after a failure the key may be used for the same request again. */
  end(succeeded: boolean): void {
    this.state = succeeded ? "done" : undefined
  }
}

/** The key of the call that runs. @category references @since 0.1.0 */
export const CurrentKey = Context.Reference<KeyCell | undefined>("@breakwater/core/Idempotency/CurrentKey", {
  defaultValue: () => undefined
})

/** The name under which the call that runs is to be made once; it is not sent as a key. @category references @since 0.1.0 */
export const CurrentName = Context.Reference<KeyCell | undefined>("@breakwater/core/Idempotency/CurrentName", {
  defaultValue: () => undefined
})

/** Longest key when the provider does not say. @category constants @since 0.1.0 */
export const defaultMaxLength = 255

/** Why a key cannot be sent, or `undefined`. It travels in a header: printable ASCII without spaces at its ends. @category guards @since 0.1.0 */
export const problemOf = (key: string, maxLength = defaultMaxLength): InvalidRequest | undefined => {
  if (key.length === 0 || key.length > maxLength) {
    return new InvalidRequest({
      field: "idempotency key",
      detail: `must have 1 to ${maxLength} characters, has ${key.length}`
    })
  }
  return /^[\u0021-\u007e](?:[\u0020-\u007e]*[\u0021-\u007e])?$/u.test(key)
    ? undefined
    : new InvalidRequest({ field: "idempotency key", detail: "must be printable ASCII without spaces at its ends" })
}

/**
 * Gives the one keyed operation in an effect its idempotency key: the same on every attempt, and on a later run with the same key.
 * **When to use** Derive the key from what the write is for, such as `order/${id}/charge`, never from the time or at random: then a restart finds it again.
 * **Details** An effect that requires no key, or keys of two operations, does not compile. Used for two requests in one run, the second is refused with
 * `IdempotencyMismatch` before it is sent. @category combinators @since 0.1.0
 */
export const withKey =
  (key: string) =>
  <A, E, R>(self: Effect.Effect<A, E, R> & One<R>): Effect.Effect<A, E, WithoutKey<R>> =>
    Effect.suspend(() =>
      Effect.provideService(self as Effect.Effect<A, E, R>, CurrentKey, new KeyCell(key))
    ) as Effect.Effect<A, E, WithoutKey<R>>

/**
 * `withKey` for many: a function of an item whose key is taken from the item.
 * **Example** `Effect.forEach(orders, Idempotency.withKeyOf((order: Order) => `order/${order.id}`)((order) => stripe.paymentIntents.create(…)))`
 * @category combinators @since 0.1.0
 */
export const withKeyOf =
  <Item>(key: (item: Item) => string) =>
  <A, E, R>(f: (item: Item) => Effect.Effect<A, E, R> & One<R>) =>
  (item: Item): Effect.Effect<A, E, WithoutKey<R>> =>
    withKey(key(item))(f(item))

/**
 * `withKey` with a key that has to be asked for, such as `Activity.idempotencyKey("charge")` inside a workflow of Effect's: the same for every run of the activity.
 * @category combinators @since 0.1.0
 */
export const withKeyFrom =
  <E2, R2>(key: Effect.Effect<string, E2, R2>) =>
  <A, E, R>(self: Effect.Effect<A, E, R> & One<R>): Effect.Effect<A, E | E2, WithoutKey<R> | R2> =>
    Effect.flatMap(key, (found) => withKey(found)(self))

/**
 * Makes the one `unsafe` operation in an effect once under this key, though its provider takes none: what came of it is remembered in an `IdempotencyStore`, and told to whoever makes it again. What may
 * have been made is never made again: that call ends with `OutcomeUnknown`, until the record is resolved.
 * **Details** The key is not sent, unless the operation declares a field for it (`Safety.reference`). Without a store the call is refused as `InvalidRequest`, unless there is such a field. Operations of
 * other safety take no notice of it. @category combinators @since 0.1.0
 */
export const once =
  (key: string) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => Effect.provideService(self, CurrentName, new KeyCell(key)))

/** Longest part of a key, and longest key, that `keyOf` writes out. */
const longest = { part: 64, key: 255 }

/** What stands in a key as it is; `/` is between parts, `%` escapes, `~` begins what is not the part itself. */
const written = /[^\w.:@+=,-]/gu

const escaped = (character: string): string => `%${character.charCodeAt(0).toString(16).toUpperCase()}`

const partOf = (part: string | number | bigint): string => {
  if (Predicate.isNumber(part) && !Number.isFinite(part))
    throw new RangeError(`Idempotency.keyOf: a number must be finite, got ${part}`)
  const text = String(part)
  if (text === "") return "~"
  // As JSON, since a broken surrogate would be lost in UTF-8.
  if (text.length > longest.part || /[^\u0020-\u007e]/u.test(text))
    return `~${Fingerprints.ofText(JSON.stringify(text))}`
  return text.replaceAll(written, escaped)
}

/**
 * The key of a write by what it is for: `keyOf("order", 8731, "charge")` is `order/8731/charge`. The same parts give the same key, in every process and version; other parts give another, also where one
 * has a slash in it.
 * **Details** ASCII that a header might not take as it is is escaped with `%`. A part that is longer than 64 characters, or has others than ASCII, is its SHA-256 behind a `~`; a key longer than 255
 * characters is the SHA-256 of all of it. A number is as it is written: `1` and `"1"` are one part. Throws a `RangeError` without parts, and for a number that is not finite.
 * @category constructors @since 0.1.0
 */
export const keyOf = (...parts: ReadonlyArray<string | number | bigint>): string => {
  if (parts.length === 0) throw new RangeError("Idempotency.keyOf: needs at least one part")
  const key = parts.map(partOf).join("/")
  return key.length <= longest.key ? key : `~${Fingerprints.ofText(key)}`
}
