/**
 * Keeps answers for a while, by key and by tag. It knows nothing of freshness: what an entry says about itself is in its payload.
 *
 * **When it is down** a read is a miss and a write is lost: it fails *open*, since the provider can be asked. The errors are there to be counted. An entry that cannot be read, or was
 * written by another version, is a miss. @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ImmediateAnswers from "./ImmediateAnswers.ts"
import type { Payload, StoredPayload } from "./Payload.ts"
import * as Payloads from "./Payload.ts"
import type { Place } from "./StoreError.ts"
import { keyProblem, StoreError } from "./StoreError.ts"

/** What is to be kept. @category models @since 0.1.0 */
export interface Answer {
  readonly payload: Payload
  /** How long it is kept, stale or not. */
  readonly keepMillis: number
  /** It goes when one of these is invalidated. At most 16. Default none. */
  readonly tags?: ReadonlyArray<string> | undefined
}

/** What was kept. @category models @since 0.1.0 */
export interface StoredAnswer {
  readonly payload: Payload
  /** Milliseconds since it was stored, by the store's own clock. */
  readonly ageMillis: number
}

/** @category services @since 0.1.0 */
export class AnswerStore extends Context.Service<
  AnswerStore,
  {
    /** The answer, or `undefined`. Of a payload whose version is not `version` nothing is known: a miss. */
    readonly get: (key: string, version: number) => Effect.Effect<StoredAnswer | undefined, StoreError>
    /** Keeps it, in place of what was there. */
    readonly set: (key: string, answer: Answer) => Effect.Effect<void, StoreError>
    readonly delete: (key: string) => Effect.Effect<void, StoreError>
    /** Deletes what has the tag, and says how many that were. */
    readonly invalidate: (tag: string) => Effect.Effect<number, StoreError>
    /** Forgets entries whose time is over, and the oldest beyond the store's capacity; at most so many, and says how many. */
    readonly purge: (limit: number) => Effect.Effect<number, StoreError>
  }
>()("@breakwater/core/AnswerStore") {
  /** In memory: nothing survives the process, and nobody else sees it. */
  static readonly layerMemory = (options?: Options): Layer.Layer<AnswerStore> =>
    Layer.sync(AnswerStore, () => memory(options))
}

/** @category models @since 0.1.0 */
export interface Options {
  /** Entries that are kept; beyond it the one that was used least recently goes, on disk the oldest. Default 1,024 in memory, 100,000 elsewhere. */
  readonly capacity?: number | undefined
  /** Longest entry, in bytes of JSON; a longer one is refused as `invalid`. Default 5 MiB. */
  readonly maxEntryBytes?: number | undefined
}

/** The values used when an option is left out. @category constants @since 0.1.0 */
export const defaults = { capacity: 1024, storedCapacity: 100_000, maxEntryBytes: 5_242_880, maxTags: 16 } as const

const place = (operation: string): Place => ({ store: "answer", operation })

/** An answer as it is kept. @category models @since 0.1.0 */
export interface Entry {
  readonly payload: StoredPayload
  readonly keepMillis: number
  readonly tags: ReadonlyArray<string>
}

/** An answer as it is kept, or why it cannot be. @category encoding @since 0.1.0 */
export const entryOf = (key: string, answer: Answer, maxBytes: number): Entry | StoreError => {
  const tags = [...new Set(answer.tags)]
  const where = place("set")
  const problem =
    keyProblem(where, "key", key) ??
    tags.map((tag) => keyProblem(where, "tag", tag)).find((each) => each !== undefined) ??
    (tags.length > defaults.maxTags
      ? new StoreError({ ...where, problem: "invalid", detail: `at most ${defaults.maxTags} tags, got ${tags.length}` })
      : undefined)
  if (problem !== undefined) return problem
  const payload = Payloads.encode(where, answer.payload, maxBytes)
  return payload instanceof StoreError ? payload : { payload, keepMillis: answer.keepMillis, tags }
}

/** What is read of an entry, or `undefined` for one that is no use. @category decoding @since 0.1.0 */
export const answerOf = (stored: StoredPayload, version: number, ageMillis: number): StoredAnswer | undefined => {
  if (stored.version !== version) return undefined
  const payload = Payloads.decode(place("get"), stored)
  return payload instanceof StoreError ? undefined : { payload, ageMillis: Math.max(0, ageMillis) }
}

interface Kept extends Entry {
  readonly storedAt: number
}

/** Entries by key, the one that was used least recently first, and keys by tag. */
class Entries {
  private readonly kept = new Map<string, Kept>()
  private readonly tagged = new Map<string, Set<string>>()
  private readonly capacity: number

  constructor(capacity: number) {
    this.capacity = capacity
  }

  get(key: string, now: number): Kept | undefined {
    const found = this.kept.get(key)
    if (found === undefined) return undefined
    this.kept.delete(key)
    if (found.storedAt + found.keepMillis > now) {
      this.kept.set(key, found)
      return found
    }
    this.untag(key, found)
    return undefined
  }

  set(key: string, entry: Entry, now: number): void {
    this.delete(key)
    this.kept.set(key, { ...entry, storedAt: now })
    for (const tag of entry.tags) {
      const keys = this.tagged.get(tag)
      if (keys === undefined) this.tagged.set(tag, new Set([key]))
      else keys.add(key)
    }
    this.trim()
  }

  private trim(): void {
    for (const key of this.kept.keys()) {
      if (this.kept.size <= this.capacity) return
      this.delete(key)
    }
  }

  delete(key: string): void {
    const found = this.kept.get(key)
    if (found === undefined) return
    this.kept.delete(key)
    this.untag(key, found)
  }

  private untag(key: string, { tags }: Entry): void {
    for (const tag of tags) {
      const keys = this.tagged.get(tag)
      keys?.delete(key)
      if (keys?.size === 0) this.tagged.delete(tag)
    }
  }

  invalidate(tag: string): number {
    const keys = [...(this.tagged.get(tag) ?? [])]
    for (const key of keys) this.delete(key)
    return keys.length
  }

  purge(limit: number, now: number): number {
    const over = [...this.kept].filter(([, { keepMillis, storedAt }]) => storedAt + keepMillis <= now).slice(0, limit)
    for (const [key] of over) this.delete(key)
    return over.length
  }
}

/** A store in memory, by the clock of whoever asks. Throws a `RangeError` for a capacity below 1. @category constructors @since 0.1.0 */
export const memory = (options?: Options): AnswerStore["Service"] => {
  const capacity = options?.capacity ?? defaults.capacity
  if (!(capacity >= 1)) throw new RangeError(`AnswerStore.memory: capacity must be at least 1, got ${capacity}`)
  const maxBytes = options?.maxEntryBytes ?? defaults.maxEntryBytes
  const entries = new Entries(capacity)
  const read: ImmediateAnswers.Read = (key, version, now) => {
    const found = entries.get(key, now)
    return found === undefined ? undefined : answerOf(found.payload, version, now - found.storedAt)
  }
  const store = AnswerStore.of({
    get: (key, version) =>
      Clock.clockWith((clock) => Effect.succeed(read(key, version, clock.currentTimeMillisUnsafe()))),
    set: (key, answer) =>
      Clock.clockWith((clock) => {
        const entry = entryOf(key, answer, maxBytes)
        if (entry instanceof StoreError) return Effect.fail(entry)
        return Effect.succeed(entries.set(key, entry, clock.currentTimeMillisUnsafe()))
      }),
    delete: (key) => Effect.sync(() => entries.delete(key)),
    invalidate: (tag) => Effect.sync(() => entries.invalidate(tag)),
    purge: (limit) => Clock.clockWith((clock) => Effect.succeed(entries.purge(limit, clock.currentTimeMillisUnsafe())))
  })
  ImmediateAnswers.add(store, read)
  return store
}
