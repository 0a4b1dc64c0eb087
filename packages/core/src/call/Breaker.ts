/**
 * The breaker of a lane: the circuit of the origin and the circuit of the connection, of which an attempt needs both (ADR 0005). What is drawn for one attempt is drawn once for
 * both, so that an app with one connection sees them act as one. @internal
 */
import type * as Fiber from "effect/Fiber"
import type { Circuit, Sample } from "../policy/Circuit.ts"
import { noRandom, randomOf } from "./RunningCall.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** Who is admitted: its tickets are set in the same instant in which they are given, so that an interruption cannot lose them. @category models @since 0.1.0 */
export interface Admitted {
  ticket: number
  originTicket: number
  /** From 0 to below 1, drawn once: by it a ramp decides, the same at every attempt. -1 before it is drawn. */
  lot: number
}

/** What an admitted attempt came to, for each of the circuits. @category models @since 0.1.0 */
export interface AttemptEnd {
  readonly sample: Sample
  readonly originSample: Sample
  readonly startedAt: number
  readonly hintMillis: number
}

/** A generator that draws when it is first asked, and then says the same. */
const once = (draw: () => number): (() => number) => {
  let drawn: number | undefined
  return () => (drawn ??= draw())
}

/** @category models @since 0.1.0 */
export class Breaker {
  readonly connection: Circuit
  /** None in the lane in which credentials are refreshed, and where no origin is known. */
  readonly origin: Circuit | undefined

  constructor(connection: Circuit, origin: Circuit | undefined) {
    this.connection = connection
    this.origin = origin
  }

  /** Whether nothing stands in the way of a call. */
  get isClosed(): boolean {
    return this.connection.isClosed && (this.origin === undefined || this.origin.isClosed)
  }

  private get timesCalls(): boolean {
    return this.connection.timesCalls || (this.origin !== undefined && this.origin.timesCalls)
  }

  /** Whether a circuit has changed and nobody was told. */
  get hasChanged(): boolean {
    return this.connection.hasChanged || (this.origin !== undefined && this.origin.hasChanged)
  }

  /** Milliseconds until both circuits may admit the attempt; 0 if they may now. Takes nothing. */
  peek(holder: Admitted, fiber: AnyFiber, now: number): number {
    if (this.timesCalls) this.notice(fiber, now)
    if (this.isClosed) return 0
    const lot = this.lotOf(holder, fiber)
    return Math.max(this.connection.peek(now, lot), this.origin?.peek(now, lot) ?? 0)
  }

  private notice(fiber: AnyFiber, now: number): void {
    const random = once(randomOf(fiber))
    this.connection.notice(now, random)
    this.origin?.notice(now, random)
  }

  private lotOf(holder: Admitted, fiber: AnyFiber): number {
    if (this.connection.state !== "ramping" && this.origin?.state !== "ramping") return 0
    if (holder.lot < 0) holder.lot = randomOf(fiber)()
    return holder.lot
  }

  /** Admits an attempt of which `peek` has just said that it may go. `longestMillis` is its timeout. */
  admit(holder: Admitted, now: number, longestMillis: number): void {
    const lot = Math.max(0, holder.lot)
    holder.ticket = this.connection.admit(now, lot, longestMillis)
    if (this.origin !== undefined) holder.originTicket = this.origin.admit(now, lot, longestMillis)
  }

  /** Tells both circuits what the attempt came to. */
  settle(holder: Admitted, fiber: AnyFiber, now: number, end: AttemptEnd): void {
    const random = end.sample === "failure" || this.timesCalls ? once(randomOf(fiber)) : noRandom
    this.connection.settle(holder.ticket, end.sample, now, random, end)
    this.origin?.settle(holder.originTicket, end.originSample, now, random, end)
    holder.ticket = holder.originTicket = 0
  }

  /** Gives back what was admitted and did not come to an end. Safe to run twice. */
  release(holder: Admitted, now: number): void {
    if (holder.ticket !== 0) this.connection.settle(holder.ticket, "ignored", now, noRandom)
    if (holder.originTicket !== 0) this.origin?.settle(holder.originTicket, "ignored", now, noRandom)
    holder.ticket = holder.originTicket = 0
  }
}
