import { assert, describe, it } from "@effect/vitest"
import { Call, type CallPolicy, Client, Health, Policies } from "@breakwater/core"
import { Clock, ConfigProvider, Context, Effect, Fiber, Layer } from "effect"
import { HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { counted } from "../support/Metrics.ts"
import { errorOf, inScenario, LogBook, run } from "../support/Scenario.ts"

const order = { id: "o1", amount: 100 }
const params = { id: "o1" }
const get = (acme: Acme.AcmeClient) => acme.orders.get({ params })
const by = "ana, incident 42"
const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })
const set = (policy: CallPolicy.CallPolicy, connection?: string) =>
  Policies.set({ provider: "acme", connection, policy, by })
const health = Effect.map(Health.snapshot, ({ connections }) => connections)
const times = (id: string) => Effect.map(counted, (series) => series[id])

/** Variables that a test may change while a layer runs. */
const connectFrom = (
  transport: Fake.FakeTransport,
  variables: Record<string, string>,
  options?: Parameters<typeof Client.layerConfig>[2]
) => {
  const live = ConfigProvider.make((path) => ConfigProvider.fromUnknown(variables).load(path))
  return Layer.build(Client.layerConfig(Acme.Acme, Acme.provider, options).pipe(Layer.provide(transport.layer))).pipe(
    Effect.map(Context.get(Acme.Acme)),
    Effect.provideService(ConfigProvider.ConfigProvider, live)
  )
}

describe("Policies.set", () => {
  it.effect("changes the calls that begin from now on, and not those under way", () =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(Fake.make([Fake.silent]), {
          policy: { attempts: 1, silenceTimeout: "4 seconds" }
        })
        const ended: Array<readonly [string, number]> = []
        const timed = (name: string) =>
          fork(
            Effect.onExit(get(acme), () => Effect.map(Clock.currentTimeMillis, (now) => void ended.push([name, now])))
          )
        yield* timed("before")
        yield* TestClock.adjust("1 second")
        yield* set({ silenceTimeout: "1 second" })
        yield* timed("after")
        yield* TestClock.adjust("10 seconds")

        assert.deepStrictEqual(ended, [
          ["after", 2000],
          ["before", 4000]
        ])
      })
    )
  )

  it.effect("says what changed and by whom, in a line and as data, and counts it", () => {
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        yield* Acme.connect(Fake.make([]))
        const changed = yield* set({ deadline: "5 seconds", breaker: { openFor: "1 minute" }, throttle: {} })

        const changes = [
          { field: "deadline", from: "30s", to: "5s" },
          { field: "attemptTimeout", from: "10s", to: "5s" },
          { field: "breaker.openFor", from: "30s", to: "1m" },
          { field: "throttle.ratio", from: "none", to: "2" },
          { field: "throttle.cap", from: "none", to: "0.9" },
          { field: "throttle.window", from: "none", to: "2m" },
          { field: "throttle.minimumCalls", from: "none", to: "20" },
          { field: "rateWait", from: "10s", to: "5s" }
        ]
        assert.deepStrictEqual(changed, [{ provider: "acme", connection: "default", changes }])
        assert.deepStrictEqual(book.of("Info").at(-1), {
          level: "Info",
          message: `policy of acme, connection default, changed by ${by}: ${changes
            .map(({ field, from, to }) => `${field} ${from} → ${to}`)
            .join(", ")}`,
          fields: { third_party: "acme", connection: "default", event: "policy changed" }
        })
        assert.deepStrictEqual(
          (yield* set({ deadline: "5 seconds", breaker: { openFor: "1 minute" }, throttle: {} }))[0],
          {
            provider: "acme",
            connection: "default",
            changes: []
          }
        )
        assert.strictEqual(book.of("Info").length, 2)
        assert.deepStrictEqual(
          [
            yield* times("breakwater.policy.reloads  outcome=changed"),
            yield* times("breakwater.policy.reloads  outcome=unchanged")
          ],
          [1, 1]
        )
      }),
      book
    )
  })

  it.effect("takes a policy back with an empty one, and replaces what was set before", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(503)])
        const acme = yield* Acme.connect(transport, { policy: { attempts: 3, breaker: { consecutiveFailures: 1000 } } })
        const sent = Effect.fnUntraced(function* () {
          const before = transport.sent.length
          yield* run(get(acme))
          return transport.sent.length - before
        })
        yield* set({ attempts: 2 })
        const less = yield* sent()
        yield* set({ deadline: "20 seconds" })
        const again = yield* sent()
        yield* set({ attempts: 1 })
        yield* set({})

        assert.deepStrictEqual([less, again, yield* sent()], [2, 3, 3])
      })
    )
  )

  it.effect("changes nothing anywhere when one of the policies would contradict itself, and says which field", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.silent])
        const a = yield* Acme.connect(transport, { connection: "a", policy: { attempts: 1 } })
        yield* Acme.connect(transport, { connection: "b", policy: { attempts: 1, breaker: { window: 10 } } })
        const error = yield* errorOf(set({ silenceTimeout: "1 second", breaker: { minimumCalls: 15 } }))

        assert.strictEqual(
          error.message,
          "policy of acme: breaker.minimumCalls (15) must not be more than breaker.window (10): the rate could never count"
        )
        assert.strictEqual((yield* run(get(a))).took, 5000)
        assert.strictEqual(yield* times("breakwater.policy.reloads  outcome=rejected"), 1)
      })
    )
  )

  it.effect("is refused where it contradicts what an operation declares", () =>
    inScenario(
      Effect.gen(function* () {
        yield* Acme.connect(Fake.make([]))
        const error = yield* errorOf(set({ deadline: "-1 seconds" }))

        assert.deepStrictEqual([error.owner, error.field, error.rule], ["acme", "deadline", "must be longer than zero"])
      })
    )
  )

  it.effect("reaches one connection, or all; the circuit of the origin only with all", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(503)])
        const connect = (connection: string) =>
          Acme.connect(transport, { connection, policy: { attempts: 1, breaker: { consecutiveFailures: 4 } } })
        const [a, b] = [yield* connect("a"), yield* connect("b")]
        const states = Effect.map(health, (each) =>
          each.map(({ circuit, originCircuit }) => [circuit.state, originCircuit?.state])
        )
        yield* set({ breaker: { consecutiveFailures: 1 } }, "a")
        yield* run(get(a))
        const one = yield* states
        yield* set({ breaker: { consecutiveFailures: 1 } })
        yield* run(get(b))

        assert.deepStrictEqual(one, [
          ["open", "closed"],
          ["closed", "closed"]
        ])
        assert.deepStrictEqual(yield* states, [
          ["open", "open"],
          ["open", "open"]
        ])
        assert.deepStrictEqual(yield* Policies.set({ provider: "other", policy: {}, by }), [])
      })
    )
  )

  it.effect("keeps what the circuit has counted", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(503)])
        const acme = yield* Acme.connect(transport, { policy: { attempts: 1 } })
        for (let n = 0; n < 4; n++) yield* run(get(acme))
        yield* set({ breaker: { openFor: "7 seconds" } })
        yield* run(get(acme))

        assert.deepStrictEqual(
          (yield* health).map(({ circuit }) => [circuit.state, circuit.retryAfterMillis]),
          [["open", 7000]]
        )
      })
    )
  )

  it.effect("keeps slots and places: more let those go on who wait, fewer take nothing away", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.late(1000, Fake.json(order))])
        const acme = yield* Acme.connect(transport, { policy: { bulkhead: { concurrency: 1 } } })
        const calls = yield* Effect.forEach([1, 2, 3], () => fork(get(acme)))
        const shown = Effect.map(health, ([first]) => first?.bulkhead)
        const before = yield* shown
        yield* set({ bulkhead: { concurrency: 2 } })
        yield* TestClock.adjust(0)
        const more = yield* shown
        yield* set({})
        const fewer = yield* shown
        yield* TestClock.adjust("10 seconds")
        yield* Effect.forEach(calls, Fiber.join)

        assert.deepStrictEqual(before, { inFlight: 1, waiting: 2, concurrency: 1 })
        assert.deepStrictEqual(more, { inFlight: 2, waiting: 1, concurrency: 2 })
        assert.deepStrictEqual(fewer, { inFlight: 2, waiting: 1, concurrency: 1 })
        assert.deepStrictEqual(yield* shown, { inFlight: 0, waiting: 0, concurrency: 1 })
        assert.deepStrictEqual(
          transport.sent.map(({ at }) => at),
          [0, 0, 1000]
        )
      })
    )
  )

  it.effect("begins and ends an adaptive limit and a throttle", () =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(Fake.make([Fake.empty(503)]), {
          policy: { attempts: 1, breaker: { consecutiveFailures: 10_000, minimumCalls: 10_000, window: 10_000 } }
        })
        yield* set({ bulkhead: { adaptive: {} }, throttle: {} })
        for (let n = 0; n < 20; n++) yield* run(get(acme))
        const [limited] = yield* health
        const refused = yield* run(get(acme))
        yield* set({})
        const sent = yield* run(get(acme))

        assert.strictEqual(limited?.bulkhead.concurrency, 4)
        assert.deepInclude(refused.outcome, { attempts: 0 })
        assert.deepInclude(sent.outcome, { attempts: 1 })
        assert.strictEqual((yield* health)[0]?.bulkhead.concurrency, 64)
      })
    )
  )

  it.effect(
    "holds for what overrides it: a call's own policy, a class, an operation of a plain client, an effect",
    () =>
      inScenario(
        Effect.gen(function* () {
          const transport = Fake.make([Fake.silent])
          const acme = yield* Acme.connect(transport, { policy: { attempts: 1 } })
          const plain = yield* Call.client(transport.client, { provider: "acme", policy: { attempts: 1 } })
          const sdk = yield* Call.connect({ provider: "acme", policy: { attempts: 1 } })
          const quick: CallPolicy.CallPolicy = { maxBodyBytes: 10 }
          const calls: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
            get(acme),
            Call.withPolicy(get(acme), quick),
            Call.withClass(get(acme), "import"),
            plain.execute(HttpClientRequest.get("https://a.test/")),
            Call.protect(Effect.never, { provider: sdk, operation: "send", safety: "safe" })
          ]
          const took = Effect.forEach(calls, (call) => Effect.map(run(call), ({ took }) => took))
          const before = yield* took
          yield* set({ silenceTimeout: "1 second", attemptTimeout: "2 seconds" })

          assert.deepStrictEqual(before, [5000, 5000, 5000, 5000, 5000])
          assert.deepStrictEqual(yield* took, [1000, 1000, 1000, 1000, 1000])
        })
      )
  )

  it.effect("reaches origins that a plain client meets later", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(503)])
        const plain = yield* Call.client(transport.client, { provider: "acme" })
        yield* set({ attempts: 1, breaker: { consecutiveFailures: 1 } })
        yield* run(plain.execute(HttpClientRequest.get("https://later.test/")))

        assert.strictEqual(transport.sent.length, 1)
        assert.strictEqual((yield* health)[0]?.circuit.state, "open")
      })
    )
  )
})

describe("Policies.reload", () => {
  it.effect("switches off what the program asks for, and lets it be again", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make(() => Fake.late(400, Fake.json(order)))
        const variables: Record<string, string> = { ACME_API_KEY: "test_1" }
        const acme = yield* connectFrom(transport, variables, { policy: { hedge: { delay: "100 millis" } } })
        const sent = Effect.map(run(get(acme)), () => transport.sent.length)
        const asked = yield* sent
        variables["ACME_HEDGE"] = "false"
        yield* Policies.reload()
        const off = yield* sent
        delete variables["ACME_HEDGE"]
        yield* Policies.reload()
        const again = yield* sent

        assert.deepStrictEqual([asked, off, again], [2, 3, 5])
      })
    )
  )

  it.effect("reads the same Config again, which goes before the options", () =>
    inScenario(
      Effect.gen(function* () {
        const variables: Record<string, string> = { ACME_API_KEY: "test_9", ACME_ATTEMPTS: "1" }
        const acme = yield* connectFrom(Fake.make([Fake.silent]), variables, {
          policy: { silenceTimeout: "4 seconds" }
        })
        const took = Effect.map(run(get(acme)), ({ took }) => took)
        const before = yield* took
        variables["ACME_SILENCE_TIMEOUT"] = "2 seconds"
        const unread = yield* took
        const [changed] = yield* Policies.reload()
        const after = yield* took
        delete variables["ACME_SILENCE_TIMEOUT"]
        yield* Policies.reload({ provider: "acme" })

        assert.deepStrictEqual([before, unread, after, yield* took], [4000, 4000, 2000, 4000])
        assert.deepStrictEqual(changed?.changes, [{ field: "silenceTimeout", from: "4s", to: "2s" }])
        assert.deepStrictEqual(yield* Policies.reload({ provider: "acme", connection: "other" }), [])
      })
    )
  )

  const bad: ReadonlyArray<readonly [string, Record<string, string>, RegExp]> = [
    ["a value that is none", { ACME_BREAKER_OPEN_FOR: "soon" }, /ACME_BREAKER_OPEN_FOR/u],
    [
      "a value that breaks a rule",
      { ACME_BREAKER_FAILURE_RATE: "2" },
      /^policy of acme: ACME_BREAKER_FAILURE_RATE must be above 0 and at most 1, got 2$/u
    ],
    [
      "one that contradicts another",
      { ACME_DEADLINE: "1 second", ACME_SILENCE_TIMEOUT: "2 seconds" },
      /^policy of acme: ACME_SILENCE_TIMEOUT \(2s\) must not be longer than attemptTimeout \(1s\)$/u
    ]
  ]

  it.effect.each(bad)("refuses %s by the name of its variable, and everything stays as it was", ([, wrong, message]) =>
    inScenario(
      Effect.gen(function* () {
        const variables: Record<string, string> = { ACME_API_KEY: "test_9", ACME_ATTEMPTS: "1" }
        const acme = yield* connectFrom(Fake.make([Fake.silent]), variables)
        Object.assign(variables, { ACME_SILENCE_TIMEOUT: "1 second" }, wrong)
        const error = yield* errorOf(Policies.reload({ provider: "acme" }))

        assert.match(error.message, message)
        assert.strictEqual((yield* run(get(acme))).took, 5000)
        assert.strictEqual(yield* times("breakwater.policy.reloads  outcome=rejected"), 1)
      })
    )
  )

  it.effect("leaves what an operator has set over it, and layers that do not come from Config", () =>
    inScenario(
      Effect.gen(function* () {
        const variables: Record<string, string> = { ACME_API_KEY: "test_9", ACME_ATTEMPTS: "1" }
        const transport = Fake.make([Fake.silent])
        const acme = yield* connectFrom(transport, variables)
        yield* Acme.connect(transport, { connection: "b" })
        yield* set({ silenceTimeout: "3 seconds" })
        variables["ACME_SILENCE_TIMEOUT"] = "2 seconds"
        const changed = yield* Policies.reload()
        const over = (yield* run(get(acme))).took
        yield* set({})

        assert.deepStrictEqual(changed, [{ provider: "acme", connection: "default", changes: [] }])
        assert.deepStrictEqual([over, (yield* run(get(acme))).took], [3000, 2000])
      })
    )
  )
})
