/**
 * Which requests go through a proxy, as `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` are commonly read. Loopback never does. @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"

/** A variable of the environment that no proxy can be made of. Shows its name, never its value. @category errors @since 0.1.0 */
export class ProxyConfigError extends Schema.TaggedError<ProxyConfigError>(
  "@breakwater/core/ProxyRoute.node/ProxyConfigError"
)("ProxyConfigError", {
  /** Such as `HTTPS_PROXY`. */
  field: Schema.String,
  rule: Schema.String
}) {
  override get message(): string {
    return `${this.field} ${this.rule}`
  }
}

/** @category models @since 0.1.0 */
export interface Proxy {
  readonly url: URL
  /** The value of `Proxy-Authorization`, taken out of the URL. */
  readonly authorization: Redacted.Redacted<string> | undefined
}

/** @category models @since 0.1.0 */
export interface ProxyRoutes {
  readonly https: Proxy | undefined
  readonly http: Proxy | undefined
  readonly bypass: ReadonlyArray<Bypass>
}

/** One entry of `NO_PROXY`: a host with everything below it, or `*`. @category models @since 0.1.0 */
export interface Bypass {
  readonly host: string
  /** Of all ports, where none is given. */
  readonly port: string | undefined
}

const defaultPorts: Record<string, string> = { "http:": "80", "https:": "443" }

const bare = (host: string): string =>
  host
    .toLowerCase()
    .replace(/^\[(.*)\]$/u, "$1")
    .replace(/\.$/u, "")

const bypassOf = (entry: string): Bypass => {
  // More than one colon without brackets is an IPv6 address.
  const withPort = /^(?<host>\[[^\]]*\]|[^:]*):(?<port>\d+)$/u.exec(entry)?.groups
  const host = bare(withPort?.["host"] ?? entry).replace(/^\*?\./u, "")
  return { host, port: withPort?.["port"] }
}

/** The entries of a list such as `localhost, .internal, 10.0.0.1:8080`. @category parsing @since 0.1.0 */
export const bypassesOf = (list: string | ReadonlyArray<string>): ReadonlyArray<Bypass> =>
  (typeof list === "string" ? list.split(/[\s,]+/u) : list)
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "")
    .map(bypassOf)

/** A value that may be a secret, to be read. @category accessors @since 0.1.0 */
export const textOf = (value: Redacted.Redacted<string> | string): string =>
  typeof value === "string" ? value : Redacted.value(value)

/** Why a URL is not a proxy's, or `undefined`. @category guards @since 0.1.0 */
export const problemOf = (url: string): string | undefined => {
  const proxy = URL.canParse(url) ? new URL(url) : undefined
  return (proxy?.protocol === "http:" || proxy?.protocol === "https:") && proxy.hostname !== ""
    ? undefined
    : "must be an http: or https: URL"
}

/** The proxy at a URL that has no problem. @category constructors @since 0.1.0 */
export const proxyOf = (url: string): Proxy => {
  const parsed = new URL(url)
  const user = `${decodeURIComponent(parsed.username)}:${decodeURIComponent(parsed.password)}`
  const authorization = user === ":" ? undefined : Redacted.make(`Basic ${Buffer.from(user).toString("base64")}`)
  parsed.username = parsed.password = ""
  return { url: parsed, authorization }
}

const isLoopback = (host: string): boolean =>
  host === "localhost" || host.endsWith(".localhost") || host === "::1" || /^127(?:\.\d{1,3}){3}$/u.test(host)

/** The proxy for an origin, or `undefined` when it is called straight. @category accessors @since 0.1.0 */
export const routeOf = (
  routes: ProxyRoutes,
  target: { readonly protocol: string; readonly hostname: string; readonly port: string }
): Proxy | undefined => {
  const proxy = target.protocol === "https:" ? routes.https : routes.http
  if (proxy === undefined) return undefined
  const host = bare(target.hostname)
  const port = target.port === "" ? defaultPorts[target.protocol] : target.port
  if (isLoopback(host)) return undefined
  const isPassed = routes.bypass.some(
    (entry) =>
      (entry.port === undefined || entry.port === port) &&
      (entry.host === "*" || host === entry.host || host.endsWith(`.${entry.host}`))
  )
  return isPassed ? undefined : proxy
}

/** The first of the variables that is not empty: these lists and URLs, which may hold a password, are not shown. */
const variable = (first: string, second: string): Config.Config<string> =>
  Config.map(
    Config.all([Config.option(Config.Redacted(first)), Config.option(Config.Redacted(second))]),
    (found) =>
      found
        .map(Option.match({ onNone: () => "", onSome: (secret) => Redacted.value(secret).trim() }))
        .find((text) => text !== "") ?? ""
  )

const variables = Config.all({
  https: variable("https_proxy", "HTTPS_PROXY"),
  http: variable("http_proxy", "HTTP_PROXY"),
  bypass: variable("no_proxy", "NO_PROXY")
})

const written = (field: string, url: string): Effect.Effect<Proxy | undefined, ProxyConfigError> => {
  if (url === "") return Effect.succeed(undefined)
  const rule = problemOf(url)
  return rule === undefined ? Effect.succeed(proxyOf(url)) : Effect.fail(new ProxyConfigError({ field, rule }))
}

/** What the environment says, each variable in lower case or, where that is missing or empty, in upper case. @category constructors @since 0.1.0 */
export const fromConfig: Effect.Effect<ProxyRoutes, ProxyConfigError | Config.ConfigError> = Effect.flatMap(
  variables,
  ({ bypass, http, https }) =>
    Effect.map(
      Effect.all({ https: written("HTTPS_PROXY", https), http: written("HTTP_PROXY", http) }),
      (proxies): ProxyRoutes => ({ ...proxies, bypass: bypassesOf(bypass) })
    )
)
