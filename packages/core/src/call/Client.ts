/**
 * The typed client of a declared provider: one method an endpoint, every protection inside. The error channel and the requirement of a key follow the operation's
 * safety. @since 0.1.0
 */
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Hash from "effect/Hash"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Streamed } from "../definition/Body.ts"
import type { Environment } from "../definition/Auth.ts"
import * as Auth from "../definition/Auth.ts"
import type { CallPolicy } from "../definition/CallPolicy.ts"
import { CallPolicyError } from "../definition/CallPolicy.ts"
import * as CallPolicies from "../definition/CallPolicy.ts"
import * as Operation from "../definition/Operation.ts"
import type { RequestOf } from "../definition/OperationRequest.ts"
import * as PolicyRules from "../definition/PolicyRules.ts"
import type { Configured } from "../definition/PolicyVariables.ts"
import * as PolicyVariables from "../definition/PolicyVariables.ts"
import type { Any, Provider } from "../definition/Provider.ts"
import { isSecure } from "../vocabulary/SecureUrl.ts"
import * as RatePlan from "../definition/RatePlan.ts"
import { AnswerStore } from "../store/AnswerStore.ts"
import * as Connections from "../store/Connections.ts"
import { IdempotencyStore } from "../store/IdempotencyStore.ts"
import type { StandingStops } from "../store/Stops.ts"
import { covers, Stops } from "../store/Stops.ts"
import type { Credential, CredentialSource } from "../store/CredentialSource.ts"
import * as CredentialSources from "../store/CredentialSource.ts"
import { CredentialSourceError } from "../store/CredentialSource.ts"
import type { IdempotencyKey } from "../policy/Idempotency.ts"
import type { HttpApi, HttpApiClient, HttpApiEndpoint, HttpApiGroup, HttpApiSchema } from "../vocabulary/PlatformApi.ts"
import { HttpClient } from "../vocabulary/Platform.ts"
import type { FatalError, OutcomeUnknown, RetryableError } from "../vocabulary/ProviderError.ts"
import * as Redaction from "../vocabulary/Redaction.ts"
import type * as Safety from "../vocabulary/Safety.ts"
import type { AnswerEngine } from "./AnswerPath.ts"
import { aside } from "./CallSettings.ts"
import * as ClientMethods from "./ClientMethods.ts"
import { Connection } from "./Connection.ts"
import { LivePolicy } from "./LivePolicy.ts"
import * as OriginMemory from "./OriginMemory.ts"

/** The errors that an operation of this safety adds to its declared ones. @category type-level @since 0.1.0 */
export type ErrorsOf<S extends Safety.Safety> =
  | RetryableError
  | FatalError
  | (S extends "keyed" | "unsafe" ? OutcomeUnknown : never)

/** The key that an operation of this safety requires. @category type-level @since 0.1.0 */
export type KeyOf<S extends Safety.Safety, Name extends string> = S extends "keyed" ? IdempotencyKey<Name> : never

/** What a method takes: `params`, `query`, `payload`, `headers`, as far as the endpoint declares them. @category type-level @since 0.1.0 */
export type Request<E extends HttpApiEndpoint.ConstraintRequest> = RequestOf<E>

type Flat<T> = { readonly [K in keyof T]: T[K] }

/** What an operation gives: its value, or an answer whose body is read as it comes. @category type-level @since 0.1.0 */
export type SuccessOf<S extends Safety.Safety, Success> = Success extends HttpApiSchema.StreamUint8Array
  ? Streamed<Uint8Array, ErrorsOf<S>>
  : Success extends HttpApiSchema.StreamNdjson<infer Item>
    ? Streamed<Item["Type"], ErrorsOf<S>>
    : HttpApiClient.SuccessType<Success>

/** A body that is read as it comes needs a scope to end with. @category type-level @since 0.1.0 */
export type ScopeOf<Success> = Success extends HttpApiSchema.StreamUint8Array | HttpApiSchema.StreamNdjson<infer _>
  ? Scope.Scope
  : never

/** One operation as a function. @category type-level @since 0.1.0 */
export type Method<Name extends string, E extends HttpApiEndpoint.ConstraintRequest> = (
  ...request: {} extends Request<E> ? [request?: Flat<Request<E>>] : [request: Flat<Request<E>>]
) => Effect.Effect<
  SuccessOf<Safety.OfEndpoint<E>, E["~Success"]>,
  E["~Error"]["Type"] | ErrorsOf<Safety.OfEndpoint<E>>,
  KeyOf<Safety.OfEndpoint<E>, Name> | ScopeOf<E["~Success"]>
>

type MethodsOf<Prefix extends string, Endpoints> = {
  readonly [K in keyof Endpoints]: Endpoints[K] extends HttpApiEndpoint.ConstraintRequest
    ? Method<`${Prefix}.${K & string}`, Endpoints[K]>
    : never
}

type TopLevel = { readonly topLevel: true }

type GroupsOf<Name extends string, Groups extends HttpApiGroup.Constraint> = {
  readonly [G in Exclude<Groups, TopLevel> as HttpApiGroup.Identifier<G>]: MethodsOf<
    `${Name}.${HttpApiGroup.Identifier<G>}`,
    G["endpoints"]
  >
} & ([Extract<Groups, TopLevel>] extends [never]
  ? unknown
  : AllOf<Extract<Groups, TopLevel> extends infer G extends HttpApiGroup.Constraint ? TopMethods<Name, G> : never>)

type TopMethods<Name extends string, G extends HttpApiGroup.Constraint> = G extends unknown
  ? (methods: MethodsOf<Name, G["endpoints"]>) => void
  : never

type AllOf<Union> = [Union] extends [(part: infer All) => void] ? All : never

/** The client of a provider. @category type-level @since 0.1.0 */
export type Of<P> =
  P extends Provider<infer Name, HttpApi.HttpApi<infer _Id, infer Groups>> ? GroupsOf<Name, Groups> : never

/** A setting of a connection that cannot be used. The layer is not built, and nothing was sent. @category errors @since 0.1.0 */
export class ConnectionError extends Schema.TaggedError<ConnectionError>("@breakwater/core/Client/ConnectionError")(
  "ConnectionError",
  {
    provider: Schema.String,
    field: Schema.String,
    rule: Schema.String
  }
) {
  override get message(): string {
    return `connection to ${this.provider}: ${this.field} ${this.rule}`
  }
}

/** @category models @since 0.1.0 */
export interface LayerOptions {
  /** The key, or a source of credentials that refreshes. */
  readonly credential: Redacted.Redacted<string> | CredentialSource
  /** Default `"sandbox"`. A key of the other environment is refused. */
  readonly environment?: Environment | undefined
  /** Name of this authorised link, such as a tenant. Default `"default"`. */
  readonly connection?: string | undefined
  /** In place of the environment's base URL: https, or http on loopback. */
  readonly baseUrl?: string | undefined
  /** Requests that this account may send in the provider's window, where the provider declares one limit. Default: what it declares for the environment. */
  readonly rateLimit?: number | undefined
  /** Over the provider's policy, under the operations' own. */
  readonly policy?: CallPolicy | undefined
  /** The app and a contact, such as `shop/1.4 (ops@shop.example)` (SAFE-14). Its product name is the `service` of log lines. Default `breakwater`. */
  readonly userAgent?: string | undefined
}

const isSource = (credential: LayerOptions["credential"]): credential is CredentialSource =>
  !Redacted.isRedacted(credential)

/** The key that is known now; a source may have none yet. */
const keyOf = (credential: LayerOptions["credential"]): Redacted.Redacted<string> | undefined =>
  isSource(credential) ? credential.peek()?.secret : credential

/** Tells two keys apart in a log line: 32 bits of a hash, from which no key comes back. */
const fingerprint = (key: Redacted.Redacted<string>): string =>
  (Hash.string(Redacted.value(key)) >>> 0).toString(16).padStart(8, "0")

const product = /^[!#$%&'*+.^`|~\w-]+(?:\/[!#$%&'*+.^`|~\w-]+)?(?: .*)?$/u

/** Why a key must not be sent. */
const problemOfKey = (provider: Any, environment: Environment, key: Redacted.Redacted<string>): string | undefined => {
  const secret = Redacted.value(key)
  if (secret.trim() === "") return "must not be empty"
  if (secret !== secret.trim() || /\p{Cc}/u.test(secret))
    return "must not hold control characters, or spaces at its ends"
  const elsewhere = Auth.belongsElsewhere(provider.auth, environment, key)
  return elsewhere === undefined
    ? undefined
    : `is a ${elsewhere} key, and the environment is ${environment}: nothing was sent`
}

const ruleOfRateLimit = ({ api, rate }: Any, limit: number): string | undefined => {
  if (!(limit > 0 && limit < Number.POSITIVE_INFINITY)) return "must be above 0"
  if (rate === undefined || Array.isArray(rate)) return "replaces one limit, and the provider does not declare one"
  const heavy = Operation.matchedOf(api as HttpApi.Top).find(({ cost }) => cost > Math.max(1, limit))
  return heavy && `must not be below the cost (${heavy.cost}) of ${heavy.path}`
}

/** The first setting that cannot be used. */
const problemOf = (
  provider: Any,
  options: LayerOptions,
  environment: Environment,
  baseUrl: string
): ConnectionError | undefined => {
  const problem = (field: string, rule: string) => new ConnectionError({ provider: provider.name, field, rule })
  if (!URL.canParse(baseUrl) || !isSecure(new URL(baseUrl)))
    return problem("baseUrl", "must be https, or http on loopback")
  if (options.userAgent !== undefined && (options.userAgent.length > 200 || !product.test(options.userAgent))) {
    return problem("userAgent", 'must be like "shop/1.4 (ops@shop.example)", at most 200 characters')
  }
  const rule = options.rateLimit === undefined ? undefined : ruleOfRateLimit(provider, options.rateLimit)
  if (rule !== undefined) return problem("rateLimit", rule)
  const key = keyOf(options.credential)
  const ruleOfKey = key === undefined ? undefined : problemOfKey(provider, environment, key)
  return ruleOfKey === undefined ? undefined : problem("credential", ruleOfKey)
}

/** Secrets of one connection that are taken out of what is shown: an answer may quote one that was replaced while it was on its way. */
const rememberedSecrets = 4

/** The source, and the last secrets that it gave. */
const remembering = (source: CredentialSource) => {
  const secrets: Array<Redacted.Redacted<string>> = []
  let generation: number | undefined
  const note = (credential: Credential): Credential => {
    if (credential.generation === generation) return credential
    generation = credential.generation
    secrets.unshift(credential.secret)
    secrets.length = Math.min(secrets.length, rememberedSecrets)
    return credential
  }
  const { refresh } = source
  const noted: CredentialSource = {
    peek: () => {
      const credential = source.peek()
      return credential === undefined ? undefined : note(credential)
    },
    current: aside(Effect.map(source.current, note)),
    refresh: refresh === undefined ? undefined : (refused) => aside(Effect.map(refresh(refused), note))
  }
  return { source: noted, secrets: () => secrets }
}

const connectionOf = (
  provider: Any,
  options: LayerOptions,
  parts: {
    readonly client: HttpClient.HttpClient
    readonly policy: LivePolicy<ResolvedProvider>
    readonly environment: Environment
    readonly baseUrl: string
    readonly salt: number
    readonly stops: StandingStops
    readonly records: IdempotencyStore["Service"] | undefined
  }
) => {
  const { secrets, source } = remembering(
    isSource(options.credential) ? options.credential : CredentialSources.fixed(options.credential)
  )
  const userAgent = options.userAgent ?? "breakwater"
  const { origin } = new URL(parts.baseUrl)
  const connection = {
    provider: provider.name,
    id: options.connection ?? "default",
    environment: parts.environment,
    origin,
    declaredOrigin: options.baseUrl === undefined,
    service: userAgent.split(/[/ ]/u, 1)[0],
    policy: parts.policy.current.policy,
    written: parts.policy.current.written,
    stops: parts.stops,
    records: parts.records,
    rate: RatePlan.resolve(provider.rate, parts.environment, options.rateLimit),
    dialect: provider.dialect,
    redaction: Redaction.make({ ...provider.redaction, secrets }),
    errors: provider.errors,
    auth: provider.auth,
    credential: source,
    headers: {
      "user-agent": userAgent,
      ...(provider.version === undefined ? {} : { [provider.version.header.toLowerCase()]: provider.version.value })
    },
    requestIdHeader: provider.requestIdHeader,
    traceContext: provider.traceContext,
    version: provider.version?.value,
    salt: parts.salt
  }
  return new Connection(connection, OriginMemory.shared(parts.client, origin, connection.policy.breaker))
}

const startLine = (
  provider: Any,
  options: LayerOptions,
  environment: Environment,
  { baseUrl, records }: { readonly baseUrl: string; readonly records: unknown }
): string => {
  const known = keyOf(options.credential)
  const key = known === undefined ? "not obtained yet" : fingerprint(known)
  const version = provider.version === undefined ? "unpinned" : provider.version.value
  return `${provider.name}: ${environment} at ${new URL(baseUrl).origin}, key ${key}, API version ${version}, records: ${records === undefined ? "no" : "yes"}`
}

/** The first name of `<PROVIDER>_DRY_RUN` that means no write: what it was to hold back would be sent. */
const dryRunProblem =
  ({ api, name }: Any) =>
  ({ dryRun }: Configured): CallPolicyError | undefined => {
    const writes = Operation.matchedOf(api as HttpApi.Top).filter(({ safety }) => safety !== "safe")
    const wrong = dryRun.find((pattern) => !writes.some(({ path }) => covers(pattern, path)))
    if (wrong === undefined) return undefined
    const rule = `names ${wrong}, which is no write of ${name}: true, or names of ${writes.map(({ path }) => path).join(", ")}`
    return new CallPolicyError({
      owner: name,
      field: "dryRun",
      rule,
      variable: `${PolicyVariables.prefixOf(name)}_DRY_RUN`
    })
  }

/** The policy of a layer, and with it those of its operations. */
interface ResolvedProvider {
  readonly policy: CallPolicies.ResolvedPolicy
  readonly written: CallPolicy
  readonly operations: ReadonlyMap<string, Operation.Operation>
}

const resolve =
  ({ api, name }: Any) =>
  (written: CallPolicy): Result.Result<ResolvedProvider, CallPolicyError> =>
    Result.flatMap(PolicyRules.resolve(name, written), (policy) =>
      Result.map(Operation.ofApi(name, api as HttpApi.Top, written), (operations) => ({ policy, written, operations }))
    )

/** A layer whose policy comes from `Config` as well. */
interface FromConfig {
  readonly configured: Configured
  readonly reread: Effect.Effect<Configured, Config.ConfigError>
}

/** Stops the calls of a layer as long as `Config` says so, and the layer is there. */
const heeded = Effect.fnUntraced(function* (
  provider: string,
  policy: LivePolicy<ResolvedProvider>,
  stops: StandingStops
) {
  const target = { provider, connection: policy.connection }
  const by = `Config (${PolicyVariables.prefixOf(provider)}_STOPPED)`
  const heed = (at: number): void => {
    stops.resume(target, policy)
    if (policy.configured.stopped) stops.stop({ ...target, operation: undefined, writes: false, by, at, from: policy })
  }
  heed(yield* Clock.currentTimeMillis)
  if (policy.configured.stopped) yield* Effect.logWarning(`${provider}: calls stopped by ${by}`)
  yield* Effect.addFinalizer(() => Effect.sync(() => void stops.resume(target, policy)))
  return heed
})

/** What keeps the answers of a connection, where an operation declares something about them. */
const answersOf = Effect.fnUntraced(function* (
  connection: Connection,
  operations: ReadonlyMap<string, Operation.Operation>
) {
  for (const { answers } of operations.values()) {
    const engine = (answers?.keep ?? answers?.invalidates)?.engine
    if (engine === undefined) continue
    const store = Option.getOrUndefined(yield* Effect.serviceOption(AnswerStore))
    return (engine as AnswerEngine).open({ connection, scope: yield* Effect.scope, store })
  }
  return undefined
})

const build = Effect.fnUntraced(function* <P extends Any>(provider: P, options: LayerOptions, from?: FromConfig) {
  const environment = options.environment ?? "sandbox"
  const baseUrl = (options.baseUrl ?? provider.environments[environment]).replace(/\/+$/u, "")
  const problem = problemOf(provider, options, environment, baseUrl)
  if (problem !== undefined) return yield* Effect.fail(problem)
  const policy = yield* Effect.fromResult(
    LivePolicy.make({
      provider: provider.name,
      connection: options.connection ?? "default",
      built: CallPolicies.merge(provider.policy ?? {}, options.policy ?? {}),
      resolve: resolve(provider),
      problemOf: dryRunProblem(provider),
      ...from
    })
  )
  const { operations } = policy.current
  const client = yield* HttpClient.HttpClient
  const salt = yield* Random.next
  const stops = yield* Stops
  const records = Option.getOrUndefined(yield* Effect.serviceOption(IdempotencyStore))
  const connection = connectionOf(provider, options, { client, policy, environment, baseUrl, salt, stops, records })
  const heed = yield* heeded(provider.name, policy, stops)
  const rehearse = (): void => {
    const { dryRun } = policy.configured
    connection.dryRun = dryRun.length === 0 ? undefined : dryRun
  }
  rehearse()
  policy.onChange((next, reach) => {
    heed(reach.now)
    rehearse()
    connection.configure(next, reach)
    for (const [path, operation] of operations) Operation.repolicy(operation, next.operations.get(path) ?? operation)
  })
  connection.answers = yield* answersOf(connection, operations)
  const made = yield* ClientMethods.make(provider, { connection, operations, client, baseUrl })
  yield* Connections.register({
    health: (now) => connection.health(now),
    circuits: () => connection.circuits(),
    policy,
    answers: connection.answers,
    limits: connection.limits(),
    resolvables: made.resolvables
  })
  const { dryRun } = policy.configured
  const rehearsed = dryRun.length === 0 ? "" : `, dry run: ${PolicyVariables.dryRunText(dryRun)} not sent`
  yield* Effect.logInfo(startLine(provider, options, environment, { baseUrl, records }) + rehearsed)
  return made.client
})

/**
 * A layer of a provider's client over the `HttpClient` at hand. Says in one line which environment, key (by fingerprint) and API version it uses. Fails with
 * `ConnectionError` or `CallPolicyError` before anything is sent when a setting cannot be used. @category layers @since 0.1.0
 */
export const layer = <I, P extends Any>(
  tag: Context.Key<I, Of<P>>,
  provider: P,
  options: LayerOptions
): Layer.Layer<I, ConnectionError | CallPolicyError, HttpClient.HttpClient> =>
  Layer.effect(tag, build(provider, options))

const settings = (prefix: string) =>
  Config.all({
    environment: Config.withDefault(Config.Literals(["sandbox", "production"], `${prefix}_ENVIRONMENT`), "sandbox"),
    baseUrl: Config.option(Config.String(`${prefix}_BASE_URL`)),
    connection: Config.option(Config.String(`${prefix}_CONNECTION`)),
    userAgent: Config.option(Config.String("USER_AGENT"))
  })

/**
 * `layer` with its settings from `Config`: `<PROVIDER>_API_KEY` (secret), `_ENVIRONMENT` (`sandbox` by default), `_BASE_URL`, `_CONNECTION`, `USER_AGENT`, and the policy, a variable for each field:
 * `_DEADLINE`, `_ATTEMPTS`, `_BREAKER_OPEN_FOR`, … (`docs/policies.md` has them all). `_STOPPED` stops its calls, `_DRY_RUN` keeps its writes back. What `options` give goes before the provider's policy, what `Config` gives before both. The key is read again
 * after a 401, so that a rotated one needs no restart; the policy by `Policies.reload`. @category layers @since 0.1.0
 */
export const layerConfig = <I, P extends Any>(
  tag: Context.Key<I, Of<P>>,
  provider: P,
  options?: Pick<LayerOptions, "policy" | "userAgent">
): Layer.Layer<I, ConnectionError | CallPolicyError | Config.ConfigError, HttpClient.HttpClient> =>
  Layer.effect(tag, fromConfig(provider, options ?? {}))

const fromConfig = Effect.fnUntraced(function* <P extends Any>(
  provider: P,
  options: Pick<LayerOptions, "policy" | "userAgent">
) {
  const prefix = PolicyVariables.prefixOf(provider.name)
  const config = yield* settings(prefix)
  const ofPolicy = PolicyVariables.read(provider.name)
  const configured = yield* ofPolicy
  const source = yield* ConfigProvider.ConfigProvider
  const key = Config.Redacted(`${prefix}_API_KEY`)
  const first = yield* key
  const unusable = (detail: string) =>
    new CredentialSourceError({ detail: `${prefix}_API_KEY ${detail}`, revoked: false })
  const read = Effect.provideService(key, ConfigProvider.ConfigProvider, source).pipe(
    Effect.mapError(() => unusable("cannot be read")),
    Effect.flatMap((next) => {
      const rule = problemOfKey(provider, config.environment, next)
      return rule === undefined ? Effect.succeed(next) : Effect.fail(unusable(rule))
    })
  )
  const settled = {
    credential: CredentialSources.rereading(first, read),
    environment: config.environment,
    connection: Option.getOrUndefined(config.connection),
    baseUrl: Option.getOrUndefined(config.baseUrl),
    policy: options.policy,
    userAgent: Option.getOrUndefined(config.userAgent) ?? options.userAgent
  }
  const reread = Effect.provideService(ofPolicy, ConfigProvider.ConfigProvider, source)
  return yield* build(provider, settled, { configured, reread })
})
