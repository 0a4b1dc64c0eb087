import { assert, describe, it } from "@effect/vitest"
import { Client, Idempotency, Resolution, Safety } from "@breakwater/core"
import { Effect, Layer, Redacted, Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import * as Post from "./flow/support/Post.ts"
import * as Fake from "./support/FakeTransport.ts"
import { inScenario, run } from "./support/Scenario.ts"

const thing = Schema.Struct({ id: Schema.String })
const get = HttpApiEndpoint.get("get", "/things/:id", { params: { id: Schema.String }, success: thing })
const remove = HttpApiEndpoint.delete("remove", "/things/:id", { params: { id: Schema.String } })
const touch = HttpApiEndpoint.post("touch", "/things/:id/touch", { params: { id: Schema.String }, success: thing })
const create = HttpApiEndpoint.post("create", "/things", { payload: thing, success: thing })

const byKey = {
  request: ({ key }: Resolution.Asked) => ({ params: { id: key } }),
  match: (found: typeof thing.Type) => found,
  settlesAfter: "1 minute"
} as const
const undo = { request: byKey.request, settlesAfter: "1 minute" } as const

/** What comes of building a layer over an API with these endpoints. */
const built = (...endpoints: ReadonlyArray<HttpApiEndpoint.Constraint>) => {
  const api = HttpApi.make("things").add(
    HttpApiGroup.make("things")
      .add(...(endpoints as unknown as readonly [typeof create, typeof get]))
      .prefix("/v1")
  )
  const layer = Client.layer(Post.Post, Post.declared(api as never), { credential: Redacted.make("k") })
  return Layer.build(layer).pipe(
    Effect.match({ onSuccess: () => "built", onFailure: ({ message }) => message }),
    Effect.provide(Fake.make([Fake.silent]).layer)
  )
}

describe("A resolution that is declared", () => {
  it.effect("is found by its endpoint's identifier, under a prefix and behind markers", () =>
    inScenario(
      Effect.gen(function* () {
        assert.strictEqual(yield* built(create.pipe(Resolution.lookup(get, byKey)), get), "built")
        assert.strictEqual(yield* built(create.pipe(Resolution.lookup(get, byKey)), get.pipe(Safety.safe)), "built")
        assert.strictEqual(yield* built(create.pipe(Resolution.compensate(remove, undo)), remove), "built")
        assert.strictEqual(yield* built(create.pipe(Resolution.ask)), "built")
      })
    )
  )

  it.effect("refuses the layer where its endpoint is missing, not safe enough, or not alone", () =>
    inScenario(
      Effect.gen(function* () {
        const name = "policy of post.things.create: resolution Resolution.lookup names"

        assert.strictEqual(
          yield* built(create.pipe(Resolution.lookup(get, byKey))),
          `${name} GET /things/:id ("get"), which is not in the API`
        )
        assert.strictEqual(
          yield* built(create.pipe(Resolution.lookup(touch, byKey)), touch),
          `${name} POST /things/:id/touch ("touch"), which is unsafe, not safe`
        )
        assert.strictEqual(
          yield* built(create.pipe(Resolution.compensate(touch, undo)), touch),
          'policy of post.things.create: resolution Resolution.compensate names POST /things/:id/touch ("touch"), which is unsafe, not safe or idempotent'
        )
        assert.strictEqual(
          yield* built(
            create.pipe(
              Resolution.existing(remove, { ...byKey, request: () => ({ params: { id: "" } }), match: () => undefined })
            ),
            remove
          ),
          'policy of post.things.create: resolution Resolution.existing names DELETE /things/:id ("remove"), which is idempotent, not safe'
        )
        assert.strictEqual(
          yield* built(remove.pipe(Resolution.ask)),
          "policy of post.things.remove: resolution is for keyed and unsafe operations, whose outcome may be unknown; this one is idempotent"
        )
      })
    )
  )

  it.effect("refuses the layer where two endpoints could be meant", () =>
    inScenario(
      Effect.gen(function* () {
        const here = HttpApiGroup.make("here").add(create.pipe(Resolution.lookup(get, byKey)), get)
        const there = HttpApiGroup.make("there").add(get).prefix("/there")
        const api = HttpApi.make("things").add(here, there)
        const layer = Client.layer(Post.Post, Post.declared(api as never), { credential: Redacted.make("k") })
        const refused = yield* Effect.flip(Effect.provide(Layer.build(layer), Fake.make([Fake.silent]).layer))

        assert.strictEqual(
          refused.message,
          'policy of post.here.create: resolution Resolution.lookup names GET /things/:id ("get"), which is in the API more than once'
        )
      })
    )
  )

  it("refuses a wait that never ends, and a field that is none", () => {
    assert.throws(
      () => Resolution.lookup(get, { ...byKey, settlesAfter: Infinity }),
      /^Resolution.lookup: settlesAfter must be finite and not below 0$/u
    )
    assert.throws(
      () => Resolution.lookup(get, { ...byKey, reference: "a[b]" }),
      /^Resolution.lookup: reference must be names with dots between them, got "a\[b\]"$/u
    )
  })

  it("is held to the types of both endpoints", () => {
    // @ts-expect-error the value of the write is a thing
    create.pipe(Resolution.lookup(get, { ...byKey, match: () => ({ name: "x" }) }))
    // @ts-expect-error the endpoint needs an id
    create.pipe(Resolution.lookup(get, { ...byKey, request: () => ({ params: {} }) }))
  })
})

describe("Resolution.existing", () => {
  const box = { name: "b", size: 3 }
  const conflict = Fake.json({ code: "taken" }, 409)

  const creating = (script: Fake.Script) =>
    Effect.gen(function* () {
      const transport = Fake.make(script)
      const post = yield* Post.connect(transport)
      const { outcome } = yield* run(post.boxes.create({ payload: box }).pipe(Idempotency.withKey("box/b")))
      return [outcome, transport.sent.map(({ method, url }) => `${method} ${url}`)]
    })

  const refused = { class: "FatalError", attempts: 1, reason: { _tag: "Conflict", status: 409, code: "taken" } }
  const asked = ["POST https://post.test/boxes", "GET https://post.test/boxes/b"]

  it.effect("makes the value of what is there already the value of the call", () =>
    inScenario(
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* creating([conflict, Fake.json(box)]), [{ value: box }, asked])
      })
    )
  )

  it.effect("leaves the refusal where what is there is another, and where it cannot be asked for", () =>
    inScenario(
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* creating([conflict, Fake.json({ ...box, size: 4 })]), [{ ...refused }, asked])
        assert.deepStrictEqual(yield* creating([conflict, Fake.json({}, 403)]), [{ ...refused }, asked])
        assert.deepStrictEqual((yield* creating([Fake.json({}, 404), Fake.json(box)]))[1], asked.slice(0, 1))
      })
    )
  )

  it.effect("asks only after the refusals that are declared", () =>
    inScenario(
      Effect.gen(function* () {
        const renting = Effect.fnUntraced(function* (status: number, code: string) {
          const transport = Fake.make([Fake.json({ code }, status), Fake.json(box)])
          const post = yield* Post.connect(transport)
          yield* run(post.boxes.rent({ payload: box }))
          return transport.sent.map(({ url }) => url).slice(1)
        })

        assert.deepStrictEqual(yield* renting(400, "rented"), ["https://post.test/boxes/b-rented"])
        assert.deepStrictEqual(yield* renting(400, "other"), [])
        assert.deepStrictEqual(yield* renting(409, "rented"), [])
      })
    )
  )
})
