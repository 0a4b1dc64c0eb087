/**
 * What an answer says is left of a limit, by the fields of the IETF: `RateLimit` and `RateLimit-Policy`, as lists of policies and in the form of draft 7.
 * @see https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/ (draft 9, read 2026-11-21)
 * @since 0.1.0
 */
import { isInnerList, parseDictionary, parseList } from "structured-headers"
import type { Headers } from "../vocabulary/Platform.ts"
import { longestMillis } from "../vocabulary/ResetTime.ts"

/** @category models @since 0.1.0 */
export interface Quota {
  /** The provider's name of the limit; empty where it has none, or one that may not be shown. */
  readonly name: string
  /** Requests that may still be sent in the window. */
  readonly remaining: number
  /** Milliseconds until the window starts anew. */
  readonly resetMillis: number
  /** Requests in a whole window, where the answer tells. */
  readonly limit: number | undefined
}

/** Longest field that is read, in characters. A policy takes about 30. @category constants @since 0.1.0 */
export const longestField = 4096

/** Policies of one answer that are read. @category constants @since 0.1.0 */
export const maxPolicies = 16

/** A name as it may stand in logs: the provider's words, but no more than a word. @category conversions @since 0.1.0 */
export const shownName = (name: unknown): string => {
  const text = String(name)
  return /^[\w.:-]{1,40}$/u.test(text) ? text : ""
}

type Parameters = ReadonlyMap<string, unknown>

const count = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 ? value : undefined

/** The time of a parameter in seconds, as milliseconds. */
const millis = (value: unknown): number | undefined =>
  typeof value === "number" && value >= 0 && value * 1000 <= longestMillis ? value * 1000 : undefined

const attempt = <A>(field: string, parse: (field: string) => A): A | undefined => {
  if (field.length > longestField) return undefined
  try {
    return parse(field)
  } catch {
    return undefined
  }
}

/** `"name";a=1, "other";a=2`: the parameters of each policy, by name. */
const policiesOf = (field: string | undefined): ReadonlyArray<readonly [name: string, parameters: Parameters]> => {
  if (field === undefined) return []
  const list = attempt(field, parseList) ?? []
  return list
    .slice(0, maxPolicies)
    .flatMap((item) => (isInnerList(item) ? [] : [[shownName(item[0]), item[1]] as const]))
}

/** Limits that are counted in something else than requests, such as bytes, say nothing about how many may be sent. */
const countsRequests = (policy: Parameters | undefined): boolean => (policy?.get("qu") ?? "requests") === "requests"

/** `limit=100, remaining=50, reset=30`, as draft 7 had it. */
const ofDictionary = (field: string): ReadonlyArray<Quota> => {
  const members = attempt(field, parseDictionary)
  const value = (name: string) => {
    const member = members?.get(name)
    return member === undefined || isInnerList(member) ? undefined : member[0]
  }
  const remaining = count(value("remaining"))
  const resetMillis = millis(value("reset"))
  if (remaining === undefined || resetMillis === undefined) return []
  return [{ name: "", remaining, resetMillis, limit: count(value("limit")) }]
}

/** What the IETF fields of an answer tell: the policies of `RateLimit`, and those of `RateLimit-Policy` that it does not mention, as far as a window begins now. @category parsing @since 0.1.0 */
export const ofStructuredFields = (headers: Headers.Headers): ReadonlyArray<Quota> => {
  const field = headers["ratelimit"]
  const policies = policiesOf(headers["ratelimit-policy"])
  const read: Array<Quota> = []
  const mentioned = new Set<string>()
  for (const [name, parameters] of policiesOf(field)) {
    mentioned.add(name)
    const policy = policies.find(([known]) => known === name)?.[1]
    const remaining = count(parameters.get("r"))
    const resetMillis = millis(parameters.get("t") ?? policy?.get("w"))
    if (remaining !== undefined && resetMillis !== undefined && countsRequests(policy))
      read.push({ name, remaining, resetMillis, limit: count(policy?.get("q")) })
  }
  if (read.length === 0 && field !== undefined) read.push(...ofDictionary(field))
  for (const [name, policy] of policies) {
    const limit = count(policy.get("q"))
    const resetMillis = millis(policy.get("w"))
    if (!mentioned.has(name) && limit !== undefined && resetMillis !== undefined && countsRequests(policy))
      read.push({ name, remaining: limit, resetMillis, limit })
  }
  return read
}
