/** A write waited without end, and could not be interrupted, for a store that did not say that what it had made void was forgotten. */
import { assert, describe, it } from "@effect/vitest"
import { AnswerStore } from "@breakwater/core"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Fake from "../support/FakeTransport.ts"
import { counted } from "../support/Metrics.ts"
import { inScenario, run } from "../support/Scenario.ts"
import * as Shop from "../support/Shop.ts"

const place = { id: "p1", name: "Berlin" }
const silent = { ...AnswerStore.memory(), invalidate: () => Effect.never }
const stored = Effect.provideService(AnswerStore.AnswerStore, silent)
const rename = (shop: Shop.ShopClient) => shop.places.rename({ params: { id: "p1" }, payload: place }).pipe(stored)

describe("a store that does not answer", () => {
  it.effect("keeps a write from its caller for 5 s at most", () =>
    inScenario(
      Effect.gen(function* () {
        const shop = yield* Shop.connect(Fake.make([Fake.json(place)]))

        assert.deepStrictEqual(yield* run(rename(shop)), { outcome: { value: place }, took: 5000 })
        assert.strictEqual(
          (yield* counted)["breakwater.answer.failures shop.places.rename provider=shop reason=timeout"],
          1
        )
      })
    )
  )

  it.effect("keeps who interrupts it for 5 s at most", () =>
    inScenario(
      Effect.gen(function* () {
        const shop = yield* Shop.connect(Fake.make([Fake.silent]))
        const fiber = yield* Effect.forkChild(rename(shop), { startImmediately: true })
        yield* TestClock.adjust("1 second")
        const left = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
        yield* TestClock.adjust("5 seconds")

        assert.isDefined(left.pollUnsafe())
      })
    )
  )
})
