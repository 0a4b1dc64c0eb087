/**
 * What is declared of a write about finding out what became of it: where to look, how to undo, or that somebody has to be asked (IDEM-3, IDEM-4). Annotations here only say it; the client's methods and
 * `Resolver` do it. Endpoints are named by themselves, for their types, and found by their identifier when a layer is built, since `prefix` makes copies. @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import type { HttpApiClient, HttpApiEndpoint } from "../vocabulary/PlatformApi.ts"
import type { FatalReason } from "../vocabulary/FatalReason.ts"
import type { RetryableReason } from "../vocabulary/RetryableReason.ts"
import type { Safety } from "../vocabulary/Safety.ts"
import { Reference } from "../vocabulary/Safety.ts"
import type { RequestOf } from "./OperationRequest.ts"

/** Which write is looked for. Instants are in milliseconds since the epoch. @category models @since 0.1.0 */
export interface Asked {
  /** The key of the write: what `reference` has put into it. */
  readonly key: string
  /** When its first request may have left. */
  readonly firstSentAt: number
  /** When its last request may have left, at the latest. */
  readonly lastSentAt: number
}

/** What `match` says of an answer that does not tell, such as a page that is full and does not hold it: neither found nor absent. @category constants @since 0.1.0 */
export const undecided = Symbol.for("@breakwater/core/Resolution/undecided")

/** @category type-level @since 0.1.0 */
export type Undecided = typeof undecided

type Endpoint = HttpApiEndpoint.ConstraintRequest

type ValueOf<E extends Endpoint> = HttpApiClient.SuccessType<E["~Success"]>

type Fits<Write extends Endpoint, Value> = [Exclude<Value, undefined>] extends [ValueOf<Write>]
  ? unknown
  : "what match gives is not the value of this operation"

/** @category models @since 0.1.0 */
export interface LookupOptions<Found extends Endpoint, Value> {
  /** What to ask the endpoint for. */
  readonly request: (asked: Asked) => RequestOf<Found>
  /**
   * The value of the write, if the answer holds it; `undefined` if the provider does not have it; `undecided` if the answer does not tell. A 404 says the second, and is not
   * given to it, unless the endpoint declares it as an error: then looking fails.
   */
  readonly match: (answer: ValueOf<Found>, asked: Asked) => Value | undefined | Undecided
  /**
   * How long after its last request a write that is not found counts as not made: longer than a request can be on its way, than what is asked can lag behind, and than clocks differ. Shorter, and what turns up
   * later was made twice.
   */
  readonly settlesAfter: Duration.Input
  /**
   * Field of the payload into which the key is put before it is sent, such as `metadata.reference`: by it the write is found. A caller that has set it to something else is refused. Default: none, and the
   * request must say by itself what is looked for.
   */
  readonly reference?: string | undefined
}

/** @category models @since 0.1.0 */
export interface CompensateOptions<Undo extends Endpoint> {
  /** The request that undoes the write, whether or not it was made. */
  readonly request: (asked: Asked) => RequestOf<Undo>
  /** How long after the last request of the write it is undone: longer than one can be on its way, or it arrives after what undoes it. */
  readonly settlesAfter: Duration.Input
}

/** A write that the provider refused since what it makes is there already. @category models @since 0.1.0 */
export interface Refused<Write extends Endpoint> {
  /** What the caller had asked for. */
  readonly request: RequestOf<Write>
  readonly status: number | undefined
  /** The provider's code, as its error table reads it. */
  readonly code: string | undefined
}

/** @category models @since 0.1.0 */
export interface ExistingOptions<Found extends Endpoint, Write extends Endpoint> {
  /** Which refusals say that it is there; all that is given must hold. Default: those that mean `Conflict`. */
  readonly when?: { readonly status?: number | undefined; readonly code?: string | undefined } | undefined
  /** What to ask the endpoint for. */
  readonly request: (refused: Refused<Write>) => RequestOf<Found>
  /** The value of the write, if the answer holds it; without one, the refusal stays. */
  readonly match: (answer: ValueOf<Found>, refused: Refused<Write>) => ValueOf<Write> | undefined
}

/** An endpoint as it is found again in an API. @category models @since 0.1.0 */
export interface Target {
  readonly identifier: string
  readonly method: string
  readonly path: string
}

/** How an operator or the toolkit finds out what became of a write, its types left out. @category models @since 0.1.0 */
export type Way =
  | {
      readonly _tag: "Lookup"
      readonly target: Target
      readonly request: (asked: Asked) => unknown
      readonly match: (answer: unknown, asked: Asked) => unknown
      readonly settlesAfterMillis: number
      readonly reference: string | undefined
    }
  | {
      readonly _tag: "Compensate"
      readonly target: Target
      readonly request: (asked: Asked) => unknown
      readonly settlesAfterMillis: number
    }
  | { readonly _tag: "Ask" }

/** What follows a refusal that says that it is there, its types left out. @category models @since 0.1.0 */
export interface Existing {
  readonly target: Target
  readonly says: (reason: RetryableReason | FatalReason) => boolean
  readonly request: (refused: Refused<Endpoint>) => unknown
  readonly match: (answer: unknown, refused: Refused<Endpoint>) => unknown
}

/** How it is found out. @category annotations @since 0.1.0 */
export class Declared extends Context.Service<Declared, Way>()("@breakwater/core/Resolution/Declared") {}

/** What follows "it exists". @category annotations @since 0.1.0 */
export class DeclaredExisting extends Context.Service<DeclaredExisting, Existing>()(
  "@breakwater/core/Resolution/DeclaredExisting"
) {}

type Annotated = { annotate<I, S>(key: Context.Key<I, S>, value: S): unknown }

const annotate = <I, S, T>(target: T, key: Context.Key<I, S>, value: S): T =>
  (target as Annotated).annotate(key, value) as T

const targetOf = ({ identifier, method, path }: Endpoint & Target): Target => ({ identifier, method, path })

const millisOf = (name: string, settlesAfter: Duration.Input): number => {
  const millis = Duration.toMillis(settlesAfter)
  if (millis >= 0 && millis < Number.POSITIVE_INFINITY) return millis
  throw new RangeError(`Resolution.${name}: settlesAfter must be finite and not below 0`)
}

const fieldPattern = /^\w+(?:\.\w+)*$/u

/**
 * Says by which safe endpoint of the same API a keyed or unsafe write is found. Found, it was made; not found so long after its last request, it was not. Throws a `RangeError` for a `settlesAfter` that is
 * not finite, and for a `reference` that is not a path of names. The layer is refused if the endpoint is not in its API or is not safe.
 * @category combinators @since 0.1.0
 */
export const lookup = <Found extends Endpoint & Target, Value>(
  endpoint: Found,
  options: LookupOptions<Found, Value>
): (<Write extends Endpoint>(write: Write & Fits<Write, Value>) => Write) => {
  const { match, reference, request } = options
  if (reference !== undefined && !fieldPattern.test(reference))
    throw new RangeError(`Resolution.lookup: reference must be names with dots between them, got "${reference}"`)
  const way: Way = {
    _tag: "Lookup",
    target: targetOf(endpoint),
    request,
    match: match as (answer: unknown, asked: Asked) => unknown,
    settlesAfterMillis: millisOf("lookup", options.settlesAfter),
    reference
  }
  return <Write extends Endpoint>(write: Write) => {
    const declared = annotate(write, Declared, way)
    return reference === undefined ? declared : annotate(declared, Reference, { field: reference })
  }
}

/**
 * Says by which endpoint of the same API a write is undone that nobody knows the outcome of, so that its key may be sent again. The endpoint must be safe or idempotent: it is sent whether or not there is something to
 * undo, and more than once. Its `NotFound` means that there is nothing. @category combinators @since 0.1.0
 */
export const compensate = <Undo extends Endpoint & Target>(endpoint: Undo, options: CompensateOptions<Undo>) => {
  const way: Way = {
    _tag: "Compensate",
    target: targetOf(endpoint),
    request: options.request,
    settlesAfterMillis: millisOf("compensate", options.settlesAfter)
  }
  return <Write extends Endpoint>(write: Write): Write => annotate(write, Declared, way)
}

/** Says that only somebody can find out: an operator, by `Resolver.settleAs`. The same holds where nothing is declared. @category combinators @since 0.1.0 */
export const ask = <Write extends Endpoint>(write: Write): Write => annotate(write, Declared, { _tag: "Ask" })

/**
 * Makes of a refusal that says that it exists the value of what exists, asked for by a safe endpoint of the same API (IDEM-3): the write then succeeds. Without a match, and where asking fails, the refusal stays.
 * @category combinators @since 0.1.0
 */
export const existing = <Found extends Endpoint & Target, Write extends Endpoint>(
  endpoint: Found,
  options: ExistingOptions<Found, Write>
): ((write: Write) => Write) => {
  const { when } = options
  const says: Existing["says"] = (reason) => {
    if (when === undefined) return reason._tag === "Conflict"
    const { code, status } = answerOf(reason)
    return (when.status === undefined || when.status === status) && (when.code === undefined || when.code === code)
  }
  const declared = { ...options, target: targetOf(endpoint), says } as unknown as Existing
  return (write) => annotate(write, DeclaredExisting, declared)
}

/** What a reason tells of the answer that it was made of. @category accessors @since 0.1.0 */
export const answerOf = (
  reason: RetryableReason | FatalReason
): { readonly status: number | undefined; readonly code: string | undefined } => ({
  status: "status" in reason ? reason.status : undefined,
  code: "code" in reason ? reason.code : undefined
})

/** An operation among which a target is looked for. @category models @since 0.1.0 */
export interface Candidate {
  /** `group.endpoint`. */
  readonly path: string
  readonly safety: Safety
  readonly endpoint: Target
}

/** What is declared of one write, its targets found. @category models @since 0.1.0 */
export interface Plan {
  readonly way: Way | undefined
  /** `group.endpoint` of what is asked, or undoes. */
  readonly target: string | undefined
  readonly existing: (Existing & { readonly path: string }) | undefined
}

/** A prefix comes before what an endpoint's path was. */
const isSame = (found: Target, { identifier, method, path }: Target): boolean =>
  found.identifier === identifier && found.method === method && found.path.endsWith(path)

type Rule = { readonly rule: string }

const find = (
  name: string,
  target: Target,
  candidates: ReadonlyArray<Candidate>,
  allowed: ReadonlyArray<Safety>
): Candidate | Rule => {
  const [found, other] = candidates.filter(({ endpoint }) => isSame(endpoint, target))
  const called = `${name} names ${target.method} ${target.path} ("${target.identifier}")`
  if (found === undefined) return { rule: `${called}, which is not in the API` }
  if (other !== undefined) return { rule: `${called}, which is in the API more than once` }
  return allowed.includes(found.safety)
    ? found
    : { rule: `${called}, which is ${found.safety}, not ${allowed.join(" or ")}` }
}

/** Finds the targets of what a write declares, or says which rule it breaks. @category constructors @since 0.1.0 */
export const planOf = (
  annotations: Context.Context<never>,
  safety: Safety,
  candidates: ReadonlyArray<Candidate>
): Plan | Rule | undefined => {
  const way = Context.getOrUndefined(annotations, Declared)
  const existing = Context.getOrUndefined(annotations, DeclaredExisting)
  if (way === undefined && existing === undefined) return undefined
  if (way !== undefined && safety !== "keyed" && safety !== "unsafe")
    return { rule: `is for keyed and unsafe operations, whose outcome may be unknown; this one is ${safety}` }
  const target = way === undefined || way._tag === "Ask" ? undefined : targetIn(way, candidates)
  if (target !== undefined && "rule" in target) return target
  const there = existing && find("Resolution.existing", existing.target, candidates, ["safe"])
  if (there !== undefined && "rule" in there) return there
  return {
    way,
    target: target?.path,
    existing: existing && there && { ...existing, path: there.path }
  }
}

const targetIn = (way: Exclude<Way, { readonly _tag: "Ask" }>, candidates: ReadonlyArray<Candidate>) =>
  way._tag === "Lookup"
    ? find("Resolution.lookup", way.target, candidates, ["safe"])
    : find("Resolution.compensate", way.target, candidates, ["safe", "idempotent"])
