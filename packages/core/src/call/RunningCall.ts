/**
 * The state of one call while it runs: what it holds (a slot, tokens, a ticket of the breaker, a key) and what it has come to. Everything that must be given
 * back is a field here, set in the instant in which it is taken, so that one finaliser gives all of it back however the call ends. @internal
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Predicate from "effect/Predicate"
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
import type { Source } from "../vocabulary/Answer.ts"
import type { AttemptFailure } from "../vocabulary/AttemptFailure.ts"
import type { FatalReason } from "../vocabulary/FatalReason.ts"
import type { Notice } from "../vocabulary/Notice.ts"
import type { AnswerHead, BufferedResponse } from "../transport/BufferedResponse.ts"
import type { Exchanging } from "../transport/DirectClient.ts"
import { isReplayable } from "../transport/RequestBody.ts"
import type { HttpClient, HttpClientRequest } from "../vocabulary/Platform.ts"
import type { ProviderError } from "../vocabulary/ProviderError.ts"
import type { Rank } from "../vocabulary/TrafficClass.ts"
import type { Admitted } from "./Breaker.ts"
import type { CallRecord } from "./CallRecord.ts"
import type { Connection, Lane } from "./Connection.ts"
import type { StreamedBody } from "./StreamedBody.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** Told what an attempt came to. @category models @since 0.1.0 */
export type Ended = (exit: Exit.Exit<unknown, unknown>) => void

/** One way of making an attempt: HTTP, or any effect. @category models @since 0.1.0 */
export interface AttemptKind {
  /** What goes on the wire. Runs in a fiber of its own; every value it fails or succeeds with is given to `classify`. */
  readonly wire: (call: RunningCall, fiber: AnyFiber) => Effect.Effect<unknown, unknown>
  /** The same by a transport that calls back, where `call.client` is one: tells `ended` what it comes to. */
  readonly exchange?: ((call: RunningCall, fiber: AnyFiber, ended: Ended) => Exchanging) | undefined
  /** What has to follow an exchange before it is an answer; `undefined` when it is one. */
  readonly further?: ((call: RunningCall, answer: unknown) => Effect.Effect<unknown, unknown> | undefined) | undefined
  /** What the attempt came to: a failure, or `undefined` when `result` has the call's outcome. */
  readonly classify: (call: RunningCall, exit: Exit.Exit<unknown, unknown>, now: number) => AttemptFailure | undefined
  /** The outcome of the call, after `classify` found no failure: a value, a domain error, or drift. */
  readonly result: (call: RunningCall, exit: Exit.Exit<unknown, unknown>) => Effect.Effect<unknown, unknown>
  /** Reads an answer that was kept; left out where none can be. */
  readonly restore?: ((response: BufferedResponse) => Effect.Effect<unknown, unknown>) | undefined
  /** What to hand on when the last attempt failed, in place of the error; `undefined` to fail. */
  readonly lastAnswer?: ((call: RunningCall) => unknown) | undefined
  /** How its outcome is remembered; `undefined` where it cannot be. */
  readonly memory?: OutcomeMemory | undefined
}

/** What is kept of an outcome, and what comes of that again. @category models @since 0.1.0 */
export interface OutcomeMemory {
  /** What is kept, as something that JSON can say; `undefined` where the outcome is not to be kept. */
  readonly keep: (call: RunningCall, exit: Exit.Exit<unknown, unknown>) => unknown
  /** The outcome again, or `undefined` where what was kept does not give it any more. */
  readonly recall: (call: RunningCall, kept: unknown) => Effect.Effect<unknown, unknown> | undefined
  /** Whether a failure that is not ours is the last word of the other side. */
  readonly isFinal: (error: unknown) => boolean
  /** How long the other side remembers a key, where its declaration does not say. */
  readonly windowMillis?: number | undefined
  /** What the request is, where it is no HTTP request. */
  readonly fingerprint?: string | undefined
}

/** An answer that was kept, given in the provider's place or confirmed by it. @category models @since 0.1.0 */
export interface StandIn {
  readonly source: Source
  readonly ageMillis: number
  readonly requestId?: string | undefined
  readonly degradedBy?: ProviderError | undefined
}

/** @category models @since 0.1.0 */
export class RunningCall implements SlotHolder, TokenHolder, Admitted {
  readonly kind: AttemptKind
  readonly connection: Connection
  readonly operation: Operation
  /** The request as it was encoded, once, with its key in the body where that is its place; `undefined` for calls that are not HTTP. */
  request: HttpClientRequest.HttpClientRequest | undefined
  /** What an attempt runs: an HTTP client, or the protected effect. */
  readonly client: HttpClient.HttpClient | undefined
  readonly effect: Effect.Effect<unknown, unknown> | undefined
  /** Why the call must not begin, where that was found before it was one: its input could not be encoded. */
  readonly problem: FatalReason | undefined
  policy: ResolvedPolicy

  lane: Lane
  startedAt = 0
  /** When the step that runs began, so that steps of one instant ask the clock once. */
  now = 0
  deadlineAt = 0

  clock: Clock.Clock | undefined = undefined
  /** The correlation id: what was given to the call, or else the place in its connection's count, of which an id is made when somebody asks. */
  private id: string | number = ""
  /** The answer whose body is being read. */
  source: AnswerHead | undefined = undefined

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
  originTicket = 0
  lot = -1
  key: KeyCell | undefined = undefined
  /** What a store is to remember of it. */
  record: CallRecord | undefined = undefined
  /** Its outcome is that of an earlier call. */
  replayed = false

  attempts = 0
  maybeDone = false
  /** The last attempt may have been carried out, as far as is known. */
  inDoubt = false
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
  /** What answered in the provider's place; `undefined` where it answered itself. */
  standIn: StandIn | undefined = undefined
  /** What an operator should hear of when the call has ended. */
  notices: Array<Notice> | undefined = undefined
  /** The call of which this is a second attempt; `undefined` for a call. */
  shadowed: RunningCall | undefined = undefined
  /** What policies in shadow mode would have done, for lines at level Debug. */
  shadowLines: Array<string> | undefined = undefined
  /** The throttle would have refused the attempt that runs, and takes no notice of it. */
  unthrottled = false
  /** It runs for other calls that wait for it, which count for themselves. */
  flight = false
  /** The call was refused by a policy of ours. */
  refused = false
  /** Its caller wants no write to be sent. */
  inDryRun = false
  /** The last attempt failed, and its answer was handed on as it is, in place of this error. */
  handedOn: ProviderError | undefined = undefined

  readonly timer = new AttemptTimer()
  expiry: Expiry | undefined = undefined
  /** The body of an answer that is read as it comes, where the call is to have one. */
  body: StreamedBody | undefined = undefined
  /** What is on the wire: a fiber, or an exchange of a transport that calls back. */
  wireFiber: Fiber.Fiber<unknown, unknown> | undefined = undefined
  exchange: Exchanging | undefined = undefined
  span: Tracer.Span | undefined = undefined
  attemptSpan: Tracer.Span | undefined = undefined

  constructor(options: {
    readonly kind: AttemptKind
    readonly connection: Connection
    readonly operation: Operation
    readonly request?: HttpClientRequest.HttpClientRequest | undefined
    readonly client?: HttpClient.HttpClient | undefined
    readonly effect?: Effect.Effect<unknown, unknown> | undefined
    readonly problem?: FatalReason | undefined
  }) {
    this.kind = options.kind
    this.connection = options.connection
    this.operation = options.operation
    this.request = options.request
    this.client = options.client
    this.effect = options.effect
    this.problem = options.problem
    this.policy = options.operation.policy
    this.lane = options.connection.calls
  }

  get correlationId(): string {
    if (Predicate.isNumber(this.id)) this.id = this.connection.idOf(this.id)
    return this.id
  }

  /** Takes the id of its caller, or a number of its connection. */
  identify(id: string | undefined): void {
    this.id = id ?? this.connection.count()
  }

  get cost(): number {
    return this.operation.cost
  }

  /** Whether its request can be sent again. */
  get isReplayable(): boolean {
    return this.request === undefined || isReplayable(this.request)
  }

  /** Whether an attempt is on the wire. */
  get isUnderWay(): boolean {
    return this.wireFiber !== undefined || this.exchange !== undefined
  }

  /** A byte came. */
  heard(): void {
    this.timer.heard(this.clock?.currentTimeMillisUnsafe() ?? 0)
  }

  /** The transport asks for the next piece of a body that is a stream. */
  asked(): void {
    this.timer.asked()
  }

  /** The transport has it. */
  given(): void {
    this.timer.given(this.clock?.currentTimeMillisUnsafe() ?? 0)
  }

  /** Ends what is on the wire, of which nobody waits for the answer any more. */
  cut(): Effect.Effect<void> {
    this.exchange?.abort()
    return this.wireFiber === undefined ? Effect.void : Fiber.interrupt(this.wireFiber)
  }

  leaveLine(now: number): void {
    if (this.place === undefined) return
    this.connection.rate.leave(this.place, now)
    this.place = undefined
  }

  /** Gives back the slot, unless a body that is on its way has it still. */
  releaseSlot(): void {
    if (this.body?.isOpen !== true) this.lane.bulkhead.release(this)
  }

  /** Gives back what was not spent. Safe to run twice. */
  release(now: number): void {
    this.leaveLine(now)
    this.connection.rate.refund(this, now)
    this.lane.breaker.release(this, now)
    // Last, since whoever waits for the slot runs at once, and asks the breaker.
    this.releaseSlot()
  }
}

/** The call that a protected effect runs in, or whose answer a plain client reads. @category references @since 0.1.0 */
export const CurrentCall = Context.Reference<RunningCall | undefined>("@breakwater/core/RunningCall/CurrentCall", {
  defaultValue: () => undefined
})

/** @category accessors @since 0.1.0 */
export const nowOf = (fiber: AnyFiber): number => fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()

/** Draws from the fiber's `Random`; made only where something is drawn. @category accessors @since 0.1.0 */
export const randomOf = (fiber: AnyFiber): (() => number) => {
  const random = fiber.getRef(Random.Random)
  return () => random.nextDoubleUnsafe()
}

/** For decisions that draw nothing. @category constants @since 0.1.0 */
export const noRandom = (): number => 0.5

/** Defects that came out of a call, so that they are not taken for input that could not be encoded before it. @category accessors @since 0.1.0 */
export const defects = new WeakSet<object>()
