import { assert, describe, it } from "@effect/vitest"
import * as Deprecation from "@breakwater/core/Deprecation"
import { Schema } from "effect"
import * as Headers from "effect/http/Headers"

const read = (headers: Record<string, string>) => Deprecation.fromHeaders(Headers.fromInput(headers))
const none = { deprecatedAt: undefined, sunsetAt: undefined, link: undefined }
const date = Date.UTC(2023, 6, 1)
const lastMillis = 253_402_300_799_999

describe("Deprecation.fromHeaders", () => {
  it("reads a structured date (RFC 9745), and the forms of earlier drafts", () => {
    assert.deepStrictEqual(read({ deprecation: "@1688169600" }), { ...none, deprecatedAt: date })
    assert.deepStrictEqual(read({ deprecation: "Sat, 01 Jul 2023 00:00:00 GMT" }), { ...none, deprecatedAt: date })
    for (const deprecation of ["true", "?1", " true "]) assert.deepStrictEqual(read({ deprecation }), none)
  })

  it("reads the end of an operation, with and without a deprecation (RFC 8594)", () => {
    const sunset = "Sat, 01 Jul 2023 00:00:00 GMT"

    assert.deepStrictEqual(read({ sunset }), { ...none, sunsetAt: date })
    assert.deepStrictEqual(read({ deprecation: "@1", sunset }), { ...none, deprecatedAt: 1000, sunsetAt: date })
  })

  it("says nothing without either, where it is denied, or where only a sunset cannot be read", () => {
    assert.isUndefined(read({}))
    for (const deprecation of ["", " ", "false", "?0", "@0", "0", "None"]) assert.isUndefined(read({ deprecation }))
    for (const sunset of ["", "soon", "@1688169600", "2023-07-01"]) assert.isUndefined(read({ sunset }))
  })

  it("takes a word that it cannot read for a deprecation without a date", () => {
    for (const deprecation of ['version="v1"', "@", "@1.5", "@-5", "@99999999999999", "2023-07-01", "x".repeat(9000)])
      assert.deepStrictEqual(read({ deprecation }), none, deprecation.slice(0, 20))
  })

  it("keeps the link that leads on, without user, query and fragment", () => {
    const link = (field: string) => read({ deprecation: "true", link: field })?.link

    assert.strictEqual(
      link('<https://acme.test/docs/v1?key=secret#end>; rel="deprecation"; type="text/html"'),
      "https://acme.test/docs/v1"
    )
    assert.strictEqual(link("<https://user:secret@acme.test/a>; rel=sunset"), "https://acme.test/a")
    assert.strictEqual(
      link(
        '<https://a.test/next>; rel=next, <https://a.test/2>; rel="successor-version", <https://a.test/1>;rel="help DEPRECATION"'
      ),
      "https://a.test/1"
    )
    assert.strictEqual(
      link('<https://a.test/2>; rel="successor-version", <https://a.test/1>; rel="sunset"'),
      "https://a.test/1"
    )
    for (const field of [
      "",
      "https://acme.test",
      "<https://acme.test>",
      "<https://acme.test>; rel=next",
      "</relative>; rel=deprecation",
      "<javascript:alert(1)>; rel=deprecation",
      "<data:text/html,x>; rel=deprecation",
      '<https://acme.test>; title="rel=deprecation"',
      `<https://acme.test>; rel=deprecation${" ".repeat(5000)}`
    ])
      assert.isUndefined(link(field), field.slice(0, 60))
  })

  const isSound = (found: Deprecation.Deprecation | undefined): boolean =>
    found === undefined ||
    ([found.deprecatedAt, found.sunsetAt].every((at) => at === undefined || (at >= 0 && at <= lastMillis)) &&
      (found.link === undefined || /^https?:\/\/[^?#@]*$/u.test(found.link)))

  it.prop(
    "never throws, is never before the epoch nor after the year 9999, whatever the headers say",
    [Schema.String, Schema.String, Schema.String],
    ([deprecation, sunset, link]) => isSound(Deprecation.fromHeaders({ ...Headers.empty, deprecation, sunset, link })),
    { arbitrary: { runs: 2000, size: 40, seed: "any text" } }
  )

  const Pieces = Schema.Array(
    Schema.Literals([
      "@",
      "1688169600",
      "999999999999999",
      "-",
      ".",
      ";",
      "=",
      '"',
      " ",
      ",",
      "<",
      ">",
      "https://a.test/x",
      "?q=1",
      "#f",
      "u:p@",
      "rel=",
      "deprecation",
      "sunset",
      "Sat, 01 Jul 2023 00:00:00 GMT",
      "true",
      "?1"
    ])
  )

  it.prop(
    "never throws, and shows nothing but a plain address, on almost fields",
    [Pieces, Pieces, Pieces],
    ([deprecation, sunset, link]) =>
      isSound(read({ deprecation: deprecation.join(""), sunset: sunset.join(""), link: link.join("") })),
    { arbitrary: { runs: 5000, size: 12, seed: "almost" } }
  )

  it.prop(
    "reads back the second that was written, in both forms",
    [Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 253_402_300_799 }))],
    ([seconds]) => {
      const text = new Date(seconds * 1000).toUTCString()

      assert.deepStrictEqual(read({ deprecation: `@${seconds}`, sunset: text }), {
        ...none,
        deprecatedAt: seconds * 1000,
        sunsetAt: seconds * 1000
      })
    },
    { arbitrary: { runs: 1000, size: 253_402_300_799, seed: "seconds" } }
  )
})
