/**
 * How a provider tells about its limits, as data: which headers, in which form, and whom they are about (RATE-2). Nothing else of ours knows a provider's headers; one that is
 * not listed here is declared the same way. @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as AnswerTime from "../vocabulary/AnswerTime.ts"
import type { Headers } from "../vocabulary/Platform.ts"
import type { ResetForm } from "../vocabulary/ResetTime.ts"
import * as ResetTime from "../vocabulary/ResetTime.ts"
import type { Problem } from "./RatePlan.ts"
import type { Quota } from "./Quota.ts"
import { longestField, ofStructuredFields, shownName } from "./Quota.ts"

/** Headers that tell of one limit. @category models @since 0.1.0 */
export interface QuotaHeaders {
  /** Header with the requests that are left. */
  readonly remaining: string
  /** Header with the time at which the window starts anew. Default none: then `window`. */
  readonly reset?: string | undefined
  /** Default `"auto"`. */
  readonly form?: ResetForm | undefined
  /** How long what is left is believed, where no header tells. Default: without `reset` nothing is learned. */
  readonly window?: Duration.Input | undefined
  /** Header with the requests of a whole window. Default none. */
  readonly limit?: string | undefined
  /** The limit's name; that of a declared policy, where it is that policy's. Default none. */
  readonly name?: string | undefined
  /** Header with the limit's name: operations whose answers give the same name share it. Default none. */
  readonly nameHeader?: string | undefined
}

/** Whom a limit or a refusal is about. @category models @since 0.1.0 */
export type Scope = "connection" | "operation" | "call"

/** What a refusal for the rate means for others than the call that met it. @category models @since 0.1.0 */
export interface Refusals {
  /** Who has to wait as long as the answer asks. Default `"connection"`. */
  readonly scope?: Scope | undefined
  /** Header whose value says whom the refusal is about, and what each value means; any other value means `scope`. Default none. */
  readonly reason?: { readonly header: string; readonly scopes: Readonly<Record<string, Scope>> } | undefined
  /** How long to wait where the answer does not say. Default: no hint, so that the call's own backoff decides. */
  readonly wait?: Duration.Input | undefined
}

/** @category models @since 0.1.0 */
export interface Dialect {
  /** Whether the IETF fields are read, which go before the others. Default true. */
  readonly structured?: boolean | undefined
  /** Each tells of a limit of its own. Default none. */
  readonly quotas?: ReadonlyArray<QuotaHeaders> | undefined
  /** Whom the limits are about that answers tell of. Default `"connection"`. */
  readonly scope?: Exclude<Scope, "call"> | undefined
  readonly refusals?: Refusals | undefined
  /** Header with the requests that the provider works on for the account just now, and how many it takes, where that is known. Default none. */
  readonly concurrency?: { readonly header: string; readonly limit?: number | undefined } | undefined
}

const family = (prefix: string): QuotaHeaders => ({
  limit: `${prefix}-limit`,
  remaining: `${prefix}-remaining`,
  reset: `${prefix}-reset`
})

/** The IETF fields; otherwise `X-RateLimit-*`, `RateLimit-*` and `X-Rate-Limit-*`, whatever the form of the reset. What is read where nothing is declared. @category dialects @since 0.1.0 */
export const standard: Dialect = { quotas: [family("x-ratelimit"), family("ratelimit"), family("x-rate-limit")] }

/**
 * Limits by resource, which each answer names; secondary limits are everybody's, and last a minute unless the answer says otherwise.
 * @see https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api (read 2026-11-21)
 * @category dialects @since 0.1.0
 */
export const github: Dialect = {
  quotas: [{ ...family("x-ratelimit"), form: "epoch seconds", nameHeader: "x-ratelimit-resource" }],
  scope: "operation",
  refusals: { wait: "1 minute" }
}

/** `Retry-After` alone; limits are each method's own. @see https://docs.slack.dev/apis/web-api/rate-limits/ (read 2026-11-21) @category dialects @since 0.1.0 */
export const slack: Dialect = { refusals: { scope: "operation" } }

/**
 * No word on what is left; a refusal says whose limit it was. `Stripe-Should-Retry` is the error table's (`shouldRetryHeader`).
 * @see https://docs.stripe.com/rate-limits (read 2026-11-21)
 * @category dialects @since 0.1.0
 */
export const stripe: Dialect = {
  refusals: {
    reason: {
      header: "Stripe-Rate-Limited-Reason",
      scopes: { "endpoint-rate": "operation", "endpoint-concurrency": "operation", "resource-specific": "call" }
    }
  }
}

/** Limits of each endpoint, with the reset in seconds since the epoch. @see https://www.twilio.com/docs/sendgrid/api-reference/how-to-use-the-sendgrid-v3-api/rate-limits (read 2026-11-21) @category dialects @since 0.1.0 */
export const sendgrid: Dialect = {
  quotas: [{ ...family("x-ratelimit"), form: "epoch seconds" }],
  scope: "operation",
  refusals: { scope: "operation" }
}

/** Counts what runs at once, not what is sent: for each answer the requests in flight. @see https://www.twilio.com/docs/api/errors/20429 (read 2026-11-21) @category dialects @since 0.1.0 */
export const twilio: Dialect = { concurrency: { header: "Twilio-Concurrent-Requests" } }

/** Two limits, of requests and of tokens, with durations such as `6m0s`. @see https://platform.openai.com/docs/guides/rate-limits (read 2026-11-21) @category dialects @since 0.1.0 */
export const openai: Dialect = {
  quotas: ["requests", "tokens"].map((name) => ({
    name,
    limit: `x-ratelimit-limit-${name}`,
    remaining: `x-ratelimit-remaining-${name}`,
    reset: `x-ratelimit-reset-${name}`,
    form: "duration" as const
  }))
}

/** A dialect with its header names as answers have them, and its times in milliseconds. @category models @since 0.1.0 */
export interface ResolvedDialect {
  readonly structured: boolean
  readonly quotas: ReadonlyArray<Omit<QuotaHeaders, "window"> & { readonly windowMillis: number | undefined }>
  readonly scope: Exclude<Scope, "call">
  readonly refusals: {
    readonly scope: Scope
    readonly reason: Refusals["reason"]
    readonly waitMillis: number | undefined
  }
  readonly concurrency: Dialect["concurrency"]
  /** Something in it is about single operations. */
  readonly perOperation: boolean
}

const lower = (name: string | undefined): string | undefined => name?.toLowerCase()

const millisOf = (input: Duration.Input | undefined): number | undefined =>
  input === undefined ? undefined : Duration.toMillis(input)

/** @category constructors @since 0.1.0 */
export const resolve = (dialect: Dialect = standard): ResolvedDialect => {
  const { concurrency, quotas = [], refusals = {}, scope = "connection" } = dialect
  const { reason } = refusals
  const scopes = [scope, refusals.scope, ...Object.values(reason?.scopes ?? {})]
  return {
    structured: dialect.structured ?? true,
    quotas: quotas.map(({ window, ...headers }) => ({
      ...headers,
      remaining: headers.remaining.toLowerCase(),
      reset: lower(headers.reset),
      limit: lower(headers.limit),
      nameHeader: lower(headers.nameHeader),
      windowMillis: millisOf(window)
    })),
    scope,
    refusals: {
      scope: refusals.scope ?? "connection",
      reason: reason && { ...reason, header: reason.header.toLowerCase() },
      waitMillis: millisOf(refusals.wait)
    },
    concurrency: concurrency && { ...concurrency, header: concurrency.header.toLowerCase() },
    perOperation: scopes.includes("operation")
  }
}

const token = /^[!#$%&'*+.^`|~\w-]{1,128}$/u

const problemOfTime = (field: string, input: Duration.Input | undefined): Problem | undefined => {
  const time = input === undefined ? Option.none() : Duration.fromInput(input)
  if (input === undefined) return undefined
  const millis = Option.isNone(time) ? Number.NaN : Duration.toMillis(time.value)
  return millis > 0 && millis <= ResetTime.longestMillis
    ? undefined
    : [field, "must be longer than zero, and 31 days at most"]
}

/** The first field that makes no sense, as it is written, and its rule. @category guards @since 0.1.0 */
export const problemOf = ({ concurrency, quotas = [], refusals }: Dialect): Problem | undefined => {
  for (const [index, quota] of quotas.entries()) {
    for (const field of ["remaining", "reset", "limit", "nameHeader"] as const) {
      const name = quota[field]
      if (name !== undefined && !token.test(name))
        return [`dialect.quotas[${index}].${field}`, `must be the name of a header, got "${name}"`]
    }
    if (quota.reset === undefined && quota.window === undefined)
      return [`dialect.quotas[${index}]`, "must have reset or window: nothing could be learned"]
    const problem = problemOfTime(`dialect.quotas[${index}].window`, quota.window)
    if (problem !== undefined) return problem
  }
  for (const [field, header] of [
    ["dialect.refusals.reason.header", refusals?.reason?.header],
    ["dialect.concurrency.header", concurrency?.header]
  ] as const) {
    if (header !== undefined && !token.test(header)) return [field, `must be the name of a header, got "${header}"`]
  }
  return problemOfTime("dialect.refusals.wait", refusals?.wait)
}

const count = (text: string | undefined): number | undefined => {
  const trimmed = text?.trim()
  return trimmed !== undefined && /^\d{1,15}$/u.test(trimmed) ? Number(trimmed) : undefined
}

/** A limit may be followed by its windows, as in `100, 100;w=60`. */
const leadingCount = (text: string | undefined): number | undefined =>
  text === undefined || text.length > longestField ? undefined : count(/^[^,;]*/u.exec(text)?.[0])

const ofHeaders = (
  quota: ResolvedDialect["quotas"][number],
  headers: Headers.Headers,
  now: number
): Quota | undefined => {
  const remaining = count(headers[quota.remaining])
  if (remaining === undefined) return undefined
  const reset = quota.reset === undefined ? undefined : headers[quota.reset]
  const resetMillis =
    reset === undefined
      ? quota.windowMillis
      : ResetTime.parse(reset, quota.form ?? "auto", AnswerTime.ofAnswer(headers, now))
  if (resetMillis === undefined) return undefined
  const name = quota.nameHeader === undefined ? undefined : headers[quota.nameHeader]
  const limit = quota.limit === undefined ? undefined : leadingCount(headers[quota.limit])
  return { name: name === undefined ? (quota.name ?? "") : shownName(name), remaining, resetMillis, limit }
}

const nothing: ReadonlyArray<Quota> = []

const ofFamilies = (dialect: ResolvedDialect, headers: Headers.Headers, now: number): ReadonlyArray<Quota> =>
  dialect.quotas.flatMap((quota) => ofHeaders(quota, headers, now) ?? [])

/** What an answer tells of the limits that it counts against. Fields that cannot be read say nothing. @category parsing @since 0.1.0 */
export const quotas = (dialect: ResolvedDialect, headers: Headers.Headers, now: number): ReadonlyArray<Quota> => {
  if (dialect.structured && (headers["ratelimit"] !== undefined || headers["ratelimit-policy"] !== undefined)) {
    const read = ofStructuredFields(headers)
    if (read.length > 0) return read
  }
  for (const { remaining } of dialect.quotas)
    if (headers[remaining] !== undefined) return ofFamilies(dialect, headers, now)
  return nothing
}

/** Requests that the provider works on for the account just now, if the answer tells. @category parsing @since 0.1.0 */
export const concurrent = (dialect: ResolvedDialect, headers: Headers.Headers): number | undefined =>
  dialect.concurrency === undefined ? undefined : count(headers[dialect.concurrency.header])

/** Whom a refusal for the rate is about. @category parsing @since 0.1.0 */
export const refusalScope = ({ refusals }: ResolvedDialect, headers: Headers.Headers): Scope => {
  const value = refusals.reason === undefined ? undefined : headers[refusals.reason.header]?.trim()
  const scopes = refusals.reason?.scopes
  return value !== undefined && scopes !== undefined && Object.hasOwn(scopes, value)
    ? (scopes[value] ?? refusals.scope)
    : refusals.scope
}

/**
 * How long a refusal for the rate lasts that has no `Retry-After`: until the last of the limits that are spent starts anew, or what the dialect says. `undefined` if nobody
 * knows. @category parsing @since 0.1.0
 */
export const refusalMillis = (dialect: ResolvedDialect, told: ReadonlyArray<Quota>): number | undefined => {
  const spent = told.filter(({ remaining }) => remaining === 0)
  return spent.length === 0 ? dialect.refusals.waitMillis : Math.max(...spent.map(({ resetMillis }) => resetMillis))
}
