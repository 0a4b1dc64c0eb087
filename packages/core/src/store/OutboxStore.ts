/**
 * Commands that are to be carried out later, once: stored in the transaction of what they belong to, claimed in order by workers, and kept until somebody settled them.
 *
 * **When it is down** nothing is added, and with SQL the transaction that wanted to fails as a whole: it fails *closed*, since what is not stored is never done. Workers wait.
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Payload, StoredPayload } from "./Payload.ts"
import * as Payloads from "./Payload.ts"
import type { Place, StaleClaim } from "./StoreError.ts"
import { keyProblem, make as storeError, StoreError } from "./StoreError.ts"

/**
 * `Ready` and `Scheduled` wait for their time, `Claimed` is at work until its lease ends, `Done` is kept for a while so that it is not added again, `Dead` waits for an operator, and
 * `Discarded` is what the operator gave up. @category constants @since 0.1.0
 */
export const states = ["Ready", "Claimed", "Scheduled", "Done", "Dead", "Discarded"] as const

/** @category models @since 0.1.0 */
export type State = (typeof states)[number]

/** What is to be done. @category models @since 0.1.0 */
export interface NewCommand {
  /** Which workers it is for. */
  readonly queue: string
  /** Its name in the queue, and the idempotency key that it is sent with: added again, it is the same command. */
  readonly key: string
  /** Commands of one ordering key are done one after the other, as they were added; one that is dead holds up those behind it. Default: no order. */
  readonly orderingKey?: string | undefined
  readonly payload: Payload
  /** Not before so many milliseconds from now. Default 0. */
  readonly delayMillis?: number | undefined
  /** It was tried before it was added, and may have been done under the same key; of a command that is there, that is noted. It is no part of what names the command. Default `false`. */
  readonly maybeSent?: boolean | undefined
}

/** A command as it stands. Instants are in milliseconds of the store's own clock. @category models @since 0.1.0 */
export interface Command {
  /** Counts up as commands are added. */
  readonly sequence: number
  readonly queue: string
  readonly key: string
  readonly orderingKey: string | undefined
  readonly state: State
  /** Counts up with each claim: who has an older one has lost the command. */
  readonly fence: number
  /** How often it was claimed since it was added or redriven: also by workers that died over it. */
  readonly attempts: number
  /** When it can be claimed next: its time, or the end of the lease. */
  readonly dueAt: number
  readonly addedAt: number
  /** When it may have been done first: the claim since which nobody has said that nothing was sent. `undefined` before any claim. */
  readonly sentAt: number | undefined
  /** Nobody knows whether it was done, and it must not be tried before somebody found out. */
  readonly isUnknown: boolean
  /** What the last worker said about it. */
  readonly note: string | undefined
  readonly payload: Payload
}

/** Names one claim of one command. @category models @since 0.1.0 */
export interface CommandClaim {
  readonly sequence: number
  readonly fence: number
}

/** @category models @since 0.1.0 */
export interface BatchRequest {
  readonly queue: string
  /** At most so many commands. */
  readonly limit: number
  /** How long they are held unless renewed: longer than the whole batch can take. */
  readonly leaseMillis: number
}

/** What an operator or a worker says of a command. @category models @since 0.1.0 */
export interface Note {
  /** For the operator; without secrets. At most 2,000 characters are kept. */
  readonly note?: string | undefined
}

/** What a worker says when a command is not done. @category models @since 0.1.0 */
export interface Ending extends Note {
  /**
   * `no`: it was certainly not done so far. `maybe`: it may have been, and can be tried again with its key. `unknown`: it may have been, and must not be tried before somebody found
   * out. Default `maybe`.
   */
  readonly sent?: "no" | "maybe" | "unknown" | undefined
}

/** @category models @since 0.1.0 */
export interface CommandQuery {
  readonly queue: string
  readonly states: ReadonlyArray<State>
  /** At most so many, in the order in which they were added. */
  readonly limit: number
  /** Only those behind this one. Default: from the start. */
  readonly after?: number | undefined
}

/** @category services @since 0.1.0 */
export class OutboxStore extends Context.Service<
  OutboxStore,
  {
    /**
     * Adds commands, all or none, in order, and says how many of them are new. With SQL it is part of the transaction that it is run in. Fails with `invalid` for a key that is there
     * with another payload.
     */
    readonly add: (commands: ReadonlyArray<NewCommand>) => Effect.Effect<number, StoreError>
    /** Claims what is due, in order, of each ordering key the first one only. Claimed commands whose lease has ended are due again. */
    readonly claim: (request: BatchRequest) => Effect.Effect<ReadonlyArray<Command>, StoreError>
    /** The lease of these lasts so long from here. Gives back those that were lost. */
    readonly renew: (
      claims: ReadonlyArray<CommandClaim>,
      leaseMillis: number
    ) => Effect.Effect<ReadonlyArray<CommandClaim>, StoreError>
    /** These are done. Gives back those that were lost: somebody else has claimed them. */
    readonly complete: (claims: ReadonlyArray<CommandClaim>) => Effect.Effect<ReadonlyArray<CommandClaim>, StoreError>
    /** Not now: in so many milliseconds. */
    readonly reschedule: (
      claim: CommandClaim,
      options: Ending & { readonly afterMillis: number }
    ) => Effect.Effect<void, StoreError | StaleClaim>
    /** Not at all, unless somebody redrives it. */
    readonly bury: (claim: CommandClaim, options?: Ending) => Effect.Effect<void, StoreError | StaleClaim>
    /** The command of a queue that has this key; `undefined` if there is none, or if it was done and is forgotten. */
    readonly get: (queue: string, key: string) => Effect.Effect<Command | undefined, StoreError>
    /** Those in some states. Of a payload that is not JSON, the text as it is. */
    readonly list: (query: CommandQuery) => Effect.Effect<ReadonlyArray<Command>, StoreError>
    /** How many commands of a queue are in each state. */
    readonly counts: (queue: string) => Effect.Effect<Readonly<Record<State, number>>, StoreError>
    /** A dead or discarded command is due at once, as if it had never been tried, also where nobody knows whether it was done: find out before. `false` if it is in another state. */
    readonly redrive: (sequence: number) => Effect.Effect<boolean, StoreError>
    /** A dead, ready or scheduled command is given up, and no longer holds up what is behind it. `false` if it is in another state. */
    readonly discard: (sequence: number, options?: Note) => Effect.Effect<boolean, StoreError>
    /** Forgets done and discarded commands whose time is over, at most so many, and says how many it forgot. */
    readonly purge: (limit: number) => Effect.Effect<number, StoreError>
  }
>()("@breakwater/core/OutboxStore") {}

/** @category models @since 0.1.0 */
export interface Options {
  /** Longest payload, in bytes of JSON. Default 1 MiB. */
  readonly maxPayloadBytes?: number | undefined
  /** How long a done or discarded command is remembered, so that it is not added again. Default 7 days, in milliseconds. */
  readonly retentionMillis?: number | undefined
}

/** The values used when an option is left out. @category constants @since 0.1.0 */
export const defaults = {
  maxPayloadBytes: Payloads.defaultMaxBytes,
  retentionMillis: 7 * 24 * 3_600_000,
  capacity: 100_000
} as const

/** @category constructors @since 0.1.0 */
export const place = (operation: string): Place => ({ store: "outbox", operation })

/** A command as it is added to a table. @category models @since 0.1.0 */
export interface Row extends Omit<NewCommand, "payload"> {
  readonly payload: StoredPayload
}

const rowOf = (command: NewCommand, maxBytes: number): Row | StoreError => {
  const where = place("add")
  const problem =
    keyProblem(where, "queue", command.queue) ??
    keyProblem(where, "key", command.key) ??
    (command.orderingKey === undefined ? undefined : keyProblem(where, "ordering key", command.orderingKey))
  if (problem !== undefined) return problem
  const payload = Payloads.encode(where, command.payload, maxBytes)
  return payload instanceof StoreError ? payload : { ...command, payload }
}

/** The commands as they are added to a table, or what is wrong with the first that cannot be. @category encoding @since 0.1.0 */
export const rowsOf = (commands: ReadonlyArray<NewCommand>, maxBytes: number): ReadonlyArray<Row> | StoreError => {
  const rows: Array<Row> = []
  for (const command of commands) {
    const row = rowOf(command, maxBytes)
    if (row instanceof StoreError) return row
    rows.push(row)
  }
  return rows
}

/** @category constructors @since 0.1.0 */
export const keyTaken = (): StoreError =>
  storeError(place("add"), "invalid", "the key is there with another payload or ordering key")

/** What is kept of a note: PostgreSQL keeps no text with a NUL in it. @category encoding @since 0.1.0 */
export const noteOf = (options: Note | undefined): string | null =>
  options?.note?.replaceAll("\0", " ").slice(0, 2000) ?? null
