import { assert, describe, it } from "@effect/vitest"
import { CurrentDeadline, withDeadline } from "@breakwater/core/Deadline"
import { Context, Effect } from "effect"
import { TestClock } from "effect/testing"

const current = Effect.service(CurrentDeadline)

describe("Deadline.withDeadline", () => {
  it.effect("is an instant, counted from the start of the effect", () =>
    Effect.gen(function* () {
      const bounded = withDeadline(current, "5 seconds")
      yield* TestClock.adjust("1 minute")

      assert.strictEqual(yield* bounded, 65_000)
      assert.strictEqual(yield* current.pipe(withDeadline(250)), 60_250)
    })
  )

  it.effect("does not move while time goes by inside", () =>
    Effect.gen(function* () {
      const later = Effect.andThen(TestClock.adjust("3 seconds"), current)

      assert.strictEqual(yield* withDeadline(later, "5 seconds"), 5000)
    })
  )

  it.effect("is never later than one further out, and may be sooner", () =>
    Effect.gen(function* () {
      const longer = current.pipe(withDeadline("9 seconds"), withDeadline("5 seconds"))
      const shorter = current.pipe(withDeadline("2 seconds"), withDeadline("5 seconds"))

      assert.deepStrictEqual([yield* longer, yield* shorter], [5000, 2000])
    })
  )

  it.effect("does not interrupt: what is under way ends with its value", () =>
    Effect.gen(function* () {
      const late = Effect.as(TestClock.adjust("1 hour"), "done")

      assert.strictEqual(yield* withDeadline(late, "1 second"), "done")
    })
  )

  it.effect("is found by another copy of this package too", () =>
    Effect.gen(function* () {
      const theirs = Context.Reference<number | undefined>("@breakwater/core/Deadline/CurrentDeadline", {
        defaultValue: () => undefined
      })

      assert.strictEqual(yield* withDeadline(Effect.service(theirs), "5 seconds"), 5000)
    })
  )

  it.effect("ends with the effect", () =>
    Effect.gen(function* () {
      yield* withDeadline(Effect.void, "5 seconds")

      assert.isUndefined(yield* current)
    })
  )
})
