/**
 * A part of a simulated provider's state: reads that do not see what was written a moment ago. @since 0.1.0
 */
import * as Duration from "effect/Duration"
import { current } from "./kernel/CurrentRun.ts"

/** @category models @since 0.1.0 */
export interface Options {
  /** For the questions of a plan, `replica <name>`. */
  readonly name: string
  /** How long a write stays unseen where a read is behind. */
  readonly lag: Duration.Input
}

interface Write<A> {
  readonly at: number
  readonly key: string
  /** `undefined` when it was deleted. */
  readonly value: A | undefined
}

/**
 * Values by key, read from a copy that may lag behind.
 * **Details** In a simulation each read asks the plan whether it is `behind`, and the undisturbed one is not; elsewhere every read is. A read that is behind sees everything that
 * is older than the lag. @category models @since 0.1.0
 */
export class Replica<A> {
  private readonly label: string
  private readonly lagMillis: number
  /** What everybody sees. */
  private readonly settled = new Map<string, A>()
  /** What some do not see yet, the oldest first. */
  private recent: Array<Write<A>> = []

  constructor(options: Options) {
    this.label = `replica ${options.name}`
    this.lagMillis = Duration.toMillis(options.lag)
  }

  set(key: string, value: A, now: number): void {
    this.recent.push({ at: now, key, value })
  }

  delete(key: string, now: number): void {
    this.recent.push({ at: now, key, value: undefined })
  }

  /** The value as this read sees it. */
  get(key: string, now: number): A | undefined {
    const recent = this.seen(now).findLast((write) => write.key === key)
    return recent === undefined ? this.settled.get(key) : recent.value
  }

  /** All values as this read sees them, in the order in which their keys were first written. */
  values(now: number): ReadonlyArray<A> {
    const recent = this.seen(now)
    if (recent.length === 0) return [...this.settled.values()]
    const seen = new Map(this.settled)
    for (const write of recent) apply(seen, write)
    return [...seen.values()]
  }

  /** The recent writes that this read sees all the same. */
  private seen(now: number): ReadonlyArray<Write<A>> {
    this.settle(now)
    if (this.recent.length === 0) return []
    return (current()?.choose(this.label, ["fresh", "behind"]) ?? "behind") === "fresh" ? this.recent : []
  }

  private settle(now: number): void {
    const first = this.recent.findIndex(({ at }) => now - at < this.lagMillis)
    const settled = first === -1 ? this.recent.length : first
    for (const write of this.recent.splice(0, settled)) apply(this.settled, write)
  }
}

const apply = <A>(values: Map<string, A>, { key, value }: Write<A>): void => {
  if (value === undefined) values.delete(key)
  else values.set(key, value)
}
