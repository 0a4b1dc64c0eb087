/**
 * A protected call around what is already there: around any effect (`protect`), or as a plain `HttpClient` that existing code is given (`layer`). The third way in
 * is a declared provider (`Client`). All three go the same way (`Pipeline`). @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import type { CallPolicy } from "../definition/CallPolicy.ts"
import { CallPolicyError } from "../definition/CallPolicy.ts"
import * as Dialect from "../definition/Dialect.ts"
import type { ErrorTable } from "../definition/ErrorTable.ts"
import * as Operation from "../definition/CalledOperation.ts"
import * as PolicyRules from "../definition/PolicyRules.ts"
import type { Rate } from "../definition/RatePlan.ts"
import * as RatePlan from "../definition/RatePlan.ts"
import { KeyCell, CurrentKey } from "../policy/Idempotency.ts"
import * as Connections from "../store/Connections.ts"
import { IdempotencyStore } from "../store/IdempotencyStore.ts"
import type { StandingStops } from "../store/Stops.ts"
import { Stops } from "../store/Stops.ts"
import * as Outgoing from "../transport/Outgoing.ts"
import type { HttpClientRequest, HttpClientResponse } from "../vocabulary/Platform.ts"
import { HttpClient, HttpClientError } from "../vocabulary/Platform.ts"
import type { ProviderError } from "../vocabulary/ProviderError.ts"
import * as Redaction from "../vocabulary/Redaction.ts"
import { ofMethod, windowMargin } from "../vocabulary/MethodSafety.ts"
import type { Safety } from "../vocabulary/Safety.ts"
import type { ErrorsOf, KeyOf } from "./Client.ts"
import * as EffectAttempt from "./EffectAttempt.ts"
import type { RecordOptions } from "./EffectMemory.ts"
import * as EffectMemory from "./EffectMemory.ts"
import { Connection } from "./Connection.ts"
import * as HttpAttempt from "./HttpAttempt.ts"
import type { Resolved } from "./LivePolicy.ts"
import { LivePolicy } from "./LivePolicy.ts"
import * as OriginMemory from "./OriginMemory.ts"
import * as Pipeline from "./Pipeline.ts"
import { CurrentCall, RunningCall } from "./RunningCall.ts"
import * as StreamedBody from "./StreamedBody.ts"

export { withDeadline } from "../policy/Deadline.ts"
export { currentKey } from "./EffectAttempt.ts"
export type { Classification } from "./EffectAttempt.ts"
export type { RecordOptions } from "./EffectMemory.ts"
export { dryRun, refreshLane, withClass, withCorrelationId, withPartition, withPolicy } from "./CallSettings.ts"
export type { TrafficClass } from "../vocabulary/TrafficClass.ts"

/** What is shared by the calls of one origin, when no provider is declared. @category models @since 0.1.0 */
export interface Options {
  /** Who is called, a lower-case word: stands in metrics, spans and log lines. */
  readonly provider: string
  readonly policy?: CallPolicy | undefined
  /** What the answers mean. Default: by status alone. */
  readonly errors?: ErrorTable | undefined
  /** Requests that may leave in a window, for each origin; a limit with two numbers counts with the one for production. Default: only what answers tell. */
  readonly rate?: Rate | undefined
  /** How answers tell of limits. Default `Dialect.standard`. */
  readonly dialect?: Dialect.Dialect | undefined
  /** Request header that carries an idempotency key in this app: a write that has it is `keyed`, any other is `unsafe`. Default: no header counts. */
  readonly idempotencyHeader?: string | undefined
  /** How long the provider remembers a key, more than one hour: nothing is sent with it in the last one. Default `"24 hours"`. */
  readonly keyWindow?: Duration.Input | undefined
  /** The app and a contact, such as `shop/1.4 (ops@shop.example)`. A `user-agent` that the request has stays. Default `breakwater`. */
  readonly userAgent?: string | undefined
  /** Names of fields and parameters, and shapes of secrets, that are taken out of errors and logs beside the built-in. */
  readonly redaction?: Redaction.RedactionOptions | undefined
}

const defaultWindow = "24 hours"

/** Names of headers and parameters by which apps send secrets that nobody declared. */
const secretNames = /auth|cookie|key|token|secret|signature|password/iu

/** What the running call's own request carries under such a name: an answer that echoes it must not. */
const secretsInFlight = (): ReadonlyArray<Redacted.Redacted<string>> => {
  const request = Fiber.getCurrent()?.getRef(CurrentCall)?.request
  if (request === undefined) return []
  const headers = Object.entries(request.headers).filter(([name]) => secretNames.test(name))
  const query = request.urlParams.params.filter(([name]) => secretNames.test(name))
  return [
    ...headers.map(([, value]) => Redacted.make(value.replace(/^(?:bearer|basic)\s+/iu, ""))),
    ...query.map(([, value]) => (Redacted.isRedacted(value) ? value : Redacted.make(value)))
  ]
}

/** Origins that one client keeps state for; of more, the one that was not used for longest is forgotten. @category constants @since 0.1.0 */
export const maxOrigins = 256

/** What a layer finds where it is built. */
interface Parts {
  readonly salt: number
  readonly stops: StandingStops
  readonly records: IdempotencyStore["Service"] | undefined
}

const parts: Effect.Effect<Parts> = Effect.gen(function* () {
  const records = Option.getOrUndefined(yield* Effect.serviceOption(IdempotencyStore))
  return { salt: yield* Random.next, stops: yield* Stops, records }
})

const makeConnection = (
  options: Omit<Options, "idempotencyHeader">,
  { policy, written }: Resolved,
  origin: string | undefined,
  parts: Parts,
  shared?: OriginMemory.OriginMemory
): Connection => {
  const connection = {
    provider: options.provider,
    id: origin ?? "default",
    origin,
    insecure: origin !== undefined && !Outgoing.isAllowed(origin),
    service: options.userAgent?.split(/[/ ]/u, 1)[0],
    policy,
    written,
    rate: RatePlan.resolve(options.rate, "production"),
    dialect: options.dialect,
    redaction: Redaction.make({
      ...options.redaction,
      secrets: () => [...(options.redaction?.secrets?.() ?? []), ...secretsInFlight()]
    }),
    errors: options.errors,
    headers: { "user-agent": options.userAgent ?? "breakwater" },
    ...parts
  }
  return new Connection(connection, shared)
}

/** The connections of one client, by origin; the least recently used goes first. */
class Origins implements Connections.Observed {
  private readonly known = new Map<string, Connection>()
  readonly policy: LivePolicy<Resolved>
  /** One for each method and safety, so that their number is bounded. */
  private readonly operations = new Map<string, Operation.Operation>()
  private readonly options: Options
  private readonly transport: HttpClient.HttpClient
  private readonly parts: Parts
  private salt: number
  readonly limits: Connections.LimitControl | undefined
  /** Of the declared limits, for origins that are called for the first time. */
  private share: number | undefined = undefined

  constructor(transport: HttpClient.HttpClient, options: Options, policy: LivePolicy<Resolved>, parts: Parts) {
    this.transport = transport
    this.options = options
    this.policy = policy
    this.salt = parts.salt
    this.parts = parts
    const { provider, rate } = options
    const divide = (share: number, now: number): void => this.divide(share, now)
    this.limits = rate && { provider, environment: undefined, connection: undefined, divide }
    policy.onChange((next, reach) => {
      for (const connection of this.known.values()) connection.configure(next, reach)
      for (const operation of this.operations.values()) Operation.repolicy(operation, next)
    })
  }

  of(origin: string): Connection {
    const found = this.known.get(origin)
    const connection = found ?? this.open(origin)
    if (found !== undefined) this.known.delete(origin)
    else if (this.known.size >= maxOrigins) this.forgetOldest()
    this.known.set(origin, connection)
    return connection
  }

  /** Each connection counts its calls from one, so each gets a salt of its own. */
  private open(origin: string): Connection {
    this.salt = (this.salt + 1 / 8192) % 1
    const { current } = this.policy
    const shared = OriginMemory.shared(this.transport, origin, current.policy.breaker)
    const connection = makeConnection(this.options, current, origin, { ...this.parts, salt: this.salt }, shared)
    // Nothing was spent yet, so that it does not matter when.
    if (this.share !== undefined) connection.rate.divide(this.share, 0)
    return connection
  }

  private divide(share: number, now: number): void {
    this.share = share
    for (const connection of this.known.values()) connection.rate.divide(share, now)
  }

  private forgetOldest(): void {
    const oldest = this.known.keys().next()
    if (oldest.done !== true) this.known.delete(oldest.value)
  }

  operation(method: string, keyed: boolean): Operation.Operation {
    const id = keyed ? `${method} keyed` : method
    const found = this.operations.get(id)
    if (found !== undefined) return found
    const { idempotencyHeader: header, keyWindow, provider } = this.options
    const byMethod = ofMethod(method)
    const safety = keyed && byMethod === "unsafe" ? "keyed" : byMethod
    const operation = Operation.undeclared({
      name: `${provider}.${method}`,
      method,
      template: "",
      safety,
      keys: header === undefined || safety !== "keyed" ? undefined : { header, window: keyWindow ?? defaultWindow },
      policy: this.policy.current.policy,
      written: this.policy.current.written
    })
    this.operations.set(id, operation)
    return operation
  }

  health(now: number): ReadonlyArray<Connections.ConnectionHealth> {
    return [...this.known.values()].flatMap((connection) => connection.health(now))
  }

  circuits(): ReadonlyArray<Connections.NamedCircuit> {
    return [...this.known.values()].flatMap((connection) => connection.circuits())
  }
}

const resolve =
  (provider: string) =>
  (written: CallPolicy): Result.Result<Resolved, CallPolicyError> =>
    Result.map(PolicyRules.resolve(provider, written), (policy) => ({ policy, written }))

const livePolicy = (
  { dialect, policy = {}, provider, rate }: Pick<Options, "dialect" | "policy" | "provider" | "rate">,
  connection: string | undefined
): Effect.Effect<LivePolicy<Resolved>, CallPolicyError> => {
  const problem = (rate && RatePlan.problemOf(rate)) ?? (dialect && Dialect.problemOf(dialect))
  if (problem === undefined)
    return Effect.fromResult(LivePolicy.make({ provider, connection, built: policy, resolve: resolve(provider) }))
  return Effect.fail(new CallPolicyError({ owner: provider, field: problem[0], rule: problem[1] }))
}

const originOf = (url: string): string | undefined => (URL.canParse(url) ? new URL(url).origin : undefined)

/** Our error as existing code expects one: a `TransportError` whose `cause` it is. */
const asHttpClientError =
  (request: HttpClientRequest.HttpClientRequest) =>
  (error: ProviderError): HttpClientError.HttpClientError =>
    new HttpClientError.HttpClientError({
      reason: new HttpClientError.TransportError({ request, cause: error, description: error.message })
    })

const makeClient = (inner: HttpClient.HttpClient, options: Options, origins: Origins): HttpClient.HttpClient => {
  const header = options.idempotencyHeader?.toLowerCase()
  const execute = (request: HttpClientRequest.HttpClientRequest) => {
    const key = header === undefined ? undefined : request.headers[header]
    const operation = origins.operation(request.method, key !== undefined)
    const connection = origins.of(originOf(request.url) ?? "invalid")
    const running = new RunningCall({ kind: HttpAttempt.plain, connection, operation, request, client: inner })
    const run = Effect.provideService(
      Pipeline.run<HttpClientResponse.HttpClientResponse>(running),
      CurrentCall,
      running
    )
    const call = Effect.withFiber<HttpClientResponse.HttpClientResponse, ProviderError>((fiber) => {
      const streamed = fiber.getRef(CurrentStreaming)
      return streamed === undefined ? run : streamed(running, run)
    })
    const keyed =
      operation.safety === "keyed" && key !== undefined
        ? Effect.provideService(call, CurrentKey, new KeyCell(key))
        : call
    return Effect.mapError(keyed, asHttpClientError(request))
  }
  return HttpClient.makeWith<never, never, HttpClientError.HttpClientError, never>(
    (request) => Effect.flatMap(request, execute),
    Effect.succeed
  )
}

/**
 * The protected version of a client. Calls share a circuit, a bulkhead and a rate budget for each origin, until the scope closes; with everything else over the same `inner` they share
 * the origin's own circuit and its retry budget.
 * @category constructors @since 0.1.0
 */
export const client = Effect.fnUntraced(function* (inner: HttpClient.HttpClient, options: Options) {
  if (Duration.toMillis(options.keyWindow ?? defaultWindow) <= Duration.toMillis(windowMargin)) {
    const rule = `must be longer than ${Duration.format(windowMargin)}, since no key is sent in the last of it`
    return yield* new CallPolicyError({ owner: options.provider, field: "keyWindow", rule })
  }
  const policy = yield* livePolicy(options, undefined)
  const origins = new Origins(inner, options, policy, yield* parts)
  yield* Connections.register(origins)
  return makeClient(inner, options, origins)
})

/**
 * Puts every protection into the `HttpClient` that existing code uses, which is not changed.
 * **Details** Safety comes from the method, so a POST is not sent twice unless it carries the header named by `idempotencyHeader`. The last answer stays an answer,
 * also a 503; an error of ours is the `cause` of the `TransportError`. Fails with `CallPolicyError` when the policy contradicts itself.
 * **Example** `Call.layer({ provider: "acme" }).pipe(Layer.provide(FetchHttpClient.layer))`
 * @category layers @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<HttpClient.HttpClient, CallPolicyError, HttpClient.HttpClient> =>
  Layer.effect(
    HttpClient.HttpClient,
    Effect.flatMap(HttpClient.HttpClient, (inner) => client(inner, options))
  )

type Streaming = <A, E>(call: RunningCall, running: Effect.Effect<A, E>) => Effect.Effect<A, E>

/** How the bodies of the calls inside are read as they come; `undefined` where they are read whole. `streaming` brings it along, so that a bundle that reads none does not hold it. */
const CurrentStreaming = Context.Reference<Streaming | undefined>("@breakwater/core/Call/CurrentStreaming", {
  defaultValue: () => undefined
})

/**
 * Says that the answers of plain requests inside are read as they come: a success of `Call.layer`'s client comes when its headers have, and `response.stream` is its body, once, within `streaming` of
 * the policy. An error of it is a `TransportError` with ours as its `cause`. An answer that is no success is read whole, as ever. @category combinators @since 0.1.0
 */
export const streaming = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Scope.Scope> =>
  Effect.flatMap(Effect.service(Scope.Scope), (scope) =>
    Effect.provideService(self, CurrentStreaming, (call, running) => StreamedBody.within(scope, call, running))
  )

/** Something that calls are made to, with the memory that they share. @category models @since 0.1.0 */
export interface Connected {
  readonly "~connection": Connection
}

/**
 * Opens what `protect` needs: the circuit, bulkhead and budgets of one provider, until the scope closes. Fails with `CallPolicyError` when the policy
 * contradicts itself. @category constructors @since 0.1.0
 */
export const connect = Effect.fnUntraced(function* (
  options: Pick<Options, "provider" | "policy" | "redaction" | "userAgent" | "rate">
) {
  const policy = yield* livePolicy(options, "default")
  const connection = makeConnection(options, policy.current, undefined, yield* parts)
  policy.onChange((next, reach) => connection.configure(next, reach))
  yield* Connections.register({
    health: (now) => connection.health(now),
    circuits: () => connection.circuits(),
    policy,
    limits: connection.limits()
  })
  const connected: Connected = { "~connection": connection }
  return connected
})

/** @category models @since 0.1.0 */
export interface ProtectOptions<S extends Safety, Name extends string, E, A = unknown> {
  readonly provider: Connected
  readonly operation: Name
  /** `keyed` requires an idempotency key, which `Call.currentKey` gives to the effect. */
  readonly safety: S
  /** What a failure means; `undefined` for one that is final and handed on as it is. Default: timeouts, errors of ours and transport failures are retried. */
  readonly classify?: ((error: E) => EffectAttempt.Classification | undefined) | undefined
  /** How its outcome is kept, where there is an `IdempotencyStore` and the call has a key. Default: it is not, and only the other side remembers the key. */
  readonly record?: RecordOptions<A, E> | undefined
}

/**
 * Puts every protection around an effect: a vendor's SDK, a query, a socket. Each attempt runs it anew, in a fiber of its own, interrupted when it takes too long.
 * A failure that is not retried is handed on as it is. @category combinators @since 0.1.0
 */
export const protect = <A, E, R, const S extends Safety, const Name extends string>(
  effect: Effect.Effect<A, E, R>,
  options: ProtectOptions<S, Name, E, A>
): Effect.Effect<A, E | ErrorsOf<S>, R | KeyOf<S, Name>> => {
  const connection = options.provider["~connection"]
  const { provider } = connection.options
  const operation = Operation.undeclared({
    name: `${provider}.${options.operation}`,
    method: "",
    template: "",
    safety: options.safety,
    policy: connection.policy,
    written: connection.written
  })
  const kind = EffectAttempt.kind(options.classify, options.record && EffectMemory.make(options.record))
  return Effect.suspend(() => {
    if (operation.policy !== connection.policy) Operation.repolicy(operation, connection)
    return Pipeline.run<A, E | ErrorsOf<S>>(
      new RunningCall({ kind, connection, operation, effect: effect as Effect.Effect<A, E> })
    )
  })
}
