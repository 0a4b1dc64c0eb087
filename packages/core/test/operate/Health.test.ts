import { assert, describe, it } from "@effect/vitest"
import { Call, Health, Idempotency } from "@breakwater/core"
import { Effect, Fiber } from "effect"
import { HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { circuit } from "../support/Health.ts"
import { inScenario, run } from "../support/Scenario.ts"

const order = { id: "o1", amount: 100 }
const params = { id: "o1" }

const untouched = {
  provider: "acme",
  connection: "default",
  environment: "sandbox",
  origin: "https://sandbox.acme.test",
  circuit: circuit(),
  originCircuit: circuit(),
  shadow: [],
  stopped: [],
  bulkhead: { inFlight: 0, waiting: 0, concurrency: 64 },
  rateBudget: { remaining: null, waitMillis: 0, waiting: 0, usage: [], partitions: 0, share: null },
  retryBudget: { tokens: 500, capacity: 500 },
  lastFailure: null
}

/** As a route would send it. */
const snapshot = Effect.map(Health.snapshot, (report): unknown => JSON.parse(JSON.stringify(report)))

describe("Health.snapshot (OBS-5)", () => {
  it.effect("is ok, and empty, where nothing is connected", () =>
    inScenario(
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* snapshot, { status: "ok", connections: [] })
      })
    )
  )

  it.effect("of a connection that was not used says what it is", () =>
    inScenario(
      Effect.gen(function* () {
        yield* Acme.connect(Fake.make([]), {
          connection: "tenant-7",
          environment: "production",
          credential: Acme.liveKey,
          policy: { bulkhead: { concurrency: 3 } }
        })

        assert.deepStrictEqual(yield* snapshot, {
          status: "ok",
          connections: [
            {
              ...untouched,
              connection: "tenant-7",
              environment: "production",
              origin: "https://api.acme.test",
              bulkhead: { inFlight: 0, waiting: 0, concurrency: 3 }
            }
          ]
        })
      })
    )
  )

  it.effect("of a connection at work says how much waits, and what is left", () =>
    inScenario(
      Effect.gen(function* () {
        yield* TestClock.setTime(1_700_000_000_000)
        const transport = Fake.make((n) =>
          n === 1
            ? Fake.json(order, 200, { "x-ratelimit-remaining": "7", "x-ratelimit-reset": "60" })
            : n === 2
              ? Fake.empty(404)
              : Fake.silent
        )
        const acme = yield* Acme.connectTo(
          Acme.variant({ rate: { limit: 10, window: "10 seconds", burst: 4 } }),
          transport,
          {
            policy: { bulkhead: { concurrency: 1 } }
          }
        )
        const get = acme.orders.get({ params })
        yield* run(get, 0)
        yield* run(get, 0)
        const fibers = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(get, { startImmediately: true }))

        assert.deepStrictEqual(yield* snapshot, {
          status: "ok",
          connections: [
            {
              ...untouched,
              bulkhead: { inFlight: 1, waiting: 2, concurrency: 1 },
              circuit: circuit({ calls: 2, failureRate: 0, slowRate: 0 }),
              originCircuit: circuit({ calls: 2, failureRate: 0, slowRate: 0 }),
              shadow: [],
              stopped: [],
              // 7 were left after the first; the second and the third have left since. Three of four tokens are spent.
              rateBudget: {
                remaining: 5,
                waitMillis: 0,
                waiting: 0,
                usage: [{ limitName: "default", partition: null, limit: 10, used: 3, windowMillis: 10_000 }],
                partitions: 0,
                share: null
              },
              lastFailure: {
                at: "2023-11-14T22:13:20.000Z",
                operation: "acme.orders.get",
                code: "HTTP_404",
                message: "not found (404)"
              }
            }
          ]
        })
        yield* Effect.forEach(fibers, Fiber.interrupt)
      })
    )
  )

  it.effect("of a connection whose circuit is open is degraded, and says until when and why", () =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(Fake.make([Fake.empty(503)]), {
          policy: { breaker: { consecutiveFailures: 3 } }
        })
        yield* run(acme.orders.create({ payload: { amount: 1 } }).pipe(Idempotency.withKey("k")), "1 second")

        // Opened by the third attempt, at 300 ms; two retries were paid.
        const opened = circuit({
          state: "open",
          openings: 1,
          retryAfterMillis: 29_300,
          probesAt: "1970-01-01T00:00:30.300Z",
          reason: "3 failures in a row"
        })
        const open = {
          ...untouched,
          circuit: opened,
          originCircuit: opened,
          shadow: [],
          stopped: [],
          retryBudget: { tokens: 472, capacity: 500 },
          lastFailure: {
            at: "1970-01-01T00:00:00.300Z",
            operation: "acme.orders.create",
            code: "HTTP_503",
            message: "answered 503"
          }
        }
        assert.deepStrictEqual(yield* snapshot, { status: "degraded", connections: [open] })
        yield* TestClock.adjust("29300 millis")
        const again = {
          ...opened,
          openings: 2,
          retryAfterMillis: 60_000,
          probesAt: "1970-01-01T00:01:30.300Z",
          reason: "a probe failed"
        }
        const probe = yield* Effect.forkChild(acme.orders.get({ params }), { startImmediately: true })
        assert.deepStrictEqual(yield* snapshot, {
          status: "degraded",
          connections: [
            {
              ...open,
              circuit: again,
              originCircuit: again,
              shadow: [],
              stopped: [],
              lastFailure: { ...open.lastFailure, at: "1970-01-01T00:00:30.300Z", operation: "acme.orders.get" }
            }
          ]
        })
        yield* Fiber.interrupt(probe)
      })
    )
  )

  it.effect("names a probe that is under way", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(500), Fake.late(1000, Fake.json(order))])
        const acme = yield* Acme.connect(transport, { policy: { attempts: 1, breaker: { consecutiveFailures: 1 } } })
        yield* run(acme.orders.get({ params }), 0)
        yield* TestClock.adjust("30 seconds")
        const probe = yield* Effect.forkChild(acme.orders.get({ params }), { startImmediately: true })
        const report = yield* Health.snapshot

        assert.strictEqual(report.status, "degraded")
        const probed = circuit({ state: "half-open", openings: 1, retryAfterMillis: 1000, reason: "1 failure" })
        assert.deepStrictEqual(report.connections[0]?.circuit, probed)
        assert.deepStrictEqual(report.connections[0]?.originCircuit, probed)
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(probe)
      })
    )
  )

  it.effect("has every connection, one for each origin of a plain client, and none that was closed", () =>
    inScenario(
      Effect.gen(function* () {
        yield* Acme.connect(Fake.make([]))
        yield* Call.connect({ provider: "sdk" })
        const client = yield* Call.client(Fake.make([Fake.empty(204)]).client, { provider: "plain" })
        yield* client.execute(HttpClientRequest.get("https://a.test/x"))
        yield* client.execute(HttpClientRequest.get("https://b.test/y"))
        yield* Effect.scoped(Call.connect({ provider: "gone" }))
        const { connections } = yield* Health.snapshot

        assert.deepStrictEqual(
          connections.map(({ connection, environment, origin, provider }) => [
            provider,
            connection,
            environment,
            origin
          ]),
          [
            ["acme", "default", "sandbox", "https://sandbox.acme.test"],
            ["sdk", "default", null, null],
            ["plain", "https://a.test", null, "https://a.test"],
            ["plain", "https://b.test", null, "https://b.test"]
          ]
        )
      })
    )
  )

  it.effect("knows an answer that did not fit its schema", () =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(Fake.make([Fake.json({ id: "o1" })]))
        yield* run(acme.orders.get({ params }), 0)

        assert.deepStrictEqual((yield* Health.snapshot).connections[0]?.lastFailure, {
          at: "1970-01-01T00:00:00.000Z",
          operation: "acme.orders.get",
          code: "RESPONSE_INVALID",
          message: "invalid response (200): amount: expected a value"
        })
      })
    )
  )

  it.effect("keeps the last failure after a success, and none of a call that succeeded in the end", () =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(
          Fake.make([Fake.empty(503), Fake.json(order), Fake.empty(404), Fake.json(order)])
        )
        const last = Effect.map(Health.snapshot, ({ connections }) => connections[0]?.lastFailure?.code)
        yield* run(acme.orders.get({ params }), "1 second")
        const retried = yield* last
        yield* run(acme.orders.get({ params }), 0)
        yield* run(acme.orders.get({ params }), 0)

        assert.deepStrictEqual([retried, yield* last], [undefined, "HTTP_404"])
      })
    )
  )
})
