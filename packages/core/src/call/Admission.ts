/**
 * What stands before an attempt: credential ready ▸ rate budget ▸ bulkhead ▸ breaker admission (ADR 0002).
 *
 * Nothing that waits holds a slot, a probe or a token of another policy. So an open breaker is peeked, which is free, before any wait, and admits last, with only
 * the wire behind it; who waits for a slot has given its rate token back, and takes one again when it has the slot. The way without a wait makes no effect at all.
 * @internal
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { Place } from "../policy/RateBudget.ts"
import type { AttemptFailure } from "../vocabulary/AttemptFailure.ts"
import { refusal } from "../vocabulary/AttemptFailure.ts"
import { CredentialRejected } from "../vocabulary/FatalReason.ts"
import {
  CircuitOpen,
  CredentialUnavailable,
  DeadlineExceeded,
  Overloaded,
  RateLimited
} from "../vocabulary/RetryableReason.ts"
import * as CallLog from "./CallLog.ts"
import type { RunningCall } from "./RunningCall.ts"
import { nowOf } from "./RunningCall.ts"
import * as ShadowMode from "./ShadowMode.ts"
import * as Stopping from "./Stopping.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** Calls of the refresh lane carry no credential: they are made to get one. */
const needsCredential = (call: RunningCall): boolean =>
  call.connection.options.credential !== undefined && call.lane === call.connection.calls

const credentialReady = (call: RunningCall): boolean => {
  if (!needsCredential(call)) return true
  const ready = call.connection.options.credential?.peek()
  if (ready === undefined) return false
  call.credential = ready
  return true
}

/** Takes everything an attempt needs if all of it is to be had now; otherwise takes nothing. @category admission @since 0.1.0 */
export const tryNow = (call: RunningCall, fiber: AnyFiber, now: number): boolean => {
  const { lane } = call
  const { rate } = call.connection
  call.route = rate.routeOf(call.operation, call.partition, now)
  if (lane.breaker.peek(call, fiber, now) > 0 || rate.expected(call, now) > 0 || !credentialReady(call)) return false
  if (!lane.bulkhead.tryAcquire(call)) return false
  rate.hold(call)
  lane.breaker.admit(call, now, call.policy.attemptMillis)
  return true
}

const circuitOpen = (millis: number): AttemptFailure =>
  refusal(new CircuitOpen({ retryAfter: Duration.millis(millis) }))

const deadlineExceeded = (call: RunningCall): AttemptFailure =>
  refusal(new DeadlineExceeded({ deadline: Duration.millis(call.deadlineAt - call.startedAt) }))

/** The refusal of an open circuit, before a wait. In shadow mode that is told where it admits, and nowhere else. */
const refusedByCircuit = (call: RunningCall, fiber: AnyFiber, now: number): AttemptFailure | undefined => {
  const open = call.lane.breaker.peek(call, fiber, now)
  return open > 0 && !ShadowMode.isShadow(call, "breaker") ? circuitOpen(open) : undefined
}

/** The refusal that no wait would change, if there is one. @category admission @since 0.1.0 */
export const refusedNow = (call: RunningCall, fiber: AnyFiber, now: number): AttemptFailure | undefined =>
  now >= call.deadlineAt ? deadlineExceeded(call) : refusedByCircuit(call, fiber, now)

/** Waits for the credential, without holding anything. */
const awaitCredential = Effect.fnUntraced(function* (call: RunningCall, fiber: AnyFiber) {
  const source = call.connection.options.credential
  if (source === undefined) return undefined
  const before = nowOf(fiber)
  const outcome = yield* Effect.result(Effect.timeoutOption(source.current, call.deadlineAt - before))
  CallLog.waited(call, fiber, "credential", nowOf(fiber) - before)
  if (outcome._tag === "Failure") {
    return refusal(
      outcome.failure.revoked
        ? new CredentialRejected({})
        : new CredentialUnavailable({ detail: outcome.failure.detail })
    )
  }
  if (Option.isNone(outcome.success)) return deadlineExceeded(call)
  call.credential = outcome.success.value
  return refusedByCircuit(call, fiber, nowOf(fiber))
})

const rateLimited = (millis: number): AttemptFailure =>
  refusal(new RateLimited({ by: "budget", retryAfter: Duration.millis(Math.ceil(millis)) }))

/** Waits until the place is given its tokens, or comes first, or so long. */
const awaitChange = (place: Place, millis: number): Effect.Effect<unknown> => {
  const { isFirst } = place
  return Effect.timeoutOption(
    Effect.callback<void>((resume) => {
      // In a turn of its own: run inside the leaving of the one before, a line that empties at once would leave from its end, and overflow the stack.
      place.onChange = () => resume(Effect.yieldNow)
      if (place.granted || place.isFirst !== isFirst) place.onChange()
    }),
    millis
  )
}

/** Stands in line until the tokens are given; `until` is the last instant at which they are of use. Only who is first watches the clock. */
const inLine = Effect.fnUntraced(function* (call: RunningCall, fiber: AnyFiber, place: Place, until: number) {
  const { rate } = call.connection
  while (!place.granted) {
    const now = nowOf(fiber)
    const wait = rate.wait(call, now)
    if (place.isFirst ? now + wait > until : now >= until) return rateLimited(wait)
    yield* awaitChange(place, place.isFirst ? Math.ceil(wait) : until - now)
    rate.serve(nowOf(fiber))
  }
  return undefined
})

/** Takes the rate tokens, after those who wait already. A wait that does not fit is refused now. */
const awaitRate = Effect.fnUntraced(function* (call: RunningCall, fiber: AnyFiber) {
  const { rate } = call.connection
  const before = nowOf(fiber)
  const longest = Math.min(call.policy.rateWaitMillis - call.rateWaited, call.deadlineAt - before - 1)
  call.route = rate.routeOf(call.operation, call.partition, before)
  const expected = rate.expected(call, before)
  if (expected > longest) return rateLimited(expected)
  const place = rate.join(call, before)
  if (place === undefined) return rateLimited(expected)
  // A field of the call in the same instant, so that whoever is interrupted before the next step has left the line too.
  call.place = place
  const refused = yield* inLine(call, fiber, place, before + longest)
  call.leaveLine(nowOf(fiber))
  const waited = nowOf(fiber) - before
  call.rateWaited += waited
  if (waited > 0) CallLog.waited(call, fiber, "rate", waited)
  return refused
})

/** Whoever is given a slot goes on in a turn of its own: run inside the release, a queue that empties at once would overflow the stack. */
const nextTurn = Effect.as(Effect.yieldNow, true)

/** Waits for a slot in the queue. `release` of the call gives back a slot that came in the instant of an interruption. */
const awaitSlot = Effect.fnUntraced(function* (call: RunningCall, fiber: AnyFiber) {
  const { bulkhead } = call.lane
  const { queueMillis } = call.policy.bulkhead
  const { concurrency } = bulkhead
  const before = nowOf(fiber)
  const longest = Math.min(queueMillis - call.slotWaited, call.deadlineAt - before)
  const queued = Effect.callback<boolean>((resume) => {
    const leave = bulkhead.join(call, () => resume(nextTurn))
    if (leave === undefined) resume(Effect.succeed(false))
    return Effect.sync(() => leave?.())
  })
  const joined = yield* Effect.timeoutOption(queued, Math.max(0, longest))
  const after = nowOf(fiber)
  call.slotWaited += after - before
  if (!call.slot && Option.isSome(joined)) return refusal(new Overloaded({ problem: "queue full", concurrency }))
  CallLog.waited(call, fiber, "slot", after - before)
  if (call.slot) return undefined
  return after >= call.deadlineAt
    ? deadlineExceeded(call)
    : refusal(new Overloaded({ problem: "queued too long", concurrency }))
})

/** Takes a slot that there is not. */
const passBulkhead = (call: RunningCall, fiber: AnyFiber): void => {
  const { bulkhead } = call.lane
  const { concurrency } = bulkhead
  if (bulkhead.force(call)) ShadowMode.waited(call, fiber, "bulkhead")
  else ShadowMode.refused(call, fiber, "bulkhead", refusal(new Overloaded({ problem: "queue full", concurrency })))
}

/** One round: `undefined` when everything is held, a failure when the call is refused, `"again"` when what was had is gone. */
const round = Effect.fnUntraced(function* (call: RunningCall, fiber: AnyFiber) {
  const now = nowOf(fiber)
  const refusedAtOnce = refusedNow(call, fiber, now)
  if (refusedAtOnce !== undefined) return refusedAtOnce
  if (!credentialReady(call)) {
    const refused = yield* awaitCredential(call, fiber)
    if (refused !== undefined) return refused
  }
  // In shadow mode it is asked when everything else is there.
  const watchesRate = ShadowMode.isShadow(call, "rate")
  const limited = watchesRate ? undefined : yield* awaitRate(call, fiber)
  if (limited !== undefined) return limited
  if (call.lane.bulkhead.tryAcquire(call)) return undefined
  if (ShadowMode.isShadow(call, "bulkhead")) {
    passBulkhead(call, fiber)
    return undefined
  }
  call.connection.rate.refund(call, nowOf(fiber))
  const overloaded = yield* awaitSlot(call, fiber)
  if (overloaded !== undefined) return overloaded
  if (watchesRate) return undefined
  const { rate } = call.connection
  call.route = rate.routeOf(call.operation, call.partition, nowOf(fiber))
  if (rate.take(call, nowOf(fiber))) return undefined
  call.lane.bulkhead.release(call)
  return "again"
})

/** Waits for whatever an attempt needs, each wait within its bound and the deadline; the refusal, if it cannot be had. @category admission @since 0.1.0 */
export const wait = Effect.fnUntraced(function* (call: RunningCall, fiber: AnyFiber) {
  while (true) {
    const outcome = yield* round(call, fiber)
    if (outcome === "again") continue
    if (outcome !== undefined) return outcome
    const now = nowOf(fiber)
    // It may have been stopped while it waited.
    const stopped = Stopping.refusalOf(call)
    if (stopped !== undefined) {
      call.release(now)
      return stopped
    }
    const open = call.lane.breaker.peek(call, fiber, now)
    if (now < call.deadlineAt && (open === 0 || ShadowMode.isShadow(call, "breaker"))) {
      if (ShadowMode.isShadow(call, "rate")) ShadowMode.passRate(call, fiber, now)
      // What an open circuit lets out gets no ticket: it is not there, as the circuit sees it, and its end says nothing.
      if (open === 0) call.lane.breaker.admit(call, now, call.policy.attemptMillis)
      else ShadowMode.refused(call, fiber, "breaker", circuitOpen(open))
      // A newer one may have come while the call waited.
      credentialReady(call)
      return undefined
    }
    call.release(now)
    return now < call.deadlineAt ? circuitOpen(open) : deadlineExceeded(call)
  }
})
