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

/** How a provider wants its idempotency keys. @category models @since 0.1.0 */
export interface KeyOptions {
  /** Name of the header, such as `Idempotency-Key`. */
  readonly header: string
  /** How long the provider remembers a key. Nothing is sent with it later than one hour before that. */
  readonly window: Duration.Input
  /** Longest key that the provider takes, in characters. Default 255. */
  readonly maxLength?: number | undefined
  /** Response header that tells a stored answer, such as `Idempotent-Replayed`. Default none. */
  readonly replayedHeader?: string | undefined
}

/** Where the options of `keyed` are kept. @category annotations @since 0.1.0 */
export class Keys extends Context.Service<Keys, KeyOptions>()("@breakwater/core/Safety/Keys") {}

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

/**
 * Says that a write carries an idempotency key: calling it then requires one (`Idempotency.withKey`). Throws a `RangeError` for a window of an
 * hour or less, since no key could ever be sent. @category combinators @since 0.1.0
 */
export const keyed = (options: KeyOptions): (<T extends Markable>(target: T) => Marked<T, Keyed>) => {
  if (Duration.toMillis(options.window) <= Duration.toMillis(windowMargin)) {
    throw new RangeError(
      `Safety.keyed: window must be longer than ${Duration.format(windowMargin)}, got ${Duration.format(Duration.fromInputUnsafe(options.window))}`
    )
  }
  return mark<Keyed>(Keyed, Context.make(Keys, options) as Context.Context<never>)
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
