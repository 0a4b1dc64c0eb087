import { assert, describe, it } from "@effect/vitest"
import { LinkStore } from "@breakwater/core/LinkStore"
import { Effect, Result } from "effect"
import { SqlClient } from "effect/sql"
import { complete, inFile } from "./support/Adapters.ts"

let count = 0
const scopeOf = () => `crm.customers/${++count}`

for (const { layer, name, skip } of complete("link")) {
  describe.skipIf(skip)(`LinkStore in ${name}`, () => {
    it.layer(layer, { excludeTestServices: true })((it) => {
      it.effect("finds a link from both sides, in its own scope, until it is taken away", () =>
        Effect.gen(function* () {
          const store = yield* LinkStore
          const [scope, other] = [scopeOf(), scopeOf()]
          yield* store.link({ scope, external: "e1", internal: "i1" })
          const found = Effect.all([
            store.internalOf({ scope, external: "e1" }),
            store.externalOf({ scope, internal: "i1" }),
            store.internalOf({ scope: other, external: "e1" }),
            store.externalOf({ scope: other, internal: "i1" })
          ])

          assert.deepStrictEqual(yield* found, ["i1", "e1", undefined, undefined])
          yield* store.unlink({ scope, external: "e1" })
          yield* store.unlink({ scope, external: "e1" })
          assert.deepStrictEqual(yield* found, [undefined, undefined, undefined, undefined])
          yield* store.link({ scope, external: "e2", internal: "i1" })
          assert.strictEqual(yield* store.externalOf({ scope, internal: "i1" }), "e2")
        })
      )

      it.effect("links one id to one, and takes the same link again for what it is", () =>
        Effect.gen(function* () {
          const store = yield* LinkStore
          const scope = scopeOf()
          yield* store.link({ scope, external: "e1", internal: "i1" })
          yield* store.link({ scope, external: "e1", internal: "i1" })
          const sideOf = (external: string, internal: string) =>
            Effect.map(Effect.flip(store.link({ scope, external, internal })), (error) =>
              error._tag === "LinkTaken" ? error.side : error.problem
            )

          assert.strictEqual(yield* sideOf("e1", "i2"), "external")
          assert.strictEqual(yield* sideOf("e2", "i1"), "internal")
          assert.strictEqual(yield* store.internalOf({ scope, external: "e2" }), undefined)
        })
      )

      it.effect("lets one of many who link the same id at once", () =>
        Effect.gen(function* () {
          const store = yield* LinkStore
          const scope = scopeOf()
          const links = yield* Effect.forEach(
            Array.from({ length: 20 }, (_, index) => `i${index}`),
            (internal) => Effect.result(store.link({ scope, external: "e1", internal })),
            { concurrency: "unbounded" }
          )
          const won = links.flatMap((link, index) => (Result.isSuccess(link) ? [`i${index}`] : []))

          assert.deepStrictEqual(won, [yield* store.internalOf({ scope, external: "e1" })])
        })
      )

      it.effect("refuses ids that cannot be kept", () =>
        Effect.gen(function* () {
          const store = yield* LinkStore
          const ok = { scope: "s", external: "e", internal: "i" }
          for (const bad of ["", "x".repeat(513), "a\u0000b"]) {
            for (const field of ["scope", "external", "internal"] as const) {
              const error = yield* Effect.flip(store.link({ ...ok, [field]: bad }))
              assert.deepStrictEqual(error._tag === "StoreError" && [error.problem, error.detail.split(" ")[0]], [
                "invalid",
                field
              ])
            }
            for (const asked of [
              store.internalOf({ scope: "s", external: bad }),
              store.externalOf({ scope: "s", internal: bad }),
              store.unlink({ scope: bad, external: "e" })
            ])
              assert.strictEqual((yield* Effect.flip(asked)).problem, "invalid")
          }
        })
      )
    })
  })
}

describe("LinkStore in SQL", () => {
  it.effect("goes back with the transaction of its caller", () =>
    Effect.gen(function* () {
      const store = yield* LinkStore
      const sql = yield* SqlClient.SqlClient
      const linked = store.link({ scope: "s", external: "e", internal: "i" })
      yield* Effect.ignore(sql.withTransaction(Effect.andThen(linked, Effect.fail("no"))))

      assert.strictEqual(yield* store.internalOf({ scope: "s", external: "e" }), undefined)
      yield* sql.withTransaction(linked)
      assert.strictEqual(yield* store.internalOf({ scope: "s", external: "e" }), "i")
    }).pipe(Effect.provide(inFile()))
  )
})

describe("LinkStore.layerMemory", () => {
  it.effect("is full, and forgets nothing, when it has as many links as it may", () =>
    Effect.gen(function* () {
      const store = yield* LinkStore
      yield* store.link({ scope: "s", external: "a", internal: "1" })
      const full = yield* Effect.flip(store.link({ scope: "s", external: "b", internal: "2" }))
      yield* store.link({ scope: "s", external: "a", internal: "1" })

      assert.strictEqual(full._tag === "StoreError" && full.problem, "full")
      assert.strictEqual(yield* store.internalOf({ scope: "s", external: "a" }), "1")
    }).pipe(Effect.provide(LinkStore.layerMemory({ capacity: 1 })))
  )
})
