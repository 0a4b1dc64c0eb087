/** What a worker of an outbox says of itself: counts, ages and lines. Names and keys of commands are in none of them. @internal */
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Metric from "effect/Metric"
import type { Command, State } from "../store/OutboxStore.ts"
import { states } from "../store/OutboxStore.ts"
import type { StoreError } from "../store/StoreError.ts"
import type { CommandEnd } from "../vocabulary/Telemetry.ts"
import { attribute, commanded, field } from "../vocabulary/Telemetry.ts"
import * as Telemetry from "../vocabulary/Telemetry.ts"
import type { Verdict } from "./OutboxVerdict.ts"

type Series = Metric.Metric<number, unknown>

/** @category models @since 0.1.0 */
export interface OutboxLog {
  /** An attempt has ended. */
  readonly ended: (outcome: CommandEnd, context: Context.Context<never>) => void
  /** A command is done, so many seconds after it was added. */
  readonly aged: (seconds: number, context: Context.Context<never>) => void
  /** So many commands are in each state. */
  readonly counted: (counts: Readonly<Record<State, number>>, context: Context.Context<never>) => void
  /** A line for a command that was not done. */
  readonly failed: (command: Command, verdict: Verdict) => Effect.Effect<void>
  /** Others have claimed commands of ours, whose leases had ended. */
  readonly lost: (count: number) => Effect.Effect<void>
  readonly storeDown: (error: StoreError) => Effect.Effect<void>
  readonly storeUp: Effect.Effect<void>
  /** The worker has ended, and so many commands wait for the end of their lease. */
  readonly left: (count: number) => Effect.Effect<void>
}

/** `350ms`, `5m 12s`. */
const inWords = (millis: number): string =>
  Duration.format(Duration.millis(millis < 10_000 ? millis : Math.round(millis / 1000) * 1000))

/** @category constructors @since 0.1.0 */
export const make = (queue: string): OutboxLog => {
  const ofQueue = { [attribute.queue]: queue }
  const ends = new Map<CommandEnd, Series>(
    commanded.map((outcome) => [
      outcome,
      Telemetry.bind(Telemetry.commands, { ...ofQueue, [attribute.outcome]: outcome })
    ])
  )
  const depths = new Map<State, Series>(
    states.map((state) => [
      state,
      Telemetry.bind(Telemetry.commandDepth, { ...ofQueue, [attribute.commandState]: state })
    ])
  )
  const age = Telemetry.bind(Telemetry.commandAge, ofQueue)
  const line = (write: Effect.Effect<void>, event: string, more?: Record<string, unknown>) =>
    Effect.annotateLogs(write, { [field.queue]: queue, [field.event]: event, ...more })

  return {
    ended: (outcome, context) => ends.get(outcome)?.updateUnsafe(1, context),
    aged: (seconds, context) => age.updateUnsafe(seconds, context),
    counted: (counts, context) => {
      for (const state of states) depths.get(state)?.updateUnsafe(counts[state], context)
    },
    failed: ({ attempts, sequence }, verdict) => {
      if (verdict._tag !== "Again" && verdict._tag !== "Dead") return Effect.void
      const { _tag, note } = verdict
      const more = { [field.command]: sequence, [field.attempt]: attempts, [field.errorMessage]: note }
      const what = `outbox ${queue}: command ${sequence}, attempt ${attempts}`
      return _tag === "Dead"
        ? line(Effect.logError(`${what}: dead: ${note}`), "command dead", more)
        : line(
            Effect.logWarning(`${what}: again in ${inWords(verdict.afterMillis)}: ${note}`),
            "command rescheduled",
            more
          )
    },
    lost: (count) =>
      line(
        Effect.logWarning(`outbox ${queue}: ${count} commands were taken over: their leases had ended`),
        "commands lost"
      ),
    storeDown: (error) =>
      line(Effect.logWarning(`outbox ${queue}: waits for its store: ${error.message}`), "store down", {
        [field.errorMessage]: error.message
      }),
    storeUp: line(Effect.logInfo(`outbox ${queue}: its store answers again`), "store up"),
    left: (count) =>
      line(
        Effect.logWarning(`outbox ${queue}: ended, and leaves ${count} commands to the end of their leases`),
        "commands left"
      )
  }
}
