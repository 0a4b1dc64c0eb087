import { assert, describe, it } from "@effect/vitest"
import { Call } from "@breakwater/core"
import { Effect } from "effect"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, run } from "../support/Scenario.ts"

describe("Overloaded", () => {
  it.effect("tells the size of the bulkhead, not the one that a call would like it to have", () =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(Fake.make([Fake.silent]), {
          policy: { bulkhead: { concurrency: 1, queue: 0 } }
        })
        const get = acme.orders.get({ params: { id: "o1" } })
        yield* Effect.forkChild(get, { startImmediately: true })
        const refused = yield* run(get.pipe(Call.withPolicy({ bulkhead: { concurrency: 50, queue: 50 } })), 0)

        assert.deepStrictEqual(refused.outcome, {
          class: "RetryableError",
          attempts: 0,
          reason: { _tag: "Overloaded", problem: "queue full", concurrency: 1 },
          sent: "no"
        })
      })
    )
  )
})
