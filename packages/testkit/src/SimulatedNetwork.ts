/**
 * Simulated providers in memory: an `HttpClient` that reaches them by the origin of their URLs, and nothing else. @since 0.1.0
 */
import type { HttpClientRequest } from "@breakwater/core/Platform"
import { HttpClient, HttpClientError } from "@breakwater/core/Platform"
import type { HttpClientResponse } from "@breakwater/core/Platform"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Received } from "./Exchange.ts"
import type { FaultPlan } from "./FaultPlan.ts"
import * as FaultPlans from "./FaultPlan.ts"
import * as FaultyNetwork from "./FaultyNetwork.ts"
import * as Process from "./Process.ts"
import { HttpServerRequest } from "./Platform.ts"
import type { SimulatedProvider } from "./SimulatedProvider.ts"
import { SimulatedResponse, systemError } from "./SimulatedResponse.ts"
import type { Wire } from "./Wire.ts"

/** @category models @since 0.1.0 */
export interface Options {
  /** What goes wrong. Default nothing. */
  readonly plan?: FaultPlan | undefined
}

type Sent = Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>

const transportError = (request: HttpClientRequest.HttpClientRequest, code: string): HttpClientError.HttpClientError =>
  new HttpClientError.HttpClientError({
    reason: new HttpClientError.TransportError({ request, cause: systemError(code), description: code })
  })

const received = (
  request: HttpClientRequest.HttpClientRequest,
  url: URL
): Effect.Effect<Received, HttpClientError.HttpClientError> =>
  Effect.mapBoth(HttpServerRequest.fromClientRequest(request).arrayBuffer, {
    onSuccess: (buffer) => ({
      method: request.method,
      target: url.pathname + url.search,
      headers: request.headers,
      body: new Uint8Array(buffer)
    }),
    onFailure: (cause) =>
      new HttpClientError.HttpClientError({ reason: new HttpClientError.EncodeError({ request, cause }) })
  })

/** As Node's own clients have it. @category constants @since 0.1.0 */
export const maxHeaderBytes = 16 * 1024

const headerBytes = (headers: Readonly<Record<string, string>>): number =>
  Object.entries(headers).reduce((bytes, [name, value]) => bytes + name.length + value.length, 0)

const lay = (request: HttpClientRequest.HttpClientRequest, url: URL, wire: Wire): Sent => {
  switch (wire._tag) {
    case "Answered":
      if (headerBytes(wire.headers) > maxHeaderBytes)
        return Effect.fail(transportError(request, "UND_ERR_HEADERS_OVERFLOW"))
      return Effect.succeed(new SimulatedResponse(request, url.href, wire))
    case "Broken":
      return Effect.fail(transportError(request, wire.code))
    case "Silent":
      return Effect.never
    case "Unconnected":
      return Effect.andThen(
        Effect.sleep(Duration.millis(wire.millis)),
        Effect.fail(transportError(request, "UND_ERR_CONNECT_TIMEOUT"))
      )
  }
}

/**
 * An `HttpClient` in which only these providers exist: any other host is `ENOTFOUND`. What a provider has begun it ends, also when the client has left or its process was killed, until the scope closes.
 * @category constructors @since 0.1.0
 */
export const client = Effect.fnUntraced(function* (
  providers: ReadonlyArray<SimulatedProvider>,
  options?: Options
): Effect.fn.Return<HttpClient.HttpClient, never, Scope.Scope> {
  const network = yield* FaultyNetwork.make(options?.plan ?? FaultPlans.none)
  const scope = yield* Effect.scope
  const byOrigin = new Map(providers.flatMap((provider) => provider.origins.map((origin) => [origin, provider])))
  const exchange = Effect.fnUntraced(function* (
    provider: SimulatedProvider,
    request: HttpClientRequest.HttpClientRequest,
    url: URL
  ) {
    const arrived = yield* received(request, url)
    const line = `${request.method} ${url.pathname}`
    yield* Process.passing(`before ${line}`)
    const under = Effect.forkIn(network.exchange(provider, arrived), scope, { startImmediately: true })
    const wire = yield* Fiber.join(yield* Process.outside(under))
    yield* Process.passing(`after ${line}`)
    return yield* lay(request, url, wire)
  })
  return HttpClient.make((request, url) => {
    const provider = byOrigin.get(url.origin)
    return provider === undefined ? Effect.fail(transportError(request, "ENOTFOUND")) : exchange(provider, request, url)
  })
})

/** `client` as a layer. @category layers @since 0.1.0 */
export const layer = (
  providers: ReadonlyArray<SimulatedProvider>,
  options?: Options
): Layer.Layer<HttpClient.HttpClient> => Layer.effect(HttpClient.HttpClient, client(providers, options))
