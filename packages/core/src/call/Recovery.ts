/**
 * What follows a failed attempt: a fresh credential and another attempt, a wait and another attempt, or the end of the call. Runs only when something failed.
 * @internal
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import * as Retry from "../policy/Retry.ts"
import type { Next } from "../policy/Retry.ts"
import type { AttemptFailure, BackoffSchedule } from "../vocabulary/AttemptFailure.ts"
import { refusal } from "../vocabulary/AttemptFailure.ts"
import { CredentialRejected, isFatalReason } from "../vocabulary/FatalReason.ts"
import type { ProviderError } from "../vocabulary/ProviderError.ts"
import { CredentialUnavailable } from "../vocabulary/RetryableReason.ts"
import type { Denial } from "../vocabulary/Telemetry.ts"
import * as CallErrors from "./CallErrors.ts"
import { keyUntil } from "./CallKey.ts"
import * as CallLog from "./CallLog.ts"
import type { RunningCall } from "./RunningCall.ts"
import { nowOf } from "./RunningCall.ts"
import * as ShadowMode from "./ShadowMode.ts"
import * as Stopping from "./Stopping.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** Says that the call goes on. @category constants @since 0.1.0 */
export const anotherAttempt = Symbol.for("@breakwater/core/Recovery/anotherAttempt")

const nextOf = (call: RunningCall, failure: AttemptFailure, now: number): Next =>
  Retry.next(
    {
      safety: call.operation.safety,
      attempts: call.attempts,
      maxAttempts: call.policy.attempts,
      maybeDone: call.maybeDone,
      keyUntil: keyUntil(call),
      replayable: call.isReplayable
    },
    failure,
    now
  )

const isKeyExpired = (call: RunningCall, now: number): boolean => now >= (keyUntil(call) ?? Number.POSITIVE_INFINITY)

type StepOf = Effect.Success<ReturnType<typeof Schedule.toStep<unknown, AttemptFailure, never, never>>>

/** The schedule's state, made at the first failure of a call and kept while it runs. */
const steps = new WeakMap<RunningCall, StepOf>()

const stepOf = (call: RunningCall): Effect.Effect<StepOf> => {
  const found = steps.get(call)
  if (found !== undefined) return Effect.succeed(found)
  const schedule: BackoffSchedule = call.policy.schedule ?? Retry.fullJitter(call.policy.backoff)
  return Effect.map(Schedule.toStep(schedule), (made) => {
    steps.set(call, made)
    return made
  })
}

/** Milliseconds before the next attempt, never below the hint; `undefined` when the schedule is at its end. */
const delayOf = Effect.fnUntraced(function* (call: RunningCall, failure: AttemptFailure, now: number) {
  const step = yield* stepOf(call)
  const delay = yield* Pull.matchEffect(step(now, failure), {
    onSuccess: ([, duration]) => Effect.succeed(Duration.toMillis(duration)),
    onFailure: () => Effect.succeed(undefined),
    onDone: () => Effect.succeed(undefined)
  })
  return delay === undefined ? undefined : delay + (failure.hintMillis ?? 0)
})

/** The end of a call: its error, or the last answer where the caller wants answers. */
const end = Effect.fnUntraced(function* (
  call: RunningCall,
  fiber: AnyFiber,
  failure: AttemptFailure,
  error: ProviderError,
  why: string
) {
  yield* CallLog.failed(call, fiber, call.now, failure, why)
  const answer = failure.status === undefined ? undefined : call.kind.lastAnswer?.(call)
  if (answer === undefined) return yield* Effect.fail(error)
  call.handedOn = error
  return answer
})

const giveUp = (call: RunningCall, fiber: AnyFiber, failure: AttemptFailure, denial: Denial, why: string) => {
  const now = nowOf(fiber)
  CallLog.retryDenied(call, fiber, denial)
  return end(
    call,
    fiber,
    failure,
    CallErrors.ending(call, failure, "give up", now, keyUntil(call)),
    `giving up: ${why}`
  )
}

/** Takes a newer credential than the one that was refused, once a call, outside of any slot. */
const refreshed = Effect.fnUntraced(function* (
  call: RunningCall,
  fiber: AnyFiber,
  generation: number,
  refresh: NonNullable<NonNullable<RunningCall["connection"]["options"]["credential"]>["refresh"]>
) {
  const before = nowOf(fiber)
  call.refreshedFrom = generation
  const outcome = yield* Effect.result(Effect.timeoutOption(refresh(generation), Math.max(0, call.deadlineAt - before)))
  const waited = nowOf(fiber) - before
  CallLog.waited(call, fiber, "credential", waited)
  if (outcome._tag === "Failure") {
    CallLog.refreshed(call, fiber, outcome.failure.revoked ? "revoked" : "failed")
    return refusal(
      outcome.failure.revoked
        ? new CredentialRejected({})
        : new CredentialUnavailable({ detail: outcome.failure.detail })
    )
  }
  if (Option.isNone(outcome.success)) {
    CallLog.refreshed(call, fiber, "failed")
    return refusal(new CredentialUnavailable({ detail: "no answer before the deadline" }))
  }
  const isNewer = outcome.success.value.generation > generation
  CallLog.refreshed(call, fiber, isNewer ? "newer" : "nothing newer")
  return isNewer ? undefined : ("nothing newer" as const)
})

/** A 401 with a credential that can be refreshed: `undefined` when it is not one. */
const afterUnauthorized = Effect.fnUntraced(function* (call: RunningCall, fiber: AnyFiber, failure: AttemptFailure) {
  const source = call.connection.options.credential
  if (failure.reason._tag !== "Unauthorized" || source?.refresh === undefined || call.credential === undefined)
    return undefined
  if (call.refreshedFrom !== undefined)
    return { ...failure, reason: new CredentialRejected({ status: failure.reason.status, code: failure.reason.code }) }
  const problem = yield* refreshed(call, fiber, call.credential.generation, source.refresh)
  if (problem === "nothing newer") return undefined
  if (problem !== undefined) return { ...failure, reason: problem.reason }
  return call.isReplayable ? anotherAttempt : { ...failure, reason: renewed }
})

/** The refresh was for the next call: this one has nothing left to send. */
const renewed = new CredentialUnavailable({
  detail: "it was refused and has been refreshed, but the body cannot be sent again"
})

/** Waits, if another attempt may follow, or ends the call. Succeeds with `anotherAttempt` or with the answer to hand on. @category recovery @since 0.1.0 */
export const afterFailure = Effect.fnUntraced(function* (
  call: RunningCall,
  fiber: AnyFiber,
  original: AttemptFailure
): Effect.fn.Return<unknown, ProviderError> {
  const credential = yield* afterUnauthorized(call, fiber, original)
  if (credential === anotherAttempt) {
    yield* CallLog.failed(call, fiber, call.now, original, "trying again with a newer credential")
    return anotherAttempt
  }
  const failure = credential ?? original
  call.lastFailure = failure
  if (failure.reason._tag === "CredentialUnavailable") {
    return failure.reason === renewed
      ? yield* giveUp(call, fiber, failure, "body", "the body cannot be sent again")
      : yield* giveUp(call, fiber, failure, "credential", "no newer credential is to be had")
  }
  const now = nowOf(fiber)
  const next = nextOf(call, failure, now)
  if (next === "final" || next === "unknown") {
    if (!isFatalReason(failure.reason)) CallLog.retryDenied(call, fiber, isKeyExpired(call, now) ? "key" : "safety")
    const why = next === "final" ? "final" : "outcome unknown, not sent again"
    return yield* end(call, fiber, failure, CallErrors.ending(call, failure, next, now, keyUntil(call)), why)
  }
  if (next === "give up") {
    return call.isReplayable
      ? yield* giveUp(call, fiber, failure, "attempts", `${call.attempts} attempts made`)
      : yield* giveUp(call, fiber, failure, "body", "the body cannot be sent again")
  }
  return yield* waitAndRetry(call, fiber, failure)
})

const waitAndRetry = Effect.fnUntraced(function* (call: RunningCall, fiber: AnyFiber, failure: AttemptFailure) {
  const now = nowOf(fiber)
  const hint = failure.hintMillis ?? 0
  if (hint > call.policy.hintCapMillis)
    return yield* giveUp(
      call,
      fiber,
      failure,
      "hint",
      `asked to wait ${CallLog.inWords(hint)}, longer than the hint cap`
    )
  const delay = yield* delayOf(call, failure, now)
  if (delay === undefined) return yield* giveUp(call, fiber, failure, "schedule", "the schedule has ended")
  if (now + delay >= call.deadlineAt)
    return yield* giveUp(
      call,
      fiber,
      failure,
      "deadline",
      `a wait of ${CallLog.inWords(delay)} does not fit the deadline`
    )
  const until = call.maybeDone ? keyUntil(call) : undefined
  if (until !== undefined && now + delay >= until) {
    CallLog.retryDenied(call, fiber, "key")
    const why = `outcome unknown, the key expires within ${CallLog.inWords(delay)}`
    return yield* end(call, fiber, failure, CallErrors.unknown(call, failure, now), why)
  }
  const open = call.lane.breaker.peek(call, fiber, now)
  const watchesOnly = ShadowMode.isShadow(call, "breaker")
  if (open > delay && !watchesOnly)
    return yield* giveUp(call, fiber, failure, "circuit", `the circuit is open for ${CallLog.inWords(open)}`)
  const stopped = Stopping.refusalOf(call)
  if (stopped !== undefined) return yield* giveUp(call, fiber, failure, "stopped", stopped.reason.message)
  const throttled = failure.reason._tag === "RateLimited"
  const paid = call.connection.retries.withdraw(throttled, watchesOnly || call.lane.breaker.isClosed, now)
  if (paid === undefined) {
    if (isFatalReason(failure.reason)) return yield* Effect.die(new Error("a fatal failure is never retried"))
    CallLog.retryDenied(call, fiber, "budget")
    const error = CallErrors.retryable(call, failure, CallErrors.spent(failure.reason), now, keyUntil(call))
    return yield* end(call, fiber, failure, error, "giving up: the retry budget is spent")
  }
  call.retryPaid = paid
  yield* CallLog.failed(call, fiber, call.now, failure, `trying again in ${CallLog.inWords(delay)}`)
  CallLog.waited(call, fiber, "backoff", delay)
  yield* Effect.sleep(Duration.millis(delay))
  return anotherAttempt
})
