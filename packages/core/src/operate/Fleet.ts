/**
 * One rate budget for several processes: each keeps to its share of what a provider lets through, and no call asks anybody for a token (ADR 0013). A process says every so often
 * that it is there, learns how many are, and divides the declared limits of its open connections by that. @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import type { LimitControl, Observed } from "../store/Connections.ts"
import * as Connections from "../store/Connections.ts"
import { maxTtlMillis, PresenceStore } from "../store/PresenceStore.ts"
import type { StoreError } from "../store/StoreError.ts"
import { field } from "../vocabulary/Telemetry.ts"

/** A connection with declared limits, as `account` is asked about it. @category models @since 0.1.0 */
export type Limited = Omit<LimitControl, "divide">

/** @category models @since 0.1.0 */
export interface Options {
  /** Time between two beats, from 100 ms. Each is a request to the store for each account. Default `"2 seconds"`. */
  readonly every?: Duration.Input | undefined
  /** A process of which nothing was heard for so long is gone; from twice `every` to a day. Default three times `every`. */
  readonly ttl?: Duration.Input | undefined
  /** Processes that share the limits, as long as the store has not answered for the first time; from 1. Default 1: the whole limit. */
  readonly assumed?: number | undefined
  /**
   * The account at the provider whose limits a connection uses. Connections of one account divide them, in all processes and within each. Default: the name of the connection, or `*` for a plain client.
   */
  readonly account?: ((connection: Limited) => string) | undefined
}

/** The values used when an option is left out; `beats` is how many of them may be missed, and one. @category constants @since 0.1.0 */
export const defaults = { every: Duration.seconds(2), beats: 3, assumed: 1 } as const

/** Requests to the store at once. */
const concurrency = 16

interface Settings {
  readonly everyMillis: number
  readonly ttlMillis: number
  readonly assumed: number
  readonly account: (connection: Limited) => string
  readonly store: PresenceStore["Service"]
  /** This process. */
  readonly member: string
}

/** Those who share the limits of one account, as far as this process knows. */
interface Group {
  readonly name: string
  /** `undefined` until the store has answered. */
  members: number | undefined
  /** The store could not be asked: others may have been as little able to say that they are there. */
  isDoubtful: boolean
  limits: ReadonlyArray<LimitControl>
}

type Outcome = { readonly asked: number; readonly error: StoreError | undefined }

/** This process, as one of those who share. */
class Membership {
  private readonly groups = new Map<string, Group>()
  private readonly settings: Settings
  private readonly open: ReadonlySet<Observed>

  constructor(settings: Settings, open: ReadonlySet<Observed>) {
    this.settings = settings
    this.open = open
  }

  private nameOf(limits: LimitControl): string {
    const { connection, environment, provider } = limits
    return `${provider}/${environment ?? "-"}/${this.settings.account({ provider, environment, connection })}`
  }

  /** Looks at what is open now, and divides it by what is known. Gives the groups of which nothing is open any more, which are forgotten. */
  look(now: number): ReadonlyArray<Group> {
    const byName = new Map<string, Array<LimitControl>>()
    for (const { limits } of this.open) {
      if (limits === undefined) continue
      const name = this.nameOf(limits)
      const known = byName.get(name)
      if (known === undefined) byName.set(name, [limits])
      else known.push(limits)
    }
    const gone = [...this.groups.values()].filter(({ name }) => !byName.has(name))
    for (const { name } of gone) this.groups.delete(name)
    for (const [name, limits] of byName) {
      const group = this.groups.get(name) ?? { name, members: undefined, isDoubtful: false, limits }
      this.groups.set(name, group)
      group.limits = limits
      this.divide(group, now)
    }
    return gone
  }

  private divide({ limits, members = this.settings.assumed }: Group, now: number): void {
    const share = 1 / (members * limits.length)
    for (const each of limits) each.divide(share, now)
  }

  /** Says that it is there: to all groups, or to those of which it has never heard. What the store cannot do for one it may do for the next, unless it cannot be reached. */
  beat(which: "all" | "unknown"): Effect.Effect<Outcome> {
    const asked = [...this.groups.values()].filter(({ members }) => which === "all" || members === undefined)
    let error: StoreError | undefined
    const beatOf = (group: Group) =>
      Effect.catch(this.beatOf(group, which), (failure) => {
        error ??= failure
        group.isDoubtful = true
        return failure.isRetryable ? Effect.fail(failure) : Effect.void
      })
    return Effect.forEach(asked, beatOf, { concurrency, discard: true }).pipe(
      Effect.catch(() =>
        Effect.sync(() => {
          for (const group of asked) group.isDoubtful = true
        })
      ),
      Effect.map(() => ({ asked: asked.length, error }))
    )
  }

  private beatOf(group: Group, which: "all" | "unknown"): Effect.Effect<void, StoreError> {
    const { assumed, member, store, ttlMillis } = this.settings
    return Effect.flatMap(store.beat({ group: group.name, member, ttlMillis }), (members) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        // A store that was down may have forgotten those who could not reach it: until all had the time to, what it says may make a share smaller, and not larger.
        group.members = group.isDoubtful ? Math.max(members, group.members ?? assumed) : members
        if (which === "all") group.isDoubtful = false
        this.divide(group, now)
      })
    )
  }

  /** Gives the shares of groups back. What was divided stays so: calls that are still under way are no reason for a larger share. A store that cannot be reached is left to `ttl`. */
  leave(groups: Iterable<Group> = this.groups.values()): Effect.Effect<void> {
    const { member, store } = this.settings
    const leaving = Effect.forEach([...groups], ({ name: group }) => store.leave({ group, member }), {
      concurrency,
      discard: true
    })
    return Effect.ignore(leaving)
  }
}

const line = (event: string, error?: StoreError) => ({
  [field.event]: event,
  ...(error && { [field.errorMessage]: error.message })
})

/** Says once that the store is down, and once that it is back: when every beat of a `ttl` was answered, so that one that comes and goes is not told of each time. */
class Watch {
  private isDown = false
  private answered = 0
  private readonly enough: number
  private readonly assumed: number

  constructor({ assumed, everyMillis, ttlMillis }: Settings) {
    this.enough = Math.ceil(ttlMillis / everyMillis)
    this.assumed = assumed
  }

  tell({ asked, error }: Outcome): Effect.Effect<void> {
    if (error === undefined)
      return asked > 0 && this.isDown && ++this.answered >= this.enough ? this.back() : Effect.void
    this.answered = 0
    if (this.isDown) return Effect.void
    this.isDown = true
    const meanwhile = `each connection keeps the share that it has, one that never had any the limit divided by ${this.assumed}`
    return Effect.annotateLogs(
      Effect.logWarning(`fleet: ${error.message}; ${meanwhile}`),
      line("fleet unavailable", error)
    )
  }

  private back(): Effect.Effect<void> {
    this.isDown = false
    return Effect.annotateLogs(Effect.logInfo("fleet: the presence store answers again"), line("fleet available"))
  }
}

const checked = (options?: Options): Pick<Settings, "everyMillis" | "ttlMillis" | "assumed"> => {
  const everyMillis = Duration.toMillis(Duration.fromInputUnsafe(options?.every ?? defaults.every))
  const ttl = options?.ttl === undefined ? undefined : Duration.fromInputUnsafe(options.ttl)
  const ttlMillis = Math.ceil(ttl === undefined ? defaults.beats * everyMillis : Duration.toMillis(ttl))
  const assumed = options?.assumed ?? defaults.assumed
  if (!(everyMillis >= 100)) throw new RangeError(`Fleet.layer: every must be at least 100 ms, got ${everyMillis} ms`)
  if (!(ttlMillis >= 2 * everyMillis && ttlMillis <= maxTtlMillis))
    throw new RangeError(`Fleet.layer: ttl must be from twice every to a day, got ${ttlMillis} ms`)
  if (!(assumed >= 1 && Number.isFinite(assumed)))
    throw new RangeError(`Fleet.layer: assumed must be at least 1, got ${assumed}`)
  return { everyMillis, ttlMillis, assumed }
}

/**
 * Divides the declared limits of every connection that is open in this process by the processes that have the same one open, until its scope closes; then its share is free at once. Put it beside the
 * layers of the providers, once in each process. Throws a `RangeError` for an option out of range.
 * **Details** What is opened is divided in the same instant, by `assumed`, and by what the store says as soon as it answers. While the store is down each process keeps the share that it has: never more. A share grows when others leave,
 * and `ttl` after they died.
 * **Gotchas** Between the first beat of one more process and the next one of the others, at most `every`, the sum of shares is above one. An operation that costs more than the burst of a share waits longer than
 * for the whole limit.
 * **Example** `Layer.merge(StripeLive, Layer.provide(Fleet.layer(), Stores.layerRedis()))` @category layers @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<never, never, PresenceStore> => {
  const bounds = checked(options)
  const account = options?.account ?? (({ connection }: Limited) => connection ?? "*")
  const sharing = Effect.gen(function* () {
    const store = yield* PresenceStore
    const member = Math.floor((yield* Random.next) * 2 ** 52).toString(36)
    const settings = { ...bounds, account, store, member }
    const membership = new Membership(settings, yield* Connections.Connections)
    const opened = Latch.makeUnsafe(true)
    yield* Effect.addFinalizer(() => membership.leave())
    yield* Connections.onOpen((now) => {
      membership.look(now)
      opened.openUnsafe()
    })
    yield* Effect.forkScoped(beating(membership, settings, opened), { startImmediately: true })
  })
  return Layer.effectDiscard(sharing)
}

/** A beat every so often, and one for what was opened since. */
const beating = Effect.fnUntraced(function* (membership: Membership, settings: Settings, opened: Latch.Latch) {
  const watch = new Watch(settings)
  let next = yield* Clock.currentTimeMillis
  for (;;) {
    opened.closeUnsafe()
    const now = yield* Clock.currentTimeMillis
    const isDue = now >= next
    if (isDue) next = now + settings.everyMillis
    yield* membership.leave(membership.look(now))
    const outcome = yield* membership.beat(isDue ? "all" : "unknown")
    // Beats for what was opened say only that the store is down, not that it is back.
    if (isDue || outcome.error !== undefined) yield* watch.tell(outcome)
    const left = next - (yield* Clock.currentTimeMillis)
    // In a turn of its own: whoever opens something does not wait for this.
    if (left > 0) yield* Effect.timeoutOption(Effect.andThen(opened.await, Effect.yieldNow), left)
  }
})
