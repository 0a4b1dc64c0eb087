import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Idempotency from "@breakwater/core/Idempotency"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, run } from "../support/Scenario.ts"

const unreadable = [
  { what: "drift", answer: Fake.json({ id: 7 }), reason: { status: 200, path: "id", expected: "string" } },
  { what: "an undeclared 204", answer: Fake.empty(204), reason: { status: 204, path: "", expected: "status 200" } },
  {
    what: "a body beyond the limit",
    answer: Fake.json({ id: "x".repeat(100), amount: 1 }),
    reason: { status: 200, path: "", expected: "at most 40 bytes" }
  }
]

describe("a success that cannot be read", () => {
  it.effect.each(unreadable)("leaves nobody knowing what came of a write: $what", ({ answer, reason }) =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(Fake.make([answer]), { policy: { maxBodyBytes: 40 } })
        const create = acme.orders.create({ payload: { amount: 1 } }).pipe(Idempotency.withKey("k"))
        const { outcome } = yield* run(create)

        assert.deepStrictEqual(outcome, {
          class: "OutcomeUnknown",
          attempts: 1,
          reason: { _tag: "ResponseInvalid", ...reason },
          firstSentAt: 0
        })
      })
    )
  )

  it.effect.each(unreadable)("is final for a read: $what", ({ answer, reason }) =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(Fake.make([answer]), { policy: { maxBodyBytes: 40 } })
        const { outcome } = yield* run(acme.orders.get({ params: { id: "1" } }))

        assert.deepStrictEqual(outcome, {
          class: "FatalError",
          attempts: 1,
          reason: { _tag: "ResponseInvalid", ...reason }
        })
      })
    )
  )
})
