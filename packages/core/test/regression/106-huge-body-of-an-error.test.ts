import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, run } from "../support/Scenario.ts"

describe("an answer of status 500 whose body is beyond the limit", () => {
  const huge = "x".repeat(2000)
  const bodies = { announced: Fake.text(huge, 500), "in chunks": Fake.chunks([huge, huge], 500) }

  it.effect.each(Object.entries(bodies))("%s, is an outage for a read", ([, step]) =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([step])
        const acme = yield* Acme.connect(transport, { policy: { maxBodyBytes: 1000 } })
        const { outcome } = yield* run(acme.orders.get({ params: { id: "o1" } }))

        assert.deepStrictEqual(outcome, {
          class: "RetryableError",
          attempts: 4,
          reason: { _tag: "Unavailable", status: 500, problem: "status" },
          sent: "unknown"
        })
      })
    )
  )

  it.effect.each([400, 404])("of %i is what its status says", (status) =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(Fake.make([Fake.text(huge, status)]), { policy: { maxBodyBytes: 1000 } })
        const { outcome } = yield* run(acme.orders.get({ params: { id: "o1" } }))

        assert.deepStrictEqual(outcome, {
          class: "FatalError",
          attempts: 1,
          reason: { _tag: status === 400 ? "InvalidRequest" : "NotFound", status }
        })
      })
    )
  )

  it.effect.each(Object.entries(bodies))("%s, leaves an unsafe write unknown", ([, step]) =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(Fake.make([step]), { policy: { maxBodyBytes: 1000 } })
        const { outcome } = yield* run(acme.orders.capture({ params: { id: "o1" }, payload: { amount: 1 } }))

        assert.deepStrictEqual(outcome, {
          class: "OutcomeUnknown",
          attempts: 1,
          reason: { _tag: "Unavailable", status: 500, problem: "status" },
          firstSentAt: 0
        })
      })
    )
  )
})
