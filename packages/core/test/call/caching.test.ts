/** Answers that are kept: when they are given, when they are not, and to whom. */
import { assert, describe, it } from "@effect/vitest"
import { Answer, Answers, AnswerStore, Body, Caching, Calls, Client, StoreError } from "@breakwater/core"
import { Context, Duration, Effect, Exit, Fiber, Layer, Redacted, References, Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { TestClock } from "effect/testing"
import * as Fake from "../support/FakeTransport.ts"
import { counted } from "../support/Metrics.ts"
import { inScenario, LogBook, outcome, run, toEnd } from "../support/Scenario.ts"
import * as Shop from "../support/Shop.ts"

const place = { id: "p1", name: "Berlin" }
const other = { id: "p1", name: "Bonn" }
const p1 = { params: { id: "p1" } }

/** What a call gave, and where from. */
const captured = <E, R>(call: Effect.Effect<unknown, E, R>) =>
  Effect.map(Answer.capture(call), ({ age, degradedBy, operation, requestId, source, value }) => ({
    value,
    source,
    age: Duration.toMillis(age),
    ...(operation === undefined ? {} : { operation }),
    ...(requestId === undefined ? {} : { requestId }),
    ...(degradedBy === undefined ? {} : { degradedBy: degradedBy.reason._tag })
  }))

/** How often a series counted. */
const times = (series: string) =>
  Effect.map(counted, (all) => {
    const found = Object.entries(all).find(([name]) => name.replace(" provider=shop", "") === series)
    return found?.[1] ?? 0
  })

const counts = (operation: string) =>
  Effect.map(
    Effect.forEach(["hit", "miss", "stale", "revalidated"], (how) =>
      times(`breakwater.answer.count shop.places.${operation} outcome=${how}`)
    ),
    ([hit, miss, stale, revalidated]) => ({ hit, miss, stale, revalidated })
  )

const ats = (transport: Fake.FakeTransport) => transport.sent.map(({ at }) => at)

/** Nothing is there to be called. */
const refused = Fake.broken("ECONNREFUSED")

const noRetry = { attempts: 1 } as const

describe("Caching.ttl", () => {
  it.effect("asks once while an answer is fresh, and again when it is not", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(place), Fake.json(other)])
        const shop = yield* Shop.connect(transport)
        const get = shop.places.get(p1)
        const first = yield* get
        yield* TestClock.adjust(59_999)
        const second = yield* get
        yield* TestClock.adjust(1)
        const third = yield* get

        assert.deepStrictEqual([first, second, third], [place, place, other])
        assert.deepStrictEqual(ats(transport), [0, 60_000])
        assert.deepStrictEqual(yield* counts("get"), { hit: 1, miss: 2, stale: 0, revalidated: 0 })
        assert.strictEqual(yield* times("breakwater.call.count shop.places.get outcome=ok"), 3)
      })
    )
  )

  it.effect("says where an answer comes from", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(place, 200, { "Shop-Request-Id": "r1" }), refused])
        const shop = yield* Shop.connect(transport, { policy: noRetry })
        const get = captured(shop.places.get(p1))
        const live = yield* get
        yield* TestClock.adjust("10 seconds")
        const cached = yield* get
        yield* TestClock.adjust("1 minute")
        const stale = yield* get

        const operation = "shop.places.get"
        assert.deepStrictEqual(live, { value: place, source: "live", age: 0, operation, requestId: "r1" })
        assert.deepStrictEqual(cached, { value: place, source: "cached", age: 10_000, operation })
        assert.deepStrictEqual(stale, {
          value: place,
          source: "stale",
          age: 70_000,
          operation,
          degradedBy: "TransportFailed"
        })
      })
    )
  )

  it.effect("gives what is stale for as long as declared while the provider is down, and then its error", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(place), refused])
        const shop = yield* Shop.connect(transport, { policy: noRetry })
        const get = shop.places.get(p1)
        yield* get
        yield* TestClock.adjust("1 hour")
        yield* TestClock.adjust(59_999)
        const last = yield* captured(get)
        yield* TestClock.adjust(1)
        const { outcome: over } = yield* run(get)

        assert.deepStrictEqual([last.value, last.source, last.age], [place, "stale", 3_659_999])
        assert.include(over as object, { class: "RetryableError" })
        assert.deepStrictEqual(yield* counts("get"), { hit: 0, miss: 2, stale: 1, revalidated: 0 })
      })
    )
  )

  it.effect("does not give what has become too old while the provider was asked", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(place), Fake.silent])
        const shop = yield* Shop.connect(transport, { policy: noRetry })
        yield* shop.places.get(p1)
        yield* TestClock.adjust("1 hour")
        yield* TestClock.adjust("58 seconds")
        const { outcome: over, took } = yield* run(shop.places.get(p1), "10 seconds")

        assert.include(over as object, { class: "RetryableError" })
        assert.strictEqual(took, 5000)
      })
    )
  )

  it.effect("gives what is stale behind an open circuit and a stop of the operator, too", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(place), refused])
        const policy = { attempts: 1, breaker: { consecutiveFailures: 1 } }
        const shop = yield* Shop.connect(transport, { policy })
        const get = captured(shop.places.get(p1))
        yield* get
        yield* TestClock.adjust("2 minutes")
        yield* get
        const open = yield* get
        yield* Calls.stop({ provider: "shop", by: "ana" })
        const stopped = yield* get

        assert.deepStrictEqual([open.degradedBy, open.source], ["CircuitOpen", "stale"])
        assert.deepStrictEqual([stopped.degradedBy, stopped.source], ["Stopped", "stale"])
        assert.strictEqual(transport.sent.length, 2)
      })
    )
  )

  it.effect("does not stand in when the provider says no", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(place), Fake.empty(403)])
        const shop = yield* Shop.connect(transport)
        yield* shop.places.get(p1)
        yield* TestClock.adjust("2 minutes")

        const { outcome: said } = yield* run(shop.places.get(p1))
        assert.deepStrictEqual(said, {
          class: "FatalError",
          attempts: 1,
          reason: { _tag: "PermissionDenied", status: 403 }
        })
      })
    )
  )

  it.effect("waits for nothing that calls wait for: slots, tokens and stops are not asked", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(place), Fake.silent])
        const shop = yield* Shop.connect(transport, { policy: { bulkhead: { concurrency: 1, queue: 1 } } })
        yield* shop.places.get(p1)
        yield* Effect.forkChild(shop.places.live(p1), { startImmediately: true })
        yield* Calls.stop({ provider: "shop", by: "ana" })
        const { took } = yield* run(shop.places.get(p1), "1 second")

        assert.strictEqual(took, 0)
        assert.strictEqual(transport.sent.length, 2)
      })
    )
  )

  it.effect("keeps that there is no such thing, for a time of its own", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json({ code: "gone" }, 404), Fake.json(place)])
        const shop = yield* Shop.connect(transport)
        const get = run(shop.places.get(p1), 0)
        const first = yield* get
        yield* TestClock.adjust(9999)
        const second = yield* get
        yield* TestClock.adjust(1)
        const third = yield* get

        const notFound = (attempts: number) => ({
          outcome: { class: "FatalError", attempts, reason: { _tag: "NotFound", status: 404 } },
          took: 0
        })
        assert.deepStrictEqual(
          [first, second, third],
          [notFound(1), notFound(0), { outcome: { value: place }, took: 0 }]
        )
      })
    )
  )

  it.effect("keeps a declared error with that meaning", () =>
    inScenario(
      Effect.gen(function* () {
        const said = { _tag: "NoShelf", shelf: "s1" }
        const transport = Fake.make([Fake.json(said, 404), Fake.json(place)])
        const shop = yield* Shop.connect(transport)
        const get = Effect.flip(shop.places.shelf({ params: { id: "s1" } }))
        const errors = [yield* get, yield* get]

        assert.deepStrictEqual(errors, [new Shop.NoShelf({ shelf: "s1" }), new Shop.NoShelf({ shelf: "s1" })])
        assert.strictEqual(transport.sent.length, 1)
      })
    )
  )

  it.effect("keeps nothing else: no failure, no drift, no garbage", () =>
    inScenario(
      Effect.gen(function* () {
        const answers = [Fake.empty(403), Fake.json({ id: 1 }), Fake.text("<html>"), Fake.empty(503), Fake.json(place)]
        const transport = Fake.make(answers)
        const shop = yield* Shop.connect(transport, { policy: noRetry })
        const outcomes: Array<unknown> = []
        for (const _ of answers) {
          const { outcome: each } = yield* run(shop.places.get(p1), 0)
          outcomes.push((each as { reason?: { _tag: string } }).reason?._tag ?? each)
        }

        assert.deepStrictEqual(outcomes, [
          "PermissionDenied",
          "ResponseInvalid",
          "Unavailable",
          "Unavailable",
          { value: place }
        ])
      })
    )
  )

  it.effect("is refused where a layer is built for what is not safe, or not read whole", () =>
    inScenario(
      Effect.gen(function* () {
        const params = { id: Schema.String }
        const keep = Caching.ttl({ ttl: "1 minute" })
        const endpoints = [
          HttpApiEndpoint.put("x", "/x/:id", { params, success: Shop.Place }).pipe(keep),
          HttpApiEndpoint.post("x", "/x/:id", { params, success: Shop.Place }).pipe(keep),
          HttpApiEndpoint.get("x", "/x/:id", { params, success: Body.streaming() }).pipe(keep),
          HttpApiEndpoint.get("x", "/x/:id", { params, success: Shop.Place }).pipe(Caching.invalidates(["x"]))
        ]
        const transport = Fake.make([])
        const rules: Array<unknown> = []
        for (const endpoint of endpoints) {
          const api = HttpApi.make("shop").add(HttpApiGroup.make("things").add(endpoint))
          const provider = { ...Shop.provider, api }
          class Service extends Context.Service<Service, Client.Of<typeof provider>>()("test/Refused") {}
          const layer = Client.layer(Service, provider, { credential: Redacted.make("key") })
          const error = yield* Effect.flip(Layer.build(Layer.provide(layer, transport.layer)))
          rules.push(error.message)
        }

        assert.deepStrictEqual(rules, [
          "policy of shop.things.x: cache keeps answers of operations that are safe, and this one is idempotent",
          "policy of shop.things.x: cache keeps answers of operations that are safe, and this one is unsafe",
          "policy of shop.things.x: cache keeps answers that are read whole, and this one is a stream",
          "policy of shop.things.x: cache makes answers void where something was changed, and this operation is safe"
        ])
      })
    )
  )

  it("refuses times, tags and versions that cannot be", () => {
    const rule = (options: Partial<Caching.TtlOptions>) => {
      try {
        Caching.ttl({ ttl: "1 minute", ...options })
        return "taken"
      } catch (error) {
        return error instanceof RangeError ? error.message : error
      }
    }
    assert.deepStrictEqual(
      [
        { ttl: 0 },
        { ttl: 1 },
        { ttl: Duration.infinity },
        { staleFor: Duration.infinity },
        { negativeTtl: Duration.infinity },
        { tags: Array.from({ length: 15 }, String) },
        { tags: [""] },
        { tags: ["x".repeat(129)] },
        { version: 1.5 },
        { version: -1 }
      ].map(rule),
      [
        "Caching.ttl: ttl must be above 0 and finite",
        "taken",
        "Caching.ttl: ttl must be above 0 and finite",
        "Caching.ttl: staleFor must be 0 or more and finite",
        "Caching.ttl: negativeTtl must be 0 or more and finite",
        "Caching.ttl: at most 14 tags, got 15",
        "Caching.ttl: a tag must have 1 to 128 characters, has 0",
        "Caching.ttl: a tag must have 1 to 128 characters, has 129",
        "Caching.ttl: version must be a whole number from 0, got 1.5",
        "Caching.ttl: version must be a whole number from 0, got -1"
      ]
    )
    assert.throws(() => Caching.invalidates([""]), RangeError)
  })
})

describe("many who ask for the same", () => {
  const slow = [Fake.late(1000, Fake.json(place)), Fake.late(1000, Fake.json(other))]

  it.effect("ask once, and all have the answer, with where it is from", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.late(1000, Fake.json(place, 200, { "Shop-Request-Id": "r1" }))])
        const shop = yield* Shop.connect(transport)
        const get = captured(shop.places.get(p1))
        const { exit } = yield* toEnd(Effect.all([get, get, get], { concurrency: 3 }), "2 seconds")

        const live = { value: place, source: "live", age: 0, operation: "shop.places.get", requestId: "r1" }
        assert.deepStrictEqual(outcome(exit), { value: [live, live, live] })
        assert.strictEqual(transport.sent.length, 1)
        assert.deepStrictEqual(yield* counts("get"), { hit: 0, miss: 3, stale: 0, revalidated: 0 })
      })
    )
  )

  it.effect("do not lose the answer when the one who asked first leaves, which is kept as well", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make(slow)
        const shop = yield* Shop.connect(transport)
        const get = shop.places.get(p1)
        const first = yield* Effect.forkChild(get, { startImmediately: true })
        const second = yield* Effect.forkChild(get, { startImmediately: true })
        yield* TestClock.adjust(500)
        yield* Fiber.interrupt(first)
        yield* TestClock.adjust(500)

        assert.deepStrictEqual(yield* Fiber.await(second), Exit.succeed(place))
        assert.deepStrictEqual(yield* get, place)
        assert.strictEqual(transport.sent.length, 1)
      })
    )
  )

  it.effect("ask once also when one finds nothing in the store before the other has kept it, and begins after", () =>
    inScenario(
      Effect.gen(function* () {
        const memory = AnswerStore.memory()
        // The look of the first, the one of its flight, and the look of the second.
        const waits = [0, 0, 2000]
        const get: AnswerStore.AnswerStore["Service"]["get"] = (key, version) =>
          Effect.flatMap(memory.get(key, version), (found) => Effect.as(Effect.sleep(waits.shift() ?? 0), found))
        const transport = Fake.make(slow)
        const shop = yield* Shop.connect(transport).pipe(
          Effect.provideService(AnswerStore.AnswerStore, { ...memory, get })
        )
        const both = Effect.all([shop.places.get(p1), captured(shop.places.get(p1))], { concurrency: 2 })
        const { outcome: given } = yield* run(both, "5 seconds")

        const cached = { value: place, source: "cached", age: 1000, operation: "shop.places.get" }
        assert.deepStrictEqual(given, { value: [place, cached] })
        assert.strictEqual(transport.sent.length, 1)
        assert.deepStrictEqual(yield* counts("get"), { hit: 1, miss: 1, stale: 0, revalidated: 0 })
      })
    )
  )

  it.effect("cut the wire when all have left", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make(slow)
        const shop = yield* Shop.connect(transport)
        const fibers = [1, 2].map(() => Effect.forkChild(shop.places.get(p1), { startImmediately: true }))
        for (const fiber of fibers) yield* Fiber.interrupt(yield* fiber)
        yield* TestClock.adjust(1)

        assert.deepStrictEqual([transport.open(), transport.cut()], [0, 2])
      })
    )
  )
})

describe("the key of an answer", () => {
  const find = (shop: Shop.ShopClient, address: string, rest: { near?: string; account?: string } = {}) =>
    shop.places.find({
      query: { address, ...(rest.near === undefined ? {} : { near: rest.near }) },
      headers: rest.account === undefined ? {} : { "x-account": rest.account }
    })

  it.effect("takes parameters for the same that people write differently, and only those that are named", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((n) => Fake.json([{ id: `p${n}`, name: "x" }]))
        const shop = yield* Shop.connect(transport)
        const ids: Array<unknown> = []
        for (const call of [
          find(shop, "Unter den Linden 1"),
          find(shop, "  unter  DEN linden 1 "),
          find(shop, "Unter den Linden 1", { near: "A" }),
          find(shop, "Unter den Linden 1", { near: "a" }),
          find(shop, "unter den linden 1", { near: "a" }),
          find(shop, "Unter den Linden 11")
        ])
          ids.push((yield* call)[0]?.id)

        assert.deepStrictEqual(ids, ["p1", "p1", "p2", "p3", "p3", "p4"])
      })
    )
  )

  it.effect("has the headers that the operation sends, the body of a search, and its own id not", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((n) => Fake.json([{ id: `p${n}`, name: "x" }]))
        const shop = yield* Shop.connect(transport)
        const search = (q: string) => shop.places.search({ payload: { q } })
        const ids: Array<unknown> = []
        for (const call of [
          find(shop, "a"),
          find(shop, "a", { account: "1" }),
          find(shop, "a", { account: "2" }),
          find(shop, "a", { account: "1" }),
          search("a"),
          search("A"),
          search("a")
        ])
          ids.push((yield* call)[0]?.id)

        assert.deepStrictEqual(ids, ["p1", "p2", "p3", "p2", "p4", "p5", "p4"])
      })
    )
  )

  it.effect("is nobody else's: connections and environments never see each other's answers", () =>
    inScenario(
      Effect.gen(function* () {
        const store = yield* Layer.build(AnswerStore.AnswerStore.layerMemory())
        const names: Array<unknown> = []
        const connect = (name: string, options: Partial<Client.LayerOptions>) =>
          Effect.provide(Shop.connect(Fake.make([Fake.json({ id: "p1", name })]), options), store)
        const shops = [
          yield* connect("a", { connection: "a" }),
          yield* connect("b", { connection: "b" }),
          yield* connect("live", { connection: "a", environment: "production" }),
          yield* connect("again", { connection: "a" }),
          yield* connect("elsewhere", { connection: "a", baseUrl: "https://other.test" })
        ]
        for (const shop of [...shops, ...shops]) names.push((yield* shop.places.get(p1)).name)

        const once = ["a", "b", "live", "a", "elsewhere"]
        assert.deepStrictEqual(names, [...once, ...once])
      })
    )
  )
})

describe("Caching.bypass and Caching.forget", () => {
  it.effect("asks the provider, whatever is kept, and keeps what it says", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(place), Fake.json(other)])
        const shop = yield* Shop.connect(transport)
        const get = shop.places.get(p1)
        const seen = [yield* get, yield* Caching.bypass(get), yield* get]

        assert.deepStrictEqual(seen, [place, other, other])
        assert.strictEqual(transport.sent.length, 2)
      })
    )
  )

  it.effect("forgets what one call would be given, and makes no call", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(place), Fake.json({ id: "p2", name: "Ulm" }), Fake.json(other)])
        const shop = yield* Shop.connect(transport)
        const [get, second] = [shop.places.get(p1), shop.places.get({ params: { id: "p2" } })]
        yield* get
        yield* second
        const forgotten = yield* Caching.forget(Effect.map(get, ({ name }) => name))
        const sent = transport.sent.length
        const seen = [yield* get, yield* second]

        assert.deepStrictEqual([forgotten, sent], [undefined, 2])
        assert.deepStrictEqual(seen, [other, { id: "p2", name: "Ulm" }])
        assert.strictEqual(transport.sent.length, 3)
      })
    )
  )

  it.effect("says what is wrong with a call that cannot be made", () =>
    inScenario(
      Effect.gen(function* () {
        const shop = yield* Shop.connect(Fake.make([]))

        assert.deepStrictEqual((yield* run(Caching.forget(shop.places.get({ params: { id: ".." } })))).outcome, {
          class: "FatalError",
          attempts: 0,
          reason: { _tag: "InvalidRequest", field: "params.id", detail: "must not be '.' or '..'" }
        })
      })
    )
  )

  it.effect("does not make a call that has nothing to forget", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(place)])
        const shop = yield* Shop.connect(transport)
        const calls = [shop.places.live(p1), shop.places.rename({ ...p1, payload: place })]
        const outcomes: Array<unknown> = []
        for (const call of calls) outcomes.push((yield* run(Caching.forget(call))).outcome)

        const refused = {
          class: "FatalError",
          attempts: 0,
          reason: { _tag: "InvalidRequest", field: "operation", detail: "keeps no answers that could be forgotten" }
        }
        assert.deepStrictEqual(outcomes, [refused, refused])
        assert.strictEqual(transport.sent.length, 0)
      })
    )
  )
})

describe("what is void", () => {
  const script: Fake.Script = (_, { method, url }) =>
    method === "GET" ? Fake.json({ id: url.at(-1), name: "x" }) : Fake.json(other)
  const gets = (transport: Fake.FakeTransport) => transport.sent.filter(({ method }) => method === "GET").length

  it.effect("is what a write says when it has succeeded, and nothing else", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make(script)
        const shop = yield* Shop.connect(transport)
        const p2 = { params: { id: "2" } }
        const rename = shop.places.rename({ params: { id: "1" }, payload: other })
        yield* shop.places.get({ params: { id: "1" } })
        yield* shop.places.get(p2)
        yield* rename
        yield* shop.places.get(p2)
        const before = gets(transport)
        yield* shop.places.get({ params: { id: "1" } })

        assert.deepStrictEqual([before, gets(transport)], [2, 3])
      })
    )
  )

  it.effect("is it also when nobody knows, and not when the provider said no", () =>
    inScenario(
      Effect.gen(function* () {
        const writes = [Fake.empty(403), Fake.broken("ECONNRESET")]
        let written = 0
        const transport = Fake.make((n, sent) =>
          sent.method === "POST"
            ? (writes[written++] ?? Fake.silent)
            : typeof script === "function"
              ? script(n, sent)
              : Fake.silent
        )
        const shop = yield* Shop.connect(transport)
        yield* shop.places.get(p1)
        yield* run(shop.places.close(p1), 0)
        yield* shop.places.get(p1)
        const kept = gets(transport)
        const { outcome: unknown } = yield* run(shop.places.close(p1), 0)
        yield* shop.places.get(p1)

        assert.include(unknown as object, { class: "OutcomeUnknown" })
        assert.deepStrictEqual([kept, gets(transport)], [1, 2])
      })
    )
  )

  it.effect("is what was asked for before the write and comes after it", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((n, { method }) =>
          method === "PUT" ? Fake.json(other) : n === 1 ? Fake.late(1000, Fake.json(place)) : Fake.json(other)
        )
        const shop = yield* Shop.connect(transport)
        const early = yield* Effect.forkChild(shop.places.get(p1), { startImmediately: true })
        yield* shop.places.rename({ ...p1, payload: other })
        const after = yield* shop.places.get(p1)
        yield* TestClock.adjust("1 second")

        assert.deepStrictEqual(yield* Fiber.await(early), Exit.succeed(place))
        assert.deepStrictEqual([after, yield* shop.places.get(p1)], [other, other])
        assert.strictEqual(transport.sent.length, 3)
      })
    )
  )

  it.effect("is what an operator says: by tag, by operation, over one connection or all", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make(script)
        const [a, b] = [
          yield* Shop.connect(transport, { connection: "a" }),
          yield* Shop.connect(transport, { connection: "b" })
        ]
        const fill = Effect.forEach(["1", "2"], (id) =>
          Effect.forEach([a, b], (shop) => shop.places.get({ params: { id } }), { discard: true })
        )
        const counted: Array<number> = []
        for (const target of [
          { tags: ["place/1"] },
          { tags: ["places"] },
          { tags: ["places"], connection: "a" },
          { operation: "places.get" },
          { tags: ["place/1", "place/2"] },
          { operation: "places.find" },
          { connection: "c", tags: ["places"] }
        ]) {
          yield* fill
          counted.push(yield* Answers.invalidate({ provider: "shop", ...target }))
        }

        assert.deepStrictEqual(counted, [2, 4, 2, 4, 4, 0, 0])
        assert.strictEqual(yield* Answers.invalidate({ provider: "other", tags: ["places"] }), 0)
      })
    )
  )
})

const failing = (problem: StoreError.Problem) => {
  const asked: Array<string> = []
  const fail = (operation: string) =>
    Effect.suspend(() => {
      asked.push(operation)
      return Effect.fail(new StoreError.StoreError({ store: "answer", operation, problem, detail: "" }))
    })
  const store = AnswerStore.AnswerStore.of({
    get: () => fail("get"),
    set: () => fail("set"),
    delete: () => fail("delete"),
    invalidate: () => fail("invalidate"),
    purge: () => fail("purge")
  })
  return { asked, store }
}

describe("the store", () => {
  it.effect("is the layer's where there is one, and the fiber's before it", () =>
    inScenario(
      Effect.gen(function* () {
        const [layers, fibers] = [AnswerStore.memory(), AnswerStore.memory()]
        const transport = Fake.make([Fake.json(place), Fake.json(other)])
        const shop = yield* Shop.connect(transport).pipe(Effect.provideService(AnswerStore.AnswerStore, layers))
        const get = shop.places.get(p1)
        const mine = Effect.provideService(get, AnswerStore.AnswerStore, fibers)

        assert.deepStrictEqual([yield* get, yield* mine, yield* get, yield* mine], [place, other, place, other])
      })
    )
  )

  it.effect("is missed when it is down: counted each time, said once, and left alone for a while", () => {
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        const { asked, store } = failing("unavailable")
        const shop = yield* Shop.connect(Fake.make([Fake.json(place)])).pipe(
          Effect.provideService(AnswerStore.AnswerStore, store)
        )
        const seen = [yield* shop.places.get(p1), yield* shop.places.get(p1)]
        yield* TestClock.adjust("5 seconds")
        yield* shop.places.get(p1)

        assert.deepStrictEqual(seen, [place, place])
        assert.deepStrictEqual(asked, ["get", "get"])
        assert.strictEqual(yield* times("breakwater.answer.failures shop.places.get reason=unavailable"), 2)
        assert.deepStrictEqual(
          book.of("Warn").map(({ message }) => message),
          ["shop: answers are not kept: answer store, get: unavailable"]
        )
      }),
      book
    )
  })

  it.effect("is asked to forget also when it rests, and whoever asks by hand hears of it", () =>
    inScenario(
      Effect.gen(function* () {
        const { asked, store } = failing("unavailable")
        const shop = yield* Shop.connect(Fake.make([Fake.json(place)])).pipe(
          Effect.provideService(AnswerStore.AnswerStore, store)
        )
        yield* shop.places.get(p1)
        yield* shop.places.rename({ ...p1, payload: place })
        const forgotten = yield* Effect.flip(Caching.forget(shop.places.get(p1)))
        const invalidated = yield* Effect.flip(Answers.invalidate({ provider: "shop", tags: ["places"] }))

        assert.deepStrictEqual(asked, ["get", "invalidate", "delete", "invalidate"])
        assert.deepStrictEqual([forgotten._tag, invalidated._tag], ["StoreError", "StoreError"])
      })
    )
  )

  it.effect("that hangs is waited for no longer than a quarter of what the call may take", () =>
    inScenario(
      Effect.gen(function* () {
        const store = { ...failing("failed").store, get: () => Effect.never }
        const shop = yield* Shop.connect(Fake.make([Fake.json(place)]), { policy: { deadline: "1 second" } }).pipe(
          Effect.provideService(AnswerStore.AnswerStore, store)
        )
        const { outcome: first, took } = yield* run(shop.places.get(p1), "1 minute")

        assert.deepStrictEqual(first, { value: place })
        // A quarter of the time that the call has, so that most of it is left for the provider.
        assert.strictEqual(took, 250)
      })
    )
  )

  it.effect("has what decoding needs, and nothing personal", () =>
    inScenario(
      Effect.gen(function* () {
        const kept: Array<AnswerStore.Answer> = []
        const inner = AnswerStore.memory()
        const store = {
          ...inner,
          set: (key: string, answer: AnswerStore.Answer) => {
            kept.push(answer)
            return inner.set(key, answer)
          }
        }
        const headers = { "set-cookie": "session=1", "x-total": "7", "x-customer": "ana", "shop-request-id": "r1" }
        const transport = Fake.make((_, { url }) =>
          url.endsWith("counted") ? Fake.json([place], 200, headers) : Fake.json(place, 200, headers)
        )
        const shop = yield* Shop.connect(transport).pipe(Effect.provideService(AnswerStore.AnswerStore, store))
        yield* shop.places.get(p1)
        const counted = [yield* shop.places.counted(), yield* shop.places.counted()]

        assert.deepStrictEqual(
          kept.map(({ payload }) => payload),
          [
            { version: 1, value: { s: 200, h: { "content-type": "application/json" }, j: place } },
            {
              version: 1,
              value: {
                s: 200,
                h: { "content-type": "application/json", "x-total": "7" },
                b: btoa(JSON.stringify([place]))
              }
            }
          ]
        )
        assert.deepStrictEqual(
          counted.map(({ body, headers }) => [body, headers]),
          [
            [[place], { "x-total": "7" }],
            [[place], { "x-total": "7" }]
          ]
        )
        assert.strictEqual(transport.sent.length, 2)
      })
    )
  )

  for (const [what, value] of [
    ["is no answer", "rubbish"],
    ["has no status", { h: {} }],
    ["has headers that are none", { s: 200, h: { a: 1 } }],
    ["does not fit its schema any more", { s: 200, h: {}, j: { id: 1 } }],
    ["cannot be decoded", { s: 200, h: { "content-type": "application/json" }, b: "%" }]
  ] as const)
    it.effect(`is missed by what ${what}`, () =>
      inScenario(
        Effect.gen(function* () {
          const inner = AnswerStore.memory()
          const store = {
            ...inner,
            get: () => Effect.succeed({ payload: { version: 1, value }, ageMillis: 0 })
          }
          const transport = Fake.make([Fake.json(place)])
          const shop = yield* Shop.connect(transport).pipe(Effect.provideService(AnswerStore.AnswerStore, store))

          assert.deepStrictEqual(yield* captured(shop.places.get(p1)), {
            value: place,
            source: "live",
            age: 0,
            operation: "shop.places.get"
          })
        })
      )
    )
})

describe("what is said of it", () => {
  it.effect("a line at level Debug, and no attempt in the span", () => {
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        const shop = yield* Shop.connect(Fake.make([Fake.json(place)]))
        yield* shop.places.get(p1)
        yield* TestClock.adjust("3 seconds")
        yield* shop.places.get(p1)
        const line = book.of("Debug").at(-1)

        assert.strictEqual(line?.message, "shop.places.get answered by what is kept: hit, 3s old")
        assert.include(line?.fields, { event: "kept answer", attempt: 0, operation: "shop.places.get" })
      }).pipe(Effect.provideService(References.MinimumLogLevel, "Debug")),
      book
    )
  })

  it.effect("of a call that keeps nothing: live, with the provider's id", () =>
    inScenario(
      Effect.gen(function* () {
        const shop = yield* Shop.connect(Fake.make([Fake.json(place, 200, { "Shop-Request-Id": "r7" })]))

        assert.deepStrictEqual(yield* captured(shop.places.live(p1)), {
          value: place,
          source: "live",
          age: 0,
          operation: "shop.places.live",
          requestId: "r7"
        })
      })
    )
  )
})

describe("Caching.normalise", () => {
  const name = Schema.String.check(Schema.isPattern(/^(?:address|[a-z]{1,3})$/u))
  const spaces = ["", " ", "\u00a0", "  \u2003"]

  it.prop(
    "says the same of what it said, and of the same with other cases and spaces",
    [Schema.Array(Schema.String), Schema.Int],
    ([words, seed]) => {
      const said = Caching.normalise(words.join(" "))
      const space = (index: number) => spaces[1 + (Math.abs(seed + index) % 3)] ?? " "
      const spread = words.map((word, index) => `${space(index)}${word.toUpperCase()}`).join(" ")

      assert.strictEqual(Caching.normalise(said), said)
      assert.strictEqual(Caching.normalise(spread), said)
    }
  )

  it.prop(
    "tells apart by every other parameter, whatever their order",
    [Schema.Record(name, Schema.String), name, Schema.String],
    ([others, name, value]) => {
      const asked = (fields: Readonly<Record<string, string>>): Caching.Asked => ({
        params: {},
        query: new URLSearchParams(fields),
        payload: undefined
      })
      const key = Caching.normalised("address")
      const reversed = Object.fromEntries(Object.entries(others).toReversed())
      const isMeant = name === "address" || others[name] === value

      assert.strictEqual(key(asked(reversed)), key(asked(others)))
      assert.strictEqual(
        key(asked({ ...others, [name]: `${value}x` })) === key(asked({ ...others, [name]: value })),
        false
      )
      if (!isMeant) assert.notStrictEqual(key(asked({ ...others, [name]: value })), key(asked(others)))
    }
  )

  it("trims, collapses white space and folds cases", () => {
    const texts = ["  A\u00a0 b\tC\n", "STRASSE", "stra\u00dfe", "Caf\u0065\u0301", "CAF\u00c9", "\u03a3\u03b1\u03c2"]

    assert.deepStrictEqual(texts.map(Caching.normalise), [
      "a b c",
      "strasse",
      "strasse",
      "caf\u00e9",
      "caf\u00e9",
      "\u03c3\u03b1\u03c2"
    ])
  })
})
