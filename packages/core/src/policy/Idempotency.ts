/**
 * One key for each logical operation, the same on every attempt (IDEM-1). The types ask for a key where the declaration says `keyed`, bound to the
 * operation's name; at run time the key is a cell that binds to the first request it is used for (IDEM-2). @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { IdempotencyMismatch, InvalidRequest } from "../vocabulary/FatalReason.ts"
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

/** Makes the one `unsafe` operation in an effect once under this key, though its provider takes none. @category combinators @since 0.1.0 */
export const once =
  (key: string) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => Effect.provideService(self, CurrentName, new KeyCell(key)))
