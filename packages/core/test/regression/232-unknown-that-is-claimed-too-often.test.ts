/** A command of which nobody knew whether it was done, and whose workers died too often, was dead as one that can be tried again: `redriveAll` sent it twice. */
import { assert, describe, it } from "@effect/vitest"
import { OutboxStore } from "@breakwater/core/OutboxStore"
import * as OutboxMemory from "@breakwater/core/OutboxMemory"
import { Effect, Layer, Logger } from "effect"
import { inTime } from "../flow/support/InTime.ts"
import { all, recording, unknown } from "../flow/support/Mails.ts"

const quiet = Layer.merge(OutboxMemory.layer(), Logger.layer([]))

describe("a command of an unknown outcome", () => {
  it("stays unknown when it is claimed too often", () => {
    const { mails, seen } = recording(() => Effect.fail(unknown))
    const found = inTime(
      Effect.gen(function* () {
        const store = yield* OutboxStore
        yield* mails.add({ to: "ada" }, { key: "a" })
        const [first] = yield* store.claim({ queue: "mail", limit: 1, leaseMillis: 1000 })
        if (first !== undefined) yield* store.reschedule(first, { afterMillis: 1, sent: "unknown", note: "who knows" })
        for (let death = 0; death < 16; death++) {
          yield* Effect.sleep("1 second")
          yield* store.claim({ queue: "mail", limit: 1, leaseMillis: 1000 })
        }
        yield* Effect.timeoutOption(mails.run(), "1 minute")
        return { dead: (yield* all)[0], redriven: yield* mails.redriveAll() }
      }).pipe(Effect.provide(quiet))
    )

    assert.deepStrictEqual(
      [found.dead?.state, found.dead?.isUnknown, found.redriven, seen.length],
      ["Dead", true, { redriven: 0, unknown: 1 }, 0]
    )
  })
})
