/**
 * The three experiments that decided the order of the policies (ADR 0002). Each was run against a copy of the pipeline with the wrong order, and fails there.
 */
import { assert, describe, it } from "@effect/vitest"
import { Call, Health } from "@breakwater/core"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { CredentialSourceError } from "@breakwater/core/CredentialSource"
import * as Acme from "../support/Acme.ts"
import { credential } from "../support/Credentials.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, outcome, run } from "../support/Scenario.ts"

const order = { id: "o1", amount: 100 }
const get = (acme: Acme.AcmeClient) => acme.orders.get({ params: { id: "o1" } })
const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })
const many = (n: number) => Array.from({ length: n }, (_, index) => index)

describe("an open breaker with a full queue", () => {
  it.effect("lets none of the queued calls out: they were not admitted before they waited", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.late(100, Fake.empty(503))])
        const acme = yield* Acme.connect(transport, {
          policy: { attempts: 1, bulkhead: { concurrency: 10, queue: 250 }, breaker: { consecutiveFailures: 10 } }
        })
        const fibers = yield* Effect.forEach(many(260), () => fork(Effect.exit(get(acme))))
        yield* TestClock.adjust("200 millis")
        const ended = yield* Effect.forEach(fibers, (fiber) => Effect.map(Fiber.join(fiber), outcome))
        const [health] = (yield* Health.snapshot).connections

        // Ten at once; the slots of the first nine that failed went on to the queue, since the circuit was closed; the tenth opened it.
        assert.deepStrictEqual(
          transport.sent.map(({ at }) => at),
          [...many(10).map(() => 0), ...many(9).map(() => 100)]
        )
        assert.deepStrictEqual(
          ended.slice(19),
          many(241).map(() => ({
            class: "RetryableError",
            attempts: 0,
            reason: { _tag: "CircuitOpen", retryAfter: 30_000 },
            sent: "no",
            retryAfter: 30_000
          }))
        )
        assert.deepStrictEqual(health?.bulkhead, { inFlight: 0, waiting: 0, concurrency: 10 })
      })
    )
  )

  it.effect("takes no probe from a call that is still waiting for a slot", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((n) => (n === 1 ? Fake.empty(503) : Fake.late(1000, Fake.json(order))))
        const acme = yield* Acme.connect(transport, {
          policy: { attempts: 1, bulkhead: { concurrency: 1 }, breaker: { consecutiveFailures: 1 } }
        })
        yield* run(get(acme), 0)
        yield* TestClock.adjust("30 seconds")
        const probe = yield* fork(get(acme))
        const queued = yield* fork(get(acme))
        yield* TestClock.adjust("2 seconds")

        assert.deepStrictEqual(outcome(yield* Fiber.await(probe)), { value: order })
        // Refused before it waited, since a probe was under way: it holds nothing that the next call needs.
        assert.deepStrictEqual(outcome(yield* Fiber.await(queued)), {
          class: "RetryableError",
          attempts: 0,
          reason: { _tag: "CircuitOpen", retryAfter: 1000 },
          sent: "no",
          retryAfter: 1000
        })
        assert.deepStrictEqual((yield* run(get(acme), "1 second")).outcome, { value: order })
      })
    )
  )
})

describe("calls that wait for the rate window", () => {
  /** One request a second, and two slots without a queue: who holds a slot while it waits refuses the others. */
  const declared = Acme.variant({ rate: { limit: 60, window: "1 minute", burst: 1 } })
  const policy = { rateWait: "25 seconds", deadline: "1 minute", bulkhead: { concurrency: 2, queue: 0 } } as const

  it.effect("hold no slot, so that an interactive call behind them is not refused but has its turn", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.late(50, Fake.json(order))])
        const acme = yield* Acme.connectTo(declared, transport, { policy })
        yield* run(get(acme), "50 millis")
        const imports = yield* Effect.forEach(many(4), () => fork(Effect.exit(get(acme))))
        const held = (yield* Health.snapshot).connections[0]
        const interactive = yield* run(get(acme), "10 seconds")

        assert.deepStrictEqual(held?.bulkhead, { inFlight: 0, waiting: 0, concurrency: 2 })
        assert.strictEqual(held?.rateBudget.waiting, 4)
        assert.deepStrictEqual(interactive, { outcome: { value: order }, took: 5000 })
        for (const fiber of imports) assert.deepStrictEqual(outcome(yield* Fiber.join(fiber)), { value: order })
        assert.deepStrictEqual(
          transport.sent.map(({ at }) => at),
          [0, 1000, 2000, 3000, 4000, 5000]
        )
      })
    )
  )

  it.effect("give their tokens back when they are interrupted: the next call goes as soon as one is earned", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.late(50, Fake.json(order))])
        const acme = yield* Acme.connectTo(declared, transport, { policy })
        yield* run(get(acme), "50 millis")
        const imports = yield* Effect.forEach(many(20), () => fork(get(acme)))
        yield* TestClock.adjust("10 millis")
        yield* Effect.forEach(imports, (fiber) => Fiber.interrupt(fiber))

        assert.deepStrictEqual(yield* run(get(acme), "1 second"), { outcome: { value: order }, took: 990 })
      })
    )
  )

  it.effect("hold no token while they wait for a slot", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.late(10_000, Fake.json(order)), Fake.json(order)])
        const acme = yield* Acme.connectTo(declared, transport, {
          policy: { ...policy, silenceTimeout: 10_001, attemptTimeout: 10_001, bulkhead: { concurrency: 1, queue: 8 } }
        })
        yield* fork(get(acme))
        yield* TestClock.adjust("1 second")
        yield* Effect.forEach(many(3), () => fork(Effect.exit(get(acme))))
        yield* TestClock.adjust("1 millis")
        const { connections } = yield* Health.snapshot

        // The token of the first second is there: nobody who queues for a slot has it.
        assert.deepStrictEqual(
          { waiting: connections[0]?.bulkhead.waiting, wait: connections[0]?.rateBudget.waitMillis },
          { waiting: 3, wait: 0 }
        )
      })
    )
  )
})

describe("a refresh that calls its own provider", () => {
  /** A source whose token comes from the provider itself, through the very client that waits for it. */
  const refreshing = Effect.fnUntraced(function* (
    lane: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  ) {
    const transport = Fake.make((_, sent) =>
      sent.url.endsWith("/ping")
        ? Fake.late(50, Fake.empty(204))
        : sent.headers["authorization"] === "Bearer test_secret_2"
          ? Fake.late(50, Fake.json(order))
          : Fake.late(50, Fake.empty(401))
    )
    let held: ReturnType<typeof credential> | undefined = undefined
    let acme: Acme.AcmeClient | undefined
    const obtain = Effect.suspend(() =>
      acme === undefined
        ? Effect.die(new Error("asked before there was a client"))
        : lane(acme.orders.ping()).pipe(
            Effect.map(() => (held = credential(2))),
            Effect.mapError((error) => new CredentialSourceError({ detail: error.message, revoked: false }))
          )
    )
    // One refresh for all who wait.
    const [flight] = yield* Effect.cachedInvalidateWithTTL(obtain, "1 minute")
    acme = yield* Acme.connect(transport, {
      credential: { peek: () => held, current: flight, refresh: () => flight },
      policy: { attempts: 1, deadline: "10 seconds", bulkhead: { concurrency: 1, queue: 4 } }
    })
    return { acme, transport, expire: () => (held = credential(1)) }
  })

  it.effect("in its lane does not wait for the calls that wait for it, with one slot in all", () =>
    inScenario(
      Effect.gen(function* () {
        const { acme, transport } = yield* refreshing(Call.refreshLane)

        assert.deepStrictEqual(yield* run(get(acme)), { outcome: { value: order }, took: 100 })
        assert.deepStrictEqual(
          transport.sent.map(({ headers, method, url }) => [method, new URL(url).pathname, headers["authorization"]]),
          [
            ["GET", "/ping", undefined],
            ["GET", "/orders/o1", "Bearer test_secret_2"]
          ]
        )
      })
    )
  )

  it.effect("in its lane after a 401 finds a slot though every ordinary one is taken", () =>
    inScenario(
      Effect.gen(function* () {
        const { acme, expire, transport } = yield* refreshing(Call.refreshLane)
        expire()
        const first = yield* fork(get(acme))
        const second = yield* fork(get(acme))
        yield* TestClock.adjust("1 second")

        assert.deepStrictEqual(outcome(yield* Fiber.await(first)), { value: order })
        assert.deepStrictEqual(outcome(yield* Fiber.await(second)), { value: order })
        assert.strictEqual(transport.open(), 0)
      })
    )
  )

  it.effect("in its lane is not refused by the circuit that ordinary calls opened", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((_, sent) => (sent.url.endsWith("/ping") ? Fake.empty(204) : Fake.empty(500)))
        const acme = yield* Acme.connect(transport, { policy: { attempts: 1, breaker: { consecutiveFailures: 1 } } })
        yield* run(get(acme), 0)
        const ordinary = yield* run(acme.orders.ping(), 0)
        const refresh = yield* run(Call.refreshLane(acme.orders.ping()), 0)

        assert.strictEqual((ordinary.outcome as { reason: { _tag: string } }).reason._tag, "CircuitOpen")
        assert.deepStrictEqual(refresh.outcome, { value: undefined })
      })
    )
  )

  it.effect("outside its lane waits for itself, until the deadline", () =>
    inScenario(
      Effect.gen(function* () {
        const { acme, transport } = yield* refreshing((self) => self)

        const { outcome, took } = yield* run(get(acme))

        assert.strictEqual((outcome as { readonly class: string }).class, "RetryableError")
        assert.strictEqual(took, 10_000)
        assert.strictEqual(transport.sent.length, 0)
      })
    )
  )
})
