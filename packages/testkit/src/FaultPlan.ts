/**
 * Which fault strikes which exchange: pure functions of the exchange, so that a plan may be asked twice, in any order, and says the same. @since 0.1.0
 */
import * as Duration from "effect/Duration"
import { dual } from "effect/Function"
import type { Exchange } from "./Exchange.ts"
import type { Fault } from "./Fault.ts"
import * as Faults from "./Fault.ts"
import * as Draw from "./kernel/Draw.ts"
import * as Latencies from "./Latency.ts"

/** @category models @since 0.1.0 */
export interface FaultPlan {
  readonly next: (exchange: Exchange) => Fault
}

/** The same for every exchange. @category constructors @since 0.1.0 */
export const always = (fault: Fault): FaultPlan => ({ next: () => fault })

/** Nothing goes wrong. @category constructors @since 0.1.0 */
export const none: FaultPlan = always(Faults.none)

/** One fault for each exchange, in the order in which they come; none after the last. @category constructors @since 0.1.0 */
export const script = (faults: ReadonlyArray<Fault>): FaultPlan => ({
  next: ({ index }) => faults[index] ?? Faults.none
})

/** The fault wherever the predicate holds. @category constructors @since 0.1.0 */
export const when = (predicate: (exchange: Exchange) => boolean, fault: Fault): FaultPlan => ({
  next: (exchange) => (predicate(exchange) ? fault : Faults.none)
})

/** A span of time, counted from when the network was made: from `from` on, until before `to`. @category models @since 0.1.0 */
export interface Span {
  readonly from: Duration.Input
  readonly to: Duration.Input
}

/** The plan while the span lasts. @category constructors @since 0.1.0 */
export const during = (span: Span, plan: FaultPlan): FaultPlan => {
  const from = Duration.toMillis(span.from)
  const to = Duration.toMillis(span.to)
  return { next: (exchange) => (exchange.at >= from && exchange.at < to ? plan.next(exchange) : Faults.none) }
}

/** Everything fails while the span lasts. Default `Fault.refused`. @category constructors @since 0.1.0 */
export const outage = (span: Span, fault: Fault = Faults.refused): FaultPlan => during(span, always(fault))

/** Up for a while, down for a while, over and over, counted from when the network was made. Default `Fault.refused`. Throws a `RangeError` unless both last. @category constructors @since 0.1.0 */
export const flapping = (
  spans: { readonly up: Duration.Input; readonly down: Duration.Input },
  fault: Fault = Faults.refused
): FaultPlan => {
  const up = Duration.toMillis(spans.up)
  const down = Duration.toMillis(spans.down)
  if (!(up > 0 && down > 0 && Number.isFinite(up + down)))
    throw new RangeError(`FaultPlan.flapping: up and down must last, got ${up} ms and ${down} ms`)
  return when(({ at }) => at % (up + down) >= up, fault)
}

/** @category models @since 0.1.0 */
export interface BrownOut extends Span {
  readonly seed: number | string
  /** Share of the exchanges that are refused, from 0 to 1. Default 0.5. */
  readonly share?: number | undefined
  /** What becomes of these. Default `Fault.status(503)`. */
  readonly refused?: Fault | undefined
  /** What becomes of the others. Default a latency around 2 seconds, with a tail. */
  readonly slowed?: Fault | undefined
}

/** Overloaded while the span lasts: some are refused, and the others wait. Throws a `RangeError` for a share that is none. @category constructors @since 0.1.0 */
export const brownOut = (options: BrownOut): FaultPlan => {
  const { refused = Faults.status(503), seed, share = 0.5 } = options
  const slowed = options.slowed ?? Faults.latencyOf(Latencies.logNormal({ median: "2 seconds" }), { seed })
  return during(options, orElse(seeded({ seed, faults: [{ share, fault: refused }] }), always(slowed)))
}

/** One fault of a seeded plan. @category models @since 0.1.0 */
export interface Share {
  /** Share of the exchanges that it strikes, from 0 to 1. */
  readonly share: number
  readonly fault: Fault
}

/**
 * Faults at random, the same in every run with this seed.
 * **Details** Each exchange draws for itself, from the seed, its label and its occurrence: a draw depends on no other, so that concurrency, retries and a changed plan
 * elsewhere leave it as it is. A resent write (same key) draws anew. Throws a `RangeError` if the shares are more than 1 in all. @category constructors @since 0.1.0
 */
export const seeded = (options: {
  readonly seed: number | string
  readonly faults: ReadonlyArray<Share>
}): FaultPlan => {
  const { faults, seed } = options
  const total = faults.reduce((sum, { share }) => sum + share, 0)
  if (faults.some(({ share }) => !(share >= 0)) || total > 1 + 1e-9) {
    throw new RangeError(`FaultPlan.seeded: shares must not be negative, nor more than 1 in all, got ${total}`)
  }
  return {
    next: ({ label, occurrence }) => {
      let left = Draw.coarse(Draw.hashOf(`${seed}\n${label}\n${occurrence}`))
      for (const { fault, share } of faults) {
        if (left < share) return fault
        left -= share
      }
      return Faults.none
    }
  }
}

/** The first plan's fault, or the second's where the first has none. @category combinators @since 0.1.0 */
export const orElse: {
  (that: FaultPlan): (self: FaultPlan) => FaultPlan
  (self: FaultPlan, that: FaultPlan): FaultPlan
} = dual(2, (self: FaultPlan, that: FaultPlan): FaultPlan => ({
  next: (exchange) => {
    const fault = self.next(exchange)
    return fault._tag === "None" ? that.next(exchange) : fault
  }
}))
