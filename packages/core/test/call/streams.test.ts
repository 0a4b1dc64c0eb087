import { assert, describe, it } from "@effect/vitest"
import { Call, Health, Idempotency, ProviderError } from "@breakwater/core"
import type { CallPolicy } from "@breakwater/core"
import { Effect, Exit, Fiber, Result, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { HttpClientError, type HttpClientResponse } from "effect/http"
import { Census } from "../support/Census.ts"
import * as Fake from "../support/FakeTransport.ts"
import * as Media from "../support/Media.ts"
import { counted } from "../support/Metrics.ts"
import { inScenario, LogBook, outcome, run } from "../support/Scenario.ts"

const params = { id: "f1" }
const bytes = { "content-type": "application/octet-stream" }

const connect = (script: Fake.Script, policy: CallPolicy.CallPolicy = {}) => {
  const transport = Fake.make(script)
  return Effect.map(Media.connect(transport, { policy }), (media) => ({ media, transport }))
}

const held = Effect.map(Health.snapshot, ({ connections: [connection] }) => connection?.bulkhead.inFlight)
const circuit = Effect.map(Health.snapshot, ({ connections: [connection] }) => connection?.circuit)

/** A body of which a test knows how much was taken, whether it was let go, and how often it was read. */
const source = (pieces: ReadonlyArray<Fake.Piece>) => {
  const seen = { taken: 0, closed: 0 }
  const step: Fake.Step = (request) =>
    Effect.map(Fake.chunks(pieces, 200, bytes)(request), (response) => {
      const watched = Stream.ensuring(
        Stream.tap(Stream.rechunk(response.stream, 1), () => Effect.sync(() => void seen.taken++)),
        Effect.sync(() => void seen.closed++)
      )
      return new Proxy(response, {
        get: (target, name) => (name === "stream" ? watched : (Reflect.get(target, name) as unknown))
      })
    })
  return { seen, step }
}

const text = (stream: Stream.Stream<Uint8Array, unknown>) => Stream.mkString(Stream.decodeText(stream))
const read = (media: Media.MediaClient) =>
  Effect.scoped(Effect.flatMap(media.downloads.get({ params }), ({ stream }) => text(stream)))

/** The error that a stream ends with, and the text that came before it. */
const broken = <E>(stream: Stream.Stream<Uint8Array, E>) =>
  Effect.gen(function* () {
    let came = ""
    const decoder = new TextDecoder()
    const ended = yield* Effect.result(
      Stream.runForEach(stream, (piece) => Effect.sync(() => void (came += decoder.decode(piece))))
    )
    const error = Result.isFailure(ended) ? ended.failure : undefined
    return { came, error: ProviderError.isProviderError(error) ? error : undefined, other: error }
  })

describe("an answer that is read as it comes", () => {
  it.effect("is there when its headers are, and its body is given as it comes", () =>
    inScenario(
      Effect.gen(function* () {
        const { media } = yield* connect([Fake.chunks(["one ", 2000, "two ", 2000, "three"], 200, bytes)])
        const scope = yield* Scope.make()
        const { outcome: answer, took } = yield* run(Scope.provide(media.downloads.get({ params }), scope))

        assert.strictEqual(took, 0)
        const { value } = answer as { value: Effect.Success<ReturnType<Media.MediaClient["downloads"]["get"]>> }
        assert.deepStrictEqual([value.status, value.contentType], [200, "application/octet-stream"])
        const body = yield* run(text(value.stream))

        assert.deepStrictEqual(body, { outcome: { value: "one two three" }, took: 4000 })
      })
    )
  )

  it.effect("may take longer than attempt and deadline, as long as it is not silent", () =>
    inScenario(
      Effect.gen(function* () {
        const pieces = Array.from({ length: 20 }, () => [4999, "x"]).flat()
        const { media } = yield* connect([Fake.chunks(pieces, 200, bytes)])

        assert.deepStrictEqual(yield* run(read(media)), { outcome: { value: "x".repeat(20) }, took: 99_980 })
        assert.strictEqual(yield* held, 0)
      })
    )
  )

  it.effect("is silent when no byte comes for the silence timeout, and is not asked for again", () => {
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        const { seen, step } = source(["abc", 5001, "def"])
        const { media, transport } = yield* connect([step], { breaker: { consecutiveFailures: 1 } })
        const { outcome: ended, took } = yield* run(
          Effect.scoped(Effect.flatMap(media.downloads.get({ params }), ({ stream }) => broken(stream)))
        )
        const { value } = ended as { value: Effect.Success<ReturnType<typeof broken>> }

        assert.strictEqual(took, 5000)
        assert.strictEqual(value.came, "abc")
        assert.strictEqual(value.error?._tag, "RetryableError")
        assert.strictEqual(value.error?.bytesRead, 3)
        assert.strictEqual(value.error?.message, "media.downloads.get: silence timeout after 5s after 3 bytes")
        assert.deepStrictEqual([transport.sent.length, seen.closed], [1, 1])
        assert.deepStrictEqual(
          book.of("Warn").map(({ message }) => message),
          ["media.downloads.get stream failed after 3 bytes: silence timeout after 5s"]
        )
        // The attempt ended with its headers: what came afterwards says nothing to the breaker.
        assert.deepInclude(yield* circuit, { state: "closed", failureRate: null })
      }),
      book
    )
  })

  it.effect("does not run while its reader is slow, and takes nothing that was not asked for", () =>
    inScenario(
      Effect.gen(function* () {
        const { seen, step } = source(["a", "b", "c"])
        const { media } = yield* connect([step])
        const taken: Array<number> = []
        const slow = Effect.scoped(
          Effect.flatMap(media.downloads.get({ params }), ({ stream }) =>
            Stream.runForEach(stream, () => {
              taken.push(seen.taken)
              return Effect.sleep("1 minute")
            })
          )
        )
        const { took } = yield* run(slow)

        assert.strictEqual(took, 180_000)
        assert.deepStrictEqual(taken, [1, 2, 3])
      })
    )
  )

  const failures = [
    ["get", "RetryableError"],
    ["render", "OutcomeUnknown"],
    ["print", "RetryableError"]
  ] as const

  it.effect.each(failures)("that breaks off is of %s a %s, in the stream", ([name, tag]) =>
    inScenario(
      Effect.gen(function* () {
        const { media, transport } = yield* connect([
          Fake.chunks(["abc", { code: "ECONNRESET" }], 200, bytes),
          Fake.chunks(["whole"], 200, bytes)
        ])
        const { downloads } = media
        const called = {
          get: downloads.get({ params }),
          render: downloads.render(),
          print: Idempotency.withKey("a")(downloads.print())
        }[name]
        const ended = yield* Effect.scoped(
          Effect.flatMap(called as typeof downloads.get extends (..._: never) => infer E ? E : never, ({ stream }) =>
            broken(stream)
          )
        )

        assert.strictEqual(ended.came, "abc")
        assert.strictEqual(ended.error?._tag, tag)
        assert.strictEqual(ended.error?.bytesRead, 3)
        assert.strictEqual(ended.error?.reason._tag, "TransportFailed")
        assert.strictEqual(transport.sent.length, 1)
        assert.strictEqual(yield* held, 0)
      })
    )
  )

  it.effect("is retried as long as there are no headers", () =>
    inScenario(
      Effect.gen(function* () {
        const { media, transport } = yield* connect([
          Fake.broken("ECONNRESET"),
          Fake.json({ error: "later" }, 503),
          Fake.chunks(["abc"], 200, bytes)
        ])

        assert.deepStrictEqual(yield* run(read(media)), { outcome: { value: "abc" }, took: 300 })
        assert.strictEqual(transport.sent.length, 3)
      })
    )
  )

  it.effect("has its declared error, and that of an undeclared status, as ever", () =>
    inScenario(
      Effect.gen(function* () {
        const { media } = yield* connect([
          Fake.json({ _tag: "Gone", since: "May" }, 410),
          Fake.json({ error: "no" }, 404),
          Fake.chunks(["x"], 206, bytes)
        ])
        const gone = yield* Effect.flip(read(media))
        const missing = yield* Effect.flip(read(media))
        const partial = yield* Effect.flip(read(media))

        assert.deepInclude(gone, { _tag: "Gone", since: "May" })
        assert.strictEqual(ProviderError.isProviderError(missing) ? missing.excerpt : "", '{"error":"no"}')
        assert.strictEqual(ProviderError.isProviderError(partial) ? partial.reason._tag : "", "ResponseInvalid")
        assert.strictEqual(yield* held, 0)
      })
    )
  )

  it.effect("ends with a clear error when it is larger than it may be, on both sides of the boundary", () =>
    inScenario(
      Effect.gen(function* () {
        const { seen, step } = source(["abc", "def", "ghi"])
        const { media } = yield* connect([Fake.chunks(["abc", "def"], 200, bytes), step], {
          streaming: { maxBytes: 6 }
        })
        assert.deepStrictEqual((yield* run(read(media))).outcome, { value: "abcdef" })
        const ended = yield* Effect.scoped(
          Effect.flatMap(media.downloads.get({ params }), ({ stream }) => broken(stream))
        )

        assert.strictEqual(ended.came, "abcdef")
        assert.strictEqual(
          ended.error?.message,
          "media.downloads.get: invalid response (200): expected at most 6 bytes after 6 bytes"
        )
        assert.strictEqual(ended.error?._tag, "FatalError")
        assert.strictEqual(seen.closed, 1)
      })
    )
  )

  it.effect("is not taken for whole when it is shorter than it was announced", () =>
    inScenario(
      Effect.gen(function* () {
        const { media } = yield* connect([
          Fake.chunks(["abc"], 200, { ...bytes, "content-length": "4" }),
          Fake.chunks(["abc"], 200, { ...bytes, "content-length": "4", "content-encoding": "gzip" })
        ])
        const ended = yield* Effect.scoped(
          Effect.flatMap(media.downloads.get({ params }), ({ stream }) => broken(stream))
        )

        assert.strictEqual(ended.error?.reason.message, "transport failed with ETRUNCATED")
        assert.deepStrictEqual((yield* run(read(media))).outcome, { value: "abc" })
      })
    )
  )

  it.effect("is over at its own deadline, whether it is waited for or not", () =>
    inScenario(
      Effect.gen(function* () {
        const { media } = yield* connect([Fake.chunks(["a", 3000, "b", 3000, "c"], 200, bytes)], {
          streaming: { deadline: "4 seconds" }
        })
        const waiting = yield* run(
          Effect.scoped(Effect.flatMap(media.downloads.get({ params }), ({ stream }) => broken(stream)))
        )
        const value = (waiting.outcome as { value: Effect.Success<ReturnType<typeof broken>> }).value

        assert.strictEqual(waiting.took, 4000)
        assert.deepStrictEqual([value.came, value.error?.reason.message], ["ab", "deadline of 4s exceeded"])
        const scope = yield* Scope.make()
        const unread = yield* Scope.provide(media.downloads.get({ params }), scope)
        assert.strictEqual(yield* held, 1)
        yield* TestClock.adjust("3999 millis")
        assert.strictEqual(yield* held, 1)
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(yield* held, 0)
        const late = yield* broken(unread.stream)
        assert.strictEqual(late.error?.reason._tag, "DeadlineExceeded")
      })
    )
  )

  it.effect("ends with a deadline that its reader has", () =>
    inScenario(
      Effect.gen(function* () {
        const { media } = yield* connect([Fake.chunks(["a", 3000, "b", 3000, "c"], 200, bytes)])
        const reading = Effect.flatMap(media.downloads.get({ params }), ({ stream }) =>
          Call.withDeadline(broken(stream), "4 seconds")
        )
        const { outcome: ended, took } = yield* run(Effect.scoped(reading))
        const { came, error } = (ended as { value: Effect.Success<ReturnType<typeof broken>> }).value

        assert.deepStrictEqual([came, error?.reason._tag, took], ["ab", "DeadlineExceeded", 4000])
      })
    )
  )

  it.effect("is read once", () =>
    inScenario(
      Effect.gen(function* () {
        const { media } = yield* connect([Fake.chunks(["a"], 200, bytes)])
        const scope = yield* Scope.make()
        const answer = yield* Scope.provide(media.downloads.get({ params }), scope)
        yield* Stream.runDrain(answer.stream)

        assert.isTrue(Exit.hasDies(yield* Effect.exit(Stream.runDrain(answer.stream))))
      })
    )
  )

  it.effect("gives lines of JSON by their schema, and drift where one does not fit", () =>
    inScenario(
      Effect.gen(function* () {
        const type = { "content-type": "application/x-ndjson" }
        const { media } = yield* connect([Fake.chunks(['{"id":1}\n{"i', 'd":2}\n{"id":"x"}\n'], 200, type)])
        const items: Array<number> = []
        const reading = Effect.flatMap(media.downloads.lines({ params }), ({ stream }) =>
          Stream.runForEach(stream, ({ id }) => Effect.sync(() => void items.push(id)))
        )
        const error = yield* Effect.flip(Effect.scoped(reading))

        assert.deepStrictEqual(items, [1, 2])
        assert.strictEqual(error.reason._tag, "ResponseInvalid")
        assert.strictEqual(yield* held, 0)
      })
    )
  )
})

describe("the slot of an answer that is read as it comes", () => {
  it.effect("is held until the body has come to its end, so that downloads at once are bounded", () =>
    inScenario(
      Effect.gen(function* () {
        const { media } = yield* connect([Fake.chunks(["a", 2000, "b"], 200, bytes)], {
          bulkhead: { concurrency: 1 }
        })
        const both = Effect.all([read(media), read(media)], { concurrency: 2 })

        assert.deepStrictEqual(yield* run(both), { outcome: { value: ["ab", "ab"] }, took: 4000 })
        assert.strictEqual(yield* held, 0)
      })
    )
  )

  const leaving = {
    "whoever takes only the beginning": (stream: Stream.Stream<Uint8Array, unknown>) => Stream.runHead(stream),
    "whoever fails on the way": (stream: Stream.Stream<Uint8Array, unknown>) =>
      Stream.runForEach(stream, () => Effect.fail("no")),
    "whoever does not read at all": () => Effect.void
  }

  it.effect.each(Object.entries(leaving))("is given back by %s, with the connection", ([, leave]) =>
    inScenario(
      Effect.gen(function* () {
        const census = new Census()
        const { seen, step } = source(["abc", 1000, "def"])
        const { media } = yield* connect([step])
        const using = Effect.flatMap(media.downloads.get({ params }), ({ stream }) => leave(stream))
        yield* census.of(Effect.exit(Effect.scoped(using)))

        assert.strictEqual(yield* held, 0)
        assert.strictEqual(seen.closed, 1)
        assert.deepStrictEqual([census.fibers, census.sleeps], [0, 0])
        const series = yield* counted
        assert.strictEqual(
          Object.keys(series).some((id) => id.startsWith("breakwater.stream.duration") && id.includes("outcome=left")),
          true
        )
      })
    )
  )

  it.effect("is given back by an interruption at any instant", () =>
    inScenario(
      Effect.gen(function* () {
        for (const millis of [0, 500, 1000, 1500, 2000]) {
          const census = new Census()
          const { step } = source(["abc", 1000, "def", 1000, "ghi"])
          const { media, transport } = yield* connect([Fake.late(500, step)])
          const fiber = yield* Effect.forkChild(census.of(read(media)), { startImmediately: true })
          yield* TestClock.adjust(millis)
          yield* Fiber.interrupt(fiber)

          assert.strictEqual(outcome(yield* Fiber.await(fiber)), "interrupted")
          assert.strictEqual(yield* held, 0, `after ${millis}`)
          assert.deepStrictEqual([transport.open(), census.fibers, census.sleeps], [0, 0, 0])
        }
      })
    )
  )
})

describe("the key of an answer that is read as it comes", () => {
  it.effect("is in use until then, free after a failure, and used up by the end", () =>
    inScenario(
      Effect.gen(function* () {
        const { media } = yield* connect([
          Fake.chunks(["abc", { code: "ECONNRESET" }], 200, bytes),
          Fake.chunks(["abc"], 200, bytes)
        ])
        const print = Effect.scoped(
          Effect.gen(function* () {
            const answer = yield* media.downloads.print()
            const second = yield* Effect.result(media.downloads.print())
            const { came, error } = yield* broken(answer.stream)
            return { came, error: error?._tag, second: Result.isFailure(second) ? second.failure.reason._tag : "sent" }
          })
        )
        const [first, again, third] = yield* Effect.all([print, print, Effect.result(print)]).pipe(
          Idempotency.withKey("order/1")
        )

        assert.deepStrictEqual(first, { came: "abc", error: "RetryableError", second: "Locked" })
        assert.deepStrictEqual(again, { came: "abc", error: undefined, second: "Locked" })
        assert.strictEqual(Result.isFailure(third) ? third.failure.reason._tag : "", "InvalidRequest")
      })
    )
  )
})

describe("Call.streaming", () => {
  const url = "https://plain.test/file"
  const plain = (script: Fake.Script, policy?: CallPolicy.CallPolicy) =>
    Call.client(Fake.make(script).client, { provider: "plain", policy })

  it.effect("gives a plain answer when its headers have come", () =>
    inScenario(
      Effect.gen(function* () {
        const client = yield* plain([Fake.empty(503), Fake.chunks(["abc", 60_000], 200, bytes)])
        const response = client.get(url).pipe(Call.streaming)
        const { outcome: came, took } = yield* run(Effect.scoped(Effect.map(response, ({ status }) => status)))

        assert.deepStrictEqual([came, took], [{ value: 200 }, 100])
        assert.strictEqual(yield* held, 0)
      })
    )
  )

  it.effect("has our error as the cause of the one in the stream", () =>
    inScenario(
      Effect.gen(function* () {
        const client = yield* plain([Fake.chunks(["abc", { code: "ECONNRESET" }], 200, bytes)])
        const reading = Effect.flatMap(client.get(url).pipe(Call.streaming), ({ stream }) => broken(stream))
        const { came, other } = yield* Effect.scoped(reading)

        assert.strictEqual(came, "abc")
        assert.isTrue(HttpClientError.isHttpClientError(other))
        const cause = HttpClientError.isHttpClientError(other) ? other.cause : undefined
        assert.strictEqual(ProviderError.isProviderError(cause) ? cause.bytesRead : undefined, 3)
      })
    )
  )

  it.effect(
    "reads an answer that is no success whole, and a success within maxBodyBytes where all of it is asked for",
    () =>
      inScenario(
        Effect.gen(function* () {
          const client = yield* plain(
            [Fake.json({ a: 1 }, 404), Fake.json({ id: 1 }), Fake.chunks(["abcdef", "ghijkl"], 200, bytes)],
            { maxBodyBytes: 10 }
          )
          const get = (use: (response: HttpClientResponse.HttpClientResponse) => Effect.Effect<unknown, unknown>) =>
            Effect.scoped(Effect.flatMap(client.get(url).pipe(Call.streaming), use))

          assert.deepStrictEqual(yield* get(({ json }) => json), { a: 1 })
          assert.deepStrictEqual(yield* get((response) => Effect.all([response.json, response.text])), [
            { id: 1 },
            '{"id":1}'
          ])
          const error = yield* Effect.flip(get(({ text }) => text))
          assert.include(HttpClientError.isHttpClientError(error) ? error.message : "", "larger than 10 bytes")
          assert.strictEqual(yield* held, 0)
        })
      )
  )
})

describe("hedge and coalesce", () => {
  it.effect("leave an answer alone that is read as it comes", () =>
    inScenario(
      Effect.gen(function* () {
        const { media, transport } = yield* connect([Fake.late(500, Fake.chunks(["abc"], 200, bytes))], {
          hedge: { delay: "100 millis" },
          coalesce: true
        })
        const both = yield* run(Effect.all([read(media), read(media)], { concurrency: 2 }))

        assert.deepStrictEqual(both, { outcome: { value: ["abc", "abc"] }, took: 500 })
        assert.strictEqual(transport.sent.length, 2)
      })
    )
  )
})
