/** A note with a NUL in it, such as one that an operator pasted, could not be kept in PostgreSQL: the command could not be given up. */
import { assert, describe, it } from "@effect/vitest"
import { OutboxStore } from "@breakwater/core/OutboxStore"
import { Effect } from "effect"
import { complete } from "../store/support/Adapters.ts"

describe("a note with a NUL in it", () => {
  for (const { layer, name, skip } of complete("nul"))
    describe.skipIf(skip)(name, () => {
      it.live("is kept without it", () =>
        Effect.gen(function* () {
          const store = yield* OutboxStore
          yield* store.add([{ queue: "q", key: "a", payload: { version: 1, value: 1 } }])
          const command = yield* store.get("q", "a")
          yield* store.discard(command?.sequence ?? 0, { note: "a\0b" })
          const given = yield* store.get("q", "a")

          assert.deepStrictEqual([given?.state, given?.note], ["Discarded", "a b"])
        }).pipe(Effect.provide(layer))
      )
    })
})
