/**
 * Says who of a group is there: a member tells now and then that it is, and learns how many are. Whoever says nothing for its time is gone.
 *
 * **When it is down** nobody learns anything: it fails *open*. Whoever divides something by the number of members goes on with the number that it knows.
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import type { Place, StoreError } from "./StoreError.ts"
import { keyProblem, make as storeError } from "./StoreError.ts"

/** @category models @since 0.1.0 */
export interface Presence {
  /** What its members have in common, 1 to 512 characters. */
  readonly group: string
  /** One of them, by a name that nobody else has, 1 to 512 characters. */
  readonly member: string
}

/** @category models @since 0.1.0 */
export interface Beat extends Presence {
  /** How long it counts as there without another beat: a whole number of milliseconds, from 1 to a day. */
  readonly ttlMillis: number
}

/** @category services @since 0.1.0 */
export class PresenceStore extends Context.Service<
  PresenceStore,
  {
    /** Says that a member is there, and gives how many are, this one included. */
    readonly beat: (beat: Beat) => Effect.Effect<number, StoreError>
    /** Says that it is there no longer. Nothing happens if it was not. */
    readonly leave: (presence: Presence) => Effect.Effect<void, StoreError>
  }
>()("@breakwater/core/PresenceStore") {
  /** In memory: among the fibers of one process. */
  static readonly layerMemory = (options?: MemoryOptions): Layer.Layer<PresenceStore> =>
    Layer.sync(PresenceStore, () => memory(options))
}

/** @category models @since 0.1.0 */
export interface EventualOptions {
  /** Time between an attempt that failed and the next, more than zero. Default `"2 seconds"`. */
  readonly every?: Duration.Input | undefined
}

/**
 * Another layer's store, built in the background and tried again until it is there; asked before that it is `unavailable`. For a client that cannot be built while its server is down, as `NodeRedis.layer`: a program
 * that starts meanwhile should start. Throws a `RangeError` for an option out of range. @category layers @since 0.1.0
 */
export const layerEventual = <E, R>(
  layer: Layer.Layer<PresenceStore, E, R>,
  options?: EventualOptions
): Layer.Layer<PresenceStore, never, R> => {
  const every = Duration.fromInputUnsafe(options?.every ?? defaults.every)
  if (!Duration.isGreaterThan(every, Duration.zero))
    throw new RangeError(`PresenceStore.layerEventual: every must be more than zero, got ${Duration.format(every)}`)
  const eventual = Effect.gen(function* () {
    const scope = yield* Effect.scope
    let store: PresenceStore["Service"] | undefined
    const build = Effect.gen(function* () {
      for (;;) {
        const attempt = yield* Scope.fork(scope)
        const exit = yield* Effect.exit(Layer.buildWithScope(Layer.fresh(layer), attempt))
        if (Exit.isSuccess(exit)) return void (store = Context.get(exit.value, PresenceStore))
        yield* Scope.close(attempt, exit)
        yield* Effect.sleep(every)
      }
    })
    yield* Effect.forkScoped(build, { startImmediately: true })
    const missing = (operation: "beat" | "leave") =>
      Effect.fail(storeError(place(operation), "unavailable", "it could not be opened yet"))
    return PresenceStore.of({
      beat: (beat) => Effect.suspend(() => store?.beat(beat) ?? missing("beat")),
      leave: (presence) => Effect.suspend(() => store?.leave(presence) ?? missing("leave"))
    })
  })
  return Layer.effect(PresenceStore, eventual)
}

/** @category models @since 0.1.0 */
export interface MemoryOptions {
  /** Members of all groups that are remembered; beyond it a new one is refused as `full`. Default 10,000. */
  readonly capacity?: number | undefined
}

/** The values used when an option is left out. @category constants @since 0.1.0 */
export const defaults = { capacity: 10_000, every: "2 seconds" } as const satisfies MemoryOptions & EventualOptions

/** The longest time for which a member counts without a beat: a day. @category constants @since 0.1.0 */
export const maxTtlMillis = 86_400_000

/** @category constructors @since 0.1.0 */
export const place = (operation: "beat" | "leave"): Place => ({ store: "presence", operation })

/** Why somebody cannot be there, or `undefined`. @category guards @since 0.1.0 */
export const problemOf = (at: Place, { group, member }: Presence, ttlMillis = 1): StoreError | undefined => {
  const problem = keyProblem(at, "group", group) ?? keyProblem(at, "member", member)
  if (problem !== undefined) return problem
  return Number.isSafeInteger(ttlMillis) && ttlMillis >= 1 && ttlMillis <= maxTtlMillis
    ? undefined
    : storeError(at, "invalid", `ttlMillis must be a whole number from 1 to ${maxTtlMillis}, got ${ttlMillis}`)
}

/** There is no room for one more. @category constructors @since 0.1.0 */
export const full = (): StoreError => storeError(place("beat"), "full", "no more members can be remembered")

class Groups {
  /** By group and member, until when it is there. */
  private readonly groups = new Map<string, Map<string, number>>()
  private readonly capacity: number
  private size = 0

  constructor(capacity: number) {
    this.capacity = capacity
  }

  /** How many are there, or `undefined` when there is no room for one more. */
  beat({ group, member, ttlMillis }: Beat, now: number): number | undefined {
    this.forget(group, now)
    const isNew = this.groups.get(group)?.has(member) !== true
    if (isNew && !this.makesRoom(now)) return undefined
    const members = this.groups.get(group) ?? new Map<string, number>()
    members.set(member, now + ttlMillis)
    this.groups.set(group, members)
    if (isNew) this.size++
    return members.size
  }

  private makesRoom(now: number): boolean {
    if (this.size >= this.capacity) for (const group of this.groups.keys()) this.forget(group, now)
    return this.size < this.capacity
  }

  /** Forgets the members of a group who have said nothing for their time. */
  private forget(group: string, now: number): void {
    for (const [member, until] of this.groups.get(group) ?? []) if (until <= now) this.leave({ group, member })
  }

  leave({ group, member }: Presence): void {
    const members = this.groups.get(group)
    if (members?.delete(member) !== true) return
    this.size--
    if (members.size === 0) this.groups.delete(group)
  }
}

/** A store in memory, by the clock of whoever asks. Throws a `RangeError` for a capacity below 1. @category constructors @since 0.1.0 */
export const memory = (options?: MemoryOptions): PresenceStore["Service"] => {
  const capacity = options?.capacity ?? defaults.capacity
  if (!(capacity >= 1)) throw new RangeError(`PresenceStore.memory: capacity must be at least 1, got ${capacity}`)
  const groups = new Groups(capacity)
  return PresenceStore.of({
    beat: (beat) =>
      Clock.clockWith((clock) => {
        const problem = problemOf(place("beat"), beat, beat.ttlMillis)
        if (problem !== undefined) return Effect.fail(problem)
        const members = groups.beat(beat, clock.currentTimeMillisUnsafe())
        return members === undefined ? Effect.fail(full()) : Effect.succeed(members)
      }),
    leave: (presence) =>
      Effect.suspend(() => {
        const problem = problemOf(place("leave"), presence)
        if (problem !== undefined) return Effect.fail(problem)
        groups.leave(presence)
        return Effect.void
      })
  })
}
