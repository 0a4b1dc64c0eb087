import { assert, describe, it } from "@effect/vitest"
import { Call, type CallPolicy, Health, Idempotency } from "@breakwater/core"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { counted } from "../support/Metrics.ts"
import { inScenario, LogBook, outcome, run } from "../support/Scenario.ts"

const order = { id: "o1", amount: 100 }
const another = { id: "o2", amount: 200 }
const get = (acme: Acme.AcmeClient, id = "o1") => acme.orders.get({ params: { id } })
const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })
const outcomeOf = <A, E>(fiber: Fiber.Fiber<A, E>) => Effect.map(Fiber.await(fiber), outcome)

/** Never opens: what is tested here comes before it. */
const steady = { consecutiveFailures: 10_000, minimumCalls: 10_000, window: 10_000 } satisfies CallPolicy.Breaker

const connect = (steps: Fake.Script, policy: CallPolicy.CallPolicy) => {
  const transport = Fake.make(steps)
  return Effect.map(Acme.connect(transport, { policy: { breaker: steady, ...policy } }), (acme) => ({
    acme,
    transport
  }))
}

const bulkhead = Effect.map(Health.snapshot, ({ connections: [connection] }) => connection?.bulkhead)

const times = (id: string) => Effect.map(counted, (series) => series[id])

describe("a second attempt beside a slow one", () => {
  const hedge = { delay: "100 millis" } as const

  it.effect("is sent when the first takes too long, and the first answer counts", () =>
    inScenario(
      Effect.gen(function* () {
        const { acme, transport } = yield* connect([Fake.late(1000, Fake.json(order)), Fake.json(another)], { hedge })

        assert.deepStrictEqual(yield* run(get(acme)), { outcome: { value: another }, took: 100 })
        assert.deepStrictEqual(
          transport.sent.map(({ at }) => at),
          [0, 100]
        )
        assert.deepStrictEqual([transport.open(), transport.cut()], [0, 1])
        assert.deepStrictEqual(yield* bulkhead, { inFlight: 0, waiting: 0, concurrency: 64 })
        assert.deepStrictEqual(
          [
            yield* times("breakwater.hedge.count acme.orders.get outcome=sent"),
            yield* times("breakwater.hedge.count acme.orders.get outcome=won"),
            yield* times("breakwater.call.count acme.orders.get outcome=ok")
          ],
          [1, 1, 1]
        )
      })
    )
  )

  it.effect("is not sent when the first is in time, on both sides of the boundary", () =>
    inScenario(
      Effect.gen(function* () {
        const { acme, transport } = yield* connect(
          [Fake.late(99, Fake.json(order)), Fake.late(101, Fake.json(order)), Fake.late(500, Fake.json(another))],
          { hedge }
        )
        const first = yield* run(get(acme))
        const second = yield* run(get(acme))

        assert.deepStrictEqual(first, { outcome: { value: order }, took: 99 })
        assert.deepStrictEqual(second, { outcome: { value: order }, took: 101 })
        assert.strictEqual(transport.sent.length, 3)
        assert.deepStrictEqual([transport.open(), transport.cut()], [0, 1])
      })
    )
  )

  it.effect("says in a line that it failed, and the first goes on", () => {
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        const { acme } = yield* connect([Fake.late(1000, Fake.json(order)), Fake.empty(500)], { hedge })

        assert.deepStrictEqual(yield* run(get(acme)), { outcome: { value: order }, took: 1000 })
        assert.deepStrictEqual(
          book.of("Warn").map(({ message }) => message),
          ["acme.orders.get attempt 2 failed: answered 500; it was a second one, and the first goes on"]
        )
        assert.isUndefined(yield* times("breakwater.hedge.count acme.orders.get outcome=won"))
      }),
      book
    )
  })

  it.effect("is not tried again, while the first is", () =>
    inScenario(
      Effect.gen(function* () {
        const { acme, transport } = yield* connect(
          [Fake.late(300, Fake.empty(500)), Fake.late(100, Fake.empty(500)), Fake.json(order)],
          { hedge }
        )

        assert.deepStrictEqual(yield* run(get(acme)), { outcome: { value: order }, took: 400 })
        assert.strictEqual(transport.sent.length, 3)
      })
    )
  )

  it.effect("is never sent for a write", () =>
    inScenario(
      Effect.gen(function* () {
        const { acme, transport } = yield* connect([Fake.late(1000, Fake.json(order))], { hedge })
        const write = acme.orders.create({ payload: { amount: 100 } }).pipe(Idempotency.withKey("order/1"))

        assert.deepStrictEqual(yield* run(write), { outcome: { value: order }, took: 1000 })
        assert.strictEqual(transport.sent.length, 1)
      })
    )
  )

  it.effect("is sent when it takes longer than nineteen of twenty did, once fifty are known", () =>
    inScenario(
      Effect.gen(function* () {
        const usual = Array.from({ length: 49 }, () => Fake.late(100, Fake.json(order)))
        const slow = Fake.late(5000, Fake.json(order))
        const { acme, transport } = yield* connect([...usual, slow, slow, Fake.json(another)], { hedge: {} })
        for (let n = 0; n < 49; n++) yield* run(get(acme), 100)
        const before = yield* run(get(acme), 5000)
        const after = yield* run(get(acme), 5000)

        assert.strictEqual(before.took, 5000)
        assert.deepStrictEqual(after.outcome, { value: another })
        assert.isTrue(after.took > 100 && after.took <= 110, `${after.took}`)
        assert.strictEqual(transport.sent.length, 52)
      })
    )
  )

  it.effect(
    "takes no slot from those who wait, no token that is not there, and no more than half of the retry budget",
    () =>
      inScenario(
        Effect.gen(function* () {
          const slow = Fake.late(1000, Fake.json(order))
          const full = yield* connect([slow], { hedge, bulkhead: { concurrency: 1 } })
          yield* run(get(full.acme))
          let answers = false
          const spent = yield* connect(() => (answers ? slow : Fake.empty(500)), { hedge })
          for (let call = 0; call < 7; call++) yield* run(get(spent.acme))
          const sent = spent.transport.sent.length
          answers = true
          yield* run(get(spent.acme))

          assert.strictEqual(full.transport.sent.length, 1)
          assert.strictEqual(spent.transport.sent.length - sent, 1)
        })
      )
  )

  it.effect("ends with the call: both are cut, and nothing is held", () =>
    inScenario(
      Effect.gen(function* () {
        const { acme, transport } = yield* connect([Fake.late(1000, Fake.json(order))], { hedge })
        const call = yield* fork(get(acme))
        yield* TestClock.adjust("200 millis")
        yield* Fiber.interrupt(call)

        assert.deepStrictEqual([transport.sent.length, transport.open(), transport.cut()], [2, 0, 2])
        assert.deepStrictEqual(yield* bulkhead, { inFlight: 0, waiting: 0, concurrency: 64 })
      })
    )
  )
})

describe("calls that are one", () => {
  const policy = { coalesce: true }
  const slow = [Fake.late(1000, Fake.json(order)), Fake.late(1000, Fake.json(another))]

  it.effect("ask once for the same at the same time, and all have the answer", () =>
    inScenario(
      Effect.gen(function* () {
        const { acme, transport } = yield* connect(slow, policy)
        const fibers = [yield* fork(get(acme)), yield* fork(get(acme)), yield* fork(get(acme))]
        yield* TestClock.adjust("1 second")
        const outcomes: Array<unknown> = []
        for (const fiber of fibers) outcomes.push(yield* outcomeOf(fiber))

        assert.deepStrictEqual(outcomes, [{ value: order }, { value: order }, { value: order }])
        assert.strictEqual(transport.sent.length, 1)
        assert.deepStrictEqual(
          [
            yield* times("breakwater.coalesce.count acme.orders.get"),
            yield* times("breakwater.call.count acme.orders.get outcome=ok")
          ],
          [2, 3]
        )
      })
    )
  )

  it.effect("are two when they ask for something else, under another policy, or one after the other", () =>
    inScenario(
      Effect.gen(function* () {
        const { acme, transport } = yield* connect(slow, policy)
        yield* fork(get(acme))
        yield* fork(get(acme, "o2"))
        yield* fork(Call.withPolicy(get(acme), { deadline: "20 seconds" }))
        yield* fork(Call.withClass(get(acme), "import"))
        yield* TestClock.adjust("1 second")
        yield* fork(get(acme))
        yield* TestClock.adjust("1 second")

        assert.strictEqual(transport.sent.length, 5)
      })
    )
  )

  it.effect("are one under each policy", () =>
    inScenario(
      Effect.gen(function* () {
        const { acme, transport } = yield* connect(slow, policy)
        const quick: CallPolicy.CallPolicy = { deadline: "20 seconds" }
        yield* fork(Call.withPolicy(get(acme), quick))
        yield* fork(Call.withPolicy(get(acme), quick))
        yield* TestClock.adjust("1 second")

        assert.strictEqual(transport.sent.length, 1)
      })
    )
  )

  it.effect("have the error of the one", () =>
    inScenario(
      Effect.gen(function* () {
        const { acme, transport } = yield* connect([Fake.late(100, Fake.empty(403))], policy)
        const fibers = [yield* fork(get(acme)), yield* fork(get(acme))]
        yield* TestClock.adjust("1 second")
        const outcomes: Array<unknown> = []
        for (const fiber of fibers) outcomes.push(yield* outcomeOf(fiber))

        assert.deepStrictEqual(outcomes[0], outcomes[1])
        assert.deepStrictEqual(outcomes[0], {
          class: "FatalError",
          attempts: 1,
          reason: { _tag: "PermissionDenied", status: 403 }
        })
        assert.strictEqual(transport.sent.length, 1)
      })
    )
  )

  it.effect("leave each for itself, and the last one ends what is under way", () =>
    inScenario(
      Effect.gen(function* () {
        const { acme, transport } = yield* connect(slow, policy)
        const first = yield* fork(get(acme))
        const second = yield* fork(get(acme))
        yield* Fiber.interrupt(first)
        assert.strictEqual(transport.open(), 1)
        yield* Fiber.interrupt(second)
        yield* TestClock.adjust(0)

        assert.deepStrictEqual([transport.open(), transport.cut()], [0, 1])
        assert.deepStrictEqual(yield* bulkhead, { inFlight: 0, waiting: 0, concurrency: 64 })
        const after = yield* run(get(acme))
        assert.deepStrictEqual(after.outcome, { value: another })
      })
    )
  )

  it.effect("wait each for as long as it may", () =>
    inScenario(
      Effect.gen(function* () {
        const { acme, transport } = yield* connect(slow, policy)
        const hasty = yield* fork(Call.withDeadline(get(acme), "300 millis"))
        const patient = yield* fork(get(acme))
        yield* TestClock.adjust("1 second")

        assert.deepStrictEqual(yield* outcomeOf(hasty), {
          class: "RetryableError",
          attempts: 0,
          reason: { _tag: "DeadlineExceeded", deadline: 300 },
          sent: "no"
        })
        assert.deepStrictEqual(yield* outcomeOf(patient), { value: order })
        assert.strictEqual(transport.sent.length, 1)
      })
    )
  )

  it.effect("are never writes", () =>
    inScenario(
      Effect.gen(function* () {
        const { acme, transport } = yield* connect(slow, policy)
        const write = (key: string) => acme.orders.create({ payload: { amount: 1 } }).pipe(Idempotency.withKey(key))
        yield* fork(write("a"))
        yield* fork(write("b"))
        yield* TestClock.adjust("1 second")

        assert.strictEqual(transport.sent.length, 2)
      })
    )
  )
})

describe("attempts at once that follow the provider", () => {
  const policy = { attempts: 1, bulkhead: { concurrency: 10, adaptive: { minimum: 2 } } }

  it.effect("are fewer after 429, 503 and silence, and more after answers", () =>
    inScenario(
      Effect.gen(function* () {
        const steps = [Fake.empty(503), Fake.empty(429), Fake.silent, Fake.late(10, Fake.json(order))]
        const { acme } = yield* connect(steps, { ...policy, silenceTimeout: "1 second" })
        const seen: Array<number | undefined> = []
        for (let n = 0; n < 3; n++) {
          yield* run(get(acme))
          seen.push((yield* bulkhead)?.concurrency)
        }

        assert.deepStrictEqual(seen, [7, 4, 3])
        for (let n = 0; n < 12; n++) yield* fork(get(acme))
        yield* TestClock.adjust("1 second")
        // The last ones find themselves alone, and a limit that is not used does not grow.
        assert.strictEqual((yield* bulkhead)?.concurrency, 5)
      })
    )
  )

  it.effect("let those who wait go on when the limit has grown", () =>
    inScenario(
      Effect.gen(function* () {
        const shrinking = Array.from({ length: 8 }, () => Fake.empty(503))
        const { acme, transport } = yield* connect([...shrinking, Fake.late(100, Fake.json(order))], policy)
        for (let n = 0; n < 8; n++) yield* run(get(acme))
        for (let n = 0; n < 8; n++) yield* fork(get(acme))
        assert.deepStrictEqual(yield* bulkhead, { inFlight: 2, waiting: 6, concurrency: 2 })
        yield* TestClock.adjust("10 seconds")

        assert.strictEqual(transport.sent.length, 16)
        assert.deepStrictEqual(yield* bulkhead, { inFlight: 0, waiting: 0, concurrency: 4 })
      })
    )
  )
})

describe("a throttle", () => {
  const policy = { attempts: 1, throttle: {} }

  it.effect("refuses here what the provider refuses there, and sends nothing", () =>
    inScenario(
      Effect.gen(function* () {
        const { acme, transport } = yield* connect([Fake.empty(503)], policy)
        for (let n = 0; n < 20; n++) yield* run(get(acme))

        assert.deepStrictEqual(yield* run(get(acme)), {
          outcome: {
            class: "RetryableError",
            attempts: 0,
            reason: { _tag: "Overloaded", problem: "throttled", concurrency: 64 },
            sent: "no"
          },
          took: 0
        })
        assert.strictEqual(transport.sent.length, 20)
      })
    )
  )

  it.effect("lets everything through again when the window has passed", () =>
    inScenario(
      Effect.gen(function* () {
        const refusing = Array.from({ length: 20 }, () => Fake.empty(503))
        const { acme } = yield* connect([...refusing, Fake.json(order)], policy)
        for (let n = 0; n < 20; n++) yield* run(get(acme))
        yield* TestClock.adjust("126 seconds")

        assert.deepStrictEqual((yield* run(get(acme))).outcome, { value: order })
      })
    )
  )

  it.effect("takes an answer for accepted, whatever it says", () =>
    inScenario(
      Effect.gen(function* () {
        const { acme, transport } = yield* connect([Fake.empty(403)], policy)
        for (let n = 0; n < 40; n++) yield* run(get(acme))

        assert.strictEqual(transport.sent.length, 40)
      })
    )
  )
})
