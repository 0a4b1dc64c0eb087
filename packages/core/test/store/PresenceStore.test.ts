import { assert, describe, it } from "@effect/vitest"
import * as PresenceStores from "@breakwater/core/PresenceStore"
import { memory, PresenceStore } from "@breakwater/core/PresenceStore"
import * as Stores from "@breakwater/core/Stores"
import { NodeRedis } from "@effect/platform-node"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { Redis } from "effect/persistence"
import { TestClock } from "effect/testing"
import { inject } from "vitest"
import type { Adapter } from "./support/Adapters.ts"
import { inRedis } from "./support/Adapters.ts"

const prefix = `t_presence_${process.pid}`

const adapters: ReadonlyArray<Adapter<PresenceStore>> = [
  { name: "memory", layer: Stores.layerMemory(), skip: false },
  { name: "Redis", layer: inRedis(prefix), skip: !inject("redis") }
]

let count = 0
const groupName = () => `stripe/production/tenant ${++count}`

const ttlMillis = 60_000

for (const { layer, name, skip } of adapters) {
  describe.skipIf(skip)(`PresenceStore in ${name}`, () => {
    it.layer(layer, { excludeTestServices: true })((it) => {
      it.effect("counts the members of a group, each once however often it says so", () =>
        Effect.gen(function* () {
          const store = yield* PresenceStore
          const group = groupName()
          const counts: Array<number> = []
          for (const member of ["a", "b", "a", "c", "b"]) counts.push(yield* store.beat({ group, member, ttlMillis }))
          const other = yield* store.beat({ group: groupName(), member: "a", ttlMillis })

          assert.deepStrictEqual(counts, [1, 2, 2, 3, 3])
          assert.strictEqual(other, 1)
        })
      )

      it.effect("counts everybody who comes at once", () =>
        Effect.gen(function* () {
          const store = yield* PresenceStore
          const group = groupName()
          const counts = yield* Effect.all(
            Array.from({ length: 20 }, (_, n) => store.beat({ group, member: `${n}`, ttlMillis })),
            { concurrency: "unbounded" }
          )

          assert.deepStrictEqual(
            counts.toSorted((a, b) => a - b),
            Array.from({ length: 20 }, (_, n) => n + 1)
          )
        })
      )

      it.effect("counts a member that has left, or was not there, no more, until it says so again", () =>
        Effect.gen(function* () {
          const store = yield* PresenceStore
          const group = groupName()
          for (const member of ["a", "b", "c"]) yield* store.beat({ group, member, ttlMillis })
          yield* store.leave({ group, member: "b" })
          yield* store.leave({ group, member: "nobody" })
          yield* store.leave({ group: groupName(), member: "a" })
          const without = yield* store.beat({ group, member: "a", ttlMillis })

          assert.deepStrictEqual([without, yield* store.beat({ group, member: "b", ttlMillis })], [2, 3])
        })
      )

      it.effect("counts a member that has said nothing for its time no more", () =>
        Effect.gen(function* () {
          const store = yield* PresenceStore
          const group = groupName()
          yield* store.beat({ group, member: "brief", ttlMillis: 1 })
          yield* store.beat({ group, member: "long", ttlMillis })
          // The server's clock goes on by itself.
          yield* Effect.sleep(5)

          assert.strictEqual(yield* store.beat({ group, member: "brief", ttlMillis: 1 }), 2)
          yield* Effect.sleep(5)
          assert.strictEqual(yield* store.beat({ group, member: "long", ttlMillis }), 1)
        })
      )

      it.effect("refuses names that cannot be kept, and times that are none", () =>
        Effect.gen(function* () {
          const store = yield* PresenceStore
          const good = { group: "g", member: "m", ttlMillis: 1 }
          const bad = [
            { ...good, group: "" },
            { ...good, group: "x".repeat(513) },
            { ...good, member: "a\u0000b" },
            { ...good, ttlMillis: 0 },
            { ...good, ttlMillis: 1.5 },
            { ...good, ttlMillis: 86_400_001 }
          ]
          const details: Array<string> = []
          for (const each of bad) {
            const { detail, problem, store: which } = yield* Effect.flip(store.beat(each))
            assert.deepStrictEqual([which, problem], ["presence", "invalid"])
            details.push(detail.split(" ", 1).join())
          }

          assert.deepStrictEqual(details, ["group", "group", "member", "ttlMillis", "ttlMillis", "ttlMillis"])
          assert.strictEqual((yield* Effect.flip(store.leave({ group: "g", member: "" }))).operation, "leave")
        })
      )
    })
  })
}

describe.skipIf(!inject("redis"))("PresenceStore in Redis", () => {
  it.live("leaves nothing behind when the last one is gone, and keeps a group for as long as anybody is in it", () =>
    Effect.gen(function* () {
      const store = yield* PresenceStore
      const redis = yield* Redis.Redis
      const left = (group: string) => redis.send<number>("PTTL", `${prefix}_ttl:presence:${group}`)
      yield* store.beat({ group: "g", member: "long", ttlMillis })
      yield* store.beat({ group: "g", member: "brief", ttlMillis: 10 })
      const both = yield* left("g")
      yield* store.leave({ group: "g", member: "long" })
      yield* store.leave({ group: "g", member: "brief" })

      assert.isAbove(both, ttlMillis / 2)
      assert.strictEqual(yield* left("g"), -2)
    }).pipe(Effect.provide(inRedis(`${prefix}_ttl`)))
  )
})

describe("PresenceStore.layerEventual", () => {
  it.effect(
    "is unavailable until its layer can be built, which it tries every so often, and closes what it opened",
    () =>
      Effect.gen(function* () {
        const events: Array<string> = []
        let isDown = true
        const opening = Effect.gen(function* () {
          yield* Effect.acquireRelease(
            Effect.sync(() => void events.push("opened")),
            () => Effect.sync(() => void events.push("closed"))
          )
          return isDown ? yield* Effect.fail("down") : memory()
        })
        const scope = yield* Scope.make()
        const layer = PresenceStores.layerEventual(Layer.effect(PresenceStore, opening), { every: "3 seconds" })
        const store = Context.get(yield* Layer.buildWithScope(layer, scope), PresenceStore)
        const beat = store.beat({ group: "g", member: "a", ttlMillis: 1000 })
        const error = yield* Effect.flip(beat)
        const unable = yield* Effect.flip(store.leave({ group: "g", member: "a" }))
        isDown = false
        yield* TestClock.adjust("2999 millis")
        const before = yield* Effect.exit(beat)
        yield* TestClock.adjust("1 millis")
        const members = yield* beat
        yield* store.leave({ group: "g", member: "a" })
        const whileOpen = [...events]
        yield* Scope.close(scope, Exit.void)

        assert.strictEqual(error.message, "presence store, beat: unavailable: it could not be opened yet")
        assert.deepStrictEqual([unable.operation, Exit.isFailure(before), members], ["leave", true, 1])
        assert.deepStrictEqual(whileOpen, ["opened", "closed", "opened"])
        assert.deepStrictEqual(events.slice(3), ["closed"])
      })
  )

  it.live.skipIf(!inject("redis"))("starts beside a Redis that does not answer", () =>
    Effect.gen(function* () {
      const nobody = NodeRedis.layer({ url: "redis://127.0.0.1:1" })
      const layer = PresenceStores.layerEventual(Layer.provide(Stores.layerRedis({ prefix }), nobody))
      const beat = Effect.flatMap(PresenceStore, (store) => store.beat({ group: "g", member: "a", ttlMillis: 1 }))
      const error = yield* Effect.flip(Effect.provide(beat, layer))

      assert.strictEqual(error.problem, "unavailable")
    })
  )

  it("refuses to try without a pause", () => {
    assert.throws(
      () => PresenceStores.layerEventual(PresenceStore.layerMemory(), { every: 0 }),
      "PresenceStore.layerEventual: every must be more than zero, got 0"
    )
  })
})

describe("PresenceStore.layerMemory", () => {
  it.effect("ends a time at the very millisecond, and is full when nobody has left", () =>
    Effect.gen(function* () {
      const store = yield* PresenceStore
      yield* store.beat({ group: "g", member: "a", ttlMillis: 1000 })
      yield* store.beat({ group: "h", member: "a", ttlMillis: 2000 })
      const full = yield* Effect.flip(store.beat({ group: "g", member: "b", ttlMillis: 1000 }))
      yield* TestClock.adjust(999)
      const again = yield* store.beat({ group: "h", member: "a", ttlMillis: 2000 })
      const stillFull = yield* Effect.flip(store.beat({ group: "h", member: "b", ttlMillis: 1000 }))
      yield* TestClock.adjust(1)

      assert.deepStrictEqual([full.problem, again, stillFull.problem], ["full", 1, "full"])
      assert.strictEqual(yield* store.beat({ group: "h", member: "b", ttlMillis: 1000 }), 2)
    }).pipe(Effect.provide(PresenceStore.layerMemory({ capacity: 2 })))
  )

  it("refuses to hold nobody", () => {
    assert.throws(
      () => Effect.runSync(Effect.provide(PresenceStore, PresenceStore.layerMemory({ capacity: 0 }))),
      "PresenceStore.memory: capacity must be at least 1, got 0"
    )
  })
})
