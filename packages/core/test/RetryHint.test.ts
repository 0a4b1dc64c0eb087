import { assert, describe, it } from "@effect/vitest"
import * as RetryHint from "@breakwater/core/RetryHint"
import { Schema } from "effect"
import * as Headers from "effect/http/Headers"

/** Wed, 21 Oct 2026 07:28:00 GMT. */
const now = Date.UTC(2026, 9, 21, 7, 28, 0)

const year = 366 * 24 * 3600 * 1000

const hint = (headers: Record<string, string>) => RetryHint.fromHeaders(Headers.fromInput(headers), now)

describe("RetryHint.fromHeaders", () => {
  it("reads seconds (SAFE-4)", () => {
    assert.deepStrictEqual(
      ["0", "1", "120", " 7 ", "007"].map((value) => hint({ "retry-after": value })),
      [0, 1000, 120_000, 7000, 7000]
    )
  })

  it("reads each form of an HTTP-date, counted from now (SAFE-4)", () => {
    assert.strictEqual(hint({ "retry-after": "Wed, 21 Oct 2026 07:28:30 GMT" }), 30_000)
    assert.strictEqual(hint({ "retry-after": "Wednesday, 21-Oct-26 07:29:00 GMT" }), 60_000)
    assert.strictEqual(hint({ "retry-after": "Wed Oct 21 07:28:01 2026" }), 1000)
  })

  it("asks for no wait when the date is past", () => {
    assert.strictEqual(hint({ "retry-after": "Wed, 21 Oct 2026 07:28:00 GMT" }), 0)
    assert.strictEqual(hint({ "retry-after": "Wed, 21 Oct 2015 07:28:00 GMT" }), 0)
  })

  it("reads milliseconds before seconds", () => {
    assert.strictEqual(hint({ "retry-after-ms": "1500", "retry-after": "60" }), 1500)
    assert.strictEqual(hint({ "retry-after-ms": " 12.5 " }), 12.5)
    assert.strictEqual(hint({ "retry-after-ms": "0", "retry-after": "60" }), 0)
  })

  it("falls back to seconds when the milliseconds cannot be read", () => {
    for (const unreadable of ["", "soon", "-1", "1e3", "1.", ".5", "0x10", "1234567890123", "NaN", "Infinity"]) {
      assert.strictEqual(hint({ "retry-after-ms": unreadable, "retry-after": "2" }), 2000, unreadable)
      assert.isUndefined(hint({ "retry-after-ms": unreadable }), unreadable)
    }
  })

  it("gives no hint when there is none to read", () => {
    assert.isUndefined(hint({}))
    for (const unreadable of [
      "",
      " ",
      "soon",
      "-1",
      "+1",
      "1.5",
      "1e3",
      "1, 2",
      "2026-10-21T07:28:30Z",
      "Wed, 32 Oct 2026 07:28:30 GMT"
    ]) {
      assert.isUndefined(hint({ "retry-after": unreadable }), unreadable)
    }
  })

  it("never asks for more than 366 days, on both sides of the boundary", () => {
    const seconds = year / 1000

    assert.strictEqual(hint({ "retry-after": String(seconds - 1) }), year - 1000)
    assert.strictEqual(hint({ "retry-after": String(seconds + 1) }), year)
    assert.strictEqual(hint({ "retry-after": "9".repeat(400) }), year)
    assert.strictEqual(hint({ "retry-after": "Fri, 31 Dec 9999 23:59:59 GMT" }), year)
    assert.strictEqual(hint({ "retry-after-ms": String(year + 1) }), year)
    assert.strictEqual(hint({ "retry-after-ms": "999999999999.999999" }), year)
  })

  const isHint = (read: number | undefined): boolean => read === undefined || (read >= 0 && read <= year)

  it.prop(
    "never throws, is never negative and never beyond its cap, whatever a header says",
    [Schema.String, Schema.String],
    ([seconds, millis]) =>
      isHint(RetryHint.fromHeaders({ ...Headers.empty, "retry-after": seconds, "retry-after-ms": millis }, now)),
    { arbitrary: { runs: 2000, size: 40, seed: "any text" } }
  )

  it.prop(
    "never throws, is never negative and never beyond its cap, whatever number is sent at whatever time",
    [Schema.Number, Schema.Number, Schema.Int],
    ([seconds, millis, at]) =>
      isHint(RetryHint.fromHeaders({ ...Headers.empty, "retry-after": String(seconds) }, at)) &&
      isHint(RetryHint.fromHeaders({ ...Headers.empty, "retry-after-ms": String(millis) }, at)),
    { arbitrary: { runs: 2000, size: 1000, seed: "any number" } }
  )

  it.prop(
    "never throws, is never negative and never beyond its cap, whatever the answer's own date says",
    [
      Schema.Union([
        Schema.String,
        Schema.Literals(["Wed, 21 Oct 2015 07:28:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"])
      ]),
      Schema.Union([
        Schema.String,
        Schema.Literals(["Wed, 21 Oct 2015 07:28:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "5"])
      ])
    ],
    ([date, value]) => isHint(RetryHint.fromHeaders({ ...Headers.empty, date, "retry-after": value }, now)),
    { arbitrary: { runs: 1000, size: 40, seed: "any date" } }
  )

  it.prop(
    "is the time until the date, to the second",
    [Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 300 * 24 * 3600 }))],
    ([seconds]) => hint({ "retry-after": new Date(now + seconds * 1000).toUTCString() }) === seconds * 1000,
    { arbitrary: { runs: 300, size: 1_000_000, seed: "dates" } }
  )
})
