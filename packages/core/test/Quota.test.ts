import { assert, describe, it } from "@effect/vitest"
import * as Quota from "@breakwater/core/Quota"
import { Schema } from "effect"
import * as Headers from "effect/http/Headers"

const longest = 31 * 24 * 3600 * 1000

const read = (ratelimit: string | undefined, policy?: string) =>
  Quota.ofStructuredFields(
    Headers.fromInput({
      ...(ratelimit === undefined ? {} : { ratelimit }),
      ...(policy === undefined ? {} : { "ratelimit-policy": policy })
    })
  )

const quota = (name: string, remaining: number, seconds: number, limit?: number): Quota.Quota => ({
  name,
  remaining,
  resetMillis: seconds * 1000,
  limit
})

describe("Quota.ofStructuredFields", () => {
  it("reads what remains of each policy and when it resets (RATE-2)", () => {
    assert.deepStrictEqual(read('"default";r=50;t=30'), [quota("default", 50, 30)])
    assert.deepStrictEqual(read("default;t=1;r=0"), [quota("default", 0, 1)])
    assert.deepStrictEqual(read('"hour";r=500;t=1800, "second";r=2;t=1'), [
      quota("hour", 500, 1800),
      quota("second", 2, 1)
    ])
  })

  it("takes the limit, and the window where no reset is told, from the policy of the same name", () => {
    assert.deepStrictEqual(
      read('"burst";r=5, "day";r=7;t=60', '"burst";q=100;w=60;qu="requests", "day";q=1000;w=86400;pk=:AA==:'),
      [quota("burst", 5, 60, 100), quota("day", 7, 60, 1000)]
    )
    assert.deepStrictEqual(read('"burst";r=5', '"other";q=100;w=60'), [quota("other", 100, 60, 100)])
  })

  it("learns of a policy alone that so many may be sent in its window", () => {
    assert.deepStrictEqual(read(undefined, '"default";q=10;w=1'), [quota("default", 10, 1, 10)])
    assert.deepStrictEqual(read(undefined, '"default";q=10'), [])
  })

  it("passes over limits that are counted in something else", () => {
    assert.deepStrictEqual(read('"bytes";r=0;t=60, "n";r=1;t=2', '"bytes";q=10;w=60;qu="content-bytes"'), [
      quota("n", 1, 2)
    ])
  })

  it("reads the form of draft 7, and the policy beside it", () => {
    assert.deepStrictEqual(read("limit=10, remaining=5, reset=3"), [quota("", 5, 3, 10)])
    assert.deepStrictEqual(read("remaining=5, reset=3"), [quota("", 5, 3)])
    for (const wrong of [
      "limit=10, remaining=5",
      "remaining=x, reset=3",
      "remaining=(1 2), reset=3",
      "remaining=-1, reset=3"
    ])
      assert.deepStrictEqual(read(wrong), [], wrong)
  })

  it("passes over policies that say nothing about now", () => {
    const field =
      '"a";r=1, "b";t=1, "c";r=-1;t=1, "d";r=1.5;t=1, "e";r="1";t=1, "f";r=1;t=-1, "h";r=1;t=-0.001, ("i");r=1;t=1, "g";r=7;t=2'

    assert.deepStrictEqual(read(field), [quota("g", 7, 2)])
  })

  it("shows no name that is more than a word", () => {
    const name = (text: string) => read(`${text};r=1;t=1`)[0]?.name

    assert.strictEqual(name('"10-in-1.min:x_y"'), "10-in-1.min:x_y")
    for (const text of ['"secret key"', '"a/b"', `"${"x".repeat(41)}"`, '""', ":c2VjcmV0:"])
      assert.strictEqual(name(text), "", text)
  })

  it("says nothing when it cannot be read, or is too long, or is more than 31 days", () => {
    for (const field of ["", "50", "r=50;t=30", '"default', '"default";r=50', '"x";r=1;t=9999999'])
      assert.deepStrictEqual(read(field), [], field)
    assert.deepStrictEqual(read(`"x";r=1;t=1${" ".repeat(4096)}`), [])
  })

  it("reads 16 policies", () => {
    const field = Array.from({ length: 40 }, (_, index) => `"p${index}";r=${index};t=1`).join(", ")

    assert.strictEqual(read(field).length, 16)
  })

  const isSound = ({ limit, name, remaining, resetMillis }: Quota.Quota) =>
    Number.isInteger(remaining) &&
    remaining >= 0 &&
    resetMillis >= 0 &&
    resetMillis <= longest &&
    (limit === undefined || (Number.isInteger(limit) && limit >= 0)) &&
    name.length <= 40

  it.prop(
    "never throws, is never negative and never beyond its cap, whatever the fields say",
    [Schema.String, Schema.String],
    ([field, policy]) =>
      Quota.ofStructuredFields({ ...Headers.empty, ratelimit: field, "ratelimit-policy": policy }).every(isSound),
    { arbitrary: { runs: 2000, size: 40, seed: "any text" } }
  )

  /** Pieces of structured fields, put together at random: close enough to the real thing to get far into the parser. */
  const Pieces = Schema.Array(
    Schema.Literals([
      '"default"',
      "a",
      ";r=",
      ";t=",
      ";q=",
      ";w=",
      ";qu=",
      ";pk=",
      "limit=",
      "remaining=",
      "reset=",
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
  )

  it.prop(
    "never throws, is never negative and never beyond its cap, on almost structured fields",
    [Pieces, Pieces],
    ([field, policy]) => read(field.join(""), policy.join("")).every(isSound),
    { arbitrary: { runs: 5000, size: 16, seed: "pieces" } }
  )

  const count = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2_000_000 }))
  const Policies = Schema.NonEmptyArray(Schema.Struct({ r: count, t: count, q: count })).check(Schema.isMaxLength(16))

  it.prop(
    "reads back the policies that were written, in their order",
    [Policies],
    ([policies]) => {
      const names = policies.map((_, index) => `p${index}`)
      const field = policies.map(({ r, t }, index) => `"${names[index]}";r=${r};t=${t}`).join(", ")
      const policy = policies.map(({ q, t }, index) => `"${names[index]}";q=${q};w=${t}`).join(", ")

      assert.deepStrictEqual(
        read(field, policy),
        policies.map(({ q, r, t }, index) => quota(names[index] ?? "", r, t, q))
      )
    },
    { arbitrary: { runs: 500, size: 10, seed: "round trip" } }
  )
})
