import { Duration, Effect, Schedule } from "effect"
import { assert, describe, it } from "@effect/vitest"
import { Call } from "@breakwater/core"
import type { CallPolicy } from "@breakwater/core/CallPolicy"
import { Capacity, Load } from "@breakwater/testkit"

const trigger = { from: "5 seconds", lasts: "5 seconds" } as const

/** 100 requests a second at best; five times slower while the trigger lasts. */
const world = Effect.gen(function* () {
  const capacity = yield* Capacity.make({
    workers: 1,
    service: Capacity.brownOut("10 millis", { ...trigger, factor: 5 })
  })
  return { capacity, attempts: () => capacity.counts().arrived }
})

const impatiently = Schedule.jittered(Schedule.exponential("100 millis"))

/** What many an app does: half a second, and five more times. */
const naive: Load.Way = Effect.fnUntraced(function* (rate) {
  const { attempts, capacity } = yield* world
  const call = capacity.request.pipe(Effect.timeout("500 millis"), Effect.retry({ schedule: impatiently, times: 5 }))
  return yield* Load.run({ rate, trigger, attempts, call: () => call })
})

const policy: CallPolicy = { attempts: 6, attemptTimeout: "500 millis", backoff: { base: "100 millis" } }
/** So that nothing but the retry budget holds calls back. */
const budgetAlone: CallPolicy = {
  ...policy,
  breaker: { consecutiveFailures: 10_000, failureRate: 1, minimumCalls: 10_000, window: 10_000 },
  bulkhead: { concurrency: 1000 }
}

const protectedBy = (policy: CallPolicy): Load.Way =>
  Effect.fnUntraced(function* (rate) {
    const { attempts, capacity } = yield* world
    const provider = yield* Call.connect({ provider: "wallet", policy })
    const call = Call.protect(capacity.request, { provider, operation: "get", safety: "safe" })
    return yield* Load.run({ rate, trigger, attempts, call: () => call })
  })

const rates = [20, 40, 70, 110]

describe("Load.sweep", () => {
  it("tells the loads at which naive retries stay down from those at which a retry budget recovers, and where neither does", () => {
    const rows = Load.sweep({
      rates,
      ways: { naive, "retry budget": protectedBy(budgetAlone), all: protectedBy(policy) }
    })
    const recovers = (within: Duration.Input) =>
      rows.map(({ rate, reports }) => [
        rate,
        ...Object.values(reports).map((report) => Load.recoversWithin(within)(report) === undefined)
      ])

    // At 20/s the brown-out is no overload; at 110/s there is no capacity even without trouble. The circuit waits 30 seconds, more or less, before it tries again.
    assert.deepStrictEqual(recovers("20 seconds"), [
      [20, true, true, true],
      [40, false, true, false],
      [70, false, true, false],
      [110, false, false, false]
    ])
    assert.deepStrictEqual(recovers("40 seconds"), [
      [20, true, true, true],
      [40, false, true, true],
      [70, false, true, true],
      [110, false, false, false]
    ])
  }, 60_000)
})

describe("Load.run", () => {
  it("shows that naive retries send six times the load long after the trigger, and get nothing for it", () => {
    const report = Load.simulate(naive(40))

    const last = report.windows.at(-1)
    assert.strictEqual(last?.good, 0)
    assert.isAbove(last?.attempts ?? 0, 200)
    assert.match(
      Load.recoversWithin("20 seconds")(report) ?? "",
      /^did not recover, not within 20s, at the end 0 of 40 calls succeeded with 2\d\d attempts$/u
    )
  })

  it("is the same every time", () => {
    assert.deepStrictEqual(Load.simulate(naive(30)), Load.simulate(naive(30)))
  })

  it("counts what was offered, succeeded and failed, and leaves out what had not ended", () => {
    const call = (index: number) =>
      index === 0 ? Effect.fail("no") : index < 4 ? Effect.sleep("500 millis") : Effect.never
    const report = Load.simulate(
      Load.run({ rate: 2, trigger: { from: 0, lasts: "1 second" }, lasts: "3 seconds", call })
    )

    assert.deepStrictEqual(report, {
      rate: 2,
      windowMillis: 1000,
      triggerEndMillis: 1000,
      windows: [
        { at: 0, offered: 2, good: 0, failed: 1, attempts: 2 },
        { at: 1000, offered: 2, good: 2, failed: 0, attempts: 2 },
        { at: 2000, offered: 2, good: 1, failed: 0, attempts: 2 }
      ]
    })
  })

  it("refuses a rate that is none", () => {
    const run = (rate: number) => Load.simulate(Load.run({ rate, trigger, call: () => Effect.void }))

    assert.throws(() => run(0), /Load.run: rate must be above 0, got 0/u)
    assert.throws(() => run(Number.POSITIVE_INFINITY), /must be above 0, got Infinity/u)
  })
})

const reportOf = (...good: ReadonlyArray<number>): Load.Report => ({
  rate: 10,
  windowMillis: 1000,
  triggerEndMillis: 2000,
  windows: good.map((good, index) => ({ at: index * 1000, offered: 10, good, failed: 10 - good, attempts: 10 }))
})

describe("Load.recovery", () => {
  it("is counted from the end of the trigger to the end of the last bad window", () => {
    assert.deepStrictEqual(Load.recovery(reportOf(10, 0, 0, 8, 9, 10)), Duration.seconds(2))
    assert.deepStrictEqual(Load.recovery(reportOf(10, 0, 10, 10)), Duration.zero)
    assert.deepStrictEqual(Load.recovery(reportOf(10, 10, 10)), Duration.zero)
  })

  it("is none when the last window is bad", () => {
    assert.isUndefined(Load.recovery(reportOf(10, 0, 10, 10, 8)))
  })

  it("takes another share", () => {
    assert.deepStrictEqual(Load.recovery(reportOf(10, 0, 5, 5), 0.5), Duration.zero)
  })
})

describe("Load.recoversWithin", () => {
  it("allows the limit itself and not less", () => {
    const report = reportOf(10, 0, 0, 0, 10, 10)

    assert.isUndefined(Load.recoversWithin("2 seconds")(report))
    assert.strictEqual(
      Load.recoversWithin("1999 millis")(report),
      "recovered only after 2s, not within 1s 999ms, at the end 10 of 10 calls succeeded with 10 attempts"
    )
  })

  it("refuses a load that ends before it can be told", () => {
    assert.throws(
      () => Load.recoversWithin("2 seconds")(reportOf(10, 0, 0, 10)),
      "Load.recoversWithin: the load ends at 4000 ms, and must go on to 5000 ms, a window after the limit"
    )
  })
})

describe("Load.table", () => {
  it("has a line for each load and a column for each way", () => {
    const rows = [{ rate: 10, reports: { naive: reportOf(10, 0, 0), better: reportOf(10, 0, 0, 10) } }]

    assert.strictEqual(Load.table(rows), "| load | naive | better |\n| --- | --- | --- |\n| 10/s | no | after 1s |")
  })
})

describe("Load.simulate", () => {
  it("says why a load did not come to its end", () => {
    assert.throws(() => Load.simulate(Effect.never), "the load did not come to its end: Deadlock")
  })
})
