/**
 * Tells of circuits that opened and closed: a count of every change, a line at level Warning for an opening, with its reason, and one at level Info for a closing. @internal
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Circuit, Transition } from "../policy/Circuit.ts"
import * as Telemetry from "../vocabulary/Telemetry.ts"
import { attribute, field } from "../vocabulary/Telemetry.ts"
import * as CallLog from "./CallLog.ts"
import type { RunningCall } from "./RunningCall.ts"
import * as ShadowMode from "./ShadowMode.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** What a change is told as; that a probe goes, and that a ramp ends, is only counted. */
const textOf = ({ from, reason, to, waitMillis }: Transition): string | undefined => {
  if (to === "open") return `opened for ${CallLog.inWords(waitMillis)}: ${reason}`
  if (from !== "half-open") return undefined
  return to === "ramping" ? "closed, and lets more through by and by" : to === "closed" ? "closed" : undefined
}

const line = (call: RunningCall, text: string, names: ReadonlyArray<string>): Effect.Effect<void> => {
  const { id, origin, provider, service } = call.connection.options
  const shadow = ShadowMode.isShadow(call, "breaker") ? " (in shadow mode: it refuses nothing)" : ""
  const message = `${provider}: circuit of ${names.join(" and ")} ${text}${shadow}`
  const isOpening = text.startsWith("opened")
  return Effect.annotateLogs(isOpening ? Effect.logWarning(message) : Effect.logInfo(message), {
    [field.service]: service ?? "unnamed",
    [field.provider]: provider,
    [field.connection]: id,
    ...(origin === undefined ? {} : { [field.origin]: origin }),
    [field.operation]: call.operation.name,
    [field.correlationId]: call.correlationId,
    [field.event]: isOpening ? "circuit opened" : "circuit closed"
  })
}

/** Counts the changes that nobody has told of yet; returns the lines, if there are any. @category logging @since 0.1.0 */
export const report = (call: RunningCall, fiber: AnyFiber): Effect.Effect<void> | undefined => {
  const { breaker } = call.lane
  if (!breaker.hasChanged) return undefined
  const { id, origin } = call.connection.options
  const metrics = call.connection.metrics(call.operation)
  const lines = new Map<string, Array<string>>()
  const tell = (circuit: Circuit, level: "origin" | "connection", name: string): void => {
    for (const transition of circuit.takeChanges()) {
      const ofLevel = { [attribute.circuitLevel]: level }
      metrics.observe(Telemetry.transitions, fiber.context, { ...ofLevel, [attribute.circuitState]: transition.to })
      if (transition.to === "open") metrics.observe(Telemetry.openings, fiber.context, ofLevel)
      const text = textOf(transition)
      if (text !== undefined) lines.set(text, [...(lines.get(text) ?? []), name])
    }
  }
  if (breaker.origin !== undefined) tell(breaker.origin, "origin", `origin ${origin ?? "unknown"}`)
  tell(breaker.connection, "connection", `connection ${id}`)
  if (lines.size === 0) return undefined
  return Effect.forEach(lines, ([text, names]) => line(call, text, names), { discard: true })
}
