import { assert, describe, it } from "@effect/vitest"
import { Circuits, Health, SharedCircuits } from "@breakwater/core"
import { CircuitStore, make as circuitStore, memory, type News } from "@breakwater/core/CircuitStore"
import { Connections, type Observed } from "@breakwater/core/Connections"
import { make as storeError } from "@breakwater/core/StoreError"
import { Context, Effect, Exit, Layer, Metric, Random, Scope } from "effect"
import { Redis } from "effect/persistence"
import { TestClock } from "effect/testing"
import { inject } from "vitest"
import { inRedis } from "../store/support/Adapters.ts"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, LogBook, run } from "../support/Scenario.ts"

const origin = "https://sandbox.acme.test"
const circuit = `acme/sandbox/${origin}`
const order = { id: "o1", amount: 100 }
const policy = {
  attempts: 1,
  breaker: { consecutiveFailures: 2, openFor: "10 seconds", maxOpenFor: "1 minute", successesToClose: 1, ramp: 0 }
} as const

type Store = CircuitStore["Service"]

const well: Fake.Script = [Fake.json(order)]
const down: Fake.Script = [Fake.empty(503)]

interface ProcessOptions extends SharedCircuits.Options {
  readonly connection?: string
}

/** A process: a transport, connections and circuits of its own. */
const processOf = Effect.fnUntraced(function* (
  store: Store,
  member: string,
  script: Fake.Script,
  { connection, ...sharing }: ProcessOptions = {}
) {
  const transport = Fake.make(script)
  const here = Effect.provideService(Connections, new Set<Observed>())
  const acme = yield* here(Acme.connect(transport, { policy, connection }))
  const shares = SharedCircuits.layer({ member, ...sharing }).pipe(Layer.provide(Layer.succeed(CircuitStore, store)))
  yield* here(Layer.build(shares))
  const health = here(Effect.map(Health.snapshot, ({ connections: [only] }) => only))
  const call = Effect.map(run(acme.orders.get({ params: { id: "o1" } }), 0), ({ outcome }) => outcome)
  return {
    transport,
    here,
    call,
    calls: (count: number) => Effect.forEach(Array.from({ length: count }), () => call, { discard: true }),
    origin: Effect.map(health, (each) => {
      const { openings, reason, retryAfterMillis = -1, state } = each?.originCircuit ?? {}
      return { state, openings, wait: Math.round(retryAfterMillis), reason }
    }),
    state: Effect.map(health, (each) => each?.originCircuit?.state),
    connection: Effect.map(health, (each) => [each?.circuit.state, Math.round(each?.circuit.retryAfterMillis ?? -1)])
  }
})

/** A store in memory that keeps what was told, and can be down. */
const recording = () => {
  const inner = memory()
  const news: Array<News> = []
  const state = { isDown: false, exchanges: 0, news }
  const store = circuitStore((each) => {
    state.exchanges++
    if (state.isDown) return Effect.fail(storeError({ store: "circuit", operation: "exchange" }, "unavailable"))
    if (each.opened.length + each.closed.length > 0) news.push(each)
    return inner.exchange(each)
  })
  return { store, state }
}

const closed = { state: "closed" as const, openings: 0, wait: 0, reason: null }

describe("SharedCircuits.layer", () => {
  it.effect("opens in the others what one has found, before they send anything into it", () => {
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        const store = memory()
        const [a, b] = [yield* processOf(store, "a", down), yield* processOf(store, "b", down)]
        yield* a.calls(2)
        const before = yield* b.origin
        yield* TestClock.adjust("1 second")
        const refused = yield* b.call

        assert.deepStrictEqual(before, closed)
        const reason = "told by another process (a: 2 failures in a row)"
        assert.deepStrictEqual(yield* b.origin, { state: "open", openings: 0, wait: 9900, reason })
        assert.deepStrictEqual(yield* a.origin, {
          state: "open",
          openings: 1,
          wait: 9000,
          reason: "2 failures in a row"
        })
        assert.deepStrictEqual(refused, {
          class: "RetryableError",
          attempts: 0,
          reason: { _tag: "CircuitOpen", retryAfter: 9900 },
          sent: "no",
          retryAfter: 9900
        })
        assert.deepStrictEqual([a.transport.sent.length, b.transport.sent.length], [2, 0])
        assert.include(
          book.of("Warn").map(({ message }) => message),
          `acme: circuit of origin ${origin} opened for 9s 900ms: ${reason}`
        )
        const openings = (yield* Metric.snapshot)
          .filter(
            ({ attributes, id }) =>
              id === "breakwater.breaker.openings" && attributes?.["breakwater.breaker.level"] === "origin"
          )
          .map(({ state }) => state)
        assert.deepStrictEqual(openings, [{ count: 2, incremental: true }])
      }),
      book
    )
  })

  it.effect("tells what a process found itself, once, and nothing that it was told", () =>
    inScenario(
      Effect.gen(function* () {
        const { state, store } = recording()
        const [a, b] = [yield* processOf(store, "a", down), yield* processOf(store, "b", down)]
        yield* a.calls(2)
        yield* TestClock.adjust("10 seconds")
        const first = state.news.splice(0)
        yield* TestClock.adjust("1 second")
        yield* b.calls(2)
        yield* TestClock.adjust("1 second")

        const telling = { circuit, member: "a", incident: 1, reason: "2 failures in a row", openMillis: 9000 }
        assert.deepStrictEqual(first, [{ opened: [telling], closed: [] }])
        assert.deepStrictEqual(state.news, [
          { opened: [{ circuit, member: "b", incident: 1, reason: "a probe failed", openMillis: 9000 }], closed: [] }
        ])
        assert.strictEqual(b.transport.sent.length, 1)
      })
    )
  )

  it.effect("takes back what was told when a probe closes it here; others go on by themselves", () =>
    inScenario(
      Effect.gen(function* () {
        const store = memory()
        const recovering: Fake.Script = (n) => (n <= 2 ? Fake.empty(503) : Fake.json(order))
        const [a, b] = [yield* processOf(store, "a", recovering), yield* processOf(store, "b", well)]
        yield* a.calls(2)
        yield* TestClock.adjust("5 seconds")
        const during = yield* processOf(store, "during", well)
        const heard = yield* during.state
        yield* TestClock.adjust("5 seconds")
        yield* a.call
        yield* TestClock.adjust("800 millis")
        const states = [yield* a.state, yield* b.state]
        const after = yield* processOf(store, "after", well)
        yield* TestClock.adjust("1 second")

        assert.strictEqual(heard, "open")
        assert.deepStrictEqual(states, ["closed", "open"])
        assert.deepStrictEqual(yield* store.told, [])
        assert.deepStrictEqual(yield* after.origin, closed)
        yield* b.call
        assert.deepStrictEqual([yield* a.state, yield* b.state], ["closed", "closed"])
      })
    )
  )

  it.effect("hears no more of what its own probes have disproved, until it begins anew", () =>
    inScenario(
      Effect.gen(function* () {
        const { state, store } = recording()
        // A network that is broken for its first three sends, and once more after it was well.
        const broken: Fake.Script = (n) => (n <= 3 || n === 5 || n === 6 ? Fake.empty(503) : Fake.json(order))
        const [a, b] = [yield* processOf(store, "a", broken), yield* processOf(store, "b", well)]
        yield* a.calls(2)
        yield* TestClock.adjust("11 seconds")
        yield* b.call
        const disproved = yield* b.state
        yield* TestClock.adjust("1 second")
        yield* a.call
        yield* TestClock.adjust("5 seconds")
        const again = [(yield* store.told).map(({ incident, member }) => [member, incident]), yield* b.state]
        yield* TestClock.adjust("20 seconds")
        yield* a.call
        yield* TestClock.adjust("1 second")
        yield* a.calls(2)
        yield* TestClock.adjust("1 second")

        assert.strictEqual(disproved, "closed")
        assert.deepStrictEqual(again, [[["a", 1]], "closed"])
        assert.deepStrictEqual(
          state.news.flatMap(({ opened }) => opened.map(({ incident, member }) => [member, incident])),
          [
            ["a", 1],
            ["a", 1],
            ["a", 2]
          ]
        )
        assert.strictEqual(yield* b.state, "open")
      })
    )
  )

  it.effect("remembers what it has disproved of the last 64 incidents", () =>
    inScenario(
      Effect.gen(function* () {
        const store = memory()
        const tell = (member: string) =>
          store.tell({ circuit, member, incident: 1, reason: "a probe failed", openMillis: 5000 })
        const b = yield* processOf(store, "b", well)
        yield* Effect.forEach(
          Array.from({ length: 70 }, (_, index) => `m${index}`),
          tell
        )
        yield* TestClock.adjust("7 seconds")
        yield* b.call
        const states = [yield* b.state]
        for (const member of ["m69", "m6", "m5"]) {
          yield* tell(member)
          yield* TestClock.adjust("1 second")
          states.push(yield* b.state)
        }

        assert.deepStrictEqual(states, ["closed", "closed", "closed", "open"])
      })
    )
  )

  it.effect("asks for as many as it is told to, and is open for as long as so many are", () =>
    inScenario(
      Effect.gen(function* () {
        const store = memory()
        const [a, b] = [
          yield* processOf(store, "a", down, { members: 2 }),
          yield* processOf(store, "b", down, { members: 2 })
        ]
        const c = yield* processOf(store, "c", down, { members: 2 })
        yield* a.calls(2)
        yield* TestClock.adjust("3 seconds")
        const byOne = [yield* b.state, yield* c.state]
        yield* b.calls(2)
        yield* TestClock.adjust("1 second")

        assert.deepStrictEqual(byOne, ["closed", "closed"])
        // Of a six seconds are left, of b nine.
        const { reason, state, wait } = yield* c.origin
        assert.deepStrictEqual(
          { reason, state, wait },
          { reason: "told by another process (a: 2 failures in a row)", state: "open", wait: 6600 }
        )
      })
    )
  )

  it.effect("names no tenant unless it is asked to", () =>
    inScenario(
      Effect.gen(function* () {
        const named = ({ news }: ReturnType<typeof recording>["state"]) =>
          news.flatMap(({ opened }) => opened.map((each) => each.circuit))
        const [first, second] = [recording(), recording()]
        const options = { connection: "tenant-7" }
        const quiet = yield* processOf(first.store, "quiet", down, options)
        const telling = yield* processOf(second.store, "telling", down, {
          ...options,
          levels: ["origin", "connection"]
        })
        const hearing = yield* processOf(second.store, "hearing", down, { ...options, levels: ["connection"] })
        yield* quiet.calls(2)
        yield* telling.calls(2)
        yield* TestClock.adjust("1 second")

        assert.deepStrictEqual(named(first.state), [circuit])
        assert.deepStrictEqual(named(second.state), [circuit, "acme/sandbox/connection tenant-7"])
        assert.deepStrictEqual(yield* hearing.connection, ["open", 9900])
        assert.strictEqual(yield* hearing.state, "closed")
      })
    )
  )

  it.effect("opens both circuits of a call for the same time, as one that it found itself", () => {
    let drawn = 0
    const random = { nextDoubleUnsafe: () => (drawn += 0.25) % 1, nextIntUnsafe: () => 0 }
    return inScenario(
      Effect.gen(function* () {
        const store = memory()
        const options = { levels: ["origin", "connection"] } as const
        const [a, b] = [yield* processOf(store, "a", down, options), yield* processOf(store, "b", down, options)]
        yield* a.calls(2)
        yield* TestClock.adjust("1 second")

        const { state, wait } = yield* b.origin
        assert.strictEqual(state, "open")
        assert.deepStrictEqual(yield* b.connection, ["open", wait])
      }).pipe(Effect.provideService(Random.Random, random))
    )
  })

  it.effect("does not open another transport's circuit of the process that found it", () =>
    inScenario(
      Effect.gen(function* () {
        const here = Effect.provideService(Connections, new Set<Observed>())
        const [broken, fine] = [Fake.make(down), Fake.make(well)]
        const [first, second] = [
          yield* here(Acme.connect(broken, { policy })),
          yield* here(Acme.connect(fine, { policy }))
        ]
        yield* here(Layer.build(SharedCircuits.layer().pipe(Layer.provide(CircuitStore.layerMemory))))
        const get = (acme: Acme.AcmeClient) => run(acme.orders.get({ params: { id: "o1" } }), 0)
        for (let n = 0; n < 2; n++) yield* get(first)
        yield* TestClock.adjust("2 seconds")
        yield* get(first)
        yield* get(second)

        assert.deepStrictEqual([broken.sent.length, fine.sent.length], [2, 1])
      })
    )
  )

  it.effect("leaves alone what an operator has set, and tells nobody of it", () =>
    inScenario(
      Effect.gen(function* () {
        const { state, store } = recording()
        const by = "ana, incident 42"
        const [forced, disabled] = [yield* processOf(store, "forced", well), yield* processOf(store, "disabled", well)]
        yield* forced.here(Circuits.forceOpen({ origin, by }))
        yield* disabled.here(Circuits.disable({ origin, by }))
        yield* TestClock.adjust("2 seconds")
        const untold = state.news.length
        const a = yield* processOf(store, "a", down)
        yield* a.calls(2)
        yield* TestClock.adjust("2 seconds")

        assert.strictEqual(untold, 0)
        assert.deepStrictEqual([yield* forced.state, yield* disabled.state], ["forced-open", "disabled"])
      })
    )
  )

  it.effect("does not undo what an operator has closed by hand, be it told or forced", () =>
    inScenario(
      Effect.gen(function* () {
        const store = memory()
        const a = yield* processOf(store, "a", down)
        const [b, c] = [yield* processOf(store, "b", well), yield* processOf(store, "c", well)]
        yield* c.here(Circuits.forceOpen({ origin, by: "ana" }))
        yield* a.calls(2)
        yield* TestClock.adjust("1 second")
        const before = [yield* b.state, yield* c.state]
        yield* c.here(Circuits.close({ origin, by: "ana" }))
        yield* TestClock.adjust("1 second")
        yield* b.here(Circuits.close({ origin, by: "ana" }))
        yield* TestClock.adjust("1 second")

        assert.deepStrictEqual(before, ["open", "forced-open"])
        assert.deepStrictEqual([yield* a.state, yield* b.state, yield* c.state], ["open", "closed", "closed"])
      })
    )
  )

  it.effect("takes nothing back for a circuit that an operator has disabled", () =>
    inScenario(
      Effect.gen(function* () {
        const { state, store } = recording()
        const [a, b] = [yield* processOf(store, "a", down), yield* processOf(store, "b", well)]
        yield* a.calls(2)
        yield* TestClock.adjust("1 second")
        const before = yield* b.state
        yield* b.here(Circuits.disable({ origin, by: "ana" }))
        yield* TestClock.adjust("2 seconds")

        assert.strictEqual(before, "open")
        assert.deepStrictEqual(
          state.news.flatMap((each) => each.closed),
          []
        )
      })
    )
  )

  it.effect("goes on alone without the store, says so once, and tells what still holds when it is back", () => {
    const book = new LogBook()
    const shared = () => book.lines.filter(({ message }) => message.startsWith("circuits are"))
    return inScenario(
      Effect.gen(function* () {
        const { state, store } = recording()
        const [a, b] = [yield* processOf(store, "a", down), yield* processOf(store, "b", well)]
        state.isDown = true
        yield* a.calls(2)
        yield* TestClock.adjust("4 seconds")
        const alone = [yield* a.state, yield* b.state]
        const during = shared()
        state.isDown = false
        yield* TestClock.adjust("2 seconds")

        assert.deepStrictEqual(alone, ["open", "closed"])
        assert.deepStrictEqual(
          during,
          Array.from({ length: 2 }, () => ({
            level: "Warn",
            message:
              "circuits are not shared, each process finds an outage by itself: circuit store, exchange: unavailable",
            fields: { event: "circuit store down", error_message: "circuit store, exchange: unavailable" }
          }))
        )
        assert.deepStrictEqual(
          shared().slice(2),
          Array.from({ length: 2 }, () => ({
            level: "Info",
            message: "circuits are shared again",
            fields: { event: "circuit store up" }
          }))
        )
        assert.deepStrictEqual(
          state.news.map(({ opened }) => opened.map(({ openMillis }) => openMillis)),
          [[5000]]
        )
        assert.strictEqual((yield* b.origin).wait, 4500)
      }),
      book
    )
  })

  it.effect("does not tell of an opening whose time is over, nor for it what it is told later", () =>
    inScenario(
      Effect.gen(function* () {
        const { state, store } = recording()
        const a = yield* processOf(store, "a", (n) => (n <= 2 ? Fake.empty(503) : Fake.json(order)))
        state.isDown = true
        yield* a.calls(2)
        yield* TestClock.adjust("10 seconds")
        state.isDown = false
        const before = state.exchanges
        yield* TestClock.adjust("2 seconds")
        const first = state.news.splice(0)
        assert.strictEqual(state.exchanges, before + 2)
        yield* a.call
        const b = yield* processOf(store, "b", down)
        yield* b.calls(2)
        yield* TestClock.adjust("3 seconds")

        assert.deepStrictEqual(first, [])
        assert.strictEqual(yield* a.state, "open")
        assert.deepStrictEqual(
          state.news.flatMap(({ opened }) => opened.map(({ member }) => member)),
          ["b"]
        )
      })
    )
  )

  it.effect("exchanges as often as it is told to, until its scope closes", () =>
    inScenario(
      Effect.gen(function* () {
        const { state, store } = recording()
        const scope = yield* Scope.make()
        yield* processOf(store, "a", well, { every: "5 seconds" }).pipe(Scope.provide(scope))
        yield* TestClock.adjust("14 seconds")
        const open = state.exchanges
        yield* Scope.close(scope, Exit.void)
        yield* TestClock.adjust("1 minute")

        assert.deepStrictEqual([open, state.exchanges], [3, 3])
      })
    )
  )

  it("refuses options out of range, by their names", () => {
    const wrong: ReadonlyArray<SharedCircuits.Options> = [
      { every: "99 millis" },
      { every: "61 seconds" },
      { levels: [] },
      { members: 0 },
      { members: 1.5 },
      { members: 101 },
      { member: "" },
      { member: "x".repeat(65) },
      { member: "a\nb" }
    ]
    const right: ReadonlyArray<SharedCircuits.Options> = [
      { every: "100 millis" },
      { every: "1 minute" },
      { members: 100 },
      { member: "x".repeat(64) }
    ]
    const saysOf = (options: SharedCircuits.Options): string => {
      try {
        SharedCircuits.layer(options)
        return "fine"
      } catch (error) {
        return String(error)
      }
    }

    const rule = (words: string) => `RangeError: SharedCircuits.layer: ${words}`
    const members = "members must be a whole number from 1 to 100, got"
    const member = rule("member must have 1 to 64 characters, none of them a control character")
    assert.deepStrictEqual(wrong.map(saysOf), [
      rule("every must be from 100 ms to 1 minute, got 99 ms"),
      rule("every must be from 100 ms to 1 minute, got 61000 ms"),
      rule("levels must name at least one"),
      rule(`${members} 0`),
      rule(`${members} 1.5`),
      rule(`${members} 101`),
      member,
      member,
      member
    ])
    assert.deepStrictEqual(right.map(saysOf), ["fine", "fine", "fine", "fine"])
  })
})

const prefix = `t_shared_circuits_${process.pid}`

describe.skipIf(!inject("redis"))("SharedCircuits.layer over Redis", () => {
  it.effect("opens in one process what another has found, and takes it back", () =>
    inScenario(
      Effect.gen(function* () {
        const services = yield* Layer.build(inRedis(prefix))
        const store = Context.get(services, CircuitStore)
        const redis = Context.get(services, Redis.Redis)
        const count = { ended: 0, rounds: 0 }
        const counted = circuitStore((news) =>
          Effect.tap(store.exchange(news), () => Effect.sync(() => void count.ended++))
        )
        const recovering: Fake.Script = (n) => (n <= 2 ? Fake.empty(503) : Fake.json(order))
        const [a, b] = [yield* processOf(counted, "a", recovering), yield* processOf(counted, "b", well)]

        /** The server answers in its own time: until both processes have heard it once more. */
        const heard = Effect.gen(function* () {
          count.rounds++
          for (let asked = 0; count.ended < 2 * count.rounds && asked < 100_000; asked++) yield* redis.send("PING")
          assert.strictEqual(count.ended, 2 * count.rounds)
        })
        const seconds = (many: number) =>
          Effect.forEach(Array.from({ length: many }), () => Effect.andThen(TestClock.adjust("1 second"), heard))
        yield* heard
        yield* a.calls(2)
        // Which of the two asks first is open: after the second time both have.
        yield* seconds(2)
        const told = yield* store.told
        const { reason, state } = yield* b.origin
        yield* seconds(8)
        yield* a.call
        yield* seconds(1)

        assert.deepStrictEqual(
          told.map(({ circuit, member }) => [circuit, member]),
          [[circuit, "a"]]
        )
        assert.deepStrictEqual(yield* store.told, [])
        assert.strictEqual(state, "open")
        assert.strictEqual(reason, "told by another process (a: 2 failures in a row)")
        assert.deepStrictEqual([a.transport.sent.length, b.transport.sent.length], [3, 0])
      })
    )
  )
})
