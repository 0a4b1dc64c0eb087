import { assert, describe, it } from "@effect/vitest"
import { pipe } from "effect"
import { type Exchange, Fault, FaultPlan } from "@breakwater/testkit"

const exchange = (over: Partial<Exchange.Exchange> = {}): Exchange.Exchange => ({
  index: 0,
  at: 0,
  provider: "wallet",
  operation: "deposits.create",
  method: "POST",
  path: "/deposits",
  key: "k1",
  label: "POST /deposits k1",
  occurrence: 0,
  ...over
})

const names = (plan: FaultPlan.FaultPlan, exchanges: ReadonlyArray<Exchange.Exchange>) =>
  exchanges.map((each) => plan.next(each).name)

describe("FaultPlan.script", () => {
  it("gives the faults in the order of the exchanges, then none", () => {
    const plan = FaultPlan.script([Fault.refused, Fault.none, Fault.lostResponse])

    assert.deepStrictEqual(
      names(
        plan,
        [0, 1, 2, 3].map((index) => exchange({ index }))
      ),
      ["refused", "none", "lost response", "none"]
    )
    assert.strictEqual(plan.next(exchange({ index: 0 })), Fault.refused, "asked again, it says the same")
  })
})

describe("FaultPlan.flapping", () => {
  it("is up, then down, over and over", () => {
    const plan = FaultPlan.flapping({ up: "10 seconds", down: "2 seconds" })
    const at = (seconds: number) => plan.next(exchange({ at: seconds * 1000 })).name

    assert.deepStrictEqual([0, 9.999, 10, 11.999, 12, 21.999, 22, 24].map(at), [
      "none",
      "none",
      "refused",
      "refused",
      "none",
      "none",
      "refused",
      "none"
    ])
    assert.throws(() => FaultPlan.flapping({ up: 0, down: 1 }), RangeError, "FaultPlan.flapping: up and down must last")
  })
})

describe("FaultPlan.brownOut", () => {
  it("refuses a share while it lasts, and slows the others down", () => {
    const plan = FaultPlan.brownOut({ from: "1 second", to: "2 seconds", seed: 1, share: 0.25 })
    const during = Array.from({ length: 1000 }, (_, occurrence) => plan.next(exchange({ at: 1500, occurrence })).name)

    assert.approximately(during.filter((name) => name === "status 503").length, 250, 50)
    assert.deepStrictEqual(new Set(during), new Set(["status 503", "latency lognormal 2000 ms, 0.5"]))
    assert.deepStrictEqual(names(plan, [exchange({ at: 999 }), exchange({ at: 2000 })]), ["none", "none"])
    assert.throws(() => FaultPlan.brownOut({ from: 0, to: 1, seed: 1, share: 2 }), RangeError)
  })
})

describe("FaultPlan.when", () => {
  it("strikes where the predicate holds", () => {
    const plan = FaultPlan.when(
      ({ operation, occurrence }) => operation === "deposits.create" && occurrence === 0,
      Fault.garbage
    )

    assert.deepStrictEqual(
      names(plan, [exchange(), exchange({ occurrence: 1 }), exchange({ operation: "deposits.get" })]),
      ["garbage", "none", "none"]
    )
  })
})

describe("FaultPlan.outage", () => {
  it("lasts from its first instant until before its last", () => {
    const plan = FaultPlan.outage({ from: "2 seconds", to: "4 seconds" })

    assert.deepStrictEqual(
      names(
        plan,
        [1999, 2000, 3999, 4000].map((at) => exchange({ at }))
      ),
      ["none", "refused", "refused", "none"]
    )
    assert.strictEqual(FaultPlan.outage({ from: 0, to: 1 }, Fault.status(503)).next(exchange()).name, "status 503")
  })
})

describe("FaultPlan.orElse", () => {
  it("asks the second plan only where the first has nothing", () => {
    const plan = pipe(FaultPlan.script([Fault.none, Fault.refused]), FaultPlan.orElse(FaultPlan.always(Fault.silence)))

    assert.deepStrictEqual(names(plan, [exchange(), exchange({ index: 1 })]), ["silence", "refused"])
    assert.strictEqual(FaultPlan.orElse(FaultPlan.none, FaultPlan.none).next(exchange()).name, "none")
  })
})

describe("FaultPlan.seeded", () => {
  const faults = [
    { share: 0.2, fault: Fault.lostResponse },
    { share: 0.1, fault: Fault.garbage }
  ]
  const many = Array.from({ length: 10_000 }, (_, index) =>
    exchange({ index, key: `k${index}`, label: `POST /deposits k${index}` })
  )
  const count = (plan: FaultPlan.FaultPlan, name: string) => names(plan, many).filter((each) => each === name).length

  it("strikes as often as it says", () => {
    const plan = FaultPlan.seeded({ seed: 1, faults })

    assert.closeTo(count(plan, "lost response"), 2000, 150)
    assert.closeTo(count(plan, "garbage"), 1000, 120)
    assert.closeTo(count(plan, "none"), 7000, 180)
  })

  it("says the same for one seed, whatever was asked before and at which index, and something else for another", () => {
    const forwards = names(FaultPlan.seeded({ seed: 7, faults }), many)
    const backwards = names(
      FaultPlan.seeded({ seed: 7, faults }),
      many.map((each) => ({ ...each, index: 0 })).toReversed()
    ).toReversed()
    const other = names(FaultPlan.seeded({ seed: 8, faults }), many)

    assert.deepStrictEqual(backwards, forwards)
    assert.isAbove(other.filter((name, index) => name !== forwards[index]).length, 3000)
  })

  it("draws anew for each occurrence of a label", () => {
    const plan = FaultPlan.seeded({ seed: 3, faults: [{ share: 0.5, fault: Fault.refused }] })
    const drawn = names(
      plan,
      Array.from({ length: 1000 }, (_, occurrence) => exchange({ occurrence }))
    )

    assert.closeTo(drawn.filter((name) => name === "refused").length, 500, 60)
  })

  it("refuses shares that cannot be", () => {
    const shares =
      (...each: ReadonlyArray<number>) =>
      () =>
        FaultPlan.seeded({ seed: 1, faults: each.map((share) => ({ share, fault: Fault.refused })) })

    assert.throws(shares(0.6, 0.5), RangeError, /more than 1 in all/u)
    assert.throws(shares(-0.1), RangeError)
    assert.throws(shares(Number.NaN), RangeError)
    assert.doesNotThrow(shares(0.1, 0.2, 0.7))
  })
})
