/**
 * The Node transport: an `HttpClient` over undici's dispatch, with an exact connect timeout, proxies, private certificates and client certificates. For
 * `@breakwater/core/node/Undici`; needs the package `undici`, an optional peer. @since 0.1.0
 */
import type * as Config from "effect/Config"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as Undici from "undici"
import { defaults } from "../definition/CallPolicy.ts"
import { HttpClient } from "../vocabulary/Platform.ts"
import type { DirectClient } from "./DirectClient.ts"
import type { ProxyRoutes } from "./ProxyRoute.node.ts"
import * as ProxyRoute from "./ProxyRoute.node.ts"
import * as UndiciClient from "./UndiciClient.node.ts"
import * as Connector from "./UndiciConnector.node.ts"

/** A proxy that requests go through: a tunnel to https, forwarded to http. Loopback is always called straight. @category models @since 0.1.0 */
export interface ProxyOptions {
  /** Where it is, `http:` or `https:`; user and password in it are sent as `Proxy-Authorization`. */
  readonly url: Redacted.Redacted<string> | string
  /** Hosts called without it, each with all below it, such as `internal.example` or `10.0.0.1:8443`, or `*`. Default none. */
  readonly bypass?: string | ReadonlyArray<string> | undefined
}

/** @category models @since 0.1.0 */
export interface UndiciOptions {
  /** To make a connection, with name, proxy and TLS. Default `"2 seconds"`. */
  readonly connectTimeout?: Duration.Input | undefined
  /** Sockets for each origin, at least 1. Default: no limit; the bulkhead bounds them. */
  readonly connections?: number | undefined
  /** An idle socket is closed after this. Default `"4 seconds"`. */
  readonly keepAlive?: Duration.Input | undefined
  /** Default: none; `layerConfig` takes it from the environment. */
  readonly proxy?: ProxyOptions | undefined
  /** Certificates, in PEM, of whom servers and proxies are trusted by; they take the place of the system's. Default: the system's. */
  readonly ca?: string | ReadonlyArray<string> | undefined
  /** The client certificate, with its chain, in PEM; needs `key`. It is shown to servers, not to a proxy. Default none. */
  readonly cert?: string | undefined
  /** The key of `cert`, in PEM. */
  readonly key?: Redacted.Redacted<string> | undefined
  /** Of `key`, where it is encrypted. */
  readonly passphrase?: Redacted.Redacted<string> | undefined
  /** The oldest TLS that is spoken. Default: Node's, `"TLSv1.2"`. */
  readonly minVersion?: "TLSv1.2" | "TLSv1.3" | undefined
  /**
   * Whether the schemas of declared answers are turned into code when they are used first, which reads answers several times as fast. It needs `new Function`; where Node was started without
   * (`--disallow-code-generation-from-strings`) schemas are interpreted, as they are everywhere but here. Default `true`.
   */
  readonly compileSchemas?: boolean | undefined
  /** An undici dispatcher of your own, which you close yourself. No other option but `compileSchemas` may stand beside it. Default: one that the layer makes and closes. */
  readonly dispatcher?: Undici.Dispatcher | undefined
}

const refuse = (field: string, rule: string): never => {
  throw new RangeError(`Undici.layer: ${field} ${rule}`)
}

const checked = (options: UndiciOptions): UndiciOptions => {
  const { cert, connections, dispatcher, key, passphrase } = options
  if (connections !== undefined && !(Number.isInteger(connections) && connections >= 1))
    refuse("connections", `must be a whole number of at least 1, got ${connections}`)
  for (const field of ["connectTimeout", "keepAlive"] as const) {
    const value = options[field]
    const millis = value === undefined ? 1 : Duration.toMillis(value)
    if (!(millis > 0 && millis < Number.POSITIVE_INFINITY)) refuse(field, "must be longer than zero, and finite")
  }
  if ((cert === undefined) !== (key === undefined)) refuse("cert", "and key must stand together")
  if (passphrase !== undefined && key === undefined) refuse("passphrase", "must stand beside a key")
  const others = Object.entries(options).filter(
    ([name, value]) => name !== "dispatcher" && name !== "compileSchemas" && value !== undefined
  )
  if (dispatcher !== undefined && others.length > 0)
    refuse("dispatcher", `must stand alone, not beside ${others.map(([name]) => name).join(", ")}`)
  return options
}

const routesOf = (proxy: ProxyOptions | undefined): ProxyRoutes | undefined => {
  if (proxy === undefined) return undefined
  const url = ProxyRoute.textOf(proxy.url)
  const problem = ProxyRoute.problemOf(url)
  if (problem !== undefined) refuse("proxy.url", problem)
  const one = ProxyRoute.proxyOf(url)
  return { https: one, http: one, bypass: ProxyRoute.bypassesOf(proxy.bypass ?? []) }
}

class UndiciMissing extends Data.Error<{ readonly cause: unknown }> {
  override readonly message =
    "the Node transport needs undici, an optional peer of @breakwater/core: npm install undici@8"
}

/** Undici is an optional peer: whoever does not use this transport need not have it. */
const loadUndici: Effect.Effect<typeof Undici> = Effect.catchDefect(
  Effect.promise(() => import("undici")),
  (cause) => Effect.die(new UndiciMissing({ cause }))
)

/** Effect's compiler is loaded with the first call of a declared operation: other programs have no use for it. */
const compileSchemas: DirectClient["compile"] = (schemas) =>
  Effect.map(
    Effect.promise(() => import("effect/schema/SchemaJITCompiler")),
    ({ enable }) => {
      for (const { ast } of schemas) enable(ast)
    }
  )

const makeAgents = Effect.fnUntraced(function* (
  undici: typeof Undici,
  options: UndiciOptions,
  routes: ProxyRoutes | undefined
): Effect.fn.Return<UndiciClient.Agents, never, Scope.Scope> {
  const context = yield* Effect.context<never>()
  const connector = (through: ProxyRoutes | undefined) =>
    Connector.make(undici.buildConnector, {
      timeoutMillis: Duration.toMillis(options.connectTimeout ?? defaults.connectTimeout),
      tls: options,
      proxyOf: (target) => (through === undefined ? undefined : ProxyRoute.routeOf(through, target)),
      fork: Effect.runForkWith(context)
    })
  const agent = (through: ProxyRoutes | undefined) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const { close, connect } = connector(through)
        const made = new undici.Agent({
          connect,
          connections: options.connections ?? null,
          keepAliveTimeout: Duration.toMillis(options.keepAlive ?? "4 seconds")
        })
        return { made, close }
      }),
      ({ close, made }) =>
        Effect.promise(() => {
          close()
          return made.destroy()
        })
    )
  const { made: straight } = yield* agent(routes)
  if (routes?.http === undefined) return { straight, forward: undefined }
  const { made: forward } = yield* agent(undefined)
  return { straight, forward: { agent: forward, routes } }
})

const make = Effect.fnUntraced(function* (options: UndiciOptions, routes: ProxyRoutes | undefined) {
  const undici = yield* loadUndici
  const { dispatcher } = options
  const agents =
    dispatcher === undefined ? yield* makeAgents(undici, options, routes) : { straight: dispatcher, forward: undefined }
  return yield* UndiciClient.make(undici, agents, options.compileSchemas === false ? undefined : compileSchemas)
})

/**
 * An `HttpClient` over undici, to put below `Call.layer` or a provider's layer. Throws a `RangeError` for an option out of range; dies when `undici` is not installed.
 * **Details** Redirects are not followed, bodies not decompressed, HTTP/2 is spoken where a server offers only that. Sockets are closed with the layer.
 * @category layers @since 0.1.0
 */
export const layer = (options: UndiciOptions = {}): Layer.Layer<HttpClient.HttpClient> =>
  Layer.effect(HttpClient.HttpClient, make(checked(options), routesOf(options.proxy)))

/**
 * The same, with the proxies that `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` name, in lower or upper case, taken from `Config`.
 * Fails with `ProxyConfigError` for a variable that is not a proxy's URL. @category layers @since 0.1.0
 */
export const layerConfig = (
  options: Omit<UndiciOptions, "proxy" | "dispatcher"> = {}
): Layer.Layer<HttpClient.HttpClient, ProxyRoute.ProxyConfigError | Config.ConfigError> => {
  const own = checked(options)
  return Layer.effect(
    HttpClient.HttpClient,
    Effect.flatMap(ProxyRoute.fromConfig, (routes) => make(own, routes))
  )
}
