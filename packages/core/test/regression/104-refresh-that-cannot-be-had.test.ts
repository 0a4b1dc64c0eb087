import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Idempotency from "@breakwater/core/Idempotency"
import * as Acme from "../support/Acme.ts"
import * as Credentials from "../support/Credentials.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, run } from "../support/Scenario.ts"

describe("a 401 whose refresh cannot be had", () => {
  it.effect("ends the call with CredentialUnavailable; the refused credential is not sent again", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(401)])
        const source = Credentials.source({ refresh: () => Effect.fail(Credentials.down) })
        const acme = yield* Acme.connect(transport, { credential: source })
        const { outcome, took } = yield* run(acme.orders.get({ params: { id: "o1" } }))

        assert.deepStrictEqual(outcome, {
          class: "RetryableError",
          attempts: 1,
          reason: { _tag: "CredentialUnavailable", detail: "token endpoint answered 503" },
          sent: "no"
        })
        assert.strictEqual(took, 0)
        assert.strictEqual(transport.sent.length, 1)
        assert.deepStrictEqual(source.refreshes, [1])
      })
    )
  )

  it.effect("after a keyed attempt that may have been carried out, says until when the key may be sent", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.broken("ECONNRESET"), Fake.empty(401)])
        const source = Credentials.source({ refresh: () => Effect.fail(Credentials.down) })
        const acme = yield* Acme.connect(transport, { credential: source })
        const create = acme.orders.create({ payload: { amount: 1 } }).pipe(Idempotency.withKey("k"))
        const { outcome } = yield* run(create)

        assert.deepStrictEqual(outcome, {
          class: "RetryableError",
          attempts: 2,
          reason: { _tag: "CredentialUnavailable", detail: "token endpoint answered 503" },
          sent: "unknown",
          retryUntil: 23 * 3600 * 1000
        })
      })
    )
  )
})
