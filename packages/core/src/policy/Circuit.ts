/**
 * The circuit breaker of one connection: closed, open, half-open (SAFE-6). A pure state machine: time and randomness are given to it, so that one
 * decision costs nanoseconds and a model can check it. What counts as a failure is `AttemptFailure.unhealthy`'s business. @since 0.1.0
 */
import type { ResolvedPolicy } from "../definition/CallPolicy.ts"

/** A policy's `breaker`, resolved. @category models @since 0.1.0 */
export type CircuitOptions = ResolvedPolicy["breaker"]

/** @category models @since 0.1.0 */
export type CircuitState = "closed" | "open" | "half-open"

/** What a caller is told to wait while a probe is under way. */
const probeWaitMillis = 1000

/** What an admitted attempt came to; an interruption is `ignored`. @category models @since 0.1.0 */
export type Sample = "success" | "failure" | "ignored"

/** The last calls: outcome and time, in a ring, so that neither memory nor the cost of a sample grows. */
class Window {
  private readonly failed: Uint8Array
  private readonly at: Float64Array
  private first = 0
  calls = 0
  failures = 0

  constructor(size: number) {
    this.failed = new Uint8Array(size)
    this.at = new Float64Array(size)
  }

  private dropFirst(): void {
    this.failures -= this.failed[this.first] ?? 0
    this.first = (this.first + 1) % this.failed.length
    this.calls--
  }

  push(failed: boolean, now: number, maxAge: number): void {
    while (this.calls > 0 && now - (this.at[this.first] ?? 0) > maxAge) this.dropFirst()
    if (this.calls === this.failed.length) this.dropFirst()
    const slot = (this.first + this.calls) % this.failed.length
    this.failed[slot] = failed ? 1 : 0
    this.at[slot] = now
    this.calls++
    if (failed) this.failures++
  }

  clear(): void {
    this.first = this.calls = this.failures = 0
  }
}

/** @category models @since 0.1.0 */
export class Circuit {
  state: CircuitState = "closed"
  /** How often it has opened since it was made. */
  openings = 0
  private readonly options: CircuitOptions
  private readonly window: Window
  private inRow = 0
  private openUntil = 0
  private openTimes = 0
  private probing = false
  private probesPassed = 0
  /** Changes with the state, so that the outcome of an attempt that was admitted before says nothing about what is now. */
  private generation = 1

  constructor(options: CircuitOptions) {
    this.options = options
    this.window = new Window(options.window)
  }

  /** Milliseconds until an attempt may be admitted; 0 if one may be now. Takes nothing. */
  peek(now: number): number {
    if (this.state === "closed") return 0
    if (this.state === "open") return Math.max(0, this.openUntil - now)
    return this.probing ? Math.min(this.options.openMillis, probeWaitMillis) : 0
  }

  /** A ticket for one attempt, or 0 when it is refused. Every ticket must be given to `settle` once. */
  admit(now: number): number {
    if (this.state === "closed") return this.generation
    if (this.peek(now) > 0) return 0
    if (this.state === "open") this.enter("half-open")
    this.probing = true
    return this.generation
  }

  /** Tells what an admitted attempt came to. `random` is drawn only when the circuit opens. */
  settle(ticket: number, sample: Sample, now: number, random: () => number): void {
    if (ticket !== this.generation) return
    if (this.state === "half-open") this.settleProbe(sample, now, random)
    else if (sample !== "ignored") this.settleClosed(sample === "failure", now, random)
  }

  private settleProbe(sample: Sample, now: number, random: () => number): void {
    this.probing = false
    if (sample === "failure") this.open(now, random)
    else if (sample === "success" && ++this.probesPassed >= this.options.successesToClose) this.close()
  }

  private settleClosed(failed: boolean, now: number, random: () => number): void {
    this.inRow = failed ? this.inRow + 1 : 0
    this.window.push(failed, now, this.options.windowAgeMillis)
    if (!failed) return
    const { calls, failures } = this.window
    const tooMany = calls >= this.options.minimumCalls && failures / calls >= this.options.failureRate
    if (this.inRow >= this.options.consecutiveFailures || tooMany) this.open(now, random)
  }

  private open(now: number, random: () => number): void {
    const { maxOpenMillis, openMillis } = this.options
    const length = Math.min(maxOpenMillis, openMillis * 2 ** Math.min(this.openTimes, 30))
    this.openTimes++
    this.openings++
    this.openUntil = now + Math.min(maxOpenMillis, length * (0.8 + 0.4 * random()))
    this.enter("open")
  }

  private close(): void {
    this.openTimes = 0
    this.enter("closed")
  }

  private enter(state: CircuitState): void {
    this.state = state
    this.generation++
    this.inRow = 0
    this.probing = false
    this.probesPassed = 0
    this.window.clear()
  }
}
