/**
 * How the providers are, as metrics: circuits by state, attempts on the wire, calls that wait, limits and retry budgets (OBS-3). Read off the open connections every so often, so that a
 * call pays nothing for them. Labels name the provider, never a connection: there are as many series as providers and limits, however many tenants there are. @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Metric from "effect/Metric"
import type { CircuitHealth, CircuitState, ConnectionHealth } from "../store/Connections.ts"
import { Connections } from "../store/Connections.ts"
import * as Telemetry from "../vocabulary/Telemetry.ts"

/** @category models @since 0.1.0 */
export interface Options {
  /** Time between two readings, more than zero: no longer than the exporter's own interval. Default `"10 seconds"`. */
  readonly every?: Duration.Input | undefined
}

/** The values used when an option is left out. @category constants @since 0.1.0 */
export const defaults = { every: Duration.seconds(10) } as const

const { attribute } = Telemetry

const states: ReadonlyArray<CircuitState> = ["closed", "open", "half-open", "ramping", "forced-open", "disabled"]

type Series = Metric.Metric<number, unknown>
type Labels = Readonly<Record<string, string>>
type Put = (metric: Series, labels: Labels, value: number) => void

const circuitsOf = (put: Put, provider: Labels, level: string, circuits: ReadonlyArray<CircuitHealth>): void => {
  for (const state of states) {
    const labels = { ...provider, [attribute.circuitLevel]: level, [attribute.circuitState]: state }
    put(Telemetry.circuits, labels, circuits.filter((circuit) => circuit.state === state).length)
  }
}

const sum = (values: ReadonlyArray<number>): number => values.reduce((total, value) => total + value, 0)

/** The highest share of each limit that is used, by its name; a limit whose size nobody told has none. */
const sharesOf = (connections: ReadonlyArray<ConnectionHealth>): ReadonlyMap<string, number> => {
  const shares = new Map<string, number>()
  for (const { limit, limitName, used } of connections.flatMap(({ rateBudget }) => rateBudget.usage))
    if (limit !== null && limit > 0) shares.set(limitName, Math.max(shares.get(limitName) ?? 0, used / limit))
  return shares
}

const ofProvider = (put: Put, name: string, connections: ReadonlyArray<ConnectionHealth>): void => {
  const provider = { [attribute.provider]: name }
  // Connections to one origin share its circuit, which is counted once.
  const origins = new Map(connections.map(({ origin, originCircuit }) => [origin, originCircuit]))
  const ofOrigins = [...origins.values()].filter((circuit) => circuit !== null)
  circuitsOf(put, provider, "origin", ofOrigins)
  circuitsOf(
    put,
    provider,
    "connection",
    connections.map(({ circuit }) => circuit)
  )
  put(Telemetry.inFlight, provider, sum(connections.map(({ bulkhead }) => bulkhead.inFlight)))
  for (const [what, ofOne] of [
    ["slot", ({ bulkhead }: ConnectionHealth) => bulkhead.waiting],
    ["rate", ({ rateBudget }: ConnectionHealth) => rateBudget.waiting]
  ] as const)
    put(Telemetry.waiting, { ...provider, [attribute.waitFor]: what }, sum(connections.map(ofOne)))
  for (const [limit, share] of sharesOf(connections))
    put(Telemetry.rateUsed, { ...provider, [attribute.rateLimit]: limit }, share)
  const divided = connections.map(({ rateBudget }) => rateBudget.share).filter((share) => share !== null)
  if (divided.length > 0) put(Telemetry.rateShare, provider, Math.min(...divided))
  put(Telemetry.retryTokens, provider, Math.min(...connections.map(({ retryBudget }) => retryBudget.tokens)))
}

/** Series that were set, each made once; what is no longer there is set to 0, since a gauge keeps its last value. */
class Board {
  private readonly known = new Map<string, Series>()

  set(connections: ReadonlyArray<ConnectionHealth>, context: Context.Context<never>): void {
    const gone = new Set(this.known.keys())
    const put: Put = (metric, labels, value) => {
      const key = [metric.id, ...Object.values(labels)].join("\n")
      const series = this.known.get(key) ?? Telemetry.bind(metric, labels)
      this.known.set(key, series)
      gone.delete(key)
      series.updateUnsafe(value, context)
    }
    for (const name of new Set(connections.map(({ provider }) => provider)))
      ofProvider(
        put,
        name,
        connections.filter(({ provider }) => provider === name)
      )
    for (const key of gone) {
      this.known.get(key)?.updateUnsafe(0, context)
      this.known.delete(key)
    }
  }
}

/**
 * Reads the gauges now and every so often, until its scope closes. Throws a `RangeError` for a time that is not more than zero.
 * **Example** `Layer.merge(StripeLive, Gauges.layer())` @category layers @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<never> => {
  const every = Duration.fromInputUnsafe(options?.every ?? defaults.every)
  if (!Duration.isGreaterThan(every, Duration.zero))
    throw new RangeError(`Gauges.layer: every must be more than zero, got ${Duration.format(every)}`)
  const board = new Board()
  const read = Effect.gen(function* () {
    const open = yield* Connections
    const now = yield* Clock.currentTimeMillis
    const context = yield* Effect.context<never>()
    board.set(
      [...open].flatMap((observed) => observed.health(now)),
      context
    )
  })
  return Layer.effectDiscard(
    Effect.forkScoped(Effect.forever(Effect.andThen(read, Effect.sleep(every))), { startImmediately: true })
  )
}
