import { assert, describe, it } from "@effect/vitest"
import { Call, Fleet, Gauges, Health } from "@breakwater/core"
import * as Presence from "@breakwater/core/PresenceStore"
import { make as storeError } from "@breakwater/core/StoreError"
import { Effect, Exit, Layer, Metric, Scope } from "effect"
import { HttpClient, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { Board, Peer } from "../support/Fleets.ts"
import { inScenario, LogBook } from "../support/Scenario.ts"

const half = 1 / 2
const third = 1 / 3

/** Peers with one connection each, which beat one after the other; their times are the board's. */
const peers = Effect.fnUntraced(function* (board: Board, count: number, options?: Fleet.Options) {
  const made = Array.from({ length: count }, () => new Peer())
  for (const peer of made) {
    yield* peer.join(board, options)
    yield* peer.connect()
    yield* TestClock.adjust(0)
  }
  return made
})

const sharesOf = (all: ReadonlyArray<Peer>) => Effect.map(Effect.all(all.map((peer) => peer.shares)), (s) => s.flat())

describe("Fleet.layer", () => {
  it.effect("divides the limit by the processes, with the next beat of each", () =>
    Effect.gen(function* () {
      const all = yield* peers(new Board(), 3)
      const atOnce = yield* sharesOf(all)
      yield* TestClock.adjust("1999 millis")
      const before = yield* sharesOf(all)
      yield* TestClock.adjust("1 millis")

      assert.deepStrictEqual(
        [atOnce, before],
        [
          [1, half, third],
          [1, half, third]
        ]
      )
      assert.deepStrictEqual(yield* sharesOf(all), [third, third, third])
      yield* Effect.forEach(all, (peer) => peer.leave)
    }).pipe((test) => inScenario(test))
  )

  it.effect("gives its share back when it leaves, and keeps to it itself", () =>
    Effect.gen(function* () {
      const board = new Board()
      const [a, b] = yield* peers(board, 2)
      assert(a !== undefined && b !== undefined)
      const life = yield* Scope.make()
      const c = new Peer()
      yield* c.connect()
      yield* Layer.build(Layer.provide(Fleet.layer(), Layer.succeed(Presence.PresenceStore, board.store))).pipe(
        Scope.provide(life),
        (join) => c.run(join)
      )
      yield* TestClock.adjust("2 seconds")
      const together = yield* sharesOf([a, b, c])
      yield* Scope.close(life, Exit.void)
      yield* TestClock.adjust("2 seconds")

      assert.deepStrictEqual(together, [third, third, third])
      assert.deepStrictEqual(yield* sharesOf([a, b, c]), [half, half, third])
      assert.deepStrictEqual(board.left, [`wallet/-/default ${c.member}`])
      yield* Effect.forEach([a, b, c], (peer) => peer.leave)
    }).pipe((test) => inScenario(test))
  )

  it.effect("divides what is opened in the same instant, by those that are assumed", () =>
    Effect.gen(function* () {
      const board = new Board()
      board.isDown = true
      const peer = new Peer()
      yield* peer.connect()
      yield* peer.join(board, { assumed: 4 })
      const first = yield* peer.shares
      yield* peer.connect("bank")
      const second = yield* peer.shares
      yield* TestClock.adjust(0)
      board.isDown = false
      yield* peer.connect("shop")
      yield* TestClock.adjust("2 seconds")

      assert.deepStrictEqual([first, second], [[1 / 4], [1 / 4, 1 / 4]])
      // What the store says first, after it was down, makes no share larger; of the last one it had not been asked before.
      assert.deepStrictEqual(yield* peer.shares, [1 / 4, 1 / 4, 1])
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* peer.shares, [1, 1, 1])
      yield* peer.leave
    }).pipe((test) => inScenario(test))
  )

  it.effect("divides what is opened while it waits for the store, too", () =>
    Effect.gen(function* () {
      const board = new Board()
      board.takes = 1500
      const peer = new Peer()
      yield* peer.connect()
      yield* peer.join(board, { assumed: 4 })
      yield* peer.connect("bank")
      const meanwhile = yield* peer.shares
      yield* TestClock.adjust("1500 millis")
      const answered = yield* peer.shares
      yield* TestClock.adjust("1500 millis")

      assert.deepStrictEqual(
        [meanwhile, answered],
        [
          [1 / 4, 1 / 4],
          [1, 1 / 4]
        ]
      )
      assert.deepStrictEqual(yield* peer.shares, [1, 1])
      yield* peer.leave
    }).pipe((test) => inScenario(test))
  )

  it.effect("leaves what is open no longer, with its next beat", () =>
    Effect.gen(function* () {
      const board = new Board()
      const [peer] = yield* peers(board, 1)
      assert(peer !== undefined)
      const life = yield* Scope.make()
      yield* peer.run(Scope.provide(Call.connect({ provider: "bank", rate: { limit: 1, window: "1 second" } }), life))
      yield* TestClock.adjust(0)
      yield* Scope.close(life, Exit.void)
      yield* TestClock.adjust("2 seconds")
      const left = [...board.left]
      yield* peer.leave

      assert.deepStrictEqual(left, [`bank/-/default ${peer.member}`])
      assert.deepStrictEqual(board.left.slice(1), [`wallet/-/default ${peer.member}`])
    }).pipe((test) => inScenario(test))
  )

  it.effect("asks at once for what is opened, and for nothing else", () =>
    Effect.gen(function* () {
      const board = new Board()
      const [peer] = yield* peers(board, 1)
      assert(peer !== undefined)
      yield* TestClock.adjust("500 millis")
      yield* peer.connect("bank")
      yield* TestClock.adjust(0)
      const asked = board.beats.map((beat) => beat.split("/", 1).join())
      yield* TestClock.adjust("1500 millis")

      assert.deepStrictEqual(asked, ["wallet", "bank"])
      assert.strictEqual(board.beats.length, 4)
      yield* peer.leave
      assert.deepStrictEqual(board.left, [`wallet/-/default ${peer.member}`, `bank/-/default ${peer.member}`])
    }).pipe((test) => inScenario(test))
  )

  it.effect("divides an account by its connections within the process, too", () =>
    Effect.gen(function* () {
      const board = new Board()
      const options: Fleet.Options = { account: ({ provider }) => (provider === "wallet" ? "shared" : "own") }
      const [a, b] = yield* peers(board, 2, options)
      assert(a !== undefined && b !== undefined)
      yield* a.connect()
      yield* a.connect("bank")
      yield* TestClock.adjust("2 seconds")

      assert.deepStrictEqual(yield* a.shares, [1 / 4, 1 / 4, 1])
      assert.deepStrictEqual(yield* b.shares, [half])
      yield* Effect.forEach([a, b], (peer) => peer.leave)
    }).pipe((test) => inScenario(test))
  )

  it.effect(
    "divides all origins of a plain client alike, also those that are called later, and leaves what has no limits",
    () =>
      Effect.gen(function* () {
        const board = new Board()
        const [other] = yield* peers(board, 1)
        assert(other !== undefined)
        const peer = new Peer()
        const respond = HttpClient.make((request) =>
          Effect.succeed(HttpServerResponse.toClientResponse(HttpServerResponse.empty({ status: 204 }), { request }))
        )
        const limited = yield* peer.run(
          Call.client(respond, { provider: "wallet", rate: { limit: 10, window: "1 second" } })
        )
        const free = yield* peer.run(Call.client(respond, { provider: "free" }))
        yield* limited.get("https://a.test/")
        yield* free.get("https://c.test/")
        yield* peer.join(board, { account: () => "default" })
        yield* limited.get("https://b.test/")
        const shares = yield* peer.run(
          Effect.map(Health.snapshot, ({ connections }) =>
            connections.map(({ connection, rateBudget }) => [connection, rateBudget.share])
          )
        )

        assert.deepStrictEqual(shares, [
          ["https://a.test", half],
          ["https://b.test", half],
          ["https://c.test", null]
        ])
        assert.deepStrictEqual(
          new Set(board.beats.map((beat) => beat.split(" ", 1).join())),
          new Set(["wallet/-/default"])
        )
        yield* Effect.forEach([other, peer], (each) => each.leave)
      }).pipe((test) => inScenario(test))
  )

  it.effect("names a declared connection by its environment, too", () =>
    Effect.gen(function* () {
      const board = new Board()
      yield* Layer.build(Layer.provide(Fleet.layer(), Layer.succeed(Presence.PresenceStore, board.store)))
      const declared = Acme.variant({ rate: { limit: 10, window: "1 second" } })
      yield* Acme.connectTo(
        declared,
        Fake.make(() => Fake.empty(204)),
        { connection: "tenant-7" }
      )
      yield* TestClock.adjust(0)

      assert.deepStrictEqual(
        board.beats.map((beat) => beat.split(" ", 1).join()),
        ["acme/sandbox/tenant-7"]
      )
    }).pipe((test) => inScenario(test))
  )

  it.effect("keeps the share that it has while the store is down, and says so once, and once that it is back", () => {
    const book = new LogBook()
    return Effect.gen(function* () {
      const board = new Board()
      const all = yield* peers(board, 2)
      yield* TestClock.adjust("2 seconds")
      board.isDown = true
      yield* TestClock.adjust("1 minute")
      const down = yield* sharesOf(all)
      board.forgetAll()
      board.isDown = false
      // The first to reach it is alone there.
      yield* TestClock.adjust("2 seconds")
      const afterwards = yield* sharesOf(all)
      yield* TestClock.adjust("3999 millis")
      const before = book.of("Info").length
      yield* TestClock.adjust("1 millis")

      assert.deepStrictEqual(
        [down, afterwards],
        [
          [half, half],
          [half, half]
        ]
      )
      const messages = (level: string) => book.of(level).map(({ fields, message }) => [message, fields["event"]])
      const words =
        "fleet: presence store, beat: unavailable; each connection keeps the share that it has, one that never had any the limit divided by 1"
      assert.deepStrictEqual(messages("Warn"), [
        [words, "fleet unavailable"],
        [words, "fleet unavailable"]
      ])
      assert.strictEqual(before, 0)
      assert.deepStrictEqual(messages("Info"), [
        ["fleet: the presence store answers again", "fleet available"],
        ["fleet: the presence store answers again", "fleet available"]
      ])
      yield* Effect.forEach(all, (peer) => peer.leave)
    }).pipe((test) => inScenario(test, book))
  })

  it.effect("says once that a store comes and goes", () => {
    const book = new LogBook()
    return Effect.gen(function* () {
      const board = new Board()
      const [peer] = yield* peers(board, 1)
      assert(peer !== undefined)
      for (let n = 0; n < 20; n++) {
        board.isDown = n % 2 === 0
        yield* TestClock.adjust("2 seconds")
      }

      assert.deepStrictEqual([book.of("Warn").length, book.of("Info").length], [1, 0])
      yield* peer.leave
    }).pipe((test) => inScenario(test, book))
  })

  it.effect(
    "asks no more groups than it must while the store cannot be reached, and all the others where only one cannot be kept",
    () =>
      Effect.gen(function* () {
        const board = new Board()
        const peer = new Peer()
        for (let n = 0; n < 100; n++) yield* peer.connect(`p${n}`)
        board.isDown = true
        yield* peer.join(board)
        yield* TestClock.adjust(0)
        const whileDown = board.beats.length
        board.isDown = false
        const { store } = board
        const picky: Board["store"] = {
          ...store,
          beat: (beat) =>
            beat.group.startsWith("p0/") ? Effect.fail(storeError(Presence.place("beat"), "full")) : store.beat(beat)
        }
        const second = new Peer()
        yield* second.connect("p0")
        yield* second.connect("p1")
        yield* second.join(Object.assign(new Board(), { store: picky }), { assumed: 2 })
        yield* TestClock.adjust(0)

        assert.isAtMost(whileDown, 16)
        assert.deepStrictEqual(yield* second.shares, [half, 1])
        yield* Effect.forEach([peer, second], (each) => each.leave)
      }).pipe((test) => inScenario(test))
  )

  it.effect("shows the share as a gauge, the least of a provider's connections", () =>
    Effect.gen(function* () {
      const store = Layer.succeed(Presence.PresenceStore, new Board().store)
      const acme = Acme.variant({ rate: { limit: 10, window: "1 second" } })
      const shown = Effect.map(Metric.snapshot, (series) =>
        series.flatMap(({ id, state, type }) =>
          id === "breakwater.rate.share" && type === "Gauge" ? [state.value] : []
        )
      )
      yield* Acme.connectTo(
        acme,
        Fake.make(() => Fake.empty(204))
      )
      yield* Layer.build(Gauges.layer({ every: "1 second" }))
      yield* TestClock.adjust(0)
      const without = yield* shown
      yield* Layer.build(Layer.provide(Fleet.layer({ assumed: 4, account: () => "one" }), store))
      yield* Acme.connectTo(
        acme,
        Fake.make(() => Fake.empty(204)),
        { connection: "tenant-7" }
      )
      yield* TestClock.adjust("1 second")

      assert.deepStrictEqual([without, yield* shown], [[], [half]])
    }).pipe((test) => inScenario(test))
  )

  it("refuses options out of range", () => {
    const refused = (options: Fleet.Options) => {
      try {
        Fleet.layer(options)
        return "taken"
      } catch (error) {
        return String(error)
      }
    }

    assert.deepStrictEqual(
      [
        { every: "99 millis" },
        { every: "2 seconds", ttl: "3999 millis" },
        { every: "9 hours" },
        { assumed: 0.5 },
        { every: "100 millis", ttl: "200 millis", assumed: 1 }
      ].map((options) => refused(options as Fleet.Options)),
      [
        "RangeError: Fleet.layer: every must be at least 100 ms, got 99 ms",
        "RangeError: Fleet.layer: ttl must be from twice every to a day, got 3999 ms",
        "RangeError: Fleet.layer: ttl must be from twice every to a day, got 97200000 ms",
        "RangeError: Fleet.layer: assumed must be at least 1, got 0.5",
        "taken"
      ]
    )
  })
})
