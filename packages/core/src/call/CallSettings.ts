/**
 * What the caller of an operation may set around it: a deadline, a correlation id, another policy, the lane. All are references in the context, so that they reach
 * through whatever lies between. @internal
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { dual } from "effect/Function"
import * as Result from "effect/Result"
import type { CallPolicy, ResolvedPolicy } from "../definition/CallPolicy.ts"
import { merge } from "../definition/CallPolicy.ts"
import type { Operation } from "../definition/Operation.ts"
import * as PolicyRules from "../definition/PolicyRules.ts"
import * as Outgoing from "../transport/Outgoing.ts"
import { InvalidRequest } from "../vocabulary/FatalReason.ts"
import type { RunningCall } from "./RunningCall.ts"

const CorrelationId = Context.Reference<string | undefined>("@breakwater/core/CallSettings/CorrelationId", {
  defaultValue: () => undefined
})
const Override = Context.Reference<CallPolicy | undefined>("@breakwater/core/CallSettings/Override", {
  defaultValue: () => undefined
})
const InRefreshLane = Context.Reference<boolean>("@breakwater/core/CallSettings/InRefreshLane", {
  defaultValue: () => false
})

/**
 * Sends this id as `X-Request-ID` with every attempt of the calls inside, and puts it in their log lines, spans and errors. 1 to 128 letters, digits, `.`, `_`,
 * `:` or `-`; another one is refused as `InvalidRequest`. Default: the `X-Request-ID` that the request has, made fit to be shown, or an id of its own for each
 * call. @category combinators @since 0.1.0
 */
export const withCorrelationId: {
  (id: string): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, id: string): Effect.Effect<A, E, R>
} = dual(2, <A, E, R>(self: Effect.Effect<A, E, R>, id: string) => Effect.provideService(self, CorrelationId, id))

/**
 * Overrides the policy of the calls inside: its times, attempts and delays. The sizes of what calls share (breaker, bulkhead, rate) stay the layer's. A policy that
 * contradicts itself is refused as `InvalidRequest`. @category combinators @since 0.1.0
 */
export const withPolicy: {
  (policy: CallPolicy): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, policy: CallPolicy): Effect.Effect<A, E, R>
} = dual(2, <A, E, R>(self: Effect.Effect<A, E, R>, policy: CallPolicy) =>
  Effect.provideService(self, Override, policy)
)

/**
 * Runs the calls inside in the lane for refreshing a credential: a bulkhead and a breaker of their own, no credential. A `CredentialSource` that calls its own
 * provider does it here; otherwise the refresh would wait for the calls that wait for it. @category combinators @since 0.1.0
 */
export const refreshLane = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(self, InRefreshLane, true)

const ownHeader = "x-request-id"

/** The id that a request brings along, as far as it may be shown: of one that holds a secret or other characters, what is left with those replaced. */
const ownId = ({ connection, request }: RunningCall): string | undefined => {
  const own = request?.headers[ownHeader]
  if (own === undefined || own === "") return undefined
  return connection.options.redaction.text(own, 128).replaceAll(/[^\w.:-]/gu, "_")
}

const idPattern = /^[\w.:-]{1,128}$/u

/** The last override of each operation, resolved: callers use few, and use them often. */
const resolvedOverrides = new WeakMap<
  CallPolicy,
  { readonly operation: Operation; readonly policy: ResolvedPolicy | InvalidRequest }
>()

const overridden = (operation: Operation, override: CallPolicy): ResolvedPolicy | InvalidRequest => {
  const found = resolvedOverrides.get(override)
  if (found?.operation === operation) return found.policy
  const resolved = PolicyRules.resolve(operation.name, merge(operation.written, override))
  const policy = Result.isSuccess(resolved)
    ? resolved.success
    : new InvalidRequest({ field: `policy ${resolved.failure.field}`, detail: resolved.failure.rule })
  resolvedOverrides.set(override, { operation, policy })
  return policy
}

/** Sets up a call from its context; says why it must not begin. @category constructors @since 0.1.0 */
export const settingsOf = (
  call: RunningCall,
  fiber: Fiber.Fiber<unknown, unknown>,
  now: number,
  outerDeadline: number | undefined
): InvalidRequest | undefined => {
  call.startedAt = now
  const override = fiber.getRef(Override)
  const policy = override === undefined ? call.operation.policy : overridden(call.operation, override)
  const id = fiber.getRef(CorrelationId)
  call.clock = fiber.getRef(Clock.Clock)
  if (id !== undefined && !idPattern.test(id)) {
    call.correlationId = "invalid"
    return new InvalidRequest({
      field: "correlation id",
      detail: "must be 1 to 128 letters, digits, '.', '_', ':' or '-'"
    })
  }
  call.correlationId = id ?? ownId(call) ?? call.connection.nextId()
  if (policy instanceof InvalidRequest) return policy
  const deadlineAt = now + policy.deadlineMillis
  call.deadlineAt = outerDeadline === undefined ? deadlineAt : Math.max(now, Math.min(deadlineAt, outerDeadline))
  call.policy = policy
  if (fiber.getRef(InRefreshLane)) call.lane = call.connection.refreshes
  if (call.connection.options.insecure === true) return Outgoing.insecure
  return call.request === undefined ? undefined : Outgoing.problemOf(call.request)
}
