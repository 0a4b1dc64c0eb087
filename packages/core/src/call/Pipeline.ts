/**
 * The path of a call, in one place:
 *
 *   encoded once ▸ deadline ▸ dry run ▸ idempotency record (of writes) ▸ answer cache ▸ coalesce (of reads) ▸ retry loop (retry budget before attempt 2…) ▸ hedge ▸
 *     credential ready ▸ rate budget ▸ bulkhead ▸ breaker admission ▸ credential ▸ attempt timeout ( transport ▸ body read, bounded ) ▸ classify
 *   ▸ decode ▸ outcome (metrics, span, log)
 *
 * Each step is a function of the call and the fiber that it runs in, which gives the effect of all that follows; what a call costs is its state and what its policies do (ADR 0002). @internal
 */
// The errors of an attempt are whatever its wire fails with; `classify` is what reads them.
// @effect-diagnostics anyUnknownInErrorContext:off
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Predicate from "effect/Predicate"
import * as Tracer from "effect/Tracer"
import { Mode } from "../definition/AnswerRules.ts"
import type { Sample } from "../policy/Circuit.ts"
import { CurrentDeadline } from "../policy/Deadline.ts"
import * as Answer from "../vocabulary/Answer.ts"
import type { AttemptFailure } from "../vocabulary/AttemptFailure.ts"
import { refusal, unanswered } from "../vocabulary/AttemptFailure.ts"
import type { ProviderError } from "../vocabulary/ProviderError.ts"
import { isProviderError } from "../vocabulary/ProviderError.ts"
import { InvalidRequest, isFatalReason } from "../vocabulary/FatalReason.ts"
import { DeadlineExceeded, Timeout } from "../vocabulary/RetryableReason.ts"
import * as Telemetry from "../vocabulary/Telemetry.ts"
import { BufferedResponse } from "../transport/BufferedResponse.ts"
import { isDirect } from "../transport/DirectClient.ts"
import * as Admission from "./Admission.ts"
import type { AnswerEngine, Way } from "./AnswerPath.ts"
import type { AttemptEnd } from "./Breaker.ts"
import * as CallErrors from "./CallErrors.ts"
import * as CallLog from "./CallLog.ts"
import * as CallNotices from "./CallNotices.ts"
import * as CircuitLog from "./CircuitLog.ts"
import * as CallSpan from "./CallSpan.ts"
import * as CallRecord from "./CallRecord.ts"
import * as DryRuns from "./DryRuns.ts"
import * as Flights from "./Flights.ts"
import * as Hedging from "./Hedging.ts"
import * as Load from "./Load.ts"
import * as Replay from "./Replay.ts"
import * as ShadowMode from "./ShadowMode.ts"
import * as Stopping from "./Stopping.ts"
import { settingsOf } from "./CallSettings.ts"
import { begin as beginKey, keyUntil } from "./CallKey.ts"
import { afterFailure, anotherAttempt } from "./Recovery.ts"
import type { AttemptKind, RunningCall } from "./RunningCall.ts"
import { defects, nowOf } from "./RunningCall.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

const isWrite = (call: RunningCall): boolean => call.operation.safety === "keyed" || call.operation.safety === "unsafe"

/** Ends the call with a refusal of ours: nothing was sent by it. */
const refuse = (
  call: RunningCall,
  fiber: AnyFiber,
  failure: AttemptFailure,
  now: number,
  told?: "unknown"
): Effect.Effect<never, ProviderError> => {
  call.refused = told === undefined
  call.lastFailure = failure
  const next = told ?? (call.maybeDone && isWrite(call) && isFatalReason(failure.reason) ? "unknown" : "give up")
  const ended = Effect.fail(CallErrors.ending(call, failure, next, now, keyUntil(call)))
  const line = CallLog.refused(call, fiber, now, failure)
  return line === undefined ? ended : Effect.andThen(line, ended)
}

/**
 * What goes on the wire, in a fiber of its own: interrupting that fiber is how an attempt ends early. It is run from here and not forked as a child, which would cost a set and an effect more; `cut` ends it
 * with the call.
 */
const onFiber = (
  call: RunningCall,
  fiber: AnyFiber,
  sentOf: (wireFiber: AnyFiber) => Effect.Effect<unknown, unknown>
): Effect.Effect<unknown, unknown> => {
  const wire = Effect.withFiber<unknown, unknown>((wireFiber) => {
    call.wireFiber = wireFiber
    const sent = sentOf(wireFiber)
    return call.attemptSpan === undefined ? sent : Effect.provideService(sent, Tracer.ParentSpan, call.attemptSpan)
  })
  const wireFiber = Effect.runForkWith(fiber.context)(wire)
  const exit = wireFiber.pollUnsafe()
  return exit === undefined ? awaitWire(call, fiber, wireFiber) : conclude(call, fiber, exit)
}

const start = (call: RunningCall, fiber: AnyFiber): Effect.Effect<unknown, unknown> => {
  const { now } = call
  call.attempts++
  Load.sent(call, now)
  const usage = call.connection.rate.spend(call, now)
  if (usage !== undefined) CallNotices.noteUsage(call, usage)
  call.attemptStartedAt = now
  call.firstSentAt ??= now
  call.inDoubt = true
  call.expiry = undefined
  call.answer = undefined
  call.source = undefined
  call.timer.start(call.policy, now, call.deadlineAt)
  return call.span === undefined ? send(call, fiber) : CallSpan.startAttempt(call, () => send(call, fiber))
}

const send = (call: RunningCall, fiber: AnyFiber): Effect.Effect<unknown, unknown> => {
  const { client, kind } = call
  const { exchange } = kind
  return exchange !== undefined && client !== undefined && isDirect(client) && call.body === undefined
    ? exchanging(call, fiber, exchange)
    : onFiber(call, fiber, (wireFiber) => kind.wire(call, wireFiber))
}

/** An attempt over a transport that calls back, which keeps the attempt's time as well. */
const exchanging = (call: RunningCall, fiber: AnyFiber, exchange: NonNullable<AttemptKind["exchange"]>) =>
  Effect.callback<unknown, unknown>((resume) => {
    call.exchange = exchange(call, fiber, (exit) => resume(Effect.suspend(() => exchanged(call, fiber, exit))))
  })

const exchanged = (
  call: RunningCall,
  fiber: AnyFiber,
  exit: Exit.Exit<unknown, unknown>
): Effect.Effect<unknown, unknown> => {
  const further = Exit.isSuccess(exit) ? call.kind.further?.(call, exit.value) : undefined
  if (further === undefined) return conclude(call, fiber, exit)
  call.exchange = undefined
  return onFiber(call, fiber, () => further)
}

/** Sleeps until the attempt's next timeout; a byte that came meanwhile moves it. When one strikes, the wire is cut. */
const watch = Effect.fnUntraced(function* (call: RunningCall, wireFiber: AnyFiber) {
  const clock = yield* Clock.Clock
  while (true) {
    const now = clock.currentTimeMillisUnsafe()
    call.expiry = call.timer.expired(now)
    if (call.expiry !== undefined) return wireFiber.interruptUnsafe()
    yield* clock.sleep(Duration.millis(call.timer.dueAt() - now))
  }
})

/** Waits for an answer that did not come at once. */
const awaitWire = Effect.fnUntraced(function* (call: RunningCall, fiber: AnyFiber, wireFiber: AnyFiber) {
  const watching = yield* Effect.forkChild(watch(call, wireFiber), { startImmediately: true })
  const exit = yield* Fiber.await(wireFiber)
  watching.interruptUnsafe()
  return yield* conclude(call, fiber, exit)
})

const expired = (call: RunningCall, now: number): AttemptFailure => {
  const { expiry, policy } = call
  if (expiry === "deadline") {
    const reason = new DeadlineExceeded({ deadline: Duration.millis(call.deadlineAt - call.startedAt) })
    return unanswered(reason, { sent: "unknown", unhealthy: call.timer.overdue(now) })
  }
  const after = Duration.millis(expiry === "silence" ? policy.silenceMillis : policy.attemptMillis)
  return unanswered(new Timeout({ phase: expiry === "silence" ? "silence" : "attempt", after }), {
    sent: "unknown",
    unhealthy: true
  })
}

/** An answer that is no failure of the provider shows that it is well; one that asks to come later, or none at all, shows nothing. */
const sampleOf = (failure: AttemptFailure | undefined): Sample => {
  if (failure === undefined) return "success"
  if (failure.unhealthy) return "failure"
  const isThrottled = failure.status === 429 || failure.reason._tag === "RateLimited"
  return failure.status === undefined || isThrottled ? "ignored" : "success"
}

const endOf = (call: RunningCall, failure: AttemptFailure | undefined): AttemptEnd => {
  const sample = sampleOf(failure)
  const hint = failure?.hintMillis ?? 0
  return {
    sample,
    originSample: sample === "failure" && failure?.concerns === "connection" ? "success" : sample,
    startedAt: call.attemptStartedAt,
    hintMillis: Math.min(hint, call.policy.hintCapMillis)
  }
}

const settle = (call: RunningCall, fiber: AnyFiber, failure: AttemptFailure | undefined, now: number): void => {
  call.lane.breaker.settle(call, fiber, now, endOf(call, failure))
  Load.ended(call, failure, now)
  Hedging.ended(call, failure, now)
}

/** The caller interrupted the call, or the wire has a bug: neither is an outcome of the attempt. */
const isInterruptedOrDead = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isFailure(exit) && !Cause.hasFails(exit.cause)

const conclude = (
  call: RunningCall,
  fiber: AnyFiber,
  exit: Exit.Exit<unknown, unknown>
): Effect.Effect<unknown, unknown> => {
  call.wireFiber = call.exchange = undefined
  if (call.expiry === undefined && isInterruptedOrDead(exit)) {
    CallSpan.endUnanswered(call, fiber, nowOf(fiber), exit)
    return exit
  }
  const now = nowOf(fiber)
  call.now = now
  const failure =
    call.expiry === undefined || Exit.isSuccess(exit) ? call.kind.classify(call, exit, now) : expired(call, now)
  settle(call, fiber, failure, now)
  const unread = failure === undefined ? undefined : call.body?.discard()
  const changes = CircuitLog.report(call, fiber)
  // After the verdict, since whoever waits for the slot runs at once, and asks the breaker.
  call.releaseSlot()
  const status = CallSpan.wireStatusOf(call, failure)
  CallSpan.measureAttempt(call, fiber, now, status, CallSpan.errorTypeOf(call, failure))
  CallSpan.endAttempt(call, fiber, status, failure)
  if (failure !== undefined) {
    if (call.shadowed !== undefined) return told(changes, Hedging.lost(call, fiber, failure))
    if (failure.sent === "unknown") call.maybeDone = true
    call.inDoubt = false
    call.lastFailure = failure
    const next = Effect.flatMap(afterFailure(call, fiber, failure), (next) =>
      // Goes on with another attempt, or with the last answer as it is.
      next === anotherAttempt ? attempt(call, fiber) : Effect.succeed(next)
    )
    return told(unread, told(changes, next))
  }
  call.connection.retries.deposit(call.retryPaid)
  const result = told(changes, call.kind.result(call, exit))
  return CallLog.isVerbose(fiber) ? CallLog.answered(call, fiber, now, status, result) : result
}

/** What follows, after the lines of circuits that changed. */
const told = <A, E>(lines: Effect.Effect<void> | undefined, next: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  lines === undefined ? next : Effect.andThen(lines, next)

/** An attempt, after the lines of policies that only watched it, and after its record says that it leaves. */
const begun = (call: RunningCall, fiber: AnyFiber): Effect.Effect<unknown, unknown> => {
  const { record, shadowLines } = call
  if (shadowLines !== undefined)
    return Effect.flatMap(ShadowMode.said(call, fiber, shadowLines), () => begun(call, fiber))
  return record === undefined || record.sent ? start(call, fiber) : announcing(call, fiber, record)
}

const announcing = (call: RunningCall, fiber: AnyFiber, record: CallRecord.CallRecord) =>
  Effect.flatMap(CallRecord.announce(call, fiber, record), (unwritten) => {
    // It may have been stopped while its record was written.
    const refused = unwritten ?? Stopping.refusalOf(call)
    return refused === undefined ? start(call, fiber) : refuse(call, fiber, refused, call.now)
  })

/** Attempts until one succeeds, or no further one may be made. */
const attempt = (call: RunningCall, fiber: AnyFiber): Effect.Effect<unknown, unknown> => {
  const now = nowOf(fiber)
  call.now = now
  const stopped = Stopping.refusalOf(call)
  if (stopped !== undefined) return refuse(call, fiber, stopped, now)
  const keptBack = call.lane.throttle === undefined ? undefined : Load.throttled(call, fiber, now)
  if (keptBack !== undefined) return refuse(call, fiber, keptBack, now)
  if (now < call.deadlineAt && Admission.tryNow(call, fiber, now)) return begun(call, fiber)
  // Refused by thousands while a circuit is open: without the steps of a wait.
  const refused = Admission.refusedNow(call, fiber, now)
  if (refused !== undefined) {
    const ended = refuse(call, fiber, refused, now)
    return told(CircuitLog.report(call, fiber), ended)
  }
  return Effect.flatMap(Admission.wait(call, fiber), (refused) => {
    call.now = nowOf(fiber)
    const next = refused === undefined ? begun(call, fiber) : refuse(call, fiber, refused, call.now)
    return told(CircuitLog.report(call, fiber), next)
  })
}

/** The calls of operations that declare something about answers go by what is kept; `AnswerPath` came with the declaration. */
const ways = (call: RunningCall, fiber: AnyFiber, now: number): Effect.Effect<unknown, unknown> => {
  const { answers } = call.connection
  const engine = call.operation.answers === undefined || call.flight ? undefined : engineOf(call)
  if (answers === undefined || engine === undefined) return direct(call, fiber, now)
  call.now = now
  return engine.through(answers, call, fiber, now, way)
}

const engineOf = ({ operation: { answers } }: RunningCall): AnswerEngine | undefined =>
  (answers?.keep ?? answers?.invalidates)?.engine as AnswerEngine | undefined

/** Attempts, and what goes around them where the policy asks for it: a flight that others share, a second attempt beside a slow one. */
const direct = (call: RunningCall, fiber: AnyFiber, now: number): Effect.Effect<unknown, unknown> => {
  const key = call.policy.coalesce ? Flights.keyOf(call) : undefined
  if (key !== undefined) return Flights.share(call, fiber, key, run, (failure, at) => refuse(call, fiber, failure, at))
  return Hedging.isHedged(call) ? Hedging.beside(call, now, attempt, start) : attempt(call, fiber)
}

/** The call, if its record says that it is to be made. */
const recorded = (call: RunningCall, fiber: AnyFiber, record: CallRecord.CallRecord) =>
  CallRecord.claim(call, fiber, record, (claimed): Effect.Effect<unknown, unknown> => {
    switch (claimed._tag) {
      case "Granted":
        return ways(call, fiber, call.now)
      case "Settled":
        return Replay.of(call, fiber, claimed)
      case "Refused":
        return refuse(call, fiber, claimed.failure, call.now)
      case "Unresolved":
        return refuse(call, fiber, claimed.failure, call.now, "unknown")
    }
  })

const begin = (call: RunningCall, fiber: AnyFiber): Effect.Effect<unknown, unknown> => {
  const now = nowOf(fiber)
  call.now = now
  const problem = settingsOf(call, fiber, now, fiber.getRef(CurrentDeadline)) ?? call.problem ?? beginKey(call, fiber)
  const first = () => {
    if (problem !== undefined) return refuse(call, fiber, refusal(problem), now)
    if (DryRuns.isDry(call)) return DryRuns.end(call, fiber, now)
    if (call.key !== undefined) call.record = CallRecord.of(call, fiber)
    return call.record === undefined ? ways(call, fiber, now) : recorded(call, fiber, call.record)
  }
  return CallSpan.isTraced(fiber) && !call.flight ? CallSpan.startCall(call, first) : first()
}

const noteDefects = (cause: Cause.Cause<unknown>): boolean => {
  const died = cause.reasons.filter(Cause.isDieReason)
  for (const { defect } of died) if (Predicate.isObject(defect)) defects.add(defect)
  return died.length > 0
}

const outcomeOf = (call: RunningCall, exit: Exit.Exit<unknown, unknown>): Telemetry.Outcome => {
  if (Exit.isSuccess(exit)) return call.handedOn === undefined ? "ok" : "handed on"
  const error = Cause.findErrorOption(exit.cause)
  if (error._tag === "None") return noteDefects(exit.cause) ? "defect" : "interrupted"
  if (!isProviderError(error.value)) return "declared"
  if (call.refused && call.attempts === 0) return "refused"
  return error.value._tag === "FatalError" ? "fatal" : error.value._tag === "OutcomeUnknown" ? "unknown" : "retryable"
}

/** Ends the call. Returns what is left to do, if anything is. One that was interrupted before its first step is none, and holds nothing. */
const finish = (
  call: RunningCall,
  fiber: AnyFiber,
  exit: Exit.Exit<unknown, unknown>
): Effect.Effect<void> | undefined => {
  if (call.clock === undefined) return undefined
  const now = Exit.isSuccess(exit) ? call.now : nowOf(fiber)
  const outcome = outcomeOf(call, exit)
  const { isUnderWay } = call
  call.release(now)
  // A body that is on its way has the key until it has come.
  if (outcome !== "ok" || call.body?.isOpen !== true) call.key?.end(outcome === "ok")
  const metrics = call.connection.metrics(call.operation)
  if (!call.flight) metrics.ended(outcome, (now - call.startedAt) / 1000, fiber.context)
  if (call.attempts > 1) metrics.observe(Telemetry.retries, fiber.context, {}, call.attempts - 1)
  const reason = call.lastFailure?.reason
  if (outcome !== "ok" && reason !== undefined && reason._tag !== "DryRun" && !call.replayed)
    call.connection.failed(call.operation, reason, now)
  if (isUnderWay) CallSpan.endUnanswered(call, fiber, now, Exit.interrupt())
  if (Exit.isSuccess(exit) && !call.flight && Answer.isCaptured(fiber)) noteAnswer(call, fiber)
  if (!call.flight) CallSpan.endCall(call, fiber, outcome, exit)
  const cut = outcome === "interrupted" ? abandon(call, fiber, now) : isUnderWay ? call.cut() : undefined
  const settled = call.record === undefined ? undefined : CallRecord.end(call, fiber, exit, now)
  const ended = settled === undefined ? cut : told(cut, settled)
  return call.notices === undefined ? ended : told(CallNotices.tell(call, fiber, call.notices), ended ?? Effect.void)
}

/** The caller interrupted the call: the wire is cut, and of a write that may have been carried out it is said that nobody knows. */
const abandon = (call: RunningCall, fiber: AnyFiber, now: number): Effect.Effect<void> => {
  const { isUnderWay } = call
  if (!isWrite(call) || (!isUnderWay && !call.maybeDone)) return call.cut()
  call.connection.metrics(call.operation).observe(Telemetry.abandoned, fiber.context)
  return Effect.andThen(call.cut(), CallLog.abandoned(call, fiber, now, isUnderWay))
}

/** Forgets what is kept for a call, which is not made. */
const forget = (call: RunningCall, fiber: AnyFiber): Effect.Effect<unknown, unknown> => {
  const { answers } = call.connection
  const forgotten = answers === undefined ? undefined : engineOf(call)?.forget(answers, call, fiber)
  if (forgotten !== undefined) return forgotten
  const nothingKept = new InvalidRequest({ field: "operation", detail: "keeps no answers that could be forgotten" })
  return refuse(call, fiber, refusal(call.problem ?? nothingKept), nowOf(fiber))
}

/** Says where the value came from, to whoever listens. */
const noteAnswer = (call: RunningCall, fiber: AnyFiber): void => {
  const { answer, connection, operation, standIn } = call
  const live = answer instanceof BufferedResponse ? connection.requestIdOf(answer.headers) : undefined
  Answer.note(fiber, {
    source: standIn?.source ?? "live",
    age: Duration.millis(standIn?.ageMillis ?? 0),
    operation: operation.name,
    requestId: standIn === undefined ? live : standIn.requestId,
    degradedBy: standIn?.degradedBy
  })
}

/** What the cache is lent. */
const way: Way = { direct, run: (call) => run(call), refuse }

/** Runs a call from its start to its outcome, and gives back everything it took. @category running @since 0.1.0 */
export const run = <A, E = ProviderError>(call: RunningCall): Effect.Effect<A, E> =>
  Effect.withFiber((fiber) =>
    fiber.getRef(Mode) === "forget"
      ? (forget(call, fiber) as Effect.Effect<A, E>)
      : Effect.onExitPrimitive(
          Effect.suspend(() => begin(call, fiber) as Effect.Effect<A, E>),
          (exit) => finish(call, fiber, exit)
        )
  )
