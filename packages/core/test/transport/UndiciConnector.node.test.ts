/** How connections are made: whom they trust, who they say they are, and how long they may take. */
import { assert, describe, it } from "@effect/vitest"
import * as Undici from "@breakwater/core/node/Undici"
import { Context, Effect, Exit, Layer, Redacted } from "effect"
import { HttpClient } from "effect/http"
import type * as Http from "node:http"
import * as Http2 from "node:http2"
import type * as Tls from "node:tls"
import * as Acme from "../support/Acme.ts"
import * as Certificates from "../support/Certificates.ts"
import * as Loopback from "../support/Loopback.ts"
import { outcome } from "../support/Scenario.ts"

const bounded = { timeout: 20_000 }
const authority = Certificates.authority("Test Authority")
const server = authority.issue("127.0.0.1", { names: ["acme.test"] })
const client = authority.issue("a client")

const get = Effect.fnUntraced(function* (url: string, options: Undici.UndiciOptions) {
  const http = Context.get(yield* Layer.build(Undici.layer(options)), HttpClient.HttpClient)
  const response = yield* http.get(url)
  return { status: response.status, text: yield* response.text }
})

/** What an operation comes to over a transport: class, reason, and whether it was sent. */
const called = Effect.fnUntraced(function* (url: string, options: Undici.UndiciOptions, policy = {}) {
  const acme = yield* Acme.connect(
    { layer: Undici.layer(options) },
    { baseUrl: url, policy: { attempts: 1, ...policy } }
  )
  const before = performance.now()
  const exit = yield* Effect.exit(acme.orders.capture({ params: { id: "o1" }, payload: { amount: 1 } }))
  return { outcome: outcome(exit) as Record<string, unknown>, took: performance.now() - before }
})

const greeting = (request: Http.IncomingMessage, response: Http.ServerResponse) => {
  const socket = request.socket as Tls.TLSSocket
  response.end(`${socket.getProtocol()} ${String(socket.getPeerCertificate().subject?.CN)}`)
}

describe("Undici.layer: TLS", () => {
  it.live(
    "trusts a private authority that it was given, and no other",
    () =>
      Effect.gen(function* () {
        const { port } = yield* Loopback.https(server, greeting)
        const url = `https://127.0.0.1:${port}/`
        const trusted = yield* get(url, { ca: authority.ca })
        const among = yield* get(url, { ca: [Certificates.authority("Another").ca, authority.ca] })
        const { outcome } = yield* called(url, {})
        const other = yield* called(url, { ca: Certificates.authority("Test Authority").ca })

        assert.deepStrictEqual(trusted, { status: 200, text: "TLSv1.3 undefined" })
        assert.strictEqual(among.status, 200)
        assert.deepStrictEqual(outcome, {
          class: "RetryableError",
          attempts: 1,
          reason: { _tag: "TransportFailed", code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE" },
          sent: "no"
        })
        assert.strictEqual(other.outcome["sent"], "no")
      }),
    bounded
  )

  it.live(
    "does not trust a certificate of another name",
    () =>
      Effect.gen(function* () {
        const { port } = yield* Loopback.https(authority.issue("other", { names: ["other.test"] }), greeting)
        const { outcome } = yield* called(`https://localhost:${port}/`, { ca: authority.ca })

        assert.deepStrictEqual(outcome["reason"], { _tag: "TransportFailed", code: "ERR_TLS_CERT_ALTNAME_INVALID" })
        assert.strictEqual(outcome["sent"], "no")
      }),
    bounded
  )

  it.live(
    "shows its client certificate where one is required, its key encrypted or not",
    () =>
      Effect.gen(function* () {
        const strict = { ...server, ca: authority.ca, requestCert: true, rejectUnauthorized: true }
        const { port } = yield* Loopback.https(strict, greeting)
        const url = `https://127.0.0.1:${port}/`
        const { ca } = authority
        const plain = yield* get(url, { ca, cert: client.cert, key: Redacted.make(client.key) })
        const locked = authority.issue("locked", { passphrase: "open sesame" })
        const encrypted = yield* get(url, {
          ca,
          cert: locked.cert,
          key: Redacted.make(locked.key),
          passphrase: Redacted.make("open sesame")
        })
        const without = yield* Effect.exit(get(url, { ca }))

        assert.strictEqual(plain.text, "TLSv1.3 a client")
        assert.strictEqual(encrypted.text, "TLSv1.3 locked")
        assert.isTrue(Exit.isFailure(without))
      }),
    bounded
  )

  it.live(
    "fails without the key's secrets when the passphrase is wrong",
    () =>
      Effect.gen(function* () {
        const { port } = yield* Loopback.https(server, greeting)
        const locked = authority.issue("locked", { passphrase: "open sesame" })
        const exit = yield* Effect.exit(
          get(`https://127.0.0.1:${port}/`, {
            ca: authority.ca,
            cert: locked.cert,
            key: Redacted.make(locked.key),
            passphrase: Redacted.make("wrong passphrase")
          })
        )

        assert.isTrue(Exit.isFailure(exit))
        assert.notInclude(JSON.stringify(exit), "wrong passphrase")
      }),
    bounded
  )

  it.live(
    "speaks no TLS that is older than it may",
    () =>
      Effect.gen(function* () {
        const { port } = yield* Loopback.https({ ...server, maxVersion: "TLSv1.2" }, greeting)
        const url = `https://127.0.0.1:${port}/`
        const old = yield* get(url, { ca: authority.ca })
        const { outcome } = yield* called(url, { ca: authority.ca, minVersion: "TLSv1.3" })

        assert.strictEqual(old.text, "TLSv1.2 undefined")
        assert.deepStrictEqual(outcome["reason"], {
          _tag: "TransportFailed",
          code: "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION"
        })
        assert.strictEqual(outcome["sent"], "no")
      }),
    bounded
  )

  it.live(
    "speaks HTTP/2 to who offers nothing else",
    () =>
      Effect.gen(function* () {
        const { port } = yield* Loopback.server(() =>
          Http2.createSecureServer(server, (request, response) => {
            response.setHeader("x-version", request.httpVersion)
            response.end("over two")
          })
        )
        const http = Context.get(yield* Layer.build(Undici.layer({ ca: authority.ca })), HttpClient.HttpClient)
        const response = yield* http.get(`https://127.0.0.1:${port}/`)

        assert.strictEqual(yield* response.text, "over two")
        assert.strictEqual(response.headers["x-version"], "2.0")
      }),
    bounded
  )
})

describe("Undici.layer: connect timeout", () => {
  const late = {
    class: "RetryableError",
    attempts: 1,
    reason: { _tag: "Timeout", phase: "connect", after: 1000 },
    sent: "no"
  }

  it.live(
    "bounds the tunnel and TLS together: each alone would be in time",
    () =>
      Effect.gen(function* () {
        // The tunnel takes 700 ms, and then nobody speaks TLS.
        const slow = yield* Loopback.tcp((socket) => {
          socket.once("data", () => {
            setTimeout(() => socket.write("HTTP/1.1 200 OK\r\n\r\n"), 700)
          })
        })
        const { outcome, took } = yield* called(
          "https://acme.test/",
          { connectTimeout: 1000, ca: authority.ca, proxy: { url: `http://127.0.0.1:${slow.port}` } },
          { connectTimeout: 1000 }
        )

        assert.deepStrictEqual(outcome, late)
        assert.isAtLeast(took, 990)
        assert.isBelow(took, 1600)
        assert.isTrue(yield* Loopback.until(() => slow.open() === 0))
      }),
    bounded
  )

  it.live(
    "does not start anew when the other side says something",
    () =>
      Effect.gen(function* () {
        // The header of a TLS record of 16 KiB, and then nothing.
        const server = yield* Loopback.tcp((socket) => {
          setTimeout(() => socket.write(Uint8Array.of(22, 3, 3, 64, 0)), 700)
        })
        const { outcome, took } = yield* called(
          `https://127.0.0.1:${server.port}/`,
          { connectTimeout: 1000 },
          { connectTimeout: 1000 }
        )

        assert.deepStrictEqual(outcome, late)
        assert.isBelow(took, 1600)
        assert.isTrue(yield* Loopback.until(() => server.open() === 0))
      }),
    bounded
  )

  it.live(
    "closes connections that are still being made with its scope",
    () =>
      Effect.gen(function* () {
        const server = yield* Loopback.tcp(() => undefined)
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* Effect.forkScoped(
              Effect.exit(get(`https://127.0.0.1:${server.port}/`, { connectTimeout: "1 minute" }))
            )
            assert.isTrue(yield* Loopback.until(() => server.open() === 1))
          })
        )

        assert.isTrue(yield* Loopback.until(() => server.open() === 0))
      }),
    bounded
  )
})
