/**
 * Whether an operation may be sent twice: data that drives retries, keys, types, documents and tests (SAFE-3). The method gives the default
 * (GET, HEAD, OPTIONS safe; PUT, DELETE idempotent; else unsafe, RFC 9110 §9.2); a marker on an endpoint or a group overrides it both ways. Where
 * both carry one, the stricter counts. @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import { HttpApiMiddleware } from "./PlatformApi.ts"
import type { HttpApiEndpoint, HttpApiGroup } from "./PlatformApi.ts"
import { ofMethod, windowMargin } from "./MethodSafety.ts"
import type { Safety } from "./MethodSafety.ts"

export type { Safety } from "./MethodSafety.ts"
export { ofMethod, windowMargin } from "./MethodSafety.ts"

/** Marks reads. @category markers @since 0.1.0 */
export class Safe extends HttpApiMiddleware.Service<Safe>()("@breakwater/core/Safety/Safe") {}

/** Marks operations that have the same effect however often they are sent. @category markers @since 0.1.0 */
export class Idempotent extends HttpApiMiddleware.Service<Idempotent>()("@breakwater/core/Safety/Idempotent") {}

/** Marks writes that carry an idempotency key. @category markers @since 0.1.0 */
export class Keyed extends HttpApiMiddleware.Service<Keyed>()("@breakwater/core/Safety/Keyed") {}

/** Marks operations that must not be sent twice. @category markers @since 0.1.0 */
export class Unsafe extends HttpApiMiddleware.Service<Unsafe>()("@breakwater/core/Safety/Unsafe") {}

/** The markers as services for a server: they change nothing there. Simulated providers provide them. @category layers @since 0.1.0 */
export const markers = [Safe, Idempotent, Keyed, Unsafe] as const

/** How a provider takes its idempotency keys. @category models @since 0.1.0 */
export interface KeyFields {
  /** Name of the header, such as `Idempotency-Key`. Either this or `field`. */
  readonly header?: string | undefined
  /** The field of the JSON or form body that takes the key, dots between nested names, such as `receipt` or `meta.reference`. Either this or `header`. */
  readonly field?: string | undefined
  /**
   * How the header says it: `bare`, or `quoted` as a string of RFC 8941, which is what draft-ietf-httpapi-idempotency-key-header asks for (read 2026-11-21). Default `"bare"`.
   */
  readonly encoding?: "bare" | "quoted" | undefined
  /** How long the provider remembers a key. Nothing is sent with it later than one hour before that. */
  readonly window: Duration.Input
  /** Longest key that the provider takes, in characters. Default 255. */
  readonly maxLength?: number | undefined
  /** Response header that tells a stored answer, such as `Idempotent-Replayed`. Default none. */
  readonly replayedHeader?: string | undefined
}

/** How a provider wants its idempotency keys: in a header, or in a field of the body. @category models @since 0.1.0 */
export type KeyOptions = KeyFields & ({ readonly header: string } | { readonly field: string })

/** Where the options of `keyed` are kept. @category annotations @since 0.1.0 */
export class Keys extends Context.Service<Keys, KeyOptions>()("@breakwater/core/Safety/Keys") {}

/** Where an operation without keys takes a reference of the caller's. @category models @since 0.1.0 */
export interface ReferenceOptions {
  /** The field of the JSON or form body, dots between nested names, such as `client_reference`. */
  readonly field: string
  /** Longest reference that the provider takes, in characters. Default 255. */
  readonly maxLength?: number | undefined
}

/** Where the options of `reference` are kept. @category annotations @since 0.1.0 */
export class Reference extends Context.Service<Reference, ReferenceOptions>()("@breakwater/core/Safety/Reference") {}

type Markable = HttpApiEndpoint.Constraint | HttpApiGroup.Constraint

type Marked<T, M extends HttpApiMiddleware.AnyId> = T extends HttpApiEndpoint.Constraint
  ? HttpApiEndpoint.AddMiddleware<T, M>
  : HttpApiGroup.AddMiddleware<T, M>

const mark =
  <M extends HttpApiMiddleware.AnyId>(marker: unknown, annotations: Context.Context<never>) =>
  <T extends Markable>(target: T): Marked<T, M> => {
    const open = target as unknown as {
      annotateMerge(context: Context.Context<never>): { middleware(key: unknown): Marked<T, M> }
    }
    return open.annotateMerge(annotations).middleware(marker)
  }

/** Says that an operation, or every operation of a group, only reads: a POST that searches. @category combinators @since 0.1.0 */
export const safe: <T extends Markable>(target: T) => Marked<T, Safe> = mark<Safe>(Safe, Context.empty())

/** Says that an operation has the same effect however often it is sent. @category combinators @since 0.1.0 */
export const idempotent: <T extends Markable>(target: T) => Marked<T, Idempotent> = mark<Idempotent>(
  Idempotent,
  Context.empty()
)

/** Says that an operation must not be sent twice: a GET with effects. @category combinators @since 0.1.0 */
export const unsafe: <T extends Markable>(target: T) => Marked<T, Unsafe> = mark<Unsafe>(Unsafe, Context.empty())

/** Names between dots; those that mean something to JavaScript are no fields. */
const fieldPattern = /^(?!.*(?:^|\.)(?:__proto__|constructor|prototype)(?:\.|$))[\w-]+(?:\.[\w-]+)*$/u

const problemOfPlace = ({ encoding, field, header }: KeyFields): string | undefined => {
  if ((header === undefined) === (field === undefined)) return "needs either a header or a field"
  if (field !== undefined && encoding !== undefined) return "encoding is that of a header"
  return field === undefined || fieldPattern.test(field) ? undefined : `field must be names with dots, got "${field}"`
}

/**
 * Says that a write carries an idempotency key: calling it then requires one (`Idempotency.withKey`). Throws a `RangeError` for a window of an
 * hour or less, since no key could ever be sent, and for a place that is none. @category combinators @since 0.1.0
 */
export const keyed = (options: KeyOptions): (<T extends Markable>(target: T) => Marked<T, Keyed>) => {
  const problem = problemOfPlace(options)
  if (problem !== undefined) throw new RangeError(`Safety.keyed: ${problem}`)
  if (Duration.toMillis(options.window) <= Duration.toMillis(windowMargin)) {
    throw new RangeError(
      `Safety.keyed: window must be longer than ${Duration.format(windowMargin)}, got ${Duration.format(Duration.fromInputUnsafe(options.window))}`
    )
  }
  return mark<Keyed>(Keyed, Context.make(Keys, options) as Context.Context<never>)
}

/**
 * Says where an operation without idempotency keys takes a reference of the caller's: `Idempotency.once(key)` puts its key there, so that a look-up finds what was made. It changes nothing about the
 * operation's safety. Throws a `RangeError` for a field that is none. @category combinators @since 0.1.0
 */
export const reference = (options: ReferenceOptions) => {
  if (!fieldPattern.test(options.field))
    throw new RangeError(`Safety.reference: field must be names with dots, got "${options.field}"`)
  return <T extends Markable>(target: T): T =>
    (target as unknown as { annotate<I, S>(key: Context.Key<I, S>, value: S): T }).annotate(Reference, options)
}

/** The safety of a declared endpoint: the strictest marker, else the method's default. @category accessors @since 0.1.0 */
export const ofEndpoint = (endpoint: {
  readonly method: string
  readonly middlewares: ReadonlySet<unknown>
}): Safety => {
  if (endpoint.middlewares.has(Unsafe)) return "unsafe"
  if (endpoint.middlewares.has(Keyed)) return "keyed"
  if (endpoint.middlewares.has(Idempotent)) return "idempotent"
  return endpoint.middlewares.has(Safe) ? "safe" : ofMethod(endpoint.method)
}

/** `ofEndpoint` in the types. @category type-level @since 0.1.0 */
export type OfEndpoint<E> = E extends { readonly "~Middleware": infer M; readonly method: infer Method }
  ? Unsafe extends M
    ? "unsafe"
    : Keyed extends M
      ? "keyed"
      : Idempotent extends M
        ? "idempotent"
        : Safe extends M
          ? "safe"
          : Method extends "GET" | "HEAD" | "OPTIONS"
            ? "safe"
            : Method extends "PUT" | "DELETE"
              ? "idempotent"
              : "unsafe"
  : "unsafe"
