/**
 * What an answer says of each item that was sent: readers for the two forms that answers come in, a status for each item and an envelope. Whatever they cannot tie to an item leaves that item unknown. @internal
 */
import type * as Duration from "effect/Duration"

/** Why an item did not succeed, as the provider has it. @category models @since 0.1.0 */
export interface Detail {
  /** In words; secrets are taken out before it is shown. */
  readonly detail: string
  readonly status?: number | undefined
  readonly code?: string | undefined
  /** How long to wait before the item is sent again. */
  readonly retryAfter?: Duration.Input | undefined
}

/**
 * What an answer says of one item. `retryable` only where the provider says that it did *not* carry the item out; one that it may have carried out is `unknown`.
 * @category models @since 0.1.0
 */
export type Reading<A> =
  | { readonly _tag: "Succeeded"; readonly value: A }
  | ({ readonly _tag: "Failed" | "Retryable" | "Unknown" } & Detail)

/** @category constructors @since 0.1.0 */
export const succeeded = <A>(value: A): Reading<A> => ({ _tag: "Succeeded", value })

/** Sending the item again changes nothing. @category constructors @since 0.1.0 */
export const failed = (detail: Detail): Reading<never> => ({ _tag: "Failed", ...detail })

/** The item was not carried out, and may be sent again. @category constructors @since 0.1.0 */
export const retryable = (detail: Detail): Reading<never> => ({ _tag: "Retryable", ...detail })

/** The item may have been carried out. @category constructors @since 0.1.0 */
export const unknown = (detail: Detail): Reading<never> => ({ _tag: "Unknown", ...detail })

/** How the entries of an answer belong to items. @category models @since 0.1.0 */
export interface Matching<Item, Body, Entry> {
  /** The entries of the answer, one for each item. */
  readonly entries: (body: Body) => ReadonlyArray<Entry>
  /**
   * What names an item in the request and in the answer. An item that no entry names, or more than one, is unknown; so are two items of one name. Default: by place, and
   * all are unknown where there are not as many entries as items.
   */
  readonly by?:
    | { readonly item: (item: Item) => string; readonly entry: (entry: Entry) => string | undefined }
    | undefined
}

type Reader<Item, Body, A> = (body: Body, items: ReadonlyArray<Item>) => ReadonlyArray<Reading<A>>

/** What stands for a name that more than one entry, or more than one item, has. */
const ambiguous = Symbol("ambiguous")

const byName = <T>(each: ReadonlyArray<T>, nameOf: (each: T) => string | undefined) => {
  const named = new Map<string, T | typeof ambiguous>()
  for (const one of each) {
    const name = nameOf(one)
    if (name !== undefined) named.set(name, named.has(name) ? ambiguous : one)
  }
  return named
}

const reading =
  <Item, Body, Entry, A>(
    { by, entries: entriesOf }: Matching<Item, Body, Entry>,
    read: (entry: Entry) => Reading<A>
  ): Reader<Item, Body, A> =>
  (body, items) => {
    const entries = entriesOf(body)
    if (by === undefined) {
      const detail = `the answer has ${entries.length} entries for ${items.length} items`
      return entries.length === items.length ? entries.map(read) : items.map(() => unknown({ detail }))
    }
    const [named, asked] = [byName(entries, by.entry), byName(items, by.item)]
    return items.map((item) => {
      const name = by.item(item)
      const entry = named.get(name)
      if (entry === undefined) return unknown({ detail: "the answer does not name the item" })
      if (entry === ambiguous || asked.get(name) === ambiguous)
        return unknown({ detail: "the answer does not tell the item from another" })
      return read(entry)
    })
  }

/** @category models @since 0.1.0 */
export interface MultiStatusOptions<Item, Body, Entry, A> extends Matching<Item, Body, Entry> {
  /** Status of an item, as HTTP has them. */
  readonly status: (entry: Entry) => number
  /** What a success gives. */
  readonly value: (entry: Entry) => A
  /** Code, words and hint of an item that did not succeed. Default: its status in words. */
  readonly error?: ((entry: Entry) => Omit<Partial<Detail>, "status">) | undefined
  /** Statuses that say that the provider did not begin with the item. Default 425 and 429. */
  readonly refusedBeforeWork?: ReadonlyArray<number> | undefined
}

/** Statuses of which nobody can tell whether the work was done: 408, and 5xx but those that say that the server cannot do it (RFC 9110 §15.6.2, §15.6.6). */
const isOutage = (status: number): boolean =>
  status === 408 || (status >= 500 && status < 600 && status !== 501 && status !== 505)

const tagOf = (status: number, refused: ReadonlyArray<number>): "Failed" | "Retryable" | "Unknown" => {
  if (refused.includes(status)) return "Retryable"
  return isOutage(status) || !(status >= 300 && status < 600) ? "Unknown" : "Failed"
}

/**
 * Reads an answer that has a status for each item, such as a 207 (RFC 4918 §13). 2xx succeeded; 425 and 429 were not begun, and may be sent again; of 408 and 5xx nobody knows, unless
 * `refusedBeforeWork` says so; everything else failed. @category readers @since 0.1.0
 */
export const multiStatus = <Item, Body, Entry, A>(
  options: MultiStatusOptions<Item, Body, Entry, A>
): Reader<Item, Body, A> => {
  const refused = options.refusedBeforeWork ?? [425, 429]
  return reading(options, (entry): Reading<A> => {
    const status = options.status(entry)
    if (status >= 200 && status < 300) return succeeded(options.value(entry))
    return { _tag: tagOf(status, refused), detail: `status ${status}`, ...options.error?.(entry), status }
  })
}

/** @category models @since 0.1.0 */
export interface EnvelopeOptions<Item, Body, Entry, A> extends Matching<Item, Body, Entry> {
  /** What a success gives; `undefined` where the entry is none. */
  readonly ok: (entry: Entry) => A | undefined
  /** What an error says; `undefined` where the entry is none. With `retryable` the provider says that it did not carry the item out. */
  readonly error: (entry: Entry) => (Detail & { readonly retryable?: boolean | undefined }) | undefined
}

/**
 * Reads an answer whose entries have either a result or an error. An entry that has both or neither leaves its item unknown. @category readers @since 0.1.0
 */
export const envelope = <Item, Body, Entry, A>(options: EnvelopeOptions<Item, Body, Entry, A>): Reader<Item, Body, A> =>
  reading(options, (entry): Reading<A> => {
    const value = options.ok(entry)
    const error = options.error(entry)
    if (value !== undefined && error === undefined) return succeeded(value)
    if (value !== undefined || error === undefined)
      return unknown({ detail: "the entry of the item has neither a result nor an error, or both" })
    const { retryable: isRetryable = false, ...detail } = error
    return isRetryable ? retryable(detail) : failed(detail)
  })
