/**
 * What an operator has stopped in this process: providers, connections or operations that are not called until somebody says so. A stop stands in a register and not with a connection, so that one that is opened
 * later finds it. @since 0.1.0
 */
import * as Context from "effect/Context"

/** What is stopped: everything that is given must fit. @category models @since 0.1.0 */
export interface StopTarget {
  readonly provider: string
  readonly connection?: string | undefined
  /** `group.endpoint`, or `group.*` for all of a group; of a plain client the method, such as `POST`. */
  readonly operation?: string | undefined
}

/** Who may lift a stop. @category models @since 0.1.0 */
export type Source = "operator" | object

/** @category models @since 0.1.0 */
export interface Stop extends StopTarget {
  /** Only what may change something there: operations that are not safe. */
  readonly writes: boolean
  /** Who has stopped it, in their own words. */
  readonly by: string
  /** Since when, in milliseconds since 1970. */
  readonly at: number
  /** `"operator"`, or the layer whose `Config` says so: only that lets it go on. */
  readonly from: Source
}

/** A call, as far as a stop asks. @category models @since 0.1.0 */
export interface Stoppable {
  readonly provider: string
  readonly connection: string
  /** `group.endpoint`. */
  readonly path: string
  readonly isSafe: boolean
}

/** Whether `group.endpoint`, `group.*` or `*` means an operation. @category guards @since 0.1.0 */
export const covers = (pattern: string, path: string): boolean =>
  pattern === "*" || (pattern.endsWith(".*") ? path.startsWith(pattern.slice(0, -1)) : pattern === path)

const isOf = (stop: StopTarget, provider: string, connection: string): boolean =>
  stop.provider === provider && (stop.connection === undefined || stop.connection === connection)

const isSame = (one: Stop, other: Stop): boolean =>
  one.provider === other.provider &&
  one.connection === other.connection &&
  one.operation === other.operation &&
  one.writes === other.writes &&
  one.from === other.from

/** Whether a stop lies within a target. */
const isWithin = (stop: Stop, target: StopTarget): boolean =>
  stop.provider === target.provider &&
  (target.connection === undefined || stop.connection === target.connection) &&
  (target.operation === undefined || stop.operation === target.operation)

/** @category models @since 0.1.0 */
export class StandingStops {
  /** `undefined` while nothing is stopped, which is all that a call asks then. */
  standing: ReadonlyArray<Stop> | undefined = undefined

  /** Stops it, in place of a stop of the same. */
  stop(stop: Stop): void {
    this.keep([...this.without((each) => isSame(each, stop)), stop])
  }

  /** Lifts the stops that lie within the target, of that source. Returns them. */
  resume(target: StopTarget, from: Source): ReadonlyArray<Stop> {
    const isMeant = (stop: Stop) => stop.from === from && isWithin(stop, target)
    const lifted = (this.standing ?? []).filter(isMeant)
    this.keep(this.without(isMeant))
    return lifted
  }

  private without(isMeant: (stop: Stop) => boolean): ReadonlyArray<Stop> {
    return (this.standing ?? []).filter((stop) => !isMeant(stop))
  }

  private keep(stops: ReadonlyArray<Stop>): void {
    this.standing = stops.length === 0 ? undefined : stops
  }

  /** The stop that a call falls under. */
  of({ connection, isSafe, path, provider }: Stoppable): Stop | undefined {
    return this.standing?.find(
      (stop) =>
        isOf(stop, provider, connection) &&
        !(stop.writes && isSafe) &&
        (stop.operation === undefined || covers(stop.operation, path))
    )
  }

  /** The stops that concern a connection. */
  on(provider: string, connection: string): ReadonlyArray<Stop> {
    return (this.standing ?? []).filter((stop) => isOf(stop, provider, connection))
  }
}

/** The stops of this process. @category references @since 0.1.0 */
export const Stops = Context.Reference<StandingStops>("@breakwater/core/Stops", {
  defaultValue: () => new StandingStops()
})
