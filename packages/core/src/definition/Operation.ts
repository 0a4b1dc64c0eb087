/**
 * One endpoint of a provider as the pipeline knows it: name, safety, resolved policy, and which answers are declared. Made from the `HttpApi` when a
 * layer is built; annotations here are what `HttpApi` lacks. @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import { HttpApi, HttpApiSchema } from "../vocabulary/PlatformApi.ts"
import * as Safety from "../vocabulary/Safety.ts"
import type { HttpApiClient } from "../vocabulary/PlatformApi.ts"
import type { BodyKind, Declared, DryRunValue, Operation } from "./CalledOperation.ts"
import type { CallPolicy } from "./CallPolicy.ts"
import * as CallPolicies from "./CallPolicy.ts"
import { CallPolicyError } from "./CallPolicy.ts"
import * as DeclaredAnswers from "./DeclaredAnswers.ts"
import * as PolicyRules from "./PolicyRules.ts"
import type { Any } from "./Provider.ts"
import * as Resolution from "./Resolution.ts"
import type { Matched } from "./RatePlan.ts"

export type { BodyKind, Declared, DryRunValue, Operation } from "./CalledOperation.ts"
export { repolicy, undeclared } from "./CalledOperation.ts"

/** Overrides of the provider's policy for one endpoint or group, set with `Operation.policy`. @category annotations @since 0.1.0 */
export class Policy extends Context.Service<Policy, CallPolicy>()("@breakwater/core/Operation/Policy") {}

/** Tokens that an attempt takes from the rate budget. @category annotations @since 0.1.0 */
export const Cost = Context.Reference<number>("@breakwater/core/Operation/Cost", { defaultValue: () => 1 })

/** Lets an endpoint declare an error on 408, 425, 429 or 5xx, where it is refused otherwise. @category annotations @since 0.1.0 */
export const DeclaresOutage = Context.Reference<boolean>("@breakwater/core/Operation/DeclaresOutage", {
  defaultValue: () => false
})

/** What a dry run gives, set with `Operation.dryRun`. @category annotations @since 0.1.0 */
export const DryRun = Context.Reference<DryRunValue | undefined>("@breakwater/core/Operation/DryRun", {
  defaultValue: () => undefined
})

type Annotated = { annotate<I, S>(key: Context.Key<I, S>, value: S): unknown }

/**
 * Overrides the provider's policy for an endpoint or a group; an endpoint's goes over its group's, field by field. What all operations of a connection share cannot be one operation's:
 * `breaker`, `throttle`, `rate`, and `concurrency`, `adaptive` and `queue` of `bulkhead`, are refused when the layer is built. @category combinators @since 0.1.0 */
export const policy =
  (override: CallPolicy) =>
  <T extends Annotated>(target: T): T =>
    target.annotate(Policy, override) as T

/** What an attempt costs in the rate budget, a whole number from 1. Default 1. @category combinators @since 0.1.0 */
export const cost = (tokens: number) => {
  if (!Number.isInteger(tokens) || tokens < 1)
    throw new RangeError(`Operation.cost: must be a whole number from 1, got ${tokens}`)
  return <T extends Annotated>(target: T): T => target.annotate(Cost, tokens) as T
}

/**
 * Says that an endpoint means its declared error on a status that otherwise tells of an outage. It is then a domain error: final, never retried.
 * @category combinators @since 0.1.0
 */
export const declaresOutage = <T extends Annotated>(target: T): T => target.annotate(DeclaresOutage, true) as T

/** What an endpoint succeeds with. */
type SuccessOf<T> = T extends { readonly "~Success": infer Success } ? HttpApiClient.SuccessType<Success> : never

/**
 * What a write succeeds with when it is not sent, in a dry run. Default: it fails with `FatalError` and the reason `DryRun`.
 * **Example** `HttpApiEndpoint.post("create", "/orders", { payload, success: Order }).pipe(Operation.dryRun({ id: "dry-run", amount: 0 }))`
 * @category combinators @since 0.1.0
 */
export const dryRun =
  <A>(value: A) =>
  <T extends Annotated>(target: T & ([A] extends [SuccessOf<T>] ? unknown : { readonly "~Success": A })): T =>
    target.annotate(DryRun, { value }) as T

const tellsOfOutage = (status: number): boolean => status === 408 || status === 425 || status === 429 || status >= 500

type Schemas = ReadonlyMap<number, ReadonlyArray<Schema.Top>>

/** The annotation by which `HttpApiSchema.asText` and its like mark an encoding; JSON has none. @category accessors @since 0.1.0 */
export const encodingOf = SchemaAST.resolveAt<{ readonly _tag: string }>("~httpApiEncoding")

const streams = new Set<unknown>(["StreamUint8Array", "StreamNdjson"])
const tagOf = (schema: Schema.Top): unknown => (Predicate.hasProperty(schema, "_tag") ? schema._tag : undefined)

/** Whether a body is bytes that are read as they come. @category guards @since 0.1.0 */
export const isStreamedBytes = (schema: Schema.Top): boolean => tagOf(schema) === "StreamUint8Array"

/** The annotation by which a schema has another status than 200. */
const statusOf = SchemaAST.resolveAt<number>("httpApiStatus")

/** The successes whose body is read as it comes, by status: `HttpApi.reflect` leaves them out. @category accessors @since 0.1.0 */
export const streamsOf = (success: Iterable<Schema.Top>): ReadonlyMap<number, Schema.Top> =>
  new Map([...success].filter((each) => streams.has(tagOf(each))).map((each) => [statusOf(each.ast) ?? 200, each]))

/** What `HttpApiSchema.encodeToWithHeaders` leaves of the body. @category accessors @since 0.1.0 */
export const pairOf = SchemaAST.resolveAt<{ readonly body: Schema.Top }>("~httpApiWithHeaders")

/** Whether a schema reads headers beside the body. @category guards @since 0.1.0 */
export const readsHeaders = (schema: Schema.Top): boolean =>
  HttpApiSchema.isWithHeaders(schema) || pairOf(schema.ast) !== undefined

/** What is in the body, where a schema reads headers as well. */
const inBody = (schema: Schema.Top): Schema.Top =>
  HttpApiSchema.isWithHeaders(schema) ? schema.schema : (pairOf(schema.ast)?.body ?? schema)

const bodyKind = (schemas: ReadonlyArray<Schema.Top>): BodyKind => {
  const bodies = schemas.map((schema) => inBody(schema).ast)
  if (bodies.every((body) => HttpApiSchema.isNoContent(body))) return "none"
  return bodies.every((body) => (encodingOf(body)?._tag ?? "Json") === "Json") ? "json" : "other"
}

const kinds = (schemas: Schemas): ReadonlyMap<number, BodyKind> =>
  new Map([...schemas].map(([status, each]) => [status, bodyKind(each)]))

/** What a declaration says about the bodies of an endpoint's answers. @category constructors @since 0.1.0 */
export const declaredOf = (
  { success: schemas }: { readonly success: Iterable<Schema.Top> },
  successes: Schemas,
  errors: Schemas
): Declared => {
  const streamed = [...streamsOf(schemas).keys()].map((status) => [status, "stream"] as const)
  const success = new Map([...kinds(successes), ...streamed])
  const each = [...success.values()]
  return {
    success,
    error: kinds(errors),
    streams: streamed.length > 0,
    emptySuccess: each.every((kind) => kind === "none")
  }
}

/** What a declaration says about an endpoint, whoever provides it and under whatever policy. */
interface Endpoint {
  readonly path: string
  /** A status among its errors that tells of an outage, which it may not declare. */
  readonly outage: number | undefined
  /** Overrides of the policy, the outermost first. */
  readonly overrides: ReadonlyArray<CallPolicy>
  readonly fixed: Pick<
    Operation,
    "method" | "template" | "safety" | "keys" | "reference" | "cost" | "dryRun" | "declared" | "answers"
  >
  readonly resolution: Resolution.Plan | { readonly rule: string } | undefined
}

type Unresolved = Omit<Endpoint, "resolution"> & {
  readonly endpoint: Resolution.Target
  readonly annotations: Context.Context<never>
}

const readEndpoints = (api: HttpApi.Top): ReadonlyArray<Endpoint> => {
  const read: Array<Unresolved> = []
  HttpApi.reflect(api, {
    onGroup: () => undefined,
    onEndpoint: ({ endpoint, errors, group, mergedAnnotations, successes }) => {
      const outage = [...errors.keys()].find(tellsOfOutage)
      const safety = Safety.ofEndpoint(endpoint)
      read.push({
        path: group.topLevel ? endpoint.identifier : `${group.identifier}.${endpoint.identifier}`,
        endpoint,
        annotations: mergedAnnotations,
        outage: Context.get(mergedAnnotations, DeclaresOutage) ? undefined : outage,
        overrides: [api, group, endpoint].map(({ annotations }) => Context.getOrUndefined(annotations, Policy) ?? {}),
        fixed: {
          method: endpoint.method,
          template: endpoint.path,
          safety,
          keys: safety === "keyed" ? Context.getOrUndefined(mergedAnnotations, Safety.Keys) : undefined,
          reference: Context.getOrUndefined(mergedAnnotations, Safety.Reference),
          cost: Context.get(mergedAnnotations, Cost),
          dryRun: Context.get(mergedAnnotations, DryRun),
          declared: declaredOf(endpoint, successes, errors),
          answers: DeclaredAnswers.ofEndpoint(mergedAnnotations, endpoint.success)
        }
      })
    }
  })
  const candidates = read.map(({ endpoint, fixed: { safety }, path }) => ({ endpoint, safety, path }))
  return read.map((each) => ({
    ...each,
    resolution: Resolution.planOf(each.annotations, each.fixed.safety, candidates)
  }))
}

/** Declarations do not change: each is read once, however many clients are made of it. */
const endpointsOf = new WeakMap<HttpApi.Top, ReadonlyArray<Endpoint>>()

const endpointsIn = (api: HttpApi.Top): ReadonlyArray<Endpoint> => {
  const known = endpointsOf.get(api) ?? readEndpoints(api)
  endpointsOf.set(api, known)
  return known
}

/** The first field of an override that would have no effect, since all operations of a connection share it. */
const sharedField = ({ breaker, bulkhead, rate, throttle }: CallPolicy): string | undefined => {
  if (breaker !== undefined) return "breaker"
  if (throttle !== undefined) return "throttle"
  if (rate !== undefined) return "rate"
  if (bulkhead?.concurrency !== undefined) return "bulkhead.concurrency"
  if (bulkhead?.adaptive !== undefined) return "bulkhead.adaptive"
  return bulkhead?.queue === undefined ? undefined : "bulkhead.queue"
}

const shared =
  "is shared by all operations of a connection: set it in the provider's policy or the layer's, not in an operation's"

/** The operations of a declaration, as rate policies are matched with them. @category accessors @since 0.1.0 */
export const matchedOf = (api: HttpApi.Top): ReadonlyArray<Matched> =>
  endpointsIn(api).map(({ fixed: { cost, method, safety }, path }) => ({ path, method, safety, cost }))

/** Everything that the declaration of a provider says about its operations, by `group.endpoint`, or the first rule it breaks. @category constructors @since 0.1.0 */
export const ofApi = (
  provider: string,
  api: HttpApi.Top,
  base: CallPolicy
): Result.Result<ReadonlyMap<string, Operation>, CallPolicyError> => {
  const operations = new Map<string, Operation>()
  for (const { fixed, outage, overrides, path, resolution } of endpointsIn(api)) {
    const name = `${provider}.${path}`
    if (outage !== undefined) {
      return Result.fail(
        new CallPolicyError({
          owner: name,
          field: "error",
          rule: `declares ${outage}, a status that tells of an outage: set httpApiStatus, or mark the endpoint with Operation.declaresOutage`
        })
      )
    }
    const cache = DeclaredAnswers.problemOf(fixed.answers, {
      safety: fixed.safety,
      streams: fixed.declared?.streams === true
    })
    if (cache !== undefined) return Result.fail(new CallPolicyError({ owner: name, field: "cache", rule: cache }))
    if (resolution !== undefined && "rule" in resolution)
      return Result.fail(new CallPolicyError({ owner: name, field: "resolution", rule: resolution.rule }))
    const plan = resolution === undefined ? undefined : { resolution }
    const field = overrides.map(sharedField).find((found) => found !== undefined)
    if (field !== undefined) return Result.fail(new CallPolicyError({ owner: name, field, rule: shared }))
    const written = overrides.reduce((policy, override) => CallPolicies.merge(policy, override), base)
    const resolved = PolicyRules.resolve(name, written)
    if (Result.isFailure(resolved)) return Result.fail(resolved.failure)
    operations.set(path, { name, path, ...fixed, ...plan, policy: resolved.success, written })
  }
  return Result.succeed(operations)
}

/**
 * One operation of a provider, `group.endpoint`, as its calls are protected: for `CallPolicy.explain`. `policy` is what a layer is given over the provider's. Throws a `RangeError` for an
 * operation that the provider does not have, and for a policy that contradicts itself. @category constructors @since 0.1.0
 */
export const of = (provider: Any, path: string, policy: CallPolicy = {}): Operation => {
  const written = CallPolicies.merge(provider.policy ?? {}, policy)
  const operations = ofApi(provider.name, provider.api as HttpApi.Top, written)
  if (Result.isFailure(operations)) throw new RangeError(`Operation.of: ${operations.failure.message}`)
  const found = operations.success.get(path)
  if (found !== undefined) return found
  throw new RangeError(
    `Operation.of: ${provider.name} has no ${path}; it has ${[...operations.success.keys()].join(", ")}`
  )
}
