/**
 * Circuits that several processes share: what one finds open is told to the others, which open theirs without sending into the outage themselves. It runs beside the calls, once a second: no call asks a
 * store, and without a store each process finds an outage by itself, as it does without this. @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import type { News, Telling, Told } from "../store/CircuitStore.ts"
import { CircuitStore, limits, problemOf } from "../store/CircuitStore.ts"
import type { NamedCircuit } from "../store/Connections.ts"
import { Connections } from "../store/Connections.ts"
import type { StoreError } from "../store/StoreError.ts"
import { field } from "../vocabulary/Telemetry.ts"
import { SharedCircuit } from "./SharedCircuit.ts"

/** @category models @since 0.1.0 */
export interface Options {
  /** Time between two exchanges with the store, from 100 ms to a minute: about as long as others go on sending into an outage that one has found. Default `"1 second"`. */
  readonly every?: Duration.Input | undefined
  /**
   * Which circuits are shared. Those of a `connection` are told by its name, which may be a tenant's, to everybody who can read the store. Default `["origin"]`. What `Call.connect` opens has no origin.
   */
  readonly levels?: ReadonlyArray<NamedCircuit["level"]> | undefined
  /**
   * How many other processes must have found a circuit open before it is opened here, from 1 to 100. With 2, a process whose own network is broken opens nobody's circuit, and an outage costs the failures of two
   * processes. Default 1.
   */
  readonly members?: number | undefined
  /** Name of this process, such as that of its pod: the others' log and `Health` show it. 1 to 64 characters. Default: drawn at random. */
  readonly member?: string | undefined
}

/** The values used when an option is left out. @category constants @since 0.1.0 */
export const defaults = { every: Duration.seconds(1), levels: ["origin"], members: 1 } as const satisfies Options

interface Resolved {
  readonly everyMillis: number
  readonly levels: ReadonlyArray<NamedCircuit["level"]>
  readonly members: number
}

const resolve = (options: Options): Resolved => {
  const everyMillis = Duration.toMillis(Duration.fromInputUnsafe(options.every ?? defaults.every))
  const { levels = defaults.levels, member, members = defaults.members } = options
  const broken = (rule: string) => new RangeError(`SharedCircuits.layer: ${rule}`)
  if (!(everyMillis >= 100 && everyMillis <= 60_000))
    throw broken(`every must be from 100 ms to 1 minute, got ${everyMillis} ms`)
  if (levels.length === 0) throw broken("levels must name at least one")
  if (!(Number.isSafeInteger(members) && members >= 1 && members <= 100))
    throw broken(`members must be a whole number from 1 to 100, got ${members}`)
  if (member !== undefined && (member.length > 64 || problemOf("member", member) !== undefined))
    throw broken("member must have 1 to 64 characters, none of them a control character")
  return { everyMillis, levels, members }
}

/** The same in every process that declares the same: a process knows no other's transports, so that they are not told apart. */
const nameOf = ({ connection, environment, level, origin, provider }: NamedCircuit): string =>
  [provider, environment ?? "-", level === "origin" ? (origin ?? "-") : `connection ${connection}`].join("/")

/** The circuits of this process, and what it knows of each. Those that are gone are forgotten. */
class Fleet {
  private shared = new Map<NamedCircuit["circuit"], SharedCircuit>()
  private readonly options: Resolved
  private readonly member: string

  constructor(options: Resolved, member: string) {
    this.options = options
    this.member = member
  }

  /** Looks at the circuits that are open now. A name that no store could keep is not shared. */
  look(named: ReadonlyArray<NamedCircuit>): void {
    const before = this.shared
    this.shared = new Map()
    for (const each of named) {
      const name = nameOf(each)
      if (!this.options.levels.includes(each.level) || problemOf("circuit", name) !== undefined) continue
      const shared = this.shared.get(each.circuit) ?? before.get(each.circuit) ?? new SharedCircuit(each.circuit, name)
      this.shared.set(each.circuit, shared)
    }
  }

  /** What there is to tell, and of which circuits. Of more than fits into one exchange, the rest is told in the next one. */
  news(now: number): { readonly news: News; readonly of: ReadonlyArray<SharedCircuit> } {
    const opened: Array<Telling> = []
    const closed: Array<string> = []
    const of: Array<SharedCircuit> = []
    for (const shared of this.shared.values()) {
      const change = shared.look(now)
      if (change === undefined || (change === "closed" ? closed : opened).length >= limits.news) continue
      of.push(shared)
      if (change === "closed") closed.push(shared.name)
      else opened.push({ ...change, circuit: shared.name, member: this.member })
    }
    return { news: { opened, closed }, of }
  }

  /** Hears what the others tell. */
  hear(told: ReadonlyArray<Told>, now: number, random: () => number): void {
    const { members } = this.options
    const others = new Map<string, Array<Told>>()
    for (const each of told)
      if (each.member !== this.member) others.set(each.circuit, [...(others.get(each.circuit) ?? []), each])
    for (const shared of this.shared.values()) {
      const ofName = others.get(shared.name)
      if (ofName !== undefined) shared.hear(ofName, { members, now, random })
    }
  }
}

/** Says that the store is down, and once more when it is not. */
class Sight {
  private isDown = false

  down(error: StoreError): Effect.Effect<void> {
    if (this.isDown) return Effect.void
    this.isDown = true
    return Effect.annotateLogs(
      Effect.logWarning(`circuits are not shared, each process finds an outage by itself: ${error.message}`),
      { [field.event]: "circuit store down", [field.errorMessage]: error.message }
    )
  }

  up(): Effect.Effect<void> {
    if (!this.isDown) return Effect.void
    this.isDown = false
    return Effect.annotateLogs(Effect.logInfo("circuits are shared again"), { [field.event]: "circuit store up" })
  }
}

const memberOf = (options: Options): Effect.Effect<string> =>
  options.member === undefined
    ? Effect.map(Random.next, (drawn) => Math.floor(drawn * 2 ** 40).toString(36))
    : Effect.succeed(options.member)

const sharing = Effect.fnUntraced(function* (options: Options, resolved: Resolved) {
  const store = yield* CircuitStore
  const open = yield* Connections
  const random = yield* Random.Random
  const fleet = new Fleet(resolved, yield* memberOf(options))
  const sight = new Sight()
  const round = Effect.gen(function* () {
    fleet.look([...open].flatMap((observed) => observed.circuits()))
    const { news, of } = fleet.news(yield* Clock.currentTimeMillis)
    const told = yield* store.exchange(news)
    for (const shared of of) shared.isTold()
    // Drawn once for both circuits of a call, which then act as one.
    let drawn: number | undefined
    fleet.hear(told, yield* Clock.currentTimeMillis, () => (drawn ??= random.nextDoubleUnsafe()))
    yield* sight.up()
  }).pipe(Effect.catch((error) => sight.down(error)))
  return yield* Effect.forever(Effect.andThen(round, Effect.sleep(resolved.everyMillis)))
})

/**
 * Tells what this process finds of its circuits, and opens those that others have found open, until its scope closes.
 *
 * **Details** A process tells only what it found itself, so that nothing goes round. What it hears opens circuits that are closed or ramping, for as long as the finder's is still open and up to a fifth longer,
 * at most for `maxOpenFor`; forced and disabled ones stay as they are. When its own probes close a circuit it takes back what was told of it, and hears no more of the incidents that they have disproved. Others still
 * probe for themselves, at their own time: a success here says nothing about their network.
 *
 * **Gotchas** Throws a `RangeError` for an option out of range.
 *
 * **Example** `SharedCircuits.layer({ member: "web-7" }).pipe(Layer.provide(Stores.layerRedis()))`
 * @category layers @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<never, never, CircuitStore> => {
  const resolved = resolve(options)
  return Layer.effectDiscard(Effect.forkScoped(sharing(options, resolved), { startImmediately: true }))
}
