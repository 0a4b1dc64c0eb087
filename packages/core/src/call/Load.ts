/**
 * What attempts tell of the load on a provider, and what follows for those after them: fewer at once, or a share that is not sent at all. Nothing is kept unless the policy asks for it. @internal
 */
import type * as Fiber from "effect/Fiber"
import type { AttemptFailure } from "../vocabulary/AttemptFailure.ts"
import { refusal } from "../vocabulary/AttemptFailure.ts"
import { Overloaded } from "../vocabulary/RetryableReason.ts"
import * as ShadowMode from "./ShadowMode.ts"
import type { RunningCall } from "./RunningCall.ts"
import { randomOf } from "./RunningCall.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** The provider has too much to do, or so it seems: it says so, does not answer in time, or takes no connection. */
const isOverload = ({ reason, sent, status }: AttemptFailure): boolean =>
  status === 429 || status === 503 || reason._tag === "Timeout" || (reason._tag === "TransportFailed" && sent === "no")

/** Whether the next attempt is kept back here: the refusal, or `undefined` if it may go on. @category admission @since 0.1.0 */
export const throttled = (call: RunningCall, fiber: AnyFiber, now: number): AttemptFailure | undefined => {
  const { bulkhead, throttle } = call.lane
  call.unthrottled = false
  if (throttle?.refuses(now, randomOf(fiber)) !== true) return undefined
  const refused = refusal(new Overloaded({ problem: "throttled", concurrency: bulkhead.concurrency }))
  if (!ShadowMode.isShadow(call, "throttle")) return refused
  call.unthrottled = true
  ShadowMode.refused(call, fiber, "throttle", refused)
  return undefined
}

/** An attempt goes out. @category signals @since 0.1.0 */
export const sent = (call: RunningCall, now: number): void => {
  // What it would have refused was not sent, as it sees it: else it would learn from what it does not let happen.
  if (!call.unthrottled) call.lane.throttle?.sent(now)
}

/** An attempt has ended by itself. @category signals @since 0.1.0 */
export const ended = (call: RunningCall, failure: AttemptFailure | undefined, now: number): void => {
  const { bulkhead, limit, throttle } = call.lane
  if (limit === undefined && throttle === undefined) return
  const overloaded = failure !== undefined && isOverload(failure)
  if (!overloaded && !call.unthrottled) throttle?.accepted(now)
  limit?.ended({ overloaded, startedAt: call.attemptStartedAt, now, inFlight: bulkhead.inFlight })
  if (limit !== undefined) bulkhead.grant()
}
