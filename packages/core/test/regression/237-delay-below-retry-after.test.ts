/** A `delay` of the caller's took the place of what the provider had asked for: the command was sent before its `retryAfter`. A delay without an end was kept for ever. */
import { assert, describe, it } from "@effect/vitest"
import * as Outbox from "@breakwater/core/Outbox"
import * as OutboxMemory from "@breakwater/core/OutboxMemory"
import { Duration, Effect } from "effect"
import { inTime } from "../flow/support/InTime.ts"
import { all, recording, retryable } from "../flow/support/Mails.ts"

describe("Outbox.orEnqueue", () => {
  it("waits as long as the provider asks for, or longer", () => {
    const { mails } = recording()
    const limited = Effect.fail(retryable({ after: "1 minute", sent: "no" }))
    const delays = inTime(
      Effect.gen(function* () {
        for (const delay of ["1 second", "1 hour"] as const)
          yield* limited.pipe(Outbox.orEnqueue(mails, { to: "ada" }, { key: delay, delay }))
        return (yield* all).map(({ addedAt, dueAt }) => dueAt - addedAt)
      }).pipe(Effect.provide(OutboxMemory.layer()))
    )

    assert.deepStrictEqual(delays, [60_000, 3_600_000])
  })

  it("refuses a delay without an end by name", () => {
    const { mails } = recording()
    const error = inTime(
      Effect.flip(mails.add({ to: "ada" }, { key: "a", delay: Duration.infinity })).pipe(
        Effect.provide(OutboxMemory.layer())
      )
    )

    assert.strictEqual(error.message, "outbox store, add: invalid: delay must be finite")
  })
})
