/**
 * Open-loop load: calls come at a rate, whatever becomes of the ones before, as people do. With a trigger that ends it tells a system that recovers from one that stays down by
 * its own retries, which is called metastable failure.
 * @see https://sigops.org/s/conferences/hotos/2021/papers/hotos21-s11-bronson.pdf (Bronson et al., HotOS 2021)
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Services } from "./kernel/Kernel.ts"
import * as Kernel from "./kernel/Kernel.ts"

/** When the trouble is, counted from the beginning of the load. @category models @since 0.1.0 */
export interface Trigger {
  readonly from: Duration.Input
  readonly lasts: Duration.Input
}

/** @category models @since 0.1.0 */
export interface Options<A, E, R> {
  /** Calls a second, evenly spaced; above 0. */
  readonly rate: number
  /** Makes the call of this index, from 0. */
  readonly call: (index: number) => Effect.Effect<A, E, R>
  readonly trigger: Trigger
  /** Attempts that arrived at the provider so far, such as `capacity.counts().arrived`. Default: one for each call. */
  readonly attempts?: (() => number) | undefined
  /** How long calls come. Default `"60 seconds"`. */
  readonly lasts?: Duration.Input | undefined
  /** What goodput is counted over. Default `"1 second"`. */
  readonly window?: Duration.Input | undefined
}

/** The values used when an option is left out. @category constants @since 0.1.0 */
export const defaults = { lasts: Duration.seconds(60), window: Duration.seconds(1), share: 0.9 } as const

/** A stretch of the load. @category models @since 0.1.0 */
export interface Window {
  /** When it began, in milliseconds since the load did. */
  readonly at: number
  readonly offered: number
  /** Calls that succeeded in it. */
  readonly good: number
  /** Calls that failed in it. */
  readonly failed: number
  /** Attempts that arrived at the provider in it. */
  readonly attempts: number
}

/** @category models @since 0.1.0 */
export interface Report {
  readonly rate: number
  readonly windowMillis: number
  /** When the trigger ended, in milliseconds since the load began. */
  readonly triggerEndMillis: number
  readonly windows: ReadonlyArray<Window>
}

const positive = (field: string, value: number): number => {
  if (value > 0 && Number.isFinite(value)) return value
  throw new RangeError(`Load.run: ${field} must be above 0, got ${value}`)
}

/** What is counted, until the next window begins. */
const meter = (attempts: (() => number) | undefined) => {
  const windows: Array<Window> = []
  let current = { offered: 0, good: 0, failed: 0 }
  let attemptsBefore = attempts?.() ?? 0
  return {
    windows,
    offered: () => void current.offered++,
    ended: (succeeded: boolean) => void (succeeded ? current.good++ : current.failed++),
    next: (at: number) => {
      const attemptsNow = attempts?.() ?? attemptsBefore + current.offered
      windows.push({ at, ...current, attempts: attemptsNow - attemptsBefore })
      attemptsBefore = attemptsNow
      current = { offered: 0, good: 0, failed: 0 }
    }
  }
}

/**
 * Makes the calls and counts what becomes of them. Calls that have not ended when the load does are interrupted, and count as nothing. Dies of a `RangeError` for a rate or a
 * time that is none. @category running @since 0.1.0
 */
export const run = Effect.fnUntraced(function* <A, E, R>(
  options: Options<A, E, R>
): Effect.fn.Return<Report, never, R> {
  const gap = 1000 / positive("rate", options.rate)
  const lasts = positive("lasts", Duration.toMillis(options.lasts ?? defaults.lasts))
  const windowMillis = positive("window", Duration.toMillis(options.window ?? defaults.window))
  const triggerEndMillis = Duration.toMillis(options.trigger.from) + Duration.toMillis(options.trigger.lasts)
  const counted = meter(options.attempts)
  const startedAt = yield* Clock.currentTimeMillis
  const until = (at: number) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.sleep(Duration.millis(Math.max(0, startedAt + at - now))))
  const one = (index: number) =>
    Effect.onExit(options.call(index), (exit) =>
      Effect.sync(() => {
        if (Exit.isSuccess(exit) || !Exit.hasInterrupts(exit)) counted.ended(Exit.isSuccess(exit))
      })
    )
  const scope = yield* Scope.make()
  const calls = Effect.gen(function* () {
    for (let index = 0; index * gap < lasts; index++) {
      yield* until(index * gap)
      counted.offered()
      yield* Effect.forkIn(one(index), scope)
    }
  })
  const windows = Effect.gen(function* () {
    for (let at = 0; at < lasts; at += windowMillis) {
      yield* until(Math.min(at + windowMillis, lasts))
      counted.next(at)
    }
  })
  yield* Effect.forkIn(calls, scope)
  yield* Effect.ensuring(windows, Scope.close(scope, Exit.void))
  return { rate: options.rate, windowMillis, triggerEndMillis, windows: counted.windows }
})

/** Whether a stretch was as good as it should be: goodput is compared with what was offered at the rate. */
const isGood = (report: Report, share: number, { good }: Window): boolean =>
  good >= Math.floor(share * report.rate * (report.windowMillis / 1000))

/**
 * How long after the trigger goodput was back for good: at this share of the rate, default 0.9, in every window up to the end. `undefined` if it was not back in the last one.
 * @category accessors @since 0.1.0
 */
export const recovery = (report: Report, share: number = defaults.share): Duration.Duration | undefined => {
  const lastBad = report.windows.findLast((window) => !isGood(report, share, window))
  if (lastBad === undefined) return Duration.zero
  if (lastBad === report.windows.at(-1)) return undefined
  return Duration.millis(Math.max(0, lastBad.at + report.windowMillis - report.triggerEndMillis))
}

/**
 * What is wrong if goodput is not back within so long after the trigger ended, in words; `undefined` if it is, as an invariant has it. A load that ends before that can be told
 * throws a `RangeError`. @category assertions @since 0.1.0
 */
export const recoversWithin =
  (limit: Duration.Input, share: number = defaults.share) =>
  (report: Report): string | undefined => {
    const allowed = Duration.fromInputUnsafe(limit)
    const needed = report.triggerEndMillis + Duration.toMillis(allowed) + report.windowMillis
    const end = (report.windows.at(-1)?.at ?? 0) + report.windowMillis
    if (end < needed)
      throw new RangeError(
        `Load.recoversWithin: the load ends at ${end} ms, and must go on to ${needed} ms, a window after the limit`
      )
    const after = recovery(report, share)
    if (after !== undefined && Duration.isLessThanOrEqualTo(after, allowed)) return undefined
    const last = report.windows.at(-1)
    return [
      after === undefined ? "did not recover" : `recovered only after ${Duration.format(after)}`,
      `not within ${Duration.format(allowed)}`,
      `at the end ${last?.good ?? 0} of ${last?.offered ?? 0} calls succeeded with ${last?.attempts ?? 0} attempts`
    ].join(", ")
  }

/** A way to make calls, tried at a rate. It may fail before its load begins, such as for a policy that contradicts itself. @category models @since 0.1.0 */
export type Way = (rate: number) => Effect.Effect<Report, { readonly message: string }, Services>

/** What became of every way at one rate. @category models @since 0.1.0 */
export interface Row {
  readonly rate: number
  readonly reports: { readonly [way: string]: Report }
}

/** The report of a load in a simulation of its own: at once, whatever its time is. Throws what ends the simulation otherwise. @category running @since 0.1.0 */
export const simulate = (load: ReturnType<Way>, options?: Kernel.Options): Report => {
  const { outcome } = Kernel.run(load, options)
  if (outcome._tag === "Completed" && Exit.isSuccess(outcome.exit)) return outcome.exit.value
  const isFailed = outcome._tag === "Completed" && Exit.isFailure(outcome.exit)
  const why = isFailed ? Cause.pretty(outcome.exit.cause) : outcome._tag
  throw new Error(`the load did not come to its end: ${why}`, { cause: outcome })
}

/** Tries every way at every rate, each in a simulation of its own. @category running @since 0.1.0 */
export const sweep = (options: {
  readonly rates: ReadonlyArray<number>
  readonly ways: { readonly [name: string]: Way }
}): ReadonlyArray<Row> =>
  options.rates.map((rate) => ({
    rate,
    reports: Object.fromEntries(Object.entries(options.ways).map(([name, way]) => [name, simulate(way(rate))]))
  }))

const verdict = (report: Report): string => {
  const after = recovery(report)
  return after === undefined ? "no" : `after ${Duration.format(after)}`
}

/** A sweep as a table of Markdown: at which rate which way recovers, and how long after the trigger. @category accessors @since 0.1.0 */
export const table = (rows: ReadonlyArray<Row>): string => {
  const ways = Object.keys(rows[0]?.reports ?? {})
  const lines = rows.map(({ rate, reports }) => [
    `${rate}/s`,
    ...ways.map((way) => (reports[way] === undefined ? "" : verdict(reports[way])))
  ])
  const line = (cells: ReadonlyArray<string>): string => `| ${cells.join(" | ")} |`
  return [["load", ...ways], ["---", ...ways.map(() => "---")], ...lines].map(line).join("\n")
}
