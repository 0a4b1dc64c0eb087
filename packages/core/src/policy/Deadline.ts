/**
 * When a call must be over: an instant, so that every wait below it knows how much time is left and nothing is begun that cannot end. @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"

/** Milliseconds since the epoch; `undefined` without one beside the policy's. @category references @since 0.1.0 */
export const CurrentDeadline = Context.Reference<number | undefined>("@breakwater/core/Deadline/CurrentDeadline", {
  defaultValue: () => undefined
})

/**
 * Gives every call inside at most this long, counted from the start of the effect; never more than a deadline further out. Unlike `Effect.timeout`, which
 * interrupts, it lets a write that is under way end with a value: `OutcomeUnknown` or `RetryableError`. @category combinators @since 0.1.0
 */
export const withDeadline: {
  (duration: Duration.Input): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, duration: Duration.Input): Effect.Effect<A, E, R>
} = dual(2, <A, E, R>(self: Effect.Effect<A, E, R>, duration: Duration.Input): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    const at = fiber.getRef(Clock.Clock).currentTimeMillisUnsafe() + Duration.toMillis(duration)
    const outer = fiber.getRef(CurrentDeadline)
    return Effect.provideService(self, CurrentDeadline, outer === undefined ? at : Math.min(outer, at))
  })
)
