import { assert, describe, it } from "@effect/vitest"
import { Call, Health } from "@breakwater/core"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, outcome, run } from "../support/Scenario.ts"

const order = { id: "o1", amount: 100 }
const get = (acme: Acme.AcmeClient, id = "o1") => acme.orders.get({ params: { id } })
const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.forkChild(Effect.exit(effect), { startImmediately: true })
const answering = () => Fake.make(() => Fake.json(order))
const oneASecond = Acme.variant({ rate: { limit: 60, window: "1 minute" } })
const sentIds = (transport: Fake.FakeTransport) =>
  transport.sent.map(({ at, url }) => [new URL(url).pathname.split("/").at(-1), at])

describe("Call.withClass", () => {
  it.effect("lets interactive calls pass webhooks in line, and webhooks imports", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = answering()
        const acme = yield* Acme.connectTo(oneASecond, transport)
        yield* fork(get(acme, "first"))
        yield* fork(get(acme, "import").pipe(Call.withClass("import")))
        yield* fork(get(acme, "webhook").pipe(Call.withClass("webhook")))
        yield* fork(get(acme, "person"))
        yield* TestClock.adjust("1 minute")

        assert.deepStrictEqual(sentIds(transport), [
          ["first", 0],
          ["person", 1000],
          ["webhook", 2000],
          ["import", 3000]
        ])
      })
    )
  )

  it.effect("leaves a person the last share of the burst, also while many imports wait", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = answering()
        const acme = yield* Acme.connectTo(
          Acme.variant({ rate: { limit: 60, window: "1 minute", burst: 10 } }),
          transport
        )
        for (let n = 0; n < 30; n++) yield* fork(get(acme, "import").pipe(Call.withClass("import")))
        const person = yield* run(get(acme, "person"), 0)

        assert.deepStrictEqual(person, { outcome: { value: order }, took: 0 })
        assert.strictEqual(transport.sent.length, 10)
      })
    )
  )

  const longest = Effect.fnUntraced(function* (
    traffic: Call.TrafficClass,
    options?: Parameters<typeof Acme.connect>[1]
  ) {
    const acme = yield* Acme.connectTo(oneASecond, answering(), options)
    yield* fork(get(acme))
    let last = 0
    for (let n = 1; n <= 256; n++) {
      const waiting = yield* fork(get(acme).pipe(Call.withClass(traffic)))
      if (waiting.pollUnsafe() !== undefined) break
      last = n
    }
    return last
  })

  it.effect(
    "decides how long a call may wait for the rate: 10 s, 30 s less a tick of the deadline, and for imports as many as may wait",
    () =>
      inScenario(
        Effect.gen(function* () {
          assert.deepStrictEqual(
            [yield* longest("interactive"), yield* longest("webhook"), yield* longest("import")],
            [10, 29, 256]
          )
        })
      )
  )

  it.effect("lets an import wait for five minutes, with ten for the whole call, unless it is written otherwise", () =>
    inScenario(
      Effect.gen(function* () {
        const slow = Acme.variant({ rate: { limit: 1, window: "1 minute" } })
        const waits = Effect.fnUntraced(function* (options?: Parameters<typeof Acme.connect>[1]) {
          const acme = yield* Acme.connectTo(slow, answering(), options)
          yield* fork(get(acme))
          let count = 0
          while ((yield* fork(get(acme).pipe(Call.withClass("import")))).pollUnsafe() === undefined) count++
          return count
        })

        assert.strictEqual(yield* waits(), 5)
        assert.strictEqual(yield* waits({ policy: { classes: { import: { rateWait: "9 minutes" } } } }), 9)
        // What is written for all goes before the default of the class.
        assert.strictEqual(yield* waits({ policy: { deadline: "3 minutes" } }), 2)
        assert.strictEqual(
          yield* waits({ policy: { deadline: "3 minutes", classes: { import: { deadline: "1 hour" } } } }),
          5
        )
      })
    )
  )

  it.effect("is overridden by the policy of a call, which is resolved for each class by itself", () =>
    inScenario(
      Effect.gen(function* () {
        const policy = { rateWait: "2 seconds" } as const
        const acme = yield* Acme.connectTo(oneASecond, answering())
        const short = get(acme).pipe(Call.withPolicy(policy))
        yield* fork(get(acme))
        for (let n = 0; n < 2; n++) yield* fork(short.pipe(Call.withClass("import")))
        const refused = yield* run(short.pipe(Call.withClass("import")), 0)
        const person = yield* run(short, "2 seconds")

        assert.deepStrictEqual(refused.outcome, {
          class: "RetryableError",
          attempts: 0,
          reason: { _tag: "RateLimited", by: "budget", retryAfter: 3000 },
          sent: "no",
          retryAfter: 3000
        })
        assert.deepStrictEqual(person, { outcome: { value: order }, took: 1000 })
      })
    )
  )

  it.effect("has no part in the lane that refreshes a credential: an import waits for that too", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = answering()
        const acme = yield* Acme.connectTo(oneASecond, transport)
        yield* fork(get(acme, "first"))
        yield* fork(get(acme, "import").pipe(Call.withClass("import")))
        yield* fork(get(acme, "refresh").pipe(Call.refreshLane, Call.withClass("import")))
        yield* TestClock.adjust("1 minute")

        assert.deepStrictEqual(sentIds(transport), [
          ["first", 0],
          ["refresh", 1000],
          ["import", 2000]
        ])
      })
    )
  )
})

describe("Call.withPartition", () => {
  const perChannel = Acme.variant({
    rate: [
      {
        name: "channel",
        match: { operations: ["orders.get"] },
        limits: { limit: 1, window: "1 second" },
        perPartition: true
      },
      { name: "all", limits: { limit: 100, window: "1 second", burst: 100 } }
    ]
  })

  it.effect("counts the calls of each key by itself", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = answering()
        const acme = yield* Acme.connectTo(perChannel, transport)
        for (const [id, key] of [
          ["a1", "a"],
          ["a2", "a"],
          ["b1", "b"],
          ["a3", "a"]
        ] as const)
          yield* fork(get(acme, id).pipe(Call.withPartition(key)))
        yield* TestClock.adjust("1 minute")

        assert.deepStrictEqual(sentIds(transport), [
          ["a1", 0],
          ["b1", 0],
          ["a2", 1000],
          ["a3", 2000]
        ])
      })
    )
  )

  it.effect("is forgotten when it has come to rest, and never shown", () =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connectTo(perChannel, answering())
        for (let n = 0; n < 50; n++) yield* run(get(acme).pipe(Call.withPartition(`customer ${n}`)), 0)
        const budget = Effect.map(Health.snapshot, ({ connections }) => connections[0]?.rateBudget)
        const busy = yield* budget
        yield* TestClock.adjust("1 second")

        assert.deepStrictEqual([busy?.partitions, (yield* budget)?.partitions], [50, 0])
        assert.notInclude(JSON.stringify(busy), "customer")
      })
    )
  )

  it.effect("is refused when it is no key, before anything is sent", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = answering()
        const acme = yield* Acme.connectTo(perChannel, transport)
        for (const key of ["", "k".repeat(257)]) {
          assert.deepStrictEqual((yield* run(get(acme).pipe(Call.withPartition(key)), 0)).outcome, {
            class: "FatalError",
            attempts: 0,
            reason: { _tag: "InvalidRequest", field: "partition", detail: "must be 1 to 256 characters" }
          })
        }
        yield* run(get(acme).pipe(Call.withPartition("k".repeat(256))), 0)

        assert.strictEqual(transport.sent.length, 1)
      })
    )
  )
})

describe("a provider with several policies", () => {
  const declared = Acme.variant({
    rate: [
      { name: "search", match: { operations: ["orders.search"] }, limits: { limit: 1, window: "10 seconds" } },
      {
        name: "all",
        limits: [
          { limit: 10, window: "1 second", burst: 10 },
          { limit: 12, window: "1 minute", burst: 12 }
        ]
      }
    ]
  })

  it.effect("holds an operation back by the policies that are for it, and nobody else by them", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = answering()
        const acme = yield* Acme.connectTo(declared, transport)
        const search = acme.orders.search({ payload: { q: "a" } })
        yield* fork(search)
        const second = yield* fork(search)
        const person = yield* run(get(acme), 0)
        yield* TestClock.adjust("1 minute")

        assert.deepStrictEqual(person, { outcome: { value: order }, took: 0 })
        assert.deepStrictEqual(
          transport.sent.map(({ at, method }) => [method, at]),
          [
            ["POST", 0],
            ["GET", 0],
            ["POST", 10_000]
          ]
        )
        assert.strictEqual(outcome(yield* Fiber.join(second)) === undefined, false)
      })
    )
  )

  it.effect("keeps to all its windows", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = answering()
        const acme = yield* Acme.connectTo(declared, transport, { policy: { rateWait: "20 seconds" } })
        for (let n = 0; n < 14; n++) yield* fork(get(acme))
        yield* TestClock.adjust("1 minute")

        assert.deepStrictEqual(
          transport.sent.map(({ at }) => at),
          [...Array<number>(10).fill(0), 100, 200, 5000, 10_000]
        )
      })
    )
  )
})
