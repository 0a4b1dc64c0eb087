/**
 * Many items in few requests, with an outcome for each (IDEM-5): only what was not carried out is sent again, in new chunks; what may have been is not, unless its key makes that harmless. @since 0.1.0
 */
import type * as Arr from "effect/Array"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Request from "effect/Request"
import * as RequestResolver from "effect/RequestResolver"
import * as Result from "effect/Result"
import type { ItemError } from "./BatchError.ts"
import type { Reading } from "./BatchReading.ts"
import type { Resolved, Send } from "./BatchRun.ts"
import { runOf } from "./BatchRun.ts"

export type { ItemError } from "./BatchError.ts"
export { ItemFailed, ItemRetryable, ItemUnknown } from "./BatchError.ts"
export type { Detail, EnvelopeOptions, Matching, MultiStatusOptions, Reading } from "./BatchReading.ts"
export { envelope, failed, multiStatus, retryable, succeeded, unknown } from "./BatchReading.ts"

/** What one request may hold. @category models @since 0.1.0 */
export interface Limits<Item> {
  /** Most items, at least 1. */
  readonly items: number
  /** Most bytes of all items together, as `size` counts them; what stands around them in the request comes on top. An item beyond it fails, alone, before anything is sent. Default: not counted. */
  readonly bytes?: number | undefined
  /** Bytes that an item takes. Default: its JSON in UTF-8, and a comma. */
  readonly size?: ((item: Item) => number) | undefined
}

/** The request has an idempotency key, made of its items. @category models @since 0.1.0 */
export interface KeyPerChunk<Item> {
  readonly per: "chunk"
  /** What tells an item from every other, such as `order/1/ship`: two of one run must not share it, and the second fails. */
  readonly of: (item: Item) => string
}

/** Each item carries a key of its own in the request, or has the same effect however often it is sent, such as an upsert by id. @category models @since 0.1.0 */
export interface KeyPerItem {
  readonly per: "item"
}

/** @category models @since 0.1.0 */
export interface Options<Item, Body, A> {
  /** A word for logs and metrics, such as `orders.import`: letters, digits, `.`, `_`, `-`, at most 100. */
  readonly name: string
  /** What the answer says of each item, in the order of the items. One that gives fewer or more readings, or throws, leaves all of them unknown. */
  readonly outcomes: (body: Body, items: ReadonlyArray<Item>) => ReadonlyArray<Reading<A>>
  readonly limits: Limits<Item>
  /** Requests at once, at least 1. Default 4. */
  readonly concurrency?: number | undefined
  /** How often an item is sent at most, the first included, at least 1. The retries of a call come inside. Default 3. */
  readonly rounds?: number | undefined
  /** Ceiling of the wait before the second round; doubles up to 20 seconds; the wait is uniform below it. Default `"200 millis"`. */
  readonly backoff?: Duration.Input | undefined
  /** Longest hint of the provider that is waited for; an item with a longer one is given back at once. Default `"60 seconds"`. */
  readonly hintCap?: Duration.Input | undefined
}

/** The values used when an option is left out. @category constants @since 0.1.0 */
export const defaults = {
  concurrency: 4,
  rounds: 3,
  backoff: "200 millis",
  hintCap: "60 seconds"
} as const satisfies Partial<Options<never, never, never>>

/** @category models @since 0.1.0 */
export interface Batch<Item, A, R = never> {
  readonly name: string
  /** Most items that are under way at once: those of a request, times the requests. */
  readonly inFlight: number
  /** Sends the items. Gives one result for each, in their order, whatever happened; no item is left out. Interrupted, it tells nothing: use `Call.withDeadline`. */
  readonly run: (items: ReadonlyArray<Item>) => Effect.Effect<ReadonlyArray<Result.Result<A, ItemError>>, never, R>
}

/**
 * A batch. Throws a `RangeError` for limits that let nothing through.
 * **Details** What a failed request says of its items: `RetryableError` with `sent: "no"`, none was carried out, all go again; `FatalError` and declared errors, all failed; `OutcomeUnknown`, all are
 * unknown. A `RetryableError` with `sent: "unknown"` goes again only with the same key: the same items in one request with `per: "chunk"`, in any with `per: "item"`; without a key they are unknown.
 * **Gotchas** With `per: "chunk"`, `send` must use the key that it is given: `Idempotency.withKey(key)`.
 * @category constructors @since 0.1.0
 */
export const make: {
  <Item, Body, A, E, R>(
    options: Options<Item, Body, A> & {
      readonly key: KeyPerChunk<Item>
      /** Sends one request with these items and this key. */
      readonly send: (items: Arr.NonEmptyReadonlyArray<Item>, key: string) => Effect.Effect<Body, E, R>
    }
  ): Batch<Item, A, R>
  <Item, Body, A, E, R>(
    options: Options<Item, Body, A> & {
      /** What makes sending an item twice harmless. Default: nothing does. */
      readonly key?: KeyPerItem | undefined
      /** Sends one request with these items. */
      readonly send: (items: Arr.NonEmptyReadonlyArray<Item>) => Effect.Effect<Body, E, R>
    }
  ): Batch<Item, A, R>
} = <Item, Body, A, R>(
  options: Options<Item, Body, A> & {
    readonly key?: KeyPerChunk<Item> | KeyPerItem | undefined
    readonly send: Send<Item, Body, R>
  }
): Batch<Item, A, R> => {
  const { key, limits, name, outcomes, send } = options
  if (!/^[\w.-]{1,100}$/u.test(name))
    throw new RangeError(`Batch.make: name must be 1 to 100 letters, digits, ".", "_" or "-", got "${name}"`)
  const resolved: Resolved<Item, Body, A, R> = {
    name,
    send,
    outcomes,
    per: key?.per ?? "none",
    identify: key?.per === "chunk" ? key.of : undefined,
    maxItems: whole("limits.items", limits.items),
    maxBytes: limits.bytes === undefined ? Number.POSITIVE_INFINITY : whole("limits.bytes", limits.bytes),
    size: limits.size ?? jsonSize,
    concurrency: whole("concurrency", options.concurrency ?? defaults.concurrency),
    rounds: whole("rounds", options.rounds ?? defaults.rounds),
    backoffMillis: Duration.toMillis(options.backoff ?? defaults.backoff),
    hintCapMillis: Duration.toMillis(options.hintCap ?? defaults.hintCap)
  }
  return { name, inFlight: resolved.maxItems * resolved.concurrency, run: runOf(resolved) }
}

/**
 * Requests that are made one by one go together: `Effect.request(new GetUser({ id }), resolver)` many times at once is one run of the batch. Each is answered with the outcome of its own item.
 * **Details** Collected are those that are made in one turn, or within a time with `RequestResolver.setDelay`, at most `inFlight`. A deadline around one of them counts for none: give the call in `send` one.
 * @category constructors @since 0.1.0
 */
export const resolver = <A, Item extends Request.Request<A, ItemError>>(
  batch: Batch<Item, A>
): RequestResolver.RequestResolver<Item> =>
  RequestResolver.make<Item>((entries) =>
    Effect.flatMap(batch.run(entries.map(({ request }) => request)), (results) =>
      Effect.forEach(
        results,
        (result, index) => {
          const entry = entries[index]
          if (entry === undefined) return Effect.void
          const exit = Result.isSuccess(result) ? Exit.succeed(result.success) : Exit.fail(result.failure)
          return Request.complete(entry, exit as unknown as Request.Result<Item>)
        },
        { discard: true }
      )
    )
  ).pipe(RequestResolver.batchN(batch.inFlight))

const whole = (name: string, value: number): number => {
  if (Number.isSafeInteger(value) && value >= 1) return value
  throw new RangeError(`Batch.make: ${name} must be a whole number from 1, got ${value}`)
}

const encoder = new TextEncoder()

const jsonSize = (item: unknown): number => {
  const json: string | undefined = JSON.stringify(item)
  return json === undefined ? Number.NaN : encoder.encode(json).length + 1
}
