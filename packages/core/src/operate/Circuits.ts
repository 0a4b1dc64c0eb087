/**
 * Circuits set by hand, during an incident: open one that should be open, let calls through that a circuit refuses, and give it back to itself afterwards. Each change is a line at
 * level Warning that says who did it; `Health.snapshot` shows it as long as it holds. @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { CircuitControl, NamedCircuit } from "../store/Connections.ts"
import { Connections } from "../store/Connections.ts"
import { field } from "../vocabulary/Telemetry.ts"

/**
 * Which circuits are meant. A `provider` alone: those of all its open connections and of their origins. With `connection`: the one of that connection. An `origin`: the one
 * of that origin, whoever calls it. @category models @since 0.1.0
 */
export type Target =
  | { readonly provider: string; readonly connection?: string | undefined; readonly origin?: undefined }
  | { readonly origin: string; readonly provider?: undefined; readonly connection?: undefined }

/** Whose decision it is, such as `ana, incident 42`: it stands in the log and in `Health`. @category models @since 0.1.0 */
export interface By {
  readonly by: string
}

const isMeant = (target: Target, { connection, level, origin, provider }: NamedCircuit): boolean => {
  if (target.origin !== undefined) return level === "origin" && origin === target.origin
  if (target.provider !== provider) return false
  return target.connection === undefined || (level === "connection" && connection === target.connection)
}

const nameOf = ({ connection, level, origin, provider }: NamedCircuit): string =>
  level === "origin" ? `origin ${origin}` : `connection ${connection} of ${provider}`

const each = Effect.fnUntraced(function* (
  target: Target & By,
  done: string,
  set: (circuit: CircuitControl) => void
): Effect.fn.Return<number> {
  const open = yield* Connections
  const meant = [...open].flatMap((observed) => observed.circuits()).filter((named) => isMeant(target, named))
  // Connections to one origin share its circuit.
  const once = new Map(meant.map((named) => [named.circuit, named]))
  for (const [circuit, named] of once) {
    const before = circuit.state
    set(circuit)
    yield* Effect.annotateLogs(
      Effect.logWarning(
        `circuit of ${nameOf(named)} ${done} by ${target.by}: it was ${before}, and is ${circuit.state}`
      ),
      {
        [field.provider]: named.provider,
        ...(named.level === "connection" ? { [field.connection]: named.connection } : {}),
        ...(named.origin === undefined ? {} : { [field.origin]: named.origin }),
        [field.event]: `circuit ${done}`
      }
    )
  }
  return once.size
})

/**
 * Refuses every call until `automatic` or `close`. Attempts under way go on. Returns how many circuits were set: 0 when nothing open fits the target.
 * **Example** `Circuits.forceOpen({ provider: "stripe", by: "ana, incident 42" })`
 * @category operations @since 0.1.0
 */
export const forceOpen = (target: Target & By): Effect.Effect<number> =>
  each(target, "forced open", (circuit) => circuit.forceOpen(target.by))

/**
 * Lets every call through until `automatic`, whatever comes of them; they are still counted. A call goes out only if the circuits of its connection and of its origin both let it.
 * Returns how many circuits were set. @category operations @since 0.1.0
 */
export const disable = (target: Target & By): Effect.Effect<number> =>
  each(target, "disabled", (circuit) => circuit.disable(target.by))

/** Closes them now, without probes and ramp, and leaves them to themselves: the next failures open them again. Returns how many circuits were set. @category operations @since 0.1.0 */
export const close = (target: Target & By): Effect.Effect<number> =>
  each(target, "closed", (circuit) => circuit.close())

/**
 * Ends what `forceOpen` and `disable` began. After a forced opening the next call is a probe; after a disabling the circuit is closed, and opens at the next failure if it has counted
 * enough of them. Returns how many circuits were given back to themselves. @category operations @since 0.1.0
 */
export const automatic = (target: Target & By): Effect.Effect<number> =>
  each(target, "automatic again", (circuit) => circuit.automatic())
