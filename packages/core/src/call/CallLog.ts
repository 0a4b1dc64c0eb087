/**
 * What a call says of itself on the way: a log line an attempt, an event and a metric for each wait and each denial. A line is made only at an enabled level. @internal
 */
// The result of an attempt fails with whatever its declaration says.
// @effect-diagnostics anyUnknownInErrorContext:off
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Tracer from "effect/Tracer"
import { BufferedResponse } from "../transport/BufferedResponse.ts"
import type { AttemptFailure } from "../vocabulary/AttemptFailure.ts"
import { isFatalReason } from "../vocabulary/FatalReason.ts"
import { errorCode, isProviderError } from "../vocabulary/ProviderError.ts"
import { failureCode } from "../vocabulary/Redaction.ts"
import type { Answered, Denial, Refreshed, WaitFor } from "../vocabulary/Telemetry.ts"
import { attribute, event, field } from "../vocabulary/Telemetry.ts"
import * as Telemetry from "../vocabulary/Telemetry.ts"
import { happened } from "./CallSpan.ts"
import type { RunningCall } from "./RunningCall.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** The call waited: an event of its span, and a metric. @category tracing @since 0.1.0 */
export const waited = (call: RunningCall, fiber: AnyFiber, what: WaitFor, millis: number): void => {
  happened(call, fiber, `${event.wait}.${what}`, { millis: Math.round(millis) })
  call.connection
    .metrics(call.operation)
    .observe(Telemetry.waits, fiber.context, { [attribute.waitFor]: what }, millis / 1000)
}

/** No further attempt is made, though the failure may pass: an event of the call's span, and a metric. @category tracing @since 0.1.0 */
export const retryDenied = (call: RunningCall, fiber: AnyFiber, why: Denial): void => {
  const labels = { [attribute.reason]: why }
  happened(call, fiber, event.denial, labels)
  call.connection.metrics(call.operation).observe(Telemetry.retriesDenied, fiber.context, labels)
}

/** A credential was refreshed, or not. @category metrics @since 0.1.0 */
export const refreshed = (call: RunningCall, fiber: AnyFiber, outcome: Refreshed): void =>
  call.connection.metrics(call.operation).observe(Telemetry.refreshes, fiber.context, { [attribute.outcome]: outcome })

/** The provider's id of the last answer. */
const requestIdOf = ({ answer, connection }: RunningCall): string | undefined =>
  answer instanceof BufferedResponse ? connection.requestIdOf(answer.headers) : undefined

/** The fields of OBS-1; the timestamp is the logger's. */
const fields = (
  call: RunningCall,
  fiber: AnyFiber,
  at: { readonly attempt: number; readonly millis: number },
  status: number | undefined,
  failure: AttemptFailure | undefined
): Record<string, unknown> => {
  const { provider, service } = call.connection.options
  const { method, name, template } = call.operation
  const span = call.span ?? fiber.cache.span
  const requestId = failure === undefined ? requestIdOf(call) : failure.requestId
  return {
    [field.service]: service ?? "unnamed",
    [field.provider]: provider,
    ...(method === "" ? {} : { [field.method]: method }),
    [field.endpoint]: template === "" ? name : template,
    [field.operation]: name,
    ...(span === undefined ? {} : { [field.traceId]: span.traceId }),
    [field.correlationId]: call.correlationId,
    [field.attempt]: at.attempt,
    ...(status === undefined ? {} : { [field.status]: status }),
    ...(requestId === undefined ? {} : { [field.requestId]: requestId }),
    [field.duration]: Math.round(at.millis),
    ...(failure === undefined
      ? {}
      : { [field.errorCode]: errorCode(failure.reason), [field.errorMessage]: failure.reason.message }),
    ...(failure?.cause === undefined ? {} : { [field.errorCause]: failureCode(failure.cause) ?? failure.cause.message })
  }
}

/** Writes a line below the span of the call, so that what ships it can tie the two together. */
const write = (
  call: RunningCall,
  line: Effect.Effect<void>,
  annotations: Readonly<Record<string, unknown>>
): Effect.Effect<void> => {
  const annotated = Effect.annotateLogs(line, annotations)
  return call.span === undefined ? annotated : Effect.provideService(annotated, Tracer.ParentSpan, call.span)
}

const ofAttempt = (call: RunningCall, now: number) => ({ attempt: call.attempts, millis: now - call.attemptStartedAt })

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
    write(
      call,
      Effect.logDebug(`${call.operation.name} attempt ${call.attempts} ${what}`),
      fields(call, fiber, ofAttempt(call, now), status, undefined)
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
  write(
    call,
    Effect.logWarning(`${call.operation.name} attempt ${call.attempts} failed: ${failure.reason.message}; ${next}`),
    fields(call, fiber, ofAttempt(call, now), failure.status, failure)
  )

/**
 * A policy of ours refuses the next attempt: an event of the call's span, a metric, and a line. At level Warning where an attempt was made before, or the caller must mend
 * something; else at Debug, since a circuit that is open refuses thousands, and says so in its metric. @category logging @since 0.1.0
 */
export const refused = (
  call: RunningCall,
  fiber: AnyFiber,
  now: number,
  failure: AttemptFailure
): Effect.Effect<void> | undefined => {
  const { reason } = failure
  const labels = { [attribute.reason]: reason._tag }
  happened(call, fiber, event.refusal, labels)
  call.connection.metrics(call.operation).observe(Telemetry.refusals, fiber.context, labels)
  const isLoud = call.attempts > 0 || isFatalReason(reason)
  if (!isLoud && !isVerbose(fiber)) return undefined
  const attempt = call.attempts + 1
  const text = `${call.operation.name} attempt ${attempt} refused: ${reason.message}`
  const annotations = fields(call, fiber, { attempt, millis: now - call.startedAt }, undefined, failure)
  return write(call, isLoud ? Effect.logWarning(text) : Effect.logDebug(text), {
    ...annotations,
    [field.event]: "refused"
  })
}

/** How much a request that was not sent would have sent; nothing of what. */
const sizeOf = ({ request }: RunningCall): string => {
  if (request === undefined || request.body._tag === "Empty") return ""
  return request.body._tag === "Uint8Array" ? `, ${request.body.body.length} bytes` : ", a stream"
}

/** A write that was kept back in a dry run: a line at level Info, with what would have been sent but for its values. @category logging @since 0.1.0 */
export const rehearsed = (call: RunningCall, fiber: AnyFiber, now: number): Effect.Effect<void> => {
  const labels = { [attribute.reason]: "DryRun" }
  happened(call, fiber, event.refusal, labels)
  call.connection.metrics(call.operation).observe(Telemetry.refusals, fiber.context, labels)
  const { method, name, template } = call.operation
  const what = `${method === "" ? "an effect" : `${method} ${template}`.trim()}${sizeOf(call)}`
  const key = call.key === undefined ? "" : ", with an idempotency key"
  return write(call, Effect.logInfo(`${name} dry run, not sent: ${what}${key}`), {
    ...fields(call, fiber, { attempt: 1, millis: now - call.startedAt }, undefined, undefined),
    [field.event]: "dry run"
  })
}

/** What a policy in shadow mode would have done, at level Debug. @category logging @since 0.1.0 */
export const watched = (call: RunningCall, fiber: AnyFiber, what: string): Effect.Effect<void> => {
  const attempt = call.attempts + 1
  const annotations = fields(call, fiber, { attempt, millis: call.now - call.startedAt }, undefined, undefined)
  return write(call, Effect.logDebug(`${call.operation.name} attempt ${attempt} in shadow mode: ${what}`), {
    ...annotations,
    [field.event]: "shadow"
  })
}

/** A kept answer was given, at level Debug. @category logging @since 0.1.0 */
export const kept = (call: RunningCall, fiber: AnyFiber, how: Answered): Effect.Effect<void> => {
  const age = inWords(call.standIn?.ageMillis ?? 0)
  const annotations = fields(
    call,
    fiber,
    { attempt: call.attempts, millis: call.now - call.startedAt },
    undefined,
    undefined
  )
  return write(call, Effect.logDebug(`${call.operation.name} answered by what is kept: ${how}, ${age} old`), {
    ...annotations,
    [field.event]: "kept answer"
  })
}

/** A body that was read as it came has broken: a line at level Warning. @category logging @since 0.1.0 */
export const streamFailed = (
  call: RunningCall,
  fiber: AnyFiber,
  now: number,
  failure: AttemptFailure,
  bytes: number
): Effect.Effect<void> =>
  write(
    call,
    Effect.logWarning(`${call.operation.name} stream failed after ${bytes} bytes: ${failure.reason.message}`),
    { ...fields(call, fiber, ofAttempt(call, now), failure.status, failure), [field.event]: "stream failed" }
  )

/** The line of a write that its caller interrupted when it may have been carried out: nobody knows what came of it. @category logging @since 0.1.0 */
export const abandoned = (call: RunningCall, fiber: AnyFiber, now: number, underWay: boolean): Effect.Effect<void> =>
  write(
    call,
    Effect.logWarning(
      `${call.operation.name} abandoned: interrupted ${underWay ? "while" : "after"} attempt ${call.attempts}${underWay ? " was under way" : ""}, outcome unknown`
    ),
    { ...fields(call, fiber, ofAttempt(call, now), undefined, undefined), [field.event]: "abandoned" }
  )

/** The outcome of a call that has one could not be written into its record: a line at level Warning. @category logging @since 0.1.0 */
export const unsettled = (call: RunningCall, fiber: AnyFiber, now: number, problem: string): Effect.Effect<void> =>
  write(call, Effect.logWarning(`${call.operation.name}: its idempotency record could not be settled: ${problem}`), {
    ...fields(call, fiber, { attempt: call.attempts, millis: now - call.startedAt }, undefined, undefined),
    [field.event]: "unsettled"
  })

/** The outcome is that of an earlier call, at level Debug. @category logging @since 0.1.0 */
export const replayed = (call: RunningCall, fiber: AnyFiber, ageMillis: number): Effect.Effect<void> =>
  write(call, Effect.logDebug(`${call.operation.name} replayed: it was made ${inWords(ageMillis)} ago`), {
    ...fields(call, fiber, { attempt: 0, millis: call.now - call.startedAt }, undefined, undefined),
    [field.event]: "replayed"
  })

/** `312 ms`, `4 s`. @category formatting @since 0.1.0 */
export const inWords = (millis: number): string => Duration.format(Duration.millis(Math.round(millis)))
