/** Bounds how long a request to a database may take. @internal */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Place } from "../store/StoreError.ts"
import { make as storeError, type StoreError } from "../store/StoreError.ts"

const late = (place: Place, timeout: Duration.Duration): StoreError =>
  storeError(place, "timeout", `no answer within ${Duration.format(timeout)}`)

/** Fails when it takes too long, after the request was given up: for what has to end in order, as within a transaction. @category combinators @since 0.1.0 */
export const inOrder = <A>(
  place: Place,
  timeout: Duration.Duration,
  request: Effect.Effect<A, StoreError>
): Effect.Effect<A, StoreError> =>
  Effect.timeoutOrElse(request, { duration: timeout, orElse: () => Effect.fail(late(place, timeout)) })

/**
 * Fails when it takes too long, at once: a driver that waits for a dead server to take back a request does so by itself. What answers at once, as SQLite does, costs no timer.
 * @category combinators @since 0.1.0
 */
export const within = <A>(
  place: Place,
  timeout: Duration.Duration,
  request: Effect.Effect<A, StoreError>
): Effect.Effect<A, StoreError> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.forkDetach(restore(request), { startImmediately: true }), (fiber) => {
      const exit = fiber.pollUnsafe()
      if (exit !== undefined) return exit
      const giveUp = () => fiber.interruptUnsafe()
      return restore(inOrder(place, timeout, Fiber.join(fiber))).pipe(Effect.onExit(() => Effect.sync(giveUp)))
    })
  )
