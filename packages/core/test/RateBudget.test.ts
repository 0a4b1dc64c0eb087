import { assert, describe, it } from "@effect/vitest"
import type { Place, RateBudget, TokenHolder } from "@breakwater/core/RateBudget"
import { nowhere } from "@breakwater/core/RateBudget"
import type { WindowLimit } from "@breakwater/core/RatePlan"
import type { Caller } from "./support/Budgets.ts"
import { block, budgetOf, caller, departures, learn, limited, policy, send, wait } from "./support/Budgets.ts"

/** A time far from 0, as clocks give it: the first call of a quiet connection. */
const start = 1_790_000_000_000

/** Ten a second, one at a time: a token each 100 ms. */
const steady: WindowLimit = { limit: 10, windowMillis: 1000, burst: 1 }

const seen = (budget: RateBudget, now: number) => {
  const { remaining, waiting, waitMillis } = budget.snapshot(now)
  return { remaining, waitMillis, waiting }
}

describe("RateBudget of a declared rate", () => {
  it("spaces calls that come at once, after a burst of one (RATE-1)", () => {
    assert.deepStrictEqual(departures(limited(steady), 4, start), [0, 100, 200, 300])
  })

  it("lets its burst leave at once after a quiet time, and not one more", () => {
    const budget = limited({ ...steady, burst: 3 })

    assert.deepStrictEqual(departures(budget, 5, start), [0, 0, 0, 100, 200])
    assert.deepStrictEqual(departures(budget, 5, start + 60_000), [0, 0, 0, 100, 200])
  })

  it("earns one token each spacing, on both sides of the boundary", () => {
    const budget = limited(steady)
    send(budget, start)

    assert.strictEqual(wait(budget, start + 99), 1)
    assert.isFalse(send(budget, start + 99))
    assert.isTrue(send(budget, start + 100))
  })

  it("takes as many tokens as a call costs", () => {
    const budget = limited({ ...steady, burst: 3 })

    const three = departures(budget, 1, start, { cost: 3 })
    const two = departures(budget, 1, start, { cost: 2 })
    const one = departures(budget, 1, start + 200)

    assert.deepStrictEqual([three, two, one], [[0], [200], [100]])
  })

  it("lets a call that costs more than the burst go after a quiet time that is longer for it", () => {
    const budget = limited(steady)

    assert.deepStrictEqual(departures(budget, 1, start, { cost: 3 }), [0])
    // Three are owed, and two more than the burst must be earned beyond.
    assert.strictEqual(wait(budget, start, { cost: 3 }), 500)
    assert.strictEqual(wait(budget, start), 300)
  })

  it("spaces calls of a rate of more than one a millisecond too", () => {
    const budget = limited({ limit: 2000, windowMillis: 1000, burst: 1 })

    assert.deepStrictEqual(departures(budget, 3, start), [0, 0.5, 1])
  })

  it("asks for no wait before anything was sent, at whatever time", () => {
    for (const now of [0, 1, start]) {
      assert.strictEqual(wait(limited(steady), now), 0)
      assert.deepStrictEqual(seen(limited(), now), { remaining: null, waitMillis: 0, waiting: 0 })
    }
  })

  it("waits whole microseconds: an error of arithmetic does not cost a tick of the clock", () => {
    const budget = limited({ limit: 1, windowMillis: 10_000, burst: 3 })
    departures(budget, 3, start)
    send(budget, start + 10_100)

    assert.strictEqual(wait(budget, start + 10_100), 9900)
  })

  it("takes nothing by looking", () => {
    const budget = limited(steady)

    assert.deepStrictEqual([wait(budget, start), wait(budget, start), wait(budget, start, { cost: 2 })], [0, 0, 0])
    assert.isTrue(send(budget, start))
  })

  it("knows no limit when none is declared and none was told", () => {
    const budget = limited()

    assert.isTrue(departures(budget, 1000, start).every((at) => at === 0))
    assert.deepStrictEqual(budget.snapshot(start), {
      remaining: null,
      waitMillis: 0,
      waiting: 0,
      usage: [],
      partitions: 0,
      share: null
    })
  })
})

describe("RateBudget.hold", () => {
  it("keeps what is held from others, and gives it back as if it had never been taken", () => {
    const budget = limited({ ...steady, burst: 2 })
    const held = caller(budget, start)
    assert.isTrue(budget.take(held, start))
    assert.isTrue(send(budget, start))
    assert.isFalse(send(budget, start))

    budget.refund(held, start)
    budget.refund(held, start)

    assert.isTrue(send(budget, start))
    assert.strictEqual(wait(budget, start), 100)
  })

  it("does not let two at once through after a quiet time when the burst is one", () => {
    const budget = limited(steady)
    const held = caller(budget, start)
    budget.take(held, start)

    assert.isFalse(send(budget, start))
    budget.spend(held, start)
    assert.strictEqual(wait(budget, start), 100)
  })

  it("gives back nothing that was earned back meanwhile", () => {
    const budget = limited(steady)
    const held = caller(budget, start)
    budget.take(held, start)
    budget.refund(held, start + 50)
    send(budget, start + 500)

    assert.strictEqual(wait(budget, start + 500), 100)
  })

  it("counts tokens from when they are spent", () => {
    const budget = limited(steady)
    const held = caller(budget, start)
    budget.take(held, start)
    budget.spend(held, start + 60)
    budget.spend(held, start + 60)

    assert.strictEqual(wait(budget, start + 60), 100)
    assert.strictEqual(held.tokens, 0)
  })
})

describe("RateBudget of several limits", () => {
  const both = () => budgetOf([policy([steady, { limit: 4, windowMillis: 60_000, burst: 4 }])])

  it("lets through what all of them let through", () => {
    const budget = both()

    assert.deepStrictEqual(departures(budget, 6, start), [0, 100, 200, 300, 15_000, 30_000])
  })

  it("takes of all or of none: who is refused by one has taken nothing of the other", () => {
    const budget = both()
    for (const at of [0, 100, 200, 300]) assert.isTrue(send(budget, start + at))
    for (let n = 0; n < 50; n++) assert.isFalse(send(budget, start + 1000))

    // The first limit was never touched by them, so nothing but the second holds the next one back.
    assert.strictEqual(wait(budget, start + 1000), 14_000)
  })

  it("holds and gives back tokens of all", () => {
    const budget = both()
    const held = caller(budget, start, { cost: 1 })
    assert.isTrue(budget.take(held, start))
    budget.refund(held, start)

    assert.deepStrictEqual(departures(budget, 5, start), [0, 100, 200, 300, 15_000])
  })
})

describe("RateBudget.routeOf", () => {
  const policies = () => [
    policy({ limit: 1, windowMillis: 1000, burst: 1 }, { name: "search", match: { operations: ["orders.search"] } }),
    policy({ limit: 2, windowMillis: 1000, burst: 2 }, { name: "orders", match: { operations: ["orders.*"] } }),
    policy({ limit: 5, windowMillis: 1000, burst: 5 }, { name: "writes", match: { methods: ["POST", "PUT"] } })
  ]

  it("finds every policy that matches, by operation, group and method", () => {
    const names = (of: Caller) => caller(budgetOf(policies()), start, of).route.buckets.map(({ name }) => name)

    assert.deepStrictEqual(names({ operation: "orders.search", method: "POST" }), [
      "provider",
      "search",
      "orders",
      "writes"
    ])
    assert.deepStrictEqual(names({ operation: "orders.get" }), ["provider", "orders"])
    assert.deepStrictEqual(names({ operation: "ordersX.get" }), ["provider"])
    assert.deepStrictEqual(names({ operation: "customers.create", method: "PUT" }), ["provider", "writes"])
  })

  it("lets an operation be held back by its own policies only", () => {
    const budget = budgetOf(policies())
    const search = { operation: "orders.search", method: "POST" }

    assert.deepStrictEqual([send(budget, start, search), send(budget, start, search)], [true, false])
    assert.isTrue(send(budget, start, { operation: "orders.get" }))
    assert.isFalse(send(budget, start, { operation: "orders.get" }))
    assert.isTrue(send(budget, start, { operation: "customers.get" }))
  })
})

describe("RateBudget.learn", () => {
  it("holds calls back when the window is spent, until it starts anew (RATE-2)", () => {
    const budget = limited()
    learn(budget, { remaining: 2, resetMillis: 1000 }, start)

    assert.deepStrictEqual(departures(budget, 3, start), [0, 0, 1000])
  })

  it("holds back only calls that cost more than what is left", () => {
    const budget = limited()
    learn(budget, { remaining: 2, resetMillis: 1000 }, start)

    assert.deepStrictEqual([wait(budget, start, { cost: 3 }), wait(budget, start, { cost: 2 })], [1000, 0])
  })

  it("learns only downward within a window", () => {
    const budget = limited()
    learn(budget, { remaining: 2, resetMillis: 1000 }, start)
    send(budget, start)

    learn(budget, { remaining: 50, resetMillis: 10 }, start)
    const afterMore = seen(budget, start)
    learn(budget, { remaining: 1, resetMillis: 9000 }, start)
    const afterSame = wait(budget, start, { cost: 2 })
    learn(budget, { remaining: 0, resetMillis: 2000 }, start)

    assert.deepStrictEqual(afterMore, { remaining: 1, waitMillis: 0, waiting: 0 })
    assert.strictEqual(afterSame, 1000)
    assert.strictEqual(wait(budget, start), 2000)
  })

  it("takes what it is told once the window it knew is over, and knows nothing until then", () => {
    const budget = limited()
    learn(budget, { remaining: 0, resetMillis: 1000 }, start)

    const before = seen(budget, start + 1000)
    learn(budget, { remaining: 5, resetMillis: 1000 }, start + 1000)

    assert.deepStrictEqual(before, { remaining: null, waitMillis: 0, waiting: 0 })
    assert.deepStrictEqual(seen(budget, start + 1000), { remaining: 5, waitMillis: 0, waiting: 0 })
  })

  it("does not let those who waited for a window leave it in one burst", () => {
    const budget = limited(steady)
    learn(budget, { remaining: 0, resetMillis: 1000 }, start)

    assert.deepStrictEqual(departures(budget, 3, start), [1000, 1100, 1200])
  })

  it("cannot grant more than the declared rate", () => {
    const budget = limited(steady)
    learn(budget, { remaining: 1000, resetMillis: 60_000 }, start)

    assert.deepStrictEqual(departures(budget, 2, start), [0, 100])
  })

  it("asks again after an hour, however long the provider's window is said to be", () => {
    const budget = limited()
    learn(budget, { remaining: 0, resetMillis: 31 * 24 * 3600 * 1000 }, start)

    assert.strictEqual(wait(budget, start), 3_600_000)
  })

  it("keeps windows of different names apart, and is held back by each", () => {
    const budget = limited()
    learn(budget, { remaining: 5, resetMillis: 60_000 }, start, { name: "hour" })
    learn(budget, { remaining: 1, resetMillis: 1000 }, start, { name: "second" })

    assert.deepStrictEqual(departures(budget, 2, start), [0, 1000])
    learn(budget, { remaining: 0, resetMillis: 50_000 }, start + 1000, { name: "hour" })
    learn(budget, { remaining: 9, resetMillis: 1000 }, start + 1000, { name: "second" })
    assert.strictEqual(wait(budget, start + 1000), 50_000)
  })

  it("remembers 16 windows: more are taken for the last, which is the careful thing to do", () => {
    const budget = limited()
    for (let n = 0; n < 40; n++) learn(budget, { remaining: 100 - n, resetMillis: 1000 }, start, { name: `w${n}` })

    assert.strictEqual(seen(budget, start).remaining, 61)
    assert.isAtMost(budget.snapshot(start).usage.length, 16)
    // Those that are over make room.
    learn(budget, { remaining: 7, resetMillis: 1000, limit: 10 }, start + 1000, { name: "new" })
    assert.deepStrictEqual(budget.snapshot(start + 1000).usage, [
      { limitName: "new", partition: null, limit: 10, used: 3, windowMillis: null }
    ])
  })

  it("knows a limit that is declared by the same name as that policy's: other operations are not held back", () => {
    const budget = budgetOf([policy(steady, { name: "search", match: { operations: ["orders.search"] } })])
    const search = { operation: "orders.search", name: "search" }
    learn(budget, { remaining: 0, resetMillis: 5000 }, start, search)

    assert.strictEqual(wait(budget, start, search), 5000)
    assert.strictEqual(wait(budget, start, { operation: "orders.get" }), 0)
  })

  it("holds back only the operation, where answers tell of an operation's own limit", () => {
    const budget = limited(undefined, { perOperation: true })
    learn(budget, { remaining: 0, resetMillis: 5000 }, start, { operation: "orders.get", scope: "operation" })

    assert.strictEqual(wait(budget, start, { operation: "orders.get" }), 5000)
    assert.strictEqual(wait(budget, start, { operation: "orders.find" }), 0)
  })

  it("knows which operations share a limit by the name that their answers give it", () => {
    const budget = limited(undefined, { perOperation: true })
    const core = { name: "core", scope: "operation" } as const
    learn(budget, { remaining: 40, resetMillis: 9000 }, start, { ...core, operation: "repos.get" })
    learn(budget, { remaining: 39, resetMillis: 9000 }, start, { ...core, operation: "issues.get" })
    learn(budget, { remaining: 3, resetMillis: 9000 }, start, { ...core, name: "search", operation: "search.code" })
    learn(budget, { remaining: 0, resetMillis: 9000 }, start, { ...core, operation: "repos.get" })

    assert.deepStrictEqual(
      ["repos.get", "issues.get", "search.code", "never.called"].map((operation) => wait(budget, start, { operation })),
      [9000, 9000, 0, 0]
    )
  })

  it("counts tokens that were held when it learned of a limit, and gives back what was not spent", () => {
    const budget = limited(undefined, { perOperation: true })
    const repos = { operation: "repos.get", name: "core", scope: "operation" } as const
    const [sent, refunded] = [caller(budget, start, repos), caller(budget, start, repos)]
    budget.take(sent, start)
    budget.take(refunded, start)
    learn(budget, { remaining: 3, resetMillis: 9000 }, start, repos)
    const whileHeld = [2, 1].map((cost) => wait(budget, start, { ...repos, cost }))
    budget.spend(sent, start)
    budget.refund(refunded, start)

    assert.deepStrictEqual(whileHeld, [9000, 0])
    assert.deepStrictEqual(
      [3, 2].map((cost) => wait(budget, start, { ...repos, cost })),
      [9000, 0]
    )
  })
})

describe("RateBudget.block", () => {
  it("lets nothing leave before the provider's wait is over (RATE-3)", () => {
    const budget = limited()
    block(budget, 500, start)

    assert.deepStrictEqual(
      [0, 499, 500].map((millis) => wait(budget, start + millis)),
      [500, 1, 0]
    )
  })

  it("is not shortened by a shorter wait", () => {
    const budget = limited()
    block(budget, 500, start)
    block(budget, 100, start)
    const afterShorter = wait(budget, start)
    block(budget, 500, start + 100)

    assert.strictEqual(afterShorter, 500)
    assert.strictEqual(wait(budget, start), 600)
  })

  it("lets calls leave one after the other when it is over", () => {
    const budget = limited(steady)
    block(budget, 500, start)

    assert.deepStrictEqual(departures(budget, 3, start), [500, 600, 700])
  })

  it("is the operation's alone, where the provider says so", () => {
    const budget = limited(undefined, { perOperation: true })
    budget.block(caller(budget, start, { operation: "orders.get" }).route, "operation", 500, start)

    assert.deepStrictEqual(
      ["orders.get", "orders.find"].map((operation) => wait(budget, start, { operation })),
      [500, 0]
    )
  })
})

/** Whoever stands in line, by name, and what becomes of them. */
class Line {
  readonly events: Array<string> = []
  private readonly places = new Map<string, Place>()
  private readonly holders = new Map<string, TokenHolder>()
  private readonly budget: RateBudget

  constructor(budget: RateBudget) {
    this.budget = budget
  }

  join(name: string, now: number, of: Caller = {}): void {
    const holder = caller(this.budget, now, of)
    const place = this.budget.join(holder, now)
    if (place === undefined) return void this.events.push(`${name} full`)
    this.places.set(name, place)
    this.holders.set(name, holder)
    place.onChange = () => this.events.push(`${name} ${place.granted ? "granted" : "first"}`)
  }

  place(name: string): Place {
    const place = this.places.get(name)
    if (place === undefined) throw new Error(`nobody is called ${name}`)
    return place
  }

  leave(name: string, now: number): void {
    this.budget.leave(this.place(name), now)
  }

  spend(name: string, now: number): void {
    const holder = this.holders.get(name)
    if (holder !== undefined) this.budget.spend(holder, now)
  }

  /** Goes on to a time, step by step, as those who are first would. */
  until(from: number, to: number): void {
    for (let now = from; now <= to; now += 50) {
      this.budget.serve(now)
      for (const [name, place] of this.places) if (place.granted) this.spend(name, now)
    }
  }
}

describe("RateBudget.join", () => {
  it("lets one watch the clock at a time, in the order in which they came", () => {
    const budget = limited(steady)
    send(budget, start)
    const line = new Line(budget)
    for (const name of ["a", "b", "c"]) line.join(name, start)

    assert.deepStrictEqual(
      ["a", "b", "c"].map((name) => line.place(name).isFirst),
      [true, false, false]
    )
    line.leave("b", start)
    assert.deepStrictEqual(line.events, [])
    line.leave("a", start)
    assert.deepStrictEqual(line.events, ["c first"])
    line.leave("a", start)
    line.leave("c", start)
    assert.strictEqual(budget.waiting, 0)
  })

  it("tells who comes next what those before will cost", () => {
    const budget = limited(steady)
    send(budget, start)
    const line = new Line(budget)
    line.join("a", start)
    line.join("b", start, { cost: 3 })

    assert.strictEqual(wait(budget, start), 500)
  })

  it("gives tokens in turn, and to nobody who came later", () => {
    const budget = limited(steady)
    send(budget, start)
    const line = new Line(budget)
    for (const name of ["a", "b", "c"]) line.join(name, start)

    assert.isFalse(send(budget, start + 100))
    line.until(start, start + 300)

    assert.deepStrictEqual(line.events, ["a granted", "b first", "b granted", "c first", "c granted"])
    assert.strictEqual(budget.waiting, 0)
  })

  it("does not let a call that costs little overtake one that costs much, of a lower class neither", () => {
    const budget = limited({ ...steady, burst: 5 })
    departures(budget, 5, start)
    const line = new Line(budget)
    line.join("much", start, { cost: 4 })
    line.join("little", start)
    line.join("import", start, { traffic: "import" })
    line.until(start, start + 350)
    const early = [...line.events]
    line.until(start + 400, start + 2000)

    assert.deepStrictEqual(early, [])
    assert.deepStrictEqual(
      line.events.filter((event) => event.endsWith("granted")),
      ["much granted", "little granted", "import granted"]
    )
  })

  it("is not held up by those who wait for another limit", () => {
    const budget = budgetOf([
      policy({ limit: 1, windowMillis: 60_000, burst: 1 }, { name: "search", match: { operations: ["search"] } }),
      policy(steady, { name: "core" })
    ])
    const line = new Line(budget)
    send(budget, start, { operation: "search" })
    line.join("search", start, { operation: "search" })
    line.join("other", start)
    line.until(start, start + 100)

    assert.deepStrictEqual(line.events, ["other granted"])
    assert.isTrue(line.place("search").isFirst)
  })

  it("gives to the next what an interrupted one gives back", () => {
    const budget = limited(steady)
    const held = caller(budget, start)
    budget.take(held, start)
    const line = new Line(budget)
    line.join("a", start)

    budget.refund(held, start)

    assert.deepStrictEqual(line.events, ["a granted"])
  })

  it("holds so many of each class, and no more", () => {
    const budget = limited(steady, { queue: 2 })
    send(budget, start)
    const line = new Line(budget)
    for (const traffic of ["import", "interactive"] as const) {
      for (let n = 0; n < 3; n++) line.join(`${traffic} ${n}`, start, { traffic })
    }

    assert.deepStrictEqual(
      line.events.filter((event) => event.endsWith("full")),
      ["import 2 full", "interactive 2 full"]
    )
    assert.strictEqual(budget.waiting, 4)
  })
})

describe("RateBudget of classes", () => {
  it("lets those who go first pass in line: interactive, webhook, import", () => {
    const budget = limited(steady)
    send(budget, start)
    const line = new Line(budget)
    line.join("import", start, { traffic: "import" })
    line.join("webhook", start, { traffic: "webhook" })
    line.join("import 2", start, { traffic: "import" })
    line.join("interactive", start)
    line.until(start, start + 500)

    assert.deepStrictEqual(
      line.events.filter((event) => event.endsWith("granted")),
      ["interactive granted", "webhook granted", "import granted", "import 2 granted"]
    )
  })

  it("leaves the last tenth of a burst to interactive calls", () => {
    const count = (traffic: "interactive" | "webhook" | "import") => {
      const budget = limited({ ...steady, burst: 10 })
      let sent = 0
      while (send(budget, start, { traffic })) sent++
      return sent
    }

    assert.deepStrictEqual([count("interactive"), count("webhook"), count("import")], [10, 9, 9])
  })

  it("leaves of a burst of one nothing: then the line alone decides who goes first", () => {
    assert.isTrue(send(limited(steady), start, { traffic: "import" }))
  })

  it("leaves nothing that an import of the cost of the burst could never have", () => {
    assert.isTrue(send(limited({ ...steady, burst: 5 }), start, { traffic: "import", cost: 5 }))
  })

  it("leaves the last tenth of what the provider says is left", () => {
    const told = { remaining: 12, resetMillis: 1000, limit: 100 }
    const count = (traffic: "interactive" | "import", limit?: number) => {
      const budget = limited()
      learn(budget, limit === undefined ? { remaining: 12, resetMillis: 1000 } : { ...told, limit }, start)
      let sent = 0
      while (send(budget, start, { traffic })) sent++
      return sent
    }

    assert.deepStrictEqual([count("interactive", 100), count("import", 100), count("import")], [12, 2, 10])
  })

  it("keeps the share that it is told to keep", () => {
    const budget = limited({ ...steady, burst: 10 }, { reserve: 0.5 })
    let sent = 0
    while (send(budget, start, { traffic: "import" })) sent++

    assert.strictEqual(sent, 5)
  })
})

describe("RateBudget of partitions", () => {
  const channels = (partitions = 100) =>
    budgetOf([policy({ limit: 1, windowMillis: 1000, burst: 1 }, { name: "channel", perPartition: true })], {
      partitions
    })

  it("counts each key by itself, and calls without one together", () => {
    const budget = channels()

    assert.deepStrictEqual(
      ["a", "b", "a", undefined, undefined].map((partition) =>
        send(budget, start, partition === undefined ? {} : { partition })
      ),
      [true, true, false, true, false]
    )
  })

  it("forgets a key when it is as good as new, and not before", () => {
    const budget = channels()
    send(budget, start, { partition: "a" })

    assert.strictEqual(budget.snapshot(start + 999).partitions, 1)
    assert.isFalse(send(budget, start + 999, { partition: "a" }))
    assert.strictEqual(budget.snapshot(start + 1000).partitions, 0)
  })

  it("retains nothing of ten thousand idle keys after their time", () => {
    const budget = channels(10_000)
    for (let n = 0; n < 10_000; n++) send(budget, start + n / 100, { partition: `key ${n}` })
    const before = budget.snapshot(start + 100).partitions
    // The next call, of whatever key, clears them.
    send(budget, start + 60_000, { partition: "another" })

    assert.deepStrictEqual([before, budget.snapshot(start + 60_000).partitions], [10_000, 1])
  })

  it("remembers no more keys than it may: further ones share a limit until there is room", () => {
    const budget = channels(2)

    assert.deepStrictEqual(
      ["a", "b", "c", "d"].map((partition) => send(budget, start, { partition })),
      [true, true, true, false]
    )
    assert.isFalse(send(budget, start, { partition: "a" }))
    assert.strictEqual(budget.snapshot(start).partitions, 2)
    assert.deepStrictEqual(
      ["c", "d"].map((partition) => send(budget, start + 1000, { partition })),
      [true, true]
    )
  })

  it("does not forget a key of which somebody holds or awaits tokens", () => {
    const budget = channels()
    const holder = caller(budget, start, { partition: "a" })
    budget.take(holder, start)
    const line = new Line(budget)
    line.join("waiting", start, { partition: "a" })

    assert.strictEqual(budget.snapshot(start + 60_000).partitions, 1)
    line.leave("waiting", start)
    budget.refund(holder, start)
    assert.strictEqual(budget.snapshot(start + 60_000).partitions, 0)
  })

  it("lets the keys of one policy wait without holding up one another", () => {
    const budget = channels()
    send(budget, start, { partition: "a" })
    const line = new Line(budget)
    line.join("a", start, { partition: "a" })
    line.join("b", start, { partition: "b" })

    assert.isTrue(line.place("b").granted)
    assert.isTrue(line.place("a").isFirst)
  })
})

describe("RateBudget.spend", () => {
  const usageOf = (budget: RateBudget, now: number, of: Caller = {}) => {
    const holder = caller(budget, now, of)
    return budget.take(holder, now) ? budget.spend(holder, now) : "refused"
  }
  const ten: WindowLimit = { limit: 10, windowMillis: 300_000, burst: 10 }

  it("tells once a window when the share of the limit is used, on both sides of the boundary (RATE-4)", () => {
    const budget = limited(ten)
    const told = Array.from({ length: 10 }, () => usageOf(budget, start))

    assert.deepStrictEqual(told, [
      ...Array<undefined>(7).fill(undefined),
      { limitName: "default", partition: null, limit: 10, used: 8, windowMillis: 300_000 },
      undefined,
      undefined
    ])
    const later = Array.from({ length: 8 }, () => usageOf(budget, start + 300_000))
    assert.deepStrictEqual(later.at(-1), {
      limitName: "default",
      partition: null,
      limit: 10,
      used: 8,
      windowMillis: 300_000
    })
  })

  it("tells not more than once a minute, however short the window", () => {
    const budget = limited({ limit: 10, windowMillis: 1000, burst: 10 })
    const alarms: Array<number> = []
    for (let second = 0; second < 130; second++) {
      for (let n = 0; n < 9; n++) if (usageOf(budget, start + second * 1000) !== undefined) alarms.push(second)
    }

    assert.deepStrictEqual(alarms, [0, 60, 120])
  })

  it("tells nothing of a limit of one, of which any use is all", () => {
    const budget = limited({ limit: 1, windowMillis: 1000, burst: 1 })

    assert.isUndefined(usageOf(budget, start))
  })

  it("tells once for all keys of a limit that is counted for each, and for the calls without one", () => {
    const budget = budgetOf([policy(ten, { name: "channel", perPartition: true })])
    const ring = (partition?: string) =>
      Array.from({ length: 8 }, () => usageOf(budget, start, partition === undefined ? {} : { partition })).at(-1)

    assert.deepStrictEqual(["c1", "c2", undefined].map(ring), [
      { limitName: "channel", partition: "c1", limit: 10, used: 8, windowMillis: 300_000 },
      undefined,
      undefined
    ])
  })

  it("has the share that it is told to have", () => {
    const budget = limited(ten, { alarmAt: 0.3 })

    assert.deepStrictEqual(
      Array.from({ length: 4 }, () => usageOf(budget, start) !== undefined),
      [false, false, true, false]
    )
  })

  it("is shown as usage, of the window that goes on", () => {
    const budget = limited(ten)
    for (let n = 0; n < 3; n++) usageOf(budget, start)
    const shown = (now: number) => budget.snapshot(now).usage.map(({ used }) => used)

    assert.deepStrictEqual([shown(start + 299_999), shown(start + 300_000)], [[3], [0]])
  })

  it("is told by answers too, where they tell the limit", () => {
    const budget = limited()
    const usages = [30, 20, 10].map((remaining) => learn(budget, { remaining, resetMillis: 90_000, limit: 100 }, start))

    assert.deepStrictEqual(usages, [
      undefined,
      { limitName: "", partition: null, limit: 100, used: 80, windowMillis: null },
      undefined
    ])
  })
})

describe("RateBudget.divide", () => {
  const shareOfBudget = (budget: RateBudget, at: number) => {
    const { share, usage } = budget.snapshot(at)
    return { share, usage: usage.map(({ limit, used }) => [limit, used]) }
  }

  it("keeps to a share of the limit and of its burst, and what was spent stays spent", () => {
    const budget = limited({ limit: 12, windowMillis: 1200, burst: 6 })
    departures(budget, 4, start)
    budget.divide(1 / 3, start)

    // Four were spent of what is a burst of two now, earned back at one in 300 ms.
    assert.strictEqual(wait(budget, start), 900)
    assert.deepStrictEqual(shareOfBudget(budget, start), { share: 1 / 3, usage: [[4, 4]] })
    budget.divide(1, start)
    assert.deepStrictEqual(departures(budget, 3, start), [0, 0, 100])
  })

  it("spaces requests where a share is less than one in a window", () => {
    const budget = limited({ limit: 2, windowMillis: 1000, burst: 2 })
    budget.divide(1 / 10, start)

    assert.deepStrictEqual(departures(budget, 3, start), [0, 5000, 10_000])
  })

  it("lets through what costs more than the share, after a quiet time that is longer", () => {
    const heavy = { cost: 8 }
    const budget = limited({ limit: 8, windowMillis: 1000, burst: 4 })
    budget.divide(1 / 4, start)

    // The burst is one, of two in a second.
    assert.strictEqual(wait(budget, start, heavy), 3500)
    budget.divide(1 / 4, start + 1000)
    assert.strictEqual(wait(budget, start + 1000, heavy), 2500)
    assert.isTrue(send(budget, start + 3500, heavy))
    assert.strictEqual(wait(budget, start + 3500), 4000)
  })

  it("wakes who is first in line, and loses nobody", () => {
    const budget = limited({ limit: 1, windowMillis: 1000, burst: 1 })
    budget.divide(1 / 10, start)
    send(budget, start)
    const line = new Line(budget)
    line.join("a", start)
    line.join("b", start)
    const woken: Array<string> = []
    line.place("a").onChange = () => woken.push("a")
    line.place("b").onChange = () => woken.push("b")
    budget.divide(1 / 2, start)

    assert.deepStrictEqual([woken, budget.waiting], [["a"], 2])
    assert.strictEqual(budget.wait(line.place("a").holder, start), 2000)
    budget.serve(start + 2000)
    assert.deepStrictEqual([line.place("a").granted, line.place("b").isFirst], [true, true])
  })

  it("keeps what answers told, whole", () => {
    const budget = limited(steady, { perOperation: true })
    learn(budget, { remaining: 4, resetMillis: 9000, limit: 10 }, start, { scope: "operation", name: "core" })
    budget.divide(1 / 2, start)

    assert.strictEqual(budget.snapshot(start).remaining, 4)
    assert.strictEqual(wait(budget, start, { cost: 5 }), 9000)
  })

  it("reaches every partition key, and remembers one for as long as its heaviest call has to wait", () => {
    const budget = budgetOf([
      policy({ limit: 4, windowMillis: 1000, burst: 4 }, { name: "channel", perPartition: true })
    ])
    send(budget, start, { partition: "a", cost: 1 })
    budget.divide(1 / 4, start)
    send(budget, start, { partition: "b" })

    assert.deepStrictEqual(
      ["a", "b", "c"].map((partition) => wait(budget, start, { partition })),
      [1000, 1000, 0]
    )
    // A call of four needs three seconds of quiet after the second that its forerunner takes. The oldest key that is not at rest keeps the others.
    assert.strictEqual(wait(budget, start + 2000, { partition: "b", cost: 4 }), 2000)
    assert.strictEqual(budget.snapshot(start + 3999).partitions, 3)
    assert.strictEqual(budget.snapshot(start + 4000).partitions, 0)
  })

  it("holds for policies that come later", () => {
    const budget = limited(steady)
    budget.divide(1 / 2, start)
    budget.replace([policy({ limit: 8, windowMillis: 1000, burst: 1 }, { name: "other" })], start)
    const ofAnother = departures(budget, 2, start)
    budget.replace([policy({ limit: 4, windowMillis: 1000, burst: 1 }, { name: "other" })], start + 500)

    assert.deepStrictEqual(ofAnother, [0, 250])
    assert.deepStrictEqual(departures(budget, 2, start + 500), [0, 500])
  })
})

describe("RateBudget.replace", () => {
  it("keeps what was counted under a new limit", () => {
    const budget = limited({ limit: 10, windowMillis: 1000, burst: 10 })
    departures(budget, 8, start)
    budget.replace([policy({ limit: 5, windowMillis: 1000, burst: 5 })], start)

    // Eight were spent of what is a burst of five now.
    assert.strictEqual(wait(budget, start), 800)
    budget.replace([policy({ limit: 20, windowMillis: 1000, burst: 20 })], start)
    assert.strictEqual(departures(budget, 12, start).at(-1), 0)
    assert.isFalse(send(budget, start))
  })

  it("keeps blocks, what was told, what is held, and who waits", () => {
    const budget = limited(steady)
    const held = caller(budget, start)
    budget.take(held, start)
    const line = new Line(budget)
    line.join("a", start)
    budget.replace([policy({ limit: 10, windowMillis: 1000, burst: 2 })], start)

    assert.isTrue(line.place("a").granted)
    line.spend("a", start)
    budget.spend(held, start)
    assert.strictEqual(wait(budget, start), 100)
    block(budget, 5000, start)
    budget.replace([], start)
    assert.strictEqual(wait(budget, start), 5000)
  })

  it("begins anew with a policy of another name", () => {
    const budget = limited(steady)
    send(budget, start)
    budget.replace([policy(steady, { name: "other" })], start)

    assert.strictEqual(wait(budget, start), 0)
  })

  it("reaches the keys of a policy that counts by partition", () => {
    const channel = (limit: number) =>
      policy({ limit, windowMillis: 1000, burst: limit }, { name: "channel", perPartition: true })
    const budget = budgetOf([channel(1)])
    send(budget, start, { partition: "a" })
    budget.replace([channel(2)], start)

    assert.deepStrictEqual(
      ["a", "a", "b", "b", "b"].map((partition) => send(budget, start, { partition })),
      [true, false, true, true, false]
    )
  })
})

describe("RateBudget.configure", () => {
  const sharing = { reserve: 0.1, queue: 256, alarmAt: 0.8, partitions: 10_000 }

  it("keeps what was spent, and what is held", () => {
    const budget = limited({ limit: 10, windowMillis: 1000, burst: 10 })
    departures(budget, 8, start)
    const held = caller(budget, start)
    budget.take(held, start)
    budget.configure(sharing, start)

    assert.isTrue(send(budget, start))
    assert.strictEqual(wait(budget, start), 100)
  })

  it("tells of the use of a limit at another share of it", () => {
    const budget = limited({ limit: 10, windowMillis: 1000, burst: 10 })
    departures(budget, 4, start)
    const held = caller(budget, start)
    budget.take(held, start)
    budget.configure({ ...sharing, alarmAt: 0.5 }, start)

    assert.strictEqual(budget.spend(held, start)?.used, 5)
  })

  it("lets those go on at once whom the reserve has held back", () => {
    const budget = limited({ limit: 10, windowMillis: 1000, burst: 10 }, { reserve: 0.5 })
    departures(budget, 5, start)
    const held = caller(budget, start, { traffic: "import" })
    const place = budget.join(held, start)
    assert.isFalse(place?.granted)
    budget.configure({ ...sharing, reserve: 0 }, start)

    assert.isTrue(place?.granted)
    assert.strictEqual(held.tokens, 1)
  })

  it("sends nobody out of a shorter line, and lets nobody into it", () => {
    const budget = limited(steady)
    send(budget, start)
    const places = [1, 2].map(() => budget.join(caller(budget, start), start))
    budget.configure({ ...sharing, queue: 2 }, start)

    assert.isUndefined(budget.join(caller(budget, start), start))
    assert.strictEqual(budget.waiting, 2)
    for (const place of places) if (place !== undefined) budget.leave(place, start)
    assert.isDefined(budget.join(caller(budget, start), start))
  })

  it("remembers fewer keys when those that are known have come to rest", () => {
    const each = policy({ limit: 1, windowMillis: 1000, burst: 1 }, { name: "channel", perPartition: true })
    const budget = budgetOf([each])
    for (const partition of ["a", "b"]) send(budget, start, { partition })
    budget.configure({ ...sharing, partitions: 1 }, start)

    assert.isFalse(send(budget, start, { partition: "b" }))
    assert.isTrue(send(budget, start, { partition: "c" }))
    assert.isFalse(send(budget, start, { partition: "d" }))
    assert.strictEqual(budget.snapshot(start).partitions, 2)
  })
})

describe("RateBudget.noteConcurrency", () => {
  const usage = (used: number, limit: number | null) => ({
    limitName: "concurrency",
    partition: null,
    limit,
    used,
    windowMillis: null
  })

  it("tells when the share of what the provider takes at once is used, on both sides of the boundary", () => {
    const budget = limited()

    assert.isUndefined(budget.noteConcurrency(7, 10, start))
    assert.deepStrictEqual(budget.noteConcurrency(8, 10, start), usage(8, 10))
  })

  it("tells once a minute", () => {
    const budget = limited()
    const told = [0, 59_999, 60_000].map((millis) => budget.noteConcurrency(9, 10, start + millis) !== undefined)

    assert.deepStrictEqual(told, [true, false, true])
  })

  it("tells nothing where the provider does not say how many it takes, and shows what it said last", () => {
    const budget = limited()
    const before = budget.snapshot(start).usage
    const told = budget.noteConcurrency(1000, undefined, start)
    const unbounded = budget.snapshot(start).usage
    budget.noteConcurrency(3, 10, start)

    assert.deepStrictEqual([before, told, unbounded], [[], undefined, [usage(1000, null)]])
    assert.deepStrictEqual(budget.snapshot(start).usage, [usage(3, 10)])
  })

  it("holds nobody back", () => {
    const budget = limited()
    budget.noteConcurrency(10, 10, start)

    assert.strictEqual(wait(budget, start), 0)
  })
})

describe("RateBudget of limits that operations share by name", () => {
  const of = (operation: string, name = "core") => ({ operation, name, scope: "operation" }) as const
  const perOperation = () => limited(undefined, { perOperation: true })

  it("takes a limit without a name for the operation's own", () => {
    const budget = perOperation()
    learn(budget, { remaining: 0, resetMillis: 9000 }, start, of("repos.get", ""))
    learn(budget, { remaining: 5, resetMillis: 9000 }, start, of("issues.get", ""))

    assert.deepStrictEqual([wait(budget, start, of("repos.get")), wait(budget, start, of("issues.get"))], [9000, 0])
  })

  it("takes what an answer tells of the connection for everybody's", () => {
    const budget = perOperation()
    learn(budget, { remaining: 0, resetMillis: 9000 }, start, { operation: "repos.get", name: "core" })

    assert.strictEqual(wait(budget, start, of("never.called")), 9000)
  })

  it("counts what one operation sends for all that share it", () => {
    const budget = perOperation()
    for (const operation of ["repos.get", "issues.get"])
      learn(budget, { remaining: 3, resetMillis: 9000 }, start, of(operation))

    const sent = ["repos.get", "issues.get", "repos.get", "issues.get"].map((name) => send(budget, start, of(name)))

    assert.deepStrictEqual(sent, [true, true, true, false])
  })

  it("moves what is held with an operation whose answers name another limit", () => {
    const budget = perOperation()
    const told = { remaining: 5, resetMillis: 9000 }
    learn(budget, told, start, of("repos.get"))
    learn(budget, told, start, of("issues.get"))
    learn(budget, told, start, of("search.code", "search"))
    const held = caller(budget, start, { ...of("repos.get"), cost: 2 })
    budget.take(held, start)
    /** The most that a call may cost and leave now. */
    const most = (operation: string) => [5, 4, 3, 2].find((cost) => wait(budget, start, { operation, cost }) === 0)
    const shares = () => ["repos.get", "issues.get", "search.code"].map(most)

    assert.deepStrictEqual(shares(), [3, 3, 5])
    learn(budget, told, start, of("repos.get", "search"))
    assert.deepStrictEqual(shares(), [3, 5, 3])
    learn(budget, told, start, of("repos.get", "search"))
    assert.deepStrictEqual(shares(), [3, 5, 3])
    budget.refund(held, start)
    assert.deepStrictEqual(shares(), [5, 5, 5])
  })

  it("remembers 64 names: what is called otherwise is the operation's own", () => {
    const budget = perOperation()
    for (let n = 1; n <= 65; n++) learn(budget, { remaining: 5, resetMillis: 9000 }, start, of(`a.${n}`, `name ${n}`))
    for (const n of [64, 65]) learn(budget, { remaining: 0, resetMillis: 9000 }, start, of(`b.${n}`, `name ${n}`))

    assert.deepStrictEqual(
      ["a.64", "a.65", "b.64", "b.65"].map((operation) => wait(budget, start, of(operation))),
      [9000, 0, 9000, 9000]
    )
    learn(budget, { remaining: 0, resetMillis: 9000 }, start, of("c", "name 1"))
    assert.strictEqual(wait(budget, start, of("a.1")), 9000)
  })
})

describe("RateBudget of many operations", () => {
  it("remembers the ways of 1,024: what is an operation's own is forgotten beyond", () => {
    const budget = limited(undefined, { perOperation: true })
    for (let n = 1; n <= 1025; n++)
      learn(budget, { remaining: 0, resetMillis: 9000 }, start, { operation: `a.${n}`, scope: "operation" })

    assert.deepStrictEqual(
      [1, 1024, 1025].map((n) => wait(budget, start, { operation: `a.${n}` })),
      [9000, 9000, 0]
    )
  })
})

describe("RateBudget.block where nothing is an operation's own", () => {
  it("is for all of the connection", () => {
    const budget = limited(steady)
    budget.block(caller(budget, start).route, "operation", 500, start)

    assert.strictEqual(wait(budget, start, { operation: "orders.find" }), 500)
  })

  it("is for all of the connection too when an operation has limits of its own and the wait is not one of them", () => {
    const budget = limited(undefined, { perOperation: true })
    block(budget, 500, start)

    assert.strictEqual(wait(budget, start, { operation: "orders.find" }), 500)
  })
})

describe("RateBudget of partitions that come and go", () => {
  const channels = (limit = 1, partitions = 100) =>
    budgetOf([policy({ limit, windowMillis: 1000, burst: limit }, { name: "channel", perPartition: true })], {
      partitions
    })
  const remembered = (budget: RateBudget, now: number) => budget.snapshot(now).partitions

  it("forgets the one that was not used for longest first, whichever was used again", () => {
    for (const again of ["a", "b", "c"]) {
      const budget = channels(2)
      for (const [index, partition] of ["a", "b", "c"].entries()) send(budget, start + index, { partition })
      send(budget, start + 400, { partition: again })
      const rested = remembered(budget, start + 600)
      send(budget, start + 601, { partition: "d" })

      // The one that was used again has its tokens back at 1000 or a little later, the new one at 1101.
      assert.deepStrictEqual(
        [rested, ...[999, 1003, 1101].map((millis) => remembered(budget, start + millis))],
        [1, 2, 1, 0]
      )
      assert.isTrue(send(budget, start + 1200, { partition: again }))
      assert.strictEqual(remembered(budget, start + 1200), 1)
    }
  })

  it("forgets nothing that was used since one that it may not forget", () => {
    const budget = channels()
    const held = caller(budget, start, { partition: "a" })
    budget.take(held, start)
    send(budget, start, { partition: "b" })

    assert.strictEqual(remembered(budget, start + 5000), 2)
    budget.refund(held, start + 5000)
    assert.strictEqual(remembered(budget, start + 5000), 0)
  })

  it("names the key whose limit is about to be used up, in what it tells and not in what it shows", () => {
    const budget = channels(10)
    const usages = Array.from({ length: 8 }, () => {
      const holder = caller(budget, start, { partition: "a" })
      budget.take(holder, start)
      return budget.spend(holder, start)
    })

    assert.deepStrictEqual(usages.at(-1), {
      limitName: "channel",
      partition: "a",
      limit: 10,
      used: 8,
      windowMillis: 1000
    })
    assert.deepStrictEqual(budget.snapshot(start).usage, [])
  })

  it("takes the limits of keys from other policies of the same name, unless they do not count by key", () => {
    const budget = channels(1)
    send(budget, start)
    send(budget, start, { partition: "a" })
    budget.replace([policy({ limit: 2, windowMillis: 1000, burst: 2 }, { name: "channel", perPartition: true })], start)
    const same = [undefined, undefined, "a", "a"].map((partition) =>
      send(budget, start, partition === undefined ? {} : { partition })
    )
    budget.replace([policy({ limit: 1, windowMillis: 1000, burst: 1 }, { name: "channel" })], start)

    assert.deepStrictEqual(same, [true, false, true, false])
    assert.isTrue(send(budget, start, { partition: "a" }))
    assert.isFalse(send(budget, start, { partition: "b" }))
  })
})

describe("RateBudget.snapshot", () => {
  it("shows the wait by the policies for all operations, and the least that is left by any", () => {
    const budget = budgetOf([
      policy(steady, { name: "all" }),
      policy(
        { limit: 1, windowMillis: 60_000, burst: 1 },
        { name: "search", match: { operations: ["orders.search"] } }
      ),
      policy({ limit: 1, windowMillis: 60_000, burst: 1 }, { name: "key", perPartition: true })
    ])
    send(budget, start, { operation: "orders.search" })
    learn(budget, { remaining: 7, resetMillis: 9000 }, start, { operation: "orders.search", name: "search" })
    learn(budget, { remaining: 4, resetMillis: 9000, limit: 10 }, start, { name: "all" })
    learn(budget, { remaining: 9, resetMillis: 9000 }, start, { name: "other" })

    assert.deepStrictEqual(budget.snapshot(start), {
      remaining: 4,
      waitMillis: 100,
      waiting: 0,
      usage: [
        { limitName: "all", partition: null, limit: 10, used: 1, windowMillis: 1000 },
        { limitName: "all", partition: null, limit: 10, used: 6, windowMillis: null },
        { limitName: "search", partition: null, limit: 1, used: 1, windowMillis: 60_000 }
      ],
      partitions: 0,
      share: null
    })
  })

  it("shows limits that are operations' own, and those that they share", () => {
    const budget = limited(undefined, { perOperation: true })
    const told = { remaining: 6, resetMillis: 9000, limit: 10 }
    learn(budget, told, start, { operation: "repos.get", scope: "operation", name: "core" })
    learn(budget, { ...told, remaining: 3 }, start, { operation: "search.code", scope: "operation" })

    const { remaining, usage } = budget.snapshot(start)
    assert.strictEqual(remaining, 3)
    assert.deepStrictEqual(
      usage.map(({ limitName, used }) => [limitName, used]),
      [
        ["core", 4],
        ["", 7]
      ]
    )
  })
})

describe("RateBudget of ways", () => {
  it("makes no new one for an operation that it knows, and but one where nothing is declared", () => {
    const known = limited(steady)
    const open = limited()
    const route = (budget: RateBudget, operation: string) => caller(budget, start, { operation }).route

    assert.strictEqual(route(known, "orders.get"), route(known, "orders.get"))
    assert.strictEqual(route(open, "orders.get"), route(open, "orders.find"))
  })

  it("holds back nobody who goes nowhere", () => {
    const budget = limited()
    block(budget, 500, start)
    const holder: TokenHolder = { cost: 1, rank: 0, route: nowhere, tokens: 0 }

    assert.isTrue(budget.take(holder, start))
    assert.isUndefined(budget.spend(holder, start))
  })
})

describe("RateBudget.spend of nothing", () => {
  it("counts nothing: what a quiet time has earned stays earned", () => {
    const budget = limited(steady)
    const held = caller(budget, start)
    budget.take(held, start)
    budget.spend(held, start)
    budget.spend(held, start + 60_000)

    assert.strictEqual(wait(budget, start + 60_000, { cost: 3 }), 0)
  })
})

describe("RateBudget.expected of each class", () => {
  it("counts those in line of the same class and of those before it, and of no other", () => {
    const budget = limited(steady)
    send(budget, start)
    const classes = ["interactive", "webhook", "import"] as const
    for (const [index, traffic] of classes.entries())
      budget.join(caller(budget, start, { traffic, cost: 2 ** index }), start)

    // One is owed; 1, 2 and 4 are awaited.
    assert.deepStrictEqual(
      classes.map((traffic) => wait(budget, start, { traffic })),
      [200, 400, 800]
    )
  })

  it("is not first in line who has its tokens at once", () => {
    const budget = limited(steady)
    const place = budget.join(caller(budget, start), start)

    assert.deepStrictEqual([place?.granted, place?.isFirst], [true, false])
  })
})

describe("RateBudget.learn of many limits", () => {
  const told = { remaining: 400, resetMillis: 1000, limit: 1000 }
  const shown = (budget: RateBudget, now: number) =>
    budget.snapshot(now).usage.map(({ limitName, used }) => `${limitName}: ${used}`)

  it("keeps sixteen whose window goes on, and takes further ones for the last", () => {
    const budget = limited()
    for (let n = 1; n <= 40; n++) learn(budget, { ...told, remaining: 1000 - n }, start, { name: `w${n}` })

    const wanted = Array.from({ length: 15 }, (_, index) => `w${index + 1}: ${index + 1}`)
    assert.deepStrictEqual(shown(budget, start), [...wanted, "w16: 40"])
    assert.deepStrictEqual(shown(budget, start + 1000), [])
  })

  it("puts new ones in the place of those whose window is over, and keeps sixteen still", () => {
    const budget = limited()
    for (let n = 1; n <= 16; n++) learn(budget, told, start, { name: `old ${n}` })
    for (let n = 1; n <= 20; n++) learn(budget, told, start + 1000, { name: `new ${n}` })

    assert.deepStrictEqual(
      shown(budget, start + 1000),
      Array.from({ length: 16 }, (_, index) => `new ${index + 1}: 600`)
    )
  })

  it("remembers that it told of one whose window is over, while there is room", () => {
    const budget = limited()
    const rings = (name: string, now: number) => learn(budget, { ...told, remaining: 10 }, now, { name }) !== undefined

    assert.deepStrictEqual(
      [rings("a", start), rings("b", start + 1000), rings("a", start + 1000), rings("a", start + 60_000)],
      [true, true, false, true]
    )
  })

  it("tells nothing of an answer that it does not learn from, nor of a limit of nothing", () => {
    const budget = limited()
    learn(budget, { ...told, remaining: 500 }, start)

    assert.isUndefined(learn(budget, { ...told, remaining: 600 }, start))
    assert.isUndefined(learn(limited(), { remaining: 0, resetMillis: 1000, limit: 0 }, start))
  })

  it("is everybody's where nothing is an operation's own, and never mistaken for a name of ours", () => {
    const plain = limited()
    learn(plain, { ...told, remaining: 0 }, start, { scope: "operation", name: "core" })
    const own = limited(undefined, { perOperation: true })
    learn(own, { ...told, remaining: 0 }, start, { scope: "operation", name: "provider", operation: "orders.get" })

    assert.deepStrictEqual(
      [plain, own].map((budget) => wait(budget, start, { operation: "orders.find" })),
      [1000, 0]
    )
    assert.strictEqual(wait(own, start, { operation: "orders.get" }), 1000)
  })

  it("leaves to interactive calls a tenth of the most that was left in a window, where the limit is not told", () => {
    const imports = (budget: RateBudget, now: number) => {
      let sent = 0
      while (send(budget, now, { traffic: "import" })) sent++
      return sent
    }
    const [within, anew] = [limited(), limited()]
    for (const budget of [within, anew]) learn(budget, { remaining: 100, resetMillis: 1000 }, start)
    learn(within, { remaining: 12, resetMillis: 1000 }, start)
    learn(anew, { remaining: 12, resetMillis: 1000 }, start + 1000)

    assert.deepStrictEqual([imports(within, start), imports(anew, start + 1000)], [2, 10])
  })
})

describe("RateBudget.replace of windows", () => {
  it("keeps what was counted in a window of the same length, wherever it stands, and opens new ones", () => {
    const short: WindowLimit = { limit: 10, windowMillis: 1000, burst: 10 }
    const long: WindowLimit = { limit: 4, windowMillis: 60_000, burst: 4 }
    const budget = budgetOf([policy([short, long])])
    for (let n = 0; n < 4; n++) send(budget, start)
    const before = wait(budget, start)
    budget.replace([policy([long, { limit: 2, windowMillis: 500, burst: 2 }, short])], start)

    assert.deepStrictEqual([before, wait(budget, start)], [15_000, 15_000])
    assert.deepStrictEqual(
      budget.snapshot(start).usage.map(({ limit, used }) => [limit, used]),
      [
        [4, 4],
        [2, 0],
        [10, 4]
      ]
    )
  })
})

describe("RateBudget of keys at rest", () => {
  const keyed = (windows: WindowLimit | ReadonlyArray<WindowLimit>, partitions = 100) =>
    budgetOf([policy(windows, { name: "channel", perPartition: true })], { partitions })
  const remembered = (budget: RateBudget, ...times: ReadonlyArray<number>) =>
    times.map((millis) => budget.snapshot(start + millis).partitions)

  it("remembers nothing of calls without a key", () => {
    const budget = keyed(steady)
    send(budget, start)

    assert.deepStrictEqual(remembered(budget, 0), [0])
  })

  it("remembers a key until the heaviest call would find its tokens", () => {
    const budget = keyed(steady)
    send(budget, start, { partition: "a" })

    assert.deepStrictEqual(remembered(budget, 100, 999, 1000), [1, 1, 0])
  })

  it("remembers a key until all of its windows are at rest", () => {
    const budget = keyed([
      { limit: 1, windowMillis: 1000, burst: 1 },
      { limit: 1, windowMillis: 5000, burst: 1 }
    ])
    send(budget, start, { partition: "a" })

    assert.deepStrictEqual(remembered(budget, 1000, 4999, 5000), [1, 1, 0])
  })

  it("remembers a key of which an answer told, until that window is over", () => {
    const budget = keyed({ limit: 1, windowMillis: 1000, burst: 1 })
    learn(budget, { remaining: 0, resetMillis: 5000 }, start, { partition: "a", name: "channel" })

    assert.deepStrictEqual(remembered(budget, 0, 4999, 5000), [1, 1, 0])
  })

  it("remembers a key that somebody waits for, though it is full", () => {
    const budget = keyed({ limit: 1, windowMillis: 1000, burst: 1 })
    send(budget, start, { partition: "a" })
    const place = budget.join(caller(budget, start, { partition: "a" }), start)
    const waiting = remembered(budget, 60_000)
    if (place !== undefined) budget.leave(place, start)

    assert.deepStrictEqual([waiting, remembered(budget, 60_000)], [[1], [0]])
  })

  it("gives a key that it knows its own tokens when there is no room for others", () => {
    const budget = keyed({ limit: 2, windowMillis: 1000, burst: 2 }, 1)

    assert.deepStrictEqual(
      ["a", "b", "b", "a", "a"].map((partition) => send(budget, start, { partition })),
      [true, true, true, true, false]
    )
  })
})
