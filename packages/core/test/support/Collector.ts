/**
 * A collector of OpenTelemetry's protocol that Effect's own exporters send to: what they sent, by path.
 */
import { Effect, Layer } from "effect"
import { HttpClient, HttpServerResponse } from "effect/http"
import { Otlp } from "effect/observability"

/** The bodies that came in, in their order. Metrics come as a whole each time. */
export interface Collected {
  readonly traces: ReadonlyArray<string>
  readonly metrics: ReadonlyArray<string>
  readonly logs: ReadonlyArray<string>
}

/** Runs an effect under `Otlp.layerJson`, which sends when its scope closes. */
export const collected = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<Collected, never, R> =>
  Effect.suspend(() => {
    const sent = { traces: new Array<string>(), metrics: new Array<string>(), logs: new Array<string>() }
    const client = HttpClient.make((request, url) =>
      Effect.sync(() => {
        const body = request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
        for (const signal of ["traces", "metrics", "logs"] as const)
          if (url.pathname === `/v1/${signal}`) sent[signal].push(body)
        return HttpServerResponse.toClientResponse(HttpServerResponse.empty({ status: 200 }), { request })
      })
    )
    const otlp = Otlp.layerJson({ baseUrl: "http://collector.test", resource: { serviceName: "test" } }).pipe(
      Layer.provide(Layer.succeed(HttpClient.HttpClient, client))
    )
    return Effect.as(Effect.provide(Effect.exit(effect), otlp), sent)
  })
