/**
 * The body of an answer that is read as it comes: what it holds after its call has ended (the connection, a slot of the bulkhead, the idempotency key), what bounds it, and how it ends. All of
 * it is given back once, by whichever comes first: the end, a failure, a reader who leaves, the deadline, the scope. @internal
 */
// A transport fails with whatever it fails with, until it is told apart here.
// @effect-diagnostics anyUnknownInErrorContext:off
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { CurrentDeadline } from "../policy/Deadline.ts"
import * as Retry from "../policy/Retry.ts"
import * as BodyRead from "../transport/BodyRead.ts"
import type { AttemptFailure } from "../vocabulary/AttemptFailure.ts"
import { unanswered } from "../vocabulary/AttemptFailure.ts"
import { ResponseInvalid } from "../vocabulary/FatalReason.ts"
import type { HttpClientResponse } from "../vocabulary/Platform.ts"
import type { ProviderError } from "../vocabulary/ProviderError.ts"
import { DeadlineExceeded, Timeout, TransportFailed } from "../vocabulary/RetryableReason.ts"
import * as Telemetry from "../vocabulary/Telemetry.ts"
import { attribute, event } from "../vocabulary/Telemetry.ts"
import * as AnswerReading from "./AnswerReading.ts"
import * as CallErrors from "./CallErrors.ts"
import { keyUntil } from "./CallKey.ts"
import * as CallLog from "./CallLog.ts"
import type { RunningCall } from "./RunningCall.ts"
import { nowOf } from "./RunningCall.ts"
import { StreamedResponse } from "./StreamedResponse.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>
type Pieces = readonly [Uint8Array, ...ReadonlyArray<Uint8Array>]
type Reading = Pull.Pull<Pieces, ProviderError>

/** `waiting` for an answer; `open`: on its way and not asked for; `read`: asked for; `ended`. */
type Phase = "waiting" | "open" | "read" | "ended"

/** @category models @since 0.1.0 */
export class StreamedBody {
  /** Bytes that the reader was given. */
  bytes = 0
  /** The call has ended, and the body is its value. */
  isHandedOn = false
  private phase: Phase = "waiting"
  private readonly call: RunningCall
  private readonly scope: Scope.Closeable
  private source: HttpClientResponse.HttpClientResponse | undefined = undefined
  private openedAt = 0
  private asking = false
  private failure: ProviderError | undefined = undefined

  constructor(call: RunningCall, scope: Scope.Closeable) {
    this.call = call
    this.scope = scope
  }

  /** Whether it holds a connection. */
  get isOpen(): boolean {
    return this.phase === "open" || this.phase === "read"
  }

  /** Whether the body of an answer with this status is read as it comes. */
  takes(status: number): boolean {
    const { declared } = this.call.operation
    return declared === undefined ? status >= 200 && status < 300 : declared.success.get(status) === "stream"
  }

  /** The headers have come. */
  open(source: HttpClientResponse.HttpClientResponse): void {
    this.source = source
    this.phase = "open"
  }

  /** The attempt came to nothing all the same: what closes its connection, if there is one. */
  discard(): Effect.Effect<void> | undefined {
    const { source } = this
    if (!this.isOpen || source === undefined) return undefined
    this.phase = "waiting"
    this.source = undefined
    return BodyRead.cutOff(source)
  }

  /** The answer with this body. */
  get response(): StreamedResponse {
    const { policy, request } = this.call
    if (request === undefined || this.source === undefined) throw new Error("a body without an answer")
    return new StreamedResponse(request, this.source, this.stream, policy.maxBodyBytes)
  }

  /** `Content-Length`, where it is that of the bytes that come. */
  get announced(): number | undefined {
    const { headers } = this.source ?? { headers: {} as Record<string, string> }
    return headers["content-encoding"] === undefined ? BodyRead.announcedLength(headers["content-length"]) : undefined
  }

  /** The bytes, once. */
  get stream(): Stream.Stream<Uint8Array, ProviderError> {
    return Stream.suspend(() => {
      if (this.phase !== "open") return this.unreadable
      this.phase = "read"
      return Stream.ensuring(Stream.fromPull(this.reading), this.close)
    })
  }

  /** The call has succeeded: from here on the body is on its own, and its time runs. */
  readonly handedOn: Effect.Effect<void> = Effect.withFiber((fiber) => {
    if (!this.isOpen) return Scope.close(this.scope, Exit.void)
    this.isHandedOn = true
    this.openedAt = nowOf(fiber)
    const unread = Scope.addFinalizer(this.scope, this.left)
    return Effect.andThen(unread, Effect.asVoid(Effect.forkIn(this.watched, this.scope, { startImmediately: true })))
  })

  /** Whoever read it has left, or nobody will. */
  readonly close: Effect.Effect<void> = Effect.suspend(() =>
    Effect.andThen(this.left, Scope.close(this.scope, Exit.void))
  )

  private readonly left: Effect.Effect<void> = Effect.withFiber((fiber) => {
    const { phase, source } = this
    if (!this.isOpen) return Effect.void
    this.settle(fiber, "left")
    return phase === "open" && source !== undefined ? BodyRead.cutOff(source) : Effect.void
  })

  private get unreadable(): Stream.Stream<never, ProviderError> {
    if (this.failure !== undefined) return Stream.fail(this.failure)
    const why =
      this.phase === "read" ? "was read before" : "is not to be had any more: it was read, or its scope has closed"
    return Stream.die(new Error(`${this.call.operation.name}: the body ${why}`))
  }

  private get deadlineAt(): number {
    return this.openedAt + this.call.policy.streaming.deadlineMillis
  }

  private readonly reading: Effect.Effect<Reading> = Effect.suspend(() => {
    const { source } = this
    if (source === undefined) return Effect.die(new Error("a body without an answer"))
    const bytes = Stream.toPull(BodyRead.emptyBodyIsEmpty(source.stream))
    return Effect.map(Scope.provide(bytes, this.scope), (pull) => Effect.withFiber((fiber) => this.next(fiber, pull)))
  })

  /** The next pieces, which the provider must bring before it has been silent for too long, and before the time is over. */
  private next(fiber: AnyFiber, pull: Pull.Pull<Pieces, unknown>): Reading {
    if (this.failure !== undefined) return Effect.fail(this.failure)
    const now = nowOf(fiber)
    const outer = fiber.getRef(CurrentDeadline) ?? Number.POSITIVE_INFINITY
    const until = Math.min(this.deadlineAt, outer)
    if (now >= until) return this.fail(fiber, this.expired(until))
    const { silenceMillis } = this.call.policy
    const patience = Math.min(until - now, silenceMillis)
    this.asking = true
    return Pull.matchEffect(Effect.timeoutOption(pull, Duration.millis(patience)), {
      onSuccess: (pieces) => {
        this.asking = false
        if (Option.isSome(pieces)) return this.given(fiber, pieces.value)
        return this.fail(fiber, patience < silenceMillis ? this.expired(until) : silent(silenceMillis))
      },
      onFailure: (cause) => {
        this.asking = false
        const error = Cause.findErrorOption(cause)
        return Option.isNone(error)
          ? Effect.failCause(cause as Cause.Cause<never>)
          : this.fail(fiber, this.broken(fiber, error.value))
      },
      onDone: () => {
        this.asking = false
        return this.done(fiber)
      }
    })
  }

  private given(fiber: AnyFiber, pieces: Pieces): Reading {
    let length = 0
    for (const piece of pieces) length += piece.length
    const { maxBytes } = this.call.policy.streaming
    if (this.bytes + length > maxBytes) return this.fail(fiber, this.tooLarge(maxBytes))
    this.bytes += length
    return Effect.succeed(pieces)
  }

  private done(fiber: AnyFiber): Reading {
    const { announced } = this
    // Some transports take a connection that was closed too soon for the end of the body.
    if (announced !== undefined && this.bytes < announced) return this.fail(fiber, cutShort)
    this.settle(fiber, "complete")
    return Effect.andThen(Scope.close(this.scope, Exit.void), Cause.done())
  }

  private expired(until: number): AttemptFailure {
    const deadline = Duration.millis(Math.max(0, until - this.openedAt))
    return unanswered(new DeadlineExceeded({ deadline }), { sent: "unknown", unhealthy: false })
  }

  private tooLarge(maxBytes: number): AttemptFailure {
    const { status = 200 } = this.source ?? {}
    const reason = new ResponseInvalid({ status, path: "", expected: `at most ${maxBytes} bytes` })
    return { ...unanswered(reason, { sent: "unknown", unhealthy: false }), status }
  }

  private broken(fiber: AnyFiber, error: unknown): AttemptFailure {
    return AnswerReading.ofFailure(this.call, error, nowOf(fiber)) ?? cutShort
  }

  /** An item does not fit its schema, as far as it is known what was expected where. */
  unfit(fiber: AnyFiber, path: string, expected: string): Effect.Effect<never, ProviderError> {
    const { status = 200 } = this.source ?? {}
    const shown = this.call.connection.options.redaction.text(path, 256)
    const reason = new ResponseInvalid({ status, path: shown, expected })
    return this.fail(fiber, { ...unanswered(reason, { sent: "unknown", unhealthy: false }), status })
  }

  /** Ends the stream with the error that the call would have had: never with another attempt, since the reader has had its bytes. */
  private fail(fiber: AnyFiber, failure: AttemptFailure): Effect.Effect<never, ProviderError> {
    const error = this.noted(fiber, failure)
    const line = CallLog.streamFailed(this.call, fiber, nowOf(fiber), failure, this.bytes)
    return Effect.andThen(Effect.andThen(Scope.close(this.scope, Exit.void), line), Effect.fail(error))
  }

  private noted(fiber: AnyFiber, told: AttemptFailure): ProviderError {
    const { call } = this
    const now = nowOf(fiber)
    const { headers, status } = this.source ?? {}
    const requestId = headers === undefined ? undefined : call.connection.requestIdOf(headers)
    const failure = { ...told, status: told.status ?? status, requestId }
    call.maybeDone = true
    call.lastFailure = failure
    const spent = { attempts: 1, maxAttempts: 1, maybeDone: true, replayable: false }
    const next = Retry.next({ ...spent, safety: call.operation.safety, keyUntil: keyUntil(call) }, failure, now)
    const error = CallErrors.ending(call, failure, next === "again" ? "give up" : next, now, keyUntil(call))
    this.failure = error
    call.connection.failed(call.operation, failure.reason, now)
    this.settle(fiber, "broken")
    return error
  }

  /** Nobody asks for more when the time is over: who comes later is told. */
  private readonly watched: Effect.Effect<void> = Effect.suspend(() =>
    Effect.andThen(
      Effect.sleep(Duration.millis(this.call.policy.streaming.deadlineMillis)),
      Effect.withFiber((fiber) => {
        if (this.asking || !this.isOpen) return Effect.void
        const { phase, source } = this
        const failure = this.expired(this.deadlineAt)
        this.noted(fiber, failure)
        const cut = phase === "open" && source !== undefined ? BodyRead.cutOff(source) : Effect.void
        const line = CallLog.streamFailed(this.call, fiber, nowOf(fiber), failure, this.bytes)
        // In a fiber of its own, since the scope that it closes ends this one.
        return Effect.asVoid(
          Effect.forkDetach(Effect.andThen(Effect.andThen(cut, line), Scope.close(this.scope, Exit.void)))
        )
      })
    )
  )

  /** Gives back what is ours, in this instant, whatever the transport still has to do. */
  private settle(fiber: AnyFiber, outcome: Telemetry.StreamEnd): void {
    const { bytes, call } = this
    if (!this.isOpen) return
    this.phase = "ended"
    call.key?.end(outcome === "complete")
    call.lane.bulkhead.release(call)
    if (!this.isHandedOn) return
    const labels = { [attribute.outcome]: outcome }
    const metrics = call.connection.metrics(call.operation)
    metrics.observe(Telemetry.streams, fiber.context, labels, (nowOf(fiber) - this.openedAt) / 1000)
    metrics.observe(Telemetry.streamBytes, fiber.context, labels, bytes)
    const { span } = fiber.cache
    if (span?._tag === "Span") {
      const at = fiber.getRef(Clock.Clock).currentTimeNanosUnsafe()
      span.event(event.streamed, at, { [attribute.operation]: call.operation.name, ...labels, bytes })
    }
  }
}

const silent = (millis: number): AttemptFailure =>
  unanswered(new Timeout({ phase: "silence", after: Duration.millis(millis) }), { sent: "unknown", unhealthy: true })

const cutShort: AttemptFailure = unanswered(new TransportFailed({ code: "ETRUNCATED" }), {
  sent: "unknown",
  unhealthy: true
})

/**
 * Runs a call whose answer may have a body that is read as it comes, in a part of `parent` that closes with the body. A call that fails has closed it when it does.
 * @category combinators @since 0.1.0
 */
export const within = <A, E>(
  parent: Scope.Scope,
  call: RunningCall,
  running: Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    const body = new StreamedBody(call, Scope.forkUnsafe(parent))
    call.body = body
    return Effect.onExit(running, (exit) => (Exit.isSuccess(exit) ? body.handedOn : body.close))
  })
