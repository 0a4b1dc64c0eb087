/**
 * The rows of the idempotency store in memory: compared and set in one step, as long as there is room for them. @internal
 */
import * as Predicate from "effect/Predicate"
import type { Change, Expected, IdempotencyRecord, RecordId } from "./IdempotencyRecord.ts"
import * as Record from "./IdempotencyRecord.ts"
import type { RecordQuery, Written } from "./IdempotencyStore.ts"

const idOf = ({ key, scope }: RecordId): string => `${scope}\n${key}`

/** Rows in a map, those that may be forgotten in one of their own, oldest first. @category models @since 0.1.0 */
export class Rows {
  private readonly unsettled = new Map<string, IdempotencyRecord>()
  private readonly settled = new Map<string, IdempotencyRecord>()
  private readonly capacity: number
  private fences = 0
  /** Goes on where it was: begun anew each time, it would pass over all that were deleted before. */
  private oldest = this.settled.keys()

  constructor(capacity: number) {
    this.capacity = capacity
  }

  get(id: RecordId): IdempotencyRecord | undefined {
    return this.under(idOf(id))
  }

  private under(key: string): IdempotencyRecord | undefined {
    return this.unsettled.get(key) ?? this.settled.get(key)
  }

  /** Makes room for one more; `false` if there is none. */
  private makesRoom(): boolean {
    if (this.unsettled.size + this.settled.size < this.capacity) return true
    if (this.settled.size === 0) return false
    let next = this.oldest.next()
    if (next.done === true) {
      this.oldest = this.settled.keys()
      next = this.oldest.next()
    }
    return next.done !== true && this.settled.delete(next.value)
  }

  write(id: RecordId, expected: Expected | undefined, change: Change, now: number): Written | undefined {
    const key = idOf(id)
    const before = this.under(key)
    if (!Record.meets(before, expected, now)) return { applied: false, row: before, now }
    if (before === undefined && !this.makesRoom()) return undefined
    // Above every fence that was given out, so that who comes late is refused even after its row was forgotten.
    if (before === undefined) this.fences = Math.max(this.fences + 1, now)
    const row = Record.apply(id, before, change, { now, firstFence: this.fences })
    this.fences = Math.max(this.fences, row.fence)
    if (before?.expiresAt !== undefined) this.settled.delete(key)
    if (row.expiresAt === undefined) this.unsettled.set(key, row)
    else {
      if (before !== undefined) this.unsettled.delete(key)
      this.settled.set(key, row)
    }
    return { applied: true, row, now }
  }

  list({ limit, scope, states }: RecordQuery): ReadonlyArray<IdempotencyRecord> {
    return [...this.unsettled.values(), ...this.settled.values()]
      .filter((row) => states.includes(row.state) && (scope === undefined || row.scope === scope))
      .toSorted((a, b) => a.changedAt - b.changedAt)
      .slice(0, limit)
  }

  purge(limit: number, now: number): number {
    let count = 0
    for (const [key, { expiresAt }] of this.settled) {
      if (count >= limit) break
      if (Predicate.isNumber(expiresAt) && expiresAt <= now && this.settled.delete(key)) count++
    }
    return count
  }
}
