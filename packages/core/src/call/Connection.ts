/**
 * One authorised link to one origin, with the memory that its calls share: circuit, bulkhead, budgets, credential, last failure. What all connections to the origin share is
 * `OriginMemory`. @internal
 */
import * as DateTime from "effect/DateTime"
import type { Auth, Environment } from "../definition/Auth.ts"
import type { CallPolicy, ResolvedPolicy } from "../definition/CallPolicy.ts"
import type { Dialect, ResolvedDialect } from "../definition/Dialect.ts"
import * as Dialects from "../definition/Dialect.ts"
import type { ErrorTable } from "../definition/ErrorTable.ts"
import type { Operation } from "../definition/Operation.ts"
import { Bulkhead } from "../policy/Bulkhead.ts"
import { ConcurrencyLimit } from "../policy/ConcurrencyLimit.ts"
import { HedgeDelay } from "../policy/HedgeDelay.ts"
import { Throttle } from "../policy/Throttle.ts"
import type { CircuitSnapshot } from "../policy/Circuit.ts"
import { Circuit } from "../policy/Circuit.ts"
import type { ResolvedRatePolicy } from "../definition/RatePlan.ts"
import { RateBudget } from "../policy/RateBudget.ts"
import { RetryBudget, terms } from "../policy/RetryBudget.ts"
import type { CircuitHealth, ConnectionHealth, LimitControl, NamedCircuit } from "../store/Connections.ts"
import type { CredentialSource } from "../store/CredentialSource.ts"
import type { IdempotencyStore } from "../store/IdempotencyStore.ts"
import type { StandingStops } from "../store/Stops.ts"
import type { FatalReason } from "../vocabulary/FatalReason.ts"
import type { Headers } from "../vocabulary/Platform.ts"
import { errorCode } from "../vocabulary/ProviderError.ts"
import type { Redaction } from "../vocabulary/Redaction.ts"
import type { RetryableReason } from "../vocabulary/RetryableReason.ts"
import type { AnswerCache } from "./AnswerCache.ts"
import { BoundMetrics } from "./BoundMetrics.ts"
import type { Flight } from "./Flights.ts"
import { Breaker } from "./Breaker.ts"
import type { Reach, Resolved } from "./LivePolicy.ts"
import type { OriginMemory } from "./OriginMemory.ts"
import * as Peer from "./Peer.ts"

/** @category models @since 0.1.0 */
export interface ConnectionOptions {
  readonly provider: string
  readonly id: string
  readonly environment?: Environment | undefined
  readonly origin?: string | undefined
  /** The origin stands in the declaration, and is one of few. */
  readonly declaredOrigin?: boolean | undefined
  /** The origin may not be called: neither https nor loopback. */
  readonly insecure?: boolean | undefined
  /** The app that calls, for the `service` field of log lines. */
  readonly service?: string | undefined
  /** What it begins with: the layer's own policy, not one operation's. Has the sizes of what calls share. */
  readonly policy: ResolvedPolicy
  readonly written: CallPolicy
  /** What operators have stopped. */
  readonly stops: StandingStops
  /** Where writes are remembered whose callers bring no store of their own. */
  readonly records?: IdempotencyStore["Service"] | undefined
  readonly rate?: ReadonlyArray<ResolvedRatePolicy> | undefined
  readonly dialect?: Dialect | undefined
  readonly redaction: Redaction
  readonly errors?: ErrorTable | undefined
  readonly auth?: Auth | undefined
  readonly credential?: CredentialSource | undefined
  /** Headers of every request: user agent, pinned version. */
  readonly headers?: Record<string, string> | undefined
  readonly requestIdHeader?: string | undefined
  readonly traceContext?: boolean | undefined
  /** Version of the provider's API that its requests are pinned to. */
  readonly version?: string | undefined
  /** Counts what was authorised anew or revoked: answers of an earlier epoch are nobody's. Default 0. */
  readonly epoch?: number | undefined
  /** From 0 to below 1, drawn when the layer was built: tells the correlation ids of this process from those of others. */
  readonly salt: number
}

/** Where calls run side by side: ordinary ones, and the refreshing of a credential, which must never wait for them. @category models @since 0.1.0 */
export class Lane {
  readonly breaker: Breaker
  readonly bulkhead: Bulkhead
  /** How many attempts may run at once, where that depends on how the provider answers. */
  limit: ConcurrencyLimit | undefined
  throttle: Throttle | undefined

  constructor(policy: ResolvedPolicy, origin: Circuit | undefined) {
    const { adaptive, concurrency } = policy.bulkhead
    this.breaker = new Breaker(new Circuit(policy.breaker), origin)
    this.limit = adaptive === undefined ? undefined : new ConcurrencyLimit({ ...adaptive, maximum: concurrency })
    this.bulkhead = new Bulkhead({ ...policy.bulkhead, limit: this.limit })
    this.throttle = policy.throttle === undefined ? undefined : new Throttle(policy.throttle)
  }

  /** Takes other sizes. What was counted and learnt stays, and so does whatever is held; what is asked for anew begins anew. */
  configure({ breaker, bulkhead, throttle }: ResolvedPolicy, now: number): void {
    this.breaker.connection.configure(breaker, now)
    const bounds = bulkhead.adaptive && { ...bulkhead.adaptive, maximum: bulkhead.concurrency }
    if (bounds === undefined || this.limit === undefined) this.limit = bounds && new ConcurrencyLimit(bounds)
    else this.limit.configure(bounds)
    this.bulkhead.configure({ ...bulkhead, limit: this.limit })
    if (throttle === undefined || this.throttle === undefined) this.throttle = throttle && new Throttle(throttle)
    else this.throttle.configure(throttle, now)
  }
}

/** Words about the end of one operation, and operations with such words, that are remembered. */
const maxWords = 8
const maxNamed = 1024

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

/** Operations of one connection that metrics tell apart; more of them are `_OTHER`, as OpenTelemetry calls what is not known. */
const maxOperations = 500
const otherOperations = "_OTHER"

type HedgeOptions = NonNullable<ResolvedPolicy["hedge"]>

/** Attempts to have seen before a percentile of them means anything. */
const hedgeSamples = 50

/** @category models @since 0.1.0 */
export class Connection {
  readonly options: ConnectionOptions
  /** The layer's policy of now, as it is written and as it holds. */
  policy: ResolvedPolicy
  written: CallPolicy
  readonly stops: StandingStops
  /** The writes that are not sent, as `Config` names them; `undefined` while all are. */
  dryRun: ReadonlyArray<string> | undefined = undefined
  readonly calls: Lane
  readonly rate: RateBudget
  readonly dialect: ResolvedDialect
  /** Of all retries to the origin, whoever makes them. */
  readonly retries: RetryBudget
  readonly headers: Record<string, string>
  readonly requestIdHeader: string
  readonly errors: ErrorTable
  /** Who is at the other end; `undefined` where that is not HTTP. */
  readonly peer: Peer.Peer | undefined
  private readonly idPrefix: string
  private calledSoFar = 0
  private refreshLane: Lane | undefined = undefined
  private lastFailure: (() => ConnectionHealth["lastFailure"]) | undefined = undefined
  private readonly metricsByOperation = new Map<string, BoundMetrics>()
  private readonly saidOfEnds = new Map<string, Set<string>>()
  /** Answers that are kept, where an operation declares so. */
  answers: AnswerCache | undefined = undefined
  /** Reads under way that others wait for, by what they ask for. */
  readonly flights = new Map<string, Flight>()
  private readonly hedgeDelays = new Map<string, { readonly options: HedgeOptions; readonly delay: HedgeDelay }>()

  /** `shared` is left out where no other connection can know the origin. */
  constructor(options: ConnectionOptions, shared?: OriginMemory) {
    this.options = options
    this.policy = options.policy
    this.written = options.written
    this.stops = options.stops
    this.calls = new Lane(options.policy, shared?.circuit)
    this.retries = shared?.retries ?? new RetryBudget()
    this.dialect = Dialects.resolve(options.dialect)
    this.rate = new RateBudget({
      ...options.policy.rate,
      policies: options.rate ?? [],
      perOperation: this.dialect.perOperation
    })
    this.headers = options.headers ?? {}
    this.requestIdHeader = (options.requestIdHeader ?? "x-request-id").toLowerCase()
    this.errors = options.errors ?? {}
    this.peer = options.origin === undefined ? undefined : Peer.of(options.origin)
    this.idPrefix = Math.floor(options.salt * 2 ** 52).toString(36)
  }

  /** The lane in which a credential is refreshed; made when somebody does, since most connections never do. */
  get refreshes(): Lane {
    return (this.refreshLane ??= new Lane(this.policy, undefined))
  }

  /** Takes on another policy, for the calls that begin from now on; with `origin` the circuit of the origin takes its sizes too. */
  configure({ policy, written }: Resolved, { now, origin }: Reach): void {
    this.policy = policy
    this.written = written
    this.calls.configure(policy, now)
    this.refreshLane?.configure(policy, now)
    if (origin) this.calls.breaker.origin?.configure(policy.breaker, now)
    this.rate.configure(policy.rate, now)
  }

  /** Counts a call. */
  count(): number {
    return ++this.calledSoFar
  }

  /** The correlation id of a counted call: what this process drew once, and the count. */
  idOf(count: number): string {
    return `${this.idPrefix}-${count.toString(36)}`
  }

  /** The bound metrics of an operation. Names that a program makes up as it goes share one, once there are too many. */
  metrics(operation: Operation): BoundMetrics {
    return this.metricsByOperation.get(operation.name) ?? this.bindMetrics(operation)
  }

  /** How long attempts of an operation took of late. Names that a program makes up as it goes share one, once there are too many. */
  hedgeDelay({ name }: Operation, options: HedgeOptions): HedgeDelay {
    const known = this.hedgeDelays.get(name)
    if (known?.options === options) return known.delay
    const key = known === undefined && this.hedgeDelays.size >= maxOperations ? otherOperations : name
    const { delay } = this.hedgeDelays.get(key) ?? { delay: undefined }
    const settings = { ...options, minimumSamples: hedgeSamples }
    delay?.configure(settings)
    const made = { options, delay: delay ?? new HedgeDelay(settings) }
    this.hedgeDelays.set(key, made)
    return made.delay
  }

  private bindMetrics(operation: Operation): BoundMetrics {
    const full = this.metricsByOperation.size >= maxOperations
    const name = full ? otherOperations : operation.name
    const made = this.metricsByOperation.get(name) ?? new BoundMetrics(this.options, { ...operation, name })
    this.metricsByOperation.set(name, made)
    return made
  }

  /** Whether an operation's answers say for the first time what they say about its end. Bounded: after eight different words nothing is news. */
  isNews(operation: Operation, word: string): boolean {
    const said = this.saidOfEnds.get(operation.name) ?? new Set()
    if (said.size >= maxWords || (said.size === 0 && this.saidOfEnds.size >= maxNamed)) return false
    const short = word.slice(0, 256)
    if (said.has(short)) return false
    this.saidOfEnds.set(operation.name, said.add(short))
    return true
  }

  /** The provider's id of an answer, sanitised: it is the provider's words. */
  requestIdOf(headers: Headers.Headers): string | undefined {
    const id = headers[this.requestIdHeader]
    return id === undefined ? undefined : this.options.redaction.text(id, 128)
  }

  failed(operation: Operation, reason: RetryableReason | FatalReason, now: number): void {
    // Written out when somebody asks: most failures are followed by another.
    this.lastFailure = () => ({
      at: DateTime.formatIso(DateTime.makeUnsafe(now)),
      operation: operation.name,
      code: errorCode(reason),
      message: reason.message
    })
  }

  health(now: number): ReadonlyArray<ConnectionHealth> {
    const { environment, id, origin, provider } = this.options
    const { breaker, bulkhead } = this.calls
    return [
      {
        provider,
        connection: id,
        environment: environment ?? null,
        origin: origin ?? null,
        shadow: this.policy.shadow ?? [],
        stopped: this.stops.on(provider, id).map(({ at, by, operation, writes }) => ({
          operation: operation ?? null,
          writes,
          by,
          since: DateTime.formatIso(DateTime.makeUnsafe(at))
        })),
        circuit: circuitHealth(breaker.connection.snapshot(now), now),
        originCircuit: breaker.origin === undefined ? null : circuitHealth(breaker.origin.snapshot(now), now),
        bulkhead: { inFlight: bulkhead.inFlight, waiting: bulkhead.waiting, concurrency: bulkhead.concurrency },
        rateBudget: this.rate.snapshot(now),
        retryBudget: { tokens: this.retries.tokens, capacity: terms.capacity },
        lastFailure: this.lastFailure?.() ?? null
      }
    ]
  }

  /** Its declared limits, where there are any. */
  limits(): LimitControl | undefined {
    const { environment, id, provider, rate = [] } = this.options
    const divide: LimitControl["divide"] = (share, now) => this.rate.divide(share, now)
    return rate.length === 0 ? undefined : { provider, environment, connection: id, divide }
  }

  circuits(): ReadonlyArray<NamedCircuit> {
    const { environment, id, origin, provider } = this.options
    const { breaker } = this.calls
    const named = { provider, connection: id, environment, origin }
    return [
      ...(breaker.origin === undefined ? [] : [{ ...named, level: "origin" as const, circuit: breaker.origin }]),
      { ...named, level: "connection" as const, circuit: breaker.connection }
    ]
  }
}
