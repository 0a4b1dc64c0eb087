import { assert, describe, it } from "@effect/vitest"
import { Call, Health, ProviderError } from "@breakwater/core"
import { Effect, Fiber, Random, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as Acme from "../support/Acme.ts"
import * as Credentials from "../support/Credentials.ts"
import * as Fake from "../support/FakeTransport.ts"
import { errorOf, inScenario, outcome, run } from "../support/Scenario.ts"

const order = { id: "o1", amount: 100 }
const get = (acme: Acme.AcmeClient) => acme.orders.get({ params: { id: "o1" } })
const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

const refused = (reason: Record<string, unknown>) => ({
  class: "RetryableError",
  attempts: 0,
  reason,
  sent: "no",
  ...("retryAfter" in reason ? { retryAfter: reason["retryAfter"] } : {})
})

describe("an open circuit (SAFE-6)", () => {
  const failing = [500, 502, 503, 504].map((status) => Fake.empty(status))
  const policy = { attempts: 1 }

  it.effect("refuses after five failures in a row, says until when, and sends nothing", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([...failing, Fake.broken("ECONNRESET"), Fake.json(order)])
        const acme = yield* Acme.connect(transport, { policy })
        for (let n = 0; n < 5; n++) yield* run(get(acme), 0)
        yield* TestClock.adjust("12 seconds")

        assert.deepStrictEqual(yield* run(get(acme), 0), {
          outcome: refused({ _tag: "CircuitOpen", retryAfter: 18_000 }),
          took: 0
        })
        assert.strictEqual(transport.sent.length, 5)
      })
    )
  )

  it.effect("takes no stack for a refusal, and leaves the stacks of others as they are", () =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(Fake.make([...failing, Fake.empty(500)]), { policy })
        const errors: Array<Error> = []
        for (let n = 0; n < 6; n++) errors.push(yield* errorOf(get(acme), 0))
        const [sent, refusal] = errors.slice(-2)

        assert.match(String(sent?.stack), /\n\s+at /u)
        assert.strictEqual(refusal?.message, "acme.orders.get: circuit open, retry in 30s")
        assert.notMatch(String(refusal?.stack), /\n\s+at /u)
        assert.match(String(new Error("another").stack), /\n\s+at /u)
      })
    )
  )

  it.effect("is in everything but its stack what its class makes of the same fields", () =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(Fake.make([Fake.empty(500)]), {
          policy: { attempts: 1, breaker: { consecutiveFailures: 1 } }
        })
        yield* run(get(acme), 0)
        const retryable = yield* errorOf(get(acme), 0)
        const fatal = yield* errorOf(Call.withCorrelationId(get(acme), "not an id"), 0)
        const codec = Schema.toCodecJson(ProviderError.ProviderError)
        const own = (error: Error) => {
          const { stack: _, ...properties } = Object.getOwnPropertyDescriptors(error)
          return [Reflect.ownKeys(error), properties, Object.getPrototypeOf(error), String(error)]
        }
        const holds = Effect.fnUntraced(function* (error: Error, make: (fields: never) => Error) {
          const fields = Object.assign({}, error)
          const again = yield* Schema.decodeUnknownEffect(codec)(yield* Schema.encodeUnknownEffect(codec)(error))

          assert.deepStrictEqual(own(error), own(make(fields as never)))
          assert.strictEqual(Object.getPrototypeOf(again), Object.getPrototypeOf(error))
          assert.deepStrictEqual(Object.entries(again), Object.entries(error))
        })

        yield* holds(retryable, (fields) => new ProviderError.RetryableError(fields))
        yield* holds(fatal, (fields) => new ProviderError.FatalError(fields))
        assert.strictEqual(
          yield* Effect.flip(Effect.flatMap(Effect.void, () => retryable as Effect.Effect<never, unknown>)),
          retryable
        )
      })
    )
  )

  it.effect("lets one probe through when its time is over, and closes after three", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([...failing, Fake.empty(500), Fake.late(1000, Fake.json(order))])
        const acme = yield* Acme.connect(transport, { policy })
        for (let n = 0; n < 5; n++) yield* run(get(acme), 0)
        yield* TestClock.adjust("30 seconds")
        const probe = yield* fork(get(acme))
        const beside = yield* run(get(acme), 0)
        const states: Array<string | undefined> = []
        const note = Effect.map(Health.snapshot, ({ connections: [connection] }) =>
          states.push(connection?.circuit.state)
        )
        yield* note
        for (let n = 0; n < 3; n++) {
          yield* TestClock.adjust("1 second")
          if (n < 2) yield* fork(get(acme))
          yield* note
        }

        assert.deepStrictEqual(outcome(yield* Fiber.await(probe)), { value: order })
        assert.deepStrictEqual(beside.outcome, refused({ _tag: "CircuitOpen", retryAfter: 1000 }))
        assert.deepStrictEqual(states, ["half-open", "half-open", "half-open", "ramping"])
      })
    )
  )

  it.effect("stays open for longer after a probe that failed", () =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(Fake.make([Fake.empty(500)]), { policy })
        for (let n = 0; n < 5; n++) yield* run(get(acme), 0)
        yield* TestClock.adjust("30 seconds")
        yield* run(get(acme), 0)

        assert.deepStrictEqual((yield* run(get(acme), 0)).outcome, refused({ _tag: "CircuitOpen", retryAfter: 60_000 }))
      })
    )
  )

  it.effect("stops the retries of a call, which ends with the reason of its attempt", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(503)])
        const acme = yield* Acme.connect(transport, { policy: { breaker: { consecutiveFailures: 2 } } })

        assert.deepStrictEqual(yield* run(get(acme)), {
          outcome: {
            class: "RetryableError",
            attempts: 2,
            reason: { _tag: "Unavailable", status: 503, problem: "status" },
            sent: "unknown"
          },
          took: 100
        })
      })
    )
  )

  it.effect("that another call opened during a backoff refuses the attempt after it", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(503), Fake.late(20, Fake.empty(503)), Fake.json(order)])
        const acme = yield* Acme.connect(transport, { policy: { breaker: { consecutiveFailures: 2 } } })
        const backingOff = yield* fork(get(acme))
        yield* fork(Effect.exit(get(acme).pipe(Call.withPolicy({ attempts: 1 }))))
        yield* TestClock.adjust("1 second")

        assert.deepStrictEqual(outcome(yield* Fiber.await(backingOff)), {
          class: "RetryableError",
          attempts: 1,
          reason: { _tag: "CircuitOpen", retryAfter: 29_920 },
          sent: "unknown",
          retryAfter: 29_920
        })
        assert.strictEqual(transport.sent.length, 2)
      })
    )
  )

  it.effect("that opened while a call waited for its credential refuses it before the next wait", () =>
    inScenario(
      Effect.gen(function* () {
        let asked = 0
        const current = Effect.suspend(() =>
          Effect.delay(Effect.succeed(Credentials.credential(1)), ++asked === 1 ? "10 millis" : "100 millis")
        )
        const acme = yield* Acme.connectTo(
          Acme.variant({ rate: { limit: 1, window: "10 seconds", burst: 1 } }),
          Fake.make([Fake.empty(500)]),
          {
            credential: { peek: () => undefined, current, refresh: undefined },
            policy: { attempts: 1, breaker: { consecutiveFailures: 1 } }
          }
        )
        yield* fork(Effect.exit(get(acme)))

        assert.deepStrictEqual(yield* run(get(acme), "1 minute"), {
          outcome: refused({ _tag: "CircuitOpen", retryAfter: 29_910 }),
          took: 100
        })
      })
    )
  )

  const harmless: ReadonlyArray<readonly [string, Fake.Step]> = [
    ["400", Fake.empty(400)],
    ["404", Fake.empty(404)],
    ["409", Fake.empty(409)],
    ["429", Fake.empty(429)],
    ["501", Fake.empty(501)],
    ["a lock", Fake.json({ error: { code: "in_flight" } }, 409)],
    ["drift", Fake.json({})],
    ["a body beyond the limit", Fake.text("x".repeat(200))],
    ["an undeclared success", Fake.empty(201)]
  ]

  it.effect.each(harmless)("is not what %s, again and again, makes", ([, step]) =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([step])
        const acme = yield* Acme.connect(transport, {
          policy: { attempts: 1, maxBodyBytes: 100, breaker: { consecutiveFailures: 1, minimumCalls: 1 } }
        })
        for (let n = 0; n < 3; n++) yield* run(get(acme), 0)

        assert.strictEqual(transport.sent.length, 3)
      })
    )
  )

  const harmful: ReadonlyArray<readonly [string, Fake.Step]> = [
    ["500", Fake.empty(500)],
    ["408", Fake.empty(408)],
    ["HTML for JSON", Fake.text("<html>")],
    ["an empty body", Fake.empty(200)],
    ["a refused connection", Fake.broken("ECONNREFUSED")],
    ["a connect timeout", Fake.broken("UND_ERR_CONNECT_TIMEOUT")],
    ["a body that is cut", Fake.chunks(["{", { code: "ECONNRESET" }])]
  ]

  it.effect.each(harmful)("is what %s makes", ([, step]) =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([step])
        const acme = yield* Acme.connect(transport, { policy: { attempts: 1, breaker: { consecutiveFailures: 1 } } })
        for (let n = 0; n < 3; n++) yield* run(get(acme), 0)

        assert.strictEqual(transport.sent.length, 1)
      })
    )
  )

  const between: ReadonlyArray<readonly [string, Fake.Step, number]> = [
    ["a 429 is no sample", Fake.empty(429), 3],
    ["an attempt that our deadline cut short is no sample", Fake.silent, 3],
    ["a 404 is a success of the provider", Fake.empty(404), 4],
    ["a lock is a success of the provider", Fake.json({ error: { code: "in_flight" } }, 409), 4]
  ]

  it.effect.each(between)("counts failures in a row: %s", ([, step, failures]) =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((n) => (n === 3 ? step : Fake.empty(500)))
        const acme = yield* Acme.connect(transport, { policy: { attempts: 1, breaker: { consecutiveFailures: 3 } } })
        for (let n = 0; n < 8; n++) yield* run(get(acme).pipe(Call.withDeadline("1 second")), n === 2 ? 1000 : 0)

        // Two failures, what is in between, then failures until it is open.
        assert.strictEqual(transport.sent.length, failures === 3 ? 4 : 6)
      })
    )
  )

  it.effect("is not closed by a probe that is no sample", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((n) => (n === 1 ? Fake.empty(500) : Fake.empty(429)))
        const acme = yield* Acme.connect(transport, {
          policy: { attempts: 1, breaker: { consecutiveFailures: 1, successesToClose: 1 } }
        })
        yield* run(get(acme), 0)
        yield* TestClock.adjust("30 seconds")
        yield* run(get(acme), 0)
        const { connections } = yield* Health.snapshot

        assert.strictEqual(connections[0]?.circuit.state, "half-open")
      })
    )
  )

  it.effect.each([
    [0, 24_000],
    [0.75, 33_000]
  ])("with a draw of %d stays open for %i ms: many processes do not come back together", ([draw, millis]) =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(Fake.make([Fake.empty(500)]), {
          policy: { attempts: 1, breaker: { consecutiveFailures: 1 } }
        })
        yield* run(get(acme), 0)

        assert.deepStrictEqual((yield* run(get(acme), 0)).outcome, refused({ _tag: "CircuitOpen", retryAfter: millis }))
      }).pipe(Effect.provideService(Random.Random, { nextDoubleUnsafe: () => draw, nextIntUnsafe: () => 0 }))
    )
  )

  it.effect("is of one connection: another one to the same provider goes on", () =>
    inScenario(
      Effect.gen(function* () {
        const broken = yield* Acme.connect(Fake.make([Fake.empty(500)]), {
          policy: { attempts: 1, breaker: { consecutiveFailures: 1 } }
        })
        const other = yield* Acme.connect(Fake.make([Fake.json(order)]), { connection: "other" })
        yield* run(get(broken), 0)

        assert.deepStrictEqual((yield* run(get(other), 0)).outcome, { value: order })
      })
    )
  )
})

describe("a full bulkhead (SAFE-7)", () => {
  const policy = { bulkhead: { concurrency: 2, queue: 1, queueTimeout: 3000 } }

  it.effect("refuses at once the call for which the queue has no place", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.late(1000, Fake.json(order))])
        const acme = yield* Acme.connect(transport, { policy })
        const accepted = yield* Effect.forEach([1, 2, 3], () => fork(get(acme)))
        const fourth = yield* run(get(acme), 0)
        yield* TestClock.adjust("2 seconds")

        assert.deepStrictEqual(fourth, {
          outcome: refused({ _tag: "Overloaded", problem: "queue full", concurrency: 2 }),
          took: 0
        })
        for (const fiber of accepted) assert.deepStrictEqual(outcome(yield* Fiber.await(fiber)), { value: order })
        assert.deepStrictEqual(
          transport.sent.map(({ at }) => at),
          [0, 0, 1000]
        )
      })
    )
  )

  it.effect("refuses the call that has queued for as long as it may", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.late(4000, Fake.json(order))])
        const acme = yield* Acme.connect(transport, { policy })
        yield* fork(get(acme))
        yield* fork(get(acme))

        assert.deepStrictEqual(yield* run(get(acme)), {
          outcome: refused({ _tag: "Overloaded", problem: "queued too long", concurrency: 2 }),
          took: 3000
        })
        assert.strictEqual(transport.sent.length, 2)
      })
    )
  )

  it.effect("refuses with DeadlineExceeded the call whose deadline is nearer than that", () =>
    inScenario(
      Effect.gen(function* () {
        yield* TestClock.setTime(1_000_000)
        const acme = yield* Acme.connect(Fake.make([Fake.late(4000, Fake.json(order))]), { policy })
        yield* fork(get(acme))
        yield* fork(get(acme))

        assert.deepStrictEqual(yield* run(get(acme).pipe(Call.withDeadline("2 seconds"))), {
          outcome: refused({ _tag: "DeadlineExceeded", deadline: 2000 }),
          took: 2000
        })
      })
    )
  )

  it.effect("without a queue refuses the first call too many", () =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(Fake.make([Fake.silent]), {
          policy: { bulkhead: { concurrency: 1, queue: 0 } }
        })
        yield* fork(get(acme))

        assert.deepStrictEqual(
          (yield* run(get(acme), 0)).outcome,
          refused({ _tag: "Overloaded", problem: "queue full", concurrency: 1 })
        )
      })
    )
  )

  it.effect("counts the waits of all attempts of a call together", () =>
    inScenario(
      Effect.gen(function* () {
        yield* TestClock.setTime(1_000_000)
        const transport = Fake.make((n) => (n === 2 ? Fake.empty(503) : Fake.late(2000, Fake.json(order))))
        const acme = yield* Acme.connect(transport, {
          policy: { bulkhead: { concurrency: 1, queue: 8, queueTimeout: 3000 } }
        })
        yield* fork(get(acme))
        // Begins when the slot has come free again and the call below backs off from its first attempt.
        yield* fork(Effect.delay(get(acme), 2050))
        const waitsTwice = yield* run(get(acme), "1 minute")

        // 2,000 ms for the first slot, so 1,000 ms are left for the second: from 2,100 to 3,100.
        assert.deepStrictEqual(waitsTwice, {
          outcome: {
            class: "RetryableError",
            attempts: 1,
            reason: { _tag: "Overloaded", problem: "queued too long", concurrency: 1 },
            sent: "unknown"
          },
          took: 3100
        })
      })
    )
  )
})

describe("the rate budget (RATE-1)", () => {
  const limited = Acme.variant({ rate: { limit: 10, window: "10 seconds", burst: 2 } })

  it.effect("lets its burst out at once and spaces the rest", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(order)])
        const acme = yield* Acme.connectTo(limited, transport)
        for (let n = 0; n < 5; n++) yield* fork(get(acme))
        yield* TestClock.adjust("1 minute")

        assert.deepStrictEqual(
          transport.sent.map(({ at }) => at),
          [0, 0, 1000, 2000, 3000]
        )
      })
    )
  )

  it.effect("refuses now what would wait for longer than it may, and says for how long", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(order)])
        const acme = yield* Acme.connectTo(limited, transport, { policy: { rateWait: 1500 } })
        for (let n = 0; n < 3; n++) yield* fork(get(acme))

        assert.deepStrictEqual(yield* run(get(acme), 0), {
          outcome: refused({ _tag: "RateLimited", by: "budget", retryAfter: 2000 }),
          took: 0
        })
        assert.strictEqual(transport.sent.length, 2)
      })
    )
  )

  it.effect("refuses now what would wait for longer than the deadline", () =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connectTo(limited, Fake.make([Fake.json(order)]))
        for (let n = 0; n < 2; n++) yield* fork(get(acme))

        assert.deepStrictEqual(yield* run(get(acme).pipe(Call.withDeadline("1 second")), 0), {
          outcome: refused({ _tag: "RateLimited", by: "budget", retryAfter: 1000 }),
          took: 0
        })
        assert.deepStrictEqual(yield* run(get(acme).pipe(Call.withDeadline(1001))), {
          outcome: { value: order },
          took: 1000
        })
      })
    )
  )

  it.effect("gives a token back for a call that the bulkhead refused", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.late(500, Fake.json(order))])
        const acme = yield* Acme.connectTo(limited, transport, { policy: { bulkhead: { concurrency: 1, queue: 0 } } })
        yield* fork(get(acme))
        for (let n = 0; n < 5; n++) yield* run(get(acme), 0)
        yield* TestClock.adjust("500 millis")

        assert.deepStrictEqual(yield* run(get(acme)), { outcome: { value: order }, took: 500 })
      })
    )
  )

  it.effect("gives a token back, once, for a call that the circuit refused after a wait", () =>
    inScenario(
      Effect.gen(function* () {
        const slow = Acme.variant({ rate: { limit: 1, window: "10 seconds", burst: 3 } })
        const transport = Fake.make((n) => (n <= 3 ? Fake.late(500, Fake.empty(500)) : Fake.json(order)))
        const acme = yield* Acme.connectTo(slow, transport, {
          policy: { attempts: 1, breaker: { consecutiveFailures: 3, openFor: 9600, successesToClose: 1 } }
        })
        const [, , , fourth] = yield* Effect.forEach([1, 2, 3, 4], () => fork(Effect.exit(get(acme))))
        yield* TestClock.adjust(10_100)
        const probe = yield* run(get(acme), 0)
        const next = yield* run(get(acme))

        // Three went at once; the fourth waited for its token until 10,000 ms and met a circuit that is open until 10,100.
        assert.deepStrictEqual(
          fourth === undefined ? undefined : outcome(yield* Fiber.join(fourth)),
          refused({ _tag: "CircuitOpen", retryAfter: 100 })
        )
        assert.deepStrictEqual(probe, { outcome: { value: order }, took: 0 })
        assert.deepStrictEqual(next, { outcome: { value: order }, took: 9900 })
      })
    )
  )

  it.effect("is asked again by a call that waited for a slot, which holds no slot while it waits for its token", () =>
    inScenario(
      Effect.gen(function* () {
        yield* TestClock.setTime(1_000_000)
        const slow = Acme.variant({ rate: { limit: 1, window: "10 seconds", burst: 2 } })
        const transport = Fake.make([Fake.late(500, Fake.json(order))])
        const acme = yield* Acme.connectTo(slow, transport, { policy: { bulkhead: { concurrency: 1 } } })
        for (let n = 0; n < 3; n++) yield* fork(get(acme))
        yield* TestClock.adjust("5 seconds")
        const { connections } = yield* Health.snapshot
        yield* TestClock.adjust("1 minute")

        assert.deepStrictEqual(connections[0]?.bulkhead, { inFlight: 0, waiting: 0, concurrency: 1 })
        assert.deepStrictEqual(
          transport.sent.map(({ at }) => at - 1_000_000),
          [0, 500, 10_000]
        )
      })
    )
  )

  it.effect("gives a token back for a call that waited for a slot, and which the circuit refused then", () =>
    inScenario(
      Effect.gen(function* () {
        const slow = Acme.variant({ rate: { limit: 1, window: "10 seconds", burst: 3 } })
        const transport = Fake.make((n) => (n === 1 ? Fake.late(500, Fake.empty(500)) : Fake.json(order)))
        const acme = yield* Acme.connectTo(slow, transport, {
          policy: {
            attempts: 1,
            bulkhead: { concurrency: 1 },
            breaker: { consecutiveFailures: 1, openFor: 1000, successesToClose: 1, ramp: 0 }
          }
        })
        yield* fork(Effect.exit(get(acme)))
        const queued = yield* run(get(acme), "1600 millis")
        const took = yield* Effect.forEach([1, 2, 3], () =>
          Effect.map(run(get(acme), "10 seconds"), ({ took }) => took)
        )

        assert.deepStrictEqual(queued.outcome, refused({ _tag: "CircuitOpen", retryAfter: 1000 }))
        // Two of three tokens are left; the next one is earned at 10,000 ms.
        assert.deepStrictEqual(took, [0, 0, 8400])
      })
    )
  )

  it.effect("has its longest wait counted over the attempts of a call, from whatever time it is", () =>
    inScenario(
      Effect.gen(function* () {
        yield* TestClock.setTime(1_000_000)
        const transport = Fake.make([Fake.json(order)])
        const acme = yield* Acme.connectTo(limited, transport)
        for (let n = 0; n < 2; n++) yield* fork(get(acme))

        assert.deepStrictEqual(yield* run(get(acme).pipe(Call.withDeadline("1 second")), 0), {
          outcome: refused({ _tag: "RateLimited", by: "budget", retryAfter: 1000 }),
          took: 0
        })
        assert.deepStrictEqual(yield* run(get(acme).pipe(Call.withDeadline(1001))), {
          outcome: { value: order },
          took: 1000
        })
      })
    )
  )

  it.effect("is first come, first served: a call that costs little does not overtake one that costs much", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(order)])
        const acme = yield* Acme.connectTo(limited, transport)
        yield* run(get(acme), 0)
        yield* fork(acme.orders.replace({ params: { id: "o1" }, payload: { amount: 1 } }))
        yield* fork(get(acme))
        yield* TestClock.adjust("1 minute")

        assert.deepStrictEqual(
          transport.sent.map(({ at, method }) => [method, at]),
          [
            ["GET", 0],
            ["PUT", 1000],
            ["GET", 2000]
          ]
        )
      })
    )
  )

  it.effect("spends what an operation costs", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(order)])
        const acme = yield* Acme.connectTo(limited, transport)
        yield* fork(acme.orders.replace({ params: { id: "o1" }, payload: { amount: 1 } }))
        yield* fork(get(acme))
        yield* TestClock.adjust("1 minute")

        assert.deepStrictEqual(
          transport.sent.map(({ at, method }) => [method, at]),
          [
            ["PUT", 0],
            ["GET", 1000]
          ]
        )
      })
    )
  )

  it.effect("refuses the 257th call that would wait", () =>
    inScenario(
      Effect.gen(function* () {
        const slow = Acme.variant({ rate: { limit: 1000, window: "1 second", burst: 1 } })
        const acme = yield* Acme.connectTo(slow, Fake.make([Fake.json(order)]))
        yield* run(get(acme), 0)
        yield* Effect.forEach(Array.from({ length: 256 }), () => fork(get(acme)))

        assert.deepStrictEqual(
          (yield* run(get(acme), 0)).outcome,
          refused({ _tag: "RateLimited", by: "budget", retryAfter: 257 })
        )
      })
    )
  )

  it.effect("has the limit of its environment, and its own where the layer says so", () =>
    inScenario(
      Effect.gen(function* () {
        const each = Acme.variant({ rate: { limit: { sandbox: 1, production: 4 }, window: "1 second", burst: 1 } })
        const secondAfter = Effect.fnUntraced(function* (options: Parameters<typeof Acme.connect>[1]) {
          const acme = yield* Acme.connectTo(each, Fake.make([Fake.json(order)]), options)
          yield* run(get(acme), 0)
          return (yield* run(get(acme))).took
        })

        assert.strictEqual(yield* secondAfter({}), 1000)
        assert.strictEqual(yield* secondAfter({ environment: "production", credential: Acme.liveKey }), 250)
        assert.strictEqual(yield* secondAfter({ rateLimit: 2 }), 500)
      })
    )
  )
})

describe("the retry budget (SAFE-5)", () => {
  const policy = { attempts: 2, breaker: { consecutiveFailures: 10_000, minimumCalls: 10_000, window: 10_000 } }

  it.effect("pays for 35 retries, then one a second; what is refused is RetriesSpent with the attempt's reason", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(503, { "retry-after": "0" })])
        const acme = yield* Acme.connect(transport, { policy: { ...policy, backoff: { base: 1, throttledBase: 1 } } })
        const ended = yield* Effect.forEach(Array.from({ length: 40 }), () =>
          Effect.map(run(get(acme), 1), ({ outcome }) => outcome)
        )
        const attempts = ended.map((each) => (each as { attempts: number }).attempts)

        // 35 paid, one free, and 4 calls within the same second that got no retry.
        assert.deepStrictEqual(attempts, [...Array<number>(36).fill(2), 1, 1, 1, 1])
        assert.deepStrictEqual(ended.at(-1), {
          class: "RetryableError",
          attempts: 1,
          reason: {
            _tag: "RetriesSpent",
            last: { _tag: "Unavailable", status: 503, problem: "status", retryAfter: 0 }
          },
          sent: "unknown",
          retryAfter: 0
        })
        assert.strictEqual(transport.sent.length, 76)
      })
    )
  )

  it.effect(
    "gives back what the last retry paid when the call succeeds, and a token for a call that succeeds at once",
    () =>
      inScenario(
        Effect.gen(function* () {
          const tokens = Effect.map(Health.snapshot, ({ connections: [connection] }) => connection?.retryBudget.tokens)
          const script = [503, 503, 503, 200, 200, 200, 429, 200].map((status) =>
            status === 200 ? Fake.json(order) : Fake.empty(status)
          )
          const acme = yield* Acme.connect(Fake.make(script))
          yield* run(get(acme), "2 seconds")
          const afterThree = yield* tokens
          yield* run(get(acme), 0)
          yield* run(get(acme), 0)
          const afterTwoSuccesses = yield* tokens
          yield* run(get(acme), "2 seconds")

          assert.deepStrictEqual([afterThree, afterTwoSuccesses, yield* tokens], [500 - 42 + 14, 474, 474])
        })
      )
  )
})

describe("a policy of one call", () => {
  const policyOfLayer = { breaker: { consecutiveFailures: 100 } }

  it.effect("that contradicts itself is InvalidRequest, naming the field and the rule", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(order)])
        const acme = yield* Acme.connect(transport)
        const impossible = get(acme).pipe(Call.withPolicy({ deadline: "1 second", attemptTimeout: "2 seconds" }))

        assert.deepStrictEqual((yield* run(impossible)).outcome, {
          class: "FatalError",
          attempts: 0,
          reason: {
            _tag: "InvalidRequest",
            field: "policy attemptTimeout",
            detail: "(2s) must not be longer than deadline (1s)"
          }
        })
        assert.strictEqual(transport.sent.length, 0)
      })
    )
  )

  it.effect("overrides times, attempts and delays, field by field, for the calls inside only", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(503)])
        const acme = yield* Acme.connect(transport, {
          policy: { ...policyOfLayer, attempts: 2, backoff: { cap: 1000 } }
        })
        const policy = { backoff: { base: 1000 } } as const
        const within = yield* run(get(acme).pipe(Call.withPolicy(policy)), "5 seconds")
        const again = yield* run(get(acme).pipe(Call.withPolicy(policy)), "5 seconds")
        const without = yield* run(get(acme), "5 seconds")

        assert.deepStrictEqual([within.took, again.took, without.took], [500, 500, 100])
      })
    )
  )

  it.effect("is kept apart for each operation that it is used with", () =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(Fake.make([Fake.empty(204)]))
        const policy = { attempts: 1 }
        const both = Effect.all([Effect.exit(acme.orders.remove({ params: { id: "o1" } })), acme.orders.ping()])

        assert.deepStrictEqual((yield* run(Effect.asVoid(both).pipe(Call.withPolicy(policy)))).outcome, {
          value: undefined
        })
      })
    )
  )
})
