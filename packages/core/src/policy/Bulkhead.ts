/**
 * Bounds how many attempts run at once and how many wait, first come, first served (SAFE-7). How many run may depend on how the provider answers: that is asked of a limit, which
 * learns elsewhere. @since 0.1.0
 */

/** Who holds or awaits a slot. `slot` is set in the same instant in which the slot is given, so that an interruption cannot lose it. @category models @since 0.1.0 */
export interface SlotHolder {
  slot: boolean
}

interface Waiter {
  readonly holder: SlotHolder
  readonly granted: () => void
}

/** How many may run at once just now. @category models @since 0.1.0 */
export interface Limit {
  readonly value: number
}

/** @category models @since 0.1.0 */
export interface BulkheadOptions {
  readonly concurrency: number
  readonly queue: number
  /** Never more than `concurrency`, never less than 1. Default `concurrency` itself. */
  readonly limit?: Limit | undefined
}

/** @category models @since 0.1.0 */
export class Bulkhead {
  inFlight = 0
  private readonly waiters = new Set<Waiter>()
  private options: BulkheadOptions

  constructor(options: BulkheadOptions) {
    this.options = options
  }

  /** How many may run at once just now. */
  get concurrency(): number {
    return this.options.limit?.value ?? this.options.concurrency
  }

  get waiting(): number {
    return this.waiters.size
  }

  /** Gives a slot if one is free and nobody waits for it. */
  tryAcquire(holder: SlotHolder): boolean {
    if (this.inFlight >= this.concurrency || this.waiters.size > 0) return false
    this.inFlight++
    holder.slot = true
    return true
  }

  /** Gives a slot beyond what there are: for who must not be kept waiting. True when there would have been a place in the queue. */
  force(holder: SlotHolder): boolean {
    const beyond = this.inFlight - this.concurrency
    this.inFlight++
    holder.slot = true
    return beyond < this.options.queue
  }

  /**
   * Joins the queue; returns how to leave it, or `undefined` when it is full. `granted` runs once, when `holder` has the slot: at once if one is free,
   * since a slot that came free before the call joined would be released to nobody.
   */
  join(holder: SlotHolder, granted: () => void): (() => void) | undefined {
    if (this.tryAcquire(holder)) {
      granted()
      return () => undefined
    }
    if (this.waiters.size >= this.options.queue) return undefined
    const waiter = { holder, granted }
    this.waiters.add(waiter)
    return () => void this.waiters.delete(waiter)
  }

  /** Gives a slot back, to the one who has waited longest. Does nothing for a holder without one. */
  release(holder: SlotHolder): void {
    if (!holder.slot) return
    holder.slot = false
    this.inFlight--
    this.grant()
  }

  /** Takes other sizes. Nobody loses a slot or a place: with fewer slots it goes on as those that are held come back, with a shorter queue as those who wait leave it. */
  configure(options: BulkheadOptions): void {
    this.options = options
    this.grant()
  }

  /** Gives what is free to those who wait: a slot came back, or the limit has grown. */
  grant(): void {
    while (this.inFlight < this.concurrency) {
      const next = this.waiters.values().next()
      if (next.done === true) return
      this.waiters.delete(next.value)
      this.inFlight++
      next.value.holder.slot = true
      next.value.granted()
    }
  }
}
