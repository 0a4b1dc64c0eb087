/** One call with little time left took the store for one that is down, and no call of the connection was given what is kept for the next 5 s. */
import { assert, describe, it } from "@effect/vitest"
import { Answer, AnswerStore, Call } from "@breakwater/core"
import { Effect } from "effect"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, run } from "../support/Scenario.ts"
import * as Shop from "../support/Shop.ts"

const place = { id: "p1", name: "Berlin" }

/** Takes as long as a store in another machine may. */
const distant = (millis: number) => {
  const store = AnswerStore.memory()
  const get: typeof store.get = (key, version) => Effect.delay(store.get(key, version), millis)
  return Effect.provideService(AnswerStore.AnswerStore, { ...store, get })
}

describe("a store that is asked by a call with little time", () => {
  it.effect("is asked by the next one", () =>
    inScenario(
      Effect.gen(function* () {
        const stored = distant(20)
        const transport = Fake.make(() => Fake.json(place))
        const shop = yield* Shop.connect(transport)
        const get = stored(shop.places.get({ params: { id: "p1" } }))
        yield* run(get, "1 second")
        yield* run(Call.withDeadline(get, "40 millis"), "1 second")
        const source = Effect.map(Answer.capture(get), (answer) => answer.source)

        assert.deepStrictEqual((yield* run(source, "1 second")).outcome, { value: "cached" })
      })
    )
  )
})
