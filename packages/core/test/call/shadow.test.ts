import { assert, describe, it } from "@effect/vitest"
import { type CallPolicy, Health, Policies } from "@breakwater/core"
import { Effect, References, Tracer } from "effect"
import { TestClock } from "effect/testing"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { counted } from "../support/Metrics.ts"
import { Recorder } from "../support/Recorder.ts"
import { inScenario, LogBook, run } from "../support/Scenario.ts"

const order = { id: "o1", amount: 100 }
const get = (acme: Acme.AcmeClient) => acme.orders.get({ params: { id: "o1" } })
const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })
const limited = Acme.variant({ rate: { limit: 1, window: "1 second" } })

const connect = (steps: Fake.Script, policy: CallPolicy.CallPolicy, provider = Acme.provider) => {
  const transport = Fake.make(steps)
  return Effect.map(Acme.connectTo(provider, transport, { policy: { attempts: 1, ...policy } }), (acme) => ({
    acme,
    transport
  }))
}

/** What was told of policies that only watch. */
const told = Effect.map(counted, (series) =>
  Object.fromEntries(
    Object.entries(series).flatMap(([id, value]) =>
      id.startsWith("breakwater.shadow.count")
        ? [[id.replace("breakwater.shadow.count acme.orders.get ", ""), value]]
        : []
    )
  )
)

const first = Effect.map(Health.snapshot, ({ connections: [connection], status }) => ({ connection, status }))

describe("a breaker in shadow mode", () => {
  const breaker = { consecutiveFailures: 2, openFor: "10 seconds", successesToClose: 1, ramp: 0 } as const

  it.effect("opens, probes and closes as if it were in force, and refuses nothing", () =>
    inScenario(
      Effect.gen(function* () {
        let down = true
        const { acme, transport } = yield* connect(() => (down ? Fake.empty(503) : Fake.json(order)), {
          breaker,
          shadow: ["breaker"]
        })
        for (let n = 0; n < 5; n++) yield* run(get(acme), 0)
        const open = yield* first
        const refused = yield* told
        down = false
        yield* run(get(acme), 0)
        const unprobed = yield* first
        yield* TestClock.adjust("10 seconds")
        yield* run(get(acme), 0)

        assert.strictEqual(transport.sent.length, 7)
        assert.deepStrictEqual(
          [open.connection?.circuit.state, open.connection?.circuit.openings, open.status, open.connection?.shadow],
          ["open", 1, "ok", ["breaker"]]
        )
        assert.deepStrictEqual(refused, { "shadow.policy=breaker reason=CircuitOpen": 3 })
        assert.strictEqual(unprobed.connection?.circuit.state, "open")
        assert.strictEqual((yield* first).connection?.circuit.state, "closed")
        assert.deepStrictEqual(yield* told, { "shadow.policy=breaker reason=CircuitOpen": 4 })
      })
    )
  )

  it.effect("ends no call between its attempts, and tells once of each attempt", () =>
    inScenario(
      Effect.gen(function* () {
        const { acme, transport } = yield* connect([Fake.empty(503)], { attempts: 4, breaker, shadow: ["breaker"] })
        yield* run(get(acme))

        assert.strictEqual(transport.sent.length, 4)
        assert.deepStrictEqual(yield* told, { "shadow.policy=breaker reason=CircuitOpen": 2 })
      })
    )
  )

  it.effect("says in the line of an opening that it refuses nothing", () => {
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        const { acme } = yield* connect([Fake.empty(503)], { breaker, shadow: ["breaker"] })
        for (let n = 0; n < 2; n++) yield* run(get(acme), 0)

        assert.match(
          book
            .of("Warn")
            .map(({ message }) => message)
            .join("\n"),
          /opened for .*\(in shadow mode: it refuses nothing\)/u
        )
      }),
      book
    )
  })
})

describe("a rate budget in shadow mode", () => {
  it.effect(
    "keeps nobody waiting, and counts who would have waited and who would have been refused as a line would",
    () =>
      inScenario(
        Effect.gen(function* () {
          const { acme, transport } = yield* connect(
            [Fake.json(order)],
            { rateWait: "2 seconds", shadow: ["rate"] },
            limited
          )
          for (let n = 0; n < 10; n++) yield* run(get(acme), 0)
          const once = yield* told
          yield* TestClock.adjust("1 second")
          for (let n = 0; n < 2; n++) yield* run(get(acme), 0)

          // One goes, two fit into a wait of two seconds, the others would have been refused; a second later there is room for one more.
          assert.deepStrictEqual(once, {
            "shadow.policy=rate reason=wait": 2,
            "shadow.policy=rate reason=RateLimited": 7
          })
          assert.deepStrictEqual(yield* told, {
            "shadow.policy=rate reason=wait": 3,
            "shadow.policy=rate reason=RateLimited": 8
          })
          assert.deepStrictEqual(
            transport.sent.map(({ at }) => at),
            [...Array.from({ length: 10 }, () => 0), 1000, 1000]
          )
        })
      )
  )

  it.effect("leaves the bulkhead in force", () =>
    inScenario(
      Effect.gen(function* () {
        const { acme, transport } = yield* connect(
          [Fake.late(1000, Fake.json(order))],
          { bulkhead: { concurrency: 1 }, shadow: ["rate"] },
          Acme.variant({ rate: { limit: 1, window: "1 hour" } })
        )
        yield* fork(get(acme))
        yield* fork(get(acme))
        yield* TestClock.adjust("10 seconds")

        assert.deepStrictEqual(
          transport.sent.map(({ at }) => at),
          [0, 1000]
        )
        assert.deepStrictEqual(yield* told, { "shadow.policy=rate reason=RateLimited": 1 })
      })
    )
  )
})

describe("a bulkhead in shadow mode", () => {
  it.effect("lets all run at once, and tells who would have waited and who would have been refused", () =>
    inScenario(
      Effect.gen(function* () {
        const { acme, transport } = yield* connect([Fake.late(1000, Fake.json(order))], {
          bulkhead: { concurrency: 1, queue: 2 },
          shadow: ["bulkhead"]
        })
        for (let n = 0; n < 5; n++) yield* fork(get(acme))
        const busy = (yield* first).connection?.bulkhead
        yield* TestClock.adjust("1 second")

        assert.deepStrictEqual(busy, { inFlight: 5, waiting: 0, concurrency: 1 })
        assert.strictEqual(transport.sent.length, 5)
        assert.deepStrictEqual(yield* told, {
          "shadow.policy=bulkhead reason=wait": 2,
          "shadow.policy=bulkhead reason=Overloaded": 2
        })
        assert.deepStrictEqual((yield* first).connection?.bulkhead, { inFlight: 0, waiting: 0, concurrency: 1 })
      })
    )
  )
})

describe("a throttle in shadow mode", () => {
  it.effect("sends everything, and does not count what it would not have sent", () =>
    inScenario(
      Effect.gen(function* () {
        let down = true
        const { acme, transport } = yield* connect(() => (down ? Fake.empty(429) : Fake.json(order)), {
          throttle: { window: "10 seconds" },
          rate: { margin: 0 },
          shadow: ["throttle", "rate"]
        })
        for (let n = 0; n < 30; n++) yield* run(get(acme), 0)
        const refused = yield* told
        down = false
        for (let n = 0; n < 30; n++) yield* run(get(acme), 0)

        assert.strictEqual(transport.sent.length, 60)
        assert.strictEqual(refused["shadow.policy=throttle reason=Overloaded"], 10)
        // Its picture is that of one in force: while it lets nothing through, nothing that is accepted changes it.
        assert.strictEqual((yield* told)["shadow.policy=throttle reason=Overloaded"], 40)
      })
    )
  )
})

describe("shadow mode", () => {
  it.effect("is an event of the span, and a line at level Debug", () => {
    const book = new LogBook()
    const recorder = new Recorder()
    return inScenario(
      Effect.gen(function* () {
        const { acme } = yield* connect([Fake.json(order)], { shadow: ["rate"], rateWait: "100 millis" }, limited)
        yield* run(get(acme), 0)
        yield* run(get(acme), 0).pipe(
          Effect.provideService(Tracer.Tracer, recorder.tracer),
          Effect.provideService(References.MinimumLogLevel, "Debug")
        )

        const reason = { "breakwater.shadow.policy": "rate", "breakwater.reason": "RateLimited" }
        assert.deepInclude(recorder.spans[0]?.events[0], { name: "breakwater.shadow", attributes: reason })
        assert.deepInclude(
          book.of("Debug").map(({ message }) => message),
          "acme.orders.get attempt 1 in shadow mode: rate would have refused it: rate limited by the rate budget, retry in 1s"
        )
      }),
      book
    )
  })

  it.effect("is off unless it is asked for, also of one that is not named", () =>
    inScenario(
      Effect.gen(function* () {
        const { acme, transport } = yield* connect(
          [Fake.json(order)],
          { rateWait: "100 millis", shadow: ["breaker"] },
          limited
        )
        yield* run(get(acme), 0)
        const { outcome } = yield* run(get(acme), 0)

        assert.deepInclude(outcome, { attempts: 0 })
        assert.strictEqual(transport.sent.length, 1)
        assert.deepStrictEqual(yield* told, {})
      })
    )
  )

  it.effect("ends when the policy is taken back, with what it has counted", () =>
    inScenario(
      Effect.gen(function* () {
        const { acme, transport } = yield* connect([Fake.empty(503)], { breaker: { consecutiveFailures: 2 } })
        const by = "ana"
        yield* Policies.set({ provider: "acme", policy: { shadow: ["breaker"] }, by })
        for (let n = 0; n < 4; n++) yield* run(get(acme), 0)
        const [changed] = yield* Policies.set({ provider: "acme", policy: {}, by })
        const { outcome } = yield* run(get(acme), 0)

        assert.deepStrictEqual(changed?.changes, [{ field: "shadow", from: "breaker", to: "none" }])
        assert.deepInclude(outcome, { reason: { _tag: "CircuitOpen", retryAfter: 30_000 } })
        assert.strictEqual(transport.sent.length, 4)
      })
    )
  )
})
