import { assert, describe, it } from "@effect/vitest"
import type { SlotHolder } from "@breakwater/core/Bulkhead"
import { Bulkhead } from "@breakwater/core/Bulkhead"
import { Schema } from "effect"

const holder = (): SlotHolder => ({ slot: false })

const counts = (bulkhead: Bulkhead) => ({ inFlight: bulkhead.inFlight, waiting: bulkhead.waiting })

/** A bulkhead whose only slot is taken. */
const busy = (queue: number) => {
  const bulkhead = new Bulkhead({ concurrency: 1, queue })
  const first = holder()
  bulkhead.tryAcquire(first)
  return { bulkhead, first }
}

describe("Bulkhead.tryAcquire", () => {
  it("gives slots up to its concurrency, and not one more (SAFE-7)", () => {
    const bulkhead = new Bulkhead({ concurrency: 2, queue: 10 })
    const holders = [holder(), holder(), holder()]

    const given = holders.map((each) => bulkhead.tryAcquire(each))

    assert.deepStrictEqual(given, [true, true, false])
    assert.deepStrictEqual(holders, [{ slot: true }, { slot: true }, { slot: false }])
    assert.deepStrictEqual(counts(bulkhead), { inFlight: 2, waiting: 0 })
  })

  it("gives a slot again after one was given back", () => {
    const { bulkhead, first } = busy(0)

    bulkhead.release(first)
    const given = bulkhead.tryAcquire(holder())

    assert.isTrue(given)
    assert.deepStrictEqual(counts(bulkhead), { inFlight: 1, waiting: 0 })
  })

  it("does not overtake those who wait", () => {
    const { bulkhead, first } = busy(2)
    const waiter = holder()
    bulkhead.join(waiter, () => undefined)
    bulkhead.join(holder(), () => undefined)

    bulkhead.release(first)
    const overtaking = bulkhead.tryAcquire(holder())

    assert.isFalse(overtaking)
    assert.isTrue(waiter.slot)
  })
})

describe("Bulkhead.join", () => {
  it("lets as many wait as the queue holds, and refuses the next", () => {
    const { bulkhead } = busy(2)

    const joined = [0, 1, 2].map(() => bulkhead.join(holder(), () => undefined) !== undefined)

    assert.deepStrictEqual(joined, [true, true, false])
    assert.deepStrictEqual(counts(bulkhead), { inFlight: 1, waiting: 2 })
  })

  it("refuses at once with a queue of 0", () => {
    const { bulkhead } = busy(0)

    const leave = bulkhead.join(holder(), () => undefined)

    assert.isUndefined(leave)
    assert.strictEqual(bulkhead.waiting, 0)
  })

  it("serves first come, first served, in the same instant as the release", () => {
    const { bulkhead, first } = busy(3)
    const order: Array<string> = []
    const [a, b] = [holder(), holder()]
    bulkhead.join(a, () => order.push(`a, slot ${a.slot}`))
    bulkhead.join(b, () => order.push(`b, slot ${b.slot}`))

    bulkhead.release(first)
    const afterFirst = [...order]
    bulkhead.release(a)

    assert.deepStrictEqual(afterFirst, ["a, slot true"])
    assert.deepStrictEqual(order, ["a, slot true", "b, slot true"])
    assert.deepStrictEqual([first, a, b], [{ slot: false }, { slot: false }, { slot: true }])
    assert.deepStrictEqual(counts(bulkhead), { inFlight: 1, waiting: 0 })
  })

  it("forgets a waiter who left, and serves the next", () => {
    const { bulkhead, first } = busy(3)
    const [a, b] = [holder(), holder()]
    const granted: Array<string> = []
    const leave = bulkhead.join(a, () => granted.push("a"))
    bulkhead.join(b, () => granted.push("b"))

    leave?.()
    leave?.()
    bulkhead.release(first)

    assert.deepStrictEqual(granted, ["b"])
    assert.deepStrictEqual([a, b], [{ slot: false }, { slot: true }])
  })

  it("makes room in the queue when a waiter leaves", () => {
    const { bulkhead } = busy(1)
    const leave = bulkhead.join(holder(), () => undefined)

    leave?.()
    const joined = bulkhead.join(holder(), () => undefined)

    assert.isDefined(joined)
    assert.strictEqual(bulkhead.waiting, 1)
  })

  it("leaves the slot with a waiter who leaves after it was granted, until it is released", () => {
    const { bulkhead, first } = busy(1)
    const late = holder()
    const leave = bulkhead.join(late, () => undefined)
    bulkhead.release(first)

    leave?.()
    const kept = { ...late }
    bulkhead.release(late)

    assert.deepStrictEqual(kept, { slot: true })
    assert.deepStrictEqual(counts(bulkhead), { inFlight: 0, waiting: 0 })
  })
})

describe("Bulkhead.release", () => {
  it("does nothing for a holder without a slot, and nothing the second time", () => {
    const { bulkhead, first } = busy(0)

    bulkhead.release(holder())
    const afterStranger = bulkhead.inFlight
    bulkhead.release(first)
    bulkhead.release(first)

    assert.strictEqual(afterStranger, 1)
    assert.strictEqual(bulkhead.inFlight, 0)
  })

  it("does not hand a slot on twice when the first holder releases twice", () => {
    const { bulkhead, first } = busy(2)
    const [a, b] = [holder(), holder()]
    bulkhead.join(a, () => undefined)
    bulkhead.join(b, () => undefined)

    bulkhead.release(first)
    bulkhead.release(first)

    assert.deepStrictEqual([a, b], [{ slot: true }, { slot: false }])
  })
})

const index = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 30 }))

const Step = Schema.Union([
  /** As the pipeline does it: a slot now, else a place in the queue. */
  Schema.TaggedStruct("Arrive", {}),
  Schema.TaggedStruct("JoinAtOnce", {}),
  Schema.TaggedStruct("Leave", { which: index }),
  Schema.TaggedStruct("Release", { which: index })
])

const Sizes = Schema.Struct({
  concurrency: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 4 })),
  queue: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 4 }))
})

interface Caller extends SlotHolder {
  readonly name: number
  leave: (() => void) | undefined
}

describe("Bulkhead with a limit that moves", () => {
  const moving = () => {
    const limit = { value: 1 }
    const bulkhead = new Bulkhead({ concurrency: 8, queue: 2, limit })
    const first = holder()
    bulkhead.tryAcquire(first)
    return { bulkhead, first, limit }
  }

  it("lets as many run as the limit says at that moment", () => {
    const { bulkhead, limit } = moving()
    const before = bulkhead.tryAcquire(holder())
    limit.value = 3
    const after = [0, 1, 2].map(() => bulkhead.tryAcquire(holder()))

    assert.isFalse(before)
    assert.deepStrictEqual(after, [true, true, false])
    assert.strictEqual(bulkhead.concurrency, 3)
  })

  it("gives what has grown to those who wait, and to nobody before them", () => {
    const { bulkhead, limit } = moving()
    const [waiter, next, late] = [holder(), holder(), holder()]
    bulkhead.join(waiter, () => undefined)
    bulkhead.join(next, () => undefined)
    limit.value = 2

    assert.isFalse(bulkhead.tryAcquire(late))
    bulkhead.grant()
    assert.deepStrictEqual([waiter.slot, next.slot, late.slot], [true, false, false])
  })

  it("gives no slot that comes back while more run than the limit says", () => {
    const { bulkhead, first, limit } = moving()
    limit.value = 2
    bulkhead.tryAcquire(holder())
    const waiter = holder()
    bulkhead.join(waiter, () => undefined)
    limit.value = 1

    bulkhead.release(first)

    assert.deepStrictEqual(counts(bulkhead), { inFlight: 1, waiting: 1 })
    assert.isFalse(waiter.slot)
  })
})

describe("Bulkhead as a state machine", () => {
  it.prop(
    "never runs more than it may, serves in order, and loses neither slot nor caller",
    [Sizes, Schema.Array(Step).check(Schema.isMaxLength(100))],
    ([sizes, steps]) => {
      const bulkhead = new Bulkhead(sizes)
      const callers: Array<Caller> = []
      const granted: Array<number> = []
      /** The model: who runs and who waits, in order. */
      let running: Array<number> = []
      let waiting: Array<number> = []
      const grants: Array<number> = []

      const freed = () => {
        const next = waiting.shift()
        if (next === undefined) return
        running.push(next)
        grants.push(next)
      }
      const arrive = (atOnce: boolean) => {
        const caller: Caller = { name: callers.length, slot: false, leave: undefined }
        const given = !atOnce && bulkhead.tryAcquire(caller)
        if (!given) caller.leave = bulkhead.join(caller, () => granted.push(caller.name))
        callers.push(caller)
        if (running.length < sizes.concurrency) {
          running.push(caller.name)
          if (!given) grants.push(caller.name)
        } else if (waiting.length < sizes.queue) waiting.push(caller.name)
        else assert.isUndefined(caller.leave)
      }

      for (const step of steps) {
        const caller = "which" in step ? callers[step.which % Math.max(1, callers.length)] : undefined
        if (step._tag === "Arrive" || step._tag === "JoinAtOnce") arrive(step._tag === "JoinAtOnce")
        if (step._tag === "Leave" && caller !== undefined) {
          caller.leave?.()
          waiting = waiting.filter((name) => name !== caller.name)
        }
        if (step._tag === "Release" && caller !== undefined) {
          bulkhead.release(caller)
          if (running.includes(caller.name)) {
            running = running.filter((name) => name !== caller.name)
            freed()
          }
        }
        const holding = callers.filter(({ slot }) => slot).map(({ name }) => name)
        assert.deepStrictEqual(
          holding,
          running.toSorted((a, b) => a - b)
        )
        assert.deepStrictEqual(granted, grants)
        assert.deepStrictEqual(counts(bulkhead), { inFlight: running.length, waiting: waiting.length })
        assert.isAtMost(bulkhead.inFlight, sizes.concurrency)
        assert.isTrue(bulkhead.waiting === 0 || bulkhead.inFlight === sizes.concurrency)
      }
      for (let round = 0; round < callers.length; round++) for (const caller of callers) bulkhead.release(caller)

      assert.deepStrictEqual(counts(bulkhead), { inFlight: 0, waiting: 0 })
    },
    { arbitrary: { runs: 800, size: 100, seed: "bulkhead" } }
  )
})

describe("Bulkhead.configure", () => {
  it("gives slots that are new to those who wait, first come, first served", () => {
    const { bulkhead } = busy(10)
    const waiting = [holder(), holder(), holder()]
    for (const each of waiting) bulkhead.join(each, () => undefined)
    bulkhead.configure({ concurrency: 3, queue: 10 })

    assert.deepStrictEqual(waiting, [{ slot: true }, { slot: true }, { slot: false }])
    assert.deepStrictEqual(counts(bulkhead), { inFlight: 3, waiting: 1 })
  })

  it("takes no slot away: with fewer, nobody gets one before enough came back", () => {
    const bulkhead = new Bulkhead({ concurrency: 3, queue: 10 })
    const holders = [holder(), holder(), holder()]
    for (const each of holders) bulkhead.tryAcquire(each)
    const next = holder()
    bulkhead.join(next, () => undefined)
    bulkhead.configure({ concurrency: 1, queue: 10 })
    const seen = holders.map((each) => {
      bulkhead.release(each)
      return next.slot
    })

    assert.deepStrictEqual(seen, [false, false, true])
    assert.deepStrictEqual(counts(bulkhead), { inFlight: 1, waiting: 0 })
  })

  it("sends nobody out of a shorter queue, and lets nobody into it", () => {
    const { bulkhead, first } = busy(2)
    const waiting = [holder(), holder()]
    for (const each of waiting) bulkhead.join(each, () => undefined)
    bulkhead.configure({ concurrency: 1, queue: 1 })

    assert.isUndefined(bulkhead.join(holder(), () => undefined))
    bulkhead.release(first)
    assert.deepStrictEqual(waiting, [{ slot: true }, { slot: false }])
  })
})

describe("Bulkhead.force", () => {
  it("gives a slot beyond what there are, and says whether there would have been a place in the queue", () => {
    const { bulkhead, first } = busy(1)
    const beyond = [holder(), holder()]
    const places = beyond.map((each) => bulkhead.force(each))

    assert.deepStrictEqual(places, [true, false])
    assert.deepStrictEqual(counts(bulkhead), { inFlight: 3, waiting: 0 })
    for (const each of [first, ...beyond]) bulkhead.release(each)
    assert.deepStrictEqual(counts(bulkhead), { inFlight: 0, waiting: 0 })
  })
})
