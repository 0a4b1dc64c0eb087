import { assert, describe, it } from "@effect/vitest"
import { Call, Circuits, Health } from "@breakwater/core"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, LogBook, run } from "../support/Scenario.ts"

const order = { id: "o1", amount: 100 }
const params = { id: "o1" }
const get = (acme: Acme.AcmeClient) => acme.orders.get({ params })
const by = "ana, incident 42"
const origin = "https://sandbox.acme.test"

/** What every connection shows of its circuits: connection, state of it, state of its origin, who set each. */
const shown = Effect.map(Health.snapshot, ({ connections }) =>
  connections.map(({ circuit, connection, originCircuit }) => [
    connection,
    circuit.state,
    originCircuit?.state,
    circuit.forcedBy,
    originCircuit?.forcedBy
  ])
)

const tenants = Effect.fnUntraced(function* (transport: Fake.FakeTransport, policy = {}) {
  const connect = (connection: string) =>
    Acme.connect(transport, { connection, policy: { attempts: 1, breaker: { ...policy, ramp: 0 } } })
  return [yield* connect("a"), yield* connect("b")] as const
})

const refused = (retryAfter: number) => ({
  class: "RetryableError",
  attempts: 0,
  reason: { _tag: "CircuitOpen", retryAfter },
  sent: "no",
  retryAfter
})

describe("Circuits.forceOpen", () => {
  it.effect("of a connection refuses its calls, and those of no other", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(order)])
        const [a, b] = yield* tenants(transport)
        const set = yield* Circuits.forceOpen({ provider: "acme", connection: "a", by })

        assert.strictEqual(set, 1)
        assert.deepStrictEqual((yield* run(get(a), 0)).outcome, refused(300_000))
        assert.deepStrictEqual((yield* run(get(b), 0)).outcome, { value: order })
        assert.deepStrictEqual(yield* shown, [
          ["a", "forced-open", "closed", by, null],
          ["b", "closed", "closed", null, null]
        ])
        assert.strictEqual((yield* Health.snapshot).status, "degraded")
      })
    )
  )

  it.effect("of an origin refuses everybody who calls it, however long, and those who come later", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(order)])
        const [a, b] = yield* tenants(transport)
        const set = yield* Circuits.forceOpen({ origin, by })
        yield* TestClock.adjust("1 day")
        const later = yield* Acme.connect(transport, { connection: "c" })

        assert.strictEqual(set, 1)
        for (const acme of [a, b, later]) assert.deepStrictEqual((yield* run(get(acme), 0)).outcome, refused(300_000))
        assert.strictEqual(transport.sent.length, 0)
      })
    )
  )

  it.effect("of a provider sets all its connections and their origins, each once, and no other provider", () =>
    inScenario(
      Effect.gen(function* () {
        yield* tenants(Fake.make([]))
        yield* Call.connect({ provider: "sdk" })

        assert.strictEqual(yield* Circuits.forceOpen({ provider: "acme", by }), 3)
        assert.strictEqual(yield* Circuits.forceOpen({ provider: "sdk", by }), 1)
        assert.strictEqual(yield* Circuits.forceOpen({ provider: "acmee", by }), 0)
      })
    )
  )

  it.effect("says in a line who did what to which", () => {
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        yield* tenants(Fake.make([]))
        yield* Circuits.forceOpen({ provider: "acme", connection: "a", by })
        yield* Circuits.close({ origin, by: "bob" })

        assert.deepStrictEqual(book.of("Warn"), [
          {
            level: "Warn",
            message: `circuit of connection a of acme forced open by ${by}: it was closed, and is forced-open`,
            fields: { third_party: "acme", connection: "a", origin, event: "circuit forced open" }
          },
          {
            level: "Warn",
            message: `circuit of origin ${origin} closed by bob: it was closed, and is closed`,
            fields: { third_party: "acme", origin, event: "circuit closed" }
          }
        ])
      }),
      book
    )
  })
})

describe("Circuits.automatic", () => {
  it.effect("lets a probe through after a forced opening, and closes when the provider is well", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(order)])
        const [a] = yield* tenants(transport)
        yield* Circuits.forceOpen({ provider: "acme", by })
        yield* Circuits.automatic({ provider: "acme", by })
        const half = yield* shown
        for (let n = 0; n < 3; n++) yield* run(get(a), 0)

        assert.deepStrictEqual(half, [
          ["a", "half-open", "half-open", null, null],
          ["b", "half-open", "half-open", null, null]
        ])
        assert.deepStrictEqual(yield* shown, [
          ["a", "closed", "closed", null, null],
          ["b", "half-open", "closed", null, null]
        ])
      })
    )
  )
})

describe("Circuits.disable", () => {
  it.effect("lets every call through an outage, and is well by that; automatic again, the next failure opens", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(503)])
        const [a] = yield* tenants(transport, { consecutiveFailures: 2 })
        yield* Circuits.disable({ provider: "acme", by })
        for (let n = 0; n < 10; n++) yield* run(get(a), 0)
        const { connections, status } = yield* Health.snapshot
        yield* Circuits.automatic({ provider: "acme", by })
        yield* run(get(a), 0)
        yield* run(get(a), 0)

        assert.deepStrictEqual(
          [status, connections[0]?.circuit.state, connections[0]?.circuit.failureRate, connections[0]?.circuit.calls],
          ["ok", "disabled", 1, 10]
        )
        assert.strictEqual(transport.sent.length, 11)
      })
    )
  )

  it.effect("of a connection leaves the circuit of its origin in charge", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(503)])
        const [a] = yield* tenants(transport, { consecutiveFailures: 2 })
        yield* Circuits.disable({ provider: "acme", connection: "a", by })
        for (let n = 0; n < 10; n++) yield* run(get(a), 0)

        assert.strictEqual(transport.sent.length, 2)
        assert.deepStrictEqual((yield* run(get(a), 0)).outcome, refused(30_000))
      })
    )
  )
})

describe("Circuits.close", () => {
  it.effect("ends an opening at once, for both levels, and leaves them to themselves", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((n) => (n <= 2 ? Fake.empty(503) : n === 3 ? Fake.json(order) : Fake.empty(503)))
        const [a] = yield* tenants(transport, { consecutiveFailures: 2 })
        for (let n = 0; n < 3; n++) yield* run(get(a), 0)
        const before = transport.sent.length
        yield* Circuits.close({ provider: "acme", by })
        const well = yield* run(get(a), 0)
        for (let n = 0; n < 5; n++) yield* run(get(a), 0)

        assert.strictEqual(before, 2)
        assert.deepStrictEqual(well.outcome, { value: order })
        assert.strictEqual(transport.sent.length, 5)
      })
    )
  )
})
