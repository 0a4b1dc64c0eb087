/**
 * What a kept answer costs: a hit through the typed client against a bare `Map` and Effect's `Cache`, and what the hit is made of. CPU microseconds a call, medians of rounds in one process. Nothing here is
 * an assertion.
 */
import { AnswerStore, Auth, Caching, Client, Provider } from "@breakwater/core"
import * as HttpCaching from "@breakwater/core/HttpCaching"
import { Cache, Context, Effect, Layer, Logger, Redacted, Schema, Scope } from "effect"
import { HttpClient, HttpClientRequest, HttpServerResponse } from "effect/http"
import { HttpApi, HttpApiClient, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"

const Place = Schema.Struct({ id: Schema.String, name: Schema.String, lat: Schema.Finite, lon: Schema.Finite })
const place = { id: "p1", name: "Unter den Linden 1", lat: 52.5, lon: 13.4 }
const params = { id: Schema.String }

const api = HttpApi.make("places").add(
  HttpApiGroup.make("places").add(
    HttpApiEndpoint.get("get", "/places/:id", { params, success: Place }).pipe(Caching.ttl({ ttl: "1 day" })),
    HttpApiEndpoint.get("web", "/web/:id", { params, success: Place }).pipe(HttpCaching.http()),
    HttpApiEndpoint.get("live", "/live/:id", { params, success: Place })
  )
)

const url = "https://places.example"
const provider = Provider.make("places", { api, environments: { sandbox: url, production: url }, auth: Auth.bearer() })

class Places extends Context.Service<Places, Client.Of<typeof provider>>()("bench/Places") {}

const answer = HttpServerResponse.uint8Array(new TextEncoder().encode(JSON.stringify(place)), {
  contentType: "application/json",
  headers: { "cache-control": "max-age=86400" }
})
const transport = HttpClient.make((request) => Effect.succeed(HttpServerResponse.toClientResponse(answer, { request })))

const built = Client.layer(Places, provider, { credential: Redacted.make("sk_bench_0000") }).pipe(
  Layer.provide(Layer.succeed(HttpClient.HttpClient, transport)),
  Layer.provide(Logger.layer([]))
)
const nobody = HttpServerResponse.toClientResponse(answer, { request: HttpClientRequest.get(url) })
const client = Context.get(await Effect.runPromise(Layer.buildWithScope(built, Scope.makeUnsafe())), Places)
const generated = await Effect.runPromise(HttpApiClient.makeWith(api, { httpClient: transport, baseUrl: url }))
const cache = await Effect.runPromise(
  Cache.make({ capacity: 1024, timeToLive: "1 day", lookup: (_: string) => Effect.succeed(place) })
)
const map = new Map([["p1", place]])
const store = AnswerStore.memory()
const key = '["places","sandbox","default",0] places.places.get [1,"",0] GET https://places.example/places/p1 '
const kept = { s: 200, h: { "content-type": "application/json" }, j: place }
await Effect.runPromise(store.set(key, { payload: { version: 1, value: kept }, keepMillis: 86_400_000 }))
const decode = Schema.decodeUnknownEffect(Place)

const p1 = { params: { id: "p1" } }

/** Gives back a value in place of an answer, so that what is left of a call is the encoding of its request. */
const encoding = await Effect.runPromise(
  HttpApiClient.makeWith(api, {
    baseUrl: url,
    httpClient: HttpClient.makeWith<never, never, never, never>((request) => Effect.as(request, nobody), Effect.succeed)
  })
)
const variants: ReadonlyArray<readonly [name: string, call: Effect.Effect<unknown, unknown>]> = [
  ["a bare Map", Effect.sync(() => map.get("p1"))],
  ["Effect's Cache", Effect.suspend(() => Cache.get(cache, "p1"))],
  ["a kept answer, Caching.ttl", Effect.suspend(() => client.places.get(p1))],
  ["a kept answer, HttpCaching.http", Effect.suspend(() => client.places.web(p1))],
  [
    "  of it: Effect's generated client, up to the request",
    Effect.suspend(() => encoding.places.get({ ...p1, responseMode: "response-only" }))
  ],
  ["  of it: the store in memory", Effect.suspend(() => store.get(key, 1))],
  ["  of it: the schema of the answer", Effect.suspend(() => decode(place))],
  [
    "  beside it: Effect's generated client by itself, over nothing",
    Effect.provideService(
      Effect.suspend(() => generated.places.live(p1)),
      HttpClient.TracerDisabledWhen,
      () => true
    )
  ],
  ["  beside it: a protected call over nothing", Effect.suspend(() => client.places.live(p1))]
]

const count = 20_000
const rounds = 9

/** CPU microseconds of one of many calls in one fiber. */
const cpuOf = async (call: Effect.Effect<unknown, unknown>): Promise<number> => {
  const before = process.cpuUsage()
  let left = count
  await Effect.runPromise(Effect.whileLoop({ while: () => left-- > 0, body: () => call, step: () => undefined }))
  const { system, user } = process.cpuUsage(before)
  return (system + user) / count
}

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0

const figures = variants.map((): Array<number> => [])
for (const [, call] of variants) await cpuOf(call)
for (let round = 0; round < rounds; round++)
  for (const [index, [, call]] of variants.entries()) figures[index]?.push(await cpuOf(call))

process.stdout.write("a kept answer, CPU µs a call\n")
for (const [index, [name]] of variants.entries())
  process.stdout.write(
    `${name.padEnd(62)} ${median(figures[index] ?? [])
      .toFixed(2)
      .padStart(6)}\n`
  )
