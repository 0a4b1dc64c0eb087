import { assert, describe, it } from "@effect/vitest"
import { AttemptTimer } from "@breakwater/core/AttemptTimer"
import { Schema } from "effect"

const bounds = { silenceMillis: 50, attemptMillis: 100 }

const started = (deadlineAt: number, now = 1000): AttemptTimer => {
  const timer = new AttemptTimer()
  timer.start(bounds, now, deadlineAt)
  return timer
}

describe("AttemptTimer", () => {
  it("expires by silence when no byte came, exactly at its end (SAFE-1)", () => {
    const timer = started(9000)

    assert.strictEqual(timer.dueAt(), 1050)
    assert.deepStrictEqual([timer.expired(1049), timer.expired(1050)], [undefined, "silence"])
  })

  it("begins the silence anew with each byte, up to the bound of the attempt", () => {
    const timer = started(9000)

    timer.heard(1040)
    const afterByte = timer.dueAt()
    timer.heard(1080)

    assert.strictEqual(afterByte, 1090)
    assert.strictEqual(timer.dueAt(), 1100)
    assert.deepStrictEqual([timer.expired(1099), timer.expired(1100)], [undefined, "attempt"])
  })

  it("expires by the call's deadline before its own bounds", () => {
    const timer = started(1030)

    assert.strictEqual(timer.dueAt(), 1030)
    assert.deepStrictEqual([timer.expired(1029), timer.expired(1030)], [undefined, "deadline"])
  })

  it("names the widest of the bounds that end together", () => {
    const deadlineToo = started(1050)
    const attemptToo = started(9000)
    attemptToo.heard(1050)

    assert.strictEqual(deadlineToo.expired(1050), "deadline")
    assert.strictEqual(attemptToo.expired(1100), "attempt")
  })

  it("is overdue when the attempt itself was too slow, whatever the deadline", () => {
    const early = started(1030)
    const late = started(1060)
    const slow = started(1120)
    slow.heard(1099)

    assert.isFalse(early.overdue(1030))
    assert.deepStrictEqual([late.overdue(1049), late.overdue(1050)], [false, true])
    assert.deepStrictEqual([slow.overdue(1099), slow.overdue(1100)], [false, true])
  })

  it("forgets the attempt before when it starts again", () => {
    const timer = started(9000)
    timer.heard(1090)

    timer.start(bounds, 2000, 9000)

    assert.strictEqual(timer.dueAt(), 2050)
  })

  it("has no silence while it is our turn, and begins it anew when that is over", () => {
    const timer = new AttemptTimer()
    timer.start({ silenceMillis: 50, attemptMillis: 1000 }, 0, 2000)
    timer.asked()

    assert.strictEqual(timer.dueAt(), 50)
    assert.isUndefined(timer.expired(50))
    assert.strictEqual(timer.dueAt(), 100)
    timer.given(70)
    assert.strictEqual(timer.dueAt(), 120)
    assert.isUndefined(timer.expired(119))
    assert.strictEqual(timer.expired(120), "silence")
  })

  it("ends an attempt and a call all the same while it is our turn", () => {
    const timer = new AttemptTimer()
    timer.start({ silenceMillis: 50, attemptMillis: 100 }, 0, 150)
    timer.asked()

    assert.strictEqual(timer.expired(100), "attempt")
    assert.strictEqual(timer.expired(150), "deadline")
  })

  it("forgets whose turn it was when another attempt starts", () => {
    const timer = new AttemptTimer()
    timer.start({ silenceMillis: 50, attemptMillis: 100 }, 0, 1000)
    timer.asked()
    timer.start({ silenceMillis: 50, attemptMillis: 100 }, 200, 1000)

    assert.strictEqual(timer.expired(250), "silence")
  })

  const whole = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 200 }))

  it.prop(
    "has expired if and only if its instant has come",
    [
      Schema.Struct({ silence: whole, attempt: whole, deadline: whole }),
      Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 60 })))
    ],
    ([sizes, bytes]) => {
      const timer = new AttemptTimer()
      timer.start({ silenceMillis: sizes.silence, attemptMillis: sizes.attempt }, 0, sizes.deadline)
      let now = 0

      for (const wait of bytes) {
        now += wait
        assert.strictEqual(timer.expired(now) !== undefined, now >= timer.dueAt())
        assert.isAtMost(timer.dueAt(), Math.min(sizes.attempt, sizes.deadline))
        if (timer.expired(now) === "attempt" || timer.expired(now) === "silence") assert.isTrue(timer.overdue(now))
        timer.heard(now)
      }
    },
    { arbitrary: { runs: 300, seed: "timer" } }
  )
})
