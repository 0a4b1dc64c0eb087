/**
 * A second attempt beside a first one that takes long, of safe operations. The second is a call's shadow: it takes what an attempt takes (slot, token, ticket) for itself, and only what is free;
 * whatever it comes to, the first goes on, unless the second brings an answer. @internal
 */
// The errors of an attempt are whatever its operation declares.
// @effect-diagnostics anyUnknownInErrorContext:off
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { HedgeDelay } from "../policy/HedgeDelay.ts"
import { terms } from "../policy/RetryBudget.ts"
import type { AttemptFailure } from "../vocabulary/AttemptFailure.ts"
import * as Telemetry from "../vocabulary/Telemetry.ts"
import { attribute, event } from "../vocabulary/Telemetry.ts"
import * as Admission from "./Admission.ts"
import * as CallLog from "./CallLog.ts"
import * as CallSpan from "./CallSpan.ts"
import { nowOf, RunningCall } from "./RunningCall.ts"
import * as ShadowMode from "./ShadowMode.ts"
import * as Stopping from "./Stopping.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** A step of the pipeline, for the fiber that takes it. */
type Step = (call: RunningCall, fiber: AnyFiber) => Effect.Effect<unknown, unknown>

/** Whether a second attempt may be made beside the first one at all. @category guards @since 0.1.0 */
export const isHedged = (call: RunningCall): boolean =>
  call.policy.hedge !== undefined && call.operation.safety === "safe" && call.isReplayable && call.body === undefined

const knownDelay = (call: RunningCall): HedgeDelay | undefined => {
  const { hedge } = call.policy
  return hedge === undefined || call.operation.safety !== "safe"
    ? undefined
    : call.connection.hedgeDelay(call.operation, hedge)
}

/** An attempt of the operation has ended by itself: what it took tells how long the next ones will. @category signals @since 0.1.0 */
export const ended = (call: RunningCall, failure: AttemptFailure | undefined, now: number): void => {
  if (call.policy.hedge === undefined || (failure !== undefined && failure.status === undefined)) return
  knownDelay(call)?.record(now - call.attemptStartedAt, now)
}

const delayOf = (call: RunningCall, now: number): number | undefined => {
  const { hedge } = call.policy
  if (hedge?.delayMillis !== undefined) return Math.max(hedge.minimumMillis, hedge.delayMillis)
  return knownDelay(call)?.millis(now)
}

/** The shadow of a call: one further attempt with everything of its own. */
const shadowOf = (call: RunningCall): RunningCall => {
  const shadow = new RunningCall(call)
  shadow.shadowed = call
  shadow.policy = call.policy
  shadow.lane = call.lane
  shadow.identify(call.correlationId)
  shadow.clock = call.clock
  shadow.startedAt = call.startedAt
  shadow.deadlineAt = call.deadlineAt
  shadow.rank = call.rank
  shadow.partition = call.partition
  shadow.span = call.span
  return shadow
}

/** Takes what the second attempt needs, if all of it is free, nothing speaks against the provider, and more than half of the retry budget is left. */
const admitted = (call: RunningCall, shadow: RunningCall, fiber: AnyFiber, now: number): boolean => {
  const { retries } = call.connection
  if (Stopping.refusalOf(call) !== undefined) return false
  const isHealthy = call.lane.breaker.isClosed || ShadowMode.isShadow(call, "breaker")
  const isThrottled = (call.lane.throttle?.share(now) ?? 0) > 0 && !ShadowMode.isShadow(call, "throttle")
  if (now >= call.deadlineAt || !isHealthy || isThrottled) return false
  if (retries.tokens * 2 <= terms.capacity || !Admission.tryNow(shadow, fiber, now)) return false
  const paid = retries.withdraw(false, true, now)
  if (paid === undefined) {
    shadow.release(now)
    return false
  }
  shadow.retryPaid = paid
  return true
}

const count = (call: RunningCall, fiber: AnyFiber, outcome: Telemetry.Hedged): void => {
  const labels = { [attribute.outcome]: outcome }
  if (outcome === "sent") CallSpan.happened(call, fiber, event.hedge, {})
  call.connection.metrics(call.operation).observe(Telemetry.hedges, fiber.context, labels)
}

/** Gives back what the shadow holds, and cuts its wire. */
const put = (shadow: RunningCall, fiber: AnyFiber): Effect.Effect<void> => {
  const { isUnderWay } = shadow
  const now = nowOf(fiber)
  shadow.release(now)
  const ended = shadow.cut()
  if (isUnderWay) CallSpan.endUnanswered(shadow, fiber, now, Exit.interrupt())
  return ended
}

/** The second attempt has brought the answer. The first took at least so long, and is counted as if it had ended now. */
const won = (call: RunningCall, shadow: RunningCall, fiber: AnyFiber): void => {
  const now = nowOf(fiber)
  count(call, fiber, "won")
  if (call.isUnderWay) knownDelay(call)?.record(now - call.attemptStartedAt, now)
  call.now = now
  call.answer = shadow.answer
  call.source = shadow.source
  call.standIn = shadow.standIn
  if (shadow.notices !== undefined) (call.notices ??= []).push(...shadow.notices)
}

const second = (call: RunningCall, start: Step): Effect.Effect<unknown, unknown> =>
  Effect.withFiber((fiber) => {
    const shadow = shadowOf(call)
    const now = nowOf(fiber)
    if (!admitted(call, shadow, fiber, now)) return Effect.never
    // The shadow's attempt is the call's next one, and the call's own next is the one after it.
    shadow.attempts = call.attempts++
    shadow.now = now
    count(call, fiber, "sent")
    return Effect.onExit(start(shadow, fiber), (exit) => {
      if (Exit.isSuccess(exit) || Cause.hasFails(exit.cause)) won(call, shadow, fiber)
      return put(shadow, fiber)
    })
  })

/** The second attempt has failed: a line and nothing more. @category recovery @since 0.1.0 */
export const lost = (shadow: RunningCall, fiber: AnyFiber, failure: AttemptFailure): Effect.Effect<never> =>
  Effect.andThen(
    CallLog.failed(shadow, fiber, nowOf(fiber), failure, "it was a second one, and the first goes on"),
    Effect.never
  )

/** The attempts of a call with a second one beside them, if they take long enough; `start` is one attempt that has been admitted. @category combinators @since 0.1.0 */
export const beside = (
  call: RunningCall,
  now: number,
  attempts: Step,
  start: Step
): Effect.Effect<unknown, unknown> => {
  const delay = delayOf(call, now)
  const first = Effect.withFiber<unknown, unknown>((fiber) => attempts(call, fiber))
  if (delay === undefined || now + delay >= call.deadlineAt) return first
  const later = Effect.andThen(
    Effect.sleep(Duration.millis(delay)),
    Effect.suspend(() => second(call, start))
  )
  return Effect.raceFirst(first, later)
}
