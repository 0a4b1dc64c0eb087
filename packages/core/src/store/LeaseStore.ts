/**
 * Lets one of many do a thing at a time: a name is held until a lease ends, with a fencing token that counts up, so that what a late holder does can be told from what the
 * current one does.
 *
 * **When it is down** nobody gets a lease: it fails *closed*. Whoever can do the work twice without harm, because its own write is compare-and-set, may go on without.
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Place, StoreError } from "./StoreError.ts"
import { keyProblem, make as storeError, StaleClaim } from "./StoreError.ts"

/** @category models @since 0.1.0 */
export interface Lease {
  readonly name: string
  /** Higher than that of every lease of this name before. */
  readonly fence: number
  /** When it ends, in milliseconds of the store's own clock. */
  readonly until: number
}

/** @category services @since 0.1.0 */
export class LeaseStore extends Context.Service<
  LeaseStore,
  {
    /** A lease for so many milliseconds, or `undefined` while somebody else holds one. Does not wait. */
    readonly acquire: (name: string, millis: number) => Effect.Effect<Lease | undefined, StoreError>
    /** The same lease, with so many milliseconds from now. Fails with `StaleClaim` once it has ended, also if nobody took it. */
    readonly renew: (lease: Lease, millis: number) => Effect.Effect<Lease, StoreError | StaleClaim>
    /** Gives it back. Nothing happens to a lease that has ended, or is another's by now. */
    readonly release: (lease: Lease) => Effect.Effect<void, StoreError>
  }
>()("@breakwater/core/LeaseStore") {
  /** In memory: among the fibers of one process. */
  static readonly layerMemory = (options?: MemoryOptions): Layer.Layer<LeaseStore> =>
    Layer.sync(LeaseStore, () => memory(options))
}

/** @category models @since 0.1.0 */
export interface MemoryOptions {
  /** Names that are remembered. Beyond it those whose lease has ended are forgotten. Default 10,000. */
  readonly capacity?: number | undefined
}

/** The values used when an option is left out. @category constants @since 0.1.0 */
export const defaults = { capacity: 10_000 } as const

const place = (operation: string): Place => ({ store: "lease", operation })

/** Why a name cannot be held, or `undefined`. @category guards @since 0.1.0 */
export const problemOf = (name: string): StoreError | undefined => keyProblem(place("acquire"), "name", name)

/** @category constructors @since 0.1.0 */
export const staleLease = (lease: Lease, current: number | undefined): StaleClaim =>
  new StaleClaim({ ...place("renew"), fence: lease.fence, current })

class Names {
  private readonly held = new Map<string, Lease>()
  private readonly capacity: number
  private fence = 0

  constructor(capacity: number) {
    this.capacity = capacity
  }

  /** Makes room for one more; `false` if all are held. */
  private makesRoom(now: number): boolean {
    if (this.held.size < this.capacity) return true
    for (const [name, { until }] of this.held) if (until <= now) this.held.delete(name)
    return this.held.size < this.capacity
  }

  acquire(name: string, millis: number, now: number): Lease | "held" | "full" {
    const current = this.held.get(name)
    if (current !== undefined && current.until > now) return "held"
    if (current === undefined && !this.makesRoom(now)) return "full"
    const lease = { name, fence: ++this.fence, until: now + millis }
    this.held.set(name, lease)
    return lease
  }

  renew({ fence, name }: Lease, millis: number, now: number): Lease | undefined {
    const current = this.held.get(name)
    if (current === undefined || current.fence !== fence || current.until <= now) return undefined
    const lease = { name, fence, until: now + millis }
    this.held.set(name, lease)
    return lease
  }

  current(name: string): number | undefined {
    return this.held.get(name)?.fence
  }

  release({ fence, name }: Lease): void {
    if (this.current(name) === fence) this.held.delete(name)
  }
}

/** A store in memory, by the clock of whoever asks. Throws a `RangeError` for a capacity below 1. @category constructors @since 0.1.0 */
export const memory = (options?: MemoryOptions): LeaseStore["Service"] => {
  const capacity = options?.capacity ?? defaults.capacity
  if (!(capacity >= 1)) throw new RangeError(`LeaseStore.memory: capacity must be at least 1, got ${capacity}`)
  const names = new Names(capacity)
  return LeaseStore.of({
    acquire: (name, millis) =>
      Clock.clockWith((clock) => {
        const problem = problemOf(name)
        if (problem !== undefined) return Effect.fail(problem)
        const lease = names.acquire(name, millis, clock.currentTimeMillisUnsafe())
        if (lease === "full") return Effect.fail(storeError(place("acquire"), "full", "all names are held"))
        return Effect.succeed(lease === "held" ? undefined : lease)
      }),
    renew: (lease, millis) =>
      Clock.clockWith((clock) => {
        const renewed = names.renew(lease, millis, clock.currentTimeMillisUnsafe())
        return renewed === undefined
          ? Effect.fail(staleLease(lease, names.current(lease.name)))
          : Effect.succeed(renewed)
      }),
    release: (lease) => Effect.sync(() => names.release(lease))
  })
}
