/**
 * Work outside the simulation, such as promises and timers: its completions are held until all of it has come to an end, and are then delivered in the order in which it
 * was begun. How long it really took decides nothing. @since 0.1.0
 */

/** One piece of work outside. @category models @since 0.1.0 */
export class Entry {
  readonly order: number
  /** Goes on inside the simulation; `undefined` until the work has ended. */
  deliver: (() => void) | undefined = undefined
  /** Work that cannot end before this is delivered. */
  readonly behind: Array<Entry> = []

  constructor(order: number) {
    this.order = order
  }
}

type Continuation<V, W> = ((value: V) => W | PromiseLike<W>) | null | undefined

/** @category models @since 0.1.0 */
export class Held {
  private readonly open = new Set<Entry>()
  private readonly derived = new WeakMap<object, Entry>()
  private count = 0

  /** Whether there is work outside, so that time must not go on. */
  get isBusy(): boolean {
    return this.open.size > 0
  }

  /** Whether all of it has ended. */
  get isSettled(): boolean {
    for (const { deliver } of this.open) if (deliver === undefined) return false
    return true
  }

  begin(): Entry {
    const entry = new Entry(this.count++)
    this.open.add(entry)
    return entry
  }

  /** Forgets work that was called off. */
  cancel(entry: Entry): void {
    this.open.delete(entry)
  }

  /** The work has ended, and goes on with `deliver` in its turn. */
  end(entry: Entry, deliver: () => void): void {
    entry.deliver = deliver
  }

  /** A `then` whose continuations run inside the simulation. */
  then(
    promise: Promise<unknown>,
    native: Promise<unknown>["then"],
    onFulfilled: Continuation<unknown, unknown>,
    onRejected: Continuation<unknown, unknown>
  ): Promise<unknown> {
    const entry = this.after(promise)
    const result = new Promise<unknown>((resolve, reject) => {
      const then = (continuation: Continuation<unknown, unknown>, otherwise: (value: unknown) => void) => (value: unknown) =>
        this.end(entry, () => {
          if (typeof continuation !== "function") return otherwise(value)
          try {
            resolve(continuation(value))
          } catch (error) {
            reject(error)
          }
        })
      void native.call(promise, then(onFulfilled, resolve), then(onRejected, reject))
    })
    this.derived.set(result, entry)
    return result
  }

  /** What has ended so far, in the order in which it was begun; from now on it counts as delivered. */
  take(): ReadonlyArray<Entry> {
    const ended = [...this.open].filter(({ deliver }) => deliver !== undefined).toSorted((a, b) => a.order - b.order)
    for (const entry of ended) {
      this.open.delete(entry)
      for (const next of entry.behind) this.open.add(next)
    }
    return ended
  }

  /** Work that begins with a promise: if that comes of a continuation which we hold ourselves, only once it is delivered. */
  private after(promise: Promise<unknown>): Entry {
    const before = this.derived.get(promise)
    if (before === undefined || !this.open.has(before)) return this.begin()
    const entry = new Entry(this.count++)
    before.behind.push(entry)
    return entry
  }
}
