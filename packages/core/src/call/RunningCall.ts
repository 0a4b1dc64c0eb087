/**
 * The state of one call while it runs: what it holds (a slot, tokens, a ticket of the breaker, a key) and what it has come to. Everything that must be given
 * back is a field here, set in the instant in which it is taken, so that one finaliser gives all of it back however the call ends. @internal
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import type * as Tracer from "effect/Tracer"
import type { ResolvedPolicy } from "../definition/CallPolicy.ts"
import type { Operation } from "../definition/Operation.ts"
import type { Expiry } from "../policy/AttemptTimer.ts"
import { AttemptTimer } from "../policy/AttemptTimer.ts"
import type { SlotHolder } from "../policy/Bulkhead.ts"
import type { KeyCell } from "../policy/Idempotency.ts"
import type { Place, Route, TokenHolder } from "../policy/RateBudget.ts"
import { nowhere } from "../policy/RateBudget.ts"
import type { Credential } from "../store/CredentialSource.ts"
import type { AttemptFailure } from "../vocabulary/AttemptFailure.ts"
import type { Notice } from "../vocabulary/Notice.ts"
import type { HttpClient, HttpClientRequest, HttpClientResponse } from "../vocabulary/Platform.ts"
import type { Rank } from "../vocabulary/TrafficClass.ts"
import type { Connection, Lane } from "./Connection.ts"

/** One way of making an attempt: HTTP, or any effect. @category models @since 0.1.0 */
export interface AttemptKind {
  /** What goes on the wire. Runs in a fiber of its own; every value it fails or succeeds with is given to `classify`. */
  readonly wire: (call: RunningCall) => Effect.Effect<unknown, unknown>
  /** What the attempt came to: a failure, or `undefined` when `result` has the call's outcome. */
  readonly classify: (call: RunningCall, exit: Exit.Exit<unknown, unknown>, now: number) => AttemptFailure | undefined
  /** The outcome of the call, after `classify` found no failure: a value, a domain error, or drift. */
  readonly result: (call: RunningCall, exit: Exit.Exit<unknown, unknown>) => Effect.Effect<unknown, unknown>
  /** What to hand on when the last attempt failed, in place of the error; `undefined` to fail. */
  readonly lastAnswer?: ((call: RunningCall) => unknown) | undefined
}

/** @category models @since 0.1.0 */
export class RunningCall implements SlotHolder, TokenHolder {
  readonly kind: AttemptKind
  readonly connection: Connection
  readonly operation: Operation
  /** The request as it was encoded, once; `undefined` for calls that are not HTTP. */
  readonly request: HttpClientRequest.HttpClientRequest | undefined
  /** What an attempt runs: an HTTP client, or the protected effect. */
  readonly client: HttpClient.HttpClient | undefined
  readonly effect: Effect.Effect<unknown, unknown> | undefined
  policy: ResolvedPolicy

  lane: Lane
  correlationId = ""
  startedAt = 0
  /** When the step that runs began, so that steps of one instant ask the clock once. */
  now = 0
  deadlineAt = 0

  clock: Clock.Clock | undefined = undefined
  /** The answer whose body is being read. */
  source: HttpClientResponse.HttpClientResponse | undefined = undefined

  slot = false
  tokens = 0
  /** Where it stands in line for tokens. */
  place: Place | undefined = undefined
  /** What the tokens are of. */
  route: Route = nowhere
  rank: Rank = 0
  /** Key of the limits that are counted by partition. */
  partition: string | undefined = undefined
  ticket = 0
  key: KeyCell | undefined = undefined

  attempts = 0
  maybeDone = false
  firstSentAt: number | undefined = undefined
  attemptStartedAt = 0
  retryPaid = 0
  rateWaited = 0
  slotWaited = 0
  credential: Credential | undefined = undefined
  refreshedFrom: number | undefined = undefined
  lastFailure: AttemptFailure | undefined = undefined
  /** The last answer, whatever it was. */
  answer: unknown = undefined
  /** What an operator should hear of when the call has ended. */
  notices: Array<Notice> | undefined = undefined
  /** The call was refused by a policy of ours. */
  refused = false
  /** The last attempt failed, and its answer was handed on as it is. */
  handedOn = false

  readonly timer = new AttemptTimer()
  expiry: Expiry | undefined = undefined
  wireFiber: Fiber.Fiber<unknown, unknown> | undefined = undefined
  span: Tracer.Span | undefined = undefined
  attemptSpan: Tracer.Span | undefined = undefined

  constructor(options: {
    readonly kind: AttemptKind
    readonly connection: Connection
    readonly operation: Operation
    readonly request?: HttpClientRequest.HttpClientRequest | undefined
    readonly client?: HttpClient.HttpClient | undefined
    readonly effect?: Effect.Effect<unknown, unknown> | undefined
  }) {
    this.kind = options.kind
    this.connection = options.connection
    this.operation = options.operation
    this.request = options.request
    this.client = options.client
    this.effect = options.effect
    this.policy = options.operation.policy
    this.lane = options.connection.calls
  }

  get cost(): number {
    return this.operation.cost
  }

  /** A byte came. */
  heard(): void {
    this.timer.heard(this.clock?.currentTimeMillisUnsafe() ?? 0)
  }

  leaveLine(now: number): void {
    if (this.place === undefined) return
    this.connection.rate.leave(this.place, now)
    this.place = undefined
  }

  /** Gives back what was not spent. Safe to run twice. */
  release(now: number): void {
    this.leaveLine(now)
    this.connection.rate.refund(this, now)
    if (this.ticket !== 0) {
      this.lane.circuit.settle(this.ticket, "ignored", now, noRandom)
      this.ticket = 0
    }
    // Last, since whoever waits for the slot runs at once, and asks the circuit.
    this.lane.bulkhead.release(this)
  }
}

/** The call that runs in this fiber. @category references @since 0.1.0 */
export const CurrentCall = Context.Reference<RunningCall | undefined>("@breakwater/core/RunningCall/CurrentCall", {
  defaultValue: () => undefined
})

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** A step of the pipeline: an effect that is made once and finds its call in the fiber that runs it. @category constructors @since 0.1.0 */
export const step = <A, E>(f: (call: RunningCall, fiber: AnyFiber) => Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.withFiber((fiber) => {
    const call = fiber.getRef(CurrentCall)
    return call === undefined ? Effect.die(new Error("a step of the pipeline ran outside a call")) : f(call, fiber)
  })

/** @category accessors @since 0.1.0 */
export const nowOf = (fiber: AnyFiber): number => fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()

/** The call that runs in the current fiber, for functions that are given to an operator and get no fiber. @category accessors @since 0.1.0 */
export const currentCall = (): RunningCall => {
  const call = Fiber.getCurrent()?.getRef(CurrentCall)
  if (call === undefined) throw new Error("a step of the pipeline ran outside a call")
  return call
}

/** Draws from the fiber's `Random`; made only where something is drawn. @category accessors @since 0.1.0 */
export const randomOf = (fiber: AnyFiber): (() => number) => {
  const random = fiber.getRef(Random.Random)
  return () => random.nextDoubleUnsafe()
}

/** For decisions that draw nothing. @category constants @since 0.1.0 */
export const noRandom = (): number => 0.5

/** Defects that came out of a call, so that they are not taken for input that could not be encoded before it. @category accessors @since 0.1.0 */
export const defects = new WeakSet<object>()
