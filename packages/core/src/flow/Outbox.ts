/**
 * Commands that are carried out later, once: added in the transaction of what they belong to, worked off by one process or many, tried again on a schedule, and shown to an operator when
 * they are dead. The rows are `OutboxStore`'s. @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { NewCommand } from "../store/OutboxStore.ts"
import { OutboxStore, place } from "../store/OutboxStore.ts"
import type { StoreError } from "../store/StoreError.ts"
import { keyProblem, make as storeError } from "../store/StoreError.ts"
import type { ProviderError } from "../vocabulary/ProviderError.ts"
import { RetryableError } from "../vocabulary/ProviderError.ts"
import type { Occasion } from "./OutboxAttempt.ts"
import * as Attempts from "./OutboxAttempt.ts"
import * as Logs from "./OutboxLog.ts"
import type { Operator } from "./OutboxOperator.ts"
import * as Operators from "./OutboxOperator.ts"
import * as Payloads from "./OutboxPayload.ts"
import type { ScheduleInput } from "./OutboxSchedule.ts"
import * as Schedules from "./OutboxSchedule.ts"
import type { Disposition, Finding, Rules } from "./OutboxVerdict.ts"
import type { WorkerOptions } from "./OutboxWorker.ts"
import * as Workers from "./OutboxWorker.ts"

export type {
  /** What a handler is told beside the payload. @category models @since 0.1.0 */
  Occasion,
  /** What an error means for its command. @category models @since 0.1.0 */
  Disposition,
  /** What became of a command whose outcome was unknown. @category models @since 0.1.0 */
  Finding,
  /** How a worker works. @category models @since 0.1.0 */
  WorkerOptions
}
export type {
  /** A command as an operator sees it. @category models @since 0.1.0 */
  Listed,
  /** Which commands are listed. @category models @since 0.1.0 */
  ListOptions,
  /** Which commands are redriven. @category models @since 0.1.0 */
  RedriveOptions,
  /** How many commands were redriven. @category models @since 0.1.0 */
  Redriven,
  /** What became of a command. @category models @since 0.1.0 */
  Status
} from "./OutboxOperator.ts"

/** @category models @since 0.1.0 */
export interface Options<A, I, E, R, E2, R2> {
  /** Names the commands and who carries them out: 1 to 512 characters, of those that stand in the code, since metrics have it as a label. */
  readonly queue: string
  /** What a command says. It is kept as JSON: dates, numbers beyond its range and the like as `Schema.toCodecJson` has them. */
  readonly payload: Schema.Codec<A, I>
  /** Count it up when the format of the payload changes: a program that knows only an older one puts the command among the dead, as it is. Whole number, default 1. */
  readonly version?: number | undefined
  /**
   * Carries a command out. It may be run again after a process died, so it should send under `key`, by `Idempotency.withKey(key)`. How long it takes is its own concern: its lease is
   * renewed.
   */
  readonly handle: (payload: A, occasion: Occasion) => Effect.Effect<unknown, E, R>
  /**
   * What an error means that is none of ours: `retry` on the schedule, `dead`, `unknown`, or `{ retryAfter }`, which is a pause of at least that. Default: `dead`; a `StoreError` that may
   * pass: `retry`. Of ours, `RetryableError` is tried again, `FatalError` is dead, and `OutcomeUnknown` is unknown. A defect is tried again.
   */
  readonly classify?: ((error: Exclude<E, ProviderError>) => Disposition | undefined) | undefined
  /**
   * Finds out what became of a command whose outcome is unknown: after `OutcomeUnknown`, and where the key may be forgotten. Default: it is dead, with a note that says so, and an operator
   * finds out. What fails here is asked again on the schedule; the command is not tried in between.
   */
  readonly onUnknown?: ((payload: A, occasion: Occasion) => Effect.Effect<Finding, E2, R2>) | undefined
  /** Pauses between attempts: a list, after which the command is dead, or a `Schedule`. Default 5 s, 5 min, 30 min, 2 h, 5 h, 10 h and 10 h. */
  readonly schedule?: ScheduleInput | undefined
  /** Share by which each pause of the list is made longer or shorter at random, from 0 to 1. Default 0.2. */
  readonly jitter?: number | undefined
  /**
   * How long a provider knows a key, less a margin: what may have been done longer ago is not sent again, but unknown. `Infinity` for a handler that is idempotent by itself.
   * Default `"23 hours"`.
   */
  readonly keyWindow?: Duration.Input | undefined
}

/** The values used when an option is left out. @category constants @since 0.1.0 */
export const defaults = {
  version: 1,
  schedule: ["5 seconds", "5 minutes", "30 minutes", "2 hours", "5 hours", "10 hours", "10 hours"],
  jitter: 0.2,
  keyWindow: "23 hours",
  worker: Workers.defaults
} as const

/** @category models @since 0.1.0 */
export interface AddOptions {
  /** Names the command in its queue, and is the idempotency key that it is sent with: added again, it is the same command. Derive it from what the command is for. 1 to 512 characters. */
  readonly key: string
  /** Commands of one ordering key are carried out one after the other, as they were added. Default: no order. */
  readonly orderingKey?: string | undefined
  /** Not before so long from now; finite. Default: at once. */
  readonly delay?: Duration.Input | undefined
  /** It was tried before, under the same key, and may have been done. Default `false`. */
  readonly maybeSent?: boolean | undefined
}

/** @category models @since 0.1.0 */
export interface Addition<A> extends AddOptions {
  readonly payload: A
}

/** @category models @since 0.1.0 */
export interface Outbox<A, R> extends Operator<A> {
  readonly queue: string
  /**
   * Adds a command, in the SQL transaction that it is run in, and says whether it is new. Fails with `invalid`, which names the field and the rule, for what cannot be kept, and for a key
   * that is there with another payload.
   */
  readonly add: (payload: A, options: AddOptions) => Effect.Effect<boolean, StoreError, OutboxStore>
  /** The same for many: all or none, in order. Says how many are new. */
  readonly addAll: (additions: ReadonlyArray<Addition<A>>) => Effect.Effect<number, StoreError, OutboxStore>
  /** Carries commands out until it is interrupted; then those at work may end. Throws a `RangeError` for an option out of range. */
  readonly run: (options?: WorkerOptions) => Effect.Effect<never, never, OutboxStore | R>
  /** The same in the background, as long as the layer lives. */
  readonly layerWorker: (options?: WorkerOptions) => Layer.Layer<never, never, OutboxStore | R>
}

const rulesOf = (options: {
  readonly schedule?: ScheduleInput | undefined
  readonly jitter?: number | undefined
  readonly keyWindow?: Duration.Input | undefined
  readonly classify?: Rules["classify"] | undefined
}): Rules => {
  const keyWindow = Duration.toMillis(Duration.fromInputUnsafe(options.keyWindow ?? defaults.keyWindow))
  if (!(keyWindow >= 0)) throw new RangeError(`Outbox.make: keyWindow must be at least 0, got ${keyWindow} ms`)
  return {
    schedule: Schedules.make(options.schedule ?? defaults.schedule, options.jitter ?? defaults.jitter),
    keyWindow,
    classify: options.classify ?? (() => undefined)
  }
}

const adding = <A>(queue: string, payload: Payloads.OutboxPayload<A>, waiting: ReadonlySet<Latch.Latch>) => {
  const commandOf = ({ delay, key, maybeSent, orderingKey, payload: value }: Addition<A>) =>
    Effect.flatMap(payload.encode(value), (encoded): Effect.Effect<NewCommand, StoreError> => {
      const delayMillis = delay === undefined ? undefined : Duration.toMillis(Duration.fromInputUnsafe(delay))
      return delayMillis === Number.POSITIVE_INFINITY
        ? Effect.fail(storeError(place("add"), "invalid", "delay must be finite"))
        : Effect.succeed({ queue, key, orderingKey, delayMillis, maybeSent, payload: encoded })
    })
  return Effect.fnUntraced(function* (additions: ReadonlyArray<Addition<A>>) {
    const store = yield* OutboxStore
    const count = yield* store.add(yield* Effect.forEach(additions, commandOf))
    if (count > 0) for (const latch of waiting) latch.openUnsafe()
    return count
  })
}

/**
 * Declares a queue: what its commands say, and how they are carried out. Throws a `RangeError` for an option out of range.
 * **Example** A command that is added with the order, and charged when its time comes.
 * ```ts
 * import { Idempotency, Outbox } from "@breakwater/core"
 * import { Stripe } from "@breakwater/providers/stripe"
 * import { Effect, Schema } from "effect"
 *
 * const charges = Outbox.make({
 *   queue: "charge",
 *   payload: Schema.Struct({ order: Schema.String, amountCents: Schema.Int }),
 *   handle: ({ amountCents }, { key }) =>
 *     Effect.flatMap(Stripe, ({ paymentIntents }) =>
 *       paymentIntents
 *         .create({ payload: { amount: amountCents, currency: "eur", confirm: true, payment_method: "pm_card_visa" } })
 *         .pipe(Idempotency.withKey(key))
 *     )
 * })
 *
 * const accepted = charges.add({ order: "8731", amountCents: 4200 }, { key: "order/8731/charge" })
 * const Worker = charges.layerWorker({ concurrency: 8 })
 * ```
 * @category constructors @since 0.1.0
 */
export const make = <A, I, E, R, E2 = never, R2 = never>(
  options: Options<A, I, E, R, E2, R2>
): Outbox<A, Exclude<R | R2, Scope.Scope>> => {
  const { handle, onUnknown, queue } = options
  const problem = keyProblem(place("make"), "queue", queue)
  if (problem !== undefined) throw new RangeError(`Outbox.make: ${problem.detail}`)
  const payload = Payloads.make(options.payload, options.version ?? defaults.version)
  const log = Logs.make(queue)
  const waiting = new Set<Latch.Latch>()
  // Errors of ours never reach it.
  const classify = options.classify as Rules["classify"] | undefined
  const rules = rulesOf({ ...options, classify })
  const work = {
    queue,
    log,
    waiting,
    attempt: Attempts.make<A, R | R2>({ queue, payload, rules, handle, onUnknown })
  }
  const addAll = adding(queue, payload, waiting)
  const run = (worker?: WorkerOptions) => Workers.run(work, worker)
  return {
    queue,
    addAll,
    add: (value, addition) => Effect.map(addAll([{ payload: value, ...addition }]), (count) => count > 0),
    run,
    layerWorker: (worker) => Layer.effectDiscard(Effect.forkScoped(run(worker))),
    ...Operators.make({ queue, payload, log, waiting, keyWindow: rules.keyWindow })
  }
}

/** What a call came to that may be made later. @category models @since 0.1.0 */
export type Attempted<B> =
  | { readonly _tag: "Done"; readonly value: B }
  /** It is kept, and carried out later; `status(key)` says what becomes of it. */
  | { readonly _tag: "Accepted"; readonly key: string }

const later = (asked: Duration.Input | undefined, hint: Duration.Duration | undefined): Duration.Input | undefined =>
  asked === undefined || hint === undefined ? (asked ?? hint) : Duration.max(Duration.fromInputUnsafe(asked), hint)

/**
 * Makes a call now, or later if its provider is not to be had (DEGR-2): what ends in `RetryableError`, which is safe to try again with the same key, is added to an outbox under that
 * key, and its caller is told that it is accepted. Every other end passes through. Not before the provider's `retryAfter`.
 * **Details** The call must be made under the same key, by `Idempotency.withKey(key)`, and the outbox must send the same. The command is added after the call, in a transaction of
 * its own: a process that dies in between has neither. Where the order itself must not be lost, add the command with it instead.
 * **Example** `charge(order).pipe(Outbox.orEnqueue(charges, order, { key }))`
 * @category combinators @since 0.1.0
 */
export const orEnqueue: {
  <A, R2>(
    outbox: Outbox<A, R2>,
    payload: A,
    options: Omit<AddOptions, "maybeSent">
  ): <B, E, R>(
    self: Effect.Effect<B, E, R>
  ) => Effect.Effect<Attempted<B>, Exclude<E, RetryableError> | StoreError, R | OutboxStore>
  <B, E, R, A, R2>(
    self: Effect.Effect<B, E, R>,
    outbox: Outbox<A, R2>,
    payload: A,
    options: Omit<AddOptions, "maybeSent">
  ): Effect.Effect<Attempted<B>, Exclude<E, RetryableError> | StoreError, R | OutboxStore>
} = dual(
  4,
  <B, E, R, A, R2>(
    self: Effect.Effect<B, E, R>,
    outbox: Outbox<A, R2>,
    payload: A,
    options: Omit<AddOptions, "maybeSent">
  ): Effect.Effect<Attempted<B>, Exclude<E, RetryableError> | StoreError, R | OutboxStore> =>
    Effect.matchEffect(self, {
      onSuccess: (value) => Effect.succeed<Attempted<B>>({ _tag: "Done", value }),
      onFailure: (error): Effect.Effect<Attempted<B>, Exclude<E, RetryableError> | StoreError, OutboxStore> => {
        if (!(error instanceof RetryableError)) return Effect.fail(error as Exclude<E, RetryableError>)
        const delay = later(options.delay, error.retryAfter)
        const addition = { ...options, delay, maybeSent: error.sent === "unknown" }
        return Effect.as(outbox.add(payload, addition), { _tag: "Accepted", key: options.key } as const)
      }
    })
)
