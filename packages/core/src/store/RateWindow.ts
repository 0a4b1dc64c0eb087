/**
 * What is remembered of one limit: how much of it was spent. A declared limit is two numbers (the generic cell rate algorithm, in tokens), one that answers told of is
 * what they said is left.
 * @see https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm (read 2026-11-21)
 * @since 0.1.0
 */
import type { WindowLimit } from "../definition/RatePlan.ts"

/** What somebody asks for. @category models @since 0.1.0 */
export interface Demand {
  readonly cost: number
  /** Share of the limit that is left to others, from 0 to below 1. */
  readonly leaves: number
}

/** A wait to the microsecond: what is less is an error of arithmetic, which would cost a whole tick of the clock. */
const rounded = (millis: number): number => Math.round(millis * 1000) / 1000

/** How much of a limit was used when somebody asked. @category models @since 0.1.0 */
export interface WindowUsage {
  /** `null` where nobody says. */
  readonly limit: number | null
  readonly used: number
  /** Length of the window, where it is known. */
  readonly windowMillis: number | null
}

/** No alarm is repeated for so long, however short the window. */
const leastQuietMillis = 60_000

/** Says once a window, and not more than once a minute, that a share of the limit was used. @category models @since 0.1.0 */
export class Alarm {
  private quietUntil = Number.NEGATIVE_INFINITY

  rings(isAbove: boolean, windowMillis: number, now: number): boolean {
    if (!isAbove || now < this.quietUntil) return false
    this.quietUntil = now + Math.max(windowMillis, leastQuietMillis)
    return true
  }
}

/** A declared limit: no window holds more than the limit, plus what a burst above 1 adds after a quiet time. @category models @since 0.1.0 */
export class DeclaredWindow {
  private limit: WindowLimit
  private perMilli: number
  /** Tokens that were spent and not yet earned back at `at`; below zero, how much longer than needed nothing was spent. */
  private owed = 0
  private at = Number.NEGATIVE_INFINITY
  private used = 0
  private countedUntil = Number.NEGATIVE_INFINITY
  private readonly alarm: Alarm

  constructor(limit: WindowLimit, alarm = new Alarm()) {
    this.limit = limit
    this.alarm = alarm
    this.perMilli = limit.limit / limit.windowMillis
  }

  get windowMillis(): number {
    return this.limit.windowMillis
  }

  private owedAt(now: number): number {
    return this.owed - (now - this.at) * this.perMilli
  }

  /** Milliseconds until the tokens can be had; 0 if now. `before` are tokens that others hold, or need first. */
  wait({ cost, leaves }: Demand, before: number, now: number): number {
    const { burst } = this.limit
    const owed = this.owedAt(now)
    // What is left for others is of the burst, so of a burst of 1 nothing is left: then only the line decides who goes first.
    const left = leaves === 0 ? 0 : Math.max(0, Math.min(leaves * burst, burst - cost))
    // Who costs more than the burst needs a quiet time that is longer, and nobody before it.
    const missing = (before > 0 ? Math.max(0, owed) + before : owed) + cost + left - burst
    return missing <= 0 ? 0 : rounded(missing / this.perMilli)
  }

  /** Counts tokens that leave now. True when that passes the share of the limit at which to ring. */
  spend(cost: number, now: number, alarmAt: number): boolean {
    this.owed = Math.max(0, this.owedAt(now)) + cost
    this.at = now
    if (now >= this.countedUntil) {
      this.used = 0
      this.countedUntil = now + this.limit.windowMillis
    }
    this.used += cost
    // Of a limit of one any use is all of it, which is worth no alarm.
    const { limit, windowMillis } = this.limit
    return limit > 1 && this.used >= alarmAt * limit && this.alarm.rings(true, windowMillis, now)
  }

  /** Another limit from now on; what was spent stays spent. */
  retune(limit: WindowLimit, now: number): void {
    this.owed = Math.max(0, this.owedAt(now))
    this.at = now
    this.limit = limit
    this.perMilli = limit.limit / limit.windowMillis
  }

  /** Whether it is as good as new: quiet for so long that even the heaviest call would find its tokens. */
  isIdle(now: number): boolean {
    const { burst, declared, limit } = this.limit
    return this.owedAt(now) <= Math.min(0, burst - (declared ?? limit))
  }

  usage(now: number): WindowUsage {
    const { limit, windowMillis } = this.limit
    return { limit, used: now < this.countedUntil ? this.used : 0, windowMillis }
  }
}

/** What an answer tells of one limit of the provider's. @category models @since 0.1.0 */
export interface Told {
  /** Tokens that are left. */
  readonly remaining: number
  /** Milliseconds until the window starts anew. */
  readonly resetMillis: number
  readonly limit?: number | undefined
}

/** A provider's word on its window is trusted for so long; then one call asks again. Otherwise a field that was misread would shut a connection for its time. */
const longestTrust = 3_600_000

/** A limit that answers told of. It is known until its window starts anew, and then unknown until the next answer. @category models @since 0.1.0 */
export class ToldWindow {
  readonly name: string
  private remaining = Number.POSITIVE_INFINITY
  private resetAt = Number.NEGATIVE_INFINITY
  private limit: number | undefined = undefined
  /** The most that was seen of it, where the limit is not told. */
  private most = 0
  private readonly alarm = new Alarm()

  constructor(name: string) {
    this.name = name
  }

  /** Milliseconds until the tokens can be had; 0 if now. */
  wait({ cost, leaves }: Demand, before: number, now: number): number {
    if (this.resetAt <= now) return 0
    const left = leaves === 0 ? 0 : leaves * (this.limit ?? this.most)
    return this.remaining - before - left >= cost ? 0 : this.resetAt - now
  }

  spend(cost: number): void {
    this.remaining -= cost
  }

  /** Learns from an answer, only downward: a provider that grants more than we know of changes nothing. True when it is time to ring. */
  learn(told: Told, now: number, alarmAt: number): boolean {
    const isLive = this.resetAt > now
    if (isLive && told.remaining >= this.remaining) return false
    if (!isLive) this.most = 0
    this.limit = told.limit ?? (isLive ? this.limit : undefined)
    this.most = Math.max(this.most, told.remaining)
    this.remaining = told.remaining
    this.resetAt = now + Math.min(told.resetMillis, longestTrust)
    const { limit } = this
    return (
      limit !== undefined &&
      limit > 0 &&
      this.alarm.rings(limit - told.remaining >= alarmAt * limit, told.resetMillis, now)
    )
  }

  /** Whether it is over: it holds nobody back. */
  isIdle(now: number): boolean {
    return this.resetAt <= now
  }

  /** Tokens left, or `undefined` when nobody knows. */
  left(now: number): number | undefined {
    return this.resetAt > now ? Math.max(0, this.remaining) : undefined
  }

  /** How much of it is used, where the provider told its limit and its window goes on. */
  usage(now: number): WindowUsage | undefined {
    const { limit } = this
    const left = this.left(now)
    if (limit === undefined || left === undefined) return undefined
    return { limit, used: Math.max(0, limit - left), windowMillis: null }
  }
}

/** What the provider works on for the account just now, as its answers tell. @category models @since 0.1.0 */
export class Concurrency {
  private used = 0
  private limit: number | null = null
  private readonly alarm = new Alarm()

  /** Notes what an answer told. True when it is time to ring. */
  learn(used: number, limit: number | undefined, now: number, alarmAt: number): boolean {
    this.used = used
    this.limit = limit ?? null
    return limit !== undefined && this.alarm.rings(used >= alarmAt * limit, 0, now)
  }

  usage(): WindowUsage {
    return { limit: this.limit, used: this.used, windowMillis: null }
  }
}
