/** The transport by itself, as any `HttpClient`: what goes out, what comes in, and what becomes of the socket. */
import { assert, describe, it } from "@effect/vitest"
import * as Undici from "@breakwater/core/node/Undici"
import { Cause, Context, Effect, Exit, Fiber, Layer, Stream, Tracer } from "effect"
import { HttpBody, HttpClient, HttpClientRequest } from "effect/http"
import type * as Http from "node:http"
import { Agent, MockAgent } from "undici"
import * as Loopback from "../support/Loopback.ts"

const bounded = { timeout: 20_000 }

const clientOf = (options?: Undici.UndiciOptions) =>
  Effect.map(Layer.build(Undici.layer(options)), (context) => Context.get(context, HttpClient.HttpClient))

const untraced = Effect.provideService(HttpClient.TracerDisabledWhen, () => true)

/** Answers with what it was sent. */
const mirror = Loopback.http((request, response) => {
  const pieces: Array<Buffer> = []
  request.on("data", (piece: Buffer) => pieces.push(piece))
  request.on("end", () => {
    const { "content-length": length, "content-type": type, "transfer-encoding": encoding } = request.headers
    const body = Buffer.concat(pieces).toString("latin1")
    response.end(JSON.stringify({ method: request.method, url: request.url, length, type, encoding, body }))
  })
})

const post = (port: number, body: HttpBody.HttpBody) =>
  HttpClientRequest.setBody(HttpClientRequest.post(`http://127.0.0.1:${port}/in?a=1#not-sent`), body)

const failureOf = (exit: Exit.Exit<unknown, unknown>) => {
  const error = Exit.isFailure(exit) ? Cause.findErrorOption(exit.cause) : undefined
  return error?._tag === "Some" ? (error.value as { reason: { _tag: string; cause?: unknown } }).reason : undefined
}

const codeOf = (exit: Exit.Exit<unknown, unknown>) => (failureOf(exit)?.cause as { code?: string } | undefined)?.code

describe("Undici.layer: requests", () => {
  const sent: ReadonlyArray<readonly [string, HttpBody.HttpBody, Record<string, unknown>]> = [
    ["nothing", HttpBody.empty, { length: "0", body: "" }],
    [
      "text",
      HttpBody.text("hellö"),
      { length: "6", type: "text/plain", body: Buffer.from("hellö").toString("latin1") }
    ],
    ["JSON", HttpBody.jsonUnsafe({ a: 1 }), { length: "7", type: "application/json", body: '{"a":1}' }],
    [
      "bytes",
      HttpBody.uint8Array(Uint8Array.of(0, 255)),
      { length: "2", type: "application/octet-stream", body: "\0ÿ" }
    ],
    ["no bytes", HttpBody.uint8Array(new Uint8Array(0), "text/plain"), { length: "0", type: "text/plain", body: "" }],
    [
      "part of a buffer",
      HttpBody.uint8Array(new Uint8Array(new TextEncoder().encode("abcdef").buffer, 2, 3), "text/plain"),
      { length: "3", type: "text/plain", body: "cde" }
    ],
    ["raw text", HttpBody.raw("raw", { contentType: "text/plain" }), { length: "3", type: "text/plain", body: "raw" }],
    ["a raw view", HttpBody.raw(Uint8Array.of(65, 66)), { length: "2", body: "AB" }],
    [
      "a stream",
      HttpBody.stream(Stream.make(Uint8Array.of(65), Uint8Array.of(66)), "text/plain"),
      { type: "text/plain", encoding: "chunked", body: "AB" }
    ],
    [
      "a stream of a known length",
      HttpBody.stream(Stream.make(Uint8Array.of(65), Uint8Array.of(66)), "text/plain", 2),
      { type: "text/plain", length: "2", body: "AB" }
    ]
  ]

  it.live.each(sent)(
    "sends %s as it is",
    ([, body, expected]) =>
      Effect.gen(function* () {
        const server = yield* mirror
        const client = yield* clientOf()
        const response = yield* client.execute(post(server.port, body))
        const got = yield* response.json

        assert.deepStrictEqual(got, { method: "POST", url: "/in?a=1", ...expected })
      }),
    bounded
  )

  it.live(
    "sends a form with its files, under a boundary that the type names",
    () =>
      Effect.gen(function* () {
        const server = yield* mirror
        const client = yield* clientOf()
        const form = new FormData()
        form.append("field", "value")
        form.append("file", new File(["content"], "name.txt", { type: "text/plain" }))
        const response = yield* client.execute(post(server.port, HttpBody.formData(form)))
        const { body, type } = (yield* response.json) as { readonly body: string; readonly type: string }
        const boundary = /boundary=(?<boundary>.+)$/u.exec(type)?.groups?.["boundary"] ?? "none"

        assert.include(body, `--${boundary}\r\n`)
        assert.include(body, 'name="field"\r\n\r\nvalue\r\n')
        assert.include(body, 'name="file"; filename="name.txt"\r\nContent-Type: text/plain\r\n\r\ncontent\r\n')
      }),
    bounded
  )

  it.live(
    "is given an answer while the request still goes out",
    () =>
      Effect.gen(function* () {
        const server = yield* Loopback.http((request, response) => void request.pipe(response))
        const client = yield* clientOf()
        let release = (_: string) => undefined as void
        const second = Effect.callback<Uint8Array>((resume) => {
          release = (text) => resume(Effect.succeed(new TextEncoder().encode(text)))
        })
        const upload = Stream.concat(Stream.succeed(new TextEncoder().encode("one ")), Stream.fromEffect(second))
        const response = yield* client.execute(post(server.port, HttpBody.stream(upload)))
        release("two")

        assert.strictEqual(yield* response.text, "one two")
      }),
    bounded
  )

  it.live(
    "fails when the stream that it sends fails, and closes the socket",
    () =>
      Effect.gen(function* () {
        const server = yield* Loopback.http((request) => void request.resume())
        const client = yield* clientOf()
        const upload = Stream.concat(Stream.succeed(Uint8Array.of(1)), Stream.fail(new Error("disk gone")))
        const exit = yield* Effect.exit(client.execute(post(server.port, HttpBody.stream(upload))))

        assert.strictEqual(failureOf(exit)?._tag, "TransportError")
        assert.strictEqual((failureOf(exit)?.cause as Error | undefined)?.message, "disk gone")
        assert.isTrue(yield* Loopback.until(() => server.open() === 0))
      }),
    bounded
  )

  it.live(
    "stops reading the stream that it sends when nobody is there, or the caller leaves",
    () =>
      Effect.gen(function* () {
        const gone = yield* Effect.scoped(Loopback.tcp(() => undefined))
        const deaf = yield* Loopback.http((request) => void request.resume())
        const client = yield* clientOf()
        let closed = 0
        const upload = Stream.concat(Stream.succeed(Uint8Array.of(1)), Stream.never).pipe(
          Stream.ensuring(Effect.sync(() => void closed++))
        )
        yield* Effect.exit(client.execute(post(gone.port, HttpBody.stream(upload))))
        const fiber = yield* Effect.forkChild(client.execute(post(deaf.port, HttpBody.stream(upload))))
        assert.isTrue(yield* Loopback.until(() => deaf.open() === 1))
        yield* Effect.sleep(50)
        yield* Fiber.interrupt(fiber)

        assert.isTrue(yield* Loopback.until(() => deaf.open() === 0))
        // The first one was never begun.
        assert.isTrue(yield* Loopback.until(() => closed === 1))
      }),
    bounded
  )

  it.live(
    "uploads no faster than it is read",
    () =>
      Effect.gen(function* () {
        let heard: Http.IncomingMessage | undefined
        const server = yield* Loopback.http((request) => {
          heard = request
          request.pause()
        })
        const client = yield* clientOf()
        const piece = new Uint8Array(256 * 1024)
        let made = 0
        const upload = Stream.fromIterable(Array.from({ length: 400 }, () => piece)).pipe(
          Stream.rechunk(1),
          Stream.tap(() => Effect.sync(() => void made++))
        )
        const fiber = yield* Effect.forkChild(client.execute(post(server.port, HttpBody.stream(upload))))
        assert.isTrue(yield* Loopback.until(() => heard !== undefined))
        yield* Effect.sleep(300)
        const before = made
        yield* Fiber.interrupt(fiber)

        // What the buffers of the system and of Node hold, out of 100 MB.
        assert.isBelow(before, 100)
      }),
    bounded
  )

  it.live(
    "refuses a header that undici does not take, as a failure of the transport",
    () =>
      Effect.gen(function* () {
        const server = yield* mirror
        const client = yield* clientOf()
        const exit = yield* Effect.exit(
          client.get(`http://127.0.0.1:${server.port}/`, { headers: { "keep-alive": "1" } })
        )

        assert.strictEqual(codeOf(exit), "UND_ERR_INVALID_ARG")
        assert.strictEqual(server.opened(), 0)
      }),
    bounded
  )
})

describe("Undici.layer: answers", () => {
  it.live(
    "reads a body as text, JSON, bytes, form parameters and a form, as often as one likes",
    () =>
      Effect.gen(function* () {
        const server = yield* Loopback.http((request, response) => {
          response.setHeader("content-type", "application/x-www-form-urlencoded")
          response.end(request.url === "/json" ? '{"a":1}' : "a=1&b=2")
        })
        const client = yield* clientOf()
        const json = yield* client.get(`http://127.0.0.1:${server.port}/json`)
        const form = yield* client.get(`http://127.0.0.1:${server.port}/form`)

        assert.deepStrictEqual(yield* json.json, { a: 1 })
        assert.strictEqual(yield* json.text, '{"a":1}')
        assert.strictEqual((yield* json.arrayBuffer).byteLength, 7)
        assert.strictEqual(yield* Stream.mkString(Stream.decodeText(json.stream)), '{"a":1}')
        assert.deepStrictEqual((yield* form.urlParamsBody).params, [
          ["a", "1"],
          ["b", "2"]
        ])
        assert.strictEqual((yield* form.formData).get("b"), "2")
      }),
    bounded
  )

  it.live(
    "joins a header that came twice, and reads each cookie",
    () =>
      Effect.gen(function* () {
        const server = yield* Loopback.http((_, response) => {
          response.setHeader("X-Twice", ["one", "two"])
          response.setHeader("Set-Cookie", ["a=1; Path=/", "b=2"])
          response.end()
        })
        const client = yield* clientOf()
        const response = yield* client.get(`http://127.0.0.1:${server.port}/`)

        assert.strictEqual(response.headers["x-twice"], "one, two")
        assert.strictEqual(response.headers["set-cookie"], "a=1; Path=/, b=2")
        assert.deepStrictEqual(Object.keys(response.cookies.cookies), ["a", "b"])
      }),
    bounded
  )

  // Undici opens a connection anew after HEAD, since some servers send a body all the same.
  const bodiless: ReadonlyArray<readonly [string, "GET" | "HEAD", number, number]> = [
    ["HEAD", "HEAD", 200, 3],
    ["204", "GET", 204, 1],
    ["304", "GET", 304, 1]
  ]

  it.live.each(bodiless)(
    "reads no body of %s",
    ([, method, status, opened]) =>
      Effect.gen(function* () {
        const server = yield* Loopback.http((_, response) => {
          response.writeHead(status, method === "HEAD" ? { "content-length": "10" } : {}).end()
        })
        const client = yield* clientOf({ connections: 1 })
        for (let n = 0; n < 3; n++) {
          const request = HttpClientRequest.make(method)(`http://127.0.0.1:${server.port}/`)
          const response = yield* client.execute(request)
          assert.strictEqual(response.status, status)
          assert.strictEqual(yield* response.text, "")
        }

        assert.strictEqual(server.opened(), opened)
      }),
    bounded
  )

  it.live(
    "waits for the answer behind an informational one, and ignores trailers",
    () =>
      Effect.gen(function* () {
        const server = yield* Loopback.tcp((socket) => {
          socket.on("data", () => {
            socket.write("HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n")
            socket.write(
              "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n"
            )
          })
        })
        const client = yield* clientOf()
        const response = yield* client.get(`http://127.0.0.1:${server.port}/`)

        assert.strictEqual(response.status, 200)
        assert.isUndefined(response.headers["link"])
        assert.strictEqual(yield* response.text, "ok")
      }),
    bounded
  )

  it.live(
    "streams 50 MB without holding them: the server writes no faster than it is read",
    () =>
      Effect.gen(function* () {
        const piece = Buffer.alloc(64 * 1024, 1)
        let written = 0
        const server = yield* Loopback.http((_, response) => {
          const more = (): void => {
            while (written < 800) {
              written++
              if (!response.write(piece)) return void response.once("drain", more)
            }
            response.end()
          }
          more()
        })
        const client = yield* clientOf()
        const response = yield* client.get(`http://127.0.0.1:${server.port}/`)
        yield* Effect.sleep(300)
        const unread = written
        let most = 0
        let read = 0
        yield* Stream.runForEach(response.stream, (bytes) =>
          Effect.suspend(() => {
            read += bytes.length
            most = Math.max(most, written * piece.length - read)
            return read % 8 === 0 ? Effect.yieldNow : Effect.void
          })
        )

        assert.strictEqual(read, 800 * 64 * 1024)
        // What the buffers of the system hold, out of 800 pieces.
        assert.isBelow(unread, 200)
        assert.isBelow(most, 200 * piece.length)
      }),
    bounded
  )

  it.live(
    "closes the socket of a stream that is not read to its end",
    () =>
      Effect.gen(function* () {
        const server = yield* Loopback.http((_, response) => {
          const pour = setInterval(() => response.write(Buffer.alloc(10_000)), 1)
          response.on("close", () => clearInterval(pour))
        })
        const client = yield* clientOf()
        const response = yield* client.get(`http://127.0.0.1:${server.port}/`)
        const first = yield* Stream.runHead(response.stream)

        assert.isTrue(first._tag === "Some")
        assert.isTrue(yield* Loopback.until(() => server.open() === 0))
        assert.strictEqual(failureOf(yield* Effect.exit(response.text))?._tag, "DecodeError")
      }),
    bounded
  )

  it.live(
    "fails with the system's code when a body is cut off, whichever way it is read",
    () =>
      Effect.gen(function* () {
        const server = yield* Loopback.tcp((socket) => {
          socket.on("data", () => {
            socket.write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbeginning")
            setTimeout(() => socket.resetAndDestroy(), 30)
          })
        })
        const client = yield* clientOf()
        const get = client.get(`http://127.0.0.1:${server.port}/`)
        const whole = yield* Effect.exit(Effect.flatMap(get, (response) => response.text))
        const streamed = yield* Effect.exit(Effect.flatMap(get, (response) => Stream.runDrain(response.stream)))

        assert.strictEqual(failureOf(whole)?._tag, "DecodeError")
        assert.match(codeOf(whole) ?? "", /^(?:ECONNRESET|UND_ERR_SOCKET)$/u)
        assert.match(codeOf(streamed) ?? "", /^(?:ECONNRESET|UND_ERR_SOCKET)$/u)
      }),
    bounded
  )

  it.live(
    "gives back the connection of a short body that nobody reads",
    () =>
      Effect.gen(function* () {
        const server = yield* Loopback.http((_, response) => response.end("x".repeat(1000)))
        const client = yield* clientOf({ connections: 1 })
        for (let n = 0; n < 5; n++) yield* client.get(`http://127.0.0.1:${server.port}/`)

        assert.strictEqual(server.opened(), 1)
      }),
    bounded
  )

  it.live(
    "does not hand over a connection",
    () =>
      Effect.gen(function* () {
        const server = yield* Loopback.http((_, response) => response.end())
        const client = yield* clientOf()
        const response = yield* client.get(`http://127.0.0.1:${server.port}/`)

        assert.strictEqual(failureOf(yield* Effect.exit(Effect.scoped(response.upgrade)))?._tag, "DecodeError")
      }),
    bounded
  )
})

describe("Undici.layer: interruption", () => {
  it.live(
    "closes the socket of a request that is interrupted, with and without a span",
    () =>
      Effect.gen(function* () {
        const server = yield* Loopback.http(() => undefined)
        const client = yield* clientOf()
        const get = client.get(`http://127.0.0.1:${server.port}/`)
        for (const request of [get, untraced(get)]) {
          const fiber = yield* Effect.forkChild(request)
          assert.isTrue(yield* Loopback.until(() => server.open() === 1))
          yield* Effect.sleep(20)
          yield* Fiber.interrupt(fiber)
          assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
          assert.isTrue(yield* Loopback.until(() => server.open() === 0))
        }
      }),
    bounded
  )

  it.live(
    "does not send a request that was interrupted while it waited for a socket",
    () =>
      Effect.gen(function* () {
        const paths: Array<string | undefined> = []
        const server = yield* Loopback.http((request, response) => {
          paths.push(request.url)
          setTimeout(() => response.end(), 100)
        })
        const client = yield* clientOf({ connections: 1 })
        const first = yield* Effect.forkChild(client.get(`http://127.0.0.1:${server.port}/first`))
        const second = yield* Effect.forkChild(client.get(`http://127.0.0.1:${server.port}/second`))
        yield* Effect.sleep(20)
        yield* Fiber.interrupt(second)
        yield* Fiber.join(first)
        yield* client.get(`http://127.0.0.1:${server.port}/third`)

        assert.deepStrictEqual(paths, ["/first", "/third"])
      }),
    bounded
  )

  it.live(
    "closes the socket with the scope of the answer, where the client has one",
    () =>
      Effect.gen(function* () {
        const server = yield* Loopback.http((_, response) => response.writeHead(200).flushHeaders())
        const client = HttpClient.withScope(yield* clientOf())
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* client.get(`http://127.0.0.1:${server.port}/`)
            assert.strictEqual(server.open(), 1)
          })
        )

        assert.isTrue(yield* Loopback.until(() => server.open() === 0))
      }),
    bounded
  )
})

describe("Undici.layer: options", () => {
  const wrong: ReadonlyArray<readonly [string, () => Undici.UndiciOptions]> = [
    ["connections must be a whole number of at least 1, got 0", () => ({ connections: 0 })],
    ["connectTimeout must be longer than zero, and finite", () => ({ connectTimeout: 0 })],
    ["keepAlive must be longer than zero, and finite", () => ({ keepAlive: "-1 seconds" })],
    ["cert and key must stand together", () => ({ cert: "pem" })],
    ["proxy.url must be an http: or https: URL", () => ({ proxy: { url: "socks5://127.0.0.1:1" } })],
    ["dispatcher must stand alone, not beside connections", () => ({ dispatcher: new Agent(), connections: 1 })]
  ]

  it.each(wrong)("refuses: %s", (message, options) => {
    assert.throws(() => Undici.layer(options()), RangeError, `Undici.layer: ${message}`)
  })

  it.live("sends through a dispatcher of the user's own, and leaves it open", () =>
    Effect.gen(function* () {
      const mock = new MockAgent()
      mock.disableNetConnect()
      mock.get("https://acme.test").intercept({ path: "/things?a=1" }).reply(200, { id: "a" }).times(2)
      const got = Effect.scoped(
        Effect.gen(function* () {
          const client = yield* clientOf({ dispatcher: mock })
          const response = yield* client.get("https://acme.test/things?a=1")
          return yield* response.json
        })
      )

      assert.deepStrictEqual(yield* got, { id: "a" })
      assert.deepStrictEqual(yield* got, { id: "a" })
      yield* Effect.promise(() => mock.close())
    })
  )

  it.live(
    "has a span of its own, as Effect's clients do",
    () =>
      Effect.gen(function* () {
        const server = yield* Loopback.http((_, response) => response.end())
        const client = yield* clientOf()
        const names: Array<string> = []
        const tracer = Tracer.make({
          span: (options) => {
            names.push(options.name)
            return new Tracer.NativeSpan(options)
          }
        })
        yield* Effect.withTracer(client.get(`http://127.0.0.1:${server.port}/`), tracer)

        assert.deepStrictEqual(names, ["GET"])
      }),
    bounded
  )
})
