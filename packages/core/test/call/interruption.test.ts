import { assert, describe, it } from "@effect/vitest"
import { type CallPolicy, Health, Idempotency, Telemetry } from "@breakwater/core"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Acme from "../support/Acme.ts"
import { Census } from "../support/Census.ts"
import * as Credentials from "../support/Credentials.ts"
import * as Fake from "../support/FakeTransport.ts"
import { decides } from "../support/Health.ts"
import { valueOf } from "../support/Metrics.ts"
import { inScenario, LogBook, run } from "../support/Scenario.ts"

const order = { id: "o1", amount: 100 }
const params = { id: "o1" }
const payload = { amount: 1 }

type Phase = "attempt" | "body" | "slot" | "rate" | "credential" | "backoff"
type Running = { readonly fiber: Fiber.Fiber<unknown, unknown>; readonly dueAt: number; readonly write: boolean }

/** Numbers from 0 to below 1, the same for the same seed (mulberry32). */
const seeded = (seed: number): (() => number) => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

interface Storm {
  readonly seed: number
  readonly interruptions: number
  /** Calls begin so many milliseconds after one another, on average. */
  readonly every: number
  /** Calls are interrupted so many milliseconds after they began, on average. */
  readonly after: number
  readonly answer: (random: () => number, pause: Effect.Effect<void>) => Fake.Step
  readonly provider?: typeof Acme.provider
  readonly policy: CallPolicy.CallPolicy
  readonly source?: Credentials.FakeSource
}

/** One of the operations, and whether it is a write whose outcome may be lost. */
const anyCall = (acme: Acme.AcmeClient, random: () => number, n: number) => {
  const kind = Math.floor(random() * 4)
  const calls: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
    acme.orders.get({ params }),
    acme.orders.capture({ params, payload }),
    acme.orders.create({ payload }).pipe(Idempotency.withKey(`k${n}`)),
    acme.orders.search({ payload: { q: "a" } })
  ]
  return { effect: calls[kind] ?? Effect.void, write: kind === 1 || kind === 2 }
}

const healthNow = Effect.map(Health.snapshot, ({ connections }) => connections[0])

/** Begins calls and interrupts them at random instants, until so many were interrupted while they ran. */
const storm = Effect.fnUntraced(function* (options: Storm) {
  const { policy, source } = options
  const census = new Census()
  const random = seeded(options.seed)
  const counts = { body: 0, credential: 0 }
  const pause = Effect.onInterrupt(
    Effect.suspend(() => Effect.sleep(random() * 80)),
    () => Effect.sync(() => void counts.body++)
  )
  const transport = Fake.make(() => options.answer(random, pause))
  const credential = source && {
    ...source,
    current: Effect.onInterrupt(source.current, () => Effect.sync(() => void counts.credential++))
  }
  const acme = yield* Acme.connectTo(options.provider ?? Acme.provider, transport, {
    policy,
    ...(credential === undefined ? {} : { credential })
  })
  const clock = yield* TestClock.testClockWith(Effect.succeed)
  const seen = Effect.map(healthNow, (health) => ({
    ...counts,
    attempt: transport.cut(),
    slot: health?.bulkhead.waiting ?? 0,
    rate: health?.rateBudget.waiting ?? 0
  }))
  const phases: Record<Phase, number> = { attempt: 0, body: 0, slot: 0, rate: 0, credential: 0, backoff: 0 }
  let interrupted = 0
  let writesCut = 0

  /** Interrupts a call that still runs, and tells from what changed where it was. */
  const interrupt = Effect.fnUntraced(function* ({ fiber, write }: Running) {
    if (fiber.pollUnsafe() !== undefined) return
    const before = yield* seen
    yield* Fiber.interrupt(fiber)
    const after = yield* seen
    const rose = (["attempt", "body", "credential"] as const).find((phase) => after[phase] > before[phase])
    const fell = (["rate", "slot"] as const).find((phase) => after[phase] < before[phase])
    const phase = rose ?? fell ?? "backoff"
    phases[phase]++
    interrupted++
    if (write && (phase === "attempt" || phase === "body")) writesCut++
  })

  yield* census.of(
    Effect.gen(function* () {
      let running: Array<Running> = []
      for (let n = 0; interrupted < options.interruptions; n++) {
        const { effect, write } = anyCall(acme, random, n)
        const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
        running.push({ fiber, write, dueAt: clock.currentTimeMillisUnsafe() + random() * 2 * options.after })
        yield* TestClock.adjust(random() * 2 * options.every)
        const now = clock.currentTimeMillisUnsafe()
        yield* Effect.forEach(
          running.filter(({ dueAt }) => dueAt <= now),
          interrupt
        )
        running = running.filter(({ dueAt, fiber }) => dueAt > now && fiber.pollUnsafe() === undefined)
      }
      yield* Effect.forEach(running, interrupt)
    })
  )
  return { acme, census, transport, phases, interrupted, writesCut }
})

const anyAnswer = (random: () => number, millis: number, pause: Effect.Effect<void>): Fake.Step => {
  const roll = random()
  const chunked = Fake.chunks(['{"id":"o1",', pause, '"amount":', pause, "100}"])
  const step =
    roll < 0.4 ? Fake.json(order) : roll < 0.6 ? Fake.empty(503) : roll < 0.7 ? Fake.broken("ECONNRESET") : chunked
  return Fake.late(random() * 2 * millis, step)
}

/** A breaker that never opens: what is random must not decide how much is sent. */
const unbreakable = { consecutiveFailures: 10_000, window: 10_000, minimumCalls: 10_000 }

const idle = { inFlight: 0, waiting: 0 }

describe("1,000 random interruptions (DESIGN §4)", () => {
  const abandoned = (operation: string) => Effect.map(valueOf(Telemetry.abandoned, operation), ({ count }) => count)

  it.effect("of 400 calls that wait for slots: no slot, timer or fiber is left, every exchange was cut", () => {
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        const { acme, census, interrupted, phases, transport, writesCut } = yield* storm({
          seed: 1,
          interruptions: 400,
          every: 15,
          after: 200,
          answer: (random, pause) => anyAnswer(random, 80, pause),
          policy: { breaker: unbreakable, bulkhead: { concurrency: 4, queue: 16 } }
        })
        const health = yield* healthNow

        assert.isAtLeast(interrupted, 400)
        for (const phase of ["attempt", "body", "slot", "backoff"] as const) assert.isAtLeast(phases[phase], 20, phase)
        assert.deepStrictEqual(health?.bulkhead, { ...idle, concurrency: 4 })
        assert.deepStrictEqual({ fibers: census.fibers, sleeps: census.sleeps }, { fibers: 0, sleeps: 0 })
        assert.strictEqual(transport.open(), 0)
        // Each write that was cut under way has its line and its count; those cut between attempts are counted too.
        const counted = (yield* abandoned("acme.orders.create")) + (yield* abandoned("acme.orders.capture"))
        const lines = book.lines.filter(({ fields }) => fields["event"] === "abandoned")
        assert.strictEqual(lines.length, counted)
        assert.strictEqual(lines.filter(({ message }) => message.includes("under way")).length, writesCut)
        // Four at once go out, as on the first day.
        const before = transport.sent.length
        const fresh = yield* Effect.forEach([1, 2, 3, 4, 5], () =>
          Effect.forkChild(Effect.exit(acme.orders.get({ params })), { startImmediately: true })
        )
        assert.strictEqual(transport.sent.length - before, 4)
        yield* Effect.forEach(fresh, Fiber.interrupt)
      }),
      book
    )
  })

  it.effect("of 300 calls that wait for their rate window: every token that was not sent is there again", () =>
    inScenario(
      Effect.gen(function* () {
        const spacing = 20
        const burst = 25
        const provider = Acme.variant({ rate: { limit: 50, window: "1 second", burst } })
        const { census, interrupted, phases, transport, acme } = yield* storm({
          seed: 2,
          interruptions: 300,
          every: 10,
          after: 120,
          answer: (random, pause) => anyAnswer(random, 10, pause),
          provider,
          policy: { breaker: unbreakable }
        })
        const clock = yield* TestClock.testClockWith(Effect.succeed)
        const health = yield* healthNow

        assert.isAtLeast(interrupted, 300)
        assert.isAtLeast(phases.rate, 50)
        assert.deepStrictEqual(health?.bulkhead, { ...idle, concurrency: 64 })
        assert.strictEqual(health?.rateBudget.waiting, 0)
        assert.deepStrictEqual({ fibers: census.fibers, sleeps: census.sleeps }, { fibers: 0, sleeps: 0 })
        // The budget was never idle, so that what may go now is what was earned since the start, less what was sent.
        const earned = burst + Math.floor(clock.currentTimeMillisUnsafe() / spacing)
        const left = earned - transport.sent.length
        assert.isAtMost(left, burst)
        yield* TestClock.adjust(10 * spacing)
        const before = transport.sent.length
        const fibers = yield* Effect.forEach(Array.from({ length: 2 * burst }), () =>
          Effect.forkChild(Effect.exit(acme.orders.get({ params })), { startImmediately: true })
        )
        assert.strictEqual(transport.sent.length - before, Math.min(burst, left + 10))
        yield* Effect.forEach(fibers, Fiber.interrupt)
      })
    )
  )

  it.effect("of 150 calls that wait for a credential: nothing is held for them", () =>
    inScenario(
      Effect.gen(function* () {
        const source = Credentials.source({
          generation: undefined,
          current: Effect.delay(Effect.fail(Credentials.down), "150 millis")
        })
        const { acme, census, interrupted, phases, transport } = yield* storm({
          seed: 3,
          interruptions: 150,
          every: 10,
          after: 100,
          answer: () => Fake.json(order),
          policy: {},
          source
        })
        const health = yield* healthNow
        source.become(1)

        assert.isAtLeast(interrupted, 150)
        assert.isAtLeast(phases.credential, 140)
        assert.strictEqual(transport.sent.length, 0)
        assert.deepStrictEqual(health?.bulkhead, { ...idle, concurrency: 64 })
        assert.deepStrictEqual({ fibers: census.fibers, sleeps: census.sleeps }, { fibers: 0, sleeps: 0 })
        assert.deepStrictEqual((yield* run(acme.orders.get({ params }))).outcome, { value: order })
      })
    )
  )

  it.effect("of 200 calls around an open circuit: no probe is lost, and it closes when the provider is well", () =>
    inScenario(
      Effect.gen(function* () {
        let well = false
        const { acme, census, interrupted, phases, transport } = yield* storm({
          seed: 4,
          interruptions: 200,
          every: 8,
          after: 60,
          answer: (random) => Fake.late(random() * 100, well || random() < 0.6 ? Fake.json(order) : Fake.empty(500)),
          policy: {
            attempts: 1,
            breaker: { consecutiveFailures: 2, openFor: 20, maxOpenFor: 20, successesToClose: 2, ramp: 0 },
            bulkhead: { concurrency: 4, queue: 16 }
          }
        })
        well = true
        const openings = (yield* healthNow)?.circuit.openings ?? 0
        yield* TestClock.adjust("1 second")
        const probes = yield* Effect.forEach([1, 2, 3], () => run(acme.orders.get({ params }), "1 second"))
        const health = yield* healthNow

        assert.isAtLeast(interrupted, 200)
        assert.isAtLeast(phases.attempt, 100)
        assert.isAtLeast(openings, 20)
        assert.deepStrictEqual(
          probes.map(({ outcome }) => outcome),
          [{ value: order }, { value: order }, { value: order }]
        )
        assert.deepStrictEqual(health && decides(health.circuit), { state: "closed", openings, retryAfterMillis: 0 })
        assert.deepStrictEqual(health?.bulkhead, { ...idle, concurrency: 4 })
        assert.deepStrictEqual({ fibers: census.fibers, sleeps: census.sleeps }, { fibers: 0, sleeps: 0 })
        assert.strictEqual(transport.open(), 0)
      })
    )
  )
})

describe("an interruption", () => {
  it.effect("of a probe gives the probe back: the next call is it", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((n) => (n === 1 ? Fake.empty(500) : n === 2 ? Fake.silent : Fake.json(order)))
        const acme = yield* Acme.connect(transport, { policy: { attempts: 1, breaker: { consecutiveFailures: 1 } } })
        yield* run(acme.orders.get({ params }), 0)
        yield* TestClock.adjust("30 seconds")
        const probe = yield* Effect.forkChild(acme.orders.get({ params }), { startImmediately: true })
        const during = (yield* healthNow)?.circuit
        yield* Fiber.interrupt(probe)
        const after = (yield* healthNow)?.circuit

        assert.deepStrictEqual(during && decides(during), { state: "half-open", openings: 1, retryAfterMillis: 1000 })
        assert.deepStrictEqual(after && decides(after), { state: "half-open", openings: 1, retryAfterMillis: 0 })
        assert.deepStrictEqual((yield* run(acme.orders.get({ params }), 0)).outcome, { value: order })
      })
    )
  )

  it.effect("is no sample of the breaker, however often", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((n) => (n <= 10 ? Fake.silent : Fake.json(order)))
        const acme = yield* Acme.connect(transport, {
          policy: { breaker: { consecutiveFailures: 1, minimumCalls: 1 } }
        })
        for (let n = 0; n < 10; n++) {
          const fiber = yield* Effect.forkChild(acme.orders.get({ params }), { startImmediately: true })
          yield* TestClock.adjust("4 seconds")
          yield* Fiber.interrupt(fiber)
        }

        assert.deepStrictEqual((yield* run(acme.orders.get({ params }), 0)).outcome, { value: order })
      })
    )
  )

  it.effect("cuts the exchange at once, also where the caller has much to tidy up after it", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.silent])
        const acme = yield* Acme.connect(transport)
        const tidying = Effect.ensuring(acme.orders.get({ params }), Effect.sleep("1 minute"))
        const fiber = yield* Effect.forkChild(tidying, { startImmediately: true })
        yield* TestClock.adjust("1 second")
        fiber.interruptUnsafe()
        yield* TestClock.adjust("1 second")

        assert.strictEqual(fiber.pollUnsafe(), undefined)
        assert.deepStrictEqual([transport.open(), transport.cut()], [0, 1])
        yield* TestClock.adjust("1 minute")
      })
    )
  )

  it.effect("is not needed for a call to leave nothing behind in the fiber that made it", () =>
    inScenario(
      Effect.gen(function* () {
        const census = new Census()
        const transport = Fake.make([
          Fake.late(100, Fake.empty(503)),
          Fake.late(100, Fake.chunks(['{"id":"o1",', 100, '"amount":100}']))
        ])
        const acme = yield* Acme.connect(transport)
        const ended = yield* run(
          census.of(
            Effect.gen(function* () {
              yield* acme.orders.get({ params })
              return { fibers: census.fibers, sleeps: census.sleeps }
            })
          )
        )

        assert.deepStrictEqual(ended, { outcome: { value: { fibers: 0, sleeps: 0 } }, took: 400 })
      })
    )
  )

  it.effect("by a timeout around the call returns before the attempt would have", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.silent])
        const acme = yield* Acme.connect(transport)

        assert.deepStrictEqual(
          yield* run(Effect.map(Effect.timeoutOption(acme.orders.get({ params }), "1 second"), ({ _tag }) => _tag)),
          { outcome: { value: "None" }, took: 1000 }
        )
        assert.deepStrictEqual([transport.open(), transport.cut()], [0, 1])
      })
    )
  )
})
