import { assert, describe, it } from "@effect/vitest"
import { Effect, References } from "effect"
import * as Call from "@breakwater/core/Call"
import * as Idempotency from "@breakwater/core/Idempotency"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, LogBook, run } from "../support/Scenario.ts"

const answered = { "acme-request-id": "req_7" }

const common = {
  service: "breakwater",
  third_party: "acme",
  method: "POST",
  endpoint: "/orders",
  operation: "acme.orders.create",
  correlation_id: "c-1",
  attempt: 1,
  request_id: "req_7",
  duration_ms: 0
}

const linesOf = (step: Fake.Step) => {
  const book = new LogBook()
  return inScenario(
    Effect.gen(function* () {
      const acme = yield* Acme.connect(Fake.make([step]))
      yield* run(
        acme.orders.create({ payload: { amount: 1 } }).pipe(Idempotency.withKey("k"), Call.withCorrelationId("c-1"))
      )
      return book.lines.slice(1)
    }).pipe(Effect.provideService(References.MinimumLogLevel, "Debug")),
    book
  )
}

describe("the line of an attempt (OBS-1)", () => {
  it.effect("has the provider's request id also when it succeeded", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* linesOf(Fake.json({ id: "o1", amount: 1 }, 200, answered)), [
        { level: "Debug", message: "acme.orders.create attempt 1 succeeded", fields: { ...common, http_status: 200 } }
      ])
    })
  )

  it.effect("says that an answer did not fit its schema, and not that the attempt succeeded", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* linesOf(Fake.json({ id: "o1" }, 200, answered)), [
        {
          level: "Warn",
          message:
            "acme.orders.create attempt 1 failed: invalid response (200): amount: expected a value; outcome unknown, not sent again",
          fields: {
            ...common,
            http_status: 200,
            error_code: "RESPONSE_INVALID",
            error_message: "invalid response (200): amount: expected a value"
          }
        }
      ])
    })
  )

  it.effect("says that the answer was a declared error", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* linesOf(Fake.json({ _tag: "Declined", code: "no_funds" }, 402, answered)), [
        {
          level: "Debug",
          message: "acme.orders.create attempt 1 ended with a declared error",
          fields: { ...common, http_status: 402 }
        }
      ])
    })
  )
})
