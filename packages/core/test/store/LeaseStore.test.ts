import { assert, describe, it } from "@effect/vitest"
import { LeaseStore } from "@breakwater/core/LeaseStore"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { shared } from "./support/Adapters.ts"

let count = 0
const leaseName = () => `refresh/stripe/${++count}`

for (const { layer, name, skip } of shared("lease")) {
  describe.skipIf(skip)(`LeaseStore in ${name}`, () => {
    it.layer(layer, { excludeTestServices: true })((it) => {
      it.effect("gives a name to one of many who ask at once", () =>
        Effect.gen(function* () {
          const store = yield* LeaseStore
          const held = leaseName()
          const leases = yield* Effect.all(
            Array.from({ length: 20 }, () => store.acquire(held, 60_000)),
            { concurrency: "unbounded" }
          )

          assert.strictEqual(leases.filter((lease) => lease !== undefined).length, 1)
          assert.isDefined(yield* store.acquire(leaseName(), 60_000))
        })
      )

      it.effect("gives it to the next after it was given back or has ended, with a higher fence each time", () =>
        Effect.gen(function* () {
          const store = yield* LeaseStore
          const held = leaseName()
          const fences: Array<number> = []
          for (const millis of [0, 0, 0, 60_000]) fences.push((yield* store.acquire(held, millis))?.fence ?? -1)
          const whileHeld = yield* store.acquire(held, 60_000)
          yield* store.release({ name: held, fence: fences[3] ?? 0, until: 0 })
          fences.push((yield* store.acquire(held, 60_000))?.fence ?? -1)

          assert.strictEqual(whileHeld, undefined)
          assert.strictEqual(new Set(fences).size, 5)
          assert.deepStrictEqual(
            fences,
            fences.toSorted((a, b) => a - b)
          )
        })
      )

      it.effect("renews a lease that lasts, and no other", () =>
        Effect.gen(function* () {
          const store = yield* LeaseStore
          const held = leaseName()
          const lost = yield* store.acquire(held, 0)
          assert(lost !== undefined)
          const ended = yield* Effect.flip(store.renew(lost, 60_000))
          const current = yield* store.acquire(held, 30_000)
          assert(current !== undefined)
          const taken = yield* Effect.flip(store.renew(lost, 60_000))
          const renewed = yield* store.renew(current, 600_000)
          const unknown = yield* Effect.flip(store.renew({ name: leaseName(), fence: 1, until: 0 }, 1))

          assert.deepStrictEqual([ended._tag, taken._tag, unknown._tag], ["StaleClaim", "StaleClaim", "StaleClaim"])
          assert.strictEqual(renewed.fence, current.fence)
          assert.isAbove(renewed.until, current.until + 500_000)
        })
      )

      it.effect("does not let who comes late release another's lease", () =>
        Effect.gen(function* () {
          const store = yield* LeaseStore
          const held = leaseName()
          const lost = yield* store.acquire(held, 0)
          assert(lost !== undefined)
          const current = yield* store.acquire(held, 60_000)
          yield* store.release(lost)

          assert.isDefined(current)
          assert.strictEqual(yield* store.acquire(held, 60_000), undefined)
        })
      )

      it.effect("refuses names that cannot be kept", () =>
        Effect.gen(function* () {
          const store = yield* LeaseStore
          for (const bad of ["", "x".repeat(513), "a\u0000b"]) {
            const error = yield* Effect.flip(store.acquire(bad, 1))
            assert.deepStrictEqual([error.store, error.problem], ["lease", "invalid"])
          }
        })
      )
    })
  })
}

describe("LeaseStore.layerMemory", () => {
  it.effect("ends a lease at the very millisecond, and is full when all names are held", () =>
    Effect.gen(function* () {
      const store = yield* LeaseStore
      yield* store.acquire("a", 1000)
      yield* store.acquire("b", 2000)
      const full = yield* Effect.flip(store.acquire("c", 1000))
      yield* TestClock.adjust(999)
      const stillHeld = yield* store.acquire("a", 1000)
      yield* TestClock.adjust(1)

      assert.deepStrictEqual([full.problem, stillHeld], ["full", undefined])
      assert.isDefined(yield* store.acquire("c", 1000))
    }).pipe(Effect.provide(LeaseStore.layerMemory({ capacity: 2 })))
  )
})
