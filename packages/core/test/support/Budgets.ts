/** Rate budgets for tests: one policy for everything, unless said otherwise, and callers that take from it. */
import type { RateBudgetOptions, TokenHolder } from "@breakwater/core/RateBudget"
import { RateBudget } from "@breakwater/core/RateBudget"
import type { Matched, ResolvedRatePolicy, WindowLimit } from "@breakwater/core/RatePlan"
import type { TrafficClass } from "@breakwater/core/TrafficClass"
import { rankOf } from "@breakwater/core/TrafficClass"

export const policy = (
  windows: WindowLimit | ReadonlyArray<WindowLimit>,
  rest?: Partial<ResolvedRatePolicy>
): ResolvedRatePolicy => ({
  name: "default",
  match: undefined,
  perPartition: false,
  ...rest,
  windows: Array.isArray(windows) ? (windows as ReadonlyArray<WindowLimit>) : [windows as WindowLimit]
})

export const budgetOf = (
  policies: ReadonlyArray<ResolvedRatePolicy>,
  options?: Partial<RateBudgetOptions>
): RateBudget =>
  new RateBudget({
    policies,
    reserve: 0.1,
    queue: 256,
    alarmAt: 0.8,
    partitions: 10_000,
    perOperation: false,
    ...options
  })

/** A budget of one limit, or of none. */
export const limited = (limit?: WindowLimit, options?: Partial<RateBudgetOptions>): RateBudget =>
  budgetOf(limit === undefined ? [] : [policy(limit)], options)

export interface Caller {
  readonly cost?: number
  readonly traffic?: TrafficClass
  readonly operation?: string
  readonly method?: string
  readonly partition?: string
}

export const operationOf = ({
  cost = 1,
  method = "GET",
  operation = "orders.get"
}: Caller): Matched & {
  readonly name: string
} => ({ name: `acme.${operation}`, path: operation, method, safety: "safe", cost })

/** Who may take tokens, as a call does. */
export const caller = (budget: RateBudget, now: number, of: Caller = {}): TokenHolder => ({
  cost: of.cost ?? 1,
  rank: rankOf(of.traffic ?? "interactive"),
  route: budget.routeOf(operationOf(of), of.partition, now),
  tokens: 0
})

/** Milliseconds until a call could leave. */
export const wait = (budget: RateBudget, now: number, of: Caller = {}): number =>
  budget.expected(caller(budget, now, of), now)

/** Takes the tokens of a call and sends it, if it may leave now. */
export const send = (budget: RateBudget, now: number, of: Caller = {}): boolean => {
  const holder = caller(budget, now, of)
  const taken = budget.take(holder, now)
  if (taken) budget.spend(holder, now)
  return taken
}

/** Sends that many calls that come at once, each as soon as it may leave: when they leave, from `now`. */
export const departures = (budget: RateBudget, count: number, now: number, of: Caller = {}): ReadonlyArray<number> => {
  let at = now
  return Array.from({ length: count }, () => {
    at += wait(budget, at, of)
    if (!send(budget, at, of)) throw new Error("a wait was too short")
    return at - now
  })
}

/** Learns what an answer tells of the connection. */
export const learn = (
  budget: RateBudget,
  told: { readonly remaining: number; readonly resetMillis: number; readonly limit?: number | undefined },
  now: number,
  of: Caller & { readonly name?: string; readonly scope?: "connection" | "operation" } = {}
) =>
  budget.learn(
    caller(budget, now, of).route,
    { limit: undefined, ...told, name: of.name ?? "", scope: of.scope ?? "connection" },
    now
  )

export const block = (budget: RateBudget, millis: number, now: number, of: Caller = {}): void =>
  budget.block(caller(budget, now, of).route, "connection", millis, now)
