import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Acme from "../support/Acme.ts"
import * as Credentials from "../support/Credentials.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, LogBook, run } from "../support/Scenario.ts"

describe("the line of an attempt that met 401 (OBS-1)", () => {
  it.effect("has the time of the attempt, without that of the refresh behind it", () => {
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        const refresh = () => Effect.delay(Effect.succeed(Credentials.credential(2)), "700 millis")
        const acme = yield* Acme.connect(
          Fake.make([Fake.late(30, Fake.empty(401)), Fake.json({ id: "o1", amount: 1 })]),
          {
            credential: Credentials.source({ refresh })
          }
        )
        yield* run(acme.orders.get({ params: { id: "o1" } }))

        assert.deepStrictEqual(
          book.of("Warn").map(({ fields }) => fields["duration_ms"]),
          [30]
        )
      }),
      book
    )
  })
})
