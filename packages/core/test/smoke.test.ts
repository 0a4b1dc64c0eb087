import { assert, it } from "@effect/vitest"
import { Context, Effect, Layer, Redacted, Schema, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { HttpClient, HttpServerResponse } from "effect/http"
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import * as Auth from "../src/definition/Auth.ts"
import * as Provider from "../src/definition/Provider.ts"
import * as Safety from "../src/vocabulary/Safety.ts"
import * as Client from "../src/call/Client.ts"
import * as Idempotency from "../src/policy/Idempotency.ts"
import * as Health from "../src/operate/Health.ts"

class Declined extends Schema.TaggedError<Declined>()("Declined", { code: Schema.String }, { httpApiStatus: 402 }) {}
const api = HttpApi.make("acme").add(
  HttpApiGroup.make("things").add(
    HttpApiEndpoint.get("get", "/things/:id", {
      params: { id: Schema.String },
      success: Schema.Struct({ id: Schema.String, n: Schema.Int })
    }),
    HttpApiEndpoint.post("create", "/things", {
      payload: Schema.Struct({ n: Schema.Int }),
      success: Schema.Struct({ id: Schema.String, n: Schema.Int }),
      error: Declined
    }).pipe(Safety.keyed({ header: "Idempotency-Key", window: "24 hours" }))
  )
)
const provider = Provider.make("acme", {
  api,
  environments: { sandbox: "https://sandbox.acme.test", production: "https://acme.test" },
  auth: Auth.bearer()
})
class Acme extends Context.Service<Acme, Client.Of<typeof provider>>()("test/Acme") {}

const fake = (answers: Array<(n: number) => any>) => {
  const requests: Array<any> = []
  const layer = Layer.succeed(
    HttpClient.HttpClient,
    HttpClient.make((request) => {
      requests.push(request)
      const answer = answers[Math.min(requests.length - 1, answers.length - 1)]!(requests.length)
      return Effect.isEffect(answer)
        ? (answer as any)
        : Effect.succeed(
            HttpServerResponse.toClientResponse(HttpServerResponse.jsonUnsafe(answer.body, { status: answer.status }), {
              request
            })
          )
    })
  )
  return { requests, layer }
}
const acme = (f: { layer: Layer.Layer<HttpClient.HttpClient> }) =>
  Client.layer(Acme, provider, { credential: Redacted.make("sk_test_secret") }).pipe(Layer.provide(f.layer))

it.effect("get", () => {
  const f = fake([() => ({ status: 200, body: { id: "a", n: 1 } })])
  return Effect.gen(function* () {
    const client = yield* Acme
    const got = yield* client.things.get({ params: { id: "a" } })
    assert.deepStrictEqual(got, { id: "a", n: 1 })
    console.log(f.requests[0].headers, f.requests[0].url)
    console.log(JSON.stringify(yield* Health.snapshot))
    const drift = yield* Effect.flip(client.things.get({ params: { id: ".." } }))
    console.log(String(drift), JSON.stringify(drift))
  }).pipe(Effect.provide(acme(f)))
})
it.effect("retry", () => {
  const f = fake([
    () => ({ status: 503, body: {} }),
    () => Effect.never,
    () => ({ status: 200, body: { id: "a", n: 1 } })
  ])
  return Effect.gen(function* () {
    const client = yield* Acme
    const fiber = yield* Effect.forkChild(client.things.create({ payload: { n: 1 } }).pipe(Idempotency.withKey("k1")))
    yield* TestClock.adjust("20 seconds")
    const got = yield* Fiber.join(fiber)
    assert.deepStrictEqual(got, { id: "a", n: 1 })
    assert.strictEqual(f.requests.length, 3)
  }).pipe(Effect.provide(acme(f)))
})
it.effect("fails", () => {
  const f = fake([() => ({ status: 503, body: { password: "hunter2" } })])
  return Effect.gen(function* () {
    const client = yield* Acme
    const fiber = yield* Effect.forkChild(
      Effect.flip(client.things.create({ payload: { n: 1 } }).pipe(Idempotency.withKey("k1")))
    )
    yield* TestClock.adjust("20 seconds")
    const e = yield* Fiber.join(fiber)
    console.log(e, JSON.stringify(e))
  }).pipe(Effect.provide(acme(f)))
})
it.effect("declared", () => {
  const f = fake([
    () => ({ status: 402, body: { _tag: "Declined", code: "x" } }),
    () => ({ status: 200, body: { id: "a" } })
  ])
  return Effect.gen(function* () {
    const client = yield* Acme
    const e = yield* Effect.flip(client.things.create({ payload: { n: 1 } }).pipe(Idempotency.withKey("k1")))
    assert.instanceOf(e, Declined)
    const e2 = yield* Effect.flip(client.things.create({ payload: { n: 1 } }).pipe(Idempotency.withKey("k1")))
    console.log(String(e2))
  }).pipe(Effect.provide(acme(f)))
})
