/**
 * The connections that are open in this process, for whoever asks how they are. A layer adds its own when it is built and takes it out when it is
 * closed. @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { CallPolicy, CallPolicyError, Shadowable } from "../definition/CallPolicy.ts"
import type { FieldChange } from "../definition/PolicyFields.ts"
import type { Configured } from "../definition/PolicyVariables.ts"
import type { Usage } from "./RateBucket.ts"
import type { StoreError } from "./StoreError.ts"
import type { Resolvable } from "./Resolvable.ts"

/** `forced-open` and `disabled` are what an operator sets; the others it comes to by itself. @category models @since 0.1.0 */
export type CircuitState = "closed" | "open" | "half-open" | "ramping" | "forced-open" | "disabled"

/** How a circuit is. @category models @since 0.1.0 */
export interface CircuitSnapshot {
  readonly state: CircuitState
  /** How often it has opened by itself. */
  readonly openings: number
  readonly retryAfterMillis: number
  readonly reason: string | undefined
  readonly forcedBy: string | undefined
  readonly calls: number
  readonly failures: number
  readonly slow: number
}

/** How a circuit is, as JSON. @category models @since 0.1.0 */
export interface CircuitHealth {
  readonly state: CircuitState
  /** How often it has opened by itself. */
  readonly openings: number
  /** Milliseconds until a call may be let through, as far as is known. */
  readonly retryAfterMillis: number
  /** When a probe may go, of one that is open; `null` otherwise. */
  readonly probesAt: string | null
  /** Why it opened, until it is closed again. */
  readonly reason: string | null
  /** Who set it by hand, in their own words. */
  readonly forcedBy: string | null
  /** Calls in the window now, and the share of them that failed; `null` for none. */
  readonly calls: number
  readonly failureRate: number | null
  /** Share of the calls that were slow; `null` for none. */
  readonly slowRate: number | null
}

/** What an operator may do to a circuit by hand, and what another process may tell it. @category models @since 0.1.0 */
export interface CircuitControl {
  readonly state: CircuitState
  readonly snapshot: (now: number) => CircuitSnapshot
  /** Another process has found it open, for so many milliseconds more. */
  readonly trip: (now: number, millis: number, reason: string, random: () => number) => void
  readonly forceOpen: (by: string) => void
  readonly disable: (by: string) => void
  readonly close: () => void
  readonly automatic: () => void
}

/** A circuit, and whose it is. @category models @since 0.1.0 */
export interface NamedCircuit {
  readonly level: "origin" | "connection"
  readonly provider: string
  readonly connection: string
  readonly environment: string | undefined
  readonly origin: string | undefined
  readonly circuit: CircuitControl
}

/** Where a new policy comes from; what is left out stays as it is. @category models @since 0.1.0 */
export interface PolicySources {
  readonly configured?: Configured | undefined
  /** Over everything else. */
  readonly operator?: CallPolicy | undefined
  /** All connections of the provider are meant, and so is the circuit of their origin. */
  readonly wholeProvider: boolean
}

/** A policy that may be taken on, and what that would change. @category models @since 0.1.0 */
export interface PreparedPolicy {
  readonly changes: ReadonlyArray<FieldChange>
  /** Takes it on, for the calls that begin from now on. */
  readonly take: (now: number) => void
}

/** The policy of what a layer has opened, for whoever changes it. @category models @since 0.1.0 */
export interface PolicyControl {
  readonly provider: string
  /** `undefined` for a plain client, whose connections share a policy. */
  readonly connection: string | undefined
  /** Asks `Config` again, where the layer came from it. */
  readonly reread: Effect.Effect<Configured, Config.ConfigError> | undefined
  readonly prepare: (sources: PolicySources) => Result.Result<PreparedPolicy, CallPolicyError>
}

/** How a connection is, as JSON. @category models @since 0.1.0 */
export interface ConnectionHealth {
  readonly provider: string
  readonly connection: string
  readonly environment: string | null
  readonly origin: string | null
  /** Policies of the layer that only watch. */
  readonly shadow: ReadonlyArray<Shadowable>
  /** What an operator has stopped of it, or `Config` has. */
  readonly stopped: ReadonlyArray<{
    /** `null` for all operations. */
    readonly operation: string | null
    readonly writes: boolean
    readonly by: string
    readonly since: string
  }>
  /** The circuit of this connection. */
  readonly circuit: CircuitHealth
  /** The circuit of its origin, which it shares with every connection to it over the same transport; `null` where no origin is known. */
  readonly originCircuit: CircuitHealth | null
  readonly bulkhead: { readonly inFlight: number; readonly waiting: number; readonly concurrency: number }
  readonly rateBudget: {
    /** The least that is left of any window that the provider told of; `null` if it told of none. */
    readonly remaining: number | null
    readonly waitMillis: number
    readonly waiting: number
    /** How much of each limit is used in its window (RATE-4). */
    readonly usage: ReadonlyArray<Usage>
    /** Keys of limits that are counted by partition, as far as they are not at rest. */
    readonly partitions: number
    /** The share of each declared limit that this process keeps to; `null` while nothing divides them among several. */
    readonly share: number | null
  }
  readonly retryBudget: { readonly tokens: number; readonly capacity: number }
  readonly lastFailure: {
    readonly at: string
    readonly operation: string
    readonly code: string
    readonly message: string
  } | null
}

/** The answers that a connection keeps, for whoever knows that some are void. @category models @since 0.1.0 */
export interface AnswerControl {
  readonly provider: string
  readonly connection: string
  /** Forgets all with one of the tags, and all of these operations (`group.endpoint`), and says how many. */
  readonly invalidate: (
    fiber: Fiber.Fiber<unknown, unknown>,
    tags: ReadonlyArray<string>,
    operations: ReadonlyArray<string>
  ) => Effect.Effect<number, StoreError>
}

/** The declared limits of what a layer has opened, for whoever divides them among several processes. @category models @since 0.1.0 */
export interface LimitControl {
  readonly provider: string
  readonly environment: string | undefined
  /** `undefined` for a plain client, whose connections, one for each origin, are divided alike. */
  readonly connection: string | undefined
  /** Keeps to this share of each limit from now on, above 0 to 1. What was spent stays spent. */
  readonly divide: (share: number, now: number) => void
}

/** @category models @since 0.1.0 */
export interface Observed {
  readonly health: (now: number) => ReadonlyArray<ConnectionHealth>
  /** Its circuits, for whoever sets them by hand. */
  readonly circuits: () => ReadonlyArray<NamedCircuit>
  /** Its policy, for whoever changes it while it runs. */
  readonly policy: PolicyControl
  /** The answers that it keeps, where it does. */
  readonly answers?: AnswerControl | undefined
  /** Its limits, where any are declared. */
  readonly limits?: LimitControl | undefined
  /** Its writes whose outcome may be unknown, for whoever finds it out. Default: none. */
  readonly resolvables?: ReadonlyArray<Resolvable> | undefined
}

/** The connections of this process. @category references @since 0.1.0 */
export const Connections = Context.Reference<Set<Observed>>("@breakwater/core/Connections", {
  defaultValue: () => new Set()
})

type Listener = (now: number) => void

/** Who hears of what is opened, by the register that it is put into. */
const listeners = new WeakMap<Set<Observed>, Set<Listener>>()

/** Keeps a connection in the register until the scope closes. @category combinators @since 0.1.0 */
export const register = (observed: Observed): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const connections = yield* Connections
    const now = yield* Clock.currentTimeMillis
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        connections.add(observed)
        for (const listener of listeners.get(connections) ?? []) listener(now)
      }),
      () => Effect.sync(() => void connections.delete(observed))
    )
  })

/** Runs `listener` in the instant in which something is opened, before its first call, until the scope closes. @category combinators @since 0.1.0 */
export const onOpen = (listener: Listener): Effect.Effect<void, never, Scope.Scope> =>
  Effect.flatMap(Connections, (connections) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const all = listeners.get(connections) ?? new Set()
        listeners.set(connections, all.add(listener))
      }),
      () => Effect.sync(() => void listeners.get(connections)?.delete(listener))
    )
  )
