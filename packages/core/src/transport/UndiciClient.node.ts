/**
 * Effect's `HttpClient` over undici dispatchers. @internal
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Undici from "undici"
import { HttpClient, HttpClientError, type HttpClientRequest } from "../vocabulary/Platform.ts"
import type { ProxyRoutes } from "./ProxyRoute.node.ts"
import * as ProxyRoute from "./ProxyRoute.node.ts"
import * as UndiciBody from "./UndiciBody.node.ts"
import { Exchange } from "./UndiciExchange.node.ts"
import { UndiciResponse } from "./UndiciResponse.node.ts"

/** What requests go out by. @category models @since 0.1.0 */
export interface Agents {
  /** For all but http through a proxy; a tunnel to https is made where connections are. */
  readonly straight: Undici.Dispatcher
  /** Connections to proxies, which are handed http requests as they are (RFC 9112 §3.2.2). */
  readonly forward: { readonly agent: Undici.Dispatcher; readonly routes: ProxyRoutes } | undefined
}

type DispatchOptions = Undici.Dispatcher.DispatchOptions

/** The pipeline has timeouts of its own, so undici keeps none. */
const noTimeouts = { headersTimeout: 0, bodyTimeout: 0 } as const

/** Sends a request, by a proxy where it must. @category combinators @since 0.1.0 */
const dispatch = (
  exchange: Exchange,
  agents: Agents,
  url: URL,
  method: string,
  { body, headers }: UndiciBody.Sent
): void => {
  const options: DispatchOptions = {
    ...noTimeouts,
    origin: url.origin,
    path: url.pathname + url.search,
    method,
    headers: headers as Record<string, string>,
    body
  }
  const { forward } = agents
  const proxy = forward === undefined || url.protocol !== "http:" ? undefined : ProxyRoute.routeOf(forward.routes, url)
  if (forward === undefined || proxy === undefined) return exchange.send(agents.straight, options)
  const { authorization } = proxy
  exchange.send(forward.agent, {
    ...options,
    origin: proxy.url.origin,
    path: url.origin + options.path,
    headers: {
      host: url.host,
      ...headers,
      ...(authorization === undefined ? {} : { "proxy-authorization": Redacted.value(authorization) })
    }
  })
}

const transportError = (
  request: HttpClientRequest.HttpClientRequest,
  cause: unknown
): HttpClientError.HttpClientError =>
  new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request, cause }) })

/** An `HttpClient` as Effect's own are: with its span where it is wanted, and the answer as soon as its headers are there. @category constructors @since 0.1.0 */
export const make = (undici: typeof Undici, agents: Agents): HttpClient.HttpClient =>
  HttpClient.make((request, url, signal, fiber) =>
    Effect.callback((resume) => {
      const exchange = new Exchange({
        moved: () =>
          resume(
            exchange.failure === undefined
              ? Effect.succeed(new UndiciResponse(request, withoutHash(url), exchange))
              : Effect.fail(transportError(request, exchange.failure))
          )
      })
      signal.addEventListener("abort", () => exchange.abort(), { once: true })
      dispatch(exchange, agents, url, request.method, UndiciBody.of(request, undici, fiber.context))
      return Effect.sync(() => exchange.abort())
    })
  )

const withoutHash = ({ hash, href }: URL): string => (hash === "" ? href : href.slice(0, -hash.length))
