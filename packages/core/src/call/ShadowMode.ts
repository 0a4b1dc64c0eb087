/**
 * Policies in shadow mode: what would have been refused, or kept waiting, is told and goes out all the same. Asked only where a policy has decided against a call. @internal
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { AttemptFailure } from "../vocabulary/AttemptFailure.ts"
import { refusal } from "../vocabulary/AttemptFailure.ts"
import { RateLimited } from "../vocabulary/RetryableReason.ts"
import type { Shadowable } from "../definition/CallPolicy.ts"
import { attribute, event } from "../vocabulary/Telemetry.ts"
import * as Telemetry from "../vocabulary/Telemetry.ts"
import * as CallLog from "./CallLog.ts"
import { happened } from "./CallSpan.ts"
import type { RunningCall } from "./RunningCall.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** Whether a policy only watches. @category guards @since 0.1.0 */
export const isShadow = ({ policy }: RunningCall, which: Shadowable): boolean =>
  policy.shadow !== undefined && policy.shadow.includes(which)

const tell = (call: RunningCall, fiber: AnyFiber, which: Shadowable, reason: string, words: string): void => {
  const labels = { [attribute.shadow]: which, [attribute.reason]: reason }
  happened(call, fiber, event.shadow, labels)
  call.connection.metrics(call.operation).observe(Telemetry.shadows, fiber.context, labels)
  if (CallLog.isVerbose(fiber)) (call.shadowLines ??= []).push(`${which} ${words}`)
}

/** The lines of what policies would have done, which are told once. @category telling @since 0.1.0 */
export const said = (call: RunningCall, fiber: AnyFiber, lines: ReadonlyArray<string>): Effect.Effect<void> => {
  call.shadowLines = undefined
  return Effect.forEach(lines, (line) => CallLog.watched(call, fiber, line), { discard: true })
}

/** A policy would have refused the attempt. @category telling @since 0.1.0 */
export const refused = (call: RunningCall, fiber: AnyFiber, which: Shadowable, { reason }: AttemptFailure): void =>
  tell(call, fiber, which, reason._tag, `would have refused it: ${reason.message}`)

/** A policy would have kept the attempt waiting. @category telling @since 0.1.0 */
export const waited = (call: RunningCall, fiber: AnyFiber, which: Shadowable): void =>
  tell(call, fiber, which, "wait", "would have kept it waiting")

/**
 * What the rate budget decides when it only watches. Who would have waited is counted as sent now, so that the next one would wait for longer, as in a line; who would have been refused is not counted.
 * @category telling @since 0.1.0
 */
export const passRate = (call: RunningCall, fiber: AnyFiber, now: number): void => {
  const { rate } = call.connection
  call.route = rate.routeOf(call.operation, call.partition, now)
  const expected = rate.expected(call, now)
  const longest = Math.min(call.policy.rateWaitMillis, call.deadlineAt - now - 1)
  if (expected > longest) {
    const retryAfter = Duration.millis(Math.ceil(expected))
    return refused(call, fiber, "rate", refusal(new RateLimited({ by: "budget", retryAfter })))
  }
  if (expected > 0) waited(call, fiber, "rate")
  rate.hold(call)
}
