import { assert, describe, it } from "@effect/vitest"
import type { ResetForm } from "@breakwater/core/ResetTime"
import * as ResetTime from "@breakwater/core/ResetTime"
import { Schema } from "effect"

const now = 1_790_000_000_000
const longest = 31 * 24 * 3600 * 1000

const parse = (text: string, form: ResetForm = "auto") => ResetTime.parse(text, form, now)

describe("ResetTime.parse", () => {
  it("reads seconds from now, seconds since the epoch, and milliseconds since the epoch, told apart by size (RATE-2)", () => {
    assert.strictEqual(parse("60"), 60_000)
    assert.strictEqual(parse(" 1.5 "), 1500)
    assert.strictEqual(parse(String(now / 1000 + 60)), 60_000)
    assert.strictEqual(parse(String(now + 60_000)), 60_000)
  })

  it("reads durations", () => {
    const read: ReadonlyArray<readonly [string, number]> = [
      ["1s", 1000],
      ["6m0s", 360_000],
      ["500ms", 500],
      ["1h2m3.5s", 3_723_500],
      ["2d", 172_800_000],
      ["0s", 0],
      ["7.66s", 7660]
    ]
    for (const [text, millis] of read) {
      assert.strictEqual(parse(text), millis, text)
      assert.strictEqual(parse(text, "duration"), millis, text)
    }
  })

  it("takes a form that is declared at its word, whatever the size", () => {
    assert.strictEqual(parse("2000000", "seconds"), 2_000_000_000)
    assert.strictEqual(parse("5", "epoch seconds"), 0)
    assert.strictEqual(parse("5", "epoch milliseconds"), 0)
    assert.isUndefined(parse("1790000060", "seconds"))
    for (const form of ["seconds", "epoch seconds", "epoch milliseconds"] as const)
      assert.isUndefined(parse("6m0s", form))
    assert.isUndefined(parse("60", "duration"))
  })

  it("is 0 for a window that started anew already", () => {
    for (const text of ["0", String(now / 1000 - 60), String(now - 60_000)]) assert.strictEqual(parse(text), 0)
  })

  it("tells the forms apart at their boundaries", () => {
    assert.isUndefined(parse("999999999"))
    assert.strictEqual(parse("1000000000"), 0)
    assert.isUndefined(parse("999999999999"))
    assert.strictEqual(parse("1000000000000"), 0)
  })

  it("believes no window of more than 31 days, on both sides of the boundary", () => {
    assert.strictEqual(parse(String(longest / 1000)), longest)
    assert.isUndefined(parse(String(longest / 1000 + 1)))
    assert.strictEqual(parse(String(now + longest)), longest)
    assert.isUndefined(parse(String(now + longest + 1)))
    assert.strictEqual(parse("31d"), longest)
    assert.isUndefined(parse("31d1ms"))
  })

  it("says nothing of anything else", () => {
    for (const text of [
      "",
      "-1",
      "+1",
      "1e3",
      "0x1",
      "many",
      "1, 2",
      "1234567890123456",
      "1.",
      ".5",
      "1 s",
      "s",
      "1x",
      "-1s",
      "6m-1s",
      "NaN",
      "Infinity",
      "1s1",
      "9".repeat(80) + "s",
      "1s".repeat(40)
    ]) {
      for (const form of ["auto", "seconds", "epoch seconds", "epoch milliseconds", "duration"] as const)
        assert.isUndefined(parse(text, form), `${text} as ${form}`)
    }
  })

  const Form = Schema.Literals(["auto", "seconds", "epoch seconds", "epoch milliseconds", "duration"])
  const isTime = (read: number | undefined) => read === undefined || (read >= 0 && read <= longest)

  it.prop(
    "never throws, is never negative and never beyond its cap, whatever the text, the form and the time",
    [Schema.String, Form, Schema.Int],
    ([text, form, at]) => isTime(ResetTime.parse(text, form, at)),
    { arbitrary: { runs: 2000, size: 40, seed: "any text" } }
  )

  it.prop(
    "never throws, is never negative and never beyond its cap, on almost numbers and almost durations",
    [
      Schema.Array(
        Schema.Literals(["1", "9", "0", ".", "s", "m", "ms", "h", "d", "-", " ", "e", "999999999", "1790000000", ","])
      ),
      Form
    ],
    ([pieces, form]) => isTime(parse(pieces.join(""), form)),
    { arbitrary: { runs: 5000, size: 10, seed: "almost" } }
  )

  it.prop(
    "reads back what is printed as Go prints durations, to the millisecond",
    [Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2_000_000_000 }))],
    ([millis]) => {
      const [hours, minutes, rest] = [Math.floor(millis / 3_600_000), Math.floor(millis / 60_000) % 60, millis % 60_000]
      const text = `${hours > 0 ? `${hours}h` : ""}${hours > 0 || minutes > 0 ? `${minutes}m` : ""}${rest / 1000}s`

      assert.closeTo(parse(text) ?? Number.NaN, millis, 1e-3)
    },
    { arbitrary: { runs: 1000, size: 2_000_000_000, seed: "durations" } }
  )
})
