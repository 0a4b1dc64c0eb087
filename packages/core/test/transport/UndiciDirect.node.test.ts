/** The pipeline over the Node transport, which it uses without effects: what that must not change. */
import { assert, describe, it } from "@effect/vitest"
import { Auth, Call } from "@breakwater/core"
import * as Undici from "@breakwater/core/node/Undici"
import { Context, Effect, Exit, Fiber, Layer, Stream } from "effect"
import { HttpBody, HttpClient, HttpClientRequest } from "effect/http"
import type * as Http from "node:http"
import * as Acme from "../support/Acme.ts"
import * as Loopback from "../support/Loopback.ts"
import { inScenario, LogBook, outcome } from "../support/Scenario.ts"

const bounded = { timeout: 20_000 }
const order = { id: "o1", amount: 100 }
const params = { id: "o1" }

const connect = (port: number, rest: Parameters<typeof Acme.connect>[1] = {}, provider = Acme.provider) =>
  Acme.connectTo(provider, { layer: Undici.layer() }, { baseUrl: `http://127.0.0.1:${port}`, ...rest })

/** A plain client, and the same with every protection. */
const both = Effect.gen(function* () {
  const plain = Context.get(yield* Layer.build(Undici.layer()), HttpClient.HttpClient)
  return { plain, called: yield* Call.client(plain, { provider: "acme" }) }
})

const answer = (response: Http.ServerResponse, body: unknown) =>
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body))

describe("a call over the Node transport", () => {
  const urls: ReadonlyArray<readonly [string, ReadonlyArray<readonly [string, string]>]> = [
    ["", []],
    ["/", []],
    ["/a/b.c/~d-e_f", []],
    ["/a/", []],
    ["/a%20b", []],
    ["/a b/ü", []],
    ["/a//b", []],
    ["/.hidden", []],
    ["/a/.b", []],
    ["/a?b=c d&e=ü#f", []],
    ["/a;b=c,d@e:f", []],
    ["/a", [["q", "a b&ü/?"]]],
    ["/a?x=1", [["y", "2"]]]
  ]

  it.live.each(urls)(
    "asks for %s with %j as Effect's clients do",
    ([path, query]) =>
      Effect.gen(function* () {
        const asked: Array<string | undefined> = []
        const server = yield* Loopback.http((request, response) => {
          asked.push(request.url)
          response.end()
        })
        const { called, plain } = yield* both
        const request = HttpClientRequest.appendUrlParams(
          HttpClientRequest.get(`http://127.0.0.1:${server.port}${path}`),
          query
        )
        for (const client of [plain, called]) yield* Effect.exit(client.execute(request))

        assert.strictEqual(asked.length, 2)
        assert.strictEqual(asked[1], asked[0])
      }),
    bounded
  )

  it.live(
    "fails before anything is sent when there is no URL",
    () =>
      Effect.gen(function* () {
        const { called } = yield* both
        const exit = yield* Effect.exit(called.get("http://127.0.0.1:99999/"))

        assert.isTrue(Exit.isFailure(exit))
      }),
    bounded
  )

  it.live(
    "follows the redirects of a read, with its credential",
    () =>
      Effect.gen(function* () {
        const asked: Array<unknown> = []
        const server = yield* Loopback.http((request, response) => {
          asked.push([request.url, request.headers.authorization])
          if (request.url === "/orders/o1") response.writeHead(307, { location: "/moved" }).end()
          else if (request.url === "/moved") response.writeHead(302, { location: "again" }).end()
          else answer(response, order)
        })
        const acme = yield* connect(server.port)

        assert.deepStrictEqual(yield* acme.orders.get({ params }), order)
        const authorization = "Bearer test_4242abcd"
        assert.deepStrictEqual(asked, [
          ["/orders/o1", authorization],
          ["/moved", authorization],
          ["/again", authorization]
        ])
      }),
    bounded
  )

  it.live(
    "carries a credential in the query, and a query of its own",
    () =>
      Effect.gen(function* () {
        const asked: Array<string | undefined> = []
        const server = yield* Loopback.http((request, response) => {
          asked.push(request.url)
          answer(response, [order])
        })
        const acme = yield* connect(server.port, {}, Acme.variant({ auth: Auth.query("api_key") }))
        yield* acme.orders.find({ query: { q: "a b" }, headers: {} })

        assert.deepStrictEqual(asked, ["/orders?q=a+b&api_key=test_4242abcd"])
      }),
    bounded
  )

  it.live(
    "sends a body that is a stream, once",
    () =>
      Effect.gen(function* () {
        const bodies: Array<string> = []
        const server = yield* Loopback.http((request, response) => {
          let body = ""
          request.on("data", (piece: Buffer) => (body += piece.toString()))
          request.on("end", () => {
            bodies.push(body)
            response.writeHead(503).end()
          })
        })
        const { called } = yield* both
        const body = HttpBody.stream(Stream.make("one ", "two").pipe(Stream.encodeText))
        const url = `http://127.0.0.1:${server.port}/`
        const response = yield* called.execute(HttpClientRequest.setBody(HttpClientRequest.put(url), body))

        assert.strictEqual(response.status, 503)
        assert.deepStrictEqual(bodies, ["one two"])
      }),
    bounded
  )

  it.live(
    "reads cookies off the answer",
    () =>
      Effect.gen(function* () {
        const server = yield* Loopback.http((_, response) => {
          response.setHeader("set-cookie", ["a=1", "b=2"])
          response.end()
        })
        const { called } = yield* both
        const response = yield* called.get(`http://127.0.0.1:${server.port}/`)

        assert.deepStrictEqual(Object.keys(response.cookies.cookies), ["a", "b"])
      }),
    bounded
  )

  it.live(
    "keeps each call's own time, however many wait at once",
    () =>
      Effect.gen(function* () {
        const server = yield* Loopback.http(() => undefined)
        const acme = yield* connect(server.port, { policy: { attempts: 1 } })
        const ended: Array<unknown> = []
        const before = performance.now()
        const waiting = (millis: number) =>
          Effect.map(Effect.exit(Call.withPolicy(acme.orders.get({ params }), { silenceTimeout: millis })), (exit) => {
            const { reason } = outcome(exit) as { readonly reason: object }
            ended.push({ ...reason, inTime: performance.now() - before >= millis - 5 })
          })
        yield* Effect.forEach([1200, 300, 600, 900], waiting, { concurrency: "unbounded" })

        const silence = (after: number) => ({ _tag: "Timeout", phase: "silence", after, inTime: true })
        assert.deepStrictEqual(ended, [silence(300), silence(600), silence(900), silence(1200)])
        assert.isTrue(yield* Loopback.until(() => server.open() === 0))
      }),
    bounded
  )

  it.live(
    "hears every piece of a body, also of a short one whose length is announced",
    () =>
      Effect.gen(function* () {
        const json = JSON.stringify(order)
        const server = yield* Loopback.http((_, response) => {
          response.writeHead(200, { "content-type": "application/json", "content-length": json.length })
          for (let at = 0; at < json.length; at++) setTimeout(() => response.write(json[at]), 30 * at)
        })
        const acme = yield* connect(server.port, { policy: { attempts: 1, silenceTimeout: 400 } })

        assert.deepStrictEqual(yield* acme.orders.get({ params }), order)
      }),
    bounded
  )

  it.live(
    "says of a write that its caller abandons that nobody knows, and closes its socket",
    () =>
      Effect.gen(function* () {
        const book = new LogBook()
        const server = yield* Loopback.http(() => undefined)
        yield* inScenario(
          Effect.gen(function* () {
            const acme = yield* connect(server.port)
            const fiber = yield* Effect.forkChild(acme.orders.capture({ params, payload: { amount: 1 } }))
            assert.isTrue(yield* Loopback.until(() => server.open() === 1))
            yield* Effect.sleep(20)
            yield* Fiber.interrupt(fiber)
          }),
          book
        )

        assert.deepStrictEqual(
          book.of("Warn").map(({ message }) => message),
          ["acme.orders.capture abandoned: interrupted while attempt 1 was under way, outcome unknown"]
        )
        assert.isTrue(yield* Loopback.until(() => server.open() === 0))
      }),
    bounded
  )
})
