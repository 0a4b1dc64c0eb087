import { assert, describe, it } from "@effect/vitest"
import { InvalidRequest } from "@breakwater/core/FatalReason"
import * as Outgoing from "@breakwater/core/Outgoing"
import { Redacted, Schema } from "effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"

const origin = "https://acme.test"

const ofUrl = (url: string) => Outgoing.problemOf(HttpClientRequest.get(url))
const ofPath = (path: string) => ofUrl(origin + path)
const ofQuery = (params: Record<string, string | Redacted.Redacted>) =>
  Outgoing.problemOf(
    HttpClientRequest.get(origin).pipe((request) =>
      Object.entries(params).reduce((to, [name, value]) => HttpClientRequest.appendUrlParam(to, name, value), request)
    )
  )
const ofHeader = (name: string, value: string) =>
  Outgoing.problemOf(HttpClientRequest.get(origin, { headers: { [name]: value } }))

const refused = (field: string, detail: string) => new InvalidRequest({ field, detail })

const dots = refused("path", "must not hold '.' or '..' as a segment")
const controls = refused("path", "must not hold control characters")

describe("Outgoing.problemOf of a path", () => {
  it("lets ordinary paths through", () => {
    const paths = [
      "",
      "/",
      "/v1/things/ch_123",
      "/a%20b/c%2Fd",
      "/%E2%82%AC",
      "/.well-known/x",
      "/a/..b/c..",
      "/...",
      "/a.b",
      "/x?next=/../y",
      "/x#/../y",
      "?q=/../y",
      "//x"
    ]

    for (const path of paths) assert.isUndefined(ofPath(path), path)
  })

  it("refuses what would leave its segment, encoded or not (SAFE-10)", () => {
    const paths = [
      "/a/../b",
      "/a/..",
      "/a/.",
      "/./a",
      "/a/..?x=1",
      "/a/..#x",
      "/a/%2e%2e/b",
      "/a/%2E./b",
      "/a/.%2e",
      "/a/%2e",
      "/a%2F..%2Fb",
      "/a%2f%2e%2e",
      "/a%5C..%5Cb",
      "/a\\..\\b",
      "/a/..%2f",
      "/a/.. ",
      "/a/. "
    ]

    for (const path of paths) assert.deepStrictEqual(ofPath(path), dots, path)
  })

  it("refuses control characters, encoded or not (SAFE-10)", () => {
    for (const path of ["/a%00b", "/a%0d%0ab", "/%7F", "/a/%1f"]) assert.deepStrictEqual(ofPath(path), controls, path)
    for (const path of ["/a\u0000b", "/a\r\nHost: evil", "/\u007f", "/x?q=\n"]) {
      assert.deepStrictEqual(ofPath(path), refused("url", "must not hold control characters"), JSON.stringify(path))
    }
  })

  it("refuses a percent sign that escapes nothing", () => {
    for (const path of ["/100%", "/%zz", "/%e2%82", "/a/%"]) {
      assert.deepStrictEqual(ofPath(path), refused("path", "has a percent sign that escapes nothing"), path)
    }
  })

  it("refuses segments and URLs that are too long, on both sides of the boundary", () => {
    const segment = (length: number) => `/v1/${"s".repeat(length)}/x`
    const url = (length: number) => `${origin}/${"a/".repeat(5000)}`.slice(0, length)

    assert.isUndefined(ofPath(segment(1024)))
    assert.deepStrictEqual(
      ofPath(segment(1025)),
      refused("path", "segment must have at most 1024 characters, has 1025")
    )
    assert.isUndefined(ofUrl(url(8192)))
    assert.deepStrictEqual(ofUrl(url(8193)), refused("url", "must have at most 8192 characters, has 8193"))
  })

  it("looks at a path without an origin too", () => {
    for (const path of ["/a/../b", "/../b", "/.."]) assert.deepStrictEqual(ofUrl(path), dots)
    assert.isUndefined(ofUrl("/a/b"))
  })
})

describe("Outgoing.problemOf of a query", () => {
  it("lets through whatever can be encoded", () => {
    assert.isUndefined(ofQuery({ q: "a&b=c #?/../\u20ac \ud83d\ude00 %", "filter[a]": "" }))
  })

  it("refuses control characters in names and values, secret ones too (SAFE-10)", () => {
    const detail = "must not hold control characters"

    assert.deepStrictEqual(ofQuery({ ok: "1", q: "a\nb" }), refused("query q", detail))
    assert.deepStrictEqual(ofQuery({ "filter[a]": "\u0000" }), refused("query filter[a]", detail))
    assert.deepStrictEqual(ofQuery({ "a\r\nb c": "1" }), refused("query a??b?c", detail))
    assert.deepStrictEqual(ofQuery({ key: Redacted.make("a\u007f") }), refused("query key", detail))
  })

  it("refuses values that are too long, on both sides of the boundary", () => {
    assert.isUndefined(ofQuery({ q: "v".repeat(4096) }))
    assert.deepStrictEqual(
      ofQuery({ q: "v".repeat(4097) }),
      refused("query q", "must have at most 4096 characters, has 4097")
    )
  })

  it("shows no value (AUTH-10)", () => {
    for (const secret of ["planted\n", "planted".repeat(1000)]) {
      assert.notInclude(JSON.stringify(ofQuery({ key: Redacted.make(secret) })), "planted")
    }
  })
})

describe("Outgoing.problemOf of headers", () => {
  it("lets through what a field can carry", () => {
    for (const value of ["", "plain", "gr\u00fc\u00dfe", 'a, b; c="d"', "\u00a0\u00ff"])
      assert.isUndefined(ofHeader("x-note", value), value)
  })

  it("refuses CR, LF and other controls (SAFE-10)", () => {
    const problem = refused("header x-note", "must not hold control characters, CR or LF")

    for (const value of ["a\r\nX-Evil: 1", "a\nb", "a\rb", "\u0000", "a\tb", "\u007f"]) {
      assert.deepStrictEqual(ofHeader("X-Note", value), problem, JSON.stringify(value))
    }
  })

  it("refuses values that are too long, on both sides of the boundary", () => {
    assert.isUndefined(ofHeader("x-note", "v".repeat(8192)))
    assert.deepStrictEqual(
      ofHeader("x-note", "v".repeat(8193)),
      refused("header x-note", "must have at most 8192 characters, has 8193")
    )
  })

  it("looks at every header", () => {
    const request = HttpClientRequest.get(origin, { headers: { a: "1", b: "2", c: "3\n" } })

    assert.deepStrictEqual(
      Outgoing.problemOf(request),
      refused("header c", "must not hold control characters, CR or LF")
    )
  })
})

describe("Outgoing.problemOf of anything", () => {
  const wellFormed = Schema.String.check(Schema.makeFilter((text) => !/\p{Surrogate}/u.test(text)))

  it.prop(
    "keeps every path parameter that it lets through in its own segment",
    [wellFormed],
    ([value]) => {
      const url = `${origin}/things/${encodeURIComponent(value)}/parts`

      if (ofUrl(url) !== undefined) return
      const segments = new URL(url).pathname.split("/")
      assert.deepStrictEqual([segments.length, segments[1], segments[3]], [4, "things", "parts"])
      assert.strictEqual(decodeURIComponent(segments[2] ?? ""), value)
    },
    { arbitrary: { runs: 2000, size: 40, seed: "segments" } }
  )

  const Piece = Schema.Literals([".", "..", "%2e", "%2E", "/", "%2f", "\\", "%5c", "a", "%", "?", "#", " ", "\u00e9"])

  it.prop(
    "lets no path through whose segments a URL parser would take away",
    [Schema.Array(Piece)],
    ([pieces]) => {
      const path = `/v1/${pieces.join("")}`

      if (ofPath(path) !== undefined) return
      assert.isTrue(new URL(origin + path).pathname.startsWith("/v1/"))
      const [raw = ""] = path.split(/[?#]/u)
      assert.strictEqual(new URL(origin + path).pathname.split("/").length, raw.split(/[/\\]/u).length)
    },
    { arbitrary: { runs: 3000, size: 10, seed: "dots" } }
  )

  it.prop(
    "lets no header value through that a transport refuses or splits",
    [Schema.String],
    ([value]) => {
      if (ofHeader("x-note", value) !== undefined) return
      const headers = new Headers([["x-note", value]])
      assert.strictEqual(headers.get("x-note"), value.replaceAll(/^ +| +$/gu, ""))
    },
    { arbitrary: { runs: 2000, size: 30, seed: "headers" } }
  )

  it.prop(
    "never throws",
    [Schema.String, Schema.String, Schema.String, Schema.String],
    ([path, name, value, header]) => {
      const request = HttpClientRequest.get(origin + path).pipe(
        HttpClientRequest.appendUrlParam(name, value),
        HttpClientRequest.setHeader("x-note", header)
      )
      const problem = Outgoing.problemOf(request)

      assert.isTrue(problem === undefined || problem instanceof InvalidRequest)
    },
    { arbitrary: { runs: 1000, size: 30, seed: "any request" } }
  )
})

describe("Outgoing.isAllowed", () => {
  it("takes https, and http on loopback (SAFE-8)", () => {
    for (const url of ["https://acme.test", "http://localhost:3000", "http://127.0.0.1"])
      assert.isTrue(Outgoing.isAllowed(url), url)
    for (const url of ["http://acme.test", "", "/path", "acme.test", "ftp://localhost"])
      assert.isFalse(Outgoing.isAllowed(url), url)
  })

  it("has a refusal for all others that names the rule", () => {
    assert.deepStrictEqual(Outgoing.insecure, refused("url", "must be https, or http on loopback"))
  })
})
