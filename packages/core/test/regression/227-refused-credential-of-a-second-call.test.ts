/** A keyed write that was to go on under its key met a credential that was refused, and was taken out of its caller's hands for good, though the provider still knew the key. */
import { assert, describe, it } from "@effect/vitest"
import { Idempotency, IdempotencyStore } from "@breakwater/core"
import { Effect } from "effect"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, run } from "../support/Scenario.ts"

const order = { id: "o1", amount: 1 }

describe("a keyed write whose second call is refused for who asks", () => {
  it.effect.each([401, 403, 407])("goes on when that is mended, after a %s", (status) =>
    inScenario(
      Effect.gen(function* () {
        const remembered = Effect.provideService(IdempotencyStore.IdempotencyStore, IdempotencyStore.memory())
        const transport = Fake.make([Fake.broken("ECONNRESET"), Fake.empty(status), Fake.json(order)])
        const acme = yield* Acme.connect(transport, { policy: { attempts: 1 } })
        const create = acme.orders.create({ payload: { amount: 1 } }).pipe(Idempotency.withKey("o1"), remembered)
        yield* run(create)

        assert.include((yield* run(create)).outcome as object, { class: "OutcomeUnknown", attempts: 1 })
        assert.deepStrictEqual((yield* run(create)).outcome, { value: order })
      })
    )
  )
})
