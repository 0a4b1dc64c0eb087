/**
 * One circuit: closed, open, half-open, ramping, or set by hand (SAFE-6). A pure state machine: time and randomness are given to it, so that one
 * decision costs nanoseconds and a model can check it. What counts as a failure is `AttemptFailure.unhealthy`'s business; which circuits an attempt needs is the call's. @since 0.1.0
 */
import type { ResolvedPolicy } from "../definition/CallPolicy.ts"
import type { CircuitControl, CircuitSnapshot, CircuitState } from "../store/Connections.ts"
import { CircuitWatch } from "./CircuitWatch.ts"
import type { CircuitWindow } from "./CircuitWindow.ts"
import * as CircuitWindows from "./CircuitWindow.ts"

export type { CircuitSnapshot, CircuitState } from "../store/Connections.ts"

/** A policy's `breaker`, resolved. @category models @since 0.1.0 */
export type CircuitOptions = ResolvedPolicy["breaker"]

/** What an admitted attempt came to. `ignored` is none of the circuit's business: an interruption, or a 429, which says nothing of health. @category models @since 0.1.0 */
export type Sample = "success" | "failure" | "ignored"

/** What else is told of an attempt that ended. @category models @since 0.1.0 */
export interface Ending {
  /** When the attempt was admitted. Default: now, which is never slow. */
  readonly startedAt?: number | undefined
  /** How long the provider asked to wait, already capped. Default 0. */
  readonly hintMillis?: number | undefined
}

/** A change of state, for whoever tells of it. @category models @since 0.1.0 */
export interface Transition {
  readonly from: CircuitState
  readonly to: CircuitState
  /** Why it opened; `undefined` for every other change. */
  readonly reason: string | undefined
  /** Milliseconds until a probe may go; 0 unless it opened. */
  readonly waitMillis: number
}

/** Shares of the calls that are let through in the parts of the ramp, which are equally long. @category constants @since 0.1.0 */
export const rampShares = [0.1, 0.25, 0.5] as const

/** What a caller is told to wait while a probe is under way, and what lies between two calls that a ramp lets through whatever its share. */
const probeWaitMillis = 1000

/** What a probe's lease has beyond the longest time that its attempt may take. */
const leaseMarginMillis = 1000

/** Changes of state that are kept until somebody asks for them. */
const maxPending = 16

/** A hint is a floor, and so is what another process tells; on top comes up to a fifth of it, so that those who got the same one do not probe in step. */
const hintJitter = 0.2

const nothing: ReadonlyArray<Transition> = []
const noEnding: Ending = {}

const share = (part: number, calls: number): string => `${Math.round((100 * part) / calls)} % of ${calls} calls`

/** @category models @since 0.1.0 */
export class Circuit implements CircuitControl {
  state: CircuitState = "closed"
  /** How often it has opened by itself since it was made. */
  openings = 0
  private options: CircuitOptions
  private window: CircuitWindow
  /** Only where a call can be slow. */
  private watch: CircuitWatch | undefined
  /** The probes under way, and when each one's lease ends. */
  private readonly probes = new Map<number, number>()
  private pending: Array<Transition> = []
  private reason: string | undefined = undefined
  private forcedBy: string | undefined = undefined
  private inRow = 0
  private passed = 0
  private openUntil = 0
  private openTimes = 0
  private rampFrom = 0
  private letThroughAt = Number.NEGATIVE_INFINITY
  /** Tickets are counted. Those up to the fence were given in a state that is over: what their attempts come to says nothing about what is now. */
  private tickets = 0
  private fence = 0

  constructor(options: CircuitOptions) {
    this.options = options
    this.window = CircuitWindows.make(options)
    this.watch = options.slowAfterMillis === undefined ? undefined : new CircuitWatch()
  }

  /** Whether it must be given the time that attempts take, and be asked to `notice` those that take too long. */
  get timesCalls(): boolean {
    return this.watch !== undefined
  }

  /** Whether nothing stands in the way of a call. */
  get isClosed(): boolean {
    return this.state === "closed" || this.state === "disabled"
  }

  /**
   * Milliseconds until an attempt may be admitted; 0 if one may be now. Takes nothing. `lot` is a number from 0 to below 1, drawn once for a call: by it a ramp lets its
   * share of the calls through.
   */
  peek(now: number, lot = 0): number {
    switch (this.state) {
      case "closed":
      case "disabled":
        return 0
      case "open":
        return Math.max(0, this.openUntil - now)
      case "half-open":
        return this.untilProbe(now)
      case "ramping":
        return this.untilLetThrough(now, lot)
      case "forced-open":
        return this.options.maxOpenMillis
    }
  }

  /** Until a place for a probe is free. */
  private untilProbe(now: number): number {
    if (this.probes.size < this.options.probes) return 0
    return Math.min(this.options.openMillis, probeWaitMillis, Math.max(0, Math.min(...this.probes.values()) - now))
  }

  private untilLetThrough(now: number, lot: number): number {
    const part = rampShares.findIndex((share) => lot < share)
    const begins = (part === -1 ? rampShares.length : part) / rampShares.length
    const byShare = this.rampFrom + begins * this.options.rampMillis
    return Math.max(0, Math.min(byShare, this.letThroughAt + probeWaitMillis) - now)
  }

  /**
   * A ticket for one attempt, or 0 when it is refused. Every ticket must be given to `settle` once. `longestMillis` is how long the attempt may take at most: a probe that
   * has not ended by then, and a margin, loses its place.
   */
  admit(now: number, lot = 0, longestMillis = 0): number {
    if (!this.isClosed) {
      if (this.peek(now, lot) > 0) return 0
      this.letThrough(now, longestMillis)
    }
    const ticket = ++this.tickets
    this.watch?.started(ticket, now)
    return ticket
  }

  private letThrough(now: number, longestMillis: number): void {
    if (this.state === "open") this.enter("half-open")
    if (this.state === "half-open") {
      this.takeProbe(this.tickets + 1, now, now + (this.options.probeLeaseMillis ?? longestMillis + leaseMarginMillis))
      return
    }
    this.letThroughAt = now
    this.endRampInTime(now)
  }

  private takeProbe(ticket: number, now: number, until: number): void {
    if (this.probes.size >= this.options.probes) {
      for (const [other, ends] of this.probes) {
        if (ends > now) continue
        this.probes.delete(other)
        break
      }
    }
    this.probes.set(ticket, until)
  }

  /** Counts the attempts that by now have taken too long, though they have not ended. `random` is drawn only when the circuit opens for it. */
  notice(now: number, random: () => number): void {
    const { slowAfterMillis } = this.options
    if (this.watch === undefined || slowAfterMillis === undefined || this.state === "half-open") return
    for (;;) {
      const ticket = this.watch.overdue(slowAfterMillis, now)
      if (ticket === 0) return
      this.watch.counted(ticket, this.window.push(false, true, now))
      const why = this.slowness()
      if (why !== undefined) this.open(why, now, random, 0)
    }
  }

  /** Tells what an admitted attempt came to. `random` is drawn only when the circuit opens. */
  settle(ticket: number, sample: Sample, now: number, random: () => number, ending: Ending = noEnding): void {
    if (ticket <= this.fence) return
    const { slowAfterMillis } = this.options
    const slow = slowAfterMillis !== undefined && now - (ending.startedAt ?? now) > slowAfterMillis
    const place = this.watch?.ended(ticket)
    this.endRampInTime(now)
    if (this.state === "half-open") return this.settleProbe(ticket, sample, slow, now, random, ending)
    if (sample === "ignored") return
    const failed = sample === "failure"
    this.inRow = failed ? this.inRow + 1 : 0
    if (place === undefined) this.window.push(failed, slow, now)
    else if (failed) this.window.fail(place, now)
    const why = (failed ? this.failing() : undefined) ?? (slow ? this.slowness() : undefined)
    if (why !== undefined) this.open(why, now, random, ending.hintMillis ?? 0)
  }

  private settleProbe(
    ticket: number,
    sample: Sample,
    slow: boolean,
    now: number,
    random: () => number,
    { hintMillis = 0 }: Ending
  ): void {
    // One whose place was given to another is not there.
    if (!this.probes.delete(ticket) || sample === "ignored") return
    if (sample === "failure") this.open("a probe failed", now, random, hintMillis)
    else if (slow) this.open("a probe was slow", now, random, hintMillis)
    else if (++this.passed >= this.options.successesToClose) this.beginRamp(now)
  }

  private failing(): string | undefined {
    const { consecutiveFailures, failureRate, minimumCalls } = this.options
    const { calls, failures } = this.window
    if (this.inRow >= consecutiveFailures) return this.inRow === 1 ? "1 failure" : `${this.inRow} failures in a row`
    return calls >= minimumCalls && failures / calls >= failureRate ? `${share(failures, calls)} failed` : undefined
  }

  private slowness(): string | undefined {
    const { minimumCalls, slowRate } = this.options
    const { calls, slow } = this.window
    return calls >= minimumCalls && slow / calls >= slowRate ? `slow: ${share(slow, calls)}` : undefined
  }

  /** Opens, unless an operator has said that it must not. */
  private open(reason: string, now: number, random: () => number, hintMillis: number): void {
    if (this.state === "disabled") return
    const { maxOpenMillis, openMillis } = this.options
    const drawn = random()
    const length = Math.min(maxOpenMillis, openMillis * 2 ** this.openTimes) * (0.8 + 0.4 * drawn)
    const wait = Math.max(Math.min(maxOpenMillis, length), hintMillis * (1 + hintJitter * drawn))
    this.openTimes++
    this.openings++
    this.openUntil = now + wait
    this.enter("open", reason, wait)
  }

  /**
   * Another process says that it is open, for so many milliseconds more: one that is closed or ramping opens for as long and up to a fifth longer, at most for its own longest time. One that is not keeps
   * what it found itself, or what an operator has set. It is no failure of its own: neither the openings nor the open time of the next one grow. `random` is drawn only when it opens.
   */
  trip(now: number, millis: number, reason: string, random: () => number): void {
    this.endRampInTime(now)
    if (!(millis > 0) || (this.state !== "closed" && this.state !== "ramping")) return
    const longest = Math.min(this.options.maxOpenMillis, millis * (1 + hintJitter))
    const wait = (longest * (1 + hintJitter * random())) / (1 + hintJitter)
    this.openUntil = now + wait
    this.enter("open", reason, wait)
  }

  private beginRamp(now: number): void {
    if (this.options.rampMillis === 0) {
      this.openTimes = 0
      return this.enter("closed")
    }
    this.rampFrom = now
    this.letThroughAt = Number.NEGATIVE_INFINITY
    this.enter("ramping")
  }

  /** Ends a ramp whose time is over. Its attempts go on, and what they come to counts. */
  private endRampInTime(now: number): void {
    if (this.state !== "ramping" || now < this.rampFrom + this.options.rampMillis) return
    this.openTimes = 0
    this.change("closed", undefined, 0)
  }

  private enter(state: CircuitState, reason?: string, waitMillis = 0): void {
    this.change(state, reason, waitMillis)
    this.fence = this.tickets
    this.inRow = this.passed = 0
    this.probes.clear()
    this.watch?.clear()
    this.window.clear()
  }

  private change(to: CircuitState, reason: string | undefined, waitMillis: number): void {
    if (to === this.state) return
    this.pending.push({ from: this.state, to, reason, waitMillis })
    if (this.pending.length > maxPending) this.pending.shift()
    if (reason !== undefined) this.reason = reason
    this.state = to
  }

  /** Whether there are changes of state that nobody was told of. */
  get hasChanged(): boolean {
    return this.pending.length > 0
  }

  /** The changes of state since they were last asked for, 16 at most. */
  takeChanges(): ReadonlyArray<Transition> {
    if (this.pending.length === 0) return nothing
    const taken = this.pending
    this.pending = []
    return taken
  }

  /** Refuses everything until it is told otherwise. What is under way goes on, and does not count. */
  forceOpen(by: string): void {
    this.enter("forced-open")
    this.reason = "forced open"
    this.forcedBy = by
  }

  /** Lets everything through until it is told otherwise, and goes on counting. */
  disable(by: string): void {
    if (this.state === "closed" || this.state === "ramping") this.change("disabled", undefined, 0)
    else if (this.state !== "disabled") this.enter("disabled")
    this.openTimes = 0
    this.forcedBy = by
  }

  /** Closes now, as if nothing had been, and is automatic from here on. */
  close(): void {
    this.enter("closed")
    this.openTimes = 0
    this.forcedBy = undefined
  }

  /** Ends what an operator has set: after a forced opening the next attempt is a probe, after a disabling it is closed, with what it has counted. Does nothing otherwise. */
  automatic(): void {
    if (this.state === "forced-open") this.enter("half-open")
    if (this.state === "disabled") this.change("closed", undefined, 0)
    this.forcedBy = undefined
  }

  /** Takes other sizes. State, counts and open time stay; a window of another size keeps what fits into it. */
  configure(options: CircuitOptions, now: number): void {
    const before = this.options
    const isSameWindow =
      before.window === options.window &&
      before.windowAgeMillis === options.windowAgeMillis &&
      before.timeWindowMillis === options.timeWindowMillis
    this.options = options
    if (options.slowAfterMillis === undefined) this.watch = undefined
    else this.watch ??= new CircuitWatch()
    if (isSameWindow) return
    const window = CircuitWindows.make(options)
    this.window.evict(now)
    this.window.replay(window)
    this.window = window
    this.watch?.uproot()
  }

  /** How it is now. */
  snapshot(now: number): CircuitSnapshot {
    this.endRampInTime(now)
    this.window.evict(now)
    const { calls, failures, slow } = this.window
    return {
      state: this.state,
      openings: this.openings,
      retryAfterMillis: this.peek(now),
      reason: this.isClosed ? undefined : this.reason,
      forcedBy: this.forcedBy,
      calls,
      failures,
      slow
    }
  }
}
