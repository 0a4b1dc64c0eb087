/**
 * What a decision of the rate budget costs, in nanoseconds of CPU time: to ask, take and send one call, at several numbers of partition keys; to be refused; to learn from an answer.
 * Medians of rounds in one warm process. Nothing here is an assertion.
 */
import * as Dialect from "@breakwater/core/Dialect"
import * as Headers from "effect/http/Headers"
import type { TokenHolder } from "@breakwater/core/RateBudget"
import { RateBudget } from "@breakwater/core/RateBudget"
import type { ResolvedRatePolicy, WindowLimit } from "@breakwater/core/RatePlan"

const rounds = 9
const decisions = 200_000

/** Nothing is ever refused: what is measured is the deciding. */
const wide: WindowLimit = { limit: 1e9, windowMillis: 1000, burst: 1e9 }
const operation = { name: "acme.orders.get", path: "orders.get", method: "GET", safety: "safe", cost: 1 } as const

const policy = (windows: ReadonlyArray<WindowLimit>, perPartition = false): ResolvedRatePolicy => ({
  name: "default",
  match: undefined,
  windows,
  perPartition
})

const budgetOf = (policies: ReadonlyArray<ResolvedRatePolicy>): RateBudget =>
  new RateBudget({ policies, reserve: 0.1, queue: 256, alarmAt: 1, partitions: 1_000_000, perOperation: false })

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0

const nanosOf = (decide: (index: number) => void): number => {
  const each = Array.from({ length: rounds + 2 }, () => {
    const before = process.cpuUsage()
    for (let index = 0; index < decisions; index++) decide(index)
    const { system, user } = process.cpuUsage(before)
    return ((system + user) * 1000) / decisions
  })
  return median(each.slice(2))
}

const sending = (budget: RateBudget, keys: ReadonlyArray<string | undefined>) => {
  let now = 1_790_000_000_000
  return (index: number): void => {
    now += 0.001
    const route = budget.routeOf(operation, keys[index % keys.length], now)
    const holder: TokenHolder = { cost: 1, rank: 0, route, tokens: 0 }
    if (!budget.take(holder, now)) throw new Error("refused")
    budget.spend(holder, now)
  }
}

const keysOf = (count: number) => Array.from({ length: count }, (_, index) => `customer-${index}`)
const keyed = (count: number) => {
  // A key is at rest only after a second, so that all of them are remembered.
  const budget = budgetOf([policy([{ limit: 1000, windowMillis: 1e9, burst: 1000 }], true)])
  const keys = keysOf(count)
  let now = 1_790_000_000_000
  const each = (index: number): void => {
    now += count === 1 ? 1e6 : 1e6 / count
    const route = budget.routeOf(operation, keys[index % keys.length], now)
    const holder: TokenHolder = { cost: 1, rank: 0, route, tokens: 0 }
    if (!budget.take(holder, now)) throw new Error("refused")
    budget.spend(holder, now)
  }
  return { budget, each, now: () => now }
}

const refused = () => {
  const budget = budgetOf([policy([{ limit: 1, windowMillis: 1e9, burst: 1 }])])
  const now = 1_790_000_000_000
  const route = budget.routeOf(operation, undefined, now)
  const first: TokenHolder = { cost: 1, rank: 0, route, tokens: 0 }
  budget.take(first, now)
  budget.spend(first, now)
  return (): void => {
    const holder: TokenHolder = { cost: 1, rank: 0, route, tokens: 0 }
    if (budget.take(holder, now)) throw new Error("let through")
  }
}

const reading = (headers: Record<string, string>) => {
  const budget = budgetOf([])
  const dialect = Dialect.resolve()
  const fields = Headers.fromInput(headers)
  let now = 1_790_000_000_000
  const route = budget.routeOf(operation, undefined, now)
  return (): void => {
    now += 1
    for (const quota of Dialect.quotas(dialect, fields, now))
      budget.learn(route, { ...quota, scope: "connection" }, now)
  }
}

const line = (what: string, nanos: number): void => void process.stdout.write(`${what}: ${nanos.toFixed(0)} ns\n`)

line("no rate declared, nothing told", nanosOf(sending(budgetOf([]), [undefined])))
line("one limit", nanosOf(sending(budgetOf([policy([wide])]), [undefined])))
line("three limits", nanosOf(sending(budgetOf([policy([wide, wide, wide])]), [undefined])))
line("refused", nanosOf(refused()))
for (const count of [1, 1000, 100_000]) {
  const { budget, each, now } = keyed(count)
  const nanos = nanosOf(each)
  const remembered = budget.snapshot(now()).partitions
  const left = budget.snapshot(now() + 1e10).partitions
  line(`one limit for each of ${count} keys (${remembered} remembered, ${left} after their time)`, nanos)
}
line("an answer that tells nothing", nanosOf(reading({ "content-type": "application/json" })))
line(
  "an answer with X-RateLimit-*",
  nanosOf(reading({ "x-ratelimit-limit": "100", "x-ratelimit-remaining": "50", "x-ratelimit-reset": "30" }))
)
line(
  "an answer with RateLimit and RateLimit-Policy",
  nanosOf(reading({ ratelimit: '"default";r=50;t=30', "ratelimit-policy": '"default";q=100;w=60' }))
)
