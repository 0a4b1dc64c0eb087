/**
 * Says that something else answers in a provider's place, so that an operator sees it: a count of each answer, a line when it begins and one when it is over. What was said goes with the
 * registry of metrics, so that each process, and each simulation, begins anew. @internal
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Answer from "../vocabulary/Answer.ts"
import type { ProviderError } from "../vocabulary/ProviderError.ts"
import { errorCode } from "../vocabulary/ProviderError.ts"
import { attribute, bind, fallbacks, field } from "../vocabulary/Telemetry.ts"
import type { FeatureOff } from "./FeatureOff.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** What a fallback answered for. @category models @since 0.1.0 */
export type Trouble = ProviderError | FeatureOff

interface Standing {
  readonly since: number
  lastAt: number
  answers: number
}

/** Names that are remembered; the one that stands for longest is forgotten first, and said again. */
const maxNames = 1000

/** So long nothing must have been answered before it is said to be over: one that comes and goes is two lines a minute. */
const quietMillis = 60_000

const standing = new WeakMap<object, Map<string, Standing>>()

const nowOf = (fiber: AnyFiber): number => fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()

/** Notes it; `true` if it has just begun. */
const begins = (fiber: AnyFiber, name: string, now: number): boolean => {
  const registry = fiber.getRef(Metric.MetricRegistry)
  const names = standing.get(registry) ?? new Map<string, Standing>()
  standing.set(registry, names)
  const known = names.get(name)
  if (known !== undefined) {
    known.lastAt = now
    known.answers++
    return false
  }
  const oldest = names.keys().next()
  if (names.size >= maxNames && oldest.done !== true) names.delete(oldest.value)
  names.set(name, { since: now, lastAt: now, answers: 1 })
  return true
}

const fieldsOf = (trouble: Trouble): Record<string, unknown> =>
  trouble._tag === "FeatureOff"
    ? {}
    : {
        [field.provider]: trouble.provider,
        [field.operation]: trouble.operation,
        [field.correlationId]: trouble.correlationId,
        [field.errorCode]: errorCode(trouble.reason),
        [field.errorMessage]: trouble.reason.message
      }

/** Counts an answer, and says in a line at level Warning that it has come to that, unless it was said before. @category telling @since 0.1.0 */
export const degraded = (fiber: AnyFiber, name: string, trouble: Trouble, by: string): Effect.Effect<void> => {
  const reason = trouble._tag === "FeatureOff" ? trouble._tag : trouble.reason._tag
  bind(fallbacks, { [attribute.fallback]: name, [attribute.reason]: reason }).updateUnsafe(1, fiber.context)
  if (!begins(fiber, name, nowOf(fiber))) return Effect.void
  return Effect.annotateLogs(Effect.logWarning(`${name}: answered by ${by}, since ${trouble.message}`), {
    ...fieldsOf(trouble),
    [field.event]: "degraded"
  })
}

/** What has succeeded; a line at level Info if that is the end of it. @category telling @since 0.1.0 */
export const well = <A>(fiber: AnyFiber, name: string, value: A): Effect.Effect<A> => {
  const names = standing.get(fiber.getRef(Metric.MetricRegistry))
  const known = names?.get(name)
  if (names === undefined || known === undefined) return Effect.succeed(value)
  const now = nowOf(fiber)
  if (now - known.lastAt < quietMillis) return Effect.succeed(value)
  names.delete(name)
  const lasted = Duration.format(Duration.millis(known.lastAt - known.since))
  const line = Effect.logInfo(`${name}: answered as usual again, after ${known.answers} other answers in ${lasted}`)
  return Effect.as(Effect.annotateLogs(line, { [field.event]: "recovered" }), value)
}

/** Tells whoever captures the answer that it is not the provider's. @category telling @since 0.1.0 */
export const note = (fiber: AnyFiber, trouble: Trouble, age: Duration.Duration = Duration.zero): void => {
  if (!Answer.isCaptured(fiber)) return
  const of = trouble._tag === "FeatureOff" ? {} : { operation: trouble.operation, degradedBy: trouble }
  Answer.note(fiber, { source: "fallback", age, ...of })
}
