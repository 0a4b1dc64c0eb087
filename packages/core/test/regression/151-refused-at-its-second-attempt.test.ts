import { assert, describe, it } from "@effect/vitest"
import { Effect, References, Tracer } from "effect"
import { TestClock } from "effect/testing"
import * as Call from "@breakwater/core/Call"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { Recorder } from "../support/Recorder.ts"
import { inScenario, LogBook, run } from "../support/Scenario.ts"

const params = { id: "o1" }

const common = {
  service: "breakwater",
  third_party: "acme",
  method: "GET",
  endpoint: "/orders/:id",
  operation: "acme.orders.get",
  correlation_id: "c-1",
  error_code: "CIRCUIT_OPEN",
  event: "refused"
}

describe("a call that is refused", () => {
  it.effect("before its second attempt says so in a last line and in its span", () => {
    const book = new LogBook()
    const recorder = new Recorder()
    return inScenario(
      Effect.gen(function* () {
        // The first call fails and waits; meanwhile another opens the circuit.
        const transport = Fake.make([Fake.empty(503), Fake.late(20, Fake.empty(503))])
        const acme = yield* Acme.connect(transport, { policy: { breaker: { consecutiveFailures: 2 } } })
        const get = acme.orders.get({ params })
        const first = Effect.exit(get.pipe(Call.withCorrelationId("c-1"))).pipe(
          Effect.provideService(Tracer.Tracer, recorder.tracer)
        )
        yield* Effect.forkChild(first, { startImmediately: true })
        yield* Effect.forkChild(Effect.exit(get.pipe(Call.withPolicy({ attempts: 1 }))), { startImmediately: true })
        yield* TestClock.adjust("1 second")

        assert.deepStrictEqual(book.of("Warn").at(-1), {
          level: "Warn",
          message: "acme.orders.get attempt 2 refused: circuit open, retry in 29s 920ms",
          fields: {
            ...common,
            trace_id: recorder.spans[0]?.traceId,
            attempt: 2,
            duration_ms: 100,
            error_message: "circuit open, retry in 29s 920ms"
          }
        })
        assert.deepStrictEqual(recorder.spans[0]?.events.at(-1), {
          name: "breakwater.refusal",
          at: 100,
          attributes: { "breakwater.reason": "CircuitOpen" }
        })
      }),
      book
    )
  })

  it.effect("before its first attempt has a line at Debug only: an open circuit refuses thousands", () => {
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(Fake.make([Fake.empty(503)]), {
          policy: { attempts: 1, breaker: { consecutiveFailures: 1 } }
        })
        const get = acme.orders.get({ params }).pipe(Call.withCorrelationId("c-1"))
        yield* run(get, 0)
        const before = book.lines.length
        yield* run(get, 0)
        assert.strictEqual(book.lines.length, before)
        yield* run(get, 0).pipe(Effect.provideService(References.MinimumLogLevel, "Debug"))

        assert.deepStrictEqual(book.lines.slice(before), [
          {
            level: "Debug",
            message: "acme.orders.get attempt 1 refused: circuit open, retry in 30s",
            fields: { ...common, attempt: 1, duration_ms: 0, error_message: "circuit open, retry in 30s" }
          }
        ])
      }),
      book
    )
  })
})
