/**
 * Remembers under its key what became of a write, so that a second call with the key is told instead of made (IDEM-1, IDEM-2).
 *
 * **When it is down** a call that needs it is refused before anything is sent: it fails *closed*, since a write that is not remembered may be made twice. A call that has its
 * answer already gives it to its caller whether or not it can be stored, *open*: the record stays in flight, and whoever claims it after its lease ended is told that something
 * may have been sent. @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import type {
  Change,
  Claim,
  ClaimAnswer,
  ClaimRequest,
  Decision,
  Ending,
  Expected,
  IdempotencyRecord,
  RecordId,
  State
} from "./IdempotencyRecord.ts"
import * as Record from "./IdempotencyRecord.ts"
import type { Payload, StoredPayload } from "./Payload.ts"
import * as Payloads from "./Payload.ts"
import type { Place } from "./StoreError.ts"
import { keyProblem, make as storeError, StaleClaim, StoreError } from "./StoreError.ts"

/** What a claim comes to, with the payload read. @category models @since 0.1.0 */
export type Answer =
  | Exclude<ClaimAnswer, { readonly _tag: "Settled" }>
  | { readonly _tag: "Settled"; readonly state: "Succeeded" | "Failed"; readonly payload: Payload }

/** How a call ended. @category models @since 0.1.0 */
export type Settlement =
  /** A success, a declared error or a fatal answer *of the provider*: kept for `retentionMillis`, and replayed. */
  | { readonly _tag: "Succeeded" | "Failed"; readonly payload: Payload; readonly retentionMillis: number }
  /** It may be done, and may be tried again with the same key: the next claim goes on. */
  | { readonly _tag: "Pending" }
  /** It may be done, and must not be tried again: only `resolve` leads on. */
  | { readonly _tag: "Unknown" }
  /** This claim sent nothing, or nothing of it was done. The row is kept for `retentionMillis`, for its fence. */
  | { readonly _tag: "Undone"; readonly retentionMillis: number }

/** What was found out about a record that nobody knew the outcome of. @category models @since 0.1.0 */
export type Resolution = Extract<Settlement, { readonly retentionMillis: number }>

/** @category models @since 0.1.0 */
export interface RecordQuery {
  readonly scope?: string | undefined
  readonly states: ReadonlyArray<State>
  /** At most so many, the one that has waited longest first. */
  readonly limit: number
}

/** @category services @since 0.1.0 */
export class IdempotencyStore extends Context.Service<
  IdempotencyStore,
  {
    /** Asks for the right to make the call, in one step with writing that it was given. */
    readonly claim: (request: ClaimRequest) => Effect.Effect<Answer, StoreError>
    /** The first request leaves now, and the lease lasts so long from here. Fails with `StaleClaim` if the lease has ended: then nothing must be sent. */
    readonly sending: (claim: Claim, leaseMillis: number) => Effect.Effect<void, StoreError | StaleClaim>
    /** The lease lasts so long from here, unless it has ended. */
    readonly renew: (claim: Claim, leaseMillis: number) => Effect.Effect<void, StoreError | StaleClaim>
    /** Says how the call ended. May be asked again after an error: the second time is told that it is done. */
    readonly settle: (claim: Claim, settlement: Settlement) => Effect.Effect<void, StoreError | StaleClaim>
    /** Ends an `Unknown` or `Pending` record, whose `fence` the claim or the list told. */
    readonly resolve: (
      id: RecordId & { readonly fence: number },
      resolution: Resolution
    ) => Effect.Effect<void, StoreError | StaleClaim>
    /** The row, settled or not. */
    readonly get: (id: RecordId) => Effect.Effect<IdempotencyRecord | undefined, StoreError>
    /** The rows in some states: those in `Unknown` are what an operator has to settle. */
    readonly list: (query: RecordQuery) => Effect.Effect<ReadonlyArray<IdempotencyRecord>, StoreError>
    /** Forgets settled rows whose retention has ended, at most so many, and says how many it forgot. Unsettled ones stay. */
    readonly purge: (limit: number) => Effect.Effect<number, StoreError>
  }
>()("@breakwater/core/IdempotencyStore") {
  /** In memory: nothing survives the process. */
  static readonly layerMemory = (options?: MemoryOptions): Layer.Layer<IdempotencyStore> =>
    Layer.sync(IdempotencyStore, () => memory(options))
}

/** Whether a change was made, and the row as it is now. @category models @since 0.1.0 */
export interface Written {
  readonly applied: boolean
  readonly row: IdempotencyRecord | undefined
  readonly now: number
}

/** What an adapter does: compare and set, at its own time. @category models @since 0.1.0 */
export interface RecordTable {
  /** Makes the change if the row is as expected, `undefined` for none; in one step. */
  readonly write: (
    id: RecordId,
    expected: Expected | undefined,
    change: Change,
    operation: string
  ) => Effect.Effect<Written, StoreError>
  readonly get: (id: RecordId) => Effect.Effect<IdempotencyRecord | undefined, StoreError>
  readonly list: (query: RecordQuery) => Effect.Effect<ReadonlyArray<IdempotencyRecord>, StoreError>
  readonly purge: (limit: number) => Effect.Effect<number, StoreError>
}

/** @category models @since 0.1.0 */
export interface Options {
  /** Longest payload of an outcome, in bytes of JSON. Default 1 MiB. */
  readonly maxPayloadBytes?: number | undefined
}

/** The values used when an option is left out. @category constants @since 0.1.0 */
export const defaults = { maxPayloadBytes: Payloads.defaultMaxBytes, capacity: 100_000 } as const

const place = (operation: string): Place => ({ store: "idempotency", operation })

/** So often a claim is begun anew because somebody else changed the row in between. */
const maxRounds = 8

const problemOf = (id: RecordId): StoreError | undefined =>
  keyProblem(place("claim"), "scope", id.scope) ?? keyProblem(place("claim"), "key", id.key)

const isError = (u: unknown): u is StoreError => u instanceof StoreError

const readable = (answer: ClaimAnswer): Effect.Effect<Answer, StoreError> => {
  if (answer._tag !== "Settled") return Effect.succeed(answer)
  const payload = Payloads.decode(place("claim"), answer.payload)
  return isError(payload) ? Effect.fail(payload) : Effect.succeed({ ...answer, payload })
}

const claimWith =
  (table: RecordTable) =>
  (request: ClaimRequest): Effect.Effect<Answer, StoreError> => {
    const fresh = Record.claimed(request, undefined)
    const proceed = ({ now, row }: Written, round: number): Effect.Effect<Answer, StoreError> => {
      if (round === maxRounds) return Effect.fail(storeError(place("claim"), "busy", "the row changes all the time"))
      if (row === undefined) return attempt(undefined, fresh, false, round)
      const decision: Decision = Record.decide(row, request, now)
      return decision._tag === "Answer"
        ? readable(decision.answer)
        : attempt(decision.expected, decision.change, row.state === "InFlight", round)
    }
    const attempt = (
      expected: Expected | undefined,
      change: Change,
      takenOver: boolean,
      round: number
    ): Effect.Effect<Answer, StoreError> =>
      Effect.flatMap(table.write(request, expected, change, "claim"), (written) =>
        written.applied && written.row !== undefined
          ? readable(Record.granted(written.row, change, takenOver))
          : proceed(written, round + 1)
      )
    const problem = problemOf(request)
    return problem === undefined ? attempt(undefined, fresh, false, 0) : Effect.fail(problem)
  }

const changeWith =
  (table: RecordTable) =>
  (
    id: RecordId,
    { change, expected }: { readonly expected: Expected; readonly change: Change },
    operation: string
  ): Effect.Effect<void, StoreError | StaleClaim> =>
    Effect.flatMap(table.write(id, expected, change, operation), ({ applied, row }) =>
      applied || (expected.lease === undefined && Record.isDone(row, expected.fence, change))
        ? Effect.void
        : Effect.fail(new StaleClaim({ ...place(operation), fence: expected.fence, current: row?.fence }))
    )

const endingOf = (settlement: Settlement, operation: string, maxBytes: number): Ending | StoreError => {
  if (!("payload" in settlement)) return settlement
  const payload = Payloads.encode(place(operation), settlement.payload, maxBytes)
  return isError(payload) ? payload : { ...settlement, payload }
}

/** The service over any table that compares and sets. @category constructors @since 0.1.0 */
export const over = (table: RecordTable, options?: Options): IdempotencyStore["Service"] => {
  const maxBytes = options?.maxPayloadBytes ?? defaults.maxPayloadBytes
  const change = changeWith(table)
  const extend =
    (operation: "sending" | "renew") =>
    (claim: Claim, leaseMillis: number): Effect.Effect<void, StoreError | StaleClaim> => {
      const firstSentAt = operation === "sending" ? "now" : "keep"
      const expected: Expected = { fence: claim.fence, states: ["InFlight"], lease: "live" }
      return change(claim, { expected, change: { state: "InFlight", leaseMillis, firstSentAt } }, operation)
    }
  return IdempotencyStore.of({
    claim: claimWith(table),
    sending: extend("sending"),
    renew: extend("renew"),
    settle: (claim, settlement) => {
      const ending = endingOf(settlement, "settle", maxBytes)
      return isError(ending) ? Effect.fail(ending) : change(claim, Record.settled(claim, ending), "settle")
    },
    resolve: (id, resolution) => {
      const ending = endingOf(resolution, "resolve", maxBytes)
      return isError(ending) ? Effect.fail(ending) : change(id, Record.resolved(id.fence, ending), "resolve")
    },
    get: table.get,
    list: table.list,
    purge: table.purge
  })
}

/** @category models @since 0.1.0 */
export interface MemoryOptions extends Options {
  /**
   * Rows that are kept. Beyond it the settled row that is oldest is forgotten before its time; when all are unsettled, claims of new keys fail with `full`.
   * Default 100,000.
   */
  readonly capacity?: number | undefined
}

const idOf = ({ key, scope }: RecordId): string => `${scope}\n${key}`

/** Rows in a map, those that may be forgotten in one of their own, oldest first. */
class Rows {
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

const full = Effect.fail(storeError(place("claim"), "full", "all rows are unsettled"))

/** A store in memory, by the clock of whoever asks. Throws a `RangeError` for a capacity below 1. @category constructors @since 0.1.0 */
export const memory = (options?: MemoryOptions): IdempotencyStore["Service"] => {
  const capacity = options?.capacity ?? defaults.capacity
  if (!(capacity >= 1)) throw new RangeError(`IdempotencyStore.memory: capacity must be at least 1, got ${capacity}`)
  const rows = new Rows(capacity)
  const at = <A, E>(f: (now: number) => Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.withFiber((fiber) => f(fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()))
  return over(
    {
      write: (id, expected, change) =>
        at((now) => {
          const written = rows.write(id, expected, change, now)
          return written === undefined ? full : Effect.succeed(written)
        }),
      get: (id) => Effect.sync(() => rows.get(id)),
      list: (query) => Effect.sync(() => rows.list(query)),
      purge: (limit) => at((now) => Effect.succeed(rows.purge(limit, now)))
    },
    options
  )
}

export type { Claim, ClaimRequest, IdempotencyRecord, RecordId, State, StoredPayload }
