/** A keyed write that nobody tried again stayed `Pending` when its window had ended: it may have been made, and neither the resolver nor an operator heard of it. */
import { assert, describe, it } from "@effect/vitest"
import { Doubts, Idempotency, Resolver } from "@breakwater/core"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Post from "../flow/support/Post.ts"
import { withStore } from "../flow/support/Doubt.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, run } from "../support/Scenario.ts"

describe("a keyed write that is not tried again", () => {
  it.effect("comes into doubt when its window has ended, and is found out then", () =>
    inScenario(
      withStore(
        Effect.gen(function* () {
          const none = Fake.json({ letters: [], more: false })
          const transport = Fake.make((_, { method }) => (method === "POST" ? Fake.broken("ECONNRESET") : none))
          const post = yield* Post.connect(transport, { policy: { attempts: 1 } })
          yield* TestClock.setTime(0)
          yield* run(post.letters.register({ payload: { to: "ada" } }).pipe(Idempotency.withKey("k")), "1 second")
          yield* TestClock.setTime(23 * 3_600_000 - 1)
          yield* Resolver.sweep()
          const before = yield* Doubts.list()
          yield* TestClock.adjust(1)
          yield* Resolver.sweep()
          const after = yield* Doubts.list()
          yield* TestClock.adjust("10 minutes")
          const { undone } = yield* Resolver.sweep()

          assert.deepStrictEqual([before.length, after.map(({ key }) => key), undone], [0, ["k"], 1])
        })
      )
    )
  )
})
