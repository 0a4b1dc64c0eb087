/**
 * What a call leaves behind: one span a call, one an attempt, one log line an attempt, counters and durations. Nothing is made that nobody asked for: spans
 * only with a tracer or a parent span, lines only at an enabled level. @internal
 */
// The result of an attempt fails with whatever its declaration says.
// @effect-diagnostics anyUnknownInErrorContext:off
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Tracer from "effect/Tracer"
import { BufferedResponse } from "../transport/BufferedResponse.ts"
import type { AttemptFailure } from "../vocabulary/AttemptFailure.ts"
import { errorCode, isProviderError } from "../vocabulary/ProviderError.ts"
import { failureCode } from "../vocabulary/Redaction.ts"
import { attribute } from "../vocabulary/Telemetry.ts"
import type { Connection } from "./Connection.ts"
import type { RunningCall } from "./RunningCall.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** Whether anybody would see a span. @category guards @since 0.1.0 */
export const isTraced = (fiber: AnyFiber): boolean =>
  fiber.cache.tracerEnabled && (fiber.cache.tracer !== undefined || fiber.cache.span !== undefined)

const callAttributes = (call: RunningCall): Record<string, unknown> => {
  const { environment, id, provider } = call.connection.options
  const attributes: Record<string, unknown> = {
    [attribute.provider]: provider,
    [attribute.operation]: call.operation.name,
    [attribute.connection]: id,
    [attribute.correlationId]: call.correlationId
  }
  if (environment !== undefined) attributes[attribute.environment] = environment
  return attributes
}

/** The span of the call: internal, since each attempt has the client span. @category tracing @since 0.1.0 */
export const startCall = (call: RunningCall): Effect.Effect<void> =>
  Effect.map(Effect.makeSpan(call.operation.name, { kind: "internal", attributes: callAttributes(call) }), (span) => {
    call.span = span
  })

/** What attempts of a connection say of its server, which is one. */
const servers = new WeakMap<Connection, Record<string, unknown>>()

const serverOf = (connection: Connection): Record<string, unknown> => {
  const known = servers.get(connection)
  if (known !== undefined) return known
  const { origin } = connection.options
  const url = origin !== undefined && URL.canParse(origin) ? new URL(origin) : undefined
  const made =
    url === undefined
      ? {}
      : {
          [attribute.address]: url.hostname,
          [attribute.port]: Number(url.port === "" ? (url.protocol === "https:" ? 443 : 80) : url.port),
          [attribute.scheme]: url.protocol.slice(0, -1)
        }
  servers.set(connection, made)
  return made
}

const attemptAttributes = (call: RunningCall): Record<string, unknown> => {
  const { method, template } = call.operation
  if (call.request === undefined) return { [attribute.resend]: call.attempts - 1 }
  const attributes: Record<string, unknown> = { [attribute.method]: method, [attribute.resend]: call.attempts - 1 }
  if (template !== "") attributes[attribute.template] = template
  return Object.assign(attributes, serverOf(call.connection))
}

/** The span of one attempt: `POST /v1/refunds`, as the HTTP conventions name it. @category tracing @since 0.1.0 */
export const startAttempt = (call: RunningCall): Effect.Effect<void> => {
  const { method, template } = call.operation
  const name = call.request === undefined ? "attempt" : template === "" ? method : `${method} ${template}`
  const parent = call.span
  return Effect.map(
    Effect.makeSpan(name, {
      kind: "client",
      attributes: attemptAttributes(call),
      ...(parent === undefined ? {} : { parent })
    }),
    (span) => {
      call.attemptSpan = span
    }
  )
}

const end = (span: Tracer.Span, fiber: AnyFiber, exit: Exit.Exit<unknown, unknown>): void =>
  span.end(fiber.getRef(Clock.Clock).currentTimeNanosUnsafe(), exit)

/** Ends the span of an attempt with what it came to: the error has the reason's text, nothing of the answer. @category tracing @since 0.1.0 */
export const endAttempt = (
  call: RunningCall,
  fiber: AnyFiber,
  status: number | undefined,
  failure: AttemptFailure | undefined
): void => {
  const span = call.attemptSpan
  if (span === undefined) return
  call.attemptSpan = undefined
  if (status !== undefined) span.attribute(attribute.status, status)
  if (failure !== undefined) span.attribute(attribute.errorType, errorCode(failure.reason))
  end(span, fiber, failure === undefined ? Exit.void : Exit.fail(failure.reason.message))
}

/** Ends the span of an attempt that was interrupted, or whose wire has a bug. @category tracing @since 0.1.0 */
export const endUnanswered = (call: RunningCall, fiber: AnyFiber, exit: Exit.Exit<unknown, unknown>): void => {
  if (call.attemptSpan !== undefined) end(call.attemptSpan, fiber, exit)
  call.attemptSpan = undefined
}

/** Ends the span of the call. @category tracing @since 0.1.0 */
export const endCall = (
  call: RunningCall,
  fiber: AnyFiber,
  outcome: string,
  exit: Exit.Exit<unknown, unknown>
): void => {
  if (call.span === undefined) return
  call.span.attribute(attribute.attempts, call.attempts)
  call.span.attribute(attribute.outcome, outcome)
  end(call.span, fiber, exit)
}

/** A wait of the call, as an event of its span. @category tracing @since 0.1.0 */
export const waited = (call: RunningCall, fiber: AnyFiber, what: string, millis: number): void =>
  call.span?.event(`breakwater.wait.${what}`, fiber.getRef(Clock.Clock).currentTimeNanosUnsafe(), {
    millis: Math.round(millis)
  })

/** The provider's id of the last answer. */
const requestIdOf = ({ answer, connection }: RunningCall): string | undefined =>
  answer instanceof BufferedResponse ? connection.requestIdOf(answer.headers) : undefined

/** The fields of OBS-1; the timestamp is the logger's. */
const fields = (
  call: RunningCall,
  fiber: AnyFiber,
  now: number,
  status: number | undefined,
  failure: AttemptFailure | undefined
): Record<string, unknown> => {
  const { provider, service } = call.connection.options
  const span = call.span ?? fiber.cache.span
  const requestId = failure === undefined ? requestIdOf(call) : failure.requestId
  return {
    service: service ?? "unnamed",
    third_party: provider,
    method: call.operation.method,
    endpoint: call.operation.template === "" ? call.operation.name : call.operation.template,
    operation: call.operation.name,
    ...(span === undefined ? {} : { trace_id: span.traceId }),
    correlation_id: call.correlationId,
    attempt: call.attempts,
    ...(status === undefined ? {} : { http_status: status }),
    ...(requestId === undefined ? {} : { request_id: requestId }),
    duration_ms: Math.round(now - call.attemptStartedAt),
    ...(failure === undefined ? {} : { error_code: errorCode(failure.reason), error_message: failure.reason.message }),
    ...(failure?.cause === undefined ? {} : { error_cause: failureCode(failure.cause) ?? failure.cause.message })
  }
}

const debugLevels = new Set(["All", "Trace", "Debug"])

/** Whether the lines of attempts that succeeded are wanted. @category guards @since 0.1.0 */
export const isVerbose = (fiber: AnyFiber): boolean => debugLevels.has(fiber.cache.minimumLogLevel)

/** The result, with the line of the attempt that gave it, at level Debug. What turns out not to fit its schema has a line of its own. @category logging @since 0.1.0 */
export const answered = (
  call: RunningCall,
  fiber: AnyFiber,
  now: number,
  status: number | undefined,
  result: Effect.Effect<unknown, unknown>
): Effect.Effect<unknown, unknown> => {
  const line = (what: string) =>
    Effect.annotateLogs(
      Effect.logDebug(`${call.operation.name} attempt ${call.attempts} ${what}`),
      fields(call, fiber, now, status, undefined)
    )
  return Effect.onExit(result, (exit) => {
    if (Exit.isSuccess(exit)) return line("succeeded")
    const error = Cause.findErrorOption(exit.cause)
    return error._tag === "None" || isProviderError(error.value) ? Effect.void : line("ended with a declared error")
  })
}

/** The line of an attempt that failed, at level Warning, with what happens next. @category logging @since 0.1.0 */
export const failed = (
  call: RunningCall,
  fiber: AnyFiber,
  now: number,
  failure: AttemptFailure,
  next: string
): Effect.Effect<void> =>
  Effect.annotateLogs(
    Effect.logWarning(`${call.operation.name} attempt ${call.attempts} failed: ${failure.reason.message}; ${next}`),
    fields(call, fiber, now, failure.status, failure)
  )

/** The line of a write that its caller interrupted when it may have been carried out: nobody knows what came of it. @category logging @since 0.1.0 */
export const abandoned = (call: RunningCall, fiber: AnyFiber, now: number, underWay: boolean): Effect.Effect<void> =>
  Effect.annotateLogs(
    Effect.logWarning(
      `${call.operation.name} abandoned: interrupted ${underWay ? "while" : "after"} attempt ${call.attempts}${underWay ? " was under way" : ""}, outcome unknown`
    ),
    { ...fields(call, fiber, now, undefined, undefined), event: "abandoned" }
  )

/** `312 ms`, `4 s`. @category formatting @since 0.1.0 */
export const inWords = (millis: number): string => Duration.format(Duration.millis(Math.round(millis)))
