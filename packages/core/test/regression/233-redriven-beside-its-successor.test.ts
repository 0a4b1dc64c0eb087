/** In memory, a command that was given up and redriven while the next of its ordering key was at work was carried out beside it. */
import { assert, describe, it } from "@effect/vitest"
import * as OutboxMemory from "@breakwater/core/OutboxMemory"
import * as Stores from "@breakwater/core/node/Stores"
import { OutboxStore } from "@breakwater/core/OutboxStore"
import { Effect } from "effect"

const layers = [
  ["memory", OutboxMemory.layer()],
  ["SQLite", Stores.layerSqlite({ filename: ":memory:" })]
] as const

describe("a command that is redriven", () => {
  it.effect.each(layers)("in %s waits for the next of its ordering key that is at work", ([, layer]) =>
    Effect.gen(function* () {
      const store = yield* OutboxStore
      const claim = store.claim({ queue: "q", limit: 10, leaseMillis: 1000 })
      const command = (key: string) => ({ queue: "q", key, orderingKey: "x", payload: { version: 1, value: key } })
      yield* store.add([command("1"), command("2")])
      const [first] = yield* claim
      if (first !== undefined) yield* store.bury(first)
      yield* store.discard(first?.sequence ?? 0)
      const [second] = yield* claim
      yield* store.redrive(first?.sequence ?? 0)
      const beside = yield* claim
      if (second !== undefined) yield* store.complete([second])
      const after = yield* claim

      assert.deepStrictEqual([second?.key, beside.map(({ key }) => key), after.map(({ key }) => key)], ["2", [], ["1"]])
    }).pipe(Effect.provide(layer))
  )
})
