/** A defect while an outbox found out what became of a command, such as a schedule that reads the error which it is not given, let the command be tried again: what nobody knew was sent twice. */
import { assert, describe, it } from "@effect/vitest"
import * as Outbox from "@breakwater/core/Outbox"
import * as OutboxMemory from "@breakwater/core/OutboxMemory"
import { Effect, Layer, Logger, Schedule } from "effect"
import { inTime } from "../flow/support/InTime.ts"
import { Mail, all, unknown } from "../flow/support/Mails.ts"

const quiet = Layer.merge(OutboxMemory.layer(), Logger.layer([]))

const after = (options: {
  readonly onUnknown: (asked: number) => Effect.Effect<Outbox.Finding, string>
  readonly schedule?: Schedule.Schedule<unknown, unknown>
}) => {
  let [sends, asked] = [0, 0]
  const mails = Outbox.make({
    queue: "mail",
    payload: Mail,
    schedule: options.schedule,
    handle: () =>
      Effect.andThen(
        Effect.sync(() => sends++),
        Effect.fail(unknown)
      ),
    onUnknown: () => Effect.suspend(() => options.onUnknown(++asked))
  })
  const kept = inTime(
    Effect.gen(function* () {
      yield* mails.add({ to: "ada" }, { key: "a" })
      yield* Effect.timeoutOption(mails.run(), "5 minutes")
      return (yield* all)[0]
    }).pipe(Effect.provide(quiet))
  )
  return [sends, kept?.isUnknown, kept?.note?.slice(0, 50)]
}

/** It reads what the attempt failed with. */
const reading = Schedule.spaced("1 second").pipe(
  Schedule.setInputType<unknown>(),
  Schedule.modifyDelay(({ duration, input }) => Effect.sync(() => ((input as Error).message === "" ? 0 : duration)))
)

describe("a defect while an outbox finds out", () => {
  it("leaves the command unknown, and never tries it", () => {
    const note = "outcome unknown: sendgrid.mail.send: outcome unkno"

    assert.deepStrictEqual(
      [
        after({ onUnknown: () => Effect.succeed({ askAfter: "soon" as never }) }),
        after({ onUnknown: () => Effect.fail("down"), schedule: reading })
      ],
      [
        [1, true, note],
        [1, true, note]
      ]
    )
  })
})
