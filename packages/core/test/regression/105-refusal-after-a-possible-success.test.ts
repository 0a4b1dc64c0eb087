import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Idempotency from "@breakwater/core/Idempotency"
import * as Acme from "../support/Acme.ts"
import * as Credentials from "../support/Credentials.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, run } from "../support/Scenario.ts"

const day = 24 * 3600 * 1000
const hour = 3600 * 1000

describe("a keyed call that is refused by us after an attempt that may have been carried out", () => {
  it.effect("says until when its key may be sent", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.broken("ECONNRESET")])
        const source = Credentials.source()
        const acme = yield* Acme.connect(transport, {
          credential: {
            ...source,
            peek: () => (transport.sent.length === 0 ? source.peek() : undefined),
            current: Effect.fail(Credentials.down)
          }
        })
        const create = acme.orders.create({ payload: { amount: 1 } }).pipe(Idempotency.withKey("k"))
        const { outcome } = yield* run(create)

        assert.deepStrictEqual(outcome, {
          class: "RetryableError",
          attempts: 1,
          reason: { _tag: "CredentialUnavailable", detail: "token endpoint answered 503" },
          sent: "unknown",
          retryUntil: day - hour
        })
      })
    )
  )

  it.effect("is OutcomeUnknown where the refusal is final: its grant was revoked meanwhile", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.broken("ECONNRESET")])
        const source = Credentials.source()
        const acme = yield* Acme.connect(transport, {
          credential: {
            ...source,
            peek: () => (transport.sent.length === 0 ? source.peek() : undefined),
            current: Effect.fail(Credentials.revoked)
          }
        })
        const create = acme.orders.create({ payload: { amount: 1 } }).pipe(Idempotency.withKey("k"))
        const { outcome } = yield* run(create)

        assert.deepStrictEqual(outcome, {
          class: "OutcomeUnknown",
          attempts: 1,
          reason: { _tag: "CredentialRejected" },
          firstSentAt: 0
        })
      })
    )
  )
})
