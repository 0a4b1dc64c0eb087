/** A worker that was to end while it claimed, and had just ended what it held before, left what it then got to the end of the lease, without any grace. */
import { assert, describe, it } from "@effect/vitest"
import * as OutboxMemory from "@breakwater/core/OutboxMemory"
import { OutboxStore } from "@breakwater/core/OutboxStore"
import { Effect, Fiber, Logger } from "effect"
import { inTime } from "../flow/support/InTime.ts"
import { counts, recording } from "../flow/support/Mails.ts"

describe("the end of a worker", () => {
  it("lets what it claims just then come to its end", () => {
    const { mails } = recording(({ to }) => Effect.sleep(to === "short" ? "1 second" : "3 seconds"))
    const found = inTime(
      Effect.gen(function* () {
        const store = OutboxMemory.make()
        // The answer to a claim takes its time.
        const slow = OutboxStore.of({
          ...store,
          claim: (request) =>
            Effect.tap(store.claim(request), (found) => Effect.sleep(found.length > 0 ? "2 seconds" : 0))
        })
        return yield* Effect.gen(function* () {
          const worker = yield* Effect.forkScoped(mails.run({ shutdownGrace: "10 seconds" }))
          yield* mails.add({ to: "short" }, { key: "1" })
          yield* Effect.sleep("2500 millis")
          yield* mails.add({ to: "long" }, { key: "2" })
          yield* Effect.sleep("1500 millis")
          yield* Fiber.interrupt(worker)
          return yield* counts(mails)
        }).pipe(Effect.provideService(OutboxStore, slow))
      }).pipe(Effect.provide(Logger.layer([])))
    )

    assert.deepStrictEqual(found, { Done: 2 })
  })
})
