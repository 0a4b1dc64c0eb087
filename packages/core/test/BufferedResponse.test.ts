import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { BufferedResponse } from "@breakwater/core/BufferedResponse"
import { Effect, Option, Schema, Stream } from "effect"
import {
  Headers,
  HttpClientError,
  HttpClientRequest,
  HttpClientResponse,
  HttpIncomingMessage,
  UrlParams
} from "effect/http"

const request = HttpClientRequest.get("https://acme.test/x")

const bytes = (text: string) => new TextEncoder().encode(text)

const answer = (body: string, headers: Record<string, string> = {}, status = 200) =>
  new BufferedResponse(request, { status, headers: Headers.fromInput(headers) }, bytes(body))

const failureOf = <A, E>(effect: Effect.Effect<A, E>) => Effect.flip(effect)

describe("BufferedResponse", () => {
  it("is an answer of an HTTP client", () => {
    const response = answer("{}", { "content-type": "application/json" }, 201)

    assert.isTrue(HttpIncomingMessage.isHttpIncomingMessage(response))
    assert.isTrue(HttpClientResponse.TypeId in response)
    assert.deepStrictEqual([response.status, response.url, response.request], [201, "https://acme.test/x", request])
    assert.strictEqual(response.headers["content-type"], "application/json")
    assert.isUndefined(response.decoded)
  })

  it.effect("can be read again and again, in each form", () =>
    Effect.gen(function* () {
      const response = answer('{"a":"\u20ac"}')

      for (let time = 0; time < 2; time++) {
        assert.strictEqual(yield* response.text, '{"a":"\u20ac"}')
        assert.deepStrictEqual(yield* response.json, { a: "\u20ac" })
        assert.deepStrictEqual(new Uint8Array(yield* response.arrayBuffer), bytes('{"a":"\u20ac"}'))
        assert.deepStrictEqual(yield* Stream.runCollect(response.stream), [bytes('{"a":"\u20ac"}')])
      }
    })
  )

  it.effect("reads forms", () =>
    Effect.gen(function* () {
      const urlEncoded = yield* answer("a=1&b=x+y%21").urlParamsBody
      const form = yield* answer("a=1", { "content-type": "application/x-www-form-urlencoded" }).formData
      const noForm = yield* failureOf(answer("a=1", { "content-type": "text/plain" }).formData)

      assert.deepStrictEqual(UrlParams.toRecord(urlEncoded), { a: "1", b: "x y!" })
      assert.strictEqual(form.get("a"), "1")
      assert.deepStrictEqual(
        [noForm.reason._tag, "description" in noForm.reason && noForm.reason.description],
        ["DecodeError", "body is not a form"]
      )
    })
  )

  it("tells JSON from what is none, and from nothing, and looks once", () => {
    const cases: ReadonlyArray<readonly [string, unknown]> = [
      ['{"a":1}', { _tag: "Json", value: { a: 1 } }],
      ["null", { _tag: "Json", value: null }],
      ["0", { _tag: "Json", value: 0 }],
      [' "x" ', { _tag: "Json", value: "x" }],
      ["\ufeff[]", { _tag: "Json", value: [] }],
      ["", { _tag: "Empty" }],
      [" ", { _tag: "NotJson" }],
      ["<html>", { _tag: "NotJson" }],
      ['{"a":1', { _tag: "NotJson" }]
    ]

    for (const [body, parsed] of cases) {
      const response = answer(body)
      assert.deepStrictEqual(response.parsed, parsed)
      assert.strictEqual(response.parsed, response.parsed)
      assert.strictEqual(response.content, response.content)
    }
  })

  it.effect("gives null for JSON that is empty, and fails for what is none, without showing it", () =>
    Effect.gen(function* () {
      const nothing = yield* answer("").json
      const error = yield* failureOf(answer("<planted-body>").json)

      assert.isNull(nothing)
      assert.instanceOf(error, HttpClientError.HttpClientError)
      assert.strictEqual(error.reason._tag, "DecodeError")
      assert.notInclude(JSON.stringify(error) + error.message, "planted-body")
    })
  )

  it.effect("has an empty stream when there is no body", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Stream.runCollect(answer("").stream), [])
    })
  )

  it.effect("gives its own bytes only, when they are part of a larger buffer", () =>
    Effect.gen(function* () {
      const part = bytes("xxabcxx").subarray(2, 5)
      const response = new BufferedResponse(request, { status: 200, headers: Headers.empty }, part)

      assert.deepStrictEqual(new Uint8Array(yield* response.arrayBuffer), bytes("abc"))
      assert.strictEqual(response.content, "abc")
    })
  )

  it("shows neither body nor headers in JSON, as text or when inspected (AUTH-10)", () => {
    const response = answer("planted-body", { "x-secret": "planted-header" })

    const shown = [JSON.stringify(response), String(response), inspect(response, { depth: 10 })].join("\n")

    assert.deepStrictEqual(response.toJSON(), { _id: "HttpClientResponse", status: 200, bodyBytes: 12 })
    assert.notInclude(shown, "planted")
  })

  it("has the cookies and the address of the answer that it was read from", () => {
    const source = HttpClientResponse.fromWeb(request, new Response(null, { headers: { "set-cookie": "sid=1" } }))

    const fromSource = new BufferedResponse(request, source, bytes(""))
    const without = answer("", { "set-cookie": "sid=1" })

    assert.deepStrictEqual(Object.keys(fromSource.cookies.cookies), ["sid"])
    assert.deepStrictEqual(Object.keys(without.cookies.cookies), [])
    assert.deepStrictEqual([fromSource.remoteAddress, without.remoteAddress], [Option.none(), Option.none()])
  })

  it.effect("hands over no connection: it is back in its pool", () =>
    Effect.gen(function* () {
      const error = yield* failureOf(answer("").upgrade)

      assert.strictEqual(error.reason._tag, "DecodeError")
    })
  )

  it("can be piped", () => {
    const response: HttpClientResponse.HttpClientResponse = answer("x")

    assert.strictEqual(
      response.pipe(({ status }) => status + 1),
      201
    )
  })

  it.prop(
    "never throws, whatever bytes it was given",
    [Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 })))],
    ([body]) => {
      const response = new BufferedResponse(request, { status: 200, headers: Headers.empty }, new Uint8Array(body))

      assert.include(["Json", "NotJson", "Empty"], response.parsed._tag)
      assert.strictEqual(response.parsed._tag === "Empty", body.length === 0)
    },
    { arbitrary: { runs: 500, seed: "bytes" } }
  )
})
