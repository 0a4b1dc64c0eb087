import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema } from "effect/http-api"
import * as Auth from "@breakwater/core/Auth"
import * as Client from "@breakwater/core/Client"
import * as Provider from "@breakwater/core/Provider"
import { apiKey } from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, run } from "../support/Scenario.ts"

const Accepted = Schema.Struct({ id: Schema.String })

const accepted = Accepted.pipe(
  HttpApiSchema.encodeToWithHeaders(
    { body: HttpApiSchema.Empty(202), headers: { "x-message-id": Schema.NonEmptyString } },
    {
      decode: ({ headers }) => ({ id: headers["x-message-id"] }),
      encode: ({ id }) => ({ body: undefined, headers: { "x-message-id": id } })
    }
  )
)

class Taken extends Schema.TaggedError<Taken>("test/Taken")("Taken", { by: Schema.String }) {}

const taken = Taken.pipe(
  HttpApiSchema.encodeToWithHeaders(
    { body: HttpApiSchema.Empty(409), headers: { "x-taken-by": Schema.String } },
    {
      decode: ({ headers }) => new Taken({ by: headers["x-taken-by"] }),
      encode: ({ by }) => ({ body: undefined, headers: { "x-taken-by": by } })
    }
  )
)

const counted = Schema.Struct({ count: Schema.Int, page: Schema.String }).pipe(
  HttpApiSchema.encodeToWithHeaders(
    { body: Schema.Struct({ count: Schema.Int }), headers: { "x-page": Schema.String } },
    {
      decode: ({ body, headers }) => ({ count: body.count, page: headers["x-page"] }),
      encode: ({ count, page }) => ({ body: { count }, headers: { "x-page": page } })
    }
  )
)

const provider = Provider.make("post", {
  api: HttpApi.make("post").add(
    HttpApiGroup.make("letters").add(
      HttpApiEndpoint.post("send", "/letters", { success: accepted, error: taken }),
      HttpApiEndpoint.get("count", "/letters", { success: counted })
    )
  ),
  environments: { sandbox: "https://sandbox.post.test", production: "https://post.test" },
  auth: Auth.bearer()
})

class Post extends Context.Service<Post, Client.Of<typeof provider>>()("test/Post") {}

const outcomeOf = (operation: "send" | "count", step: Fake.Step) =>
  inScenario(
    Effect.gen(function* () {
      const transport = Fake.make([step])
      const live = Client.layer(Post, provider, { credential: apiKey, policy: { attempts: 1 } })
      const post = Context.get(yield* Layer.build(live.pipe(Layer.provide(transport.layer))), Post)
      const { count, send } = post.letters
      return operation === "send" ? (yield* run(send())).outcome : (yield* run(count())).outcome
    })
  )

describe("an answer whose meaning is in its headers", () => {
  it.effect("is read from them when its body is empty, and whatever its body is", () =>
    Effect.gen(function* () {
      const id = { "x-message-id": "m1" }
      const outcomes = yield* Effect.forEach(
        [Fake.empty(202, id), Fake.text("queued", 202, id), Fake.json({ queued: true }, 202, id)],
        (step) => outcomeOf("send", step)
      )

      assert.deepStrictEqual(
        outcomes,
        [1, 2, 3].map(() => ({ value: { id: "m1" } }))
      )
    })
  )

  it.effect("is drift without its header: of a write, nobody knows what came of it", () =>
    Effect.gen(function* () {
      const outcome = yield* outcomeOf("send", Fake.empty(202))

      assert.deepInclude(outcome as object, { class: "OutcomeUnknown" })
    })
  )

  it.effect("may be a declared error", () =>
    Effect.gen(function* () {
      const outcome = yield* outcomeOf("send", Fake.empty(409, { "x-taken-by": "ada" }))

      assert.deepStrictEqual(outcome, { declared: new Taken({ by: "ada" }) })
    })
  )

  it.effect("may have a body of JSON as well, without which it is no answer of the provider's", () =>
    Effect.gen(function* () {
      const page = { "x-page": "2" }

      assert.deepStrictEqual(yield* outcomeOf("count", Fake.json({ count: 3 }, 200, page)), {
        value: { count: 3, page: "2" }
      })
      assert.deepInclude((yield* outcomeOf("count", Fake.empty(200, page))) as object, { class: "RetryableError" })
    })
  )
})
