/** A provider whose answers are kept, in every way that can be declared. */
import { Auth, Caching, Client, Provider, Safety } from "@breakwater/core"
import * as HttpCaching from "@breakwater/core/HttpCaching"
import { Context, Effect, Layer, Redacted, Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema } from "effect/http-api"
import type { FakeTransport } from "./FakeTransport.ts"

export const Place = Schema.Struct({ id: Schema.String, name: Schema.String })

/** There is no such shelf, declared. */
export class NoShelf extends Schema.TaggedError<NoShelf>("test/NoShelf")(
  "NoShelf",
  { shelf: Schema.String },
  { httpApiStatus: 404 }
) {}

const params = { id: Schema.String }

const places = HttpApiGroup.make("places").add(
  HttpApiEndpoint.get("get", "/places/:id", { params, success: Place }).pipe(
    Caching.ttl({
      ttl: "1 minute",
      staleFor: "1 hour",
      negativeTtl: "10 seconds",
      tags: ({ params: { id } }) => [`place/${id}`, "places"]
    })
  ),
  HttpApiEndpoint.get("find", "/places", {
    query: { address: Schema.String, near: Schema.optional(Schema.String) },
    headers: { "x-account": Schema.optional(Schema.String) },
    success: Schema.Array(Place)
  }).pipe(Caching.ttl({ ttl: "7 days", key: Caching.normalised("address") })),
  HttpApiEndpoint.post("search", "/places/search", {
    payload: Schema.Struct({ q: Schema.String }),
    success: Schema.Array(Place)
  }).pipe(Safety.safe, Caching.ttl({ ttl: "1 minute" })),
  HttpApiEndpoint.get("shelf", "/shelves/:id", { params, success: Place, error: NoShelf }).pipe(
    Caching.ttl({ ttl: "1 minute", negativeTtl: "10 seconds" })
  ),
  HttpApiEndpoint.get("counted", "/counted", {
    success: HttpApiSchema.WithHeaders(Schema.Array(Place), { "x-total": Schema.String })
  }).pipe(Caching.ttl({ ttl: "1 minute" })),
  HttpApiEndpoint.get("web", "/web/:id", { params, success: Place }).pipe(HttpCaching.http()),
  HttpApiEndpoint.get("robust", "/robust/:id", { params, success: Place }).pipe(
    HttpCaching.http({ staleFor: "1 hour", tags: ["web"] })
  ),
  HttpApiEndpoint.get("conditional", "/conditional", {
    headers: { "if-none-match": Schema.optional(Schema.String), "cache-control": Schema.optional(Schema.String) },
    success: Place
  }).pipe(HttpCaching.http()),
  HttpApiEndpoint.get("live", "/live/:id", { params, success: Place }),
  HttpApiEndpoint.put("rename", "/places/:id", { params, payload: Place, success: Place }).pipe(
    Caching.invalidates(({ params: { id } }) => [`place/${id}`])
  ),
  HttpApiEndpoint.post("close", "/places/:id/close", { params, success: HttpApiSchema.NoContent }).pipe(
    Caching.invalidates(["places"])
  )
)

export const api = HttpApi.make("shop").add(places)

export const provider = Provider.make("shop", {
  api,
  environments: { sandbox: "https://sandbox.shop.test", production: "https://api.shop.test" },
  auth: Auth.bearer(),
  version: { header: "Shop-Version", value: "2026-11-01" },
  requestIdHeader: "Shop-Request-Id"
})

export class Shop extends Context.Service<Shop, Client.Of<typeof provider>>()("test/Shop") {}

export type ShopClient = Client.Of<typeof provider>

/** The client, over a fake transport, until the scope of the test closes. */
export const connect = (transport: Pick<FakeTransport, "layer">, options?: Partial<Client.LayerOptions>) =>
  Layer.build(
    Client.layer(Shop, provider, { credential: Redacted.make("key"), ...options }).pipe(Layer.provide(transport.layer))
  ).pipe(Effect.map(Context.get(Shop)))
