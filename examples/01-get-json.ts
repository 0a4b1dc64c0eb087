/**
 * `getJson(url, params)` as SYS-1 asks: connect 1 s, read 3 s, 3 retries on timeouts, 5xx, network errors, 408, and a 429 that says when (unless `strict`).
 * Teaches the first way in: one layer around the `HttpClient` that existing code uses. Run it: `node examples/01-get-json.ts`.
 */
import { Call, ProviderError } from "@breakwater/core"
import * as Undici from "@breakwater/core/node/Undici"
import { Effect, Layer, References } from "effect"
import { HttpClient } from "effect/http"
import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

const throttled = { status: 429, header: { name: "retry-after" }, means: "RateLimited" } as const
export const protectedHttp = (options: { readonly strict: boolean }) =>
  Call.layer({
    provider: "json",
    policy: { connectTimeout: "1 second", silenceTimeout: "3 seconds", attempts: 4, backoff: { base: "200 millis" } },
    errors: { rules: [...(options.strict ? [] : [throttled]), { status: [425, 429], means: "Rejected" }] }
  }).pipe(Layer.provide(Undici.layer({ connectTimeout: "1 second" })))

export type JsonResult =
  | { readonly ok: true; readonly data: unknown }
  | { readonly ok: false; readonly code: string; readonly message: string }

const failed = (cause: unknown): JsonResult =>
  ProviderError.isProviderError(cause)
    ? { ok: false, code: ProviderError.errorCode(cause.reason), message: cause.message }
    : { ok: false, code: "EDECODE", message: "the answer is not JSON" }

export const getJson = (
  url: string,
  params: Record<string, string>
): Effect.Effect<JsonResult, never, HttpClient.HttpClient> =>
  HttpClient.get(url, { urlParams: params }).pipe(
    Effect.flatMap((response) =>
      response.status < 300
        ? Effect.map(response.json, (data): JsonResult => ({ ok: true, data }))
        : Effect.succeed<JsonResult>({
            ok: false,
            code: `HTTP_${response.status}`,
            message: `answered ${response.status}`
          })
    ),
    Effect.catch((error) => Effect.succeed(failed(error.cause)))
  )

let requests = 0 // A server that fails twice, then answers: one log line an attempt, with correlation id, status and duration.
const server = createServer((_, response) => {
  response.writeHead(++requests < 3 ? 502 : 200, { "content-type": "application/json" }).end(`{"requests":${requests}}`)
})
await once(server.listen(0, "127.0.0.1"), "listening")
const { port } = server.address() as AddressInfo
const program = Effect.gen(function* () {
  yield* Effect.log(
    yield* Call.withCorrelationId(getJson(`http://127.0.0.1:${port}/search`, { q: "piers" }), "search-1")
  )
  yield* Effect.log(yield* getJson("http://127.0.0.1:1/nobody-listens", {}))
}).pipe(Effect.provide(protectedHttp({ strict: false })))
await Effect.runPromise(Effect.provideService(program, References.MinimumLogLevel, "Debug"))
server.close()
