import { assert, describe, it } from "@effect/vitest"
import { Call, Idempotency, Telemetry } from "@breakwater/core"
import { Effect, Metric } from "effect"
import { HttpClientRequest } from "effect/http"
import { vi } from "vitest"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario } from "../support/Scenario.ts"

// Each host is a connection of its own, with everything that one has.
vi.setConfig({ testTimeout: 60_000 })

const order = { id: "o1", amount: 100 }

/** Answers with a few statuses, so that each outcome comes up. */
const mixed: Fake.Script = (n) => [Fake.json(order), Fake.empty(404), Fake.empty(500)][n % 3] ?? Fake.json(order)

/** Each call has an outcome of its own; one in three speaks against the provider, which opens no circuit. */
const policy = { attempts: 1 } as const

/** How many series there are of each metric. */
const series = Effect.map(Metric.snapshot, (all) => {
  const counts: Record<string, number> = {}
  for (const { id } of all) counts[id] = (counts[id] ?? 0) + 1
  return counts
})

const times = <E>(count: number, use: (n: number) => Effect.Effect<unknown, E>) =>
  Effect.forEach(
    Array.from({ length: count }, (_, n) => n),
    (n) => Effect.exit(use(n)),
    { discard: true }
  )

describe("the number of series", () => {
  it.effect("does not grow with ids, keys or correlation ids: operations times outcomes, at most", () =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(Fake.make(mixed), { policy })
        yield* times(5000, (n) => acme.orders.get({ params: { id: `id-${n}` } }).pipe(Call.withCorrelationId(`c-${n}`)))
        yield* times(5000, (n) => acme.orders.create({ payload: { amount: n } }).pipe(Idempotency.withKey(`key-${n}`)))

        // Two operations: a read that is ok, fatal or retryable; a write that is ok, fatal or retryable; a status for each.
        assert.deepStrictEqual(yield* series, {
          "http.client.request.duration": 6,
          "breakwater.call.count": 6,
          "breakwater.call.duration": 6,
          "breakwater.retry.denied": 2
        })
      })
    )
  )

  it.effect("does not grow with hosts that a plain client calls", () =>
    inScenario(
      Effect.gen(function* () {
        const client = yield* Call.client(Fake.make(mixed).client, { provider: "plain", policy })
        yield* times(10_000, (n) =>
          client.execute(HttpClientRequest.get(`https://tenant-${n}.test/orders/${n}?q=${n}`))
        )

        assert.deepStrictEqual(yield* series, {
          "http.client.request.duration": 3,
          "breakwater.call.count": 2,
          "breakwater.call.duration": 2,
          "breakwater.retry.denied": 1
        })
      })
    )
  )

  it.effect("does not grow with tenants of one provider, each at a host and a connection of its own", () =>
    inScenario(
      Effect.gen(function* () {
        yield* times(300, (n) =>
          Effect.scoped(
            Effect.flatMap(
              Acme.connect(Fake.make(mixed), {
                policy,
                connection: `tenant-${n}`,
                baseUrl: `https://tenant-${n}.test`
              }),
              (acme) => acme.orders.get({ params: { id: `${n}` } })
            )
          )
        )

        assert.deepStrictEqual(yield* series, {
          "http.client.request.duration": 1,
          "breakwater.call.count": 1,
          "breakwater.call.duration": 1
        })
      })
    )
  )

  it.effect("has a bound also where a program makes up the names of its operations", () =>
    inScenario(
      Effect.gen(function* () {
        const connected = yield* Call.connect({ provider: "sdk" })
        yield* times(10_000, (n) =>
          Call.protect(Effect.void, { provider: connected, operation: `send ${n}`, safety: "safe" })
        )
        const counts = yield* series
        const names = (yield* Metric.snapshot).flatMap(
          ({ attributes }) => attributes?.[Telemetry.attribute.operation] ?? []
        )

        assert.deepStrictEqual(counts, {
          "breakwater.attempt.duration": 501,
          "breakwater.call.count": 501,
          "breakwater.call.duration": 501
        })
        assert.include(names, "_OTHER")
      })
    )
  )

  it.effect("has labels that begin with breakwater, or are OpenTelemetry's", () =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(Fake.make(mixed), { policy })
        yield* times(3, () => acme.orders.get({ params: { id: "o1" } }))
        const names = new Set((yield* Metric.snapshot).flatMap(({ attributes }) => Object.keys(attributes ?? {})))
        const ours = new Set<string>([...Object.values(Telemetry.attribute), "unit"])

        assert.deepStrictEqual(
          [...names].filter((name) => !ours.has(name)),
          []
        )
      })
    )
  )
})
