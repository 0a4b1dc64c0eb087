/**
 * The calls of a circuit that are under way, so that one which runs too long is noticed before it ends. Looked at when somebody asks the circuit; there is no timer. @internal
 */

/** Calls under way that are watched at once; of more, the later ones are judged when they end. @category constants @since 0.1.0 */
export const maxWatched = 1024

const ended = Number.POSITIVE_INFINITY

/** Tickets are numbers in a row, so that a ring of starts finds each one without a search. @category models @since 0.1.0 */
export class CircuitWatch {
  private readonly startedAt = new Float64Array(maxWatched)
  /** The watched tickets are those from `first` to before `next`. */
  private first = 0
  private next = 0

  /** A call began. Tickets come in ascending order. */
  started(ticket: number, now: number): void {
    if (this.first === this.next) this.first = this.next = ticket
    if (ticket - this.first >= maxWatched) return
    while (this.next < ticket) this.startedAt[this.next++ % maxWatched] = ended
    this.startedAt[this.next++ % maxWatched] = now
  }

  /** A call ended, in whatever way. */
  ended(ticket: number): void {
    if (ticket >= this.first && ticket < this.next) this.startedAt[ticket % maxWatched] = ended
  }

  /** The oldest ticket that began more than `slowAfter` ago and has not ended, or 0. It is watched no longer. */
  overdue(slowAfter: number, now: number): number {
    while (this.first < this.next) {
      const at = this.startedAt[this.first % maxWatched] ?? ended
      if (at !== ended && now - at <= slowAfter) return 0
      const ticket = this.first++
      if (at !== ended) return ticket
    }
    return 0
  }

  clear(): void {
    this.first = this.next
  }
}
