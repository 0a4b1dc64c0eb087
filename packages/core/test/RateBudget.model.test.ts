/** The rate budget against a reference model that keeps a log of what was sent, and nothing else. */
import { assert, describe, it } from "@effect/vitest"
import type { Place, RateBudget, TokenHolder } from "@breakwater/core/RateBudget"
import type { WindowLimit } from "@breakwater/core/RatePlan"
import { Schema } from "effect"
import type { Caller } from "./support/Budgets.ts"
import { block, budgetOf, caller, learn, limited, policy, send, wait } from "./support/Budgets.ts"

const whole = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const Limits = Schema.Struct({
  search: Schema.Struct({ limit: whole(3, 10), windowMillis: whole(50, 1000), burst: whole(1, 3) }),
  short: Schema.Struct({ limit: whole(3, 20), windowMillis: whole(50, 1000), burst: whole(1, 3) }),
  long: Schema.Struct({ limit: whole(5, 40), windowMillis: whole(500, 5000), burst: whole(1, 5) })
})

const kinds = ["search", "get"] as const
const classes = ["interactive", "webhook", "import"] as const

const Take = Schema.TaggedStruct("Take", {
  kind: Schema.Literals(kinds),
  cost: whole(1, 3),
  traffic: Schema.Literals(classes),
  sendNow: Schema.Boolean
})
const Spend = Schema.TaggedStruct("Spend", { which: whole(0, 9) })
const Refund = Schema.TaggedStruct("Refund", { which: whole(0, 9) })
const Pass = Schema.TaggedStruct("Pass", { millis: whole(0, 400) })
const Block = Schema.TaggedStruct("Block", { millis: whole(0, 400) })
const Step = Schema.Union([Take, Take, Take, Spend, Refund, Pass, Pass, Block])

interface Sent {
  readonly at: number
  readonly cost: number
}

/** One limit, as a log of what was sent and a list of what is held. */
class LoggedLimit {
  readonly sent: Array<Sent> = []
  readonly limit: WindowLimit
  held = 0

  constructor(limit: WindowLimit) {
    this.limit = limit
  }

  /** Milliseconds until a bucket that has seen the log, and would see what is held now, has the tokens and what is left for others. */
  wait(cost: number, leaves: number, now: number): number {
    const { burst, limit, windowMillis } = this.limit
    const spacing = windowMillis / limit
    let owed = 0
    let last = Number.NEGATIVE_INFINITY
    for (const send of this.sent) {
      owed = Math.max(0, owed - (send.at - last) / spacing) + send.cost
      last = send.at
    }
    const credit = owed - (now - last) / spacing
    const before = this.held > 0 ? Math.max(0, credit) + this.held : credit
    const left = Math.max(0, Math.min(leaves * burst, burst - cost))
    return Math.max(0, (before + cost + left - burst) * spacing)
  }

  /** The most that any window of the log holds. */
  get most(): number {
    return Math.max(
      0,
      ...this.sent.map((last) =>
        this.sent
          .filter(({ at }) => at > last.at - this.limit.windowMillis + 1e-3 && at <= last.at)
          .reduce((sum, { cost }) => sum + cost, 0)
      )
    )
  }
}

interface Held {
  readonly holder: TokenHolder
  readonly kind: (typeof kinds)[number]
  readonly cost: number
}

const operations = { search: "orders.search", get: "orders.get" } as const

describe("RateBudget against a log of what was sent", () => {
  it.prop(
    "lets through what the log lets through, takes of all limits or of none, gives back exactly, and exceeds no window",
    [Limits, Schema.Array(Step).check(Schema.isMaxLength(120))],
    ([limits, steps]) => {
      const budget = budgetOf([
        policy(limits.search, { name: "search", match: { operations: ["orders.search"] } }),
        policy([limits.short, limits.long])
      ])
      const search = new LoggedLimit(limits.search)
      const rest = [new LoggedLimit(limits.short), new LoggedLimit(limits.long)]
      const of = (kind: (typeof kinds)[number]) => (kind === "search" ? [search, ...rest] : rest)
      const held: Array<Held> = []
      let now = 1_790_000_000_000
      let blockedUntil = 0
      const probes = () => kinds.map((kind) => wait(budget, now, { operation: operations[kind] }))
      const spend = ({ cost, holder, kind }: Held): void => {
        budget.spend(holder, now)
        for (const limit of of(kind)) {
          limit.held -= cost
          limit.sent.push({ at: now, cost })
        }
      }

      for (const step of steps) {
        if (step._tag === "Pass") now += step.millis
        if (step._tag === "Block") {
          block(budget, step.millis, now)
          blockedUntil = Math.max(blockedUntil, now + step.millis)
        }
        if (step._tag === "Spend") for (const each of held.splice(step.which, 1)) spend(each)
        if (step._tag === "Refund") {
          for (const { cost, holder, kind } of held.splice(step.which, 1)) {
            budget.refund(holder, now)
            for (const limit of of(kind)) limit.held -= cost
          }
        }
        if (step._tag === "Take") {
          const { cost, kind, traffic } = step
          const holder = caller(budget, now, { operation: operations[kind], cost, traffic })
          const leaves = traffic === "interactive" ? 0 : 0.1
          const wanted = Math.max(blockedUntil - now, ...of(kind).map((limit) => limit.wait(cost, leaves, now)))
          const before = probes()
          const expected = budget.expected(holder, now)
          const taken = budget.take(holder, now)

          assert.closeTo(expected, Math.max(0, wanted), 0.002)
          assert.strictEqual(taken, expected === 0)
          if (!taken) assert.deepStrictEqual(probes(), before)
          if (taken) {
            for (const limit of of(kind)) limit.held += cost
            const each = { holder, kind, cost }
            if (step.sendNow) spend(each)
            else held.push(each)
          }
        }
      }

      for (const { limit, most } of [search, ...rest]) assert.isAtMost(most, limit.limit + limit.burst - 1)
    },
    { arbitrary: { runs: 2000, size: 120, seed: "sliding log" } }
  )

  it.prop(
    "sends no more than an answer said is left until the window starts anew, and waits a time that is never negative",
    [
      Schema.Array(
        Schema.Union([
          Take,
          Take,
          Pass,
          Schema.TaggedStruct("Learn", { remaining: whole(0, 8), resetMillis: whole(0, 400) })
        ])
      )
    ],
    ([steps]) => {
      const budget = limited()
      let now = 1_000_000
      let told = { remaining: Number.POSITIVE_INFINITY, resetAt: 0 }

      for (const step of steps) {
        if (step._tag === "Pass") now += step.millis
        if (now >= told.resetAt) told = { remaining: Number.POSITIVE_INFINITY, resetAt: 0 }
        if (step._tag === "Learn") {
          learn(budget, step, now)
          if (step.remaining < told.remaining) told = { remaining: step.remaining, resetAt: now + step.resetMillis }
          if (now >= told.resetAt) told = { remaining: Number.POSITIVE_INFINITY, resetAt: 0 }
        }
        if (step._tag === "Take") {
          assert.strictEqual(
            wait(budget, now, { cost: step.cost }),
            told.remaining < step.cost ? told.resetAt - now : 0
          )
          if (send(budget, now, { cost: step.cost })) told = { ...told, remaining: told.remaining - step.cost }
          assert.isAtLeast(told.remaining, 0)
        }
        const { remaining, waitMillis } = budget.snapshot(now)
        assert.isAtLeast(waitMillis, 0)
        if (remaining !== null) assert.isAtLeast(remaining, 0)
      }
    },
    { arbitrary: { runs: 1000, size: 100, seed: "told" } }
  )
})

const Join = Schema.TaggedStruct("Join", {
  kind: Schema.Literals(kinds),
  cost: whole(1, 2),
  traffic: Schema.Literals(classes)
})
const Leave = Schema.TaggedStruct("Leave", { which: whole(0, 20) })

interface Standing {
  readonly place: Place
  readonly holder: TokenHolder
  readonly of: Caller
}

/** Those who were given tokens send, the others stay. */
const settle = (budget: RateBudget, standing: ReadonlyArray<Standing>, now: number) => {
  const granted = standing.filter(({ place }) => place.granted)
  for (const { holder } of granted) budget.spend(holder, now)
  return { granted, left: standing.filter(({ place }) => !place.granted) }
}

describe("RateBudget.serve", () => {
  const short: WindowLimit = { limit: 10, windowMillis: 1000, burst: 2 }
  const slow: WindowLimit = { limit: 2, windowMillis: 1000, burst: 1 }

  it.prop(
    "serves everybody in the end, in a class and for one operation in the order in which they came, whoever leaves meanwhile, and loses no token",
    [Schema.Array(Schema.Union([Join, Join, Leave, Pass])).check(Schema.isMaxLength(80))],
    ([steps]) => {
      const budget = budgetOf([
        policy(short),
        policy(slow, { name: "search", match: { operations: ["orders.search"] } })
      ])
      let now = 1_000_000
      let standing: ReadonlyArray<Standing> = []
      const served: Array<Standing> = []
      const joined: Array<Standing> = []
      const abandoned = new Set<Standing>()
      const turn = () => {
        const { granted, left } = settle(budget, standing, now)
        served.push(...granted)
        standing = left
      }

      for (const step of steps) {
        if (step._tag === "Pass") now += step.millis
        if (step._tag === "Join") {
          const of = { operation: operations[step.kind], cost: step.cost, traffic: step.traffic }
          const holder = caller(budget, now, of)
          const place = budget.join(holder, now)
          if (place === undefined) return assert.fail("the line is long enough")
          const each = { place, holder, of }
          joined.push(each)
          standing = [...standing, each]
        }
        if (step._tag === "Leave") {
          const each = standing[step.which]
          if (each !== undefined) {
            budget.leave(each.place, now)
            abandoned.add(each)
            standing = standing.filter((other) => other !== each)
          }
        }
        budget.serve(now)
        turn()
        // Somebody watches the clock as long as somebody waits.
        assert.strictEqual(
          standing.some(({ place }) => place.isFirst),
          standing.length > 0
        )
      }
      while (standing.length > 0) {
        now += 50
        budget.serve(now)
        turn()
      }

      for (const { operation, traffic } of joined.map(({ of }) => of)) {
        const alike = ({ of }: Standing) => of.operation === operation && of.traffic === traffic
        const wanted = joined.filter((each) => alike(each) && !abandoned.has(each))
        const got = served.filter(alike)
        assert.deepStrictEqual(
          got.map((each) => joined.indexOf(each)),
          wanted.map((each) => joined.indexOf(each))
        )
      }
      // As good as new after a quiet time: nothing is held, nobody is awaited.
      assert.deepStrictEqual(
        [1, 2, 3].map(() => send(budget, now + 60_000)),
        [true, true, false]
      )
      assert.strictEqual(budget.waiting, 0)
    },
    { arbitrary: { runs: 1000, size: 80, seed: "line" } }
  )
})
