/** Requests through a proxy: which ones, how, and what becomes of those that it refuses. */
import { assert, describe, it } from "@effect/vitest"
import * as Undici from "@breakwater/core/node/Undici"
import { Cause, ConfigProvider, Context, Effect, Exit, Layer, Redacted } from "effect"
import * as ProxyRoute from "@breakwater/core/node/ProxyRoute"
import { HttpClient } from "effect/http"
import * as Http from "node:http"
import * as Net from "node:net"
import * as Acme from "../support/Acme.ts"
import * as Certificates from "../support/Certificates.ts"
import * as Loopback from "../support/Loopback.ts"
import { outcome } from "../support/Scenario.ts"

const bounded = { timeout: 20_000 }
const authority = Certificates.authority("Test Authority")
const identity = authority.issue("acme.test", { names: ["acme.test", "elsewhere.test"] })

interface Seen {
  readonly line: string
  readonly authorization: string | undefined
}

/** A proxy that takes every name for loopback, and notes what it was asked for. `refuse` is the status of tunnels that it does not make. */
const proxyServer = (target: () => number, refuse?: number) =>
  Effect.gen(function* () {
    const seen: Array<Seen> = []
    const note = ({ headers, method, url }: Http.IncomingMessage) =>
      seen.push({ line: `${method} ${url}`, authorization: headers["proxy-authorization"] })
    const make = () => {
      const server = Http.createServer((request, response) => {
        note(request)
        response.end(`forwarded ${request.headers.host}`)
      })
      server.on("connect", (request: Http.IncomingMessage, socket: Net.Socket) => {
        note(request)
        if (refuse !== undefined) return void socket.end(`HTTP/1.1 ${refuse} No\r\nconnection: close\r\n\r\n`)
        const through = Net.connect(target(), "127.0.0.1", () => {
          socket.write("HTTP/1.1 200 Connection Established\r\n\r\n")
          through.pipe(socket).pipe(through)
        })
        for (const each of [through, socket]) each.on("error", () => [through, socket].map((both) => both.destroy()))
      })
      return server
    }
    const listening = yield* Loopback.server(make)
    return { ...listening, seen }
  })

const origin = Loopback.https(identity, (request, response) =>
  response.end(`${request.method} ${request.headers.host}`)
)

const text = Effect.fnUntraced(function* <E>(url: string, layer: Layer.Layer<HttpClient.HttpClient, E>) {
  const client = Context.get(yield* Layer.build(layer), HttpClient.HttpClient)
  return yield* Effect.flatMap(client.get(url), (response) => response.text)
})

describe("Undici.layer: proxy", () => {
  it.live(
    "asks for a tunnel to https, and speaks TLS with the target itself",
    () =>
      Effect.gen(function* () {
        const target = yield* origin
        const proxy = yield* proxyServer(() => target.port)
        const layer = Undici.layer({
          ca: authority.ca,
          proxy: { url: Redacted.make(`http://user:p%40ss@127.0.0.1:${proxy.port}`) }
        })

        assert.strictEqual(yield* text("https://acme.test/things", layer), "GET acme.test")
        assert.deepStrictEqual(proxy.seen, [
          { line: "CONNECT acme.test:443", authorization: `Basic ${Buffer.from("user:p@ss").toString("base64")}` }
        ])
      }),
    bounded
  )

  it.live(
    "keeps a tunnel for the next request",
    () =>
      Effect.gen(function* () {
        const target = yield* origin
        const proxy = yield* proxyServer(() => target.port)
        const layer = Undici.layer({
          ca: authority.ca,
          connections: 1,
          proxy: { url: `http://127.0.0.1:${proxy.port}` }
        })
        const client = Context.get(yield* Layer.build(layer), HttpClient.HttpClient)
        for (let n = 0; n < 3; n++) yield* Effect.flatMap(client.get("https://acme.test:8443/"), ({ text }) => text)

        assert.deepStrictEqual(
          proxy.seen.map(({ line }) => line),
          ["CONNECT acme.test:8443"]
        )
      }),
    bounded
  )

  it.live(
    "hands http to the proxy, with the whole URL and the target's own host",
    () =>
      Effect.gen(function* () {
        const proxy = yield* proxyServer(() => 1)
        const layer = Undici.layer({ proxy: { url: `http://u:@127.0.0.1:${proxy.port}` } })

        assert.strictEqual(yield* text("http://acme.test/a?b=1", layer), "forwarded acme.test")
        assert.deepStrictEqual(proxy.seen, [{ line: "GET http://acme.test/a?b=1", authorization: "Basic dTo=" }])
      }),
    bounded
  )

  it.live(
    "calls loopback and the hosts to be bypassed straight",
    () =>
      Effect.gen(function* () {
        const target = yield* origin
        const proxy = yield* proxyServer(() => 1)
        const layer = Undici.layer({ ca: authority.ca, proxy: { url: `http://127.0.0.1:${proxy.port}` } })

        assert.strictEqual(yield* text(`https://127.0.0.1:${target.port}/`, layer), `GET 127.0.0.1:${target.port}`)
        assert.deepStrictEqual(proxy.seen, [])
      }),
    bounded
  )

  const refusals: ReadonlyArray<readonly [string, number | undefined]> = [
    ["wants to know who asks", 407],
    ["does not reach the target", 502],
    ["is not there", undefined]
  ]

  it.live.each(refusals)(
    "says that nothing was sent when the proxy %s",
    ([, status]) =>
      Effect.gen(function* () {
        const proxy =
          status === undefined
            ? yield* Effect.scoped(Loopback.tcp(() => undefined))
            : yield* proxyServer(() => 1, status)
        const acme = yield* Acme.connect(
          { layer: Undici.layer({ proxy: { url: `http://user:hunter22@127.0.0.1:${proxy.port}` } }) },
          { baseUrl: "https://acme.test", policy: { attempts: 1 } }
        )
        const exit = yield* Effect.exit(acme.orders.capture({ params: { id: "o1" }, payload: { amount: 1 } }))

        assert.deepStrictEqual(outcome(exit), {
          class: "RetryableError",
          attempts: 1,
          reason: { _tag: "TransportFailed", code: status === undefined ? "ECONNREFUSED" : "ERR_PROXY_TUNNEL" },
          sent: "no"
        })
        assert.notInclude(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "", "hunter22")
      }),
    bounded
  )

  it.live(
    "says that nothing was sent when the proxy breaks off",
    () =>
      Effect.gen(function* () {
        const proxy = yield* Loopback.tcp((socket) => {
          socket.once("data", () => socket.resetAndDestroy())
        })
        const acme = yield* Acme.connect(
          { layer: Undici.layer({ proxy: { url: `http://127.0.0.1:${proxy.port}` } }) },
          { baseUrl: "https://acme.test", policy: { attempts: 1 } }
        )
        const exit = yield* Effect.exit(acme.orders.capture({ params: { id: "o1" }, payload: { amount: 1 } }))

        assert.deepInclude(outcome(exit) as object, { class: "RetryableError", sent: "no" })
      }),
    bounded
  )
})

const environment = (env: Record<string, string>) => ConfigProvider.layer(ConfigProvider.fromEnv({ env }))

describe("ProxyRoute.fromConfig", () => {
  const here = "http://proxy.test:3128"

  /** By which proxy a URL is called, if by any. */
  const routes: ReadonlyArray<readonly [Record<string, string>, string, boolean]> = [
    [{ HTTPS_PROXY: here }, "https://acme.test/", true],
    [{ https_proxy: here }, "https://acme.test/", true],
    [{ https_proxy: "", HTTPS_PROXY: here }, "https://acme.test/", true],
    [{ https_proxy: here, HTTPS_PROXY: "http://other.test" }, "https://acme.test/", true],
    [{ HTTP_PROXY: here }, "http://acme.test/", true],
    [{ HTTP_PROXY: here }, "https://acme.test/", false],
    [{ HTTPS_PROXY: here }, "http://acme.test/", false],
    [{}, "https://acme.test/", false],
    [{ HTTPS_PROXY: here }, "https://localhost/", false],
    [{ HTTPS_PROXY: here }, "https://a.localhost./", false],
    [{ HTTPS_PROXY: here }, "https://127.1.2.3/", false],
    [{ HTTPS_PROXY: here }, "https://[::1]:8443/", false],
    [{ HTTPS_PROXY: here, NO_PROXY: "other.test" }, "https://acme.test/", true],
    [{ HTTPS_PROXY: here, NO_PROXY: "acme.test" }, "https://acme.test/", false],
    [{ HTTPS_PROXY: here, no_proxy: "x, .acme.test" }, "https://api.acme.test/", false],
    [{ HTTPS_PROXY: here, NO_PROXY: "acme.test" }, "https://notacme.test/", true],
    [{ HTTPS_PROXY: here, NO_PROXY: "*.acme.test other.test." }, "https://OTHER.test/", false],
    [{ HTTPS_PROXY: here, NO_PROXY: "acme.test:8443" }, "https://acme.test:8443/", false],
    [{ HTTPS_PROXY: here, NO_PROXY: "acme.test:8443" }, "https://acme.test/", true],
    [{ HTTPS_PROXY: here, NO_PROXY: "acme.test:443" }, "https://acme.test/", false],
    [{ HTTPS_PROXY: here, NO_PROXY: "[2001:db8::1]:443" }, "https://[2001:db8::1]/", false],
    [{ HTTPS_PROXY: here, NO_PROXY: "2001:db8::1" }, "https://[2001:db8::1]/", false],
    [{ HTTPS_PROXY: here, NO_PROXY: "2001:db8::1" }, "https://[2001:db8::2]/", true],
    [{ HTTPS_PROXY: here, NO_PROXY: "*" }, "https://acme.test/", false]
  ]

  it.effect.each(routes)("with %j, routes %s through the proxy: %s", ([env, url, isProxied]) =>
    Effect.gen(function* () {
      const found = ProxyRoute.routeOf(yield* ProxyRoute.fromConfig, new URL(url))

      assert.strictEqual(found?.url.href, isProxied ? `${here}/` : undefined)
    }).pipe(Effect.provide(environment(env)))
  )

  it.effect("names the variable that is not a proxy's URL, and does not show it", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.scoped(Layer.build(Undici.layerConfig())))

      assert.strictEqual(error.message, "HTTPS_PROXY must be an http: or https: URL")
      assert.notInclude(JSON.stringify(error), "hunter22")
    }).pipe(Effect.provide(environment({ HTTPS_PROXY: "socks5://user:hunter22@proxy" })))
  )
})

describe("Undici.layerConfig", () => {
  it.live(
    "calls through the proxy of the environment",
    () =>
      Effect.gen(function* () {
        const target = yield* origin
        const proxy = yield* proxyServer(() => target.port)
        const env = { HTTPS_PROXY: `http://127.0.0.1:${proxy.port}`, NO_PROXY: "other.test" }
        const layer = Layer.provide(Undici.layerConfig({ ca: authority.ca }), environment(env))

        assert.strictEqual(yield* text("https://acme.test/", layer), "GET acme.test")
        assert.strictEqual(proxy.seen.length, 1)
      }),
    bounded
  )
})
