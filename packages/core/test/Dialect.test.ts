import { assert, describe, it } from "@effect/vitest"
import * as Dialect from "@breakwater/core/Dialect"
import { Schema } from "effect"
import * as Headers from "effect/http/Headers"

const now = 1_790_000_000_000

const longest = 31 * 24 * 3600 * 1000

const quota = (headers: Record<string, string>) => Dialect.quota(Headers.fromInput(headers), now)

describe("Dialect.quota of the IETF field", () => {
  it("reads what remains and when it resets (RATE-2)", () => {
    assert.deepStrictEqual(quota({ ratelimit: '"default";r=50;t=30' }), { remaining: 50, resetMillis: 30_000 })
    assert.deepStrictEqual(quota({ ratelimit: "default;t=1;r=0" }), { remaining: 0, resetMillis: 1000 })
  })

  it("takes the tightest of several policies", () => {
    const field = '"hour";r=500;t=1800, "second";r=2;t=1, "day";r=900;t=40000'

    assert.deepStrictEqual(quota({ ratelimit: field }), { remaining: 2, resetMillis: 1000 })
  })

  it("passes over policies that say nothing about now", () => {
    const field =
      '"a";r=1, "b";t=1, "c";r=-1;t=1, "d";r=1.5;t=1, "e";r="1";t=1, "f";r=1;t=-1, "h";r=1;t=-0.001, "g";r=7;t=2'

    assert.deepStrictEqual(quota({ ratelimit: field }), { remaining: 7, resetMillis: 2000 })
  })

  it("says nothing when it cannot be read", () => {
    for (const field of [
      "",
      "50",
      "r=50;t=30",
      '"default',
      '"default";r=50',
      "limit=10, remaining=5, reset=3",
      '"x";r=1;t=9999999'
    ]) {
      assert.isUndefined(quota({ ratelimit: field }), field)
    }
  })

  it("goes before the X- fields, which count when it cannot be read", () => {
    const others = { "x-ratelimit-remaining": "9", "x-ratelimit-reset": "9" }

    assert.deepStrictEqual(quota({ ...others, ratelimit: '"default";r=1;t=2' }), { remaining: 1, resetMillis: 2000 })
    assert.deepStrictEqual(quota({ ...others, ratelimit: "nonsense;" }), { remaining: 9, resetMillis: 9000 })
  })
})

describe("Dialect.quota of the X-RateLimit fields", () => {
  const reset = (value: string) => quota({ "x-ratelimit-remaining": "3", "x-ratelimit-reset": value })

  it("reads a reset in seconds from now, in seconds since the epoch, and in milliseconds since the epoch (RATE-2)", () => {
    assert.deepStrictEqual(reset("60"), { remaining: 3, resetMillis: 60_000 })
    assert.deepStrictEqual(reset(String(now / 1000 + 60)), { remaining: 3, resetMillis: 60_000 })
    assert.deepStrictEqual(reset(String(now + 60_000)), { remaining: 3, resetMillis: 60_000 })
  })

  it("asks for no wait when the window started anew already", () => {
    assert.deepStrictEqual(reset("0"), { remaining: 3, resetMillis: 0 })
    assert.deepStrictEqual(reset(String(now / 1000 - 60)), { remaining: 3, resetMillis: 0 })
    assert.deepStrictEqual(reset(String(now - 60_000)), { remaining: 3, resetMillis: 0 })
  })

  it("tells the forms apart by size", () => {
    assert.isUndefined(reset("999999999"))
    assert.deepStrictEqual(reset("1000000000"), { remaining: 3, resetMillis: 0 })
    assert.isUndefined(reset("999999999999"))
    assert.deepStrictEqual(reset("1000000000000"), { remaining: 3, resetMillis: 0 })
  })

  it("believes no window of more than 31 days, on both sides of the boundary", () => {
    assert.deepStrictEqual(reset(String(longest / 1000)), { remaining: 3, resetMillis: longest })
    assert.isUndefined(reset(String(longest / 1000 + 1)))
    assert.deepStrictEqual(reset(String(now + longest)), { remaining: 3, resetMillis: longest })
    assert.isUndefined(reset(String(now + longest + 1)))
  })

  it("reads the fields without X- too", () => {
    assert.deepStrictEqual(quota({ "ratelimit-remaining": " 3 ", "ratelimit-reset": "6" }), {
      remaining: 3,
      resetMillis: 6000
    })
  })

  it("says nothing when a part is missing or is not a whole number", () => {
    assert.isUndefined(quota({}))
    assert.isUndefined(quota({ "x-ratelimit-remaining": "3" }))
    assert.isUndefined(quota({ "x-ratelimit-reset": "3" }))
    for (const wrong of ["", "-1", "+1", "1.5", "1e3", "0x1", "many", "1, 2", "1234567890123456"]) {
      assert.isUndefined(reset(wrong), wrong)
      assert.isUndefined(quota({ "x-ratelimit-remaining": wrong, "x-ratelimit-reset": "1" }), wrong)
    }
  })
})

describe("Dialect.quota of anything", () => {
  const isQuota = (read: Dialect.Quota | undefined): boolean =>
    read === undefined ||
    (Number.isInteger(read.remaining) && read.remaining >= 0 && read.resetMillis >= 0 && read.resetMillis <= longest)

  it.prop(
    "never throws, is never negative and never beyond its cap, whatever the fields say",
    [Schema.Struct({ field: Schema.String, remaining: Schema.String, reset: Schema.String })],
    ([{ field, remaining, reset }]) =>
      isQuota(
        Dialect.quota(
          { ...Headers.empty, ratelimit: field, "x-ratelimit-remaining": remaining, "x-ratelimit-reset": reset },
          now
        )
      ),
    { arbitrary: { runs: 2000, size: 40, seed: "any text" } }
  )

  /** Pieces of structured fields, put together at random: close enough to the real thing to get far into the parser. */
  const Piece = Schema.Literals([
    '"default"',
    "a",
    ";r=",
    ";t=",
    "1",
    "0",
    "-",
    "5.5",
    "999999999999999",
    ", ",
    "(",
    ")",
    " ",
    "?1",
    ":AA==:",
    "@1",
    '"',
    "=",
    ";"
  ])

  it.prop(
    "never throws, is never negative and never beyond its cap, on almost structured fields",
    [Schema.Array(Piece)],
    ([pieces]) => isQuota(quota({ ratelimit: pieces.join("") })),
    { arbitrary: { runs: 3000, size: 16, seed: "pieces" } }
  )

  const count = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2_000_000 }))

  it.prop(
    "finds the policy with the least left, and of those the one that lasts longest",
    [Schema.NonEmptyArray(Schema.Struct({ r: count, t: count }))],
    ([policies]) => {
      const field = policies.map(({ r, t }, index) => `"p${index}";r=${r};t=${t}`).join(", ")
      const remaining = Math.min(...policies.map(({ r }) => r))
      const resets = policies.filter(({ r }) => r === remaining).map(({ t }) => t)

      assert.deepStrictEqual(quota({ ratelimit: field }), { remaining, resetMillis: Math.max(...resets) * 1000 })
    },
    { arbitrary: { runs: 500, size: 10, seed: "tightest" } }
  )
})
