/**
 * A provider that sends and takes large files: one operation of each kind whose body is a stream, on the way in or out.
 */
import { Context, Effect, Layer, Redacted, Schema, Stream } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema } from "effect/http-api"
import type { HttpClient, HttpClientRequest } from "effect/http"
import * as Auth from "@breakwater/core/Auth"
import * as Body from "@breakwater/core/Body"
import * as Client from "@breakwater/core/Client"
import * as Provider from "@breakwater/core/Provider"
import * as Safety from "@breakwater/core/Safety"
import type * as Fake from "./FakeTransport.ts"

const Stored = Schema.Struct({ id: Schema.String })
const id = { id: Schema.String }

/** A domain error beside a stream. */
export class Gone extends Schema.TaggedError<Gone>("test/Gone")(
  "Gone",
  { since: Schema.String },
  { httpApiStatus: 410 }
) {}

const uploads = HttpApiGroup.make("uploads").add(
  HttpApiEndpoint.put("replace", "/files/:id", {
    params: id,
    payload: HttpApiSchema.StreamUint8Array(),
    success: Stored
  }),
  HttpApiEndpoint.post("create", "/files", { payload: HttpApiSchema.StreamUint8Array(), success: Stored }),
  HttpApiEndpoint.post("match", "/files/match", { payload: HttpApiSchema.StreamUint8Array(), success: Stored }).pipe(
    Safety.safe
  )
)

export const Line = Schema.Struct({ id: Schema.Int })

const downloads = HttpApiGroup.make("downloads").add(
  HttpApiEndpoint.get("get", "/files/:id", { params: id, success: Body.streaming(), error: Gone }),
  HttpApiEndpoint.get("lines", "/files/:id/lines", {
    params: id,
    success: HttpApiSchema.StreamNdjson({ schema: Line })
  }),
  HttpApiEndpoint.post("render", "/renders", { success: Body.streaming() }),
  HttpApiEndpoint.post("print", "/prints", { success: Body.streaming() }).pipe(
    Safety.keyed({ header: "Idempotency-Key", window: "24 hours" })
  ),
  HttpApiEndpoint.get("plain", "/plain", { success: Stored })
)

export const provider = Provider.make("media", {
  api: HttpApi.make("media").add(uploads).add(downloads),
  environments: { sandbox: "https://sandbox.media.test", production: "https://api.media.test" },
  auth: Auth.bearer()
})

export type MediaClient = Client.Of<typeof provider>

export class Media extends Context.Service<Media, MediaClient>()("test/Media") {}

/** The client of the provider over a transport, until the scope of the test closes. */
export const connect = (
  transport: { readonly layer: Layer.Layer<HttpClient.HttpClient> },
  options?: Partial<Client.LayerOptions>
) =>
  Layer.build(
    Client.layer(Media, provider, { credential: Redacted.make("key_4242abcd"), ...options }).pipe(
      Layer.provide(transport.layer)
    )
  ).pipe(Effect.map(Context.get(Media)))

/** Takes a request's body to its end, as a provider does before it answers, and then answers. */
export const taking =
  (step: Fake.Step, took: (bytes: Uint8Array) => void = () => undefined): Fake.Step =>
  (request: HttpClientRequest.HttpClientRequest) =>
    request.body._tag === "Stream"
      ? Effect.andThen(
          Effect.orDie(Stream.runForEach(request.body.stream, (bytes) => Effect.sync(() => took(bytes)))),
          step(request)
        )
      : step(request)
