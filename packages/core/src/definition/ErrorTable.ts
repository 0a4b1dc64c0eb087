/**
 * What a provider's answers mean: rules tried in order, code before status, then the defaults of the field (SAFE-2, SAFE-11). A provider declares
 * its table; shared code never knows its name. @since 0.1.0
 */
import * as Predicate from "effect/Predicate"
import type { Headers } from "../vocabulary/Platform.ts"

/** What a rule may make of an answer. @category models @since 0.1.0 */
export type Meaning =
  | "RateLimited"
  | "Unavailable"
  | "Locked"
  | "InvalidRequest"
  | "Unauthorized"
  | "PermissionDenied"
  | "NotFound"
  | "Conflict"
  | "QuotaExhausted"
  | "IdempotencyMismatch"
  | "Rejected"

/** One row: everything given must hold. @category models @since 0.1.0 */
export interface Rule {
  readonly status?: number | ReadonlyArray<number> | undefined
  /** The provider's error code, as read by `code` of the table. */
  readonly code?: string | ReadonlyArray<string> | undefined
  /** A response header that must be there, with this value if one is given. */
  readonly header?: { readonly name: string; readonly value?: string | undefined } | undefined
  readonly means: Meaning
  /** The provider did no work for such an answer, so that even an unsafe operation may be sent again. Default: true for `RateLimited`. */
  readonly refusedBeforeWork?: boolean | undefined
  /**
   * An `Unavailable` that is this connection's trouble alone, such as one tenant's account that is being moved: it counts for the circuit of the connection, and not for that of the
   * origin, which other connections share. Default: it counts for both.
   */
  readonly concerns?: "connection" | undefined
}

/** @category models @since 0.1.0 */
export interface ErrorTable {
  /** Reads the provider's error code out of a parsed body. Default: none. */
  readonly code?: ((body: unknown) => string | undefined) | undefined
  readonly rules?: ReadonlyArray<Rule> | undefined
  /**
   * Response header by which the provider itself says whether to retry, `true` or `false`, such as `Stripe-Should-Retry`. It wins over the
   * rules for answers that failed. Default: none.
   */
  readonly shouldRetryHeader?: string | undefined
}

/** What an answer means, and whether the provider did any work for it. @category models @since 0.1.0 */
export interface Verdict {
  readonly means: Meaning
  readonly refusedBeforeWork: boolean
  /** The answer is final, yet does not say that nothing was done: a 5xx that the provider asks not to send again. */
  readonly undecided: boolean
  readonly code: string | undefined
  /** It speaks against the health of this connection alone, where it speaks against any. */
  readonly concerns?: "connection" | undefined
  /** A rule of the provider said so, or its own header; not just the status. */
  readonly explicit: boolean
}

const includes = <T>(wanted: T | ReadonlyArray<T> | undefined, found: T | undefined): boolean =>
  wanted === undefined || (Array.isArray(wanted) ? wanted.includes(found) : wanted === found)

const hasHeader = (wanted: NonNullable<Rule["header"]>, found: string | undefined): boolean =>
  found !== undefined && (wanted.value === undefined || wanted.value === found)

const matches = (rule: Rule, status: number, code: string | undefined, headers: Headers.Headers): boolean =>
  includes(rule.status, status) &&
  includes(rule.code, code) &&
  (rule.header === undefined || hasHeader(rule.header, headers[rule.header.name.toLowerCase()]))

const ofStatus = (status: number): Meaning => {
  switch (status) {
    case 400:
    case 422:
      return "InvalidRequest"
    case 401:
      return "Unauthorized"
    case 403:
      return "PermissionDenied"
    case 404:
    case 410:
      return "NotFound"
    case 409:
    case 412:
      return "Conflict"
    case 408:
    case 425:
      return "Unavailable"
    case 429:
      return "RateLimited"
    case 501:
    case 505:
      return "Rejected"
    default:
      return status >= 500 ? "Unavailable" : "Rejected"
  }
}

const retried = new Set<Meaning>(["RateLimited", "Unavailable", "Locked"])

/** What the provider's own header makes of a meaning: `true` turns a final answer into a retryable one, `false` the reverse. */
const withAdvice = (verdict: Verdict, advice: string | undefined): Verdict => {
  if (advice === "true" && !retried.has(verdict.means)) return { ...verdict, means: "Unavailable", explicit: true }
  if (advice === "false" && retried.has(verdict.means))
    return {
      ...verdict,
      means: "Rejected",
      undecided: verdict.means === "Unavailable" && !verdict.refusedBeforeWork,
      refusedBeforeWork: false,
      explicit: true
    }
  return verdict
}

/** The code that the table reads. One that throws, such as at a body that is not what its author expected, reads none: an outage stays an outage. */
const codeOf = (table: ErrorTable, body: unknown): string | undefined => {
  try {
    const found = table.code?.(body)
    return Predicate.isString(found) && found.length <= 128 ? found : undefined
  } catch {
    return undefined
  }
}

/** Reads one answer of status 400 or above. @category accessors @since 0.1.0 */
export const read = (
  table: ErrorTable,
  answer: {
    readonly status: number
    readonly headers: Headers.Headers
    /** The parsed body, or `undefined` if it is not JSON. */
    readonly body: unknown
  }
): Verdict => {
  const { headers, status } = answer
  const code = codeOf(table, answer.body)
  const rule = table.rules?.find((rule) => matches(rule, status, code, headers))
  const means = rule?.means ?? ofStatus(status)
  const verdict = {
    means,
    code,
    explicit: rule !== undefined,
    undecided: false,
    ...(rule?.concerns === undefined ? {} : { concerns: rule.concerns }),
    refusedBeforeWork: rule?.refusedBeforeWork ?? means === "RateLimited"
  }
  return table.shouldRetryHeader === undefined
    ? verdict
    : withAdvice(verdict, headers[table.shouldRetryHeader.toLowerCase()])
}
