/** Answers that are kept, over each store: they are given, they end, they are forgotten by tag, and they are nobody else's. */
import { assert, describe, it } from "@effect/vitest"
import { Answer, Answers, Caching } from "@breakwater/core"
import { Effect, Layer } from "effect"
import * as Fake from "../support/FakeTransport.ts"
import * as Shop from "../support/Shop.ts"
import { shared } from "./support/Adapters.ts"

const p1 = { params: { id: "p1" } }

for (const { layer, name, skip } of shared("kept")) {
  describe.skipIf(skip)(`kept answers in ${name}`, () => {
    it.layer(layer, { excludeTestServices: true })((it) => {
      it.effect("are given, renewed, forgotten and kept apart", () =>
        Effect.gen(function* () {
          const transport = Fake.make((n, { method }) => Fake.json({ id: "p1", name: `n${method === "GET" ? n : 0}` }))
          const other = Fake.make([Fake.json({ id: "p1", name: "other" })])
          const shop = yield* Shop.connect(transport, { connection: "a" })
          const get = Effect.map(Answer.capture(shop.places.get(p1)), ({ source, value }) => `${value.name} ${source}`)
          const said = [yield* get, yield* get, yield* Caching.bypass(get), yield* get]
          yield* shop.places.rename({ ...p1, payload: { id: "p1", name: "x" } })
          said.push(yield* get, yield* get)
          yield* Caching.forget(shop.places.get(p1))
          said.push(yield* get, yield* get)
          const forgotten = yield* Answers.invalidate({ provider: "shop", connection: "a", tags: ["places"] })
          said.push(yield* get)
          const stranger = yield* Shop.connect(other, { connection: "b" })
          const strange = yield* stranger.places.get(p1)

          assert.deepStrictEqual(said, [
            "n1 live",
            "n1 cached",
            "n2 live",
            "n2 cached",
            "n4 live",
            "n4 cached",
            "n5 live",
            "n5 cached",
            "n6 live"
          ])
          assert.deepStrictEqual([forgotten, strange.name], [1, "other"])
        }).pipe(Effect.scoped)
      )

      it.effect("last as long as the process that keeps them, or longer", () =>
        Effect.gen(function* () {
          const once = (name: string) =>
            Effect.scoped(
              Effect.flatMap(Shop.connect(Fake.make([Fake.json({ id: "p1", name })]), { connection: "c" }), (shop) =>
                Effect.map(shop.places.get(p1), (place) => place.name)
              )
            )

          // The second layer is another process as far as the store can tell.
          assert.deepStrictEqual([yield* once("first"), yield* once("second")], ["first", "first"])
        })
      )
    })
  })
}

describe("kept answers without a store", () => {
  it.effect("go with the layer", () =>
    Effect.gen(function* () {
      const once = (name: string) =>
        Effect.scoped(
          Effect.flatMap(Shop.connect(Fake.make([Fake.json({ id: "p1", name })])), (shop) =>
            Effect.map(shop.places.get(p1), (place) => place.name)
          )
        )

      assert.deepStrictEqual([yield* once("first"), yield* once("second")], ["first", "second"])
    }).pipe(Effect.provide(Layer.empty))
  )
})
