/**
 * The last calls of a circuit, as counts: the last so many of them, or those of the last so many milliseconds. Neither memory nor the cost of a sample grows with the traffic. @internal
 */
import type { ResolvedPolicy } from "../definition/CallPolicy.ts"

/** @category models @since 0.1.0 */
export interface CircuitWindow {
  readonly calls: number
  readonly failures: number
  readonly slow: number
  /** Counts a call. Returns its place, for `fail`. */
  readonly push: (failed: boolean, slow: boolean, now: number) => number
  /** The call at this place failed, as it turns out: told once. Does nothing when it has left the window. */
  readonly fail: (place: number, now: number) => void
  /** Counts many calls of one instant, of which so many failed and so many were slow. */
  readonly add: (calls: number, failures: number, slow: number, now: number) => void
  /** Drops what is too old. */
  readonly evict: (now: number) => void
  /** Counts everything that is here in another window, the oldest first. */
  readonly replay: (into: CircuitWindow) => void
  readonly clear: () => void
}

const failedBit = 1
const slowBit = 2

/** The last `size` calls, none older than `maxAge`. Places are counted from the first call on, and taken modulo `size`. */
class CountWindow implements CircuitWindow {
  calls = 0
  failures = 0
  slow = 0
  private readonly size: number
  private readonly maxAge: number
  /** Made with the first sample: most circuits of an app with many tenants never see one. */
  private bits = new Uint8Array(0)
  private at = new Float64Array(0)
  private next = 0

  constructor(size: number, maxAge: number) {
    this.size = size
    this.maxAge = maxAge
  }

  private dropFirst(): void {
    const bits = this.bits[(this.next - this.calls) % this.size] ?? 0
    if ((bits & failedBit) !== 0) this.failures--
    if ((bits & slowBit) !== 0) this.slow--
    this.calls--
  }

  evict(now: number): void {
    while (this.calls > 0 && now - (this.at[(this.next - this.calls) % this.size] ?? 0) > this.maxAge) this.dropFirst()
  }

  push(failed: boolean, slow: boolean, now: number): number {
    this.evict(now)
    if (this.calls === this.size) this.dropFirst()
    if (this.at.length === 0) {
      this.bits = new Uint8Array(this.size)
      this.at = new Float64Array(this.size)
    }
    const slot = this.next % this.size
    this.bits[slot] = (failed ? failedBit : 0) | (slow ? slowBit : 0)
    this.at[slot] = now
    this.calls++
    if (failed) this.failures++
    if (slow) this.slow++
    return this.next++
  }

  fail(place: number, now: number): void {
    this.evict(now)
    const slot = place % this.size
    if (place < this.next - this.calls) return
    this.bits[slot] = (this.bits[slot] ?? 0) | failedBit
    this.failures++
  }

  add(calls: number, failures: number, slow: number, now: number): void {
    for (let index = Math.max(0, calls - this.size); index < calls; index++)
      this.push(index >= calls - failures, index >= calls - slow, now)
  }

  replay(into: CircuitWindow): void {
    for (let place = this.next - this.calls; place < this.next; place++) {
      const bits = this.bits[place % this.size] ?? 0
      into.push((bits & failedBit) !== 0, (bits & slowBit) !== 0, this.at[place % this.size] ?? 0)
    }
  }

  clear(): void {
    this.calls = this.failures = this.slow = 0
  }
}

/** Parts that a time window moves on by. */
const buckets = 10

/** The calls of the last `millis`, in tenths: the oldest tenth leaves as a whole when the next one begins. Places are the numbers of tenths. */
class TimeWindow implements CircuitWindow {
  calls = 0
  failures = 0
  slow = 0
  private readonly width: number
  private readonly perBucket = {
    calls: new Float64Array(buckets),
    failures: new Float64Array(buckets),
    slow: new Float64Array(buckets)
  }
  private newest = Number.NEGATIVE_INFINITY

  constructor(millis: number) {
    this.width = millis / buckets
  }

  evict(now: number): void {
    const bucket = Math.floor(now / this.width)
    if (bucket - this.newest >= buckets) this.clear()
    else for (let left = this.newest + 1; left <= bucket; left++) this.drop(left % buckets)
    this.newest = Math.max(this.newest, bucket)
  }

  private drop(slot: number): void {
    const { calls, failures, slow } = this.perBucket
    this.calls -= calls[slot] ?? 0
    this.failures -= failures[slot] ?? 0
    this.slow -= slow[slot] ?? 0
    calls[slot] = failures[slot] = slow[slot] = 0
  }

  push(failed: boolean, slow: boolean, now: number): number {
    this.add(1, failed ? 1 : 0, slow ? 1 : 0, now)
    return this.newest
  }

  add(calls: number, failures: number, slow: number, now: number): void {
    this.evict(now)
    const slot = this.newest % buckets
    this.calls += calls
    this.failures += failures
    this.slow += slow
    this.perBucket.calls[slot] = (this.perBucket.calls[slot] ?? 0) + calls
    this.perBucket.failures[slot] = (this.perBucket.failures[slot] ?? 0) + failures
    this.perBucket.slow[slot] = (this.perBucket.slow[slot] ?? 0) + slow
  }

  fail(place: number, now: number): void {
    this.evict(now)
    const slot = place % buckets
    if (place <= this.newest - buckets || (this.perBucket.calls[slot] ?? 0) <= (this.perBucket.failures[slot] ?? 0))
      return
    this.failures++
    this.perBucket.failures[slot] = (this.perBucket.failures[slot] ?? 0) + 1
  }

  replay(into: CircuitWindow): void {
    if (this.calls === 0) return
    const { calls, failures, slow } = this.perBucket
    for (let bucket = this.newest - buckets + 1; bucket <= this.newest; bucket++) {
      const slot = bucket % buckets
      const many = calls[slot] ?? 0
      if (many > 0) into.add(many, failures[slot] ?? 0, slow[slot] ?? 0, bucket * this.width)
    }
  }

  clear(): void {
    for (let slot = 0; slot < buckets; slot++) this.drop(slot)
  }
}

/** What decides the kind and the size of a window. @category models @since 0.1.0 */
export type WindowOptions = Pick<ResolvedPolicy["breaker"], "window" | "windowAgeMillis" | "timeWindowMillis">

/** The window that a policy asks for, empty. @category constructors @since 0.1.0 */
export const make = ({ timeWindowMillis, window, windowAgeMillis }: WindowOptions): CircuitWindow =>
  timeWindowMillis === undefined ? new CountWindow(window, windowAgeMillis) : new TimeWindow(timeWindowMillis)
