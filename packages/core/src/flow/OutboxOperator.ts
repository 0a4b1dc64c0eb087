/** What an operator sees of a queue and does about it. @internal */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Latch from "effect/Latch"
import type { Command, Note, State } from "../store/OutboxStore.ts"
import { OutboxStore } from "../store/OutboxStore.ts"
import type { StoreError } from "../store/StoreError.ts"
import type { OutboxLog } from "./OutboxLog.ts"
import type { OutboxPayload } from "./OutboxPayload.ts"

/** A command as an operator sees it. @category models @since 0.1.0 */
export interface Listed<A> extends Omit<Command, "queue"> {
  /** The payload where it can be read, else `undefined`; as it is kept it stands in `payload`. */
  readonly value: A | undefined
}

/** @category models @since 0.1.0 */
export interface ListOptions {
  /** Default `["Dead"]`. */
  readonly states?: ReadonlyArray<State> | undefined
  /** At most so many, in the order in which they were added. Default 100. */
  readonly limit?: number | undefined
  /** Only those behind this sequence. Default: from the start. */
  readonly after?: number | undefined
}

/** @category models @since 0.1.0 */
export interface RedriveOptions {
  /** At most so many. Default 1,000. */
  readonly limit?: number | undefined
  /** Only those whose note has this in it, such as `card_declined`. Default: all. */
  readonly note?: string | undefined
  /** Those of which nobody knows whether they were done, too, or whose key may be forgotten: somebody has found out that they were not done. Default `false`. */
  readonly unknown?: boolean | undefined
  /** Nothing is changed, only counted. Default `false`. */
  readonly dryRun?: boolean | undefined
}

/** @category models @since 0.1.0 */
export interface Redriven {
  /** Those that are, or would be, tried again. */
  readonly redriven: number
  /** Those that were left: nobody knows whether they were done, or they may have been, longer ago than `keyWindow`. */
  readonly unknown: number
}

/** What became of a command, for whoever asked for it. @category models @since 0.1.0 */
export interface Status {
  /** `accepted`: it is to be done, or at work. */
  readonly state: "accepted" | "done" | "dead" | "discarded"
  /** How often it was tried. */
  readonly attempts: number
  /** It is dead, and nobody knows whether it was done. */
  readonly isUnknown: boolean
  /** What was said of it last. */
  readonly note: string | undefined
}

/** @category models @since 0.1.0 */
export interface Operator<A> {
  /** Dead commands, or others, with what is known of them. */
  readonly list: (options?: ListOptions) => Effect.Effect<ReadonlyArray<Listed<A>>, StoreError, OutboxStore>
  /** How many commands are in each state; the gauge `breakwater.outbox.depth` says the same from then on. */
  readonly counts: Effect.Effect<Readonly<Record<State, number>>, StoreError, OutboxStore>
  /** What became of the command of this key; `undefined` if it was never added, or is forgotten. */
  readonly status: (key: string) => Effect.Effect<Status | undefined, StoreError, OutboxStore>
  /** A dead or discarded command is due at once, as if it had never been tried. `false` if it is in another state. */
  readonly redrive: (sequence: number) => Effect.Effect<boolean, StoreError, OutboxStore>
  /** The same for all that are dead, the oldest first; not for those of which nobody knows whether they were done, nor for those that may have been done and whose key may be forgotten. */
  readonly redriveAll: (options?: RedriveOptions) => Effect.Effect<Redriven, StoreError, OutboxStore>
  /** A dead, ready or scheduled command is given up, and no longer holds up what is behind it. `false` if it is in another state. */
  readonly discard: (sequence: number, options?: Note) => Effect.Effect<boolean, StoreError, OutboxStore>
}

const outwardly = {
  Ready: "accepted",
  Claimed: "accepted",
  Scheduled: "accepted",
  Done: "done",
  Dead: "dead",
  Discarded: "discarded"
} as const satisfies Record<State, Status["state"]>

const pageSize = 500

/** @category models @since 0.1.0 */
export interface Operated<A> {
  readonly queue: string
  readonly payload: OutboxPayload<A>
  readonly log: OutboxLog
  readonly waiting: ReadonlySet<Latch.Latch>
  /** Milliseconds for which a provider knows a key. */
  readonly keyWindow: number
}

/** @category constructors @since 0.1.0 */
export const make = <A>({ keyWindow, log, payload, queue, waiting }: Operated<A>): Operator<A> => {
  const wake = Effect.sync(() => {
    for (const latch of waiting) latch.openUnsafe()
  })
  const listed = ({ queue: _, ...command }: Command): Effect.Effect<Listed<A>> =>
    Effect.map(Effect.option(payload.decode(command.payload)), (value) => ({
      ...command,
      value: value._tag === "Some" ? value.value : undefined
    }))

  const redriveAll = Effect.fnUntraced(function* (options?: RedriveOptions) {
    const store = yield* OutboxStore
    const limit = options?.limit ?? 1000
    const isMeant = ({ note = "" }: Command): boolean => options?.note === undefined || note.includes(options.note)
    const forgotten = (yield* Clock.currentTimeMillis) - keyWindow
    const isInDoubt = ({ isUnknown, sentAt }: Command): boolean =>
      isUnknown || (sentAt !== undefined && sentAt < forgotten)
    let [redriven, unknown, after] = [0, 0, 0]
    while (redriven < limit) {
      const page = yield* store.list({ queue, states: ["Dead"], limit: pageSize, after })
      for (const command of page) {
        after = command.sequence
        if (redriven >= limit || !isMeant(command)) continue
        if (options?.unknown !== true && isInDoubt(command)) unknown++
        else if (options?.dryRun === true || (yield* store.redrive(command.sequence))) redriven++
      }
      if (page.length < pageSize) break
    }
    if (redriven > 0) yield* wake
    return { redriven, unknown }
  })

  return {
    list: (options) =>
      Effect.flatMap(OutboxStore, (store) =>
        Effect.flatMap(
          store.list({
            queue,
            states: options?.states ?? ["Dead"],
            limit: options?.limit ?? 100,
            after: options?.after
          }),
          (commands) => Effect.forEach(commands, listed)
        )
      ),
    counts: Effect.flatMap(OutboxStore, (store) =>
      Effect.tap(store.counts(queue), (counts) =>
        Effect.withFiber(({ context }) => Effect.sync(() => log.counted(counts, context)))
      )
    ),
    status: (key) =>
      Effect.flatMap(OutboxStore, (store) =>
        Effect.map(store.get(queue, key), (command): Status | undefined => {
          if (command === undefined) return undefined
          const { attempts, isUnknown, note, state } = command
          return { state: outwardly[state], attempts, isUnknown, note }
        })
      ),
    redrive: (sequence) =>
      Effect.flatMap(OutboxStore, (store) =>
        Effect.tap(store.redrive(sequence), (changed) => (changed ? wake : Effect.void))
      ),
    redriveAll,
    discard: (sequence, options) => Effect.flatMap(OutboxStore, (store) => store.discard(sequence, options))
  }
}
