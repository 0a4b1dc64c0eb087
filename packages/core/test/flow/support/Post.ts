/** A post office that takes no keys: letters are found by a reference, taken back by it, and a second box of one name is refused. */
import { Auth, Client, Provider, Resolution, Safety } from "@breakwater/core"
import { Context, Effect, Layer, Redacted, Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema } from "effect/http-api"
import type { FakeTransport } from "../../support/FakeTransport.ts"

export const Letter = Schema.Struct({ id: Schema.String, reference: Schema.optional(Schema.String) })

const find = HttpApiEndpoint.get("find", "/letters", {
  query: { reference: Schema.String, since: Schema.FiniteFromString },
  success: Schema.Struct({ letters: Schema.Array(Letter), more: Schema.Boolean })
})

const take = HttpApiEndpoint.delete("takeBack", "/letters/:reference", {
  params: { reference: Schema.String },
  success: HttpApiSchema.NoContent
})

const SendLetter = Schema.Struct({
  to: Schema.String,
  meta: Schema.optional(Schema.Struct({ reference: Schema.optional(Schema.String) }))
})

/** How long the office may be behind. */
export const settlesAfter = "10 minutes"

const send = HttpApiEndpoint.post("send", "/letters", { payload: SendLetter, success: Letter }).pipe(
  Resolution.lookup(find, {
    reference: "meta.reference",
    request: ({ firstSentAt, key }) => ({ query: { reference: key, since: firstSentAt } }),
    match: ({ letters, more }, { key }) =>
      letters.find(({ reference }) => reference === key) ?? (more ? Resolution.undecided : undefined),
    settlesAfter
  })
)

const letters = HttpApiGroup.make("letters").add(
  send,
  find,
  take,
  HttpApiEndpoint.post("fax", "/fax", { payload: SendLetter, success: Letter }).pipe(
    Resolution.compensate(take, { request: ({ key }) => ({ params: { reference: key } }), settlesAfter })
  ),
  HttpApiEndpoint.post("register", "/registered", { payload: SendLetter, success: Letter }).pipe(
    Safety.keyed({ header: "Idempotency-Key", window: "24 hours" }),
    Resolution.lookup(find, {
      request: ({ key }) => ({ query: { reference: key, since: 0 } }),
      match: () => undefined,
      settlesAfter
    })
  ),
  HttpApiEndpoint.post("scan", "/scan", {
    payload: SendLetter,
    success: Schema.Uint8Array.pipe(HttpApiSchema.asUint8Array())
  }).pipe(Resolution.ask),
  HttpApiEndpoint.post("shout", "/shout", { payload: SendLetter, success: Letter }).pipe(Resolution.ask),
  HttpApiEndpoint.post("whisper", "/whisper", { payload: SendLetter, success: Letter })
)

const Box = Schema.Struct({ name: Schema.String, size: Schema.Int })
const getBox = HttpApiEndpoint.get("get", "/boxes/:name", { params: { name: Schema.String }, success: Box })

const boxes = HttpApiGroup.make("boxes").add(
  getBox,
  HttpApiEndpoint.post("create", "/boxes", { payload: Box, success: Box.pipe(HttpApiSchema.status(201)) }).pipe(
    Safety.keyed({ header: "Idempotency-Key", window: "24 hours" }),
    Resolution.existing(getBox, {
      request: ({ request }) => ({ params: { name: request.payload.name } }),
      match: (box, { request }) => (box.size === request.payload.size ? box : undefined)
    })
  ),
  HttpApiEndpoint.post("rent", "/rents", { payload: Box, success: Box }).pipe(
    Resolution.existing(getBox, {
      when: { status: 400, code: "rented" },
      request: ({ code, request }) => ({ params: { name: `${request.payload.name}-${code}` } }),
      match: (box) => box
    })
  )
)

export const api = HttpApi.make("post").add(letters.prefix("/v1"), boxes)

export const declared = (of: typeof api) =>
  Provider.make("post", {
    api: of,
    environments: { sandbox: "https://post.test", production: "https://post.example" },
    auth: Auth.bearer(),
    errors: { code: (body) => (body as { readonly code?: string }).code }
  })

export const provider = declared(api)

export class Post extends Context.Service<Post, Client.Of<typeof provider>>()("test/Post") {}

/** Its client over a fake transport, until the scope of the test closes. */
export const connect = (transport: Pick<FakeTransport, "layer">, options?: Partial<Client.LayerOptions>) =>
  Layer.build(
    Client.layer(Post, provider, { credential: Redacted.make("secret-of-post"), ...options }).pipe(
      Layer.provide(transport.layer)
    )
  ).pipe(Effect.map(Context.get(Post)))
