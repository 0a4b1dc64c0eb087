/**
 * The quota of one connection: a declared rate, and what answers tell, obeyed before a 429 comes (RATE-1 to RATE-3). No window holds more than the limit, plus
 * what a burst above 1 adds after a quiet time. One number
 * for the declared rate (the generic cell rate algorithm), two for the provider's own window. A pure state machine; waiting is the caller's.
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3 for `Retry-After`
 * @since 0.1.0
 */
import type { Quota } from "../definition/Dialect.ts"

/** @category models @since 0.1.0 */
export interface DeclaredRate {
  readonly limit: number
  readonly windowMillis: number
  readonly burst: number
}

/** Waiters of one budget; more are refused. @category constants @since 0.1.0 */
export const maxWaiting = 256

/** A place in the line of those who wait for tokens. @category models @since 0.1.0 */
export class Place {
  readonly cost: number
  isFirst = false
  /** Runs when this place comes first, if it does so later. */
  onFirst: (() => void) | undefined = undefined

  constructor(cost: number) {
    this.cost = cost
  }

  comeFirst(): void {
    this.isFirst = true
    this.onFirst?.()
  }
}

/** A provider's word on its window is trusted for so long; then one call asks again. Otherwise a field that was misread would shut a connection for its time. */
const longestTrust = 3_600_000

/** @category models @since 0.1.0 */
export class RateBudget {
  private readonly line = new Set<Place>()
  private readonly spacing: number
  private readonly tolerance: number
  /** When the tokens that were taken so far are all earned back: the theoretical arrival time. */
  private arrival = 0
  private remaining = Number.POSITIVE_INFINITY
  /** What the provider said when it last said something: no refund of what was taken before makes it more. */
  private told = Number.POSITIVE_INFINITY
  private resetAt = 0
  private blockedUntil = 0

  constructor(rate: DeclaredRate | undefined) {
    this.spacing = rate === undefined ? 0 : rate.windowMillis / rate.limit
    this.tolerance = rate === undefined ? 0 : this.spacing * rate.burst
  }

  /** Milliseconds until `cost` tokens can be had; 0 if they can be had now. Takes nothing. */
  peek(cost: number, now: number): number {
    const from = this.opensAt(cost, now)
    return Math.max(from, Math.max(this.arrival, from) + cost * this.spacing - this.tolerance) - now
  }

  /** The first instant that blocks and the provider's window leave open, whatever the declared rate. */
  private opensAt(cost: number, now: number): number {
    if (this.resetAt <= now) this.remaining = this.told = Number.POSITIVE_INFINITY
    return Math.max(now, this.blockedUntil, this.remaining < cost ? this.resetAt : now)
  }

  /** Takes the tokens, now or ahead of time: returns the milliseconds to wait for them, or `undefined` if that is more than `longest`; then nothing is taken. */
  reserve(cost: number, now: number, longest: number): number | undefined {
    const wait = this.peek(cost, now)
    if (wait > longest) return undefined
    // Counted from when they may be sent, so that those who waited for a window do not leave it in one burst.
    if (this.spacing > 0) this.arrival = Math.max(this.arrival, this.opensAt(cost, now)) + cost * this.spacing
    this.remaining -= cost
    return wait
  }

  /** Gives tokens back that were not spent: the call was refused or interrupted before it was sent. */
  refund(cost: number): void {
    this.remaining = Math.min(this.told, this.remaining + cost)
    if (this.spacing > 0) this.arrival -= cost * this.spacing
  }

  /** Learns from an answer, only downward: a provider that grants more than we know of changes nothing. */
  learn(quota: Quota, now: number): void {
    if (this.resetAt > now && quota.remaining >= this.remaining) return
    this.remaining = this.told = quota.remaining
    this.resetAt = now + Math.min(quota.resetMillis, longestTrust)
  }

  /** The provider asked to wait: nothing leaves before that. The caller has capped the wait. */
  block(millis: number, now: number): void {
    this.blockedUntil = Math.max(this.blockedUntil, now + millis)
  }

  /** Waiters stand in line: only the first one watches the clock, so that nobody holds a token ahead of time, and a wait that grows meanwhile is waited for. */
  get waiting(): number {
    return this.line.size
  }

  /** Milliseconds until a call that joins the line now may expect its tokens. */
  expected(cost: number, now: number): number {
    let ahead = 0
    for (const place of this.line) ahead += place.cost
    return this.peek(ahead + cost, now)
  }

  /** Joins the line. Whoever joins leaves again, whatever comes of it. */
  join(cost: number): Place {
    const place = new Place(cost)
    this.line.add(place)
    if (this.line.size === 1) place.comeFirst()
    return place
  }

  /** Leaves the line, wherever it stands; the next one comes first. */
  leave(place: Place): void {
    if (!this.line.delete(place) || !place.isFirst) return
    const next = this.line.values().next()
    if (next.done !== true) next.value.comeFirst()
  }

  /** What a snapshot shows: tokens left of the provider's window, if it tells, and milliseconds until one can be had. */
  snapshot(now: number): { readonly remaining: number | null; readonly waitMillis: number; readonly waiting: number } {
    const waitMillis = this.peek(1, now)
    return {
      remaining: Number.isFinite(this.remaining) ? Math.max(0, this.remaining) : null,
      waitMillis,
      waiting: this.waiting
    }
  }
}
