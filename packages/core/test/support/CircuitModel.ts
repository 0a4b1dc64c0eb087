/**
 * What a circuit should do, told as history instead of counters: every attempt and every sample is kept, and every decision looks at all of them.
 */
import type { CircuitOptions, CircuitState, Sample } from "@breakwater/core/Circuit"

interface Counted {
  readonly at: number
  failed: boolean
  readonly slow: boolean
}

/** An attempt that was admitted. */
export interface Attempt {
  readonly epoch: object
  readonly startedAt: number
  /** Of a probe: when its lease ends. */
  readonly leaseUntil: number | undefined
  /** Its sample, when it was counted while it ran. */
  counted: Counted | undefined
  ended: boolean
}

const shares = [0.1, 0.25, 0.5, 1]

export class CircuitModel {
  state: CircuitState = "closed"
  openings = 0
  private options: CircuitOptions
  private epoch: object = {}
  private samples: Array<Counted> = []
  /** Whether each attempt of the epoch failed, in the order in which they ended. */
  private ends: Array<boolean> = []
  private underWay: Array<Attempt> = []
  private probes: Array<Attempt> = []
  private until = 0
  private inSeries = 0
  private passed = 0
  private rampFrom = 0
  private letThrough: Array<number> = []

  constructor(options: CircuitOptions) {
    this.options = options
  }

  /** The calls that count now. */
  counted(now: number): ReadonlyArray<Counted> {
    const { timeWindowMillis, window, windowAgeMillis } = this.options
    if (timeWindowMillis === undefined)
      return this.samples.slice(-window).filter(({ at }) => now - at <= windowAgeMillis)
    const tenth = (at: number) => Math.floor(at / (timeWindowMillis / 10))
    return this.samples.filter(({ at }) => tenth(at) > tenth(now) - 10)
  }

  private allowedInRamp(at: number, lot: number): boolean {
    const { rampMillis } = this.options
    const part = [1, 2, 3].filter((third) => at >= this.rampFrom + (third / 3) * rampMillis).length
    const last = this.letThrough.at(-1)
    return lot < (shares[part] ?? 1) || last === undefined || at >= last + 1000
  }

  peek(now: number, lot: number): number {
    switch (this.state) {
      case "open":
        return Math.max(0, this.until - now)
      case "half-open": {
        const leases = this.probes.map(({ leaseUntil = 0 }) => leaseUntil)
        if (leases.filter((until) => until > now).length < this.options.probes) return 0
        return Math.min(1000, this.options.openMillis, Math.min(...leases) - now)
      }
      case "ramping": {
        const changes = [1, 2, 3].map((third) => this.rampFrom + (third / 3) * this.options.rampMillis)
        const instants = [now, ...changes, ...this.letThrough.map((at) => at + 1000)]
        return Math.min(...instants.filter((at) => at >= now && this.allowedInRamp(at, lot))) - now
      }
      case "forced-open":
        return this.options.maxOpenMillis
      default:
        return 0
    }
  }

  admit(now: number, lot: number, longest: number): Attempt | undefined {
    if (this.peek(now, lot) > 0) return undefined
    if (this.state === "open") this.become("half-open")
    this.endRamp(now)
    const isProbe = this.state === "half-open"
    const leaseUntil = isProbe ? now + (this.options.probeLeaseMillis ?? longest + 1000) : undefined
    const attempt: Attempt = { epoch: this.epoch, startedAt: now, leaseUntil, counted: undefined, ended: false }
    if (isProbe) {
      if (this.probes.length >= this.options.probes) {
        const lost = this.probes.findIndex(({ leaseUntil = 0 }) => leaseUntil <= now)
        this.probes.splice(lost, 1)
      }
      this.probes.push(attempt)
    }
    if (this.state === "ramping") this.letThrough.push(now)
    this.underWay.push(attempt)
    return attempt
  }

  notice(now: number, random: number): void {
    const { slowAfterMillis } = this.options
    if (slowAfterMillis === undefined || this.state === "half-open") return
    for (const attempt of this.underWay) {
      if (attempt.ended || attempt.epoch !== this.epoch || attempt.counted !== undefined) continue
      if (now - attempt.startedAt <= slowAfterMillis) continue
      attempt.counted = { at: now, failed: false, slow: true }
      this.samples.push(attempt.counted)
      if (this.isTooSlow(now)) this.open(now, random, 0)
    }
  }

  settle(attempt: Attempt, sample: Sample, now: number, random: number, hint: number): void {
    attempt.ended = true
    if (attempt.epoch !== this.epoch) return
    this.endRamp(now)
    const { slowAfterMillis } = this.options
    const slow = slowAfterMillis !== undefined && now - attempt.startedAt > slowAfterMillis
    if (this.state === "half-open") return this.settleProbe(attempt, sample, slow, now, random, hint)
    if (sample === "ignored") return
    const failed = sample === "failure"
    this.ends.push(failed)
    if (attempt.counted === undefined) this.samples.push({ at: now, failed, slow })
    else attempt.counted.failed ||= failed
    if ((failed && this.isFailing(now)) || (slow && this.isTooSlow(now))) this.open(now, random, hint)
  }

  private settleProbe(
    attempt: Attempt,
    sample: Sample,
    slow: boolean,
    now: number,
    random: number,
    hint: number
  ): void {
    if (!this.probes.includes(attempt)) return
    this.probes = this.probes.filter((probe) => probe !== attempt)
    if (sample === "ignored") return
    if (sample === "failure" || slow) return this.open(now, random, hint)
    this.passed++
    if (this.passed < this.options.successesToClose) return
    this.become(this.options.rampMillis === 0 ? "closed" : "ramping")
    this.rampFrom = now
    this.letThrough = []
    if (this.options.rampMillis === 0) this.inSeries = 0
  }

  private isFailing(now: number): boolean {
    const inRow = this.ends.length - 1 - this.ends.lastIndexOf(false)
    const counted = this.counted(now)
    const failures = counted.filter(({ failed }) => failed).length
    const isOften = counted.length >= this.options.minimumCalls && failures >= this.options.failureRate * counted.length
    return inRow >= this.options.consecutiveFailures || isOften
  }

  private isTooSlow(now: number): boolean {
    const counted = this.counted(now)
    const slow = counted.filter((each) => each.slow).length
    return counted.length >= this.options.minimumCalls && slow >= this.options.slowRate * counted.length
  }

  private open(now: number, random: number, hint: number): void {
    if (this.state === "disabled") return
    const { maxOpenMillis, openMillis } = this.options
    const length = Math.min(maxOpenMillis, openMillis * 2 ** this.inSeries) * (0.8 + 0.4 * random)
    this.until = now + Math.max(Math.min(maxOpenMillis, length), hint * (1 + 0.2 * random))
    this.inSeries++
    this.openings++
    this.become("open")
  }

  /** Told by another process: only what lets calls through on its own listens. */
  trip(now: number, millis: number, random: number): void {
    this.endRamp(now)
    if (millis <= 0 || !["closed", "ramping"].includes(this.state)) return
    const longest = Math.min(this.options.maxOpenMillis, millis * 1.2)
    this.until = now + (longest * (1 + 0.2 * random)) / 1.2
    this.become("open")
  }

  private endRamp(now: number): void {
    if (this.state !== "ramping" || now < this.rampFrom + this.options.rampMillis) return
    this.state = "closed"
    this.inSeries = 0
  }

  private become(state: CircuitState): void {
    this.state = state
    this.epoch = {}
    this.samples = []
    this.ends = []
    this.probes = []
    this.passed = 0
  }

  forceOpen(): void {
    this.become("forced-open")
  }

  disable(): void {
    if (this.state === "closed" || this.state === "ramping") this.state = "disabled"
    else if (this.state !== "disabled") this.become("disabled")
    this.inSeries = 0
  }

  close(): void {
    this.become("closed")
    this.inSeries = 0
  }

  automatic(): void {
    if (this.state === "forced-open") this.become("half-open")
    if (this.state === "disabled") this.state = "closed"
  }

  /** What has left the window does not come back into a larger one, and what ran is not told apart from what is new in it. */
  configure(options: CircuitOptions, now: number): void {
    const isOther = (["window", "windowAgeMillis", "timeWindowMillis"] as const).some(
      (field) => options[field] !== this.options[field]
    )
    if (isOther) this.samples = this.counted(now).map((counted) => ({ ...counted }))
    this.options = options
  }

  /** As the snapshot shows it. */
  seen(now: number, lot: number) {
    this.endRamp(now)
    const counted = this.counted(now)
    return {
      state: this.state,
      openings: this.openings,
      wait: this.peek(now, lot),
      calls: counted.length,
      failures: counted.filter(({ failed }) => failed).length,
      slow: counted.filter(({ slow }) => slow).length
    }
  }
}
