/** A defect in a finalizer of a handler, or in `classify`, ended the fiber that tried commands: the command was held, and its lease renewed, for ever. */
import { assert, describe, it } from "@effect/vitest"
import { OutboxStore } from "@breakwater/core/OutboxStore"
import * as Outbox from "@breakwater/core/Outbox"
import * as OutboxMemory from "@breakwater/core/OutboxMemory"
import { Effect, Layer, Logger, Schema, type Scope } from "effect"
import { inTime } from "../flow/support/InTime.ts"

const quiet = Layer.merge(OutboxMemory.layer(), Logger.layer([]))

/** What becomes of a command that goes wrong so, and of one behind it. */
const after = (bad: Effect.Effect<void, string, Scope.Scope>) =>
  inTime(
    Effect.gen(function* () {
      const seen: Array<string> = []
      const queue = Outbox.make({
        queue: "q",
        payload: Schema.String,
        keyWindow: Infinity,
        handle: (name) =>
          Effect.andThen(
            Effect.sync(() => seen.push(name)),
            name === "bad" ? bad : Effect.void
          ),
        classify: () => {
          throw new Error("a bug")
        }
      })
      yield* queue.addAll(["bad", "good"].map((payload) => ({ payload, key: payload })))
      yield* Effect.timeoutOption(queue.run({ concurrency: 1, pollEvery: "10 minutes" }), "2 days")
      const [first] = yield* Effect.flatMap(OutboxStore, (store) =>
        store.list({ queue: "q", states: ["Dead"], limit: 1 })
      )
      return [first?.key, first?.note, yield* queue.status("good").pipe(Effect.map((status) => status?.state))]
    }).pipe(Effect.provide(quiet))
  )

describe("a defect beside the handler", () => {
  it("is tried again, and holds up nobody", () => {
    const finalizer = Effect.addFinalizer(() => Effect.die(new Error("a leak")))

    assert.deepStrictEqual(
      [after(finalizer), after(Effect.fail("busy"))],
      [
        ["bad", "given up after 8 attempts: defect: a leak", "done"],
        ["bad", "given up: claimed 17 times, and no worker came to its end", "done"]
      ]
    )
  })
})
