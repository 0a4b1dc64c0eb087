/**
 * The connections that are open in this process, for whoever asks how they are. A layer adds its own when it is built and takes it out when it is
 * closed. @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Usage } from "./RateBucket.ts"

/** How a connection is, as JSON. @category models @since 0.1.0 */
export interface ConnectionHealth {
  readonly provider: string
  readonly connection: string
  readonly environment: string | null
  readonly origin: string | null
  readonly circuit: {
    readonly state: "closed" | "open" | "half-open"
    readonly openings: number
    readonly retryAfterMillis: number
  }
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
  }
  readonly retryBudget: { readonly tokens: number; readonly capacity: number }
  readonly lastFailure: {
    readonly at: string
    readonly operation: string
    readonly code: string
    readonly message: string
  } | null
}

/** @category models @since 0.1.0 */
export interface Observed {
  readonly health: (now: number) => ReadonlyArray<ConnectionHealth>
}

/** The connections of this process. @category references @since 0.1.0 */
export const Connections = Context.Reference<Set<Observed>>("@breakwater/core/Connections", {
  defaultValue: () => new Set()
})

/** Keeps a connection in the register until the scope closes. @category combinators @since 0.1.0 */
export const register = (observed: Observed): Effect.Effect<void, never, Scope.Scope> =>
  Effect.flatMap(Connections, (connections) =>
    Effect.acquireRelease(
      Effect.sync(() => void connections.add(observed)),
      () => Effect.sync(() => void connections.delete(observed))
    )
  )
