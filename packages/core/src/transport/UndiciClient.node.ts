/**
 * Effect's `HttpClient` over undici dispatchers, which the pipeline may also use without effects. @internal
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as Undici from "undici"
import { HttpClient, HttpClientError, type HttpClientRequest } from "../vocabulary/Platform.ts"
import type { DirectClient, Receiver } from "./DirectClient.ts"
import { TypeId } from "./DirectClient.ts"
import type { ProxyRoutes } from "./ProxyRoute.node.ts"
import * as ProxyRoute from "./ProxyRoute.node.ts"
import * as UndiciBody from "./UndiciBody.node.ts"
import type { Dispatch } from "./UndiciDirect.node.ts"
import { DirectExchanges } from "./UndiciDirect.node.ts"
import { Exchange } from "./UndiciExchange.node.ts"
import { UndiciResponse } from "./UndiciResponse.node.ts"

/** What requests go out by. @category models @since 0.1.0 */
export interface Agents {
  /** For all but http through a proxy; a tunnel to https is made where connections are. */
  readonly straight: Undici.Dispatcher
  /** Connections to proxies, which are handed http requests as they are (RFC 9112 §3.2.2). */
  readonly forward: { readonly agent: Undici.Dispatcher; readonly routes: ProxyRoutes } | undefined
}

/** Sends a request, by a proxy where it must. The pipeline has timeouts of its own, so undici keeps none. */
const dispatchBy =
  ({ forward, straight }: Agents): Dispatch =>
  (exchange, { origin, path }, method, headers, body) => {
    const options = { origin, path, method, headers, body, headersTimeout: 0, bodyTimeout: 0 }
    const url = forward === undefined || !origin.startsWith("http:") ? undefined : new URL(origin)
    const proxy = forward === undefined || url === undefined ? undefined : ProxyRoute.routeOf(forward.routes, url)
    if (forward === undefined || url === undefined || proxy === undefined) return exchange.send(straight, options)
    const { authorization } = proxy
    exchange.send(forward.agent, {
      ...options,
      origin: proxy.url.origin,
      path: origin + path,
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

const withoutHash = ({ hash, href }: URL): string => (hash === "" ? href : href.slice(0, -hash.length))

/** As Effect's own clients are: with its span where it is wanted, and the answer as soon as its headers are there. */
const byEffects = (undici: typeof Undici, dispatch: Dispatch): HttpClient.HttpClient =>
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
      const { body, headers } = UndiciBody.of(request, request.headers, undici, fiber.context)
      dispatch(exchange, { origin: url.origin, path: url.pathname + url.search }, request.method, headers, body)
      return Effect.sync(() => exchange.abort())
    })
  )

/** @category constructors @since 0.1.0 */
export const make = Effect.fnUntraced(function* (
  undici: typeof Undici,
  agents: Agents,
  compile: DirectClient["compile"]
): Effect.fn.Return<DirectClient, never, Scope.Scope> {
  const dispatch = dispatchBy(agents)
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const direct = yield* Effect.acquireRelease(
    Effect.sync(() => new DirectExchanges(undici, dispatch, fork)),
    (exchanges) => Effect.sync(() => exchanges.close())
  )
  return Object.assign(byEffects(undici, dispatch), {
    [TypeId]: (receiver: Receiver) => direct.start(receiver),
    compile
  })
})
