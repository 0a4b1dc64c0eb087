import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Redacted } from "effect"
import { TestClock } from "effect/testing"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { errorOf, inScenario } from "../support/Scenario.ts"

const credential = (generation: number) => ({ secret: Redacted.make(`planted${generation}`), generation })
const quoting = Fake.text("no such key: planted1", 401)
const excerpt = "no such key: <redacted>"

describe("an answer that quotes a key", () => {
  it.effect("that was replaced while it was on its way is shown without it (AUTH-10)", () =>
    inScenario(
      Effect.gen(function* () {
        let current = credential(1)
        const acme = yield* Acme.connect(Fake.make([Fake.late(1000, quoting)]), {
          credential: { peek: () => current, current: Effect.sync(() => current), refresh: undefined }
        })
        const failing = yield* Effect.forkChild(Effect.flip(acme.orders.get({ params: { id: "o1" } })), {
          startImmediately: true
        })
        current = credential(2)
        yield* TestClock.adjust("1 second")

        assert.strictEqual((yield* Fiber.join(failing)).excerpt, excerpt)
      })
    )
  )

  it.effect("of a source that never shows it beforehand is shown without it", () =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(Fake.make([quoting]), {
          credential: { peek: () => undefined, current: Effect.succeed(credential(1)), refresh: undefined }
        })

        assert.strictEqual((yield* errorOf(acme.orders.get({ params: { id: "o1" } }))).excerpt, excerpt)
      })
    )
  )
})
