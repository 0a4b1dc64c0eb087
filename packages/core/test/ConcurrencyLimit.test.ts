import { assert, describe, it } from "@effect/vitest"
import { ConcurrencyLimit } from "@breakwater/core/ConcurrencyLimit"
import { Schema } from "effect"

const start = 1_790_000_000_000

const overload = (limit: ConcurrencyLimit, startedAt: number, now: number) =>
  limit.ended({ overloaded: true, startedAt, now, inFlight: limit.value })
/** So many attempts that are answered while all slots are in use. */
const answers = (limit: ConcurrencyLimit, count: number, millis = 100, inFlight?: number) => {
  for (let index = 0; index < count; index++)
    limit.ended({ overloaded: false, startedAt: start, now: start + millis, inFlight: inFlight ?? limit.value })
}

describe("ConcurrencyLimit of overload", () => {
  const make = () => new ConcurrencyLimit({ minimum: 4, maximum: 64, latency: false })

  it("begins at its most, and stays there while the provider keeps up", () => {
    const limit = make()
    answers(limit, 1000)

    assert.strictEqual(limit.value, 64)
  })

  it("is cut by three tenths when the provider is overloaded, once for all attempts that were under way", () => {
    const limit = make()
    overload(limit, start, start + 100)
    overload(limit, start + 50, start + 110)
    overload(limit, start + 99, start + 120)

    assert.strictEqual(limit.value, 44)
    overload(limit, start + 100, start + 200)
    assert.strictEqual(limit.value, 31)
  })

  it("never falls below its least", () => {
    const limit = make()
    for (let round = 0; round < 100; round++) overload(limit, start + round, start + round)

    assert.strictEqual(limit.value, 4)
  })

  it("grows by one for each round of answers that used it, and not while it is not used", () => {
    const limit = make()
    for (let round = 0; round < 100; round++) overload(limit, start + round, start + round)
    answers(limit, 1000, 100, 1)
    assert.strictEqual(limit.value, 4)

    answers(limit, 4, 100, 2)
    assert.strictEqual(limit.value, 4)
    answers(limit, 1, 100, 2)
    assert.strictEqual(limit.value, 5)
    answers(limit, 100, 100, 2)
    assert.strictEqual(limit.value, 5)
    answers(limit, 5, 100, 3)
    assert.strictEqual(limit.value, 6)
  })

  it("takes no notice of latency", () => {
    const limit = make()
    answers(limit, 100, 10)
    answers(limit, 100, 10_000)

    assert.strictEqual(limit.value, 64)
  })
})

describe("ConcurrencyLimit of latency", () => {
  const make = () => new ConcurrencyLimit({ minimum: 4, maximum: 64, latency: true })

  it("falls when answers take longer than they used to, and comes back when they do not", () => {
    const limit = make()
    answers(limit, 100, 100)
    assert.strictEqual(limit.value, 64)

    answers(limit, 30, 400)
    const slow = limit.value
    answers(limit, 200, 100)

    assert.isBelow(slow, 32)
    assert.strictEqual(limit.value, 64)
  })

  it("holds half as slow again for usual", () => {
    const limit = make()
    answers(limit, 100, 100)
    answers(limit, 100, 149)

    assert.strictEqual(limit.value, 64)
  })

  it("does not take an incident for the new usual", () => {
    const limit = make()
    answers(limit, 100, 100)
    answers(limit, 600, 1000)

    assert.strictEqual(limit.value, 4)
  })

  it("takes it for usual in the end: the provider has moved", () => {
    const limit = make()
    answers(limit, 100, 100)
    answers(limit, 20_000, 1000)

    assert.strictEqual(limit.value, 64)
  })

  it("takes answers that take no time for what they are", () => {
    const limit = make()
    answers(limit, 100, 0)
    assert.strictEqual(limit.value, 64)

    answers(limit, 1, 1000)
    assert.strictEqual(limit.value, 64)
  })

  it("takes the mean of the first ten for usual, and then goes after the samples slowly", () => {
    const limit = make()
    answers(limit, 5, 100)
    answers(limit, 5, 120)
    assert.closeTo(limit.usualMillis, 110, 1e-9)

    answers(limit, 1, 160)
    assert.closeTo(limit.usualMillis, 110 + 50 * (2 / 601), 1e-9)
  })

  it("goes ten times slower after what is slow", () => {
    const limit = make()
    answers(limit, 10, 100)
    answers(limit, 1, 1000)

    assert.closeTo(limit.usualMillis, 100 + 900 * (0.2 / 601), 1e-9)
  })

  it("comes down by a twentieth at a time when answers take less than half as long", () => {
    const limit = make()
    answers(limit, 10, 100)
    answers(limit, 1, 50)
    const slowly = 100 - 50 * (2 / 601)
    assert.closeTo(limit.usualMillis, slowly, 1e-9)

    answers(limit, 1, 49)
    assert.closeTo(limit.usualMillis, (slowly - (slowly - 49) * (2 / 601)) * 0.95, 1e-9)
  })

  it("does not come down by a twentieth when answers take just half as long", () => {
    const limit = make()
    answers(limit, 1, 300)
    answers(limit, 1, 100)

    assert.strictEqual(limit.usualMillis, 200)
  })

  it("takes answers that came before they were asked for, by a clock that was set back, for quick ones", () => {
    const limit = make()
    answers(limit, 1, 100)
    answers(limit, 1, -60_000)

    assert.strictEqual(limit.usualMillis, 47.5)
    assert.strictEqual(limit.value, 64)
  })

  it("lets a limit that is not used stay as it is, and a slow answer moves it by a tenth of it at most", () => {
    const limit = make()
    answers(limit, 100, 100)
    answers(limit, 100, 1000, 31)
    assert.strictEqual(limit.value, 64)

    answers(limit, 1, 1000, 32)
    assert.strictEqual(limit.value, 57)
  })
})

describe("ConcurrencyLimit.value", () => {
  const attempt = Schema.Struct({
    overloaded: Schema.Boolean,
    latency: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 60_000 })),
    inFlight: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 64 }))
  })

  it.prop(
    "is a whole number within its bounds, whatever happens",
    { attempts: Schema.Array(attempt), latency: Schema.Boolean },
    ({ attempts, latency }) => {
      const limit = new ConcurrencyLimit({ minimum: 2, maximum: 10, latency })
      let now = start
      for (const { inFlight, latency: took, overloaded } of attempts) {
        now += took
        limit.ended({ overloaded, startedAt: now - took, now, inFlight })
        assert.isTrue(Number.isInteger(limit.value) && limit.value >= 2 && limit.value <= 10)
      }
    }
  )
})

describe("ConcurrencyLimit.configure", () => {
  const cut = () => {
    const limit = new ConcurrencyLimit({ minimum: 4, maximum: 64, latency: false })
    overload(limit, start, start + 100)
    return limit
  }

  it("keeps what was learnt, within the new bounds", () => {
    const learnt = [
      { minimum: 4, maximum: 100 },
      { minimum: 4, maximum: 20 },
      { minimum: 50, maximum: 64 }
    ].map((bounds) => {
      const limit = cut()
      limit.configure({ ...bounds, latency: false })
      return limit.value
    })

    assert.deepStrictEqual(learnt, [44, 20, 50])
  })

  it("goes along with a maximum that it was at", () => {
    const limit = new ConcurrencyLimit({ minimum: 4, maximum: 64, latency: false })
    limit.configure({ minimum: 4, maximum: 100, latency: false })

    assert.strictEqual(limit.value, 100)
  })
})
