/**
 * A part of a simulated provider's state: a list that is read page by page, each page by the cursor that the one before it gave. @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Base64Url from "effect/encoding/Base64Url"
import * as Result from "effect/Result"

/** @category models @since 0.1.0 */
export interface Options<A> {
  /** What tells an item from all others. */
  readonly idOf: (item: A) => string
  /** Items of a page when nobody says. Default 10. */
  readonly defaultLimit?: number | undefined
  /** Most items of a page; who asks for more gets as many. Default 100. */
  readonly maxLimit?: number | undefined
  /** How long a cursor is taken, from when it was given out. Default: it does not end. */
  readonly lifetime?: Duration.Input | undefined
}

/** @category models @since 0.1.0 */
export interface Page<A> {
  readonly items: ReadonlyArray<A>
  /** What the next page is asked with; `undefined` on the last one. */
  readonly next: string | undefined
}

/** Why there is no page: the cursor was never given out, has ended, or stands at an item that is gone. @category models @since 0.1.0 */
export type Refusal = "unknown cursor" | "expired cursor" | "item is gone"

/** Where a cursor stands: behind this item, which was then at this place. */
interface Place {
  readonly index: number
  readonly madeAt: number
  readonly id: string
}

const written = ({ id, index, madeAt }: Place): string => Base64Url.encode(`${index} ${Math.floor(madeAt)} ${id}`)

const read = (cursor: string): Place | undefined => {
  const text = Base64Url.decodeString(cursor)
  const found = Result.isSuccess(text) ? /^(\d{1,9}) (\d{1,15}) (.*)$/su.exec(text.success) : null
  return found === null ? undefined : { index: Number(found[1]), madeAt: Number(found[2]), id: found[3] ?? "" }
}

/**
 * Pages of a list by cursors that stand at an item, so that what is added before it neither hides nor repeats one. Throws a `RangeError` unless a page can hold an item.
 * @category models @since 0.1.0
 */
export class Cursors<A> {
  private readonly options: Options<A>
  private readonly maxLimit: number
  private readonly lifetimeMillis: number

  constructor(options: Options<A>) {
    this.options = options
    this.maxLimit = options.maxLimit ?? 100
    this.lifetimeMillis = options.lifetime === undefined ? Infinity : Duration.toMillis(options.lifetime)
    if (!(Number.isInteger(this.maxLimit) && this.maxLimit >= 1))
      throw new RangeError(`Cursors: maxLimit must be a whole number of at least 1, got ${this.maxLimit}`)
  }

  /** One page of what the list is now, `now` in milliseconds since the epoch. */
  page(
    items: ReadonlyArray<A>,
    asked: { readonly cursor?: string | undefined; readonly limit?: number | undefined; readonly now: number }
  ): Result.Result<Page<A>, Refusal> {
    const from = asked.cursor === undefined ? Result.succeed(0) : this.behind(items, asked.cursor, asked.now)
    return Result.map(from, (start) => {
      const limit = Math.min(this.maxLimit, Math.max(1, asked.limit ?? this.options.defaultLimit ?? 10))
      const page = items.slice(start, start + limit)
      const last = page.at(-1)
      const isEnd = start + limit >= items.length || last === undefined
      const place = isEnd ? undefined : { index: start + limit - 1, madeAt: asked.now, id: this.options.idOf(last) }
      return { items: page, next: place === undefined ? undefined : written(place) }
    })
  }

  private behind(items: ReadonlyArray<A>, cursor: string, now: number): Result.Result<number, Refusal> {
    const place = read(cursor)
    if (place === undefined) return Result.fail("unknown cursor")
    if (now - place.madeAt >= this.lifetimeMillis) return Result.fail("expired cursor")
    const { idOf } = this.options
    const there = items[place.index]
    const isThere = there !== undefined && idOf(there) === place.id
    const index = isThere ? place.index : items.findIndex((item) => idOf(item) === place.id)
    return index === -1 ? Result.fail("item is gone") : Result.succeed(index + 1)
  }
}
