/**
 * One timer for all exchanges of a client: when the first of them may be due it looks at each. A byte that comes meanwhile costs a timer nothing. @internal
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

/** Something that runs into a timeout, unless it ends before. @category models @since 0.1.0 */
export interface Due {
  /** The instant of its next timeout, which may have moved when that instant comes. */
  dueAt(): number
  /** Ends it, if its timeout has struck by `now`; whether it did. */
  expire(now: number): boolean
}

/** The timer looks at least so often while it runs, so that it does not hold a process that has done its work for longer. */
const longestSleep = 100

/** @category models @since 0.1.0 */
export class DueList {
  readonly clock: Clock.Clock
  private readonly waiting = new Set<Due>()
  private readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  private wakesAt = Number.POSITIVE_INFINITY
  private sleeper: Fiber.Fiber<void> | undefined = undefined

  constructor(clock: Clock.Clock, fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>) {
    this.clock = clock
    this.fork = fork
  }

  add(due: Due): void {
    this.waiting.add(due)
    const at = due.dueAt()
    if (at < this.wakesAt) this.sleepUntil(at)
  }

  delete(due: Due): void {
    this.waiting.delete(due)
  }

  /** Stops the timer: nothing expires any more. */
  close(): void {
    this.waiting.clear()
    this.sleeper?.interruptUnsafe()
  }

  private sleepUntil(at: number): void {
    const now = this.clock.currentTimeMillisUnsafe()
    const millis = Math.max(0, Math.min(at - now, longestSleep))
    this.sleeper?.interruptUnsafe()
    this.wakesAt = now + millis
    this.sleeper = this.fork(Effect.andThen(this.clock.sleep(Duration.millis(millis)), this.look))
  }

  private readonly look = Effect.sync(() => {
    const now = this.clock.currentTimeMillisUnsafe()
    let next = Number.POSITIVE_INFINITY
    for (const due of this.waiting) {
      if (due.expire(now)) this.waiting.delete(due)
      else next = Math.min(next, due.dueAt())
    }
    this.sleeper = undefined
    this.wakesAt = Number.POSITIVE_INFINITY
    if (this.waiting.size > 0) this.sleepUntil(next)
  })
}
