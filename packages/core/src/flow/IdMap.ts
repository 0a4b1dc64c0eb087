/**
 * Keeps two systems in step without duplicates (IDEM-6): which id of ours stands for which of theirs, and what is created for an id once, however many ask at once. Links are kept by `LinkStore`; who creates is
 * settled by `LeaseStore`. @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { CurrentDeadline, withDeadline } from "../policy/Deadline.ts"
import type { Lease } from "../store/LeaseStore.ts"
import { LeaseStore } from "../store/LeaseStore.ts"
import type { LinkTaken } from "../store/LinkStore.ts"
import { LinkStore } from "../store/LinkStore.ts"
import type { StoreError } from "../store/StoreError.ts"
import { keyProblem, make as storeError } from "../store/StoreError.ts"
import * as Fingerprint from "../vocabulary/Fingerprint.ts"

export { LinkTaken } from "../store/LinkStore.ts"

/** @category models @since 0.1.0 */
export interface Options {
  /** What is linked, such as `crm.customers`: ids of one scope are no ids of another. */
  readonly scope: string
  /** How long creating may take: calls inside end before that. Whoever dies meanwhile keeps the others waiting as long. Default `"30 seconds"`. */
  readonly lease?: Duration.Input | undefined
  /** How long to wait for somebody else who creates the same. Default `"10 seconds"`. */
  readonly wait?: Duration.Input | undefined
}

/** The values used when an option is left out. @category constants @since 0.1.0 */
export const defaults = { lease: "30 seconds", wait: "10 seconds" } as const satisfies Partial<Options>

/** What to do about an id. @category models @since 0.1.0 */
export interface Upsert<E, R, E2, R2> {
  /**
   * Makes what is not there yet; gives its id. The key is the same for the same id of theirs, also after a restart, and so must the effect be: a process that dies between creating and linking leaves it to the next one, with
   * `Idempotency.withKey(key)`, or by the id of theirs in what is created.
   */
  readonly create: (key: string) => Effect.Effect<string, E, R>
  /** Brings what is there up to date. Default: it is left as it is. */
  readonly update?: ((internal: string) => Effect.Effect<unknown, E2, R2>) | undefined
}

/** What an upsert came to. @category models @since 0.1.0 */
export interface Upserted {
  readonly internal: string
  readonly created: boolean
}

/** @category models @since 0.1.0 */
export interface IdMap {
  /** Our id for theirs, or `undefined`. */
  readonly find: (external: string) => Effect.Effect<string | undefined, StoreError>
  /** Their id for ours, or `undefined`. */
  readonly findExternal: (internal: string) => Effect.Effect<string | undefined, StoreError>
  /** Links two ids. The same link again changes nothing; another one of either fails. */
  readonly link: (external: string, internal: string) => Effect.Effect<void, StoreError | LinkTaken>
  /**
   * Updates what the id stands for, or creates it. Of many who ask for one id at once, one creates, and the others wait and update. Fails with `StoreError` and the problem `busy` when the wait is over, and with `LinkTaken`
   * when creating took longer than its lease and another was faster.
   */
  readonly upsert: <E, R, E2 = never, R2 = never>(
    external: string,
    upsert: Upsert<E, R, E2, R2>
  ) => Effect.Effect<Upserted, E | E2 | StoreError | LinkTaken, R | R2>
}

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** First wait for somebody else, and the longest. */
const poll = { firstMillis: 50, longestMillis: 1000 } as const

const waitable = (name: string, of: Duration.Input): number => {
  const millis = Duration.toMillis(of)
  if (millis > 0 && millis < Number.POSITIVE_INFINITY) return millis
  throw new RangeError(`IdMap.make: ${name} must be above 0 and finite, got ${millis} ms`)
}

/** The ids of a scope, over the stores at hand. Throws a `RangeError` for a time that is none, and for a scope that cannot be kept. @category constructors @since 0.1.0 */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<IdMap, never, LinkStore | LeaseStore> {
  const { scope } = options
  const leaseMillis = waitable("lease", options.lease ?? defaults.lease)
  const waitMillis = waitable("wait", options.wait ?? defaults.wait)
  const problem = keyProblem({ store: "link", operation: "make" }, "scope", scope)
  if (problem !== undefined) throw new RangeError(`IdMap.make: ${problem.detail}`)
  const links = yield* LinkStore
  const leases = yield* LeaseStore
  const find = (external: string) => links.internalOf({ scope, external })
  const busy = () => storeError({ store: "link", operation: "upsert" }, "busy", "somebody else is creating it")

  /** Their id, or the lease to create it: one that was asked for and not heard of would keep the others waiting until it ends. */
  const findOrLease = Effect.fnUntraced(function* (external: string, key: string, restore: Restore) {
    const deadline = (yield* CurrentDeadline) ?? Number.POSITIVE_INFINITY
    const until = Math.min((yield* Clock.currentTimeMillis) + waitMillis, deadline)
    for (let wait: number = poll.firstMillis; ; wait = Math.min(wait * 2, poll.longestMillis)) {
      const internal = yield* restore(find(external))
      if (internal !== undefined) return internal
      const lease = yield* leases.acquire(key, leaseMillis)
      if (lease !== undefined) return lease
      if ((yield* Clock.currentTimeMillis) + wait > until) return yield* busy()
      yield* restore(Effect.sleep(Duration.millis(wait)))
    }
  })

  const creating = Effect.fnUntraced(function* <E, R>(
    external: string,
    key: string,
    { create }: Pick<Upsert<E, R, unknown, unknown>, "create">
  ) {
    // Whoever had the lease before may have linked it since it was looked for.
    const found = yield* find(external)
    if (found !== undefined) return { internal: found, created: false }
    const internal = yield* withDeadline(create(key), Duration.millis(leaseMillis))
    yield* links.link({ scope, external, internal })
    return { internal, created: true }
  })

  /** A lease that cannot be given back ends by itself. */
  const release = (lease: Lease) => Effect.ignore(leases.release(lease))

  return {
    find,
    findExternal: (internal) => links.externalOf({ scope, internal }),
    link: (external, internal) => links.link({ scope, external, internal }),
    upsert: Effect.fnUntraced(function* <E, R, E2 = never, R2 = never>(external: string, upsert: Upsert<E, R, E2, R2>) {
      const key = `link-${Fingerprint.of({ method: "LINK", path: `${scope}\n${external}` })}`
      const upserted: Upserted = yield* Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(findOrLease(external, key, restore), (found) =>
          typeof found === "string"
            ? Effect.succeed({ internal: found, created: false })
            : Effect.ensuring(restore(creating(external, key, upsert)), release(found))
        )
      )
      if (!upserted.created && upsert.update !== undefined) yield* upsert.update(upserted.internal)
      return upserted
    })
  }
})
