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
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type {
  Change,
  Claim,
  ClaimAnswer,
  ClaimRequest,
  Ending,
  Expected,
  IdempotencyRecord,
  RecordId,
  State
} from "./IdempotencyRecord.ts"
import * as Record from "./IdempotencyRecord.ts"
import * as ImmediateRecords from "./ImmediateRecords.ts"
import type { Payload, StoredPayload } from "./Payload.ts"
import * as Payloads from "./Payload.ts"
import { Rows } from "./RecordRows.ts"
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

const readable = (answer: ClaimAnswer): Exit.Exit<Answer, StoreError> => {
  if (answer._tag !== "Settled") return Exit.succeed(answer)
  const payload = Payloads.decode(place("claim"), answer.payload)
  return isError(payload) ? Exit.fail(payload) : Exit.succeed({ ...answer, payload })
}

/** What a row must be, and what becomes of it. */
interface Step {
  readonly expected: Expected | undefined
  readonly change: Change
}

/** What a claim writes where there is no row. */
const firstOf = (request: ClaimRequest): Step => ({ expected: undefined, change: Record.claimed(request, undefined) })

/** What a claim comes to by what a step of it found, or else its next step. */
const after = (
  request: ClaimRequest,
  { change, expected }: Step,
  { applied, now, row }: Written
): ClaimAnswer | Step => {
  if (row === undefined) return firstOf(request)
  if (applied) return Record.granted(row, change, expected?.states[0] === "InFlight")
  const decision = Record.decide(row, request, now)
  return decision._tag === "Answer" ? decision.answer : decision
}

const isStep = (next: ClaimAnswer | Step): next is Step => "change" in next

const claimWith =
  (table: RecordTable) =>
  (request: ClaimRequest): Effect.Effect<Answer, StoreError> => {
    const attempt = (step: Step, round: number): Effect.Effect<Answer, StoreError> => {
      if (round === maxRounds) return Effect.fail(storeError(place("claim"), "busy", "the row changes all the time"))
      return Effect.flatMap(table.write(request, step.expected, step.change, "claim"), (written) => {
        const next = after(request, step, written)
        return isStep(next) ? attempt(next, round + 1) : readable(next)
      })
    }
    const problem = problemOf(request)
    return problem === undefined ? attempt(firstOf(request), 0) : Effect.fail(problem)
  }

type Ended = Exit.Exit<void, StoreError | StaleClaim>
type Transition = Step & { readonly expected: Expected }

/** What a change came to by what was written; one that was made before is made. */
const ended = ({ change, expected }: Transition, operation: string, { applied, row }: Written): Ended =>
  applied || (expected.lease === undefined && Record.isDone(row, expected.fence, change))
    ? Exit.void
    : Exit.fail(new StaleClaim({ ...place(operation), fence: expected.fence, current: row?.fence }))

const endingOf = (settlement: Settlement, operation: string, maxBytes: number): Ending | StoreError => {
  if (!("payload" in settlement)) return settlement
  const payload = Payloads.encode(place(operation), settlement.payload, maxBytes)
  return isError(payload) ? payload : { ...settlement, payload }
}

const settled = (claim: Claim, settlement: Settlement, maxBytes: number): Transition | StoreError => {
  const ending = endingOf(settlement, "settle", maxBytes)
  return isError(ending) ? ending : Record.settled(claim, ending)
}

const extended = (operation: "sending" | "renew", { fence }: Claim, leaseMillis: number): Transition => ({
  expected: { fence, states: ["InFlight"], lease: "live" },
  change: { state: "InFlight", leaseMillis, firstSentAt: operation === "sending" ? "now" : "keep" }
})

/** The service over any table that compares and sets. @category constructors @since 0.1.0 */
export const over = (table: RecordTable, options?: Options): IdempotencyStore["Service"] => {
  const maxBytes = options?.maxPayloadBytes ?? defaults.maxPayloadBytes
  const change = (id: RecordId, transition: Transition | StoreError, operation: string) =>
    isError(transition)
      ? Effect.fail(transition)
      : Effect.flatMap(table.write(id, transition.expected, transition.change, operation), (written) =>
          ended(transition, operation, written)
        )
  return IdempotencyStore.of({
    claim: claimWith(table),
    sending: (claim, leaseMillis) => change(claim, extended("sending", claim, leaseMillis), "sending"),
    renew: (claim, leaseMillis) => change(claim, extended("renew", claim, leaseMillis), "renew"),
    settle: (claim, settlement) => change(claim, settled(claim, settlement, maxBytes), "settle"),
    resolve: (id, resolution) => {
      const ending = endingOf(resolution, "resolve", maxBytes)
      return change(id, isError(ending) ? ending : Record.resolved(id.fence, ending), "resolve")
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

const full = Exit.fail(storeError(place("claim"), "full", "all rows are unsettled"))

/** Asks rows that nobody else changes in between. */
const immediately = (rows: Rows, maxBytes: number): ImmediateRecords.ImmediateRecords => {
  const change = (id: RecordId, transition: Transition | StoreError, operation: string, now: number): Ended => {
    if (isError(transition)) return Exit.fail(transition)
    const written = rows.write(id, transition.expected, transition.change, now)
    return written === undefined ? full : ended(transition, operation, written)
  }
  return {
    claim: (request, now) => {
      const problem = problemOf(request)
      if (problem !== undefined) return Exit.fail(problem)
      let next: ClaimAnswer | Step = firstOf(request)
      while (isStep(next)) {
        const written = rows.write(request, next.expected, next.change, now)
        if (written === undefined) return full
        next = after(request, next, written)
      }
      return readable(next)
    },
    sending: (claim, leaseMillis, now) => change(claim, extended("sending", claim, leaseMillis), "sending", now),
    settle: (claim, settlement, now) => change(claim, settled(claim, settlement, maxBytes), "settle", now)
  }
}

/** A store in memory, by the clock of whoever asks. Throws a `RangeError` for a capacity below 1. @category constructors @since 0.1.0 */
export const memory = (options?: MemoryOptions): IdempotencyStore["Service"] => {
  const capacity = options?.capacity ?? defaults.capacity
  if (!(capacity >= 1)) throw new RangeError(`IdempotencyStore.memory: capacity must be at least 1, got ${capacity}`)
  const rows = new Rows(capacity)
  const at = <A, E>(f: (now: number) => Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.withFiber((fiber) => f(fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()))
  const table: RecordTable = {
    write: (id, expected, change) =>
      at((now) => {
        const written = rows.write(id, expected, change, now)
        return written === undefined ? full : Effect.succeed(written)
      }),
    get: (id) => Effect.sync(() => rows.get(id)),
    list: (query) => Effect.sync(() => rows.list(query)),
    purge: (limit) => at((now) => Effect.succeed(rows.purge(limit, now)))
  }
  const { claim, sending, settle } = immediately(rows, options?.maxPayloadBytes ?? defaults.maxPayloadBytes)
  const store = IdempotencyStore.of({
    ...over(table, options),
    claim: (request) => at((now) => claim(request, now)),
    sending: (held, leaseMillis) => at((now) => sending(held, leaseMillis, now)),
    settle: (held, settlement) => at((now) => settle(held, settlement, now))
  })
  ImmediateRecords.add(store, { claim, sending, settle })
  return store
}

export type { Claim, ClaimRequest, IdempotencyRecord, RecordId, State, StoredPayload }
