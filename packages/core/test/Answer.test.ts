import { assert, describe, it } from "@effect/vitest"
import * as Answer from "@breakwater/core/Answer"
import { Duration, Effect } from "effect"

const noted = (source: Answer.Source, seconds: number) =>
  Effect.withFiber<void>((fiber) => {
    Answer.note(fiber, { source, age: Duration.seconds(seconds) })
    return Effect.void
  })

describe("Answer.capture", () => {
  it.effect("is live, of age zero, where nobody was asked", () =>
    Effect.gen(function* () {
      const answer = yield* Answer.capture(Effect.succeed(1))

      assert.deepStrictEqual(answer, { source: "live", age: Duration.zero, value: 1 })
    })
  )

  it.effect("is as far from the provider as the furthest of its parts, and as old as that", () =>
    Effect.gen(function* () {
      const parts = Effect.all([noted("stale", 60), noted("live", 0), noted("stale", 90), noted("cached", 120)])

      const answer = yield* Answer.capture(parts)

      assert.deepStrictEqual([answer.source, Duration.toSeconds(answer.age)], ["stale", 90])
    })
  )

  it.effect("tells an outer capture as well, also from a fiber of its own", () =>
    Effect.gen(function* () {
      const inner = Answer.capture(Effect.all([noted("cached", 5)], { concurrency: "unbounded" }))

      const answer = yield* Answer.capture(inner)

      assert.deepStrictEqual([answer.source, answer.value.source], ["cached", "cached"])
    })
  )

  it.effect("hears nothing of what comes after", () =>
    Effect.gen(function* () {
      const answer = yield* Answer.capture(Effect.void)

      yield* noted("fallback", 1)

      assert.strictEqual(answer.source, "live")
    })
  )
})
