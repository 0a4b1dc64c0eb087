/**
 * How the providers are, as JSON for a `/health` route (OBS-5): circuits, budgets and the last failure of every open connection. @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { CircuitHealth, ConnectionHealth } from "../store/Connections.ts"
import { Connections } from "../store/Connections.ts"

/** @category models @since 0.1.0 */
export interface HealthReport {
  /** `ok`, or `degraded` while a circuit refuses calls, one that is neither closed nor disabled nor in shadow mode, or while something is stopped. */
  readonly status: "ok" | "degraded"
  readonly connections: ReadonlyArray<ConnectionHealth>
}

const letsThrough = (circuit: CircuitHealth | null): boolean =>
  circuit === null || circuit.state === "closed" || circuit.state === "disabled"

/** The state of now. Holds no secret and nothing of an answer but its status. @category inspection @since 0.1.0 */
export const snapshot: Effect.Effect<HealthReport> = Effect.gen(function* () {
  const open = yield* Connections
  const now = yield* Clock.currentTimeMillis
  const connections = [...open].flatMap((observed) => observed.health(now))
  const isWell = connections.every(
    ({ circuit, originCircuit, shadow, stopped }) =>
      (shadow.includes("breaker") || (letsThrough(circuit) && letsThrough(originCircuit))) && stopped.length === 0
  )
  return { status: isWell ? "ok" : "degraded", connections }
})
