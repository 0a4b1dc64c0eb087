/**
 * How many requests a provider lets through: policies in an order, each for some operations and with one or several limits. A request needs what all policies
 * that match it ask for (RATE-1). @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type { Safety } from "../vocabulary/Safety.ts"
import type { Environment } from "./Auth.ts"

/** One limit, such as 100 in a second. @category models @since 0.1.0 */
export interface RateLimit {
  /** Requests in a window; a number for both environments, or one for each. */
  readonly limit: number | { readonly [E in Environment]: number }
  readonly window: Duration.Input
  /**
   * Requests that may leave at once after a quiet time, from 1 to the limit; a window then holds up to `limit + burst - 1`. An operation that costs more than the burst waits
   * until nothing was sent for so much longer, and never comes near the limit: declare a burst of the largest cost. Default 1: evenly spaced.
   */
  readonly burst?: number | undefined
}

/** Which operations a policy is for: everything that is given must hold. @category models @since 0.1.0 */
export interface RateMatch {
  /** `group.endpoint`, or `group.*` for all of a group. */
  readonly operations?: ReadonlyArray<string> | undefined
  /** `GET`, `POST`, … */
  readonly methods?: ReadonlyArray<string> | undefined
  readonly safety?: ReadonlyArray<Safety> | undefined
}

/** @category models @since 0.1.0 */
export interface RatePolicy {
  /** A lower-case word, where the provider names its limits the one that its answers use. Stands in logs, metrics and health. */
  readonly name: string
  /** Default: all operations. */
  readonly match?: RateMatch | undefined
  /** All of them hold at once, such as 10 in a second and 1,000 in an hour. */
  readonly limits: RateLimit | ReadonlyArray<RateLimit>
  /** Counted by itself for each key of `Call.withPartition`, such as one request a second in each channel. Default false. */
  readonly perPartition?: boolean | undefined
}

/** One limit for everything, or policies. @category models @since 0.1.0 */
export type Rate = RateLimit | ReadonlyArray<RatePolicy>

/** One limit, as numbers. @category models @since 0.1.0 */
export interface WindowLimit {
  readonly limit: number
  readonly windowMillis: number
  readonly burst: number
  /** What is declared, where `limit` is a share of it: so much the heaviest call may cost. Default `limit`. */
  readonly declared?: number | undefined
}

/** One policy in one environment, as numbers. @category models @since 0.1.0 */
export interface ResolvedRatePolicy {
  readonly name: string
  readonly match: RateMatch | undefined
  readonly windows: ReadonlyArray<WindowLimit>
  readonly perPartition: boolean
}

/** What a policy is matched with. @category models @since 0.1.0 */
export interface Matched {
  /** `group.endpoint`. */
  readonly path: string
  readonly method: string
  readonly safety: Safety
  readonly cost: number
}

/** The name of the only policy where one limit is declared. @category constants @since 0.1.0 */
export const defaultName = "default"

const isList = (rate: Rate): rate is ReadonlyArray<RatePolicy> => Array.isArray(rate)

const limitsOf = ({ limits }: RatePolicy): ReadonlyArray<RateLimit> =>
  Array.isArray(limits) ? (limits as ReadonlyArray<RateLimit>) : [limits as RateLimit]

const policiesOf = (rate: Rate): ReadonlyArray<RatePolicy> =>
  isList(rate) ? rate : [{ name: defaultName, limits: rate }]

const covers = (pattern: string, path: string): boolean =>
  pattern.endsWith(".*") ? path.startsWith(pattern.slice(0, -1)) : pattern === path

/** Whether a policy is for an operation. @category guards @since 0.1.0 */
export const matches = (match: RateMatch | undefined, operation: Omit<Matched, "cost">): boolean =>
  match === undefined ||
  ((match.operations?.some((pattern) => covers(pattern, operation.path)) ?? true) &&
    (match.methods?.includes(operation.method) ?? true) &&
    (match.safety?.includes(operation.safety) ?? true))

/** The policies in one environment. `own` replaces the limit where there is one limit for everything. @category constructors @since 0.1.0 */
export const resolve = (
  rate: Rate | undefined,
  environment: Environment,
  own?: number
): ReadonlyArray<ResolvedRatePolicy> => {
  const window = ({ burst = 1, limit, window }: RateLimit): WindowLimit => {
    const declared = typeof limit === "number" ? limit : limit[environment]
    return {
      limit: own ?? declared,
      windowMillis: Duration.toMillis(window),
      // A smaller account cannot burst beyond its own limit, whatever is declared for others.
      burst: own === undefined ? burst : Math.min(burst, Math.max(1, own))
    }
  }
  return rate === undefined
    ? []
    : policiesOf(rate).map((policy) => ({
        name: policy.name,
        match: policy.match,
        windows: limitsOf(policy).map(window),
        perPartition: policy.perPartition ?? false
      }))
}

/**
 * The part of a limit that one of several processes keeps to, for a share above 0 and up to 1. Its burst is of one request at least; below one request in a window it is one in
 * several windows. @category constructors @since 0.1.0
 */
export const shareOf = (whole: WindowLimit, share: number): WindowLimit => {
  if (share === 1) return whole
  const { burst, limit, windowMillis } = whole
  return { limit: limit * share, windowMillis, burst: Math.max(1, burst * share), declared: limit }
}

/** A field that no budget can be made of, and its rule. @category models @since 0.1.0 */
export type Problem = readonly [field: string, rule: string]

const problemOfLimit = ({ burst = 1, limit, window }: RateLimit): Problem | undefined => {
  const limits = typeof limit === "number" ? [limit] : [limit.sandbox, limit.production]
  const wrong = limits.find((each) => !(each > 0 && each < Number.POSITIVE_INFINITY))
  if (wrong !== undefined) return ["limit", `must be above 0, got ${wrong}`]
  const millis = Duration.toMillis(window)
  if (!(millis > 0 && millis < Number.POSITIVE_INFINITY)) return ["window", "must be longer than zero"]
  if (!(burst >= 1)) return ["burst", `must be at least 1, got ${burst}`]
  const least = Math.max(1, Math.min(...limits))
  return burst > least ? ["burst", `(${burst}) must not be above the limit (${least})`] : undefined
}

const within = (place: string, problem: Problem | undefined): Problem | undefined =>
  problem === undefined ? undefined : [place === "" ? problem[0] : `${place}.${problem[0]}`, problem[1]]

const first = <T>(items: ReadonlyArray<T>, problemOf: (item: T, index: number) => Problem | undefined) => {
  for (const [index, item] of items.entries()) {
    const problem = problemOf(item, index)
    if (problem !== undefined) return problem
  }
  return undefined
}

const word = /^[a-z][a-z0-9_.-]{0,39}$/u

/** An operation that could never be sent: no window lets so much through. */
const problemOfCost = (policy: RatePolicy, operations: ReadonlyArray<Matched>): Problem | undefined =>
  first(limitsOf(policy), ({ limit }) => {
    const least = Math.max(1, typeof limit === "number" ? limit : Math.min(limit.sandbox, limit.production))
    const heavy = operations.find((operation) => operation.cost > least)
    return heavy && ["limits", `let ${least} through, less than the cost (${heavy.cost}) of ${heavy.path}`]
  })

const problemOfMatch = (policy: RatePolicy, operations: ReadonlyArray<Matched>): Problem | undefined => {
  const unknown = policy.match?.operations?.find((pattern) => !operations.some(({ path }) => covers(pattern, path)))
  if (unknown !== undefined) return ["match.operations", `names ${unknown}, which the provider does not have`]
  const matched = operations.filter((operation) => matches(policy.match, operation))
  return matched.length === 0 ? ["match", "holds for no operation"] : problemOfCost(policy, matched)
}

const problemOfPolicy = (policy: RatePolicy): Problem | undefined => {
  if (!word.test(policy.name))
    return ["name", `must be a lower-case word of at most 40 characters, got "${policy.name}"`]
  const limits = limitsOf(policy)
  if (limits.length === 0) return ["limits", "must not be empty"]
  return first(limits, (limit, index) =>
    within(limits.length > 1 ? `limits[${index}]` : "limits", problemOfLimit(limit))
  )
}

/**
 * The first field that no budget can be made of, as it is written, and its rule. Without the operations it is not asked whether they fit.
 * @category guards @since 0.1.0
 */
export const problemOf = (rate: Rate, operations?: ReadonlyArray<Matched>): Problem | undefined => {
  const named = (problem: Problem | undefined): Problem | undefined =>
    problem && [`rate${problem[0].startsWith("[") ? "" : "."}${problem[0]}`, problem[1]]
  return named(isList(rate) ? problemOfList(rate, operations) : problemOfOne(rate, operations))
}

const problemOfOne = (rate: RateLimit, operations?: ReadonlyArray<Matched>): Problem | undefined =>
  problemOfLimit(rate) ?? (operations && problemOfCost({ name: defaultName, limits: rate }, operations))

const problemOfList = (rate: ReadonlyArray<RatePolicy>, operations?: ReadonlyArray<Matched>): Problem | undefined => {
  const names = rate.map(({ name }) => name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) return ["name", `"${twice}" is given twice`]
  return first(rate, (policy, index) =>
    within(`[${index}]`, problemOfPolicy(policy) ?? (operations && problemOfMatch(policy, operations)))
  )
}
