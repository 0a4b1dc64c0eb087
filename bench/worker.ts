/** One variant in a process of its own: runs the batches it is asked for, and says what CPU time they took. */
import { Auth, Client, Provider } from "@breakwater/core"
import * as Undici from "@breakwater/core/node/Undici"
import {
  ConsecutiveBreaker,
  ExponentialBackoff,
  bulkhead,
  circuitBreaker,
  handleAll,
  retry,
  timeout,
  TimeoutStrategy,
  wrap
} from "cockatiel"
import { Context, Effect, Layer, Logger, Redacted, Schema, Scope } from "effect"
import { HttpClient, HttpServerResponse } from "effect/http"
import { HttpApi, HttpApiClient, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { request } from "undici"
import { z } from "zod"
import { body } from "./things.ts"

const inFlight = 64
const [variant = "", url = "http://127.0.0.1:1"] = process.argv.slice(2)

const Thing = Schema.Struct({
  id: Schema.Int,
  name: Schema.String,
  tags: Schema.Array(Schema.String),
  price: Schema.Finite
})
const api = HttpApi.make("acme").add(
  HttpApiGroup.make("things").add(
    HttpApiEndpoint.get("get", "/things/:id", {
      params: { id: Schema.String },
      success: Schema.Struct({ id: Schema.String, items: Schema.Array(Thing) })
    })
  )
)
const provider = Provider.make("acme", { api, environments: { sandbox: url, production: url }, auth: Auth.bearer() })
class Acme extends Context.Service<Acme, Client.Of<typeof provider>>()("bench/Acme") {}

/** Runs `one` so often, so many at once. */
const many = (one: Effect.Effect<unknown, unknown>) => {
  const lane = (calls: number) =>
    Effect.gen(function* () {
      for (let call = 0; call < calls; call++) yield* one
    })
  return (calls: number, width: number) =>
    Effect.runPromise(
      Effect.all(
        Array.from({ length: width }, () => lane(calls / width)),
        { concurrency: "unbounded", discard: true }
      )
    )
}

const answer = HttpServerResponse.uint8Array(body, { contentType: "application/json" })
const nothing = HttpClient.make((request) => Effect.succeed(HttpServerResponse.toClientResponse(answer, { request })))

const breakwater = async (transport: Layer.Layer<HttpClient.HttpClient>) => {
  const layer = Client.layer(Acme, provider, { credential: Redacted.make("sk_bench_0000") }).pipe(
    Layer.provide(transport),
    Layer.provide(Logger.layer([]))
  )
  // The layer stays open as long as the process does.
  const context = await Effect.runPromise(Layer.buildWithScope(layer, Scope.makeUnsafe()))
  const acme = Context.get(context, Acme)
  return many(Effect.suspend(() => acme.things.get({ params: { id: "a" } })))
}

const bare = async (traced: boolean) => {
  const client = await Effect.runPromise(
    HttpApiClient.makeWith(api, { httpClient: nothing, baseUrl: "http://127.0.0.1:1" })
  )
  const get = Effect.suspend(() => client.things.get({ params: { id: "a" } }))
  return many(traced ? get : Effect.provideService(get, HttpClient.TracerDisabledWhen, () => true))
}

const reference = async () => {
  const schema = z.object({
    id: z.string(),
    items: z.array(z.object({ id: z.number().int(), name: z.string(), tags: z.array(z.string()), price: z.number() }))
  })
  const policy = wrap(
    retry(handleAll, { maxAttempts: 3, backoff: new ExponentialBackoff() }),
    circuitBreaker(handleAll, { halfOpenAfter: 10_000, breaker: new ConsecutiveBreaker(5) }),
    bulkhead(64, 256),
    timeout(10_000, TimeoutStrategy.Cooperative)
  )
  const one = () =>
    policy.execute(async ({ signal }) => {
      const response = await request(`${url}/things/a`, { signal, headers: { authorization: "Bearer sk_bench_0000" } })
      if (response.statusCode >= 500) throw new Error(`HTTP ${response.statusCode}`)
      return schema.parse(await response.body.json())
    })
  const lane = async (calls: number) => {
    for (let call = 0; call < calls; call++) await one()
  }
  return (calls: number, width: number) => Promise.all(Array.from({ length: width }, () => lane(calls / width)))
}

const free = Layer.succeed(HttpClient.HttpClient, nothing)
const variants: Record<string, () => Promise<(calls: number, width: number) => Promise<unknown>>> = {
  "bare over nothing": () => bare(true),
  "bare untraced over nothing": () => bare(false),
  "breakwater over nothing": () => breakwater(free),
  breakwater: () => breakwater(Undici.layer()),
  "undici+cockatiel+zod": reference
}

const run = await variants[variant]?.()
process.on("message", async ({ calls }: { readonly calls: number }) => {
  const before = process.cpuUsage()
  await run?.(calls, variant.endsWith("nothing") ? 1 : inFlight)
  const { system, user } = process.cpuUsage(before)
  process.send?.({ cpuMicros: user + system })
})
process.on("disconnect", () => process.exit())
process.send?.("ready")
