/**
 * Counts what is alive: fibers that have begun and not ended, sleeps that somebody still waits for.
 */
import { Clock, type Duration, Effect, Metric } from "effect"

export class Census {
  fibers = 0
  sleeps = 0

  /** Runs an effect under the count. What it forks is counted; the fiber it runs in is not. */
  readonly of = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.flatMap(Clock.Clock, (clock) =>
      effect.pipe(
        Effect.provideService(Clock.Clock, this.counted(clock)),
        Effect.provideService(Metric.FiberRuntimeMetrics, {
          recordFiberStart: () => void this.fibers++,
          recordFiberEnd: () => void this.fibers--
        })
      )
    )

  private counted(clock: Clock.Clock): Clock.Clock {
    return Object.assign(Object.create(clock) as Clock.Clock, {
      sleep: (duration: Duration.Duration) =>
        Effect.acquireUseRelease(
          Effect.sync(() => void this.sleeps++),
          () => clock.sleep(duration),
          () => Effect.sync(() => void this.sleeps--)
        )
    })
  }
}
