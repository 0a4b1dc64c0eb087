import { assert, describe, it } from "@effect/vitest"
import { Call, FatalReason, Health, Idempotency, ProviderError, RetryableReason } from "@breakwater/core"
import { Cause, Data, Duration, Effect, Fiber, Tracer } from "effect"
import { HttpClientError, HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import * as Fake from "../support/FakeTransport.ts"
import { Recorder } from "../support/Recorder.ts"
import { errorOf, inScenario, LogBook, run } from "../support/Scenario.ts"

class SdkError extends Data.TaggedError("SdkError")<{ readonly code: string }> {}

/** An effect that fails with each error in turn, then gives 7, and how often it ran. */
const failing = <E>(...errors: ReadonlyArray<E>) => {
  let runs = 0
  const effect = Effect.suspend(() => {
    const error = errors[runs++]
    return error === undefined ? Effect.succeed(7) : Effect.fail(error)
  })
  return { effect, runs: () => runs }
}

const attempt = Effect.fnUntraced(function* <E>(
  errors: ReadonlyArray<E>,
  options: Partial<Call.ProtectOptions<"safe" | "unsafe", string, E>> = {},
  policy: Parameters<typeof Call.withPolicy>[1] = {}
) {
  const connected = yield* Call.connect({ provider: "sdk", policy })
  const { effect, runs } = failing(...errors)
  const ended = yield* run(Call.protect(effect, { provider: connected, operation: "send", safety: "safe", ...options }))
  return { ...ended, runs: runs() }
})

const unavailable = { _tag: "Unavailable", problem: "failure" }

describe("Call.protect without a classification", () => {
  const transport = new HttpClientError.HttpClientError({
    reason: new HttpClientError.TransportError({
      request: HttpClientRequest.get("https://a.test/"),
      cause: Fake.systemError("ECONNRESET")
    })
  })
  const refused = new HttpClientError.HttpClientError({
    reason: new HttpClientError.TransportError({
      request: HttpClientRequest.get("https://a.test/"),
      cause: Fake.systemError("ECONNREFUSED")
    })
  })
  const status = new HttpClientError.HttpClientError({
    reason: new HttpClientError.InvalidUrlError({ request: HttpClientRequest.get("x"), cause: new Error("x") })
  })
  const context = {
    provider: "p",
    operation: "p.x",
    connection: "default",
    correlationId: "c",
    attempts: 1,
    elapsed: Duration.zero
  }
  const retryable = (sent: "no" | "unknown") =>
    new ProviderError.RetryableError({
      ...context,
      sent,
      reason: new RetryableReason.RateLimited({ by: "provider", retryAfter: Duration.seconds(2) })
    })
  const fatal = new ProviderError.FatalError({ ...context, reason: new FatalReason.NotFound({ status: 404 }) })
  const unknown = new ProviderError.OutcomeUnknown({
    ...context,
    firstSentAt: 0,
    reason: new RetryableReason.TransportFailed({ code: "ECONNRESET" })
  })

  it.effect("runs a read again after a timeout, one of our errors that may pass, and a failure of a transport", () =>
    inScenario(
      Effect.gen(function* () {
        const value = { outcome: { value: 7 }, runs: 2 }

        assert.deepStrictEqual(yield* attempt([new Cause.TimeoutError()]), { ...value, took: 100 })
        assert.deepStrictEqual(yield* attempt([transport]), { ...value, took: 100 })
        // Its hint is a floor.
        assert.deepStrictEqual(yield* attempt([retryable("unknown")]), { ...value, took: 2100 })
      })
    )
  )

  it.effect("does not count one of our errors against the other side twice", () =>
    inScenario(
      Effect.gen(function* () {
        const connected = yield* Call.connect({
          provider: "sdk",
          policy: { attempts: 1, breaker: { consecutiveFailures: 1 } }
        })
        const send = <E>(error: E) =>
          run(Call.protect(Effect.fail(error), { provider: connected, operation: "send", safety: "safe" }), 0)
        yield* send(retryable("unknown"))
        const afterOurs = (yield* Health.snapshot).connections[0]?.circuit.state
        yield* send(new Cause.TimeoutError())

        assert.deepStrictEqual([afterOurs, (yield* Health.snapshot).connections[0]?.circuit.state], ["closed", "open"])
      })
    )
  )

  it.effect("hands everything else on as it is, after one run", () =>
    inScenario(
      Effect.gen(function* () {
        for (const error of [new SdkError({ code: "x" }), status, fatal, unknown, "text"]) {
          const ended = yield* attempt([error])

          assert.strictEqual(ended.runs, 1)
          assert.deepStrictEqual(ended.took, 0)
          if (!ProviderError.isProviderError(error)) assert.deepStrictEqual(ended.outcome, { declared: error })
        }
      })
    )
  )

  it.effect("runs a write again only if nothing was sent", () =>
    inScenario(
      Effect.gen(function* () {
        const unsafe = { safety: "unsafe" } as const

        assert.strictEqual((yield* attempt([refused], unsafe)).runs, 2)
        assert.strictEqual((yield* attempt([retryable("no")], unsafe)).runs, 2)
        assert.deepStrictEqual(yield* attempt([transport], unsafe), {
          outcome: {
            class: "OutcomeUnknown",
            attempts: 1,
            reason: { _tag: "TransportFailed", code: "ECONNRESET" },
            firstSentAt: 2 * 30 * 60 * 1000
          },
          took: 0,
          runs: 1
        })
        assert.strictEqual((yield* attempt([new Cause.TimeoutError()], unsafe)).runs, 1)
        assert.strictEqual((yield* attempt([retryable("unknown")], unsafe)).runs, 1)
      })
    )
  )

  it.effect("hands on a defect and an interruption of the effect's own", () =>
    inScenario(
      Effect.gen(function* () {
        const connected = yield* Call.connect({ provider: "sdk" })
        const options = { provider: connected, operation: "send", safety: "safe" } as const

        assert.deepStrictEqual((yield* run(Call.protect(Effect.die(new Error("a bug")), options))).outcome, {
          defect: "Error: a bug"
        })
        assert.strictEqual((yield* run(Call.protect(Effect.interrupt, options))).outcome, "interrupted")
        assert.strictEqual((yield* Health.snapshot).connections[0]?.bulkhead.inFlight, 0)
      })
    )
  )
})

describe("Call.protect with a classification", () => {
  const error = new SdkError({ code: "busy" })

  it.effect("runs again what it says may pass, and hands on what it does not know", () =>
    inScenario(
      Effect.gen(function* () {
        const classify = (each: SdkError) => (each.code === "busy" ? { sent: "unknown" as const } : undefined)

        assert.deepStrictEqual(yield* attempt([error, error], { classify }), {
          outcome: { value: 7 },
          took: 300,
          runs: 3
        })
        assert.deepStrictEqual(yield* attempt([new SdkError({ code: "odd" })], { classify }), {
          outcome: { declared: new SdkError({ code: "odd" }) },
          took: 0,
          runs: 1
        })
      })
    )
  )

  it.effect("ends with our error when the attempts are over", () =>
    inScenario(
      Effect.gen(function* () {
        const errors = [error, error, error, error]

        assert.deepStrictEqual(yield* attempt(errors, { classify: () => ({ sent: "refused" }) }), {
          outcome: { class: "RetryableError", attempts: 4, reason: unavailable, sent: "no" },
          took: 700,
          runs: 4
        })
        assert.deepStrictEqual(
          yield* attempt(errors, { classify: () => ({ sent: "unknown", retryAfter: "90 seconds" }) }),
          {
            outcome: {
              class: "RetryableError",
              attempts: 1,
              reason: { ...unavailable, retryAfter: 90_000 },
              sent: "unknown",
              retryAfter: 90_000
            },
            took: 0,
            runs: 1
          }
        )
      })
    )
  )

  it.effect.each(["no", "refused", "unknown"] as const)(
    "runs an unsafe write again after %s, where that is safe",
    (sent) =>
      inScenario(
        Effect.gen(function* () {
          const { runs } = yield* attempt([error], { safety: "unsafe", classify: () => ({ sent }) })

          assert.strictEqual(runs, sent === "unknown" ? 1 : 2)
        })
      )
  )

  it.effect("counts against the health of the other side, unless it says no", () =>
    inScenario(
      Effect.gen(function* () {
        const circuitAfter = Effect.fnUntraced(function* (unhealthy: boolean | undefined) {
          const connected = yield* Call.connect({
            provider: "sdk",
            policy: { attempts: 1, breaker: { consecutiveFailures: 1 } }
          })
          const options = {
            provider: connected,
            operation: "send",
            safety: "safe",
            classify: () => ({ sent: "unknown" as const, unhealthy })
          } as const
          yield* run(Call.protect(Effect.fail(error), options), 0)
          return (yield* run(Call.protect(Effect.succeed(7), options), 0)).outcome
        })
        const open = {
          class: "RetryableError",
          attempts: 0,
          reason: { _tag: "CircuitOpen", retryAfter: 30_000 },
          sent: "no",
          retryAfter: 30_000
        }

        assert.deepStrictEqual(yield* circuitAfter(undefined), open)
        assert.deepStrictEqual(yield* circuitAfter(true), open)
        assert.deepStrictEqual(yield* circuitAfter(false), { value: 7 })
      })
    )
  )

  it.effect("that throws is a defect, and leaves no slot behind", () =>
    inScenario(
      Effect.gen(function* () {
        const ended = yield* attempt([error], {
          classify: () => {
            throw new Error("a bug")
          }
        })
        const [health] = (yield* Health.snapshot).connections

        assert.deepStrictEqual(ended.outcome, { defect: "Error: a bug" })
        assert.strictEqual(health?.bulkhead.inFlight, 0)
      })
    )
  )
})

describe("Call.protect", () => {
  it.effect("interrupts the effect when its time is over, and runs it anew", () =>
    inScenario(
      Effect.gen(function* () {
        let interrupted = 0
        let runs = 0
        const slow = Effect.onInterrupt(
          Effect.suspend(() => (++runs < 3 ? Effect.never : Effect.succeed(runs))),
          () => Effect.sync(() => void interrupted++)
        )
        const connected = yield* Call.connect({ provider: "sdk", policy: { attemptTimeout: "1 second" } })
        const ended = yield* run(Call.protect(slow, { provider: connected, operation: "send", safety: "safe" }))

        assert.deepStrictEqual({ ...ended, interrupted }, { outcome: { value: 3 }, took: 2300, interrupted: 2 })
      })
    )
  )

  it.effect("leaves a write that took too long unknown", () =>
    inScenario(
      Effect.gen(function* () {
        const connected = yield* Call.connect({ provider: "sdk", policy: { deadline: "3 seconds" } })

        assert.deepStrictEqual(
          yield* run(Call.protect(Effect.never, { provider: connected, operation: "send", safety: "unsafe" })),
          {
            outcome: {
              class: "OutcomeUnknown",
              attempts: 1,
              reason: { _tag: "DeadlineExceeded", deadline: 3000 },
              firstSentAt: 0
            },
            took: 3000
          }
        )
      })
    )
  )

  it.effect("gives a keyed effect its key on every attempt, and no other effect one", () =>
    inScenario(
      Effect.gen(function* () {
        const keys: Array<string | undefined> = []
        const effect = Effect.flatMap(Call.currentKey, (key) => {
          keys.push(key)
          return keys.length < 3 ? Effect.fail(new Cause.TimeoutError()) : Effect.succeed(7)
        })
        const connected = yield* Call.connect({ provider: "sdk" })
        const pay = Call.protect(effect, { provider: connected, operation: "pay", safety: "keyed" })
        const { outcome } = yield* run(pay.pipe(Idempotency.withKey("order/1")))
        const outside = yield* Call.currentKey

        assert.deepStrictEqual(outcome, { value: 7 })
        assert.deepStrictEqual([...keys, outside], ["order/1", "order/1", "order/1", undefined])
      })
    )
  )

  it.effect("of a keyed effect that cannot be had says so, with what may be done", () =>
    inScenario(
      Effect.gen(function* () {
        const connected = yield* Call.connect({ provider: "sdk" })
        const pay = Call.protect(Effect.fail(new Cause.TimeoutError()), {
          provider: connected,
          operation: "pay",
          safety: "keyed"
        })

        // No window is known of a vendor's SDK, so there is no retryUntil.
        assert.deepStrictEqual((yield* run(pay.pipe(Idempotency.withKey("order/1")))).outcome, {
          class: "RetryableError",
          attempts: 4,
          reason: unavailable,
          sent: "unknown"
        })
      })
    )
  )

  it.effect("has the caller's policy, deadline and correlation id", () => {
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        const connected = yield* Call.connect({ provider: "sdk", userAgent: "shop/1" })
        const send = Call.protect(Effect.fail(new Cause.TimeoutError()), {
          provider: connected,
          operation: "send",
          safety: "safe"
        }).pipe(Call.withPolicy({ attempts: 2 }), Call.withCorrelationId("c-1"))
        const error = yield* errorOf(send)

        assert(ProviderError.isProviderError(error))
        assert.deepStrictEqual([error.attempts, error.correlationId], [2, "c-1"])
        assert.deepStrictEqual(book.of("Warn")[0], {
          level: "Warn",
          message: "sdk.send attempt 1 failed: failed in a way that may pass; trying again in 100ms",
          fields: {
            service: "shop",
            third_party: "sdk",
            endpoint: "sdk.send",
            operation: "sdk.send",
            correlation_id: "c-1",
            attempt: 1,
            duration_ms: 0,
            error_code: "UNAVAILABLE",
            error_message: "failed in a way that may pass",
            error_cause: "TimeoutError"
          }
        })
      }),
      book
    )
  })

  it.effect("is a span of the call, one of each attempt, and the effect's own below that", () =>
    inScenario(
      Effect.gen(function* () {
        const recorder = new Recorder()
        const connected = yield* Call.connect({ provider: "sdk" })
        const send = Call.protect(Effect.withSpan(Effect.succeed(7), "inner"), {
          provider: connected,
          operation: "send",
          safety: "safe"
        })
        yield* run(send.pipe(Call.withCorrelationId("c-1"))).pipe(Effect.provideService(Tracer.Tracer, recorder.tracer))

        assert.deepStrictEqual(
          recorder.spans.map(({ attributes, name, parent }) => ({
            name,
            parent: recorder.spans.find(({ spanId }) => spanId === parent)?.name,
            attributes
          })),
          [
            {
              name: "sdk.send",
              parent: undefined,
              attributes: {
                "breakwater.provider": "sdk",
                "breakwater.operation": "sdk.send",
                "breakwater.connection": "default",
                "breakwater.correlation_id": "c-1",
                "breakwater.attempts": 1,
                "breakwater.outcome": "ok"
              }
            },
            { name: "attempt", parent: "sdk.send", attributes: { "breakwater.attempt": 1 } },
            { name: "inner", parent: "attempt", attributes: {} }
          ]
        )
      })
    )
  )

  it.effect("shares bulkhead and circuit with every other effect of its connection", () =>
    inScenario(
      Effect.gen(function* () {
        const connected = yield* Call.connect({ provider: "sdk", policy: { bulkhead: { concurrency: 1, queue: 0 } } })
        const protectedAs = <A>(operation: string, effect: Effect.Effect<A>) =>
          Call.protect(effect, { provider: connected, operation, safety: "safe" })
        const first = yield* Effect.forkChild(protectedAs("a", Effect.sleep("1 second")), { startImmediately: true })

        assert.deepStrictEqual((yield* run(protectedAs("b", Effect.void), 0)).outcome, {
          class: "RetryableError",
          attempts: 0,
          reason: { _tag: "Overloaded", problem: "queue full", concurrency: 1 },
          sent: "no"
        })
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(first)
      })
    )
  )

  it.effect("refuses a rate that no budget can be made of, naming the field and the rule", () =>
    inScenario(
      Effect.gen(function* () {
        const rate = { limit: 2, window: "1 second", burst: 3 } as const
        const ofLayer = yield* Effect.flip(Call.connect({ provider: "sdk", rate }))
        const ofPolicies = yield* Effect.flip(
          Call.connect({ provider: "sdk", rate: [{ name: "reads", match: { methods: ["GET"] }, limits: rate }] })
        )

        assert.strictEqual(ofLayer.message, "policy of sdk: rate.burst (3) must not be above the limit (2)")
        assert.strictEqual(
          ofPolicies.message,
          "policy of sdk: rate[0].limits.burst (3) must not be above the limit (2)"
        )
      })
    )
  )

  it.effect("keeps to a rate", () =>
    inScenario(
      Effect.gen(function* () {
        const connected = yield* Call.connect({ provider: "sdk", rate: { limit: 1, window: "1 second", burst: 1 } })
        const send = Call.protect(Effect.void, { provider: connected, operation: "send", safety: "safe" })
        yield* run(send, 0)

        assert.deepStrictEqual((yield* run(send)).took, 1000)
      })
    )
  )
})
