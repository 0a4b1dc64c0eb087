/** One row whose payload somebody broke hid all dead commands from the operator: `list` failed with `corrupt`. */
import { assert, describe, it } from "@effect/vitest"
import * as Stores from "@breakwater/core/node/Stores"
import { OutboxStore } from "@breakwater/core/OutboxStore"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"

describe("a list of commands", () => {
  it.live("has the others, and the broken one as it is", () =>
    Effect.gen(function* () {
      const outbox = yield* OutboxStore
      const sql = yield* SqlClient.SqlClient
      const command = (key: string) => ({ queue: "q", key, payload: { version: 1, value: key } })
      yield* outbox.add([command("a"), command("b")])
      yield* sql`UPDATE breakwater_outbox SET payload = '{"broken' WHERE key = 'a'`
      const [b] = yield* outbox.claim({ queue: "q", limit: 10, leaseMillis: 1000 })
      if (b !== undefined) yield* outbox.bury(b)
      const dead = yield* outbox.list({ queue: "q", states: ["Dead"], limit: 10 })
      const broken = yield* outbox.get("q", "a")

      assert.deepStrictEqual(
        dead.map(({ key, payload }) => [key, payload.value]),
        [
          ["a", '{"broken'],
          ["b", "b"]
        ]
      )
      assert.deepStrictEqual([broken?.state, broken?.note], ["Dead", "the payload is not JSON"])
    }).pipe(Effect.provide(Stores.layerSqlite({ filename: ":memory:" })))
  )
})
