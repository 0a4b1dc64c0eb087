import { assert, describe, it } from "@effect/vitest"
import { Call, Calls, Client, CredentialSource, Health, Idempotency, Policies } from "@breakwater/core"
import { ConfigProvider, Context, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { counted } from "../support/Metrics.ts"
import { inScenario, LogBook, outcome, run } from "../support/Scenario.ts"

const order = { id: "o1", amount: 100 }
const params = { id: "o1" }
const get = (acme: Acme.AcmeClient) => acme.orders.get({ params })
const create = (acme: Acme.AcmeClient) =>
  acme.orders.create({ payload: { amount: 100 } }).pipe(Idempotency.withKey("order/1"))
const by = "ana, incident 42"
const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })
const well = { value: order }

const stopped = (attempts = 0, sent = "no") => ({
  class: "RetryableError",
  attempts,
  reason: { _tag: "Stopped", by },
  sent
})

const connect = (transport: Fake.FakeTransport, connection = "default") =>
  Acme.connect(transport, { connection, policy: { attempts: 2, bulkhead: { concurrency: 1 } } })
const answering = () => Fake.make([Fake.json(order)])
const outcomeOf = <A, E>(call: Effect.Effect<A, E>) => Effect.map(run(call, 0), ({ outcome }) => outcome)

describe("Calls.stop", () => {
  it.effect("refuses every call before anything is spent on it, until they are resumed", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = answering()
        let asked = 0
        const credential = CredentialSource.fixed(Acme.apiKey)
        const counting = { ...credential, peek: () => (asked++, credential.peek()) }
        const acme = yield* Acme.connectTo(Acme.variant({ rate: { limit: 1, window: "1 hour" } }), transport, {
          credential: counting
        })
        asked = 0
        const open = yield* Calls.stop({ provider: "acme", by })
        const refused = yield* outcomeOf(get(acme))
        const [connection] = (yield* Health.snapshot).connections
        const spent = asked
        const lifted = yield* Calls.resume({ provider: "acme", by: "bob" })

        assert.deepStrictEqual(refused, stopped())
        assert.deepStrictEqual([open, lifted, spent], [1, 1, 0])
        assert.strictEqual(connection?.rateBudget.usage[0]?.used, 0)
        assert.deepStrictEqual(connection?.bulkhead, { inFlight: 0, waiting: 0, concurrency: 64 })
        assert.strictEqual(connection?.circuit.calls, 0)
        assert.deepStrictEqual(yield* outcomeOf(get(acme)), well)
        assert.strictEqual(transport.sent.length, 1)
        assert.strictEqual((yield* counted)["breakwater.refusal.count acme.orders.get reason=Stopped"], 1)
      })
    )
  )

  it.effect("of writes lets reads through, and gives the key of a write back", () =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* connect(answering())
        yield* Calls.stop({ provider: "acme", writes: true, by })
        const write = create(acme)

        assert.deepStrictEqual(yield* outcomeOf(get(acme)), well)
        assert.deepStrictEqual(yield* outcomeOf(write), stopped())
        assert.deepStrictEqual(yield* outcomeOf(acme.orders.replace({ params, payload: { amount: 1 } })), stopped())
        yield* Calls.resume({ provider: "acme", by })
        assert.deepStrictEqual(yield* outcomeOf(write), well)
      })
    )
  )

  it.effect("of an operation, a group or a connection stops no other", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = answering()
        const [a, b] = [yield* connect(transport, "a"), yield* connect(transport, "b")]
        const sdk = yield* Call.connect({ provider: "sdk" })
        const send = Call.protect(Effect.succeed(order), { provider: sdk, operation: "orders.get", safety: "safe" })
        const calls = Effect.forEach([get(a), create(a), get(b), send], (call) =>
          Effect.map(outcomeOf(call), (each) => each !== undefined && JSON.stringify(each).includes("Stopped"))
        )
        const during = Effect.fnUntraced(function* (target: Calls.Target) {
          const open = yield* Calls.stop({ ...target, by })
          const seen = yield* calls
          yield* Calls.resume({ provider: target.provider, by })
          return [open, seen]
        })

        const acme = { provider: "acme" }
        assert.deepStrictEqual(yield* during(acme), [2, [true, true, true, false]])
        assert.deepStrictEqual(yield* during({ ...acme, connection: "a" }), [1, [true, true, false, false]])
        assert.deepStrictEqual(yield* during({ ...acme, operation: "orders.get" }), [2, [true, false, true, false]])
        assert.deepStrictEqual(yield* during({ ...acme, operation: "orders.*" }), [2, [true, true, true, false]])
        assert.deepStrictEqual(yield* during({ ...acme, operation: "order.*" }), [2, [false, false, false, false]])
        assert.deepStrictEqual(yield* during({ provider: "other" }), [0, [false, false, false, false]])
      })
    )
  )

  it.effect("holds for connections and origins that are met later", () =>
    inScenario(
      Effect.gen(function* () {
        yield* Calls.stop({ provider: "acme", by })
        const transport = answering()
        const later = yield* connect(transport)

        assert.deepStrictEqual(yield* outcomeOf(get(later)), stopped())
        assert.strictEqual(transport.sent.length, 0)
      })
    )
  )

  it.effect("ends calls that wait: between two attempts, and for a slot; what is on the wire goes on", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((n) => (n === 1 ? Fake.empty(503) : Fake.late(1000, Fake.json(order))))
        const acme = yield* connect(transport)
        const between = yield* fork(get(acme))
        yield* TestClock.adjust(0)
        const onWire = yield* fork(get(acme))
        const forSlot = yield* fork(get(acme))
        yield* TestClock.adjust(50)
        yield* Calls.stop({ provider: "acme", by })
        yield* TestClock.adjust("10 seconds")

        assert.deepStrictEqual(outcome(yield* Fiber.await(between)), stopped(1, "unknown"))
        assert.deepStrictEqual(outcome(yield* Fiber.await(onWire)), well)
        assert.deepStrictEqual(outcome(yield* Fiber.await(forSlot)), stopped())
        assert.strictEqual(transport.sent.length, 2)
        const [connection] = (yield* Health.snapshot).connections
        assert.deepStrictEqual(connection?.bulkhead, { inFlight: 0, waiting: 0, concurrency: 1 })
      })
    )
  )

  it.effect("begins no wait for another attempt", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.late(100, Fake.empty(503))])
        const acme = yield* connect(transport)
        const call = yield* fork(get(acme))
        yield* TestClock.adjust(50)
        yield* Calls.stop({ provider: "acme", by })
        yield* TestClock.adjust(50)

        assert.deepInclude(outcome(yield* Fiber.await(call)), {
          attempts: 1,
          reason: { _tag: "Unavailable", status: 503, problem: "status" }
        })
        assert.strictEqual((yield* counted)["breakwater.retry.denied acme.orders.get reason=stopped"], 1)
      })
    )
  )

  it.effect("sends no second attempt beside a slow one", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.late(1000, Fake.json(order))])
        const acme = yield* Acme.connect(transport, { policy: { hedge: { delay: "100 millis" } } })
        const call = yield* fork(get(acme))
        yield* Calls.stop({ provider: "acme", by })
        yield* TestClock.adjust("1 second")

        assert.deepStrictEqual(outcome(yield* Fiber.await(call)), well)
        assert.strictEqual(transport.sent.length, 1)
      })
    )
  )

  it.effect("is seen in Health, and says in a line who did it", () => {
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        yield* connect(answering())
        yield* TestClock.adjust("1 second")
        yield* Calls.stop({ provider: "acme", operation: "orders.create", writes: true, by })
        const { connections, status } = yield* Health.snapshot
        yield* Calls.resume({ provider: "acme", by: "bob" })

        assert.strictEqual(status, "degraded")
        assert.deepStrictEqual(connections[0]?.stopped, [
          { operation: "orders.create", writes: true, by, since: "1970-01-01T00:00:01.000Z" }
        ])
        const fields = { third_party: "acme", operation: "acme.orders.create" }
        assert.deepStrictEqual(book.of("Warn"), [
          {
            level: "Warn",
            message: `writes to acme.orders.create stopped by ${by}: 1 open connections`,
            fields: { ...fields, event: "calls stopped" }
          },
          {
            level: "Warn",
            message: `writes to acme.orders.create go on, by bob: they were stopped by ${by}`,
            fields: { ...fields, event: "calls resumed" }
          }
        ])
        assert.strictEqual((yield* Health.snapshot).status, "ok")
      }),
      book
    )
  })
})

describe("Calls.resume", () => {
  it.effect("lifts what lies within its target, and nothing else", () =>
    inScenario(
      Effect.gen(function* () {
        const target = { provider: "acme", by }
        yield* Calls.stop({ ...target, operation: "orders.get" })
        yield* Calls.stop({ ...target, operation: "orders.get", by: "bob" })
        yield* Calls.stop({ ...target, connection: "a" })
        yield* Calls.stop({ ...target, connection: "a", operation: "orders.get" })
        yield* Calls.stop({ ...target, provider: "other" })
        const lifted = [
          yield* Calls.resume({ ...target, connection: "b" }),
          yield* Calls.resume({ ...target, operation: "orders.find" }),
          yield* Calls.resume({ ...target, connection: "a", operation: "orders.get" }),
          yield* Calls.resume(target),
          yield* Calls.resume(target)
        ]

        assert.deepStrictEqual(lifted, [0, 0, 1, 2, 0])
      })
    )
  )
})

describe("<PROVIDER>_STOPPED", () => {
  const variables = (stopped: string): Record<string, string> => ({ ACME_API_KEY: "test_9", ACME_STOPPED: stopped })
  const connectFrom = (transport: Fake.FakeTransport, from: Record<string, string>) =>
    Layer.build(Client.layerConfig(Acme.Acme, Acme.provider).pipe(Layer.provide(transport.layer))).pipe(
      Effect.map(Context.get(Acme.Acme)),
      Effect.provideService(
        ConfigProvider.ConfigProvider,
        ConfigProvider.make((path) => ConfigProvider.fromUnknown(from).load(path))
      )
    )
  const reasonOf = (result: unknown): string => (JSON.stringify(result).includes("ACME_STOPPED") ? "stopped" : "sent")

  it.effect("stops a layer when it is built or reloaded, and lets it go on by a reload alone", () =>
    inScenario(
      Effect.gen(function* () {
        const from = variables("true")
        const acme = yield* connectFrom(answering(), from)
        const seen = [reasonOf(yield* outcomeOf(get(acme)))]
        seen.push(`${yield* Calls.resume({ provider: "acme", by })}`, reasonOf(yield* outcomeOf(get(acme))))
        from["ACME_STOPPED"] = "false"
        const [changed] = yield* Policies.reload()
        seen.push(reasonOf(yield* outcomeOf(get(acme))))
        from["ACME_STOPPED"] = "true"
        yield* Policies.reload()
        seen.push(reasonOf(yield* outcomeOf(get(acme))))

        assert.deepStrictEqual(seen, ["stopped", "0", "stopped", "sent", "stopped"])
        assert.deepStrictEqual(changed?.changes, [{ field: "stopped", from: "true", to: "false" }])
      })
    )
  )

  it.effect("is lifted by no other layer of the same name that comes or goes", () =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* connectFrom(answering(), variables("true"))
        yield* Effect.scoped(connectFrom(answering(), variables("true")))
        yield* connect(answering())

        assert.strictEqual(reasonOf(yield* outcomeOf(get(acme))), "stopped")
      })
    )
  )

  it.effect("ends with its layer", () =>
    inScenario(
      Effect.gen(function* () {
        yield* Effect.scoped(connectFrom(answering(), variables("true")))
        const acme = yield* connect(answering())

        assert.deepStrictEqual(yield* outcomeOf(get(acme)), well)
      })
    )
  )
})
