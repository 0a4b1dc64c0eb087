/** How the sale is watched: `/metrics` and `/health` on a port of their own (`--admin-port`), spans, metrics and log lines to a collector (`--otlp`). */
import { Gauges, Health, Telemetry } from "@breakwater/core"
import * as Undici from "@breakwater/core/node/Undici"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Effect, Layer } from "effect"
import { HttpClient, HttpClientError, HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { Otlp, PrometheusMetrics } from "effect/observability"
import { createServer } from "node:http"
import { UsageError } from "./Arguments.ts"

// A provider that is down is no reason to stop the shop, so the answer is 200 also while it is degraded.
const health = HttpRouter.add(
  "GET",
  "/health",
  Effect.map(Health.snapshot, (report) => HttpServerResponse.jsonUnsafe(report))
)

const routes = Layer.mergeAll(
  Gauges.layer({ every: "1 second" }),
  PrometheusMetrics.layerHttp({ metricNameMapper: Telemetry.prometheusName }),
  health
)

const say = (line: string) => Effect.sync(() => void process.stderr.write(`${line}\n`))

/** Serves both on loopback, until the scope closes. */
const admin = (port: number): Layer.Layer<never, UsageError> =>
  Layer.effectDiscard(
    Effect.flatMap(HttpServer.HttpServer, ({ address }) => {
      const url = HttpServer.formatAddress(address)
      return say(`admin: ${url}/metrics and ${url}/health`)
    })
  ).pipe(
    Layer.provideMerge(HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true })),
    Layer.provide(NodeHttpServer.layer(createServer, { port, host: "127.0.0.1", gracefulShutdownTimeout: "1 second" })),
    Layer.catch(() => Layer.effectDiscard(Effect.fail(new UsageError(`--admin-port ${port} cannot be listened on`))))
  )

const patience = "2 seconds"

/** A plain client, since a protected one would be measured itself. It waits for an answer for a while only, and tells once that none came. */
const courier = (inner: HttpClient.HttpClient, tell: Effect.Effect<void>): HttpClient.HttpClient =>
  HttpClient.make((request) =>
    inner.execute(request).pipe(
      Effect.timeoutOrElse({
        duration: patience,
        orElse: () =>
          Effect.fail(
            new HttpClientError.HttpClientError({
              reason: new HttpClientError.TransportError({ request, description: "no answer" })
            })
          )
      }),
      Effect.tap(({ status }) => (status < 300 ? Effect.void : tell)),
      Effect.tapError(() => tell)
    )
  )

/** A collector that is dead holds nothing up: what is left at the end is sent within two seconds, or not at all. */
const otlp = (url: string) => {
  let told = false
  const tell = Effect.suspend(() => {
    if (told) return Effect.void
    told = true
    return say(`otlp: ${url} does not take what is sent to it`)
  })
  const client = Layer.effect(
    HttpClient.HttpClient,
    Effect.map(HttpClient.HttpClient, (inner) => courier(inner, tell))
  )
  return Otlp.layerJson({
    baseUrl: url,
    resource: { serviceName: "checkout" },
    metricsExportInterval: "1 second",
    tracerExportInterval: "1 second",
    shutdownTimeout: patience
  }).pipe(Layer.provide(client), Layer.provide(Undici.layer()))
}

export const layer = (options: { readonly adminPort: number | undefined; readonly otlp: string | undefined }) =>
  Layer.merge(
    options.adminPort === undefined ? Layer.empty : admin(options.adminPort),
    options.otlp === undefined ? Layer.empty : otlp(options.otlp)
  )
