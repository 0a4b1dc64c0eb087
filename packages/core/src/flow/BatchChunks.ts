/**
 * The items of one run: what each has come to so far, and the chunks in which those that are still open are sent. @internal
 */
import type * as Arr from "effect/Array"
import type * as Result from "effect/Result"
import * as Fingerprint from "../vocabulary/Fingerprint.ts"
import type { ItemError } from "./BatchError.ts"
import type { Detail } from "./BatchReading.ts"

/** Items that are sent together. @category models @since 0.1.0 */
export interface Chunk<Item, A> {
  readonly entries: Arr.NonEmptyReadonlyArray<Entry<Item, A>>
  /** The idempotency key; empty where chunks have none. */
  readonly key: string
}

/** @category models @since 0.1.0 */
export class Entry<Item, A> {
  readonly item: Item
  /** Bytes that it takes of a chunk; 0 where they are not counted. */
  readonly bytes: number
  /** What tells it from others; empty where chunks have no key. */
  readonly identity: string
  result: Result.Result<A, ItemError> | undefined = undefined
  sends = 0
  /** Answers that said that it was not carried out. */
  declined = 0
  /** It may have been carried out, by an earlier send. */
  doubted = false
  /** The chunk with whose key it was sent, where nobody knows what came of it: it may go again with that one only. */
  bound: Chunk<Item, A> | undefined = undefined
  /** Instant after which that key must not be sent. */
  boundUntil = Number.POSITIVE_INFINITY
  /** Why it is not over. */
  why: Detail | undefined = undefined
  /** What it waits for at least. */
  hintMillis = 0

  constructor(item: Item, bytes: number, identity: string) {
    this.item = item
    this.bytes = bytes
    this.identity = identity
  }
}

/** What a chunk may hold. @category models @since 0.1.0 */
export interface Room {
  readonly items: number
  readonly bytes: number
}

const encoder = new TextEncoder()

/**
 * The key of a chunk: the same for the same items in the same order, another one after an answer that said that they were not carried out, since the provider may have kept
 * that answer under the first.
 */
const keyOf = <Item, A>(name: string, entries: ReadonlyArray<Entry<Item, A>>): string => {
  const identities = entries.map(({ declined, identity }) => `${identity.length}:${identity}#${declined}`)
  return `batch-${Fingerprint.of({ method: "BATCH", path: name, body: encoder.encode(identities.join()) })}`
}

/** Chunks of the entries, in their order, none larger than there is room. Those that are bound to a chunk come as that. @category constructors @since 0.1.0 */
export const chunksOf = <Item, A>(
  name: string,
  entries: ReadonlyArray<Entry<Item, A>>,
  room: Room,
  isKeyed: boolean
): ReadonlyArray<Chunk<Item, A>> => {
  const chunks = new Set<Chunk<Item, A>>()
  let open: Array<Entry<Item, A>> = []
  let bytes = 0
  const close = (): void => {
    const [first, ...rest] = open
    if (first === undefined) return
    chunks.add({ entries: [first, ...rest], key: isKeyed ? keyOf(name, open) : "" })
    open = []
    bytes = 0
  }
  for (const entry of entries) {
    if (entry.bound !== undefined) chunks.add(entry.bound)
    else {
      if (open.length === room.items || bytes + entry.bytes > room.bytes) close()
      open.push(entry)
      bytes += entry.bytes
    }
  }
  close()
  return [...chunks]
}
