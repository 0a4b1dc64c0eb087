/**
 * Keeps writes back that are only to be rehearsed, when everything is checked and nothing is spent. Whether it is one is asked when a call begins, and of writes alone. @internal
 */
// A method fails with whatever its declaration says.
// @effect-diagnostics anyUnknownInErrorContext:off
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { DryRunValue } from "../definition/CalledOperation.ts"
import { covers } from "../store/Stops.ts"
import * as Answer from "../vocabulary/Answer.ts"
import { refusal } from "../vocabulary/AttemptFailure.ts"
import { DryRun } from "../vocabulary/FatalReason.ts"
import { FatalError } from "../vocabulary/ProviderError.ts"
import * as Duration from "effect/Duration"
import * as CallErrors from "./CallErrors.ts"
import * as CallLog from "./CallLog.ts"
import type { RunningCall } from "./RunningCall.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** Refreshing a credential changes nothing that a dry run is about, and reads need it. @category guards @since 0.1.0 */
export const isDry = ({ connection, inDryRun, lane, operation }: RunningCall): boolean =>
  operation.safety !== "safe" &&
  lane !== connection.refreshes &&
  (inDryRun || connection.dryRun?.some((pattern) => covers(pattern, operation.path)) === true)

/** Ends a call that is kept back. It is no failure of the connection. @category running @since 0.1.0 */
export const end = (call: RunningCall, fiber: AnyFiber, now: number): Effect.Effect<never, FatalError> => {
  call.refused = true
  const reason = new DryRun({})
  const failure = refusal(reason)
  call.lastFailure = failure
  return Effect.andThen(CallLog.rehearsed(call, fiber, now), Effect.fail(CallErrors.fatal(call, failure, reason, now)))
}

/** Gives what the operation declares for a dry run, which is not the provider's answer. @category running @since 0.1.0 */
export const answered = (
  called: Effect.Effect<unknown, unknown>,
  { value }: DryRunValue
): Effect.Effect<unknown, unknown> =>
  Effect.withFiber((fiber) =>
    Effect.catch(called, (error) => {
      if (!(error instanceof FatalError) || error.reason._tag !== "DryRun") return Effect.fail(error)
      const { operation } = error
      Answer.note(fiber, { source: "fallback", age: Duration.zero, operation, degradedBy: error })
      return Effect.succeed(value)
    })
  )
