import { assert, describe, it } from "@effect/vitest"
import type { DeclaredRate } from "@breakwater/core/RateBudget"
import { maxWaiting, RateBudget } from "@breakwater/core/RateBudget"
import { Schema } from "effect"

/** A time far from 0, as clocks give it: the first call of a quiet connection. */
const start = 1_790_000_000_000

/** Ten a second, one at a time: a token each 100 ms. */
const steady: DeclaredRate = { limit: 10, windowMillis: 1000, burst: 1 }

const forever = Number.POSITIVE_INFINITY

/** The waits of that many calls that come at once. */
const waits = (budget: RateBudget, calls: number, now = start): ReadonlyArray<number | undefined> =>
  Array.from({ length: calls }, () => budget.reserve(1, now, forever))

describe("RateBudget of a declared rate", () => {
  it("spaces calls that come at once, after a burst of one (RATE-1)", () => {
    const budget = new RateBudget(steady)

    assert.deepStrictEqual(waits(budget, 4), [0, 100, 200, 300])
  })

  it("lets its burst leave at once after a quiet time, and not one more", () => {
    const budget = new RateBudget({ ...steady, burst: 3 })

    assert.deepStrictEqual(waits(budget, 5), [0, 0, 0, 100, 200])
    assert.deepStrictEqual(waits(budget, 5, start + 60_000), [0, 0, 0, 100, 200])
  })

  it("earns one token each spacing, on both sides of the boundary", () => {
    const budget = new RateBudget(steady)
    budget.reserve(1, start, 0)

    assert.strictEqual(budget.peek(1, start + 99), 1)
    assert.strictEqual(budget.peek(1, start + 100), 0)
  })

  it("takes as many tokens as a call costs", () => {
    const budget = new RateBudget({ ...steady, burst: 3 })

    const three = budget.reserve(3, start, forever)
    const two = budget.reserve(2, start, forever)
    const one = budget.reserve(1, start, forever)

    assert.deepStrictEqual([three, two, one], [0, 200, 300])
  })

  it("makes a call that costs more than the burst wait for the rest, even after a quiet time", () => {
    const budget = new RateBudget(steady)

    const first = budget.reserve(3, start, forever)
    const next = budget.reserve(1, start, forever)

    assert.deepStrictEqual([first, next], [200, 300])
  })

  it("takes nothing when the wait is longer than the caller's longest, on both sides of the boundary", () => {
    const budget = new RateBudget(steady)
    budget.reserve(1, start, 0)

    const tooLong = budget.reserve(1, start, 99)
    const inTime = budget.reserve(1, start, 100)
    const next = budget.peek(1, start)

    assert.isUndefined(tooLong)
    assert.strictEqual(inTime, 100)
    assert.strictEqual(next, 200)
  })

  it("spaces calls of a rate of more than one a millisecond too", () => {
    const budget = new RateBudget({ limit: 2000, windowMillis: 1000, burst: 1 })

    const first = waits(budget, 3)
    budget.refund(1)

    assert.deepStrictEqual(first, [0, 0.5, 1])
    assert.strictEqual(budget.peek(1, start), 1)
  })

  it("asks for no wait before anything was sent, at whatever time", () => {
    for (const now of [0, 1, start]) {
      assert.strictEqual(new RateBudget(steady).peek(1, now), 0)
      assert.deepStrictEqual(new RateBudget(undefined).snapshot(now), { remaining: null, waitMillis: 0, waiting: 0 })
    }
  })

  it("shows in a snapshot how long one token takes", () => {
    const budget = new RateBudget(steady)
    budget.reserve(1, start, 0)

    assert.deepStrictEqual(budget.snapshot(start + 30), { remaining: null, waitMillis: 70, waiting: 0 })
  })

  it("lets 256 wait, as its callers ask", () => {
    assert.strictEqual(maxWaiting, 256)
  })

  it("takes nothing by looking", () => {
    const budget = new RateBudget(steady)

    const looks = [budget.peek(1, start), budget.peek(1, start), budget.peek(2, start)]

    assert.deepStrictEqual(looks, [0, 0, 100])
    assert.strictEqual(budget.reserve(1, start, 0), 0)
  })

  it("gives back what was not spent", () => {
    const budget = new RateBudget({ ...steady, burst: 2 })
    waits(budget, 3)

    budget.refund(1)
    budget.refund(1)

    assert.deepStrictEqual(waits(budget, 2), [0, 100])
  })

  it("knows no limit when none is declared and none was told", () => {
    const budget = new RateBudget(undefined)

    assert.deepStrictEqual(
      waits(budget, 1000),
      Array.from({ length: 1000 }, () => 0)
    )
    assert.deepStrictEqual(budget.snapshot(start), { remaining: null, waitMillis: 0, waiting: 0 })
  })
})

describe("RateBudget.learn", () => {
  it("holds calls back when the window is spent, until it starts anew (RATE-2)", () => {
    const budget = new RateBudget(undefined)
    budget.learn({ remaining: 2, resetMillis: 1000 }, start)

    assert.deepStrictEqual(waits(budget, 3), [0, 0, 1000])
    assert.strictEqual(budget.peek(1, start + 999), 1)
    assert.strictEqual(budget.peek(1, start + 1000), 0)
  })

  it("holds back only calls that cost more than what is left", () => {
    const budget = new RateBudget(undefined)
    budget.learn({ remaining: 2, resetMillis: 1000 }, start)

    assert.deepStrictEqual([budget.peek(3, start), budget.peek(2, start)], [1000, 0])
  })

  it("learns only downward within a window", () => {
    const budget = new RateBudget(undefined)
    budget.learn({ remaining: 2, resetMillis: 1000 }, start)
    budget.reserve(1, start, 0)

    budget.learn({ remaining: 50, resetMillis: 10 }, start)
    const afterMore = budget.snapshot(start)
    budget.learn({ remaining: 1, resetMillis: 9000 }, start)
    const afterSame = budget.peek(2, start)
    budget.learn({ remaining: 0, resetMillis: 2000 }, start)

    assert.deepStrictEqual(afterMore, { remaining: 1, waitMillis: 0, waiting: 0 })
    assert.strictEqual(afterSame, 1000)
    assert.strictEqual(budget.peek(1, start), 2000)
  })

  it("takes what it is told once the window it knew is over", () => {
    const budget = new RateBudget(undefined)
    budget.learn({ remaining: 0, resetMillis: 1000 }, start)

    budget.learn({ remaining: 5, resetMillis: 1000 }, start + 1000)

    assert.deepStrictEqual(budget.snapshot(start + 1000), { remaining: 5, waitMillis: 0, waiting: 0 })
  })

  it("does not know how many are left in a window that has started anew", () => {
    const budget = new RateBudget(undefined)
    budget.learn({ remaining: 0, resetMillis: 1000 }, start)

    assert.deepStrictEqual(budget.snapshot(start + 1000), { remaining: null, waitMillis: 0, waiting: 0 })
  })

  it("does not let those who waited for a window leave it in one burst", () => {
    const budget = new RateBudget(steady)
    budget.learn({ remaining: 0, resetMillis: 1000 }, start)

    assert.deepStrictEqual(waits(budget, 3), [1000, 1100, 1200])
  })

  it("cannot grant more than the declared rate", () => {
    const budget = new RateBudget(steady)

    budget.learn({ remaining: 1000, resetMillis: 60_000 }, start)

    assert.deepStrictEqual(waits(budget, 2), [0, 100])
  })

  it("gives a token of the window back with a refund", () => {
    const budget = new RateBudget(undefined)
    budget.learn({ remaining: 1, resetMillis: 1000 }, start)
    budget.reserve(1, start, 0)

    budget.refund(1)

    assert.deepStrictEqual(budget.snapshot(start), { remaining: 1, waitMillis: 0, waiting: 0 })
  })
})

describe("RateBudget.block", () => {
  it("lets nothing leave before the provider's wait is over (RATE-3)", () => {
    const budget = new RateBudget(undefined)

    budget.block(500, start)

    assert.deepStrictEqual(
      [0, 499, 500].map((millis) => budget.peek(1, start + millis)),
      [500, 1, 0]
    )
  })

  it("is not shortened by a shorter wait", () => {
    const budget = new RateBudget(undefined)
    budget.block(500, start)

    budget.block(100, start)
    const afterShorter = budget.peek(1, start)
    budget.block(500, start + 100)

    assert.strictEqual(afterShorter, 500)
    assert.strictEqual(budget.peek(1, start), 600)
  })

  it("lets calls leave one after the other when it is over", () => {
    const budget = new RateBudget(steady)
    budget.block(500, start)

    assert.deepStrictEqual(waits(budget, 3), [500, 600, 700])
  })

  it("is part of what a snapshot shows", () => {
    const budget = new RateBudget(undefined)
    budget.block(500, start)
    for (let place = 0; place < 3; place++) budget.join(1)

    assert.deepStrictEqual(budget.snapshot(start + 100), { remaining: null, waitMillis: 400, waiting: 3 })
  })
})

describe("RateBudget.join", () => {
  it("lets one come first at a time, in the order in which they came", () => {
    const budget = new RateBudget(steady)
    const came: Array<string> = []
    const places = ["a", "b", "c"].map((name) => {
      const place = budget.join(1)
      place.onFirst = () => came.push(name)
      return place
    })
    const [a, b, c] = places
    if (a === undefined || b === undefined || c === undefined) return assert.fail("three places")

    assert.deepStrictEqual(
      places.map(({ isFirst }) => isFirst),
      [true, false, false]
    )
    budget.leave(b)
    assert.deepStrictEqual(came, [])
    budget.leave(a)
    assert.deepStrictEqual(came, ["c"])
    budget.leave(a)
    budget.leave(c)
    assert.strictEqual(budget.waiting, 0)
  })

  it("tells who comes next what those before will cost", () => {
    const budget = new RateBudget(steady)
    budget.reserve(1, start, 0)
    budget.join(1)
    budget.join(3)

    assert.strictEqual(budget.expected(1, start), 500)
  })
})

describe("RateBudget.learn", () => {
  it("asks again after an hour, however long the provider's window is said to be", () => {
    const budget = new RateBudget(undefined)
    budget.learn({ remaining: 0, resetMillis: 31 * 24 * 3600 * 1000 }, start)

    assert.strictEqual(budget.peek(1, start), 3_600_000)
  })
})

const whole = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const Rate = Schema.Struct({ limit: whole(3, 20), windowMillis: whole(50, 1000), burst: whole(3, 6) })

const Reserve = Schema.TaggedStruct("Reserve", { cost: whole(1, 3), longest: whole(0, 500) })
const Pass = Schema.TaggedStruct("Pass", { millis: whole(0, 200) })
const Refund = Schema.TaggedStruct("Refund", {})
const Block = Schema.TaggedStruct("Block", { millis: whole(0, 400) })
const Learn = Schema.TaggedStruct("Learn", { remaining: whole(0, 8), resetMillis: whole(0, 400) })

interface Taken {
  readonly at: number
  readonly cost: number
}

/** When a token bucket that has seen these sends has `cost` tokens, not before `from`. */
const bucketHas = (rate: DeclaredRate, sends: ReadonlyArray<Taken>, cost: number, from: number): number => {
  const spacing = rate.windowMillis / rate.limit
  let level = rate.burst
  let last = Number.NEGATIVE_INFINITY
  for (const send of sends) {
    level = Math.min(rate.burst, level + (send.at - last) / spacing) - send.cost
    last = send.at
  }
  return Math.max(from, last + (cost - level) * spacing)
}

describe("RateBudget as a state machine", () => {
  it.prop(
    "waits exactly as long as a token bucket needs, whatever is taken, given back and blocked",
    [Rate, Schema.Array(Schema.Union([Reserve, Reserve, Pass, Refund, Block])).check(Schema.isMaxLength(80))],
    ([rate, steps]) => {
      const budget = new RateBudget(rate)
      const sends: Array<Taken> = []
      let now = 1_000_000
      let blockedUntil = 0

      for (const step of steps) {
        if (step._tag === "Pass") now += step.millis
        if (step._tag === "Block") {
          budget.block(step.millis, now)
          blockedUntil = Math.max(blockedUntil, now + step.millis)
        }
        if (step._tag === "Refund" && (sends.at(-1)?.at ?? 0) >= now) budget.refund(sends.pop()?.cost ?? 0)
        if (step._tag === "Reserve") {
          const wanted = bucketHas(rate, sends, step.cost, Math.max(now, blockedUntil)) - now
          const peeked = budget.peek(step.cost, now)
          const wait = budget.reserve(step.cost, now, step.longest)

          assert.closeTo(peeked, wanted, 1e-6)
          assert.strictEqual(wait, peeked > step.longest ? undefined : peeked)
          if (wait !== undefined) sends.push({ at: now + wait, cost: step.cost })
        }
      }
    },
    { arbitrary: { runs: 1000, size: 80, seed: "bucket" } }
  )

  it.prop(
    "never lets more than limit + burst - 1 leave in any window, and obeys every block and every window that it was told",
    [Rate, Schema.Array(Schema.Union([Reserve, Reserve, Pass, Refund, Block, Learn])).check(Schema.isMaxLength(120))],
    ([rate, steps]) => {
      const budget = new RateBudget(rate)
      const sends: Array<Taken> = []
      let now = 1_000_000
      let blockedUntil = 0
      const nothing = { atFirst: Number.POSITIVE_INFINITY, remaining: Number.POSITIVE_INFINITY, resetAt: 0 }
      let told = nothing

      for (const step of steps) {
        if (step._tag === "Pass") now += step.millis
        if (now >= told.resetAt) told = nothing
        if (step._tag === "Block") {
          budget.block(step.millis, now)
          blockedUntil = Math.max(blockedUntil, now + step.millis)
        }
        if (step._tag === "Learn") {
          budget.learn(step, now)
          if (step.remaining < told.remaining)
            told = { atFirst: step.remaining, remaining: step.remaining, resetAt: now + step.resetMillis }
        }
        if (step._tag === "Refund" && (sends.at(-1)?.at ?? 0) >= now) {
          const { cost } = sends.pop() ?? { cost: 0 }
          budget.refund(cost)
          told = { ...told, remaining: Math.min(told.atFirst, told.remaining + cost) }
        }
        if (step._tag === "Reserve") {
          const wait = budget.reserve(step.cost, now, step.longest)
          if (wait === undefined) continue
          assert.isAtLeast(wait, 0)
          assert.isAtLeast(now + wait, blockedUntil)
          if (told.remaining < step.cost) assert.isAtLeast(now + wait, told.resetAt)
          told = { ...told, remaining: told.remaining - step.cost }
          sends.push({ at: now + wait, cost: step.cost })
        }
      }

      for (const last of sends) {
        const together = sends.filter(({ at }) => at > last.at - rate.windowMillis + 1e-6 && at <= last.at)
        assert.isAtMost(
          together.reduce((sum, { cost }) => sum + cost, 0),
          rate.limit + rate.burst - 1
        )
      }
    },
    { arbitrary: { runs: 1000, size: 120, seed: "windows" } }
  )

  it.prop(
    "never waits a negative time, nor forgets a wait, under any clock",
    [Schema.Array(Schema.Union([Reserve, Learn, Block, Pass]))],
    ([steps]) => {
      const budget = new RateBudget(undefined)
      let now = start

      for (const step of steps) {
        if (step._tag === "Pass") now += step.millis
        if (step._tag === "Reserve") budget.reserve(step.cost, now, step.longest)
        if (step._tag === "Learn") budget.learn(step, now)
        if (step._tag === "Block") budget.block(step.millis, now)
        const { remaining, waitMillis } = budget.snapshot(now)
        assert.isAtLeast(waitMillis, 0)
        assert.isAtLeast(remaining ?? 0, 0)
      }
    },
    { arbitrary: { runs: 500, seed: "snapshot" } }
  )
})
