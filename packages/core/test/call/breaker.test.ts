/**
 * The two circuits that a call needs: of its connection, and of its origin, which every connection over the same transport shares (ADR 0005).
 */
import { assert, describe, it } from "@effect/vitest"
import { Call, type CallPolicy, Circuits, Health } from "@breakwater/core"
import { Deferred, Effect, Exit, Fiber, Random, Redacted } from "effect"
import { HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, LogBook, outcome, run } from "../support/Scenario.ts"

const order = { id: "o1", amount: 100 }
const params = { id: "o1" }
const origin = "https://sandbox.acme.test"
const get = (acme: Acme.AcmeClient) => acme.orders.get({ params })
const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })
const many = (n: number) => Array.from({ length: n }, (_, index) => index)

const refused = (retryAfter: number) => ({
  class: "RetryableError",
  attempts: 0,
  reason: { _tag: "CircuitOpen", retryAfter },
  sent: "no",
  retryAfter
})

/** The states of the circuits of each connection: its own, and its origin's. */
const states = Effect.map(Health.snapshot, ({ connections }) =>
  connections.map(({ circuit, originCircuit }) => [circuit.state, originCircuit?.state])
)

type Breaker = CallPolicy.CallPolicy["breaker"]

const tenant = (
  transport: Pick<Fake.FakeTransport, "layer">,
  connection: string,
  breaker: Breaker = {},
  declared = Acme.provider
) =>
  Acme.connectTo(declared, transport, {
    connection,
    // Answers tell the tenants apart by their keys.
    credential: Redacted.make(`test_${connection}`),
    policy: { attempts: 1, breaker: { ramp: 0, ...breaker } }
  })

/** Answers by whose key the request carries. */
const byTenant = (steps: Readonly<Record<string, Fake.Step>>) =>
  Fake.make((_, { headers }) => {
    const key = headers["authorization"]?.replace("Bearer test_", "") ?? ""
    return steps[key] ?? Fake.json(order)
  })

describe("the circuit of an origin", () => {
  it.effect.each([
    ["transport failures", Fake.broken("ECONNRESET")],
    ["5xx", Fake.empty(503)],
    ["garbage", Fake.text("<html>", 200)]
  ] as const)("opens for all its connections on %s of any of them", ([, step]) =>
    inScenario(
      Effect.gen(function* () {
        const transport = byTenant({ a: step, b: step })
        const [a, b, c] = [yield* tenant(transport, "a"), yield* tenant(transport, "b"), yield* tenant(transport, "c")]
        for (const acme of [a, b, a, b, a]) yield* run(get(acme), 0)
        const before = transport.sent.length

        for (const acme of [a, b, c]) assert.deepStrictEqual((yield* run(get(acme), 0)).outcome, refused(30_000))
        assert.strictEqual(before, 5)
        assert.strictEqual(transport.sent.length, 5)
        // Neither of them has failed five times by itself.
        assert.deepStrictEqual(yield* states, [
          ["closed", "open"],
          ["closed", "open"],
          ["closed", "open"]
        ])
      })
    )
  )

  it.effect("opens on timeouts", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.silent])
        const [a, b] = [yield* tenant(transport, "a"), yield* tenant(transport, "b")]
        for (const acme of [a, b, a, b, a]) yield* run(get(acme), "5 seconds")

        assert.deepStrictEqual((yield* run(get(b), 0)).outcome, refused(30_000))
      })
    )
  )

  it.effect.each([
    ["4xx", Fake.empty(400)],
    ["429", Fake.empty(429)],
    ["locks", Fake.json({ error: { code: "in_flight" } }, 409)],
    ["drift", Fake.json({ id: 7 })]
  ] as const)("and that of the connection stay closed on %s", ([, step]) =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([step])
        const acme = yield* tenant(transport, "a", { consecutiveFailures: 1, minimumCalls: 1 })
        for (let n = 0; n < 5; n++) yield* run(get(acme), 0)

        assert.strictEqual(transport.sent.length, 5)
        assert.deepStrictEqual(yield* states, [["closed", "closed"]])
      })
    )
  )

  it.effect("stays closed while others are answered; the connection that fails opens its own", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = byTenant({ a: Fake.empty(503) })
        const [a, b] = [yield* tenant(transport, "a"), yield* tenant(transport, "b")]
        for (const acme of [a, b, b, a, b, b, a, b, b, a, b, b, a]) yield* run(get(acme), 0)

        assert.deepStrictEqual((yield* run(get(a), 0)).outcome, refused(30_000))
        assert.deepStrictEqual((yield* run(get(b), 0)).outcome, { value: order })
        assert.deepStrictEqual(yield* states, [
          ["open", "closed"],
          ["closed", "closed"]
        ])
      })
    )
  )

  it.effect("takes no failure that the provider's table calls one connection's own", () =>
    inScenario(
      Effect.gen(function* () {
        const declared = Acme.variant({
          errors: {
            ...Acme.errors,
            rules: [{ status: 503, code: "moving", means: "Unavailable", concerns: "connection" }]
          }
        })
        const moving = Fake.json({ error: { code: "moving" } }, 503)
        const transport = byTenant({ a: moving })
        const [a, b] = [yield* tenant(transport, "a", {}, declared), yield* tenant(transport, "b", {}, declared)]
        for (let n = 0; n < 5; n++) yield* run(get(a), 0)

        assert.deepStrictEqual((yield* run(get(a), 0)).outcome, refused(30_000))
        assert.deepStrictEqual((yield* run(get(b), 0)).outcome, { value: order })
        assert.deepStrictEqual(yield* states, [
          ["open", "closed"],
          ["closed", "closed"]
        ])
      })
    )
  )

  it.effect("is shared by all clients over one transport, of whatever kind, and by none over another", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(503)])
        const acme = yield* tenant(transport, "a")
        const plain = yield* Call.client(transport.client, { provider: "plain", policy: { attempts: 1 } })
        const other = yield* tenant(Fake.make([Fake.json(order)]), "a")
        for (let n = 0; n < 5; n++) yield* run(get(acme), 0)
        const there = yield* Effect.exit(plain.execute(HttpClientRequest.get(`${origin}/orders/o1`)))
        const elsewhere = yield* Effect.exit(plain.execute(HttpClientRequest.get("https://other.test/")))

        assert.isTrue(Exit.isFailure(there))
        assert.isTrue(Exit.isSuccess(elsewhere))
        assert.strictEqual(transport.sent.length, 6)
        assert.deepStrictEqual((yield* run(get(other), 0)).outcome, { value: order })
      })
    )
  )

  it.effect("is remembered for the 1,024 origins that a transport was last connected to", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(200)])
        const client = Effect.map(
          Call.client(transport.client, { provider: "plain" }),
          (client) => (n: number) => client.execute(HttpClientRequest.get(`https://host-${n}.test/`))
        )
        const first = yield* client
        yield* first(0)
        yield* Circuits.forceOpen({ origin: "https://host-0.test", by: "a test" })
        yield* Effect.forEach(many(1023), (n) => first(n + 1))
        const known = yield* Effect.exit((yield* client)(0))
        yield* Effect.forEach(many(1024), (n) => first(n + 2000))
        const forgotten = yield* Effect.exit((yield* client)(0))

        assert.isTrue(Exit.isFailure(known))
        assert.isTrue(Exit.isSuccess(forgotten))
      })
    )
  )

  it.effect("does not stand in the way of refreshing a credential, which has a lane of its own", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((n) => (n <= 5 ? Fake.empty(503) : Fake.json(order)))
        const acme = yield* tenant(transport, "a")
        for (let n = 0; n < 5; n++) yield* run(get(acme), 0)

        assert.deepStrictEqual((yield* run(get(acme), 0)).outcome, refused(30_000))
        assert.deepStrictEqual((yield* run(Call.refreshLane(get(acme)), 0)).outcome, { value: order })
      })
    )
  )
})

describe("the retry budget", () => {
  it.effect("is one for all connections to an origin: 35 retries at a total failure, whoever makes them", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(503)])
        const unbreakable = { consecutiveFailures: 10_000, window: 10_000, minimumCalls: 10_000 }
        const connect = (connection: string) =>
          Acme.connect(transport, { connection, policy: { breaker: unbreakable, bulkhead: { concurrency: 1000 } } })
        const [a, b] = [yield* connect("a"), yield* connect("b")]
        const calls = yield* Effect.forEach(many(100), (n) => fork(Effect.exit(get(n % 2 === 0 ? a : b))))
        yield* TestClock.adjust("900 millis")
        const report = yield* Health.snapshot
        yield* Effect.forEach(calls, Fiber.join)

        // 100 calls, 35 retries that are paid, and the one of this second that is free.
        assert.strictEqual(transport.sent.length, 136)
        assert.deepStrictEqual(
          report.connections.map(({ retryBudget }) => retryBudget.tokens),
          [10, 10]
        )
      })
    )
  )
})

describe("an open circuit", () => {
  it.effect("stays open for as long as the provider asked, up to the hint cap", () =>
    inScenario(
      Effect.gen(function* () {
        const wait = Effect.fnUntraced(function* (seconds: string) {
          const acme = yield* tenant(Fake.make([Fake.empty(503, { "retry-after": seconds })]), "a", {
            consecutiveFailures: 1
          })
          yield* run(get(acme), 0)
          return (yield* run(get(acme), 0)).outcome
        })

        assert.deepStrictEqual(yield* wait("10"), refused(30_000))
        assert.deepStrictEqual(yield* wait("40"), refused(44_000))
        assert.deepStrictEqual(yield* wait("3600"), refused(66_000))
      })
    )
  )

  it.effect("is one line that says why, and another when it closes", () => {
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((n) => (n <= 5 ? Fake.empty(503) : Fake.json(order)))
        const acme = yield* tenant(transport, "a", { ramp: "10 seconds" })
        for (let n = 0; n < 5; n++) yield* run(get(acme).pipe(Call.withCorrelationId("c-7")), 0)
        yield* TestClock.adjust("30 seconds")
        for (let n = 0; n < 3; n++) yield* run(get(acme), 0)

        const lines = book.lines.filter(({ message }) => message.includes("circuit of"))
        const ofCircuit = { service: "breakwater", third_party: "acme", connection: "a", origin }
        assert.deepStrictEqual(
          lines.map(({ fields: { correlation_id: _, ...fields }, level, message }) => [level, message, fields]),
          [
            [
              "Warn",
              `acme: circuit of origin ${origin} and connection a opened for 30s: 5 failures in a row`,
              { ...ofCircuit, operation: "acme.orders.get", event: "circuit opened" }
            ],
            [
              "Info",
              `acme: circuit of origin ${origin} and connection a closed, and lets more through by and by`,
              { ...ofCircuit, operation: "acme.orders.get", event: "circuit closed" }
            ]
          ]
        )
        assert.strictEqual(lines[0]?.fields["correlation_id"], "c-7")
      }),
      book
    )
  })

  it.effect("is a line for each level where they do not open together", () => {
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        const transport = byTenant({ a: Fake.empty(503), b: Fake.empty(503) })
        const [a, b] = [yield* tenant(transport, "a", { consecutiveFailures: 2 }), yield* tenant(transport, "b")]
        for (const acme of [b, a]) yield* run(get(acme), 0)

        assert.deepStrictEqual(
          book.lines.map(({ message }) => message).filter((message) => message.includes("circuit of")),
          [`acme: circuit of origin ${origin} opened for 30s: 2 failures in a row`]
        )
      }),
      book
    )
  })
})

describe("a probe", () => {
  const opened = Effect.fnUntraced(function* (probe: Fake.Step, breaker: Breaker = {}) {
    const transport = Fake.make((n) => (n === 1 ? Fake.empty(503) : n === 2 ? probe : Fake.json(order)))
    const acme = yield* tenant(transport, "a", { consecutiveFailures: 1, successesToClose: 1, ...breaker })
    yield* run(get(acme), 0)
    yield* TestClock.adjust("30 seconds")
    return { acme, transport }
  })

  it.effect.each([
    ["429", Fake.empty(429)],
    ["a throttle code", Fake.json({ error: { code: "slow_down" } }, 400)]
  ] as const)("that is answered with %s says nothing of health: the next call is the probe", ([, step]) =>
    inScenario(
      Effect.gen(function* () {
        const { acme } = yield* opened(step)
        yield* run(get(acme), 0)
        const after = yield* states
        yield* run(get(acme), 0)

        assert.deepStrictEqual(after, [["half-open", "half-open"]])
        assert.deepStrictEqual(yield* states, [["closed", "closed"]])
      })
    )
  )

  it.effect("that is answered with 404 shows that the provider is well", () =>
    inScenario(
      Effect.gen(function* () {
        const { acme } = yield* opened(Fake.empty(404))
        yield* run(get(acme), 0)

        assert.deepStrictEqual(yield* states, [["closed", "closed"]])
      })
    )
  )

  it.effect("that never ends frees its place a second after it should have", () =>
    inScenario(
      Effect.gen(function* () {
        const provider = yield* Call.connect({
          provider: "sdk",
          policy: { attempts: 1, breaker: { consecutiveFailures: 1, successesToClose: 1, ramp: 0 } }
        })
        const call = (effect: Effect.Effect<string, string>) =>
          Call.protect(effect, { provider, operation: "ask", safety: "safe", classify: () => ({ sent: "no" }) })
        yield* run(call(Effect.fail("down")), 0)
        yield* TestClock.adjust("30 seconds")
        // What cannot be interrupted does not end when its time is over.
        const latch = yield* Deferred.make<string>()
        const stuck = yield* fork(call(Effect.uninterruptible(Deferred.await(latch))))
        yield* TestClock.adjust("10999 millis")
        const before = (yield* run(call(Effect.succeed("well")), 0)).outcome
        yield* TestClock.adjust("1 millis")
        const after = (yield* run(call(Effect.succeed("well")), 0)).outcome

        assert.deepStrictEqual(before, refused(1))
        assert.deepStrictEqual(after, { value: "well" })
        assert.strictEqual((yield* Health.snapshot).connections[0]?.circuit.state, "closed")
        yield* Deferred.succeed(latch, "at last")
        yield* Fiber.await(stuck)
      })
    )
  )
})

describe("a ramp", () => {
  /** Draws these in turn, then the last one for ever. */
  const draws = (numbers: ReadonlyArray<number>) => {
    let next = 0
    return { nextDoubleUnsafe: () => numbers[Math.min(next++, numbers.length - 1)] ?? 0, nextIntUnsafe: () => 0 }
  }

  it.effect("refuses by one lot for a call, at both levels alike, and tells when it will be let through", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((n) => (n === 1 ? Fake.empty(503) : Fake.json(order)))
        const acme = yield* tenant(transport, "a", { consecutiveFailures: 1, successesToClose: 1, ramp: "9 seconds" })
        yield* run(get(acme), 0)
        yield* TestClock.adjust("30 seconds")
        yield* run(get(acme), 0)
        yield* run(get(acme), 0)
        yield* TestClock.adjust("300 millis")
        const call = (lots: ReadonlyArray<number>) =>
          Effect.map(
            run(get(acme).pipe(Effect.provideService(Random.Random, draws(lots))), 0),
            ({ outcome }) => outcome
          )

        assert.deepStrictEqual(yield* states, [["ramping", "ramping"]])
        assert.deepStrictEqual(yield* call([0.05, 0.99]), { value: order })
        assert.deepStrictEqual(yield* call([0.2, 0]), refused(1000))
        yield* TestClock.adjust("2600 millis")
        yield* run(get(acme), 0)
        assert.deepStrictEqual(yield* call([0.2, 0]), refused(100))
        yield* TestClock.adjust("100 millis")
        assert.deepStrictEqual(yield* call([0.2, 0.99]), { value: order })
      })
    )
  )
})

describe("slow calls", () => {
  const slowly = { slowAfter: "2 seconds", minimumCalls: 4, slowRate: 0.5 } as const

  it.effect("open the circuits before any of them returns, and a line says so", () => {
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.silent])
        const acme = yield* tenant(transport, "a", slowly)
        const calls = yield* Effect.forEach(many(4), () => fork(Effect.exit(get(acme))))
        yield* TestClock.adjust("2000 millis")
        const fifth = yield* fork(Effect.exit(get(acme)))
        yield* TestClock.adjust("1 millis")
        const refusal = yield* run(get(acme), 0)
        const underWay = transport.open()
        yield* TestClock.adjust("5 seconds")

        assert.deepStrictEqual(refusal.outcome, refused(30_000))
        assert.strictEqual(underWay, 5)
        assert.deepStrictEqual(
          book.lines
            .filter(({ message }) => message.includes("circuit of"))
            .map(({ level, message }) => [level, message]),
          [["Warn", `acme: circuit of origin ${origin} and connection a opened for 30s: slow: 100 % of 4 calls`]]
        )
        for (const fiber of [...calls, fifth]) yield* Fiber.join(fiber)
      }),
      book
    )
  })

  it.effect("are those that take longer, whatever comes of them", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((n) =>
          Fake.late(n === 3 ? 2000 : 2001, n === 2 ? Fake.empty(404) : Fake.json(order))
        )
        const acme = yield* tenant(transport, "a", slowly)
        for (let n = 0; n < 4; n++) yield* run(get(acme), "3 seconds")
        const { connections } = yield* Health.snapshot

        assert.deepStrictEqual(
          [connections[0]?.circuit.state, connections[0]?.circuit.reason, connections[0]?.originCircuit?.reason],
          ["open", "slow: 75 % of 4 calls", "slow: 75 % of 4 calls"]
        )
      })
    )
  )

  it.effect("that their callers gave up count all the same: it is the provider that was slow", () =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* tenant(Fake.make([Fake.silent]), "a", slowly)
        for (let n = 0; n < 4; n++) {
          const fiber = yield* fork(get(acme))
          yield* TestClock.adjust("2500 millis")
          // Somebody looks, before the caller goes away.
          yield* Effect.flatMap(fork(get(acme)), Fiber.interrupt)
          yield* Fiber.interrupt(fiber)
        }

        assert.deepStrictEqual(outcome(yield* Effect.exit(get(acme))), refused(30_000))
      })
    )
  )
})
