/**
 * One flight for many calls: safe reads that ask for the same at the same time wait for one of them, with the deadline of each. The flight has the operation's own deadline, and goes on while anybody
 * waits for it. @internal
 */
// The errors of a call are whatever its operation declares.
// @effect-diagnostics anyUnknownInErrorContext:off
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { ResolvedPolicy } from "../definition/CallPolicy.ts"
import { CurrentDeadline } from "../policy/Deadline.ts"
import type { AttemptFailure } from "../vocabulary/AttemptFailure.ts"
import { unanswered } from "../vocabulary/AttemptFailure.ts"
import type { HttpClientRequest } from "../vocabulary/Platform.ts"
import { UrlParams } from "../vocabulary/Platform.ts"
import { DeadlineExceeded } from "../vocabulary/RetryableReason.ts"
import * as Telemetry from "../vocabulary/Telemetry.ts"
import { event } from "../vocabulary/Telemetry.ts"
import { withCorrelationId } from "./CallSettings.ts"
import * as CallSpan from "./CallSpan.ts"
import { nowOf, RunningCall } from "./RunningCall.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** A flight under way. @category models @since 0.1.0 */
export interface Flight {
  /** `undefined` until it runs. */
  fiber: AnyFiber | undefined
  /** The call that it makes. */
  call: RunningCall
  waiting: number
}

/** Policies by number: two calls of which one may wait longer are not one. */
const policies = new WeakMap<ResolvedPolicy, number>()
let known = 0

const numberOf = (policy: ResolvedPolicy): number => {
  const found = policies.get(policy)
  if (found !== undefined) return found
  policies.set(policy, ++known)
  return known
}

const decoder = new TextDecoder()

/** What a request asks for; `undefined` where that cannot be told. */
const askedBy = ({
  body,
  headers,
  method,
  url,
  urlParams
}: HttpClientRequest.HttpClientRequest): string | undefined => {
  if (body._tag !== "Empty" && body._tag !== "Uint8Array") return undefined
  const said = Object.entries(headers).toSorted(([a], [b]) => (a < b ? -1 : 1))
  const sent = body._tag === "Empty" ? "" : decoder.decode(body.body)
  return JSON.stringify([method, url, UrlParams.toString(urlParams), said, sent])
}

/** Whose calls may wait for one another: under the same policy, class, partition and credential. @category accessors @since 0.1.0 */
export const companyOf = ({ connection, operation, partition, policy, rank }: RunningCall): string => {
  const generation = connection.options.credential?.peek()?.generation ?? 0
  return `${operation.name} ${generation} ${numberOf(policy)} ${rank} ${partition ?? ""}`
}

/** What the call must have in common with another one to wait for its answer; `undefined` if it may not. @category accessors @since 0.1.0 */
export const keyOf = (call: RunningCall): string | undefined => {
  const { body, flight, operation, policy, request, shadowed } = call
  if (!policy.coalesce || operation.safety !== "safe" || flight || shadowed !== undefined) return undefined
  // Nobody but its reader can have a body that is on its way.
  if (body !== undefined) return undefined
  const asked = request === undefined ? undefined : askedBy(request)
  if (asked === undefined) return undefined
  return `${companyOf(call)} ${asked}`
}

/** Runs in nobody's fiber, so that the first caller may leave; everything else of the context is the first caller's. */
const launched = (call: RunningCall, flight: Flight, flown: Effect.Effect<unknown, unknown>) => {
  const flying = flight.call
  flying.flight = true
  flying.span = call.span
  const correlated = withCorrelationId(flown, call.correlationId)
  return Effect.forkDetach(Effect.provideService(correlated, CurrentDeadline, undefined), { startImmediately: true })
}

/** Found by others from the instant in which it begins; one that another was faster than waits for that instead. */
const begun = (
  flight: Flight,
  key: string,
  fly: (flight: RunningCall) => Effect.Effect<unknown, unknown>
): Effect.Effect<unknown, unknown> =>
  Effect.withFiber((fiber) => {
    const { flights } = flight.call.connection
    const under = flights.get(key)
    if (under?.fiber !== undefined) {
      under.waiting++
      flight.call = under.call
      return Effect.ensuring(Fiber.join(under.fiber), leave(under))
    }
    flight.fiber = fiber
    flights.set(key, flight)
    fiber.addObserver(() => {
      if (flights.get(key) === flight) flights.delete(key)
    })
    return fly(flight.call)
  })

const joined = (call: RunningCall, fiber: AnyFiber): void => {
  CallSpan.happened(call, fiber, event.coalesced, {})
  call.connection.metrics(call.operation).observe(Telemetry.coalesced, fiber.context)
}

/** Whoever leaves last ends the flight, which nobody finds any more. */
const leave = (flight: Flight): Effect.Effect<void> =>
  Effect.sync(() => {
    flight.waiting--
    const { fiber } = flight
    if (flight.waiting > 0 || fiber === undefined || fiber.pollUnsafe() !== undefined) return
    flight.fiber = undefined
    fiber.interruptUnsafe()
  })

const late = (call: RunningCall, sent: "no" | "unknown"): AttemptFailure =>
  unanswered(new DeadlineExceeded({ deadline: Duration.millis(call.deadlineAt - call.startedAt) }), {
    sent,
    unhealthy: false
  })

/** Waits for the flight, for as long as this call may; nothing if that was too short. */
const awaited = (call: RunningCall, flight: Flight, flying: AnyFiber) => {
  const left = Effect.withFiber((fiber) => Effect.succeed(call.deadlineAt - nowOf(fiber)))
  return Effect.ensuring(
    Effect.flatMap(left, (millis) => Effect.timeoutOption(Fiber.await(flying), Math.max(0, millis))),
    leave(flight)
  )
}

/**
 * The outcome of the flight that asks for what this call asks for, which is begun if there is none; `fly` runs a call of its own, which `make` makes, `refuse` ends this one.
 * @category combinators @since 0.1.0
 */
export const share = Effect.fnUntraced(function* (
  call: RunningCall,
  fiber: AnyFiber,
  key: string,
  fly: (flight: RunningCall) => Effect.Effect<unknown, unknown>,
  refuse: (failure: AttemptFailure, now: number) => Effect.Effect<never, unknown>,
  make: () => RunningCall = () => new RunningCall(call)
): Effect.fn.Return<unknown, unknown> {
  const begunAt = nowOf(fiber)
  // The flight has a deadline of its own, and would be asked for nobody.
  if (begunAt >= call.deadlineAt) return yield* refuse(late(call, "no"), begunAt)
  const under = call.connection.flights.get(key)
  const isUnderWay = under?.fiber !== undefined
  if (isUnderWay) joined(call, fiber)
  const flight: Flight = isUnderWay ? under : { fiber: undefined, call: make(), waiting: 0 }
  // Before anything else runs: the last one to leave must see who comes.
  flight.waiting++
  const flying = under?.fiber ?? (yield* launched(call, flight, begun(flight, key, fly)))
  const exit = yield* awaited(call, flight, flying)
  call.now = nowOf(fiber)
  call.answer = flight.call.answer
  call.standIn = flight.call.standIn
  return Option.isSome(exit) ? yield* exit.value : yield* refuse(late(call, "unknown"), call.now)
})
