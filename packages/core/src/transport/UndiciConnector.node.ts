/**
 * Makes connections within the connect timeout, all of it together: name, TCP, the tunnel through a proxy, TLS. Undici's own timer is checked about once a second, and a
 * socket's starts anew with every step. @internal
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import { request as connectRequest } from "node:http"
import type { Socket } from "node:net"
import type { Duplex } from "node:stream"
import type { buildConnector } from "undici"
import type { Proxy } from "./ProxyRoute.node.ts"

type Target = buildConnector.Options
type Callback = buildConnector.Callback

/** What TLS is made with. */
interface Tls {
  readonly ca?: string | ReadonlyArray<string> | undefined
  readonly cert?: string | undefined
  readonly key?: Redacted.Redacted<string> | undefined
  readonly passphrase?: Redacted.Redacted<string> | undefined
  readonly minVersion?: "TLSv1.2" | "TLSv1.3" | undefined
}

/** @category models @since 0.1.0 */
export interface ConnectorOptions {
  readonly timeoutMillis: number
  readonly tls: Tls
  /** The proxy for a target, or `undefined` when it is called straight. */
  readonly proxyOf: (target: Target) => Proxy | undefined
  /** Runs the timer of a connection that is being made. */
  readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
}

/** What undici itself says when it cannot connect in time. */
class ConnectTimeout extends Error {
  readonly code = "UND_ERR_CONNECT_TIMEOUT"
}

/** The proxy let nothing through, so that nothing was sent. */
class ProxyFailed extends Error {
  readonly code = "ERR_PROXY_TUNNEL"
}

const defined = (options: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))

/** Who the servers must be: the same for a proxy. */
const trust = ({ ca, minVersion }: Tls) =>
  defined({ ca: typeof ca === "string" ? ca : ca?.slice(), minVersion, timeout: 0 })

/** Who we are: shown to the target, never to a proxy. */
const identity = ({ cert, key, passphrase }: Tls) =>
  defined({
    cert,
    key: key === undefined ? undefined : Redacted.value(key),
    passphrase: passphrase === undefined ? undefined : Redacted.value(passphrase)
  })

const ignored = (): void => undefined

/** One connection that is being made. Whatever ends it first, ends it. */
class Opening {
  private readonly callback: Callback
  private socket: Duplex | undefined = undefined
  private timer: Fiber.Fiber<void> | undefined = undefined
  private ended = false
  private failed = false
  private readonly forget: (opening: Opening) => void

  constructor(callback: Callback, forget: (opening: Opening) => void) {
    this.callback = callback
    this.forget = forget
  }

  /** What has to be closed if it ends now. */
  holds(socket: Duplex): void {
    this.socket = socket
    if (this.failed) socket.on("error", ignored).destroy()
  }

  start(timer: Fiber.Fiber<void>): void {
    if (this.ended) timer.interruptUnsafe()
    else this.timer = timer
  }

  /** The callback of a step that must succeed before the next. */
  readonly next =
    (step: (socket: Socket) => void): Callback =>
    (...[error, socket]) =>
      error === null ? step(socket) : this.fails(error)

  succeeds(socket: Socket): void {
    if (this.end()) this.callback(null, socket)
  }

  fails(error: Error): void {
    if (!this.end()) return
    this.failed = true
    this.socket?.on("error", ignored).destroy()
    this.callback(error, null)
  }

  private end(): boolean {
    if (this.ended) return false
    this.ended = true
    this.timer?.interruptUnsafe()
    this.forget(this)
    return true
  }
}

/** Asks a proxy, over a connection to it, for a tunnel (RFC 9110 §9.3.6). */
const tunnel = (
  through: Socket,
  proxy: Proxy,
  target: Target,
  done: (error: Error | undefined, socket: Socket) => void
): void => {
  const authority = `${target.hostname.includes(":") ? `[${target.hostname}]` : target.hostname}:${target.port === "" ? 443 : target.port}`
  const headers = {
    host: authority,
    ...(proxy.authorization === undefined ? {} : { "proxy-authorization": Redacted.value(proxy.authorization) })
  }
  const asked = connectRequest({ method: "CONNECT", path: authority, headers, createConnection: () => through })
  asked.on("connect", ({ statusCode = 0 }, socket, early) => {
    if (early.length > 0) socket.unshift(early)
    const refused = statusCode < 200 || statusCode > 299
    done(refused ? new ProxyFailed(`the proxy answered ${statusCode}`) : undefined, socket)
  })
  asked.on("error", (error) => done(new ProxyFailed(`the proxy broke off: ${error.message}`), through))
  asked.end()
}

/** The default port, which an address must name. */
const portOf = ({ port, protocol }: URL): string => (port === "" ? (protocol === "https:" ? "443" : "80") : port)

/** Undici's connectors give back the socket that they open, which their type does not say. */
type Opens = (options: Target, callback: Callback) => Socket

/** A connector for undici, and what closes the connections that it is still making. @category constructors @since 0.1.0 */
export const make = (
  build: typeof buildConnector,
  options: ConnectorOptions
): { readonly connect: buildConnector.connector; readonly close: () => void } => {
  const { proxyOf, timeoutMillis, tls } = options
  const straight = build({ ...trust(tls), ...identity(tls) }) as unknown as Opens
  const toProxy = build({ ...trust(tls), allowH2: false }) as unknown as Opens
  const openings = new Set<Opening>()
  const forget = (opening: Opening) => void openings.delete(opening)

  const throughProxy = (opening: Opening, proxy: Proxy, target: Target): void => {
    const { hostname, protocol } = proxy.url
    const address = {
      hostname: hostname.replace(/^\[(.*)\]$/u, "$1"),
      host: proxy.url.host,
      protocol,
      port: portOf(proxy.url)
    }
    const reached = (socket: Socket) =>
      tunnel(socket, proxy, target, (error, through) => {
        opening.holds(through)
        if (error !== undefined) opening.fails(error)
        else
          opening.holds(
            straight(
              { ...target, httpSocket: through },
              opening.next((secure) => opening.succeeds(secure))
            )
          )
      })
    opening.holds(toProxy(address, opening.next(reached)))
  }

  const connect = (target: Target, callback: Callback): void => {
    const opening = new Opening(callback, forget)
    openings.add(opening)
    const late = Effect.sync(() => opening.fails(new ConnectTimeout(`no connection within ${timeoutMillis} ms`)))
    opening.start(options.fork(Effect.delay(late, timeoutMillis)))
    const proxy = proxyOf(target)
    if (proxy !== undefined) throughProxy(opening, proxy, target)
    else
      opening.holds(
        straight(
          target,
          opening.next((socket) => opening.succeeds(socket))
        )
      )
  }

  const close = () => {
    for (const opening of openings) opening.fails(new Error("the transport was closed"))
  }
  return { connect, close }
}
