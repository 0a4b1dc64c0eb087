/** A call whose answer was lost was added to an outbox under the key of a command that was there: that it may have been done was forgotten, and its handler did not look. */
import { assert, describe, it } from "@effect/vitest"
import * as Outbox from "@breakwater/core/Outbox"
import { OutboxStore } from "@breakwater/core/OutboxStore"
import { Effect } from "effect"
import { complete } from "../store/support/Adapters.ts"
import { recording, retryable } from "../flow/support/Mails.ts"

describe("a doubt about a command that is there", () => {
  for (const { layer, name, skip } of complete("doubt"))
    describe.skipIf(skip)(name, () => {
      it.live("is kept, and the command is the same", () =>
        Effect.gen(function* () {
          const { mails } = recording()
          const store = yield* OutboxStore
          const sentAt = Effect.map(store.get("mail", "a"), (command) => command?.sentAt !== undefined)
          yield* mails.add({ to: "ada" }, { key: "a" })
          const before = yield* sentAt
          yield* Effect.fail(retryable()).pipe(Outbox.orEnqueue(mails, { to: "ada" }, { key: "a" }))
          const after = yield* sentAt
          const [claimed] = yield* store.claim({ queue: "mail", limit: 10, leaseMillis: 1000 })

          assert.deepStrictEqual([before, after, claimed?.attempts], [false, true, 1])
          assert.isTrue((claimed?.sentAt ?? 0) < (claimed?.dueAt ?? 0) - 1000)
        }).pipe(Effect.provide(layer))
      )
    })
})
