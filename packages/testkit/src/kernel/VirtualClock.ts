/**
 * Time that stands still while anything can run, and then goes on to whatever is due next. It is also the clock that `TestClock.adjust` and `TestClock.setTime` ask for, so
 * that tests written with them run unchanged. @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as TestClock from "effect/testing/TestClock"
import type { FiberRecord } from "./FiberRecord.ts"

interface Timer {
  readonly at: number
  /** 0 for a sleep; 1 for what waits until everything else that is due at this instant has run to its end. */
  readonly rank: 0 | 1
  readonly sequence: number
  readonly owner: FiberRecord
  readonly wake: () => void
  done: boolean
}

/** @category models @since 0.1.0 */
export interface Options {
  /** Milliseconds since the epoch at which the run begins. */
  readonly startAt: number
  /** The fiber that runs now. */
  readonly owner: () => FiberRecord
  /** Hands over what a timer wakes: it must not run at once, or timers of one instant could not be put in another order. */
  readonly enqueue: (owner: FiberRecord, wake: () => void) => void
  /** Real time was asked for. */
  readonly onLive: () => void
}

const isBefore = (a: Timer, b: Timer): boolean =>
  a.at !== b.at ? a.at < b.at : a.rank !== b.rank ? a.rank < b.rank : a.sequence < b.sequence

/** @category models @since 0.1.0 */
export class VirtualClock implements TestClock.TestClock {
  /** Milliseconds since the epoch. */
  now: number
  /** Timers that went off. */
  fired = 0
  private elapsedBefore = 0
  private since: number
  private sequence = 0
  private cancelled = 0
  private heap: Array<Timer> = []
  private readonly options: Options

  constructor(options: Options) {
    this.options = options
    this.now = options.startAt
    this.since = options.startAt
  }

  /** Milliseconds since the run began, by a clock that nobody sets. */
  get elapsed(): number {
    return this.elapsedBefore + (this.now - this.since)
  }

  currentTimeMillisUnsafe(): number {
    return this.now
  }

  currentTimeNanosUnsafe(): bigint {
    return nanosOf(this.now)
  }

  monotonicTimeNanosUnsafe(): bigint {
    return nanosOf(this.elapsed)
  }

  readonly currentTimeMillis: Effect.Effect<number> = Effect.sync(() => this.now)
  readonly currentTimeNanos: Effect.Effect<bigint> = Effect.sync(() => this.currentTimeNanosUnsafe())
  readonly monotonicTimeNanos: Effect.Effect<bigint> = Effect.sync(() => this.monotonicTimeNanosUnsafe())

  sleep(duration: Duration.Duration): Effect.Effect<void> {
    const millis = Duration.toMillis(duration)
    if (millis <= 0) return Effect.yieldNow
    return Number.isFinite(millis) ? this.wait(millis, 0) : Effect.never
  }

  /** Waits so long, and until everything due by then has come to rest. */
  adjust(duration: Duration.Input): Effect.Effect<void> {
    return this.wait(Duration.toMillis(Duration.fromInputUnsafe(duration)), 1)
  }

  /** The same up to a time; a time that has passed is set at once and wakes nobody. */
  setTime(timestamp: number): Effect.Effect<void> {
    return Effect.suspend(() =>
      timestamp < this.now ? Effect.sync(() => this.set(timestamp)) : this.wait(timestamp - this.now, 1)
    )
  }

  /** There is no live clock in a simulation: this is reported, and stays on virtual time. */
  withLive<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      this.options.onLive()
      return effect
    })
  }

  /** Whether more becomes due within so many milliseconds of the next instant at which something is. */
  isNear(millis: number): boolean {
    const first = this.pop()
    if (first === undefined) return false
    const isNear = this.heap.some(
      ({ at, done, rank }) => !done && rank === 0 && at > first.at && at <= first.at + millis
    )
    this.push(first)
    return first.rank === 0 && isNear
  }

  /**
   * Goes on to the next instant at which something is due, late by so many milliseconds, and hands over all that is due by then, in its order. Says whether there was any.
   */
  advance(lateMillis = 0): boolean {
    const first = this.pop()
    if (first === undefined) return false
    if (first.at + lateMillis > this.now) this.now = first.at + lateMillis
    this.fire(first)
    if (first.rank === 1) return true
    for (let next = this.heap[0]; next !== undefined && next.at <= this.now && next.rank === 0; next = this.heap[0]) {
      const due = this.pop()
      if (due === undefined) break
      if (isBefore(next, due)) this.push(due)
      else this.fire(due)
    }
    return true
  }

  /** Forgets the timers of fibers that were abandoned. */
  forgetAbandoned(): void {
    for (const timer of this.heap) timer.done ||= timer.owner.isAbandoned
    this.forgetCancelled()
  }

  private set(timestamp: number): void {
    this.elapsedBefore = this.elapsed
    this.now = timestamp
    this.since = timestamp
  }

  private wait(millis: number, rank: 0 | 1): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      const timer: Timer = {
        at: this.now + millis,
        rank,
        sequence: this.sequence++,
        owner: this.options.owner(),
        wake: () => {
          if (timer.done) return
          timer.done = true
          resume(Effect.void)
        },
        done: false
      }
      this.push(timer)
      return Effect.sync(() => this.cancel(timer))
    })
  }

  private fire({ owner, wake }: Timer): void {
    this.fired++
    this.options.enqueue(owner, wake)
  }

  private cancel(timer: Timer): void {
    if (timer.done) return
    timer.done = true
    this.cancelled++
    if (this.cancelled > 64 && this.cancelled * 2 > this.heap.length) this.forgetCancelled()
  }

  private forgetCancelled(): void {
    // A sorted array is a heap.
    this.heap = this.heap.filter(({ done }) => !done).toSorted((a, b) => (isBefore(a, b) ? -1 : 1))
    this.cancelled = 0
  }

  private push(timer: Timer): void {
    const { heap } = this
    let index = heap.push(timer) - 1
    while (index > 0) {
      const above = (index - 1) >> 1
      const parent = heap[above]
      if (parent === undefined || !isBefore(timer, parent)) break
      heap[index] = parent
      index = above
    }
    heap[index] = timer
  }

  /** The next timer that is not cancelled. */
  private pop(): Timer | undefined {
    for (;;) {
      const top = this.heap[0]
      const last = this.heap.pop()
      if (top === undefined || last === undefined) return undefined
      if (this.heap.length > 0) this.sink(last)
      if (!top.done) return top
      this.cancelled = Math.max(0, this.cancelled - 1)
    }
  }

  private sink(timer: Timer): void {
    const { heap } = this
    let index = 0
    for (;;) {
      const below = this.lesser(2 * index + 1)
      const child = heap[below]
      if (child === undefined || !isBefore(child, timer)) break
      heap[index] = child
      index = below
    }
    heap[index] = timer
  }

  private lesser(left: number): number {
    const a = this.heap[left]
    const b = this.heap[left + 1]
    return a !== undefined && b !== undefined && isBefore(b, a) ? left + 1 : left
  }
}

const nanosOf = (millis: number): bigint => {
  const whole = Math.floor(millis)
  return BigInt(whole) * 1_000_000n + BigInt(Math.round((millis - whole) * 1_000_000))
}
