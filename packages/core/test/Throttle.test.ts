import { assert, describe, it } from "@effect/vitest"
import { Throttle } from "@breakwater/core/Throttle"
import { Schema } from "effect"

const start = 1_790_000_000_000
const options = { ratio: 2, cap: 0.9, windowMillis: 120_000, minimumCalls: 20 }

/** So many attempts, of which so many were accepted. */
const after = (sent: number, accepted: number, now = start) => {
  const throttle = new Throttle(options)
  for (let index = 0; index < sent; index++) throttle.sent(now)
  for (let index = 0; index < accepted; index++) throttle.accepted(now)
  return throttle
}

describe("Throttle.share", () => {
  it("refuses nothing while at least half is accepted", () => {
    assert.deepStrictEqual([after(100, 100).share(start), after(100, 50).share(start)], [0, 0])
  })

  it("refuses what is beyond twice as much as is accepted, and never more than its cap", () => {
    assert.strictEqual(after(100, 25).share(start), 50 / 101)
    assert.strictEqual(after(100, 0).share(start), 0.9)
  })

  it("refuses nothing before there are enough attempts, on both sides of the boundary", () => {
    assert.strictEqual(after(19, 0).share(start), 0)
    assert.strictEqual(after(20, 0).share(start), 0.9)
  })

  it("forgets what is older than its window, a twentieth at a time", () => {
    const throttle = after(100, 0)
    const later = [113_999, 114_000, 120_000].map((millis) => throttle.share(start - (start % 6000) + millis))

    assert.deepStrictEqual(later, [0.9, 0.9, 0])
  })

  it("forgets what was accepted with what was sent", () => {
    const throttle = after(100, 100)
    for (let index = 0; index < 40; index++) throttle.sent(start + 60_000)
    assert.strictEqual(throttle.share(start + 60_000), 0)

    assert.strictEqual(throttle.share(start + 126_000), 0.9)
  })

  it("forgets all after a long time, and what was told since counts", () => {
    const throttle = after(100, 0)
    for (let index = 0; index < 20; index++) throttle.sent(start + 3_600_000)

    assert.strictEqual(throttle.share(start + 3_600_000), 0.9)
    for (let index = 0; index < 10; index++) throttle.accepted(start + 3_600_000)
    assert.strictEqual(throttle.share(start + 3_600_000), 0)
  })
})

describe("Throttle of a clock that is set back", () => {
  it("keeps what it has counted for as long as before", () => {
    const throttle = after(100, 0)
    const later = [-60_000, 0, 106_000, 120_000].map((millis) => throttle.share(start + millis))

    assert.deepStrictEqual(later, [0.9, 0.9, 0.9, 0])
  })
})

describe("Throttle.refuses", () => {
  it("draws only where something may be refused", () => {
    const never = () => assert.fail("nothing is to be drawn")

    assert.isFalse(after(100, 100).refuses(start, never))
  })

  it("refuses below the share, and not at it", () => {
    const throttle = after(100, 0)

    assert.deepStrictEqual(
      [0, 0.89, 0.9, 0.99].map((drawn) => throttle.refuses(start, () => drawn)),
      [true, true, false, false]
    )
  })
})

describe("Throttle against a list of everything", () => {
  const step = Schema.Struct({
    kind: Schema.Literals(["sent", "accepted"]),
    wait: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 30_000 }))
  })

  it.prop(
    "counts what lies in its twenty parts, and nothing else",
    { steps: Schema.Array(step).check(Schema.isMinLength(30)) },
    ({ steps }) => {
      const throttle = new Throttle({ ...options, minimumCalls: 1 })
      const all: Array<{ readonly kind: string; readonly part: number }> = []
      let now = start
      for (const { kind, wait } of steps) {
        now += wait
        throttle[kind](now)
        const part = Math.floor(now / 6000)
        all.push({ kind, part })
        const seen = all.filter((each) => each.part > part - 20)
        const count = (of: string) => seen.filter((each) => each.kind === of).length
        const [sent, accepted] = [count("sent"), count("accepted")]
        const share = sent < 1 ? 0 : Math.min(0.9, Math.max(0, (sent - 2 * accepted) / (sent + 1)))
        assert.strictEqual(throttle.share(now), share)
      }
    }
  )
})

describe("Throttle.configure", () => {
  const refusing = (window: number, at: number, ...ends: ReadonlyArray<number>) => {
    const throttle = after(100, 0)
    throttle.configure({ ...options, windowMillis: window }, at)
    return ends.map((end) => throttle.share(end))
  }

  it("takes another ratio, cap and least at once, and keeps what was counted", () => {
    const throttle = after(100, 25)
    throttle.configure({ ...options, ratio: 3 }, start)
    assert.strictEqual(throttle.share(start), 25 / 101)
    throttle.configure({ ...options, cap: 0.25 }, start)
    assert.strictEqual(throttle.share(start), 0.25)
    throttle.configure({ ...options, minimumCalls: 101 }, start)
    assert.strictEqual(throttle.share(start), 0)
    throttle.sent(start)
    assert.isAbove(throttle.share(start), 0)
  })

  it("keeps what was counted in a window of another length for as long as that lasts, within a part of it", () => {
    assert.deepStrictEqual(refusing(60_000, start, start + 56_000, start + 60_000), [0.9, 0])
    assert.deepStrictEqual(refusing(240_000, start, start + 227_000, start + 240_000), [0.9, 0])
  })

  it("forgets what a shorter window does not reach back to, and only that", () => {
    assert.deepStrictEqual(refusing(10_000, start + 20_000, start + 20_000), [0])
    assert.deepStrictEqual(refusing(30_000, start + 20_000, start + 20_000), [0.9])
  })
})
