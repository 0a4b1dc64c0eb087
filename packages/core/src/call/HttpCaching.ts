/**
 * Answers that are kept for as long as they say themselves: freshness, validators and `Vary` of RFC 9111, `stale-while-revalidate` and `stale-if-error` of RFC 5861, for one connection alone (a private
 * cache). An import path of its own, `@breakwater/core/HttpCaching`: programs that do not use it do not load what reads the headers. @since 0.1.0
 */
import * as Predicate from "effect/Predicate"
import type * as Duration from "effect/Duration"
import CachePolicy from "http-cache-semantics"
import type { Asking, Head, KeptHead, Rules, Verdict } from "../definition/AnswerRules.ts"
import * as Fingerprint from "../vocabulary/Fingerprint.ts"
import type { KeepOptions } from "./Caching.ts"
import { checked, keeping, millisOf } from "./Caching.ts"

/** @category models @since 0.1.0 */
export interface HttpOptions extends KeepOptions {
  /** How much longer than it is fresh an answer stands in for a provider that is down, where it says less itself (`stale-if-error`). Not one that forbids it (`must-revalidate`, `no-cache`). Default 0. */
  readonly staleFor?: Duration.Input | undefined
  /** How much longer than it is fresh an answer with a validator is kept, for the provider to confirm it (304), which costs less than to send it again. Default `"1 day"`. */
  readonly keepFor?: Duration.Input | undefined
}

/** The values used when an option is left out. @category constants @since 0.1.0 */
export const defaults = { staleFor: 0, keepFor: "1 day" } as const satisfies HttpOptions

/** What the time is for the policy that is being asked: it has no other way to be told. */
let time = 0

/** Reads no clock of its own. */
class TimedPolicy extends CachePolicy {
  now(): number {
    return time
  }
}

/** What the rules keep of an exchange beside the answer's headers: when it was, and what was asked with, as far as the answer varies by it. */
interface State {
  readonly t: number
  readonly q: string
}

const isState = (u: unknown): u is State =>
  Predicate.isObject(u) && Predicate.isNumber((u as Partial<State>).t) && Predicate.isString((u as Partial<State>).q)

/** Names in `Vary`; `undefined` for `*`, which no other request is like. */
const varying = ({ headers }: Head): ReadonlyArray<string> | undefined => {
  const names = (headers["vary"] ?? "").split(",").map((name) => name.trim().toLowerCase())
  return names.includes("*") ? undefined : names.filter((name) => name !== "")
}

/** What an answer varies by, as a digest, since a header may be a secret. */
const selected = (names: ReadonlyArray<string>, { common, headers }: Asking): string =>
  names.length === 0
    ? ""
    : Fingerprint.of({ method: "", path: JSON.stringify(names.map((name) => headers[name] ?? common[name])) })

const directive = (name: string, control: string): boolean =>
  new RegExp(`(?:^|,)\\s*${name}\\s*(?:[=,]|$)`, "u").test(control)

/** Never given before the provider has confirmed it, once it is not fresh (RFC 9111 §5.2.2.2, §5.2.2.4). */
const isStrict = (control: string): boolean => directive("must-revalidate", control) || directive("no-cache", control)

/** What is no date has passed, `0` above all (RFC 9111 §5.3), which engines read as the year 2000. */
const expiry = (text: string): string => (/^[a-z]{3,9},? /iu.test(text) ? text : "passed")

/**
 * The answer as the library reads it. Directives are compared as they are written there, while their case does not count. `must-revalidate` is taken out, since the library takes it to forbid what is
 * fresh as well, and with it what it forbids.
 */
const policyOf = (asking: Pick<Asking, "method">, { headers, status }: Head, at: number): TimedPolicy => {
  const control = (headers["cache-control"] ?? "").toLowerCase()
  const told = isStrict(control)
    ? control.split(",").filter((part) => !/^\s*(?:must-revalidate|stale-)/u.test(part))
    : [control]
  const { expires, vary: _, ...others } = headers
  time = at
  return new TimedPolicy(
    { method: asking.method, headers: {} },
    {
      status,
      headers: {
        ...others,
        ...(expires === undefined ? {} : { expires: expiry(expires) }),
        ...(control === "" ? {} : { "cache-control": told.join(",") })
      }
    },
    // A guess from Last-Modified would make answers fresh of which nobody said so.
    { shared: false, cacheHeuristic: 0 }
  )
}

const again: Verdict = { use: "ask", whenDown: false, conditions: undefined }

/** Seconds of a directive, or 0. */
const secondsOf = (name: string, control: string): number =>
  Number(new RegExp(`(?:^|,)\\s*${name}\\s*=\\s*"?(\\d{1,10})`, "u").exec(control)?.[1] ?? 0)

const isValidator = (name: string): boolean => name === "if-none-match" || name === "if-modified-since"

const conditionsOf = (policy: TimedPolicy, { method }: Asking): Verdict["conditions"] => {
  // Of other methods, one that does not hold is refused with 412 (RFC 9110 §13.1.2).
  if (method !== "GET" && method !== "HEAD") return undefined
  const headers = Object.entries(policy.revalidationHeaders({ method, headers: {} }))
  const told = headers.flatMap(([name, value]) =>
    isValidator(name) && Predicate.isString(value) ? [[name, value]] : []
  )
  return told.length === 0 ? undefined : Object.fromEntries(told)
}

const rulesOf = (options: HttpOptions): Rules => {
  const staleFor = millisOf("HttpCaching.http: staleFor", options.staleFor ?? defaults.staleFor, 0)
  const keepFor = millisOf("HttpCaching.http: keepFor", options.keepFor ?? defaults.keepFor, 0)
  const staleMillis = (control: string): number =>
    isStrict(control) ? 0 : Math.max(staleFor, secondsOf("stale-if-error", control) * 1000)
  return {
    headers: ["cache-control", "etag", "last-modified", "date", "expires", "age", "vary", "pragma"],
    admit: (asking, answer, now) => {
      const names = varying(answer)
      const policy = policyOf(asking, answer, now)
      if (names === undefined || !policy.storable()) return undefined
      const control = (answer.headers["cache-control"] ?? "").toLowerCase()
      const fresh = Math.max(0, (policy.maxAge() - policy.age()) * 1000)
      const confirmed = conditionsOf(policy, asking) === undefined ? 0 : keepFor
      const keepMillis = Math.max(policy.timeToLive(), fresh + Math.max(staleMillis(control), confirmed))
      const state: State = { t: now, q: selected(names, asking) }
      return keepMillis > 0 ? { keepMillis, state } : undefined
    },
    judge: (asking, kept: KeptHead, ageMillis) => {
      const { state } = kept
      if (!isState(state) || state.q !== selected(varying(kept) ?? [], asking)) return again
      const policy = policyOf(asking, kept, state.t)
      time = state.t + ageMillis
      const { response, revalidation } = policy.evaluateRequest({ method: asking.method, headers: {} })
      const control = (kept.headers["cache-control"] ?? "").toLowerCase()
      const use = response === undefined ? "ask" : revalidation === undefined ? "fresh" : "renew"
      const overdue = (policy.age() - policy.maxAge()) * 1000
      return {
        use,
        whenDown: use === "fresh" || overdue < staleMillis(control),
        conditions: use === "fresh" ? undefined : conditionsOf(policy, asking)
      }
    }
  }
}

type Declared = ReturnType<typeof keeping>

/**
 * Keeps the answers of a safe operation as HTTP has it (CACHE-3). What its headers call fresh is given without an attempt; what is not is asked about by its validator, and a 304 confirms it. Directives
 * of the caller's own request are not heeded: use `Caching.bypass`. Nothing is kept that says `no-store`, varies by everything, or says nothing about how long it holds. Throws a `RangeError` for a time
 * or a tag that cannot be; on an operation that is not safe the layer is not built.
 * @category annotations @since 0.1.0
 */
export const http = (options: HttpOptions = {}): Declared => {
  checked("HttpCaching.http", options)
  return keeping(rulesOf(options), options)
}
