/**
 * The spans of a call: one for it, one below it for each attempt, made only where a tracer or a parent span is there to see them. Names, attributes and states are those of
 * OpenTelemetry's conventions for HTTP clients. @internal
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import type * as Tracer from "effect/Tracer"
import { BufferedResponse } from "../transport/BufferedResponse.ts"
import type { AttemptFailure } from "../vocabulary/AttemptFailure.ts"
import { errorCode } from "../vocabulary/ProviderError.ts"
import { safeCause } from "../vocabulary/Redaction.ts"
import { attribute } from "../vocabulary/Telemetry.ts"
import * as Telemetry from "../vocabulary/Telemetry.ts"
import type { RunningCall } from "./RunningCall.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** Whether anybody would see a span. @category guards @since 0.1.0 */
export const isTraced = (fiber: AnyFiber): boolean =>
  fiber.cache.tracerEnabled && (fiber.cache.tracer !== undefined || fiber.cache.span !== undefined)

const internal = { kind: "internal" } as const

/** The span of the call: internal, since each attempt has the client span. @category tracing @since 0.1.0 */
export const startCall = <A, E>(call: RunningCall, next: () => Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.flatMap(Effect.makeSpan(call.operation.name, internal), (span) => {
    const { environment, id, provider } = call.connection.options
    call.span = span
    span.attribute(attribute.provider, provider)
    span.attribute(attribute.operation, call.operation.name)
    span.attribute(attribute.connection, id)
    span.attribute(attribute.correlationId, call.correlationId)
    if (environment !== undefined) span.attribute(attribute.environment, environment)
    return next()
  })

const describeRequest = (call: RunningCall, span: Tracer.Span): void => {
  const { method, template } = call.operation
  const { peer } = call.connection
  span.attribute(attribute.method, method)
  if (call.attempts > 1) span.attribute(attribute.resend, call.attempts - 1)
  if (template !== "") span.attribute(attribute.template, template)
  if (peer === undefined) return
  span.attribute(attribute.address, peer.address)
  span.attribute(attribute.port, peer.port)
  span.attribute(attribute.scheme, peer.scheme)
}

/** The span of one attempt: `POST /v1/refunds`, as the HTTP conventions name it. @category tracing @since 0.1.0 */
export const startAttempt = <A, E>(call: RunningCall, next: () => Effect.Effect<A, E>): Effect.Effect<A, E> => {
  const { method, template } = call.operation
  const name = call.request === undefined ? "attempt" : template === "" ? method : `${method} ${template}`
  return Effect.flatMap(Effect.makeSpan(name, { kind: "client", parent: call.span }), (span) => {
    call.attemptSpan = span
    span.attribute(attribute.attempt, call.attempts)
    if (call.request !== undefined) describeRequest(call, span)
    return next()
  })
}

const end = (span: Tracer.Span, fiber: AnyFiber, exit: Exit.Exit<unknown, unknown>): void =>
  span.end(fiber.getRef(Clock.Clock).currentTimeNanosUnsafe(), exit)

/** The status of an answer that was not taken for a failure, such as that of a declared error. */
const failedStatus = ({ answer }: RunningCall): number | undefined =>
  answer instanceof BufferedResponse && answer.status >= 400 ? answer.status : undefined

/** The `error.type` of an attempt: the status where there is one, as the HTTP conventions want it, or else the code of log lines. @category accessors @since 0.1.0 */
export const errorTypeOf = (call: RunningCall, failure: AttemptFailure | undefined): string | undefined => {
  if (failure !== undefined) return errorCode(failure.reason).replace(/^HTTP_/u, "")
  const status = failedStatus(call)
  return status === undefined ? undefined : String(status)
}

/** The status that came over the wire, also where the answer broke off behind it. @category accessors @since 0.1.0 */
export const wireStatusOf = (call: RunningCall, failure: AttemptFailure | undefined): number | undefined =>
  call.source?.status ?? failure?.status

/** Counts an attempt that came to an end. @category metrics @since 0.1.0 */
export const measureAttempt = (
  call: RunningCall,
  fiber: AnyFiber,
  now: number,
  status: number | undefined,
  errorType: string | undefined
): void => {
  const metrics = call.connection.metrics(call.operation)
  const seconds = (now - call.attemptStartedAt) / 1000
  if (call.request !== undefined) metrics.requested(status, errorType, seconds, fiber.context)
  else {
    const labels = errorType === undefined ? noLabels : { [attribute.errorType]: errorType }
    metrics.observe(Telemetry.attemptDuration, fiber.context, labels, seconds)
  }
}

const noLabels = {}

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
  const errorType = errorTypeOf(call, failure)
  if (errorType !== undefined) span.attribute(attribute.errorType, errorType)
  end(span, fiber, errorType === undefined ? Exit.void : Exit.fail(failure?.reason.message ?? `answered ${errorType}`))
}

/** Ends an attempt that was interrupted, or whose wire has a bug: its span and its count. @category tracing @since 0.1.0 */
export const endUnanswered = (
  call: RunningCall,
  fiber: AnyFiber,
  now: number,
  exit: Exit.Exit<unknown, unknown>
): void => {
  const errorType = Exit.hasDies(exit) ? "DEFECT" : "INTERRUPTED"
  measureAttempt(call, fiber, now, undefined, errorType)
  if (call.attemptSpan === undefined) return
  call.attemptSpan.attribute(attribute.errorType, errorType)
  end(call.attemptSpan, fiber, withoutDefects(call, exit))
  call.attemptSpan = undefined
}

/** A defect is nobody's text: its message may quote whatever it tripped over. */
const withoutDefects = (call: RunningCall, exit: Exit.Exit<unknown, unknown>): Exit.Exit<unknown, unknown> => {
  if (!Exit.hasDies(exit)) return exit
  const found = Exit.findDefect(exit)
  const { redaction } = call.connection.options
  return Exit.die(safeCause(Result.isSuccess(found) ? found.success : undefined, redaction))
}

/** What a span may show of an outcome: our own errors are redacted, a declared one is the provider's words. */
const shown = (
  call: RunningCall,
  outcome: Telemetry.Outcome,
  exit: Exit.Exit<unknown, unknown>
): Exit.Exit<unknown, unknown> => {
  if (outcome === "declared") return Exit.fail("declared error")
  return Exit.isSuccess(exit) ? Exit.void : withoutDefects(call, exit)
}

const errorTypeOfCall = (call: RunningCall, outcome: Telemetry.Outcome): string | undefined => {
  switch (outcome) {
    case "ok":
    case "handed on":
      return undefined
    case "interrupted":
      return "INTERRUPTED"
    case "defect":
      return "DEFECT"
    case "declared":
      return errorTypeOf(call, undefined) ?? "DECLARED"
    default:
      return errorTypeOf(call, call.lastFailure)
  }
}

/** Ends the span of the call. @category tracing @since 0.1.0 */
export const endCall = (
  call: RunningCall,
  fiber: AnyFiber,
  outcome: Telemetry.Outcome,
  exit: Exit.Exit<unknown, unknown>
): void => {
  if (call.span === undefined) return
  call.span.attribute(attribute.attempts, call.attempts)
  call.span.attribute(attribute.outcome, outcome)
  const errorType = errorTypeOfCall(call, outcome)
  if (errorType !== undefined) call.span.attribute(attribute.errorType, errorType)
  end(call.span, fiber, shown(call, outcome, exit))
}

/** Something happened to the call: an event of its span. @category tracing @since 0.1.0 */
export const happened = (
  call: RunningCall,
  fiber: AnyFiber,
  name: string,
  attributes: Readonly<Record<string, unknown>>
): void => call.span?.event(name, fiber.getRef(Clock.Clock).currentTimeNanosUnsafe(), { ...attributes })
