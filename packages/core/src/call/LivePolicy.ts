/**
 * The policy of one layer while it runs: what it was built with, what `Config` says over that, and what an operator says over both. A change is prepared first, which may find that it contradicts itself, and
 * then taken on at once; what the policies have counted stays. @internal
 */
import type * as Config from "effect/Config"
import type * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { CallPolicy, CallPolicyError, ResolvedPolicy } from "../definition/CallPolicy.ts"
import { merge } from "../definition/CallPolicy.ts"
import * as PolicyFields from "../definition/PolicyFields.ts"
import type { Configured } from "../definition/ConfiguredPolicy.ts"
import * as ConfiguredPolicy from "../definition/ConfiguredPolicy.ts"
import type { PolicyControl, PreparedPolicy, PolicySources } from "../store/Connections.ts"

/** A policy that holds together, with whatever else was made of it. @category models @since 0.1.0 */
export interface Resolved {
  readonly policy: ResolvedPolicy
  readonly written: CallPolicy
}

/** How far a change reaches beyond the layer. @category models @since 0.1.0 */
export interface Reach {
  readonly now: number
  /** The circuit of the origin takes its sizes too, which other connections share. */
  readonly origin: boolean
}

/** @category models @since 0.1.0 */
export interface LivePolicyOptions<R extends Resolved> {
  readonly provider: string
  /** `undefined` where there are many, which share the policy. */
  readonly connection: string | undefined
  /** What it is built with. */
  readonly built: CallPolicy
  readonly resolve: (written: CallPolicy) => Result.Result<R, CallPolicyError>
  /** What `Config` says beside the policy that cannot be. */
  readonly problemOf?: ((configured: Configured) => CallPolicyError | undefined) | undefined
  /** What `Config` says, and how it is asked again. */
  readonly configured?: Configured | undefined
  readonly reread?: Effect.Effect<Configured, Config.ConfigError> | undefined
}

/** @category models @since 0.1.0 */
export class LivePolicy<R extends Resolved> implements PolicyControl {
  readonly provider: string
  readonly connection: string | undefined
  readonly reread: Effect.Effect<Configured, Config.ConfigError> | undefined
  /** What holds. */
  current: R
  /** What `Config` says. */
  configured: Configured
  private operator: CallPolicy = {}
  private adopt: ((resolved: R, reach: Reach) => void) | undefined = undefined
  private readonly options: LivePolicyOptions<R>

  private constructor(options: LivePolicyOptions<R>, current: R, configured: Configured) {
    this.options = options
    this.provider = options.provider
    this.connection = options.connection
    this.reread = options.reread
    this.configured = configured
    this.current = current
  }

  /** The policy that a layer begins with, or the first field that breaks a rule. */
  static make<R extends Resolved>(options: LivePolicyOptions<R>): Result.Result<LivePolicy<R>, CallPolicyError> {
    const configured = options.configured ?? ConfiguredPolicy.none
    return Result.map(resolved(options, configured, {}), (current) => new LivePolicy(options, current, configured))
  }

  /** Says what takes on a change. Until then none can be made. */
  onChange(adopt: (resolved: R, reach: Reach) => void): void {
    this.adopt = adopt
  }

  prepare(sources: PolicySources): Result.Result<PreparedPolicy, CallPolicyError> {
    const configured = sources.configured ?? this.configured
    const operator = sources.operator ?? this.operator
    return Result.map(resolved(this.options, configured, operator), (next) => {
      const changes = [...PolicyFields.changes(this.current, next), ...stopping(this.configured, configured)]
      const isBreaker = changes.some(({ field }) => field.startsWith("breaker."))
      const take = (now: number): void => {
        this.configured = configured
        this.operator = operator
        this.current = next
        this.adopt?.(next, { now, origin: isBreaker && sources.wholeProvider })
      }
      return { changes, take }
    })
  }
}

/** What is not of the policy, and changes with it. */
const stopping = (before: Configured, after: Configured): ReadonlyArray<PolicyFields.FieldChange> => {
  const [from, to] = [ConfiguredPolicy.dryRunText(before.dryRun), ConfiguredPolicy.dryRunText(after.dryRun)]
  return [
    ...(before.stopped === after.stopped
      ? []
      : [{ field: "stopped", from: String(before.stopped), to: String(after.stopped) }]),
    ...(from === to ? [] : [{ field: "dryRun", from, to }])
  ]
}

const resolved = <R extends Resolved>(
  { built, problemOf, resolve }: LivePolicyOptions<R>,
  configured: Configured,
  operator: CallPolicy
): Result.Result<R, CallPolicyError> => {
  const problem = problemOf?.(configured)
  if (problem !== undefined) return Result.fail(problem)
  return Result.mapError(resolve(merge(merge(built, configured.policy), operator)), (error) =>
    ConfiguredPolicy.blamed(error, configured)
  )
}
