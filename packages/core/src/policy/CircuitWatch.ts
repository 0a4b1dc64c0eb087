/**
 * The calls of a circuit that are under way, so that one which runs too long is noticed before it ends. Looked at when somebody asks the circuit; there is no timer. @internal
 */

/** Calls under way that are watched at once; of more, the later ones are judged when they end. */
const maxWatched = 1024

const fewest = 16

const ended = Number.POSITIVE_INFINITY

/** The place of a call that is in no window any more. */
const nowhere = -1

/** Tickets are numbers in a row, so that a ring of starts finds each one without a search. @category models @since 0.1.0 */
export class CircuitWatch {
  /** Made with the first call, and as large as the most that were under way at once. */
  private startedAt = new Float64Array(0)
  /** The watched tickets are those from `first` to before `next`. */
  private first = 0
  private next = 0
  /** The calls that were counted as slow while they ran, and their places in the window. */
  private readonly places = new Map<number, number>()

  /** A call began. Tickets come in ascending order. */
  started(ticket: number, now: number): void {
    if (this.first === this.next) this.first = this.next = ticket
    if (ticket - this.first >= this.startedAt.length && !this.grow(ticket)) return
    while (this.next < ticket) this.set(this.next++, ended)
    this.set(this.next++, now)
  }

  private set(ticket: number, at: number): void {
    this.startedAt[ticket % this.startedAt.length] = at
  }

  /** Makes the ring larger, if it may be as large as this ticket needs it. */
  private grow(ticket: number): boolean {
    if (ticket - this.first >= maxWatched) return false
    const before = this.startedAt
    let size = Math.max(fewest, before.length)
    while (ticket - this.first >= size) size *= 2
    this.startedAt = new Float64Array(size)
    for (let each = this.first; each < this.next; each++) this.set(each, before[each % before.length] ?? ended)
    return true
  }

  /** A call ended, in whatever way. Returns its place if it was counted as slow before. */
  ended(ticket: number): number | undefined {
    if (ticket >= this.first && ticket < this.next) this.set(ticket, ended)
    if (this.places.size === 0) return undefined
    const place = this.places.get(ticket)
    this.places.delete(ticket)
    return place
  }

  /** The oldest ticket that began more than `slowAfter` ago and has not ended, or 0. It is watched no longer. */
  overdue(slowAfter: number, now: number): number {
    while (this.first < this.next) {
      const at = this.startedAt[this.first % this.startedAt.length] ?? ended
      if (at !== ended && now - at <= slowAfter) return 0
      const ticket = this.first++
      if (at !== ended) return ticket
    }
    return 0
  }

  /** The call was counted as slow, and is at this place of the window. */
  counted(ticket: number, place: number): void {
    this.places.set(ticket, place)
    if (this.places.size <= maxWatched) return
    const oldest = this.places.keys().next()
    if (oldest.done !== true) this.places.delete(oldest.value)
  }

  /** The window is another one: those that were counted stay counted, and are not found in it again. */
  uproot(): void {
    for (const ticket of this.places.keys()) this.places.set(ticket, nowhere)
  }

  clear(): void {
    this.first = this.next
    this.places.clear()
  }
}
