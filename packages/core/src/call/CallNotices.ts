/**
 * Notices of a call: collected while it runs, told when it has ended, so that nothing waits for a log. @internal
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Usage } from "../store/RateBucket.ts"
import * as Deprecation from "../vocabulary/Deprecation.ts"
import type { Deprecated, Notice, RateUsed } from "../vocabulary/Notice.ts"
import { Listener } from "../vocabulary/Notice.ts"
import type { Headers } from "../vocabulary/Platform.ts"
import * as Telemetry from "../vocabulary/Telemetry.ts"
import { attribute, field } from "../vocabulary/Telemetry.ts"
import type { RunningCall } from "./RunningCall.ts"

const note = (call: RunningCall, notice: Notice): void => {
  call.notices ??= []
  call.notices.push(notice)
}

const originOf = ({ connection: { options } }: RunningCall) => ({
  provider: options.provider,
  connection: options.id,
  environment: options.environment
})

/** Notes that a limit is about to be used up. @category notices @since 0.1.0 */
export const noteUsage = (call: RunningCall, usage: Usage): void => {
  const { partition } = usage
  const shown = partition === null ? null : call.connection.options.redaction.text(partition, 64)
  note(call, { _tag: "RateUsed", ...originOf(call), ...usage, partition: shown })
}

/** Notes what an answer says about the end of its operation, unless it was said before. @category notices @since 0.1.0 */
export const noteDeprecation = (call: RunningCall, headers: Headers.Headers): void => {
  const { deprecation, sunset } = headers
  if (deprecation === undefined && sunset === undefined) return
  const { connection, operation } = call
  if (!connection.isNews(operation, `${deprecation ?? ""}|${sunset ?? ""}`)) return
  const read = Deprecation.fromHeaders(headers)
  if (read === undefined) return
  const link = read.link === undefined ? undefined : connection.options.redaction.text(read.link, 256)
  note(call, { _tag: "Deprecated", ...originOf(call), operation: operation.name, ...read, link })
}

const iso = (millis: number): string => DateTime.formatIso(DateTime.makeUnsafe(millis))

const usageLine = ({ limit, limitName, partition, provider, used, windowMillis }: RateUsed): string => {
  const of = limitName === "" ? "" : ` of limit ${limitName}`
  const key = partition === null ? "" : ` for ${partition}`
  const window = windowMillis === null ? "" : ` in ${Duration.format(Duration.millis(windowMillis))}`
  return `${provider}: ${used} of ${limit ?? "unknown"} requests${of}${key}${window} used`
}

const deprecationLine = ({ deprecatedAt, link, operation, sunsetAt }: Deprecated): string => {
  const since = deprecatedAt === undefined ? "" : ` since ${iso(deprecatedAt)}`
  const ends = sunsetAt === undefined ? "" : `, may end ${iso(sunsetAt)}`
  return `${operation} is deprecated${since}${ends}${link === undefined ? "" : `: ${link}`}`
}

const fieldsOf = (call: RunningCall, notice: Notice): Record<string, unknown> => {
  const common = {
    [field.service]: call.connection.options.service ?? "unnamed",
    [field.provider]: notice.provider,
    [field.operation]: call.operation.name
  }
  if (notice._tag === "RateUsed") {
    const { limit, limitName, used, windowMillis } = notice
    return {
      ...common,
      [field.event]: "rate usage",
      [field.limitName]: limitName,
      [field.limit]: limit,
      [field.used]: used,
      [field.window]: windowMillis
    }
  }
  const { deprecatedAt, link, sunsetAt } = notice
  return {
    ...common,
    [field.event]: "deprecated",
    ...(deprecatedAt === undefined ? {} : { [field.deprecatedAt]: iso(deprecatedAt) }),
    ...(sunsetAt === undefined ? {} : { [field.sunsetAt]: iso(sunsetAt) }),
    ...(link === undefined ? {} : { [field.link]: link })
  }
}

/** What the provider calls its limits may be anything, and stands in no metric. */
const count = (call: RunningCall, fiber: Fiber.Fiber<unknown, unknown>, notice: Notice): void => {
  const metrics = call.connection.metrics(call.operation)
  if (notice._tag === "Deprecated") metrics.observe(Telemetry.deprecations, fiber.context)
  else {
    const limit = notice.windowMillis === null ? "told by the provider" : notice.limitName
    metrics.observe(Telemetry.rateAlarms, fiber.context, { [attribute.rateLimit]: limit })
  }
}

/** A listener is the app's: what it throws is no outcome of the call. */
const hear = (listener: ((notice: Notice) => void) | undefined, notice: Notice): void => {
  try {
    listener?.(notice)
  } catch {
    // Said in the reference's own words: ignored.
  }
}

/** Counts each notice, says it in a line at level Warning, and lets the listener hear it. @category notices @since 0.1.0 */
export const tell = (
  call: RunningCall,
  fiber: Fiber.Fiber<unknown, unknown>,
  notices: ReadonlyArray<Notice>
): Effect.Effect<void> => {
  const listener = fiber.getRef(Listener)
  return Effect.forEach(
    notices,
    (notice) => {
      count(call, fiber, notice)
      hear(listener, notice)
      const line = notice._tag === "RateUsed" ? usageLine(notice) : deprecationLine(notice)
      return Effect.annotateLogs(Effect.logWarning(line), fieldsOf(call, notice))
    },
    { discard: true }
  )
}
