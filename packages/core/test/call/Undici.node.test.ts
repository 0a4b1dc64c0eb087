import { assert, describe, it } from "@effect/vitest"
import { Call, Idempotency } from "@breakwater/core"
import * as Undici from "@breakwater/core/node/Undici"
import { Effect, Exit, Fiber } from "effect"
import * as Acme from "../support/Acme.ts"
import * as Loopback from "../support/Loopback.ts"
import { outcome } from "../support/Scenario.ts"

const order = { id: "o1", amount: 100 }
const params = { id: "o1" }
const bounded = { timeout: 10_000 }

/** The client of Acme over a real transport to a port. */
const connect = (port: number, options: Undici.UndiciOptions = {}, rest: Parameters<typeof Acme.connect>[1] = {}) =>
  Acme.connect({ layer: Undici.layer(options) }, { baseUrl: `http://127.0.0.1:${port}`, ...rest })

const ended = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.map(Effect.exit(effect), outcome)

/** How long an effect took on the wall clock, in milliseconds. */
const timed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const before = performance.now()
    return Effect.map(ended(effect), (outcome) => ({ outcome, took: performance.now() - before }))
  })

const json = JSON.stringify(order)
const head = (length: number) =>
  `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n`

describe("Undici.layer", () => {
  it.live(
    "carries a GET and a POST with their headers and bytes, as they were encoded",
    () =>
      Effect.gen(function* () {
        const requests: Array<unknown> = []
        const server = yield* Loopback.http((request, response) => {
          let body = ""
          request.setEncoding("utf8")
          request.on("data", (chunk: string) => (body += chunk))
          request.on("end", () => {
            const { authorization, "idempotency-key": key, "x-request-id": id, "user-agent": agent } = request.headers
            requests.push([request.method, request.url, body, { authorization, key, id, agent }])
            if (request.url === "/ping") response.writeHead(204).end()
            else response.writeHead(200, { "content-type": "application/json" }).end(json)
          })
        })
        const acme = yield* connect(server.port)
        const got = yield* acme.orders.get({ params: { id: "a/b" } }).pipe(Call.withCorrelationId("c-1"))
        yield* acme.orders.ping().pipe(Call.withCorrelationId("c-2"))
        const created = yield* acme.orders
          .create({ payload: { amount: 1, note: "ü" } })
          .pipe(Idempotency.withKey("k"), Call.withCorrelationId("c-3"))

        assert.deepStrictEqual([got, created], [order, order])
        const authorization = "Bearer test_4242abcd"
        const agent = "breakwater"
        assert.deepStrictEqual(requests, [
          ["GET", "/orders/a%2Fb", "", { authorization, key: undefined, id: "c-1", agent }],
          ["GET", "/ping", "", { authorization, key: undefined, id: "c-2", agent }],
          ["POST", "/orders", '{"amount":1,"note":"ü"}', { authorization, key: "k", id: "c-3", agent }]
        ])
      }),
    bounded
  )

  const kept: ReadonlyArray<readonly [string, number | undefined]> = [
    ["a short body", 10],
    ["a long body", 100_000],
    ["no body", undefined]
  ]

  it.live.each(kept)(
    "keeps its connections after answers with %s",
    ([, length]) =>
      Effect.gen(function* () {
        const text = JSON.stringify({ ...order, id: "x".repeat(length ?? 0) })
        const server = yield* Loopback.http((request, response) => {
          const announced = request.headers["x-request-id"] === "announced" ? { "content-length": text.length } : {}
          if (request.url === "/ping") response.writeHead(204).end()
          else response.writeHead(200, { "content-type": "application/json", ...announced }).end(text)
        })
        const acme = yield* connect(server.port)
        const call = length === undefined ? acme.orders.ping() : acme.orders.get({ params })
        for (let n = 0; n < 10; n++) yield* call.pipe(Call.withCorrelationId(n % 2 === 0 ? "announced" : "chunked"))

        // A second one is opened where a call begins before the last answer has quite left its socket.
        assert.isAtMost(server.opened(), 2)
      }),
    bounded
  )

  it.live(
    "gives up a connection whose TLS handshake stalls, at its connect timeout: nothing was sent",
    () =>
      Effect.gen(function* () {
        // It takes the connection and says nothing.
        const server = yield* Loopback.tcp(() => undefined)
        const acme = yield* connect(
          server.port,
          { connectTimeout: 300 },
          { baseUrl: `https://127.0.0.1:${server.port}`, policy: { attempts: 1, connectTimeout: 300 } }
        )
        const { outcome, took } = yield* timed(acme.orders.capture({ params, payload: { amount: 1 } }))

        assert.deepStrictEqual(outcome, {
          class: "RetryableError",
          attempts: 1,
          reason: { _tag: "Timeout", phase: "connect", after: 300 },
          sent: "no"
        })
        // Undici's own timer would be up to a second late.
        assert.isAtLeast(took, 290)
        assert.isBelow(took, 800)
        assert.isTrue(yield* Loopback.until(() => server.open() === 0))
      }),
    bounded
  )

  it.live(
    "gives up a TLS handshake that drips, at the connect timeout: not counted from the last byte",
    () =>
      Effect.gen(function* () {
        const server = yield* Loopback.tcp((socket) => {
          // The header of a TLS record of 16 KiB: more has to follow.
          socket.write(Uint8Array.of(22, 3, 3, 64, 0))
          const drip = setInterval(() => socket.write(Uint8Array.of(2)), 50)
          socket.on("close", () => clearInterval(drip))
        })
        const acme = yield* connect(
          server.port,
          { connectTimeout: 300 },
          { baseUrl: `https://127.0.0.1:${server.port}`, policy: { attempts: 1, connectTimeout: 300 } }
        )
        const { outcome, took } = yield* timed(acme.orders.get({ params }))

        assert.deepStrictEqual(outcome, {
          class: "RetryableError",
          attempts: 1,
          reason: { _tag: "Timeout", phase: "connect", after: 300 },
          sent: "no"
        })
        assert.isAtLeast(took, 290)
        assert.isBelow(took, 800)
      }),
    bounded
  )

  it.live(
    "does not take the connect timeout for a silence: an answer may take longer than that",
    () =>
      Effect.gen(function* () {
        const server = yield* Loopback.http((_, response) => {
          setTimeout(() => response.writeHead(200, { "content-type": "application/json" }).end(json), 400)
        })
        const acme = yield* connect(server.port, { connectTimeout: 100 })

        assert.deepStrictEqual(yield* ended(acme.orders.get({ params })), { value: order })
        assert.deepStrictEqual(yield* ended(acme.orders.get({ params })), { value: order })
      }),
    bounded
  )

  it.live(
    "tells a port where nobody listens from a lost answer",
    () =>
      Effect.gen(function* () {
        const gone = yield* Effect.scoped(Loopback.tcp(() => undefined))
        const acme = yield* connect(gone.port, {}, { policy: { attempts: 1 } })

        assert.deepStrictEqual(yield* ended(acme.orders.capture({ params, payload: { amount: 1 } })), {
          class: "RetryableError",
          attempts: 1,
          reason: { _tag: "TransportFailed", code: "ECONNREFUSED" },
          sent: "no"
        })
      }),
    bounded
  )

  it.live(
    "tells a reset before any answer: an unsafe write is then unknown",
    () =>
      Effect.gen(function* () {
        const server = yield* Loopback.tcp((socket) => {
          socket.once("data", () => socket.resetAndDestroy())
        })
        const acme = yield* connect(server.port)
        const got = yield* ended(acme.orders.capture({ params, payload: { amount: 1 } }))

        assert.deepInclude(got as object, { class: "OutcomeUnknown", attempts: 1 })
        assert.deepInclude((got as { reason: object }).reason, { _tag: "TransportFailed" })
        assert.strictEqual(server.opened(), 1)
      }),
    bounded
  )

  const cuts: ReadonlyArray<readonly [string, string]> = [
    ["announced", `${head(json.length)}${json.slice(0, 5)}`],
    ["announced and long", `${head(200_000)}${" ".repeat(100_000)}`],
    [
      "in chunks",
      `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n5\r\n${json.slice(0, 5)}\r\n`
    ]
  ]

  for (const how of ["reset", "closed"] as const) {
    it.live.each(cuts)(
      `tries again after a body, %s, that is ${how} in the middle`,
      ([, beginning]) =>
        Effect.gen(function* () {
          const server = yield* Loopback.tcp((socket, nth) => {
            socket.on("data", () => {
              if (nth > 1) {
                socket.end(`${head(json.length)}${json}`)
                return
              }
              socket.write(beginning)
              setTimeout(() => (how === "reset" ? socket.resetAndDestroy() : socket.end()), 50)
            })
          })
          const acme = yield* connect(server.port)

          assert.deepStrictEqual(yield* ended(acme.orders.get({ params })), { value: order })
          assert.strictEqual(server.opened(), 2)
        }),
      bounded
    )
  }

  it.live(
    "leaves a body that is cut in the middle as what it is: a failure of the transport",
    () =>
      Effect.gen(function* () {
        const server = yield* Loopback.tcp((socket) => {
          socket.on("data", () => {
            socket.write(`${head(100)}{`)
            setTimeout(() => socket.resetAndDestroy(), 20)
          })
        })
        const acme = yield* connect(server.port, {}, { policy: { attempts: 1 } })
        const got = yield* ended(acme.orders.get({ params }))

        assert.deepInclude(got as object, { class: "RetryableError", attempts: 1, sent: "unknown" })
        assert.strictEqual((got as { reason: { _tag: string } }).reason._tag, "TransportFailed")
      }),
    bounded
  )

  /** Where a server may leave its client waiting. */
  const stalls: ReadonlyArray<readonly [string, string]> = [
    ["before the headers", ""],
    ["in an announced body", `${head(100)}{`],
    ["in a long body", `${head(200_000)}${" ".repeat(1000)}`],
    ["in a body of chunks", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n"]
  ]

  it.live.each(stalls)(
    "closes the socket of an attempt that is interrupted %s",
    ([, beginning]) =>
      Effect.gen(function* () {
        let talked = false
        const server = yield* Loopback.tcp((socket) => {
          socket.on("data", () => {
            talked = true
            if (beginning !== "") socket.write(beginning)
          })
        })
        const acme = yield* connect(server.port)
        const fiber = yield* Effect.forkChild(acme.orders.get({ params }))
        assert.isTrue(yield* Loopback.until(() => talked))
        yield* Effect.sleep(50)
        assert.strictEqual(server.open(), 1)
        yield* Fiber.interrupt(fiber)

        assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
        assert.isTrue(yield* Loopback.until(() => server.open() === 0))
      }),
    bounded
  )

  it.live.each(stalls)(
    "closes the socket of an attempt that is silent for too long %s",
    ([, beginning]) =>
      Effect.gen(function* () {
        const server = yield* Loopback.tcp((socket) => {
          socket.on("data", () => void (beginning !== "" && socket.write(beginning)))
        })
        const acme = yield* connect(server.port, {}, { policy: { attempts: 1, silenceTimeout: 200 } })
        const { outcome, took } = yield* timed(acme.orders.get({ params }))

        assert.deepStrictEqual(outcome, {
          class: "RetryableError",
          attempts: 1,
          reason: { _tag: "Timeout", phase: "silence", after: 200 },
          sent: "unknown"
        })
        assert.isBelow(took, 700)
        assert.isTrue(yield* Loopback.until(() => server.open() === 0))
      }),
    bounded
  )

  const huge: ReadonlyArray<readonly [string, string]> = [
    ["announced", head(10_000_000)],
    ["in chunks", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"]
  ]

  it.live.each(huge)(
    "closes the socket of a body beyond the limit, %s, at once",
    ([how, beginning]) =>
      Effect.gen(function* () {
        const server = yield* Loopback.tcp((socket) => {
          socket.on("data", () => {
            socket.write(beginning)
            const piece = "x".repeat(10_000)
            const pour = setInterval(() => {
              socket.write(how === "announced" ? piece : `2710\r\n${piece}\r\n`)
            }, 5)
            socket.on("close", () => clearInterval(pour))
          })
        })
        const acme = yield* connect(server.port, {}, { policy: { maxBodyBytes: 50_000 } })

        assert.deepStrictEqual(yield* ended(acme.orders.get({ params })), {
          class: "FatalError",
          attempts: 1,
          reason: { _tag: "ResponseInvalid", status: 200, path: "", expected: "at most 50000 bytes" }
        })
        assert.isTrue(yield* Loopback.until(() => server.open() === 0))
      }),
    bounded
  )

  it.live(
    "does not follow a redirect by itself, and sends no trace header",
    () =>
      Effect.gen(function* () {
        const seen: Array<ReadonlyArray<string>> = []
        const server = yield* Loopback.http((request, response) => {
          seen.push(Object.keys(request.headers).toSorted())
          response.writeHead(302, { location: "http://127.0.0.1:1/elsewhere" }).end()
        })
        const acme = yield* connect(server.port)

        assert.deepStrictEqual(yield* ended(acme.orders.get({ params })), {
          class: "FatalError",
          attempts: 1,
          reason: { _tag: "Rejected", status: 302 }
        })
        assert.deepStrictEqual(seen, [
          ["acme-version", "authorization", "connection", "host", "user-agent", "x-request-id"]
        ])
      }),
    bounded
  )

  it.live(
    "opens no more sockets to an origin than it may",
    () =>
      Effect.gen(function* () {
        const server = yield* Loopback.http((_, response) => {
          setTimeout(() => response.writeHead(200, { "content-type": "application/json" }).end(json), 30)
        })
        const acme = yield* connect(server.port, { connections: 2 })
        const all = yield* Effect.forEach([1, 2, 3, 4, 5, 6], () => acme.orders.get({ params }), {
          concurrency: "unbounded"
        })

        assert.deepStrictEqual(all, [order, order, order, order, order, order])
        assert.strictEqual(server.opened(), 2)
      }),
    bounded
  )

  it.live(
    "closes its sockets with its scope",
    () =>
      Effect.gen(function* () {
        const server = yield* Loopback.http((_, response) => response.writeHead(204).end())
        yield* Effect.scoped(Effect.flatMap(connect(server.port), (acme) => acme.orders.ping()))

        assert.strictEqual(server.opened(), 1)
        assert.isTrue(yield* Loopback.until(() => server.open() === 0))
      }),
    bounded
  )
})
