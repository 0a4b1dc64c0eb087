import { assert, describe, it } from "@effect/vitest"
import * as BodyRead from "@breakwater/core/BodyRead"
import { Effect, Exit, Fiber, Schema } from "effect"
import { HttpClientRequest, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"

const request = HttpClientRequest.get("https://acme.test/x")

const encode = (text: string) => new TextEncoder().encode(text)

/** An answer of fetch with these chunks, and what became of its body. */
const answer = (
  chunks: ReadonlyArray<string>,
  options: {
    readonly headers?: Record<string, string>
    readonly status?: number
    readonly endless?: boolean
    readonly error?: Error
  } = {}
) => {
  const state = { pulled: 0, cancelled: false }
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const chunk = chunks[state.pulled++]
        if (chunk !== undefined) controller.enqueue(encode(chunk))
        else if (options.error !== undefined) controller.error(options.error)
        else if (options.endless !== true) controller.close()
        else return new Promise<void>(() => undefined)
        return undefined
      },
      cancel() {
        state.cancelled = true
      }
    },
    { highWaterMark: 0 }
  )
  const { headers, status } = options
  const web = new Response(body, {
    ...(headers === undefined ? {} : { headers }),
    ...(status === undefined ? {} : { status })
  })
  return { source: HttpClientResponse.fromWeb(request, web), state }
}

/** Reads with a limit, and counts what was heard. */
const read = Effect.fnUntraced(function* (source: HttpClientResponse.HttpClientResponse, limit: number) {
  let heard = 0
  const exit = yield* Effect.exit(BodyRead.read(source, limit, { heard: () => void heard++ }))
  return { outcome: Exit.isSuccess(exit) ? new TextDecoder().decode(exit.value) : "failed", exit, heard }
})

const tooLarge = (limit: number, status = 200) => Exit.fail(new BodyRead.BodyTooLarge({ limit, status }))

describe("BodyRead.read", () => {
  it.effect("joins chunks, each of which is a sign of life (SAFE-1)", () =>
    Effect.gen(function* () {
      const { source } = answer(["a", "bc", "", "d"])

      const { heard, outcome } = yield* read(source, 100)

      assert.deepStrictEqual([outcome, heard], ["abcd", 4])
    })
  )

  it.effect("reads a short body of announced length at once", () =>
    Effect.gen(function* () {
      const { source } = answer(["abcd"], { headers: { "content-length": "4" } })

      const { heard, outcome } = yield* read(source, 4)

      assert.deepStrictEqual([outcome, heard], ["abcd", 0])
    })
  )

  it.effect("reads a long one in chunks, on both sides of the boundary", () =>
    Effect.gen(function* () {
      const heardOf = Effect.fnUntraced(function* (length: number) {
        const half = "x".repeat(length / 2)
        const { source } = answer([half, half], { headers: { "content-length": String(length) } })
        const { heard, outcome } = yield* read(source, 1_000_000)
        return [outcome.length, heard]
      })

      assert.deepStrictEqual(yield* heardOf(BodyRead.readAtOnce), [65_536, 0])
      assert.deepStrictEqual(yield* heardOf(BodyRead.readAtOnce + 2), [65_538, 2])
    })
  )

  it.effect("does not believe the announced length of a body that was compressed", () =>
    Effect.gen(function* () {
      const { source, state } = answer(["x".repeat(50), "x".repeat(51)], {
        headers: { "content-length": "20", "content-encoding": "gzip" }
      })

      const { exit } = yield* read(source, 100)

      assert.deepStrictEqual(exit, tooLarge(100))
      assert.isTrue(state.cancelled)
    })
  )

  it.effect("takes a body of exactly the limit, and no byte more", () =>
    Effect.gen(function* () {
      const exact = yield* read(answer(["ab", "cd"]).source, 4)
      const more = yield* read(answer(["ab", "cde"], { status: 207 }).source, 4)
      const announced = yield* read(answer(["abcd"], { headers: { "content-length": "4" } }).source, 4)

      assert.deepStrictEqual([exact.outcome, announced.outcome], ["abcd", "abcd"])
      assert.deepStrictEqual(more.exit, tooLarge(4, 207))
      assert.strictEqual(new BodyRead.BodyTooLarge({ limit: 4, status: 207 }).message, "body larger than 4 bytes")
    })
  )

  it.effect("cuts off a body without end as soon as it is beyond the limit", () =>
    Effect.gen(function* () {
      const endless = Array.from({ length: 1000 }, () => "x".repeat(100))
      const { source, state } = answer(endless, { endless: true })

      const { exit, heard } = yield* read(source, 450)

      assert.deepStrictEqual(exit, tooLarge(450))
      assert.strictEqual(heard, 4)
      assert.isAtMost(state.pulled, 7)
      assert.isTrue(state.cancelled)
    })
  )

  it.effect("reads nothing of a body that announces to be beyond the limit, on both sides of the boundary", () =>
    Effect.gen(function* () {
      const over = answer(["x"], { headers: { "content-length": "101" }, endless: true })
      const at = answer(["x".repeat(100)], { headers: { "content-length": "100" } })

      const { exit, heard } = yield* read(over.source, 100)

      assert.deepStrictEqual([exit, heard], [tooLarge(100), 0])
      assert.strictEqual((yield* read(at.source, 100)).outcome.length, 100)
    })
  )

  it.effect("reads in chunks when the announced length is no number", () =>
    Effect.gen(function* () {
      for (const length of ["", "-1", "1e9", "4, 4", "abc", "1234567890123456"]) {
        const { heard, outcome } = yield* read(
          answer(["ab", "cd"], { headers: { "content-length": length } }).source,
          4
        )
        assert.deepStrictEqual([outcome, heard], ["abcd", 2], length)
      }
    })
  )

  it.effect("takes an answer without a body for an empty one", () =>
    Effect.gen(function* () {
      const source = HttpClientResponse.fromWeb(request, new Response(null))

      assert.strictEqual((yield* read(source, 4)).outcome, "")
    })
  )

  it.effect("fails as the transport fails, when the body ends early", () =>
    Effect.gen(function* () {
      const reset = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" })

      const { exit, heard } = yield* read(answer(["ab"], { error: reset }).source, 100)

      const error = Exit.isFailure(exit) ? JSON.stringify(exit.cause) : ""
      assert.include(error, "HttpClientError")
      assert.strictEqual(heard, 1)
    })
  )

  it.effect("lets go of the body when it is interrupted", () =>
    Effect.gen(function* () {
      const { source, state } = answer(["ab"], { endless: true })
      const reading = yield* Effect.forkChild(read(source, 100), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      const before = state.cancelled

      yield* Fiber.interrupt(reading)

      assert.deepStrictEqual([before, state.cancelled], [false, true])
    })
  )

  it.effect.prop(
    "gives the bytes that were sent, or says that they are too many, whatever the chunks",
    [
      Schema.Array(Schema.String),
      Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 60 })),
      Schema.Literals(["announced", "not announced", "compressed"])
    ],
    ([texts, limit, kind]) =>
      Effect.gen(function* () {
        const body = texts.join("").replaceAll(/\p{Surrogate}/gu, "?")
        const { length } = encode(body)
        const headers: Record<string, string> = {
          announced: { "content-length": String(length) },
          "not announced": {},
          compressed: { "content-length": "1", "content-encoding": "gzip" }
        }[kind]
        const chunks = body.match(/.{1,7}/gsu) ?? []
        const { source } = answer(chunks, { headers })

        const { exit, outcome } = yield* read(source, limit)

        if (length > limit) assert.deepStrictEqual(exit, tooLarge(limit))
        else assert.strictEqual(outcome, body)
      }),
    { arbitrary: { runs: 300, size: 12, seed: "chunks" } }
  )
})

describe("BodyRead.isEmpty", () => {
  it("knows which answers have no body, whatever their headers say", () => {
    const isEmpty = (method: "GET" | "HEAD" | "POST", status: number) =>
      BodyRead.isEmpty(
        HttpClientRequest.make(method)("https://acme.test"),
        HttpClientResponse.fromWeb(request, new Response(null, { status }))
      )

    for (const status of [200, 204, 304, 404]) assert.isTrue(isEmpty("HEAD", status))
    for (const status of [204, 205, 304]) assert.isTrue(isEmpty("GET", status))
    for (const status of [200, 201, 202, 206, 302, 400, 500]) assert.isFalse(isEmpty("POST", status))
  })
})
