import { assert, describe, it } from "@effect/vitest"
import { HedgeDelay, windowMillis } from "@breakwater/core/HedgeDelay"
import { Schema } from "effect"

const start = 1_790_000_000_000
const make = (percentile = 0.95) => new HedgeDelay({ percentile, minimumSamples: 50, minimumMillis: 10 })

const fed = (samples: ReadonlyArray<number>, percentile?: number) => {
  const delay = make(percentile)
  for (const millis of samples) delay.record(millis, start)
  return delay
}
const times = (count: number, millis: number) => Array.from({ length: count }, () => millis)
const near = (actual: number | undefined, wanted: number) =>
  assert.isTrue(actual !== undefined && actual >= wanted && actual <= wanted * 1.1, `${actual} is not about ${wanted}`)

describe("HedgeDelay.millis", () => {
  it("is not known before there are enough samples, on both sides of the boundary", () => {
    assert.isUndefined(fed(times(49, 100)).millis(start))
    near(fed(times(50, 100)).millis(start), 100)
  })

  it("is what the slowest twentieth takes longer than", () => {
    near(fed([...times(95, 100), ...times(5, 5000)]).millis(start), 100)
    near(fed([...times(94, 100), ...times(6, 5000)]).millis(start), 5000)
  })

  it("is never less than its least", () => {
    assert.strictEqual(fed(times(100, 0)).millis(start), 10)
  })

  it("follows what comes, when a sixteenth of it is new", () => {
    const delay = fed(times(60, 100), 0.5)
    near(delay.millis(start), 100)
    for (let sample = 0; sample < 100; sample++) delay.record(1000, start)

    near(delay.millis(start), 1000)
  })

  it("is read anew when more than a sixteenth has come, and not before", () => {
    const delay = fed(times(60, 100), 0.05)
    near(delay.millis(start), 100)
    for (let sample = 0; sample < 4; sample++) delay.record(20, start)
    near(delay.millis(start), 100)

    delay.record(20, start)
    near(delay.millis(start), 20)
  })

  it("is read anew when a window begins", () => {
    const delay = fed([...times(60, 100), ...times(10, 20)], 0.05)
    near(delay.millis(start), 20)
    for (let sample = 0; sample < 60; sample++) delay.record(500, start + windowMillis - 1)
    near(delay.millis(start + windowMillis), 20)
    for (let sample = 0; sample < 60; sample++) delay.record(500, start + windowMillis)

    near(delay.millis(start + windowMillis), 20)
    near(delay.millis(start + 2 * windowMillis), 500)
  })

  it("keeps a window for as long as it says, on both sides of the boundary", () => {
    const delay = fed(times(60, 100))
    delay.record(100, start + windowMillis)

    near(delay.millis(start + 2 * windowMillis - 1), 100)
    assert.isUndefined(delay.millis(start + 2 * windowMillis))
  })

  it("forgets a window when two more have come", () => {
    const delay = fed(times(60, 100))
    near(delay.millis(start + windowMillis), 100)

    assert.isUndefined(delay.millis(start + 2 * windowMillis))
    assert.isUndefined(fed(times(60, 100)).millis(start + 10 * windowMillis))
  })

  it("forgets a window when nobody asked for two, on both sides of the boundary", () => {
    near(fed(times(60, 100)).millis(start + 2 * windowMillis - 1), 100)
    assert.isUndefined(fed(times(60, 100)).millis(start + 2 * windowMillis))
  })

  it("knows durations of up to a quarter of an hour, and takes longer ones for that", () => {
    near(fed(times(60, 900_000)).millis(start), 900_000)
    assert.strictEqual(fed(times(60, 3_600_000)).millis(start), 2 ** (159 / 8))
  })

  const millis = Schema.Int.check(Schema.isBetween({ minimum: 10, maximum: 600_000 }))
  it.prop("is right within a tenth", { samples: Schema.Array(millis).check(Schema.isMinLength(50)) }, ({ samples }) => {
    const sorted = samples.toSorted((a, b) => a - b)
    near(fed(samples).millis(start), sorted[Math.ceil(samples.length * 0.95) - 1] ?? 0)
  })
})

describe("HedgeDelay.configure", () => {
  it("reads another percentile out of the same samples", () => {
    const delay = fed([...times(60, 100), ...times(40, 5000)])
    near(delay.millis(start), 5000)
    delay.configure({ percentile: 0.5, minimumSamples: 50, minimumMillis: 10 })

    near(delay.millis(start), 100)
  })
})
