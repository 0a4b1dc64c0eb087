/**
 * Finds out what became of writes that nobody knows the outcome of (`OutcomeUnknown`): by the way that each operation declares (`Resolution`), on a schedule, inside a call, or by what an operator says. What is found out
 * goes into the record of the write, so that a later call with its key is told. Many processes may do it at once: a record that has moved on is left alone. @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import { withClass } from "../call/CallSettings.ts"
import { Looking, count, sayFailed, settle, whyOf } from "../call/Resolving.ts"
import type { IdempotencyRecord } from "../store/IdempotencyRecord.ts"
import { IdempotencyStore } from "../store/IdempotencyStore.ts"
import type { Resolvable } from "../store/Resolvable.ts"
import { byScope } from "../store/Resolvable.ts"
import type { StaleClaim, StoreError } from "../store/StoreError.ts"
import type { Resolved } from "../vocabulary/Telemetry.ts"
import * as Telemetry from "../vocabulary/Telemetry.ts"

/** @category models @since 0.1.0 */
export interface SweepOptions {
  /** Writes that are looked into in one sweep, 1 to 1,000. Where more are in doubt, chance picks those that come first. Default 100. */
  readonly limit?: number | undefined
  /** Of them at once, 1 to 100. Default 4. */
  readonly concurrency?: number | undefined
}

/** @category models @since 0.1.0 */
export interface Options extends SweepOptions {
  /** From the end of a sweep to the beginning of the next, above 0. The first begins within that time, by chance, so that many processes do not begin together. Default `"1 minute"`. */
  readonly every?: Duration.Input | undefined
  /** How long a shutdown waits for the writes that are being looked into. Default `"10 seconds"`. */
  readonly shutdownGrace?: Duration.Input | undefined
}

/** The values used when an option is left out. @category constants @since 0.1.0 */
export const defaults = {
  limit: 100,
  concurrency: 4,
  every: Duration.minutes(1),
  shutdownGrace: Duration.seconds(10)
} as const satisfies Options

/** How many writes a sweep looked into, by what came of each. @category models @since 0.1.0 */
export type Sweep = Readonly<Record<Resolved, number>>

interface Bounds {
  readonly limit: number
  readonly concurrency: number
}

const within = (name: string, value: number, most: number): number => {
  if (Number.isInteger(value) && value >= 1 && value <= most) return value
  throw new RangeError(`Resolver: ${name} must be a whole number from 1 to ${most}, got ${value}`)
}

const boundsOf = (options: SweepOptions): Bounds => ({
  limit: within("limit", options.limit ?? defaults.limit, 1000),
  concurrency: within("concurrency", options.concurrency ?? defaults.concurrency, 100)
})

type Store = IdempotencyStore["Service"]

/** A write in doubt, and how it is found out. */
interface Doubt {
  readonly of: Resolvable
  readonly row: IdempotencyRecord
}

/** Long enough to give back at once what was taken. */
const glanceMillis = 5000

/**
 * Writes whose process died on the way, or that nobody has tried again: what may have been sent comes into doubt, what cannot have been is free again. Keys that may still be sent again are left to those who
 * call.
 */
const abandoned = Effect.fnUntraced(function* (store: Store, scope: string, of: Resolvable, limit: number) {
  const now = yield* Clock.currentTimeMillis
  const rows = yield* store.list({ scope, states: ["InFlight", "Pending"], limit })
  for (const { fingerprint, firstSentAt, key, leaseUntil } of rows) {
    if ((leaseUntil ?? 0) > now || (firstSentAt ?? 0) + of.windowMillis > now) continue
    const { windowMillis } = of
    const answer = yield* store.claim({ scope, key, fingerprint, leaseMillis: glanceMillis, windowMillis })
    if (answer._tag !== "Granted") continue
    const { retentionMillis } = of
    const back =
      answer.claim.firstSentAt === undefined
        ? { _tag: "Undone" as const, retentionMillis }
        : { _tag: "Pending" as const }
    yield* Effect.catchTag(store.settle(answer.claim, back), "StaleClaim", () => Effect.void)
  }
})

/** The writes in doubt of the connections that are open here, at most `limit`. */
const doubts = Effect.fnUntraced(function* (store: Store, limit: number) {
  const found: Array<Doubt> = []
  for (const [scope, of] of yield* byScope) {
    yield* abandoned(store, scope, of, limit)
    if (of.way === "Ask") continue
    const rows = yield* store.list({ scope, states: ["Unknown"], limit: most })
    found.push(...rows.map((row) => ({ of, row })))
  }
  if (found.length <= limit) return found
  // Those that stay in doubt are the oldest: were they always the first, nobody would look into the others.
  const from = yield* Random.nextIntBetween(0, found.length)
  return [...found.slice(from), ...found.slice(0, from)].slice(0, limit)
})

/** Rows of an operation that are read in a sweep. */
const most = 1000

const isMoved = (error: unknown): error is StaleClaim =>
  typeof error === "object" && error !== null && "_tag" in error && error._tag === "StaleClaim"

/** Looks into one write and says in its record what was found out. */
const looked = (store: Store, { of, row }: Doubt): Effect.Effect<Resolved> =>
  Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const lastSentAt = row.changedAt
    const asked = { key: row.key, firstSentAt: row.firstSentAt ?? lastSentAt, lastSentAt }
    const verdict = yield* withClass(of.verdict(asked, now >= lastSentAt + of.settlesAfterMillis), "import")
    if (verdict._tag === "Stays") return "stays" as const
    yield* settle(store, row, of, verdict)
    return verdict._tag === "Done" ? ("done" as const) : ("undone" as const)
  }).pipe(
    Effect.catchIf(isMoved, () => Effect.succeed("moved on" as const)),
    Effect.catchCause((cause) =>
      Cause.hasInterrupts(cause) ? Effect.interrupt : Effect.as(sayFailed(of, whyOf(cause)), "unanswered" as const)
    ),
    Effect.tap((outcome) => Effect.withFiber((fiber) => Effect.sync(() => count(fiber, of, outcome))))
  )

const nothing = Object.fromEntries(Telemetry.resolved.map((outcome) => [outcome, 0])) as Record<Resolved, number>

const sweepUntil = Effect.fnUntraced(function* (
  store: Store,
  { concurrency, limit }: Bounds,
  isOver: () => boolean
): Effect.fn.Return<Sweep, StoreError> {
  const tally = { ...nothing }
  const one = (doubt: Doubt) =>
    isOver()
      ? Effect.void
      : Effect.map(looked(store, doubt), (outcome) => {
          tally[outcome]++
        })
  yield* Effect.forEach(yield* doubts(store, limit), one, { concurrency, discard: true })
  return tally
})

/**
 * Looks once into the writes in doubt of all connections that are open in this process, and says how many came to what. A look-up is a call of the class `import`; one that fails leaves its write in doubt, with a line at
 * Warning. Throws a `RangeError` for options out of range. @category operations @since 0.1.0
 */
export const sweep = (options: SweepOptions = {}): Effect.Effect<Sweep, StoreError, IdempotencyStore> => {
  const bounds = boundsOf(options)
  return Effect.flatMap(IdempotencyStore, (store) => sweepUntil(store, bounds, () => false))
}

/**
 * Sweeps as long as the scope is open. At its end no further write is looked into, and those that are have `shutdownGrace`. A store that cannot be asked is asked again by the next sweep. Throws a `RangeError` for
 * options out of range. @category layers @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<never, never, IdempotencyStore> => {
  const bounds = boundsOf(options)
  const every = Duration.fromInputUnsafe(options.every ?? defaults.every)
  if (!(Duration.toMillis(every) > 0)) throw new RangeError("Resolver: every must be above 0")
  return Layer.effectDiscard(sweeping(bounds, every, options.shutdownGrace ?? defaults.shutdownGrace))
}

const sweeping = Effect.fnUntraced(function* (
  bounds: Bounds,
  every: Duration.Duration,
  grace: Duration.Input
): Effect.fn.Return<void, never, IdempotencyStore | Scope.Scope> {
  const store = yield* IdempotencyStore
  const stop = yield* Deferred.make<void>()
  const isOver = () => Deferred.isDoneUnsafe(stop)
  const pause = (duration: Duration.Input) => Effect.timeoutOption(Deferred.await(stop), duration)
  const run = Effect.gen(function* () {
    const share = yield* Random.next
    yield* pause(Duration.times(every, share))
    while (!isOver()) {
      yield* Effect.catch(sweepUntil(store, bounds, isOver), (error) =>
        Effect.logWarning(`writes in doubt were not looked into: ${error.message}`)
      )
      yield* pause(every)
    }
  })
  const fiber = yield* Effect.forkScoped(run)
  // Runs before the fork's own finaliser, which interrupts.
  yield* Effect.addFinalizer(() =>
    Effect.andThen(Deferred.succeed(stop, undefined), Effect.timeoutOption(Fiber.await(fiber), grace))
  )
})

/**
 * Looks up a write that ends in doubt, where its operation declares a look-up: the value found is the call's. It looks at once, and once more as soon as absence counts if that comes before the deadline (`Call.withDeadline`, else
 * that of the operation's policy). Otherwise `OutcomeUnknown` stays, also when it was not made: then its record says so, and the next call with the key sends. Needs the key of the call
 * (`Idempotency.withKey`); without one it changes nothing. @category combinators @since 0.1.0
 */
export const orLookup = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(self, Looking, "in doubt")

/**
 * Looks before it creates, where the operation declares a look-up: what is there under the key is the call's value, and nothing is sent (IDEM-4). **Gotchas** Two who look at the same time both create: a record of the key
 * prevents it, or a provider that refuses the second, with `Resolution.existing`. What lags behind is not seen. @category combinators @since 0.1.0
 */
export const createIfAbsent = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(self, Looking, "first")
