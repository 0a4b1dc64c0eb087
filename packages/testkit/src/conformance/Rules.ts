/**
 * What must hold of every call, whatever goes wrong: by the operation's safety, with the ledger as oracle.
 * @internal
 */
import * as ErrorTable from "@breakwater/core/ErrorTable"
import type { ErrorTable as Table } from "@breakwater/core/ErrorTable"
import type { HttpClientRequest } from "@breakwater/core/Platform"
import { Headers, UrlParams } from "@breakwater/core/Platform"
import type * as Provider from "@breakwater/core/Provider"
import { isProviderError } from "@breakwater/core/ProviderError"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Formatter from "effect/Formatter"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type { Answer } from "../Exchange.ts"
import * as Exchanges from "../Exchange.ts"
import * as Faults from "../Fault.ts"
import type { LedgerEntry } from "../Ledger.ts"
import * as Secrets from "./Secrets.ts"
import type { Subject } from "./Subject.ts"
import { isWrite } from "./Subject.ts"
import type { Called, Observed, Strike } from "./Trial.ts"

/** The rules, by name. @category models @since 0.1.0 */
export type Rule =
  /** Every call ends. */
  | "ends"
  /** An error is a declared one, or one of the three classes. */
  | "error class"
  /** An error says who, what, how often and under which id. */
  | "error context"
  /** No credential or secret of the request is in an error. */
  | "no secret"
  /** Request id, user agent, pinned version and idempotency key are on every request. */
  | "headers"
  /** All attempts of a keyed call are one request. */
  | "same request"
  /** Reads and idempotent operations never end with `OutcomeUnknown`. */
  | "outcome known"
  /** A read leaves nothing in the ledger. */
  | "no work"
  /** At most one unit of work for one call, whatever the fault. */
  | "no double work"
  /** What was said to have succeeded is in the ledger. */
  | "no lost work"
  /** What was said not to have been done is not in the ledger. */
  | "nothing sent"
  /** An unsafe request that may have been worked on is never sent again. */
  | "not resent"

/** @category models @since 0.1.0 */
export interface Violation {
  readonly rule: Rule
  readonly message: string
}

const violation = (rule: Rule, message: string): Violation => ({ rule, message })

/** The error of a call; `undefined` if it succeeded or failed otherwise. @category accessors @since 0.1.0 */
export const errorOf = ({ exit }: Called): unknown =>
  Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined

/** What a call came to, in a word or two. @category accessors @since 0.1.0 */
export const outcomeOf = (call: Called): string => {
  if (Exit.isSuccess(call.exit)) return "success"
  const error = errorOf(call)
  if (isProviderError(error)) return `${error._tag} (${error.reason._tag})`
  if (Predicate.hasProperty(error, "_tag")) return String(error._tag)
  return Cause.hasDies(call.exit.cause) ? "a defect" : "an interruption"
}

const textOf = ({ amount, currency, ids, kind }: LedgerEntry): string => {
  const money = amount === undefined ? "" : ` of ${amount}${currency === undefined ? "" : ` ${currency}`}`
  const named = Object.values(ids)
  return `${kind}${money}${named.length === 0 ? "" : ` (${named.join(", ")})`}`
}

/** Entries in words, for messages. @category accessors @since 0.1.0 */
export const inWords = (entries: ReadonlyArray<LedgerEntry>): string =>
  entries.length === 0 ? "nothing" : entries.map(textOf).join(", ")

/** What an idempotent operation did once more is not more work. */
const distinct = (entries: ReadonlyArray<LedgerEntry>): ReadonlyArray<LedgerEntry> => {
  const effects = new Map(entries.map((entry) => [JSON.stringify({ ...entry, at: 0, key: "" }), entry]))
  return [...effects.values()]
}

/** The units of work among entries. @category accessors @since 0.1.0 */
export const workOf = (subject: Subject, entries: ReadonlyArray<LedgerEntry>): ReadonlyArray<LedgerEntry> => {
  const { counts } = subject.options
  if (counts === "nothing") return []
  const counted = counts === undefined ? entries : entries.filter(({ kind }) => kind === counts)
  return subject.operation.safety === "idempotent" ? distinct(counted) : counted
}

const header = (request: HttpClientRequest.HttpClientRequest, name: string): string | undefined =>
  Option.getOrUndefined(Headers.get(request.headers, name))

const context = (provider: Provider.Any, subject: Subject, call: Called): ReadonlyArray<Violation> => {
  const error = errorOf(call)
  if (!isProviderError(error)) return []
  const sentAs = call.sent[0] === undefined ? undefined : header(call.sent[0], "x-request-id")
  const wrong = [
    error.provider === provider.name ? "" : `provider is "${error.provider}"`,
    error.operation === subject.operation.name ? "" : `operation is "${error.operation}"`,
    error.connection === "" ? "connection is empty" : "",
    error.correlationId === "" ? "correlationId is empty" : "",
    sentAs === undefined || error.correlationId === sentAs ? "" : "correlationId is not the X-Request-ID that was sent",
    error.attempts === call.sent.length
      ? ""
      : `attempts is ${error.attempts}, and ${call.sent.length} requests were sent`,
    Predicate.hasProperty(error, "elapsed") ? "" : "elapsed is missing"
  ].filter(Boolean)
  return wrong.map((what) => violation("error context", `of ${error._tag}: ${what}`))
}

const errorClass = (subject: Subject, call: Called): ReadonlyArray<Violation> => {
  if (Exit.isSuccess(call.exit)) return []
  const error = errorOf(call)
  if (error === undefined) {
    const what = Cause.hasDies(call.exit.cause)
      ? `it died: ${String(Cause.squash(call.exit.cause))}`
      : "it was interrupted"
    return [violation("error class", what)]
  }
  const tag = Predicate.hasProperty(error, "_tag") ? String(error._tag) : Formatter.format(error)
  return isProviderError(error) || subject.declared.includes(tag)
    ? []
    : [violation("error class", `${tag} is neither declared nor one of the three classes`)]
}

const noSecret = (provider: Provider.Any, subject: Subject, seen: Observed, call: Called): ReadonlyArray<Violation> => {
  const error = errorOf(call)
  if (error === undefined) return []
  const text = Secrets.everythingOf(error)
  const secrets = [
    ...Secrets.inRequests(call.sent),
    ...Secrets.inFields(seen.request, provider.redaction?.fields ?? []),
    ...(subject.options.secrets ?? []).map((secret) => ({ where: "operations.secrets", secret }))
  ]
  return secrets
    .filter(({ secret }) => Secrets.isIn(text, secret))
    .map(({ where }) => violation("no secret", `the error shows what is secret in the request: ${where}`))
}

const headersOf = (
  provider: Provider.Any,
  subject: Subject,
  key: string
): ReadonlyArray<readonly [string, string | undefined]> => {
  const { keys, safety } = subject.operation
  return [
    ["x-request-id", undefined],
    ["user-agent", undefined],
    ...(provider.version === undefined ? [] : [[provider.version.header, provider.version.value] as const]),
    ...(safety === "keyed" && keys?.header !== undefined ? [[keys.header, key] as const] : [])
  ]
}

const headers = (provider: Provider.Any, subject: Subject, seen: Observed, call: Called): ReadonlyArray<Violation> =>
  headersOf(provider, subject, seen.key).flatMap(([name, wanted]) => {
    const found = call.sent.map((request) => header(request, name))
    const missing = found.findIndex((value) => value === undefined || value === "")
    if (missing !== -1) return [violation("headers", `request ${missing + 1} has no ${name}`)]
    const wrong = found.find((value) => wanted !== undefined && value !== wanted)
    return wrong === undefined ? [] : [violation("headers", `${name} is "${wrong}", not "${wanted}"`)]
  })

const bytesOf = ({ body, method, url, urlParams }: HttpClientRequest.HttpClientRequest): string =>
  `${method} ${url}?${UrlParams.toString(urlParams)} ${body._tag === "Uint8Array" ? body.body.join(",") : body._tag}`

const sameRequest = (call: Called): ReadonlyArray<Violation> => {
  const requests = new Set(call.sent.map((request) => `${bytesOf(request)} ${header(request, "x-request-id") ?? ""}`))
  return requests.size <= 1
    ? []
    : [violation("same request", "its attempts are not the same bytes under one X-Request-ID")]
}

/** What something in front of the provider answers, if the strike is that. */
const answerOf = (strike: Strike, { edge }: { readonly edge: (status: number) => Answer }): Answer | undefined => {
  if (strike.quotes !== undefined) return { ...edge(strike.quotes), status: strike.quotes }
  const fault = Faults.besideClock(strike.fault)
  return fault._tag === "Status" && !fault.processed ? edge(fault.status) : undefined
}

const parsed = (answer: Answer): unknown => {
  try {
    return JSON.parse(Exchanges.text(answer))
  } catch {
    return undefined
  }
}

/** Whether the client can know that nothing was done: then anything may be sent again. */
const refusesBeforeWork = (table: Table | undefined, strike: Strike, seen: Observed): boolean => {
  if (strike.fault.phase === "connection") return true
  const answer = answerOf(strike, seen.simulated)
  if (answer === undefined) return false
  const { status } = answer
  return ErrorTable.read(table ?? {}, { status, headers: Headers.fromInput(answer.headers), body: parsed(answer) })
    .refusedBeforeWork
}

const times = (count: number): string => ["never", "once", "twice"][count] ?? `${count} times`

const notResent = (
  provider: Provider.Any,
  subject: Subject,
  strike: Strike,
  seen: Observed
): ReadonlyArray<Violation> => {
  const sends = seen.call.sent.length
  if (subject.operation.safety !== "unsafe" || sends <= 1 || refusesBeforeWork(provider.errors, strike, seen)) return []
  return [
    violation("not resent", `it is unsafe, and was sent ${times(sends)} though the first may have been worked on`)
  ]
}

const outcomeKnown = (subject: Subject, call: Called): ReadonlyArray<Violation> => {
  const error = errorOf(call)
  const { safety } = subject.operation
  return isProviderError(error) && error._tag === "OutcomeUnknown" && !isWrite(subject)
    ? [violation("outcome known", `it is ${safety}, and ended with OutcomeUnknown`)]
    : []
}

/** What told the client that nothing was done. */
const saidNothingDone = (subject: Subject, call: Called): string | undefined => {
  const error = errorOf(call)
  if (isProviderError(error)) {
    if (error._tag === "RetryableError" && error.sent === "no") return 'RetryableError with sent: "no"'
    return error._tag === "FatalError" ? `FatalError (${error.reason._tag})` : undefined
  }
  const outcome = outcomeOf(call)
  return subject.declared.includes(outcome) ? `${outcome}, which it declares` : undefined
}

const tooMuch = (
  subject: Subject,
  work: ReadonlyArray<LedgerEntry>,
  usual: number,
  sends: number
): ReadonlyArray<Violation> => {
  const { safety } = subject.operation
  if (safety === "safe") {
    const advice = "a write is Safety.keyed or Safety.unsafe"
    return work.length === 0 ? [] : [violation("no work", `it is marked safe, and did ${inWords(work)}; ${advice}`)]
  }
  if (work.length <= usual) return []
  return [
    violation("no double work", `one call, sent ${times(sends)}, did ${work.length} units of work: ${inWords(work)}`)
  ]
}

const ledger = (subject: Subject, usual: number, seen: Observed): ReadonlyArray<Violation> => {
  if (subject.options.counts === "nothing") return []
  const work = workOf(subject, seen.call.entries)
  const more = tooMuch(subject, work, usual, seen.call.sent.length)
  const denied = isWrite(subject) && work.length > 0 ? saidNothingDone(subject, seen.call) : undefined
  const lost = Exit.isSuccess(seen.call.exit) && work.length < usual
  return [
    ...more,
    ...(lost ? [violation("no lost work", `it succeeded, and the ledger has ${inWords(work)}`)] : []),
    ...(denied === undefined ? [] : [violation("nothing sent", `it ended with ${denied}, and did ${inWords(work)}`)])
  ]
}

/** `RetryableError` says that trying again is safe, so it has to be. */
const afterwards = (subject: Subject, usual: number, { again, call }: Observed): ReadonlyArray<Violation> => {
  const { safety } = subject.operation
  if (again === undefined || safety === "safe" || subject.options.counts === "nothing") return []
  const work = workOf(subject, again.entries)
  const after = "tried again after its RetryableError"
  const before = workOf(subject, call.entries).length
  if (work.length > usual && work.length > before)
    return [violation("no double work", `${after}, it did ${inWords(work)} in all`)]
  return Exit.isSuccess(again.exit) && work.length < usual
    ? [violation("no lost work", `${after}, it succeeded, and the ledger has ${inWords(work)}`)]
    : []
}

/** Everything that is wrong with a trial. `usual` is how many units of work one undisturbed call leaves. @category accessors @since 0.1.0 */
export const broken = (options: {
  readonly provider: Provider.Any
  readonly subject: Subject
  readonly strike: Strike
  readonly usual: number
  readonly seen: Observed
}): ReadonlyArray<Violation> => {
  const { provider, seen, strike, subject, usual } = options
  const calls = seen.again === undefined ? [seen.call] : [seen.call, seen.again]
  const each = calls.flatMap((call) => [
    ...errorClass(subject, call),
    ...context(provider, subject, call),
    ...noSecret(provider, subject, seen, call),
    ...headers(provider, subject, seen, call),
    ...sameRequest(call),
    ...outcomeKnown(subject, call)
  ])
  return [
    ...each,
    ...notResent(provider, subject, strike, seen),
    ...ledger(subject, usual, seen),
    ...afterwards(subject, usual, seen)
  ]
}
