/**
 * The course of an exchange between a client and a simulated provider: the plan picks the fault, the provider works or does not, and what comes of it goes on the wire. The
 * in-memory client and the real port both run this, so that they differ only in how a wire is laid. @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Answer, Exchange, Received } from "./Exchange.ts"
import * as Exchanges from "./Exchange.ts"
import type { Fault } from "./Fault.ts"
import * as Faults from "./Fault.ts"
import type { FaultPlan } from "./FaultPlan.ts"
import { current } from "./kernel/CurrentRun.ts"
import * as Draw from "./kernel/Draw.ts"
import * as Latencies from "./Latency.ts"
import type { SimulatedProvider } from "./SimulatedProvider.ts"
import type { Wire } from "./Wire.ts"
import * as Wires from "./Wire.ts"

/** @category models @since 0.1.0 */
export interface FaultyNetwork {
  /**
   * Runs one exchange to its end at the provider. A client that leaves does not end it: whoever runs this forks it, in a scope that outlives the client.
   */
  readonly exchange: (provider: SimulatedProvider, request: Received) => Effect.Effect<Wire>
}

/** Labels whose occurrences are counted, the oldest forgotten first. @category constants @since 0.1.0 */
export const maxLabels = 100_000

/** Counts the occurrences of labels. */
class Occurrences {
  private readonly counts = new Map<string, number>()

  next(label: string): number {
    const count = this.counts.get(label) ?? 0
    if (count === 0 && this.counts.size >= maxLabels) this.forgetOldest()
    this.counts.set(label, count + 1)
    return count
  }

  private forgetOldest(): void {
    const oldest = this.counts.keys().next()
    if (oldest.done !== true) this.counts.delete(oldest.value)
  }
}

const log = (
  provider: SimulatedProvider,
  exchange: Exchange,
  at: number,
  fault: Fault,
  answer: Answer | undefined,
  wire: Wire
): void => {
  const sent = wire._tag === "Answered" ? wire.status : answer?.status
  provider.ledger.log({
    index: exchange.index,
    at,
    operation: exchange.operation,
    method: exchange.method,
    path: exchange.path,
    key: exchange.key,
    fault: fault.name,
    status: sent,
    processed: answer?.executed === true && (fault.phase !== "work" || fault.processed)
  })
}

/** How much later the answer comes: drawn by the run, or by the fault's own seed. */
const delayOf = (fault: Fault, { label, occurrence, provider }: Exchange): number => {
  if (fault._tag === "Latency") return fault.millis
  if (fault._tag !== "LatencyOf") return 0
  const run = current()
  const draw = (name: string): number =>
    run?.uniform(`${name} ${provider} ${label}`) ??
    Draw.fraction(Draw.hashOf(`${fault.seed}\n${name}\n${label}\n${occurrence}`))
  return Latencies.sample(fault.latency, draw("latency"), draw("second draw of latency"))
}

/** The clock as a provider has it whose clock is so far ahead. */
const skewed = (clock: Clock.Clock, millis: number): Clock.Clock => {
  const nanos = BigInt(Math.round(millis * 1_000_000))
  return {
    currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + millis,
    currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now + millis),
    currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe() + nanos,
    currentTimeNanos: Effect.map(clock.currentTimeNanos, (now) => now + nanos),
    monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: clock.monotonicTimeNanos,
    sleep: (duration) => clock.sleep(duration)
  }
}

/** Work by a clock that is so far ahead. */
const timed = <A>(work: Effect.Effect<A>, millis: number): Effect.Effect<A> =>
  millis === 0 ? work : Effect.updateService(work, Clock.Clock, (clock) => skewed(clock, millis))

/** Whether the request reaches the provider at all. */
const reaches = (fault: Fault): boolean => fault.processed || fault.phase === "work"

/** A network that faults strike by a plan. Its time begins when it is made. @category constructors @since 0.1.0 */
export const make = (plan: FaultPlan): Effect.Effect<FaultyNetwork> =>
  Effect.map(Clock.currentTimeMillis, (madeAt) => {
    const occurrences = new Occurrences()
    let count = 0
    const begin = (provider: SimulatedProvider, request: Received, now: number): Exchange => {
      const { key, operation } = provider.identify(request)
      const path = Exchanges.path(request)
      const label = `${request.method} ${path}${key === undefined ? "" : ` ${key}`}`
      return {
        index: count++,
        at: now - madeAt,
        provider: provider.name,
        operation,
        method: request.method,
        path,
        key,
        label,
        occurrence: occurrences.next(`${provider.name} ${label}`)
      }
    }
    return {
      exchange: Effect.fnUntraced(function* (provider: SimulatedProvider, request: Received) {
        const startedAt = yield* Clock.currentTimeMillis
        const exchange = begin(provider, request, startedAt)
        const struck = plan.next(exchange)
        const fault = Faults.besideClock(struck)
        const ahead = struck._tag === "ClockSkew" ? struck.millis : 0
        const crash = fault._tag === "Crash" ? fault : undefined
        const answer = reaches(fault) ? yield* timed(provider.handle({ ...request, crash }), ahead) : undefined
        const now = (yield* Clock.currentTimeMillis) + ahead
        const wire = Wires.of({ fault, answer, edge: provider.edge, now })
        log(provider, exchange, startedAt, struck, answer, wire)
        const delay = delayOf(fault, exchange)
        if (delay > 0) yield* Effect.sleep(Duration.millis(delay))
        return wire
      })
    }
  })
