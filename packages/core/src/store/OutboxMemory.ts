/**
 * The outbox in memory, by the clock of whoever asks: for tests, and for programs whose commands may go with the process. @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { BatchRequest, Command, CommandClaim, CommandQuery, Ending, Options, Row, State } from "./OutboxStore.ts"
import { defaults, keyTaken, noteOf, OutboxStore, place, rowsOf, states } from "./OutboxStore.ts"
import * as Payloads from "./Payload.ts"
import { make as storeError, StaleClaim, StoreError } from "./StoreError.ts"

/** @category models @since 0.1.0 */
export interface MemoryOptions extends Options {
  /** Commands that are kept, done ones too. Beyond it the done ones that are oldest are forgotten before their time; then adding fails with `full`. Default 100,000. */
  readonly capacity?: number | undefined
}

interface Kept extends Row {
  readonly sequence: number
  readonly addedAt: number
  state: State
  fence: number
  attempts: number
  dueAt: number
  sentAt: number | undefined
  isUnknown: boolean
  note: string | null
  /** It was given up, and redriven: those behind it may have begun. */
  isReopened: boolean
}

const isOpen = ({ state }: Kept): boolean => state !== "Done" && state !== "Discarded"
const isDue = (kept: Kept, now: number): boolean => isOpen(kept) && kept.state !== "Dead" && kept.dueAt <= now

const nameOf = ({ key, queue }: Row): string => `${queue}\n${key}`

class Commands {
  private readonly byName = new Map<string, Kept>()
  /** Those that are not settled, in the order in which they were added. */
  private readonly open = new Map<number, Kept>()
  /** Those that are, the one that has been for longest first. */
  private readonly settled = new Map<number, Kept>()
  private readonly capacity: number
  private readonly retentionMillis: number
  private last = 0

  constructor(capacity: number, retentionMillis: number) {
    this.capacity = capacity
    this.retentionMillis = retentionMillis
  }

  add(rows: ReadonlyArray<Row>, now: number): number | StoreError {
    const fresh = new Map<string, Row>()
    const doubted: Array<string> = []
    for (const row of rows) {
      const name = nameOf(row)
      const same = this.byName.get(name) ?? fresh.get(name)
      if (same === undefined) fresh.set(name, row)
      else if (same.payload.json !== row.payload.json || same.orderingKey !== row.orderingKey) return keyTaken()
      else if (row.maybeSent === true) doubted.push(name)
    }
    if (this.open.size + fresh.size > this.capacity) return storeError(place("add"), "full", "")
    for (const [name, row] of fresh) {
      const sequence = ++this.last
      const dueAt = now + (row.delayMillis ?? 0)
      const state = row.delayMillis === undefined ? "Ready" : "Scheduled"
      // Before any claim of it, however soon that comes.
      const sentAt = row.maybeSent === true ? now - 1 : undefined
      const untried = { fence: 0, attempts: 0, isUnknown: false, note: null, isReopened: false }
      const kept: Kept = { ...row, ...untried, sequence, addedAt: now, state, dueAt, sentAt }
      this.byName.set(name, kept)
      this.open.set(sequence, kept)
    }
    for (const name of doubted) {
      const there = this.byName.get(name)
      if (there !== undefined && isOpen(there)) there.sentAt ??= now - 1
    }
    this.forget((_, over) => over)
    return fresh.size
  }

  private forget(isOver: (kept: Kept, beyondCapacity: boolean) => boolean, limit = Number.POSITIVE_INFINITY): number {
    let count = 0
    for (const kept of this.settled.values()) {
      if (count >= limit || !isOver(kept, this.byName.size > this.capacity)) break
      this.settled.delete(kept.sequence)
      this.byName.delete(nameOf(kept))
      count++
    }
    return count
  }

  purge(limit: number, now: number): number {
    return this.forget(({ dueAt }) => dueAt <= now, limit)
  }

  claim({ leaseMillis, limit, queue }: BatchRequest, now: number): ReadonlyArray<Kept> {
    const held = new Set<string>()
    const batch: Array<Kept> = []
    for (const kept of this.open.values()) {
      if (batch.length >= limit) break
      if (kept.queue !== queue || (kept.orderingKey !== undefined && held.has(kept.orderingKey))) continue
      if (kept.orderingKey !== undefined) held.add(kept.orderingKey)
      if (isDue(kept, now) && !this.isBesideWork(kept, now)) batch.push(kept)
    }
    for (const kept of batch) {
      kept.state = "Claimed"
      kept.fence++
      kept.attempts++
      kept.sentAt ??= now
      kept.dueAt = now + leaseMillis
    }
    return batch
  }

  /** One behind it in its order is at work: it was given up then, and redriven since. */
  private isBesideWork({ isReopened, orderingKey, queue, sequence }: Kept, now: number): boolean {
    if (!isReopened) return false
    for (const other of this.open.values()) {
      const isBehind = other.sequence > sequence && other.queue === queue && other.orderingKey === orderingKey
      if (isBehind && orderingKey !== undefined && other.state === "Claimed" && other.dueAt > now) return true
    }
    return false
  }

  get(queue: string, key: string): Kept | undefined {
    return this.byName.get(`${queue}\n${key}`)
  }

  /** The command, if it is still this claim's. */
  claimed({ fence, sequence }: CommandClaim): Kept | undefined {
    const kept = this.open.get(sequence)
    return kept?.state === "Claimed" && kept.fence === fence ? kept : undefined
  }

  fenceOf(sequence: number): number | undefined {
    return (this.open.get(sequence) ?? this.settled.get(sequence))?.fence
  }

  settle(kept: Kept, state: "Done" | "Discarded", now: number): void {
    kept.state = state
    kept.dueAt = now + this.retentionMillis
    this.open.delete(kept.sequence)
    this.settled.set(kept.sequence, kept)
  }

  /** Whether a claim that is complete already was so by this claim. */
  isComplete({ fence, sequence }: CommandClaim): boolean {
    const kept = this.settled.get(sequence)
    return kept?.state === "Done" && kept.fence === fence
  }

  redrive(sequence: number, now: number): boolean {
    const kept = this.open.get(sequence) ?? this.settled.get(sequence)
    if (kept === undefined || (kept.state !== "Dead" && kept.state !== "Discarded")) return false
    kept.state = "Ready"
    kept.attempts = 0
    kept.sentAt = undefined
    kept.isUnknown = false
    kept.dueAt = now
    if (this.settled.delete(sequence)) this.reopen(kept)
    return true
  }

  /** Back to its place among those that are open. */
  private reopen(kept: Kept): void {
    kept.isReopened = true
    const all = [...this.open.values(), kept].toSorted((a, b) => a.sequence - b.sequence)
    this.open.clear()
    for (const each of all) this.open.set(each.sequence, each)
  }

  discard(sequence: number, note: string | null, now: number): boolean {
    const kept = this.open.get(sequence)
    if (kept === undefined || kept.state === "Claimed") return false
    kept.note = note ?? kept.note
    this.settle(kept, "Discarded", now)
    return true
  }

  list({ after = 0, limit, queue, states }: CommandQuery): ReadonlyArray<Kept> {
    return [...this.open.values(), ...this.settled.values()]
      .filter((kept) => kept.queue === queue && kept.sequence > after && states.includes(kept.state))
      .toSorted((a, b) => a.sequence - b.sequence)
      .slice(0, limit)
  }

  counts(queue: string): Record<State, number> {
    const counts = Object.fromEntries(states.map((state) => [state, 0])) as Record<State, number>
    for (const kept of this.byName.values()) if (kept.queue === queue) counts[kept.state]++
    return counts
  }
}

const commandOf = (kept: Kept): Command | StoreError => {
  const payload = Payloads.decode(place("claim"), kept.payload)
  if (payload instanceof StoreError) return payload
  const { addedAt, attempts, dueAt, fence, isUnknown, key, orderingKey, queue, sentAt, sequence, state } = kept
  return {
    sequence,
    queue,
    key,
    orderingKey,
    state,
    fence,
    attempts,
    dueAt,
    addedAt,
    sentAt,
    isUnknown,
    note: kept.note ?? undefined,
    payload
  }
}

const orFail = <A>(value: A | StoreError): Effect.Effect<A, StoreError> =>
  value instanceof StoreError ? Effect.fail(value) : Effect.succeed(value)

const at = <A, E>(f: (now: number) => Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Clock.clockWith((clock) => f(clock.currentTimeMillisUnsafe()))

const put = (kept: Kept, state: State, ending: Ending | undefined): void => {
  kept.state = state
  kept.note = noteOf(ending)
  kept.isUnknown = ending?.sent === "unknown"
  if (ending?.sent === "no") kept.sentAt = undefined
}

const changing = (
  commands: Commands,
  operation: string,
  claim: CommandClaim,
  change: (kept: Kept, now: number) => void
) =>
  at((now) => {
    const kept = commands.claimed(claim)
    if (kept === undefined) {
      const current = commands.fenceOf(claim.sequence)
      return Effect.fail(new StaleClaim({ ...place(operation), fence: claim.fence, current }))
    }
    return Effect.sync(() => change(kept, now))
  })

/** An outbox in memory. Throws a `RangeError` for a capacity below 1. @category constructors @since 0.1.0 */
export const make = (options?: MemoryOptions): OutboxStore["Service"] => {
  const capacity = options?.capacity ?? defaults.capacity
  if (!(capacity >= 1)) throw new RangeError(`OutboxMemory.make: capacity must be at least 1, got ${capacity}`)
  const maxBytes = options?.maxPayloadBytes ?? defaults.maxPayloadBytes
  const commands = new Commands(capacity, options?.retentionMillis ?? defaults.retentionMillis)
  return OutboxStore.of({
    add: (added) =>
      at((now) => {
        const rows = rowsOf(added, maxBytes)
        return orFail(rows instanceof StoreError ? rows : commands.add(rows, now))
      }),
    claim: (request) => at((now) => Effect.forEach(commands.claim(request, now), (kept) => orFail(commandOf(kept)))),
    renew: (claims, leaseMillis) =>
      at((now) =>
        Effect.succeed(
          claims.filter((claim) => {
            const kept = commands.claimed(claim)
            if (kept !== undefined) kept.dueAt = now + leaseMillis
            return kept === undefined
          })
        )
      ),
    complete: (claims) =>
      at((now) =>
        Effect.succeed(
          claims.filter((claim) => {
            const kept = commands.claimed(claim)
            if (kept !== undefined) commands.settle(kept, "Done", now)
            return kept === undefined && !commands.isComplete(claim)
          })
        )
      ),
    reschedule: (claim, { afterMillis, ...ending }) =>
      changing(commands, "reschedule", claim, (kept, now) => {
        put(kept, "Scheduled", ending)
        kept.dueAt = now + afterMillis
      }),
    bury: (claim, ending) => changing(commands, "bury", claim, (kept) => put(kept, "Dead", ending)),
    get: (queue, key) =>
      Effect.suspend(() => {
        const kept = commands.get(queue, key)
        return kept === undefined ? Effect.undefined : orFail(commandOf(kept))
      }),
    list: (query) => Effect.suspend(() => Effect.forEach(commands.list(query), (kept) => orFail(commandOf(kept)))),
    counts: (queue) => Effect.sync(() => commands.counts(queue)),
    redrive: (sequence) => at((now) => Effect.succeed(commands.redrive(sequence, now))),
    discard: (sequence, note) => at((now) => Effect.succeed(commands.discard(sequence, noteOf(note), now))),
    purge: (limit) => at((now) => Effect.succeed(commands.purge(limit, now)))
  })
}

/** @category layers @since 0.1.0 */
export const layer = (options?: MemoryOptions): Layer.Layer<OutboxStore> => Layer.sync(OutboxStore, () => make(options))
