/**
 * Refuses a share of the calls here while a provider refuses them there, so that what it refuses does not cost it more. A pure state machine over what was sent and what was
 * accepted in the last while; what is refused here counts as neither, so that it finds its way back.
 * @see https://sre.google/sre-book/handling-overload/ (read 2026-11-21), client-side throttling
 * @since 0.1.0
 */

/** @category models @since 0.1.0 */
export interface ThrottleOptions {
  /** How many times as much as is accepted may be sent, above 1. */
  readonly ratio: number
  /** Largest share that is refused, below 1: the rest finds out when the provider recovers. */
  readonly cap: number
  readonly windowMillis: number
  /** Attempts in the window before anything is refused. */
  readonly minimumCalls: number
}

/** Parts of the window: it moves on by one of them. */
const parts = 20

/** @category models @since 0.1.0 */
export class Throttle {
  private options: ThrottleOptions
  private partMillis: number
  private readonly sentIn = new Float64Array(parts)
  private readonly acceptedIn = new Float64Array(parts)
  private part = 0
  private sentInAll = 0
  private acceptedInAll = 0

  constructor(options: ThrottleOptions) {
    this.options = options
    this.partMillis = options.windowMillis / parts
  }

  /** Share of the calls that are refused now, from 0 to the cap. */
  share(now: number): number {
    this.goOn(now)
    const { cap, minimumCalls, ratio } = this.options
    if (this.sentInAll < minimumCalls) return 0
    return Math.min(cap, Math.max(0, (this.sentInAll - ratio * this.acceptedInAll) / (this.sentInAll + 1)))
  }

  /** Whether this call is refused. `random` is drawn only where it may be. */
  refuses(now: number, random: () => number): boolean {
    const share = this.share(now)
    return share > 0 && random() < share
  }

  /** An attempt goes out. Counted now, since one that is not answered counts most. */
  sent(now: number): void {
    this.goOn(now)
    this.count(this.part % parts, 1, 0)
  }

  /** The provider took an attempt on, whatever it came to. */
  accepted(now: number): void {
    this.goOn(now)
    this.count(this.part % parts, 0, 1)
  }

  /** Takes other sizes. What was counted stays, as far as it is in the new window. */
  configure(options: ThrottleOptions, now: number): void {
    this.goOn(now)
    const before = { first: this.part - parts + 1, partMillis: this.partMillis }
    this.options = options
    if (options.windowMillis === before.partMillis * parts) return
    const [sent, accepted] = [this.sentIn.slice(), this.acceptedIn.slice()]
    this.partMillis = options.windowMillis / parts
    this.part = Math.floor(now / this.partMillis)
    for (let index = 0; index < parts; index++) this.forget(index)
    for (let part = Math.max(0, before.first); part < before.first + parts; part++) {
      // The end of an old part is what counts: a call of its last instant must not leave early.
      const end = Math.min(now, (part + 1) * before.partMillis)
      const at = Math.floor(end / this.partMillis)
      if (at > this.part - parts) this.count(at % parts, sent[part % parts] ?? 0, accepted[part % parts] ?? 0)
    }
  }

  private count(index: number, sent: number, accepted: number): void {
    this.sentIn[index] = (this.sentIn[index] ?? 0) + sent
    this.acceptedIn[index] = (this.acceptedIn[index] ?? 0) + accepted
    this.sentInAll += sent
    this.acceptedInAll += accepted
  }

  /** Forgets the parts that have left the window. */
  private goOn(now: number): void {
    const part = Math.floor(now / this.partMillis)
    const gone = Math.min(parts, part - this.part)
    for (let step = 1; step <= gone; step++) this.forget((this.part + step) % parts)
    // A clock that is set back does not bring back what was forgotten.
    this.part = Math.max(this.part, part)
  }

  private forget(index: number): void {
    this.sentInAll -= this.sentIn[index] ?? 0
    this.acceptedInAll -= this.acceptedIn[index] ?? 0
    this.sentIn[index] = this.acceptedIn[index] = 0
  }
}
