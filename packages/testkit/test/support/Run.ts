/** Runs what waits, on the test clock. */
import { Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"

/** The exit of an effect that runs in a fiber of its own while the clock goes on for `limit`. */
export const toEnd = Effect.fnUntraced(function* <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  limit: Duration.Input = "1 hour"
) {
  const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
  if (fiber.pollUnsafe() === undefined) yield* TestClock.adjust(limit)
  const exit = fiber.pollUnsafe()
  if (exit !== undefined) return exit
  yield* Fiber.interrupt(fiber)
  return yield* Effect.die(new Error(`still running after ${Duration.format(Duration.fromInputUnsafe(limit))}`))
})

/** What an effect comes to, while the clock goes on. */
export const inTime = <A, E, R>(effect: Effect.Effect<A, E, R>, limit?: Duration.Input): Effect.Effect<A, E, R> =>
  Effect.flatten(toEnd(effect, limit))
