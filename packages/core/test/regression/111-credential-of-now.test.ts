import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Acme from "../support/Acme.ts"
import * as Credentials from "../support/Credentials.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario } from "../support/Scenario.ts"

describe("a call that waited for a slot", () => {
  it.effect("is sent with the credential of the moment it leaves, not of the moment it began to wait", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.late(1000, Fake.json({ id: "o1", amount: 1 }))])
        const source = Credentials.source()
        const acme = yield* Acme.connect(transport, {
          credential: source,
          policy: { bulkhead: { concurrency: 1 } }
        })
        const get = acme.orders.get({ params: { id: "o1" } })
        const first = yield* Effect.forkChild(get, { startImmediately: true })
        const queued = yield* Effect.forkChild(get, { startImmediately: true })
        source.become(2)
        yield* TestClock.adjust("2 seconds")
        yield* Fiber.join(first)
        yield* Fiber.join(queued)

        assert.deepStrictEqual(
          transport.sent.map(({ headers }) => headers["authorization"]),
          ["Bearer test_secret_1", "Bearer test_secret_2"]
        )
      })
    )
  )
})
