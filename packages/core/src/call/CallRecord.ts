/**
 * The idempotency record of a call: claimed before anything is sent, settled with what the call came to (ADR 0008). Only calls that have a key and a store come here.
 *
 * A store is asked in a fiber that nobody interrupts: a claim that was asked for and not heard of would bind the key until its lease ends. Whoever stops waiting for one sees to it that it is given back.
 * One that answers at once is asked in the call's own step (`ImmediateRecords`), where there is nothing to wait for.
 * @internal
 */
// A call ends with whatever its declaration says.
// @effect-diagnostics anyUnknownInErrorContext:off
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { Answer as ClaimAnswer, Claim, Settlement } from "../store/IdempotencyStore.ts"
import { IdempotencyStore } from "../store/IdempotencyStore.ts"
import type { ClaimRequest } from "../store/IdempotencyRecord.ts"
import { scopeOf } from "../store/IdempotencyRecord.ts"
import * as ImmediateRecords from "../store/ImmediateRecords.ts"
import type { Payload } from "../store/Payload.ts"
import type { StaleClaim } from "../store/StoreError.ts"
import { StoreError } from "../store/StoreError.ts"
import type { AttemptFailure } from "../vocabulary/AttemptFailure.ts"
import { refusal } from "../vocabulary/AttemptFailure.ts"
import { IdempotencyMismatch, InvalidRequest, RecordUnusable, Unresolved } from "../vocabulary/FatalReason.ts"
import * as Fingerprints from "../vocabulary/Fingerprint.ts"
import type { HttpClientRequest } from "../vocabulary/Platform.ts"
import { UrlParams } from "../vocabulary/Platform.ts"
import { Locked, StoreUnavailable } from "../vocabulary/RetryableReason.ts"
import { windowMargin } from "../vocabulary/MethodSafety.ts"
import { attribute } from "../vocabulary/Telemetry.ts"
import * as Telemetry from "../vocabulary/Telemetry.ts"
import type { KeyOptions } from "../vocabulary/Safety.ts"
import * as CallLog from "./CallLog.ts"
import * as KeptOutcomes from "./KeptOutcome.ts"
import * as RecordEnd from "./RecordEnd.ts"
import type { RunningCall } from "./RunningCall.ts"
import { nowOf } from "./RunningCall.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>
type Store = IdempotencyStore["Service"]

/** A claim outlives the deadline of its call by so much: what ends at the deadline has to be settled. */
const leaseMargin = Duration.seconds(5)

/** A call waits no longer for its record to be settled, or for word that a request leaves. */
const patience = Duration.seconds(5)

/** Outcomes are kept at least so long. */
const leastRetention = Duration.hours(24)

/** The row of a call that did nothing is kept so long, for its fence. */
const undoneMillis = Duration.toMillis(Duration.hours(1))
const leaseMarginMillis = Duration.toMillis(leaseMargin)
const marginMillis = Duration.toMillis(windowMargin)

/** Declarations do not change, and a window is a text that takes its time to read. */
const windows = new WeakMap<KeyOptions, number>()

const millisOf = (keys: KeyOptions): number => {
  const millis = windows.get(keys) ?? Duration.toMillis(keys.window)
  windows.set(keys, millis)
  return millis
}

/** How long the other side remembers the key; `undefined` where nobody says. @category accessors @since 0.1.0 */
export const windowOf = ({ kind, operation: { keys } }: RunningCall): number | undefined =>
  keys === undefined ? kind.memory?.windowMillis : millisOf(keys)

/** The store at hand: the caller's, or else the one that the layer was built with. @category accessors @since 0.1.0 */
export const storeOf = (call: RunningCall, fiber: AnyFiber): Store | undefined =>
  Context.getOrUndefined(fiber.context, IdempotencyStore) ?? call.connection.options.records

/** @category models @since 0.1.0 */
export class CallRecord {
  readonly store: Store
  /** The same, where it answers at once. */
  readonly immediate: ImmediateRecords.ImmediateRecords | undefined
  /** What came of asking, where it was asked at once. */
  told: Exit.Exit<ClaimAnswer, StoreError> | undefined = undefined
  /** Under way, or done. */
  claiming: Fiber.Fiber<ClaimAnswer, StoreError> | undefined = undefined
  /** The record says that a request may have left. */
  sent: boolean

  constructor(store: Store, sent: boolean) {
    this.store = store
    this.immediate = ImmediateRecords.of(store)
    this.sent = sent
  }

  /** What was claimed, as far as that is known. */
  get claim(): Claim | undefined {
    return grantedBy(this.told ?? this.claiming?.pollUnsafe())
  }
}

const grantedBy = (exit: Exit.Exit<ClaimAnswer, StoreError> | undefined): Claim | undefined =>
  exit !== undefined && Exit.isSuccess(exit) && exit.value._tag === "Granted" ? exit.value.claim : undefined

/** The record that a call with a key has; `undefined` where there is nowhere to write it. @category constructors @since 0.1.0 */
export const of = (call: RunningCall, fiber: AnyFiber): CallRecord | undefined => {
  const store = storeOf(call, fiber)
  return store === undefined || call.kind.memory === undefined
    ? undefined
    : new CallRecord(store, call.operation.safety === "keyed")
}

/** Path and query, without the origin: an account may have several. */
const pathOf = ({ url, urlParams }: HttpClientRequest.HttpClientRequest): string => {
  const query = urlParams.params.length === 0 ? "" : `?${UrlParams.toString(urlParams)}`
  return url.slice(Math.max(0, url.indexOf("/", url.indexOf("://") + 3))) + query
}

/** Of a body that is not bytes, what is known before it is sent. */
const unread = ({ body, method }: HttpClientRequest.HttpClientRequest): string =>
  body._tag === "Empty" || body._tag === "Uint8Array"
    ? method
    : `${method} ${body._tag} ${body.contentType ?? ""} ${body.contentLength ?? ""}`

const fingerprintOf = ({ kind, operation, request }: RunningCall): string => {
  if (request === undefined) return Fingerprints.of({ method: operation.name, path: kind.memory?.fingerprint ?? "" })
  const body = request.body._tag === "Uint8Array" ? request.body.body : undefined
  return Fingerprints.of({ method: unread(request), path: pathOf(request), body })
}

const leaseOf = (call: RunningCall, now: number): number =>
  Math.ceil(Math.max(0, call.deadlineAt - now)) + leaseMarginMillis

/** What a claim came to: the call goes on, is refused, or was made before. @category models @since 0.1.0 */
export type Claimed =
  | { readonly _tag: "Granted" }
  | { readonly _tag: "Refused"; readonly failure: AttemptFailure }
  /** Nothing is sent, and nobody knows what an earlier call did. */
  | { readonly _tag: "Unresolved"; readonly failure: AttemptFailure }
  | {
      readonly _tag: "Settled"
      readonly kept: KeptOutcomes.KeptOutcome
      readonly replay: Effect.Effect<unknown, unknown>
    }

const refused = (reason: Parameters<typeof refusal>[0]): Claimed => ({ _tag: "Refused", failure: refusal(reason) })

/** What a key or a scope is refused for, as a reason of ours. @category constructors @since 0.1.0 */
export const invalid = ({ detail }: StoreError): InvalidRequest =>
  new InvalidRequest({ field: "idempotency key", detail: detail.replace(/^(?:key|scope) /u, "") })

const ofStoreError = (error: StoreError): AttemptFailure["reason"] => {
  switch (error.problem) {
    case "invalid":
      return invalid(error)
    case "newer":
    case "corrupt":
    case "in transaction":
      return new RecordUnusable({ problem: error.problem })
    default:
      return unavailable(error)
  }
}

const unavailable = ({ operation, problem, store }: Pick<StoreError, "store" | "operation" | "problem">) =>
  new StoreUnavailable({ store, operation, problem })

const silent = (operation: string) => unavailable({ store: "idempotency", operation, problem: "timeout" })

/** An earlier call may have sent it: this one goes on, and its window counts from then. Clocks differ, spans do not. */
const resume = (call: RunningCall, claim: Claim, leaseMillis: number): void => {
  if (claim.firstSentAt === undefined) return
  const sinceMillis = Math.max(0, claim.leaseUntil - leaseMillis - claim.firstSentAt)
  call.firstSentAt = call.now - sinceMillis
  call.maybeDone = true
}

const settled = (call: RunningCall, { payload }: Extract<ClaimAnswer, { readonly _tag: "Settled" }>): Claimed => {
  if (payload.version > KeptOutcomes.version) return refused(new RecordUnusable({ problem: "newer" }))
  const kept = payload.value
  if (payload.version !== KeptOutcomes.version || !KeptOutcomes.isKept(kept))
    return refused(new RecordUnusable({ problem: "corrupt" }))
  if (kept.outcome === undefined) return refused(new RecordUnusable({ problem: "not kept" }))
  call.replayed = true
  const replay = call.kind.memory?.recall(call, kept.outcome)
  if (replay !== undefined) return { _tag: "Settled", kept, replay }
  call.replayed = false
  return refused(new RecordUnusable({ problem: "unreadable" }))
}

const claimedBy = (call: RunningCall, answer: ClaimAnswer, leaseMillis: number): Claimed => {
  switch (answer._tag) {
    case "Granted":
      resume(call, answer.claim, leaseMillis)
      return { _tag: "Granted" }
    case "Settled":
      return settled(call, answer)
    case "Locked":
      // Whoever is at it may have sent it: nobody may send it under another key, or elsewhere.
      call.maybeDone = true
      return refused(new Locked({ retryAfter: Duration.millis(Math.ceil(answer.retryAfterMillis)) }))
    case "Mismatch":
      return refused(new IdempotencyMismatch({ detail: "the key was used for another request before" }))
    case "Unknown":
      call.firstSentAt = answer.firstSentAt
      return { _tag: "Unresolved", failure: refusal(new Unresolved({})) }
  }
}

const labels = {
  Granted: "granted",
  Settled: "replayed",
  Locked: "locked",
  Mismatch: "mismatched",
  Unknown: "unresolved"
} as const satisfies Record<ClaimAnswer["_tag"], Telemetry.RecordClaim>

const counted = (call: RunningCall, fiber: AnyFiber, outcome: Telemetry.RecordClaim): void =>
  call.connection.metrics(call.operation).claimed(outcome, fiber.context)

/** What came of asking; without an answer by the deadline, the store is taken to be down. */
const read = (
  call: RunningCall,
  fiber: AnyFiber,
  exit: Exit.Exit<ClaimAnswer, StoreError> | undefined,
  leaseMillis: number
): Exit.Exit<Claimed> => {
  if (exit !== undefined && Exit.isSuccess(exit)) {
    const claimed = claimedBy(call, exit.value, leaseMillis)
    const isResumed = claimed._tag === "Granted" && call.maybeDone
    counted(call, fiber, isResumed ? "resumed" : labels[exit.value._tag])
    return Exit.succeed(claimed)
  }
  const error = exit === undefined ? undefined : Cause.findErrorOption(exit.cause)
  if (exit !== undefined && error?._tag !== "Some") return Exit.failCause(exit.cause as Cause.Cause<never>)
  counted(call, fiber, "unclaimed")
  return Exit.succeed(refused(error?._tag === "Some" ? ofStoreError(error.value) : silent("claim")))
}

const requestOf = (call: RunningCall, leaseMillis: number): ClaimRequest => {
  const { connection, key, operation } = call
  const { environment, id } = connection.options
  const isKeyed = operation.safety === "keyed"
  const window = windowOf(call)
  return {
    scope: scopeOf({ operation: operation.name, connection: id, environment }),
    key: key?.key ?? "",
    fingerprint: fingerprintOf(call),
    leaseMillis,
    windowMillis: isKeyed ? window && Math.max(0, window - marginMillis) : 0,
    sendsNow: isKeyed
  }
}

/** Asks in a fiber of its own, and waits until the deadline. */
const asked = (
  call: RunningCall,
  fiber: AnyFiber,
  record: CallRecord,
  request: ClaimRequest
): Effect.Effect<Claimed> => {
  const { leaseMillis } = request
  const before = call.now
  const after = (exit: Exit.Exit<ClaimAnswer, StoreError> | undefined) => {
    const claimed = read(call, fiber, exit, leaseMillis)
    call.now = Math.max(before, nowOf(fiber))
    return claimed
  }
  return Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.forkDetach(record.store.claim(request), { startImmediately: true }), (claiming) => {
      record.claiming = claiming
      const exit = claiming.pollUnsafe()
      if (exit !== undefined) return after(exit)
      const left = Duration.millis(Math.max(0, call.deadlineAt - before))
      return Effect.flatMap(restore(Effect.timeoutOption(Fiber.await(claiming), left)), (heard) =>
        after(Option.getOrUndefined(heard))
      )
    })
  )
}

/** Asks for the right to make the call, and goes on with what that comes to. @category combinators @since 0.1.0 */
export const claim = <A, E>(
  call: RunningCall,
  fiber: AnyFiber,
  record: CallRecord,
  goOn: (claimed: Claimed) => Effect.Effect<A, E>
): Effect.Effect<A, E> => {
  const leaseMillis = leaseOf(call, call.now)
  const request = requestOf(call, leaseMillis)
  const { immediate } = record
  if (immediate === undefined) return Effect.flatMap(asked(call, fiber, record, request), goOn)
  record.told = immediate.claim(request, call.now)
  const claimed = read(call, fiber, record.told, leaseMillis)
  return Exit.isSuccess(claimed) ? goOn(claimed.value) : Effect.failCause(claimed.cause)
}

/** Runs to its end, whoever waits for it; `undefined` where that takes longer than somebody waits. @category combinators @since 0.1.0 */
export const heard = <A, E>(asked: Effect.Effect<A, E>, millis: number): Effect.Effect<Exit.Exit<A, E> | undefined> =>
  Effect.flatMap(Effect.forkDetach(asked, { startImmediately: true }), (asking) => {
    const exit = asking.pollUnsafe()
    return exit !== undefined
      ? Effect.succeed(exit)
      : Effect.map(Effect.timeoutOption(Fiber.await(asking), Duration.millis(millis)), Option.getOrUndefined)
  })

const patienceMillis = Duration.toMillis(patience)

const errorIn = (exit: Exit.Exit<unknown, StoreError | StaleClaim> | undefined): StoreError | StaleClaim | undefined =>
  exit === undefined || Exit.isSuccess(exit) ? undefined : Option.getOrUndefined(Cause.findErrorOption(exit.cause))

/**
 * Writes that the first request leaves now; says why it must not. The one wait that holds a slot and tokens: written sooner, a call that waited in between and died would be taken for one that was sent.
 * @category combinators @since 0.1.0
 */
export const announce = (
  call: RunningCall,
  fiber: AnyFiber,
  record: CallRecord
): Effect.Effect<AttemptFailure | undefined> => {
  const { claim } = record
  const { now } = call
  if (claim === undefined) return Effect.die(new Error("a record that was not claimed"))
  const leaseMillis = leaseOf(call, now)
  if (record.immediate !== undefined)
    return Effect.succeed(announced(call, record, record.immediate.sending(claim, leaseMillis, nowOf(fiber))))
  const millis = Math.min(patienceMillis, Math.max(0, call.deadlineAt - now))
  return Effect.map(heard(record.store.sending(claim, leaseMillis), millis), (exit) => {
    call.now = nowOf(fiber)
    return announced(call, record, exit)
  })
}

const announced = (
  call: RunningCall,
  record: CallRecord,
  exit: Exit.Exit<void, StoreError | StaleClaim> | undefined
): AttemptFailure | undefined => {
  if (exit !== undefined && Exit.isSuccess(exit)) {
    record.sent = true
    return undefined
  }
  const error = errorIn(exit)
  if (error === undefined) return refusal(silent("sending"))
  if (error instanceof StoreError) return refusal(ofStoreError(error))
  // The lease has ended, and somebody else has the key.
  call.maybeDone = true
  return refusal(new Locked({}))
}

const settlementOf = (call: RunningCall, exit: Exit.Exit<unknown, unknown>, now: number): Settlement => {
  const end = RecordEnd.of(call, exit)
  if (end === "Undone") return { _tag: end, retentionMillis: undoneMillis }
  if (end === "Pending" || end === "Unknown") return { _tag: end }
  return kept(call, end, KeptOutcomes.payloadOf(call.kind.memory?.keep(call, exit), now))
}

const kept = (call: RunningCall, end: "Succeeded" | "Failed", payload: Payload): Settlement => ({
  _tag: end,
  payload,
  retentionMillis: Math.max(Duration.toMillis(leastRetention), windowOf(call) ?? 0)
})

/** What is settled in the place of an outcome that the store does not take: that there is none. */
const withoutOutcome = (call: RunningCall, settlement: Settlement, error: unknown): Settlement | undefined => {
  if (!("payload" in settlement && error instanceof StoreError && error.problem === "invalid")) return undefined
  const { value } = settlement.payload
  return kept(
    call,
    settlement._tag,
    KeptOutcomes.payloadOf(undefined, KeptOutcomes.isKept(value) ? value.at : call.now)
  )
}

const settle = (call: RunningCall, { store }: CallRecord, claim: Claim, settlement: Settlement) =>
  Effect.catch(store.settle(claim, settlement), (error) => {
    const less = withoutOutcome(call, settlement, error)
    return less === undefined ? Effect.fail(error) : store.settle(claim, less)
  })

const settleNow = (
  call: RunningCall,
  store: ImmediateRecords.ImmediateRecords,
  claim: Claim,
  settlement: Settlement,
  now: number
) => {
  const exit = store.settle(claim, settlement, now)
  const less = Exit.isSuccess(exit) ? undefined : withoutOutcome(call, settlement, errorIn(exit))
  return less === undefined ? exit : store.settle(claim, less, now)
}

/** The answer is given all the same; the record stays in flight until its lease ends, and is then one that may have been sent. */
const unsettled = (
  call: RunningCall,
  fiber: AnyFiber,
  exit: Exit.Exit<unknown, StoreError | StaleClaim> | undefined
): Effect.Effect<void> => {
  if (exit !== undefined && Exit.isSuccess(exit)) return Effect.void
  const error = errorIn(exit)
  const problem = error instanceof StoreError ? error.problem : error === undefined ? "timeout" : "stale"
  const reason = { [attribute.reason]: problem }
  call.connection.metrics(call.operation).observe(Telemetry.unsettled, fiber.context, reason)
  return CallLog.unsettled(call, fiber, nowOf(fiber), problem)
}

/** Gives back a claim that nobody waited for any more, when it comes. */
const giveBack = (
  call: RunningCall,
  fiber: AnyFiber,
  record: CallRecord,
  claiming: Fiber.Fiber<ClaimAnswer, StoreError>
) =>
  Effect.flatMap(Fiber.await(claiming), (exit) => {
    const claim = grantedBy(exit)
    if (claim === undefined) return Effect.void
    const undone = settle(call, record, claim, { _tag: "Undone", retentionMillis: undoneMillis })
    return Effect.flatMap(Effect.exit(undone), (exit) => unsettled(call, fiber, exit))
  })

/** Settles the record with what the call came to; `undefined` where there is nothing to settle. @category combinators @since 0.1.0 */
export const end = (
  call: RunningCall,
  fiber: AnyFiber,
  exit: Exit.Exit<unknown, unknown>,
  now: number
): Effect.Effect<void> | undefined => {
  const { record } = call
  if (record === undefined) return undefined
  const { claim, claiming, immediate } = record
  if (claim !== undefined) {
    const settlement = settlementOf(call, exit, now)
    if (immediate !== undefined) {
      const settled = settleNow(call, immediate, claim, settlement, nowOf(fiber))
      return Exit.isSuccess(settled) ? undefined : unsettled(call, fiber, settled)
    }
    const settling = heard(settle(call, record, claim, settlement), patienceMillis)
    return Effect.flatMap(settling, (exit) => unsettled(call, fiber, exit))
  }
  if (claiming === undefined || claiming.pollUnsafe() !== undefined) return undefined
  const returned = giveBack(call, fiber, record, claiming)
  // Whoever interrupts waits a little for it; at the deadline nobody does.
  return Exit.hasInterrupts(exit)
    ? Effect.asVoid(heard(returned, patienceMillis))
    : Effect.asVoid(Effect.forkDetach(returned))
}
