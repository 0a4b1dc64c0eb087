/**
 * One authorised link to one origin, with the memory that its calls share: circuit, bulkhead, budgets, credential, last failure. What all connections to the origin share is
 * `OriginMemory`. @internal
 */
import type * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Metric from "effect/Metric"
import type { Auth, Environment } from "../definition/Auth.ts"
import type { ResolvedPolicy } from "../definition/CallPolicy.ts"
import type { ErrorTable } from "../definition/ErrorTable.ts"
import type { Operation } from "../definition/Operation.ts"
import { Bulkhead } from "../policy/Bulkhead.ts"
import type { CircuitSnapshot } from "../policy/Circuit.ts"
import { Circuit } from "../policy/Circuit.ts"
import type { DeclaredRate } from "../policy/RateBudget.ts"
import { RateBudget } from "../policy/RateBudget.ts"
import { RetryBudget, terms } from "../policy/RetryBudget.ts"
import type { CircuitHealth, ConnectionHealth, NamedCircuit, Observed } from "../store/Connections.ts"
import type { CredentialSource } from "../store/CredentialSource.ts"
import type { FatalReason } from "../vocabulary/FatalReason.ts"
import type { Headers } from "../vocabulary/Platform.ts"
import { errorCode } from "../vocabulary/ProviderError.ts"
import type { Redaction } from "../vocabulary/Redaction.ts"
import type { RetryableReason } from "../vocabulary/RetryableReason.ts"
import * as Telemetry from "../vocabulary/Telemetry.ts"
import { Breaker } from "./Breaker.ts"
import type { OriginMemory } from "./OriginMemory.ts"

/** @category models @since 0.1.0 */
export interface ConnectionOptions {
  readonly provider: string
  readonly id: string
  readonly environment?: Environment | undefined
  readonly origin?: string | undefined
  /** The origin may not be called: neither https nor loopback. */
  readonly insecure?: boolean | undefined
  /** The app that calls, for the `service` field of log lines. */
  readonly service?: string | undefined
  /** Sizes of the shared policies: the provider's own policy, not one operation's. */
  readonly policy: ResolvedPolicy
  readonly rate?: DeclaredRate | undefined
  readonly redaction: Redaction
  readonly errors?: ErrorTable | undefined
  readonly auth?: Auth | undefined
  readonly credential?: CredentialSource | undefined
  /** Headers of every request: user agent, pinned version. */
  readonly headers?: Record<string, string> | undefined
  readonly requestIdHeader?: string | undefined
  readonly traceContext?: boolean | undefined
  /** From 0 to below 1, drawn when the layer was built: tells the correlation ids of this process from those of others. */
  readonly salt: number
}

/** Where calls run side by side: ordinary ones, and the refreshing of a credential, which must never wait for them. @category models @since 0.1.0 */
export class Lane {
  readonly breaker: Breaker
  readonly bulkhead: Bulkhead

  constructor(policy: ResolvedPolicy, origin: Circuit | undefined) {
    this.breaker = new Breaker(new Circuit(policy.breaker), origin)
    this.bulkhead = new Bulkhead(policy.bulkhead)
  }
}

const shareOf = (part: number, calls: number): number | null => (calls === 0 ? null : part / calls)

const circuitHealth = (circuit: CircuitSnapshot, now: number): CircuitHealth => {
  const { calls, failures, forcedBy, openings, reason, retryAfterMillis, slow, state } = circuit
  return {
    state,
    openings,
    retryAfterMillis,
    probesAt: state === "open" ? DateTime.formatIso(DateTime.makeUnsafe(now + retryAfterMillis)) : null,
    reason: reason ?? null,
    forcedBy: forcedBy ?? null,
    calls,
    failureRate: shareOf(failures, calls),
    slowRate: shareOf(slow, calls)
  }
}

/** Metrics of one operation with their labels bound, so that an update looks nothing up. */
class BoundMetrics {
  private readonly base: Record<string, string>
  private readonly calls = new Map<string, Metric.Metric<number, unknown>>()
  private readonly durations = new Map<string, Metric.Metric<number, unknown>>()
  private readonly attempts = new Map<string, Metric.Metric<number, unknown>>()

  constructor(base: Record<string, string>) {
    this.base = base
  }

  private bound(
    cache: Map<string, Metric.Metric<number, unknown>>,
    metric: Metric.Metric<number, unknown>,
    label: string,
    value: string
  ) {
    const found = cache.get(value)
    if (found !== undefined) return found
    const made = Metric.withAttributes(metric, { ...this.base, [label]: value })
    cache.set(value, made)
    return made
  }

  ended(outcome: string, seconds: number, context: Context.Context<never>): void {
    this.bound(this.calls, Telemetry.calls, "outcome", outcome).updateUnsafe(1, context)
    this.bound(this.durations, Telemetry.callDuration, "outcome", outcome).updateUnsafe(seconds, context)
  }

  attempted(statusClass: string, seconds: number, context: Context.Context<never>): void {
    this.bound(this.attempts, Telemetry.attemptDuration, "status_class", statusClass).updateUnsafe(seconds, context)
  }

  /** Updates a metric that is not on the way of a call that succeeds at once. */
  observe(
    metric: Metric.Metric<number, unknown>,
    context: Context.Context<never>,
    labels: Record<string, string> = {},
    amount = 1
  ): void {
    Metric.withAttributes(metric, { ...this.base, ...labels }).updateUnsafe(amount, context)
  }
}

/** @category models @since 0.1.0 */
export class Connection implements Observed {
  readonly options: ConnectionOptions
  readonly calls: Lane
  readonly rate: RateBudget
  /** Of all retries to the origin, whoever makes them. */
  readonly retries: RetryBudget
  readonly headers: Record<string, string>
  readonly requestIdHeader: string
  readonly errors: ErrorTable
  private readonly idPrefix: string
  private calledSoFar = 0
  private refreshLane: Lane | undefined = undefined
  private lastFailure: ConnectionHealth["lastFailure"] = null
  private readonly metricsByOperation = new Map<string, BoundMetrics>()

  /** `shared` is left out where no other connection can know the origin. */
  constructor(options: ConnectionOptions, shared?: OriginMemory) {
    this.options = options
    this.calls = new Lane(options.policy, shared?.circuit)
    this.retries = shared?.retries ?? new RetryBudget()
    this.rate = new RateBudget(options.rate)
    this.headers = options.headers ?? {}
    this.requestIdHeader = (options.requestIdHeader ?? "x-request-id").toLowerCase()
    this.errors = options.errors ?? {}
    this.idPrefix = Math.floor(options.salt * 2 ** 52).toString(36)
  }

  /** The lane in which a credential is refreshed; made when somebody does, since most connections never do. */
  get refreshes(): Lane {
    return (this.refreshLane ??= new Lane(this.options.policy, undefined))
  }

  /** A correlation id: what this process drew once, and a count. */
  nextId(): string {
    return `${this.idPrefix}-${(++this.calledSoFar).toString(36)}`
  }

  /** The bound metrics of an operation. Bounded by the number of operations, which are declared. */
  metrics(operation: Operation): BoundMetrics {
    const found = this.metricsByOperation.get(operation.name)
    if (found !== undefined) return found
    const { environment, provider } = this.options
    const made = new BoundMetrics({
      provider,
      operation: operation.name,
      ...(environment === undefined ? {} : { environment })
    })
    this.metricsByOperation.set(operation.name, made)
    return made
  }

  /** The provider's id of an answer, sanitised: it is the provider's words. */
  requestIdOf(headers: Headers.Headers): string | undefined {
    const id = headers[this.requestIdHeader]
    return id === undefined ? undefined : this.options.redaction.text(id, 128)
  }

  failed(operation: Operation, reason: RetryableReason | FatalReason, now: number): void {
    this.lastFailure = {
      at: DateTime.formatIso(DateTime.makeUnsafe(now)),
      operation: operation.name,
      code: errorCode(reason),
      message: reason.message
    }
  }

  health(now: number): ReadonlyArray<ConnectionHealth> {
    const { environment, id, origin, policy, provider } = this.options
    const { breaker, bulkhead } = this.calls
    return [
      {
        provider,
        connection: id,
        environment: environment ?? null,
        origin: origin ?? null,
        circuit: circuitHealth(breaker.connection.snapshot(now), now),
        originCircuit: breaker.origin === undefined ? null : circuitHealth(breaker.origin.snapshot(now), now),
        bulkhead: { inFlight: bulkhead.inFlight, waiting: bulkhead.waiting, concurrency: policy.bulkhead.concurrency },
        rateBudget: this.rate.snapshot(now),
        retryBudget: { tokens: this.retries.tokens, capacity: terms.capacity },
        lastFailure: this.lastFailure
      }
    ]
  }

  circuits(): ReadonlyArray<NamedCircuit> {
    const { id, origin, provider } = this.options
    const { breaker } = this.calls
    const named = { provider, connection: id, origin }
    return [
      ...(breaker.origin === undefined ? [] : [{ ...named, level: "origin" as const, circuit: breaker.origin }]),
      { ...named, level: "connection" as const, circuit: breaker.connection }
    ]
  }
}
