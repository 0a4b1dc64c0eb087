/**
 * What the end of a call makes of its record: decided from what is known of the call, by nothing else. @internal
 */
// A call ends with whatever its declaration says.
// @effect-diagnostics anyUnknownInErrorContext:off
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { FatalReason } from "../vocabulary/FatalReason.ts"
import type { ProviderError } from "../vocabulary/ProviderError.ts"
import { isProviderError } from "../vocabulary/ProviderError.ts"
import type { RunningCall } from "./RunningCall.ts"

/** @category models @since 0.1.0 */
export type RecordEnd = "Succeeded" | "Failed" | "Pending" | "Unknown" | "Undone"

/** Without an outcome: nothing was done, or it may have been, and then a key decides whether it may be sent again. */
const undecided = ({ inDoubt, maybeDone, operation }: RunningCall): RecordEnd => {
  if (!inDoubt && !maybeDone) return "Undone"
  return operation.safety === "keyed" ? "Pending" : "Unknown"
}

/** Answers about who asks and not about what is asked: replayed, they would outlive the rotation of a credential, or a bill that was paid. */
const aboutCaller = new Set<ProviderError["reason"]["_tag"]>([
  "Unauthorized",
  "CredentialRejected",
  "PermissionDenied",
  "QuotaExhausted"
])

const proxyWantsCredentials = 407

const isAboutCaller = (reason: ProviderError["reason"]): boolean =>
  aboutCaller.has(reason._tag) || ("status" in reason && reason.status === proxyWantsCredentials)

const ofFatal = (call: RunningCall, reason: FatalReason): RecordEnd => {
  const isAnswer = "status" in reason && reason.status !== undefined && !isAboutCaller(reason)
  return isAnswer ? "Failed" : undecided(call)
}

const ofOurs = (call: RunningCall, error: ProviderError): RecordEnd => {
  switch (error._tag) {
    case "OutcomeUnknown":
      // Nothing was learnt of an earlier attempt, and its key is as good as before.
      return call.operation.safety === "keyed" && isAboutCaller(error.reason) ? "Pending" : "Unknown"
    case "RetryableError":
      return undecided(call)
    case "FatalError":
      return ofFatal(call, error.reason)
  }
}

/** @category accessors @since 0.1.0 */
export const of = (call: RunningCall, exit: Exit.Exit<unknown, unknown>): RecordEnd => {
  if (call.handedOn !== undefined) return ofOurs(call, call.handedOn)
  if (Exit.isSuccess(exit)) return "Succeeded"
  const found = Cause.findErrorOption(exit.cause)
  // The caller interrupted it, or there is a bug.
  if (Option.isNone(found)) return undecided(call)
  const error = found.value
  // An effect may fail with the error of another call, inside it.
  if (isProviderError(error) && error.operation === call.operation.name) return ofOurs(call, error)
  return call.kind.memory?.isFinal(error) === true ? "Failed" : undecided(call)
}
