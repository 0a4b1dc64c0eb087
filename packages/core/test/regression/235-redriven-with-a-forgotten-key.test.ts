/** `redriveAll` sent a command again, whose answers had been lost, also when its provider had long forgotten the key: it was carried out twice. */
import { assert, describe, it } from "@effect/vitest"
import * as OutboxMemory from "@breakwater/core/OutboxMemory"
import { Effect, Layer, Logger } from "effect"
import { inTime } from "../flow/support/InTime.ts"
import { fatal, recording, retryable } from "../flow/support/Mails.ts"

const quiet = Layer.merge(OutboxMemory.layer(), Logger.layer([]))

/** What is redriven of one command that is lost twice and one that is refused, so long after they died. */
const redrivenAfter = (hours: number) => {
  const { mails } = recording(({ to }) => Effect.fail(to === "lost" ? retryable() : fatal), { schedule: ["1 second"] })
  return inTime(
    Effect.gen(function* () {
      yield* mails.addAll(["lost", "refused"].map((to) => ({ payload: { to }, key: to })))
      yield* Effect.timeoutOption(mails.run(), "1 minute")
      yield* Effect.sleep(`${hours} hours`)
      return yield* mails.redriveAll()
    }).pipe(Effect.provide(quiet))
  )
}

describe("Outbox.redriveAll", () => {
  it("leaves what may have been done so long ago that its key may be forgotten", () => {
    assert.deepStrictEqual(
      [redrivenAfter(1), redrivenAfter(23)],
      [
        { redriven: 2, unknown: 0 },
        { redriven: 1, unknown: 1 }
      ]
    )
  })
})
