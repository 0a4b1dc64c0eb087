/**
 * Runs calls on the test clock with everything that is random or shared held still: delays are half of their ceiling, correlation ids are known, connections, metrics
 * and log lines are the test's own.
 */
import { Clock, Duration, Effect, type Exit, Fiber, Logger, Metric, Random, References, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { Connections } from "@breakwater/core/Connections"
import { StandingStops, Stops } from "@breakwater/core/Stops"
import type { ProviderError } from "@breakwater/core/ProviderError"
import { isProviderError } from "@breakwater/core/ProviderError"

/** The id of every call whose caller sets none: half of 2^53, in hex. */
export const correlationId = "10000000000000"

const half: Random.Random = { nextDoubleUnsafe: () => 0.5, nextIntUnsafe: () => 0 }

export interface Line {
  readonly level: string
  readonly message: string
  readonly fields: Record<string, unknown>
}

/** Keeps the log lines of an effect. */
export class LogBook {
  readonly lines: Array<Line> = []
  readonly logger = Logger.make<unknown, void>(({ fiber, logLevel, message }) => {
    const words = Array.isArray(message) ? message : [message]
    this.lines.push({
      level: logLevel,
      message: words.map(String).join(" "),
      fields: { ...fiber.getRef(References.CurrentLogAnnotations) }
    })
  })

  of(level: string): ReadonlyArray<Line> {
    return this.lines.filter((line) => line.level === level)
  }
}

/** Everything ambient, made anew for one test. */
export const inScenario = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  book: LogBook = new LogBook()
): Effect.Effect<A, E, Exclude<R, Scope.Scope>> =>
  Effect.scoped(effect).pipe(
    Effect.provideService(Random.Random, half),
    Effect.provideService(Connections, new Set()),
    Effect.provideService(Stops, new StandingStops()),
    Effect.provideService(Metric.MetricRegistry, new Map()),
    Effect.provideService(References.CurrentLoggers, new Set([book.logger]))
  )

export interface Ended<A, E> {
  readonly exit: Exit.Exit<A, E>
  /** Milliseconds from the start of the effect to its end. */
  readonly took: number
}

/** Runs an effect in a fiber of its own while the clock goes on, at most for `limit`. */
export const toEnd = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  limit: Duration.Input = "30 minutes"
): Effect.Effect<Ended<A, E>, never, R> =>
  Effect.gen(function* () {
    const before = yield* Clock.currentTimeMillis
    let after = before
    const timed = Effect.onExit(effect, () =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        after = now
      })
    )
    const fiber = yield* Effect.forkChild(timed, { startImmediately: true })
    if (fiber.pollUnsafe() === undefined) yield* TestClock.adjust(limit)
    const exit = fiber.pollUnsafe()
    if (exit === undefined) {
      yield* Fiber.interrupt(fiber)
      return yield* Effect.die(new Error(`still running after ${Duration.format(Duration.fromInputUnsafe(limit))}`))
    }
    return { exit, took: after - before }
  })

const plain = (value: unknown): unknown => {
  if (Duration.isDuration(value)) return Duration.toMillis(value)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, field]) => field !== undefined)
      .map(([name, field]) => [name, plain(field)])
  )
}

const summaryOf = (error: ProviderError) => {
  const { _tag, attempts, reason } = error
  const common = { class: _tag, attempts, reason: plain(reason) as Record<string, unknown> }
  switch (error._tag) {
    case "RetryableError":
      return {
        ...common,
        sent: error.sent,
        retryAfter: error.retryAfter === undefined ? undefined : Duration.toMillis(error.retryAfter),
        retryUntil: error.retryUntil
      }
    case "OutcomeUnknown":
      return { ...common, firstSentAt: error.firstSentAt }
    default:
      return common
  }
}

/** What a call came to, as plain data: durations in milliseconds, fields that are not there left out. */
export const outcome = (exit: Exit.Exit<unknown, unknown>): unknown => {
  if (exit._tag === "Success") return { value: exit.value }
  const [first, ...others] = exit.cause.reasons
  if (first === undefined || others.length > 0) return { cause: exit.cause.reasons.map(({ _tag }) => _tag) }
  if (first._tag === "Die") return { defect: String(first.defect) }
  if (first._tag === "Interrupt") return "interrupted"
  return isProviderError(first.error) ? plain(summaryOf(first.error)) : { declared: first.error }
}

/** `toEnd`, and what it came to. */
export const run = <A, E, R>(effect: Effect.Effect<A, E, R>, limit?: Duration.Input) =>
  Effect.map(toEnd(effect, limit), ({ exit, took }) => ({ outcome: outcome(exit), took }))

/** The error of an effect that must fail. */
export const errorOf = <A, E, R>(effect: Effect.Effect<A, E, R>, limit?: Duration.Input): Effect.Effect<E, never, R> =>
  Effect.flatMap(toEnd(Effect.flip(effect), limit), ({ exit }) =>
    exit._tag === "Success" ? Effect.succeed(exit.value) : Effect.die(exit.cause)
  )
