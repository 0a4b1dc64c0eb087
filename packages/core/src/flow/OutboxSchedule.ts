/** When a command is tried again: a list of pauses with jitter, or a `Schedule`. @internal */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"

/** @category models @since 0.1.0 */
export type ScheduleInput = ReadonlyArray<Duration.Input> | Schedule.Schedule<unknown, unknown>

/** @category models @since 0.1.0 */
export interface OutboxSchedule {
  /** Milliseconds to wait after this attempt, the first is 1; `undefined` when there is no other. */
  readonly pauseAfter: (attempt: number, failure: unknown) => Effect.Effect<number | undefined>
  /** Claims of one command beyond which it is not tried again: it takes its workers with it. */
  readonly maxClaims: number
}

/** A schedule that never ends is ended here. */
const maxAttempts = 1000

const ofList = (pauses: ReadonlyArray<number>, jitter: number): OutboxSchedule => ({
  pauseAfter: (attempt) => {
    const pause = pauses[attempt - 1]
    if (pause === undefined) return Effect.undefined
    return Effect.map(Random.next, (share) => pause * (1 + jitter * (2 * share - 1)))
  },
  // Deaths of workers count as attempts, and mostly are not the command's fault.
  maxClaims: Math.max(10, 2 * (pauses.length + 1))
})

/** A schedule has a state, and an attempt may be made by another process: it is gone through from its start. */
const ofSchedule = (schedule: Schedule.Schedule<unknown, unknown>): OutboxSchedule => ({
  pauseAfter: Effect.fnUntraced(function* (attempt, failure) {
    if (attempt >= maxAttempts) return undefined
    const step = yield* Schedule.toStep(schedule)
    let now = 0
    let pause = 0
    for (let each = 1; each <= attempt; each++) {
      now += pause
      const next = yield* Pull.matchEffect(step(now, failure), {
        onSuccess: ([, delay]) => Effect.succeed<Duration.Duration | undefined>(delay),
        onFailure: (cause) => Effect.failCause(cause),
        onDone: () => Effect.undefined
      })
      if (next === undefined) return undefined
      pause = Duration.toMillis(next)
    }
    return pause
  }),
  maxClaims: maxAttempts
})

const millisOf = (pause: Duration.Input): number => {
  const millis = Duration.toMillis(Duration.fromInputUnsafe(pause))
  if (!Number.isFinite(millis)) throw new RangeError("Outbox.make: a pause of schedule must be finite")
  return millis
}

/** Throws a `RangeError` for a jitter out of range or a pause that never ends. @category constructors @since 0.1.0 */
export const make = (input: ScheduleInput, jitter: number): OutboxSchedule => {
  if (!(jitter >= 0 && jitter <= 1)) throw new RangeError(`Outbox.make: jitter must be from 0 to 1, got ${jitter}`)
  return Schedule.isSchedule(input) ? ofSchedule(input) : ofList(input.map(millisOf), jitter)
}
