/**
 * How many attempts may run at once, found out from how the provider answers: fewer when it says that it is overloaded or takes longer than it used to, more while it
 * keeps up. A pure state machine; the bulkhead asks it.
 *
 * Overload cuts the limit by a share, once for each round of attempts, and each answered round adds one (additive increase, multiplicative decrease, as TCP). Latency moves it
 * by the gradient of the usual latency against the one of now.
 * @see https://netflixtechblog.medium.com/performance-under-load-3e6fa9a60581 (read 2026-11-21) for the gradient
 * @since 0.1.0
 */

/** @category models @since 0.1.0 */
export interface ConcurrencyLimitOptions {
  readonly minimum: number
  readonly maximum: number
  /** Whether latency counts too: over the internet it is a poor sign, so overload alone is the default of a policy. */
  readonly latency: boolean
}

/** What is left of the limit after overload; how much slower than usual is still usual; how much a round of latency moves the limit; attempts that may queue at the provider. @category constants @since 0.1.0 */
export const terms = { cut: 0.7, tolerance: 1.5, smoothing: 0.2, queue: 4, samples: 600, warmUp: 10 } as const

/** An attempt that has ended. @category models @since 0.1.0 */
export interface EndedAttempt {
  /** The provider said that there is too much (429, 503), or did not answer in time. */
  readonly overloaded: boolean
  readonly startedAt: number
  readonly now: number
  /** Attempts that ran at once, this one included. */
  readonly inFlight: number
}

/** The mean of the last samples, the older the less. */
class Usual {
  value = 0
  private samples = 0

  add(value: number, weight: number): void {
    this.samples++
    const share = this.samples <= terms.warmUp ? 1 / this.samples : (2 * weight) / (terms.samples + 1)
    this.value += (value - this.value) * share
  }

  shrink(): void {
    this.value *= 0.95
  }
}

/** @category models @since 0.1.0 */
export class ConcurrencyLimit {
  private exact: number
  private cutAt = Number.NEGATIVE_INFINITY
  private readonly usual = new Usual()
  private options: ConcurrencyLimitOptions

  constructor(options: ConcurrencyLimitOptions) {
    this.options = options
    this.exact = options.maximum
  }

  /** Attempts that may run at once now, a whole number from `minimum` to `maximum`. */
  get value(): number {
    return Math.floor(this.exact)
  }

  /** Milliseconds that an attempt usually takes, 0 before the first and where latency does not count. */
  get usualMillis(): number {
    return this.usual.value
  }

  /** Takes other bounds. What was learnt stays, within them; a limit that was at its maximum goes along with it, since nothing spoke against more. */
  configure(options: ConcurrencyLimitOptions): void {
    const isFree = this.exact >= this.options.maximum
    this.options = options
    this.set(isFree ? options.maximum : this.exact)
  }

  /** Learns from an attempt that was answered, or not in time. */
  ended(attempt: EndedAttempt): void {
    const { inFlight, now, overloaded, startedAt } = attempt
    if (overloaded) {
      // Those that were under way when it was cut say the same once more.
      if (startedAt < this.cutAt) return
      this.cutAt = now
      this.set(this.exact * terms.cut)
      return
    }
    // A limit that was not reached is neither too high nor too low.
    const isUsed = inFlight * 2 >= this.value
    // A clock may be set back meanwhile.
    if (this.options.latency) this.follow(Math.max(0, now - startedAt), isUsed)
    else if (isUsed) this.set(this.exact + 1 / this.exact)
  }

  private follow(latency: number, isUsed: boolean): void {
    const usual = this.usual.value
    const gradient = usual === 0 ? 1 : Math.min(1, Math.max(0.5, (terms.tolerance * usual) / latency))
    // While it is slow, what is slow becomes usual ten times later: an incident is not the new normal, a move of the provider is one day.
    this.usual.add(latency, gradient < 1 ? 0.1 : 1)
    if (this.usual.value > 2 * latency) this.usual.shrink()
    if (!isUsed) return
    const target = this.exact * gradient + (gradient === 1 ? terms.queue : 0)
    this.set(this.exact * (1 - terms.smoothing) + target * terms.smoothing)
  }

  private set(limit: number): void {
    const { maximum, minimum } = this.options
    this.exact = Math.min(maximum, Math.max(minimum, limit))
  }
}
