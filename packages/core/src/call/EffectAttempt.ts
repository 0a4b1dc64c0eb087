/**
 * One attempt that is not HTTP: any effect, run anew each time. What its failures mean is told by its owner, or read off what every failure shows. @since 0.1.0
 */
// The effect's errors are its owner's; `classify` tells them apart.
// @effect-diagnostics anyUnknownInErrorContext:off
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { CurrentName } from "../policy/Idempotency.ts"
import type { AttemptFailure } from "../vocabulary/AttemptFailure.ts"
import { HttpClientError } from "../vocabulary/Platform.ts"
import { RetryableError } from "../vocabulary/ProviderError.ts"
import { safeCause } from "../vocabulary/Redaction.ts"
import { Unavailable } from "../vocabulary/RetryableReason.ts"
import * as AnswerReading from "./AnswerReading.ts"
import type { AttemptKind, OutcomeMemory, RunningCall } from "./RunningCall.ts"
import { CurrentCall } from "./RunningCall.ts"

/** What a failure of a protected effect means, when it may be tried again. @category models @since 0.1.0 */
export interface Classification {
  /** `no`: nothing left the process; `refused`: the other side did no work; `unknown`: it may have. An unsafe effect is run again only for the first two. */
  readonly sent: "no" | "refused" | "unknown"
  /** The other side asked to wait. Default: no hint. */
  readonly retryAfter?: Duration.Input | undefined
  /** Whether it speaks against the other side's health. Default true. */
  readonly unhealthy?: boolean | undefined
}

const failure = (call: RunningCall, error: unknown, classification: Classification): AttemptFailure => {
  const hintMillis = classification.retryAfter === undefined ? undefined : Duration.toMillis(classification.retryAfter)
  return {
    reason: new Unavailable({
      problem: "failure",
      retryAfter: hintMillis === undefined ? undefined : Duration.millis(hintMillis)
    }),
    sent: classification.sent,
    unhealthy: classification.unhealthy ?? true,
    hintMillis,
    replayed: false,
    status: undefined,
    requestId: undefined,
    excerpt: undefined,
    cause: safeCause(error, call.connection.options.redaction)
  }
}

const isTransportError = (error: unknown): boolean =>
  HttpClientError.isHttpClientError(error) && error.reason._tag === "TransportError"

/** Without a classification: our own errors, timeouts and failures of a transport may pass. */
const byItself = (call: RunningCall, error: unknown, now: number): AttemptFailure | undefined => {
  if (error instanceof RetryableError) {
    return failure(call, error, { sent: error.sent, retryAfter: error.retryAfter, unhealthy: false })
  }
  if (Cause.isTimeoutError(error)) return failure(call, error, { sent: "unknown" })
  return isTransportError(error) ? AnswerReading.ofFailure(call, error, now) : undefined
}

/** Attempts of a protected effect. @category kinds @since 0.1.0 */
export const kind = <E>(
  classify: ((error: E) => Classification | undefined) | undefined,
  memory?: OutcomeMemory
): AttemptKind => ({
  wire: (call, fiber) => {
    const effect = call.effect ?? Effect.die(new Error("a protected call without an effect"))
    // Without a key there is nothing to find, unless it were another call's.
    const isFound = call.key !== undefined || fiber.getRef(CurrentCall) !== undefined
    const found = isFound ? Effect.provideService(effect, CurrentCall, call) : effect
    // The name is taken: what the effect calls has none of it.
    return call.key !== undefined && call.operation.safety === "unsafe"
      ? Effect.provideService(found, CurrentName, undefined)
      : found
  },
  classify: (call, exit, now) => {
    if (exit._tag === "Success") return undefined
    const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
    if (classify === undefined) return byItself(call, error, now)
    const classification = classify(error as E)
    return classification === undefined ? undefined : failure(call, error, classification)
  },
  result: (_, exit) => exit,
  memory
})

/** The idempotency key of the protected call that this effect runs in, to send along; `undefined` outside a keyed one. @category accessors @since 0.1.0 */
export const currentKey: Effect.Effect<string | undefined> = Effect.map(CurrentCall, (call) =>
  call?.operation.safety === "keyed" ? call.key?.key : undefined
)
