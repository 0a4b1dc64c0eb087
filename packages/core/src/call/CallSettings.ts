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
import { CurrentKey, CurrentName } from "../policy/Idempotency.ts"
import { merge, ofClass } from "../definition/CallPolicy.ts"
import type { Operation } from "../definition/Operation.ts"
import * as PolicyRules from "../definition/PolicyRules.ts"
import type { TrafficClass } from "../vocabulary/TrafficClass.ts"
import { rankOf } from "../vocabulary/TrafficClass.ts"
import * as Outgoing from "../transport/Outgoing.ts"
import { InvalidRequest } from "../vocabulary/FatalReason.ts"
import type { RunningCall } from "./RunningCall.ts"

interface Settings {
  readonly correlationId?: string | undefined
  readonly override?: CallPolicy | undefined
  readonly traffic?: TrafficClass | undefined
  readonly partition?: string | undefined
  readonly inRefreshLane?: boolean | undefined
  readonly inDryRun?: boolean | undefined
}

const unset: Settings = {}

/** All settings in one, since each call looks for them and most have none. */
const CurrentSettings = Context.Reference<Settings>("@breakwater/core/CallSettings", { defaultValue: () => unset })

/** Sets what is given; what was set further out stays. */
const withSettings = <A, E, R>(self: Effect.Effect<A, E, R>, settings: Settings): Effect.Effect<A, E, R> =>
  Effect.updateContext(self, (context: Context.Context<R>) =>
    Context.add(context, CurrentSettings, { ...Context.get(context, CurrentSettings), ...settings })
  )

/**
 * Sends this id as `X-Request-ID` with every attempt of the calls inside, and puts it in their log lines, spans and errors. 1 to 128 letters, digits, `.`, `_`,
 * `:` or `-`; another one is refused as `InvalidRequest`. Default: the `X-Request-ID` that the request has, made fit to be shown, or an id of its own for each
 * call. @category combinators @since 0.1.0
 */
export const withCorrelationId: {
  (id: string): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, id: string): Effect.Effect<A, E, R>
} = dual(2, <A, E, R>(self: Effect.Effect<A, E, R>, id: string) => withSettings(self, { correlationId: id }))

/**
 * Overrides the policy of the calls inside: its times, attempts and delays. The sizes of what calls share (breaker, bulkhead, rate) stay the layer's. A policy that
 * contradicts itself is refused as `InvalidRequest`. @category combinators @since 0.1.0
 */
export const withPolicy: {
  (policy: CallPolicy): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, policy: CallPolicy): Effect.Effect<A, E, R>
} = dual(2, <A, E, R>(self: Effect.Effect<A, E, R>, policy: CallPolicy) => withSettings(self, { override: policy }))

/**
 * Says who waits for the calls inside: `"interactive"` (a person; the default), `"webhook"` (what a webhook has set off), `"import"` (nobody). Where the rate does not let all
 * through, the first goes before the second, and the second before the third; the lower two leave a reserve. Imports have 10 minutes and wait up to 5 for the rate, unless
 * the policy says otherwise. @category combinators @since 0.1.0
 */
export const withClass: {
  (traffic: TrafficClass): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, traffic: TrafficClass): Effect.Effect<A, E, R>
} = dual(2, <A, E, R>(self: Effect.Effect<A, E, R>, traffic: TrafficClass) => withSettings(self, { traffic }))

/**
 * Names what the calls inside are about, for limits that the provider counts for each by itself (`RatePolicy.perPartition`): a channel, a customer, a phone number. 1 to 256
 * characters; another one is refused as `InvalidRequest`. It is not sent. @category combinators @since 0.1.0
 */
export const withPartition: {
  (key: string): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, key: string): Effect.Effect<A, E, R>
} = dual(2, <A, E, R>(self: Effect.Effect<A, E, R>, key: string) => withSettings(self, { partition: key }))

/**
 * Runs the calls inside in the lane for refreshing a credential: a bulkhead and a breaker of their own, no credential. A `CredentialSource` that calls its own
 * provider does it here; otherwise the refresh would wait for the calls that wait for it. @category combinators @since 0.1.0
 */
export const refreshLane = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  withSettings(self, { inRefreshLane: true })

/**
 * Sends no write inside: each is encoded, checked and told in a line at level Info, and gives what its operation declares for it (`Operation.dryRun`), or fails with `FatalError` and the reason `DryRun`. Reads go
 * out as ever, and so does the refreshing of a credential. @category combinators @since 0.1.0
 */
export const dryRun = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  withSettings(self, { inDryRun: true })

/** Calls that nobody but the call itself asked for, such as for its credential: its key and its name are not theirs, and a dry run is not about them. @category combinators @since 0.1.0 */
export const aside = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  withSettings(self, { inDryRun: false }).pipe(
    Effect.provideService(CurrentKey, undefined),
    Effect.provideService(CurrentName, undefined)
  )

const ownHeader = "x-request-id"

/** The id that a request brings along, as far as it may be shown: of one that holds a secret or other characters, what is left with those replaced. */
const ownId = ({ connection, request }: RunningCall): string | undefined => {
  const own = request?.headers[ownHeader]
  if (own === undefined || own === "") return undefined
  return connection.options.redaction.text(own, 128).replaceAll(/[^\w.:-]/gu, "_")
}

const idPattern = /^[\w.:-]{1,128}$/u

type Resolved = ResolvedPolicy | InvalidRequest

const resolved = (operation: Operation, written: CallPolicy): Resolved => {
  const policy = PolicyRules.resolve(operation.name, written)
  return Result.isSuccess(policy)
    ? policy.success
    : new InvalidRequest({ field: `policy ${policy.failure.field}`, detail: policy.failure.rule })
}

/** What each override was last laid over, resolved: callers use few, and use them often. What it is laid over changes with the layer's policy. */
const resolvedOverrides = new WeakMap<
  CallPolicy,
  { readonly written: CallPolicy; readonly traffic: TrafficClass; readonly policy: Resolved }
>()

const overridden = (operation: Operation, traffic: TrafficClass, override: CallPolicy): Resolved => {
  const { written } = operation
  const found = resolvedOverrides.get(override)
  if (found?.written === written && found.traffic === traffic) return found.policy
  const policy = resolved(operation, merge(ofClass(written, traffic), override))
  resolvedOverrides.set(override, { written, traffic, policy })
  return policy
}

/** The policies of the lower classes, resolved, by what is written for all. */
const resolvedClasses = {
  webhook: new WeakMap<CallPolicy, Resolved>(),
  import: new WeakMap<CallPolicy, Resolved>()
}

const policyOf = (operation: Operation, traffic: TrafficClass, override: CallPolicy | undefined): Resolved => {
  if (override !== undefined) return overridden(operation, traffic, override)
  if (traffic === "interactive") return operation.policy
  const { written } = operation
  const known = resolvedClasses[traffic].get(written)
  if (known !== undefined) return known
  const policy = resolved(operation, ofClass(written, traffic))
  resolvedClasses[traffic].set(written, policy)
  return policy
}

const partitionRule = new InvalidRequest({ field: "partition", detail: "must be 1 to 256 characters" })

/** Sets up a call from its context; says why it must not begin. @category constructors @since 0.1.0 */
export const settingsOf = (
  call: RunningCall,
  fiber: Fiber.Fiber<unknown, unknown>,
  now: number,
  outerDeadline: number | undefined
): InvalidRequest | undefined => {
  call.startedAt = now
  call.clock = fiber.getRef(Clock.Clock)
  const {
    correlationId: id,
    inDryRun = false,
    inRefreshLane,
    override,
    partition,
    traffic = "interactive"
  } = fiber.getRef(CurrentSettings)
  call.rank = rankOf(traffic)
  const policy = policyOf(call.operation, traffic, override)
  if (id !== undefined && !idPattern.test(id)) {
    call.identify("invalid")
    return new InvalidRequest({
      field: "correlation id",
      detail: "must be 1 to 128 letters, digits, '.', '_', ':' or '-'"
    })
  }
  call.identify(id ?? ownId(call))
  if (policy instanceof InvalidRequest) return policy
  const deadlineAt = now + policy.deadlineMillis
  call.deadlineAt = outerDeadline === undefined ? deadlineAt : Math.max(now, Math.min(deadlineAt, outerDeadline))
  call.policy = policy
  call.partition = partition
  call.inDryRun = inDryRun
  if (partition !== undefined && (partition === "" || partition.length > 256)) return partitionRule
  if (inRefreshLane === true) {
    call.lane = call.connection.refreshes
    // Whoever waits for the credential waits for this.
    call.rank = 0
  }
  if (call.connection.options.insecure === true) return Outgoing.insecure
  return call.request === undefined ? undefined : Outgoing.problemOf(call.request)
}
