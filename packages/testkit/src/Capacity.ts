/**
 * A part of a simulated provider's protocol: what it can do at once. Requests wait in a line for a free worker, service takes its time, and work is done to its end also when
 * the client has left, which is what makes overload stay after its cause is gone. @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Answer } from "./Exchange.ts"
import * as Exchanges from "./Exchange.ts"
import type { Part } from "./SimulatedProvider.ts"

/** How busy a provider is when a request comes to a worker. @category models @since 0.1.0 */
export interface Load {
  /** Milliseconds since the provider was made. */
  readonly at: number
  /** Requests that are worked on, this one included. */
  readonly active: number
  /** Requests in the line behind it. */
  readonly waiting: number
}

/** What came so far. @category models @since 0.1.0 */
export interface Counts {
  /** Requests that arrived, the refused ones included: the attempts of all clients. */
  readonly arrived: number
  readonly refused: number
  /** Requests that were worked on to their end, whether the client was still there or not. */
  readonly done: number
}

/** The line is full. @category errors @since 0.1.0 */
export class Overloaded extends Schema.TaggedError<Overloaded>("@breakwater/testkit/Capacity/Overloaded")(
  "Overloaded",
  {}
) {
  override get message(): string {
    return "overloaded"
  }
}

/** @category models @since 0.1.0 */
export interface Options {
  /** Requests that are worked on at once. */
  readonly workers: number
  /** How long one takes, or how that follows from the load: `({ at, waiting }) => …`. */
  readonly service: Duration.Input | ((load: Load) => Duration.Input)
  /** Requests that may wait for a worker; any more are refused. Default 100,000. */
  readonly queue?: number | undefined
  /** What a refused request is told. Default a 503. */
  readonly refusal?: Answer | undefined
}

/** The values used when an option is left out. @category constants @since 0.1.0 */
export const defaults = {
  queue: 100_000,
  refusal: Exchanges.json(503, { error: "overloaded" })
} as const satisfies Partial<Options>

/** @category models @since 0.1.0 */
export interface Capacity {
  /** Stands before the endpoints of a simulated provider. */
  readonly part: Part
  /** A request without HTTP, which takes a tenth of the time to simulate: ends when it was worked on, and goes on when the client leaves, until the scope closes. */
  readonly request: Effect.Effect<void, Overloaded>
  readonly counts: () => Counts
}

/** Time in which a service is slower. @category models @since 0.1.0 */
export interface BrownOut {
  /** From so long after the provider was made. */
  readonly from: Duration.Input
  readonly lasts: Duration.Input
  /** How many times longer service takes. */
  readonly factor: number
}

/** A service that is slower for a while. @category constructors @since 0.1.0 */
export const brownOut = (service: Duration.Input, options: BrownOut): ((load: Load) => Duration.Duration) => {
  const usual = Duration.fromInputUnsafe(service)
  const slow = Duration.times(usual, options.factor)
  const from = Duration.toMillis(options.from)
  const until = from + Duration.toMillis(options.lasts)
  return ({ at }) => (at >= from && at < until ? slow : usual)
}

const wholeFrom = (field: string, value: number, min: number): number => {
  if (Number.isInteger(value) && value >= min) return value
  throw new RangeError(`Capacity.make: ${field} must be a whole number from ${min}, got ${value}`)
}

/** Workers and the line before them, first come, first served. Nothing in it takes longer for a longer line: overload makes it long. */
class Workers {
  /** Requests in the line or worked on. */
  present = 0
  private free: number
  private line: Array<{ readonly turn: Deferred.Deferred<void>; left: boolean }> = []
  private head = 0

  constructor(workers: number) {
    this.free = workers
  }

  /** Runs an effect when a worker is free, and frees the worker whatever becomes of it. */
  readonly when = <A>(effect: Effect.Effect<A>): Effect.Effect<A> =>
    Effect.suspend(() => {
      this.present++
      const done = Effect.ensuring(
        effect,
        Effect.sync(() => this.release())
      )
      if (this.free > 0) {
        this.free--
        return done
      }
      const place = { turn: Deferred.makeUnsafe<void>(), left: false }
      this.line.push(place)
      const leave = Effect.sync(() => {
        // Whoever leaves with a worker in hand gives it on.
        if (Deferred.isDoneUnsafe(place.turn)) return this.release()
        place.left = true
        this.present--
      })
      return Effect.andThen(
        Effect.onInterrupt(Deferred.await(place.turn), () => leave),
        done
      )
    })

  private release(): void {
    this.present--
    const next = this.next()
    if (next === undefined) this.free++
    else Deferred.doneUnsafe(next, Effect.void)
  }

  private next(): Deferred.Deferred<void> | undefined {
    while (this.head < this.line.length) {
      const place = this.line[this.head++]
      if (this.head > 1024 && this.head * 2 > this.line.length) {
        this.line = this.line.slice(this.head)
        this.head = 0
      }
      if (place?.left === false) return place.turn
    }
    return undefined
  }
}

/** The capacity of one provider, whose time begins now. Dies of a `RangeError` for a size that is none. @category constructors @since 0.1.0 */
export const make = Effect.fnUntraced(function* (options: Options): Effect.fn.Return<Capacity, never, Scope.Scope> {
  const { refusal = defaults.refusal, service } = options
  const limit = wholeFrom("queue", options.queue ?? defaults.queue, 0)
  const workers = wholeFrom("workers", options.workers, 1)
  const madeAt = yield* Clock.currentTimeMillis
  const scope = yield* Effect.scope
  const line = new Workers(workers)
  const counts = { arrived: 0, refused: 0, done: 0 }
  const serviceOf = (now: number): Duration.Input => {
    if (typeof service !== "function") return service
    const active = Math.min(line.present, workers)
    return service({ at: now - madeAt, active, waiting: line.present - active })
  }
  const serviced = Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.sleep(serviceOf(now)))
  const ended = Effect.sync(() => void counts.done++)
  const work = <A, E>(effect: Effect.Effect<A>, refused: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      counts.arrived++
      if (line.present >= workers + limit) {
        counts.refused++
        return refused
      }
      return Effect.tap(line.when(Effect.andThen(serviced, effect)), () => ended)
    })
  const request = work<void, Overloaded>(
    Effect.void,
    Effect.suspend(() => Effect.fail(new Overloaded()))
  )
  return {
    part: (next) => (received) => work<Answer, never>(next(received), Effect.succeed(refusal)),
    request: Effect.flatMap(Effect.forkIn(request, scope, { startImmediately: true }), Fiber.join),
    counts: () => ({ ...counts })
  }
})
