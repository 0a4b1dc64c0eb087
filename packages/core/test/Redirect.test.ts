import { assert, describe, it } from "@effect/vitest"
import { BufferedResponse } from "@breakwater/core/BufferedResponse"
import * as Redirect from "@breakwater/core/Redirect"
import type { Safety } from "@breakwater/core/Safety"
import { Effect, Schema } from "effect"
import { Headers, HttpClient, HttpClientRequest, HttpClientResponse } from "effect/http"

interface Hop {
  readonly status: number
  readonly location?: string | undefined
}

const origin = "https://acme.test"

/** Follows a script of answers, the last one for ever, and tells what was sent after the first request. */
const follow = Effect.fnUntraced(function* (
  hops: ReadonlyArray<Hop>,
  options: {
    readonly safety?: Safety
    readonly first?: HttpClientRequest.HttpClientRequest
    readonly dressed?: boolean
  } = {}
) {
  const first = options.first ?? HttpClientRequest.get(`${origin}/a`)
  const sent: Array<HttpClientRequest.HttpClientRequest> = []
  const answerTo = (request: HttpClientRequest.HttpClientRequest, hop: Hop | undefined) =>
    new BufferedResponse(
      request,
      {
        status: hop?.status ?? 200,
        headers: Headers.fromInput(hop?.location === undefined ? {} : { location: hop.location })
      },
      new Uint8Array(0)
    )
  const client = HttpClient.make((request) => {
    sent.push(request)
    return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(null)))
  })
  const answer = yield* Redirect.follow({
    client,
    first,
    dress: options.dressed === true ? HttpClientRequest.setHeader("authorization", "Bearer k1") : (request) => request,
    safety: options.safety ?? "safe",
    answer: Effect.succeed(answerTo(first, hops[0])),
    read: (response) => Effect.succeed(answerTo(response.request, hops[sent.length] ?? hops.at(-1)))
  })
  const urls = sent.map((request) => HttpClientRequest.toWeb(request).pipe(Effect.map(({ url }) => url)))
  return { status: answer.status, sent, urls: yield* Effect.all(urls) }
})

const end: Hop = { status: 200 }

describe("Redirect.follow", () => {
  it.effect("follows each kind of redirect of a read to the same origin (RFC 9110 §15.4)", () =>
    Effect.gen(function* () {
      for (const status of [301, 302, 303, 307, 308]) {
        const { status: last, urls } = yield* follow([{ status, location: "/b" }, end])
        assert.deepStrictEqual([last, urls], [200, [`${origin}/b`]], String(status))
      }
    })
  )

  it.effect("hands on what is no redirect, or points nowhere", () =>
    Effect.gen(function* () {
      for (const hop of [
        end,
        { status: 300, location: "/b" },
        { status: 304, location: "/b" },
        { status: 305, location: "/b" },
        { status: 404, location: "/b" },
        { status: 302 },
        { status: 302, location: "https://" }
      ]) {
        const { status, urls } = yield* follow([hop, end])
        assert.deepStrictEqual([status, urls], [hop.status, []])
      }
    })
  )

  it.effect("never follows for a write, whatever its method", () =>
    Effect.gen(function* () {
      for (const safety of ["idempotent", "keyed", "unsafe"] as const) {
        const { status, urls } = yield* follow([{ status: 307, location: "/b" }, end], { safety })
        assert.deepStrictEqual([status, urls], [307, []], safety)
      }
    })
  )

  it.effect("crosses no origin, and does not leave https", () =>
    Effect.gen(function* () {
      const elsewhere = [
        "https://evil.test/a",
        "//evil.test/a",
        "http://acme.test/b",
        "https://acme.test:8443/b",
        "https://acme.test.evil.test/b",
        "https://acme.test@evil.test/",
        "javascript:alert(1)",
        "data:text/plain,x",
        "\\\\evil.test/a"
      ]

      for (const location of elsewhere) {
        const { status, urls } = yield* follow([{ status: 302, location }, end])
        assert.deepStrictEqual([status, urls], [302, []], location)
      }
    })
  )

  it.effect("stops at the first hop to another origin", () =>
    Effect.gen(function* () {
      const { status, urls } = yield* follow([
        { status: 302, location: "/b" },
        { status: 302, location: "https://evil.test" },
        end
      ])

      assert.deepStrictEqual([status, urls], [302, [`${origin}/b`]])
    })
  )

  it.effect("resolves relative places against the place before", () =>
    Effect.gen(function* () {
      const { urls } = yield* follow(
        [
          { status: 302, location: "../c/d?x=1" },
          { status: 302, location: "e" },
          { status: 302, location: "?y=2" },
          { status: 302, location: `${origin}/f#part` },
          end
        ],
        { first: HttpClientRequest.get(`${origin}/a/b/c`) }
      )

      assert.deepStrictEqual(urls, [`${origin}/a/c/d?x=1`, `${origin}/a/c/e`, `${origin}/a/c/e?y=2`, `${origin}/f`])
    })
  )

  it.effect("takes the query of the new place and the headers of the old", () =>
    Effect.gen(function* () {
      const first = HttpClientRequest.get(`${origin}/a`, { urlParams: { page: "1" }, headers: { accept: "text/x" } })

      const { sent, urls } = yield* follow([{ status: 302, location: "/b?lang=en" }, end], { first })

      assert.deepStrictEqual(urls, [`${origin}/b?lang=en`])
      assert.strictEqual(sent[0]?.headers["accept"], "text/x")
    })
  )

  it.effect("drops a user and password that the new place names", () =>
    Effect.gen(function* () {
      const { urls } = yield* follow([{ status: 302, location: "https://user:pass@acme.test/b" }, end])

      assert.deepStrictEqual(urls, [`${origin}/b`])
    })
  )

  it.effect("dresses every request anew", () =>
    Effect.gen(function* () {
      const { sent } = yield* follow([{ status: 302, location: "/b" }, { status: 302, location: "/c" }, end], {
        dressed: true
      })

      assert.deepStrictEqual(
        sent.map(({ headers }) => headers["authorization"]),
        ["Bearer k1", "Bearer k1"]
      )
    })
  )

  it.effect("follows five, and hands on the sixth", () =>
    Effect.gen(function* () {
      const five = yield* follow([...Array.from({ length: 5 }, (_, n) => ({ status: 302, location: `/${n}` })), end])
      const endless = yield* follow([{ status: 302, location: "/loop" }])

      assert.strictEqual(Redirect.limit, 5)
      assert.deepStrictEqual([five.status, five.urls.length], [200, 5])
      assert.deepStrictEqual([endless.status, endless.urls.length], [302, 5])
    })
  )

  it.effect("makes a GET without a body of anything after 303, and keeps method and body after the others", () =>
    Effect.gen(function* () {
      const search = HttpClientRequest.post(`${origin}/search`).pipe(
        HttpClientRequest.bodyText('{"q":1}', "application/json")
      )
      const shape = Effect.fnUntraced(function* (status: number, first: HttpClientRequest.HttpClientRequest) {
        const { sent } = yield* follow([{ status, location: "/b" }, end], { first })
        return [
          sent[0]?.method,
          sent[0]?.body._tag,
          sent[0]?.headers["content-type"],
          sent[0]?.headers["content-length"]
        ]
      })

      assert.deepStrictEqual(yield* shape(303, search), ["GET", "Empty", undefined, undefined])
      for (const status of [301, 302, 307, 308]) {
        assert.deepStrictEqual(yield* shape(status, search), ["POST", "Uint8Array", "application/json", "7"])
      }
      assert.deepStrictEqual((yield* shape(303, HttpClientRequest.head(`${origin}/a`)))[0], "HEAD")
    })
  )

  const Piece = Schema.Literals([
    "/",
    "//",
    "\\",
    "evil.test",
    "acme.test",
    ":",
    "@",
    "https:",
    "http:",
    "?",
    "#",
    "..",
    "%2f",
    " ",
    "443"
  ])

  it.effect.prop(
    "never sends anything to another origin, whatever an answer points to",
    [Schema.Array(Piece)],
    ([pieces]) =>
      Effect.gen(function* () {
        const { urls } = yield* follow([{ status: 302, location: pieces.join("") }, end])

        for (const url of urls) assert.strictEqual(new URL(url).origin, origin)
      }),
    { arbitrary: { runs: 1000, size: 8, seed: "places" } }
  )
})
