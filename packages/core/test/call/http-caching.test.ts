/** Answers that are kept as HTTP has it, case by case (RFC 9111, RFC 5861). */
import { assert, describe, it } from "@effect/vitest"
import { Answer, AnswerStore, Caching } from "@breakwater/core"
import * as HttpCaching from "@breakwater/core/HttpCaching"
import { Duration, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, run } from "../support/Scenario.ts"
import * as Shop from "../support/Shop.ts"

type Headers = Readonly<Record<string, string>>

const p1 = { params: { id: "p1" } }

/** The n-th answer is called so. */
const named = (n: number, headers: Headers) => Fake.json({ id: "p1", name: `n${n}` }, 200, headers)

const date = (seconds: number): string => new Date(seconds * 1000).toUTCString()

const captured = <A extends { readonly name: string }, E, R>(call: Effect.Effect<A, E, R>) =>
  Effect.map(Answer.capture(call), ({ age, source, value }) => `${value.name} ${source} ${Duration.toSeconds(age)}`)

/** An answer with these headers, asked for again after so many seconds: what is given each time, and how often the provider was asked. */
interface Case {
  readonly says: Headers
  readonly after: ReadonlyArray<readonly [seconds: number, given: string]>
  readonly why: string
}

const cases: ReadonlyArray<Case> = [
  {
    why: "max-age: fresh below it, and not at it",
    says: { "cache-control": "max-age=60" },
    after: [
      [59, "n1 cached 59"],
      [1, "n2 live 0"]
    ]
  },
  {
    why: "directives in any case, and quoted",
    says: { "cache-control": 'Private, Max-Age="60"' },
    after: [[59, "n1 cached 59"]]
  },
  {
    why: "private is for us",
    says: { "cache-control": "private, max-age=60" },
    after: [[59, "n1 cached 59"]]
  },
  {
    why: "Expires counts from Date",
    says: { date: date(1000), expires: date(1060) },
    after: [
      [59, "n1 cached 59"],
      [1, "n2 live 0"]
    ]
  },
  {
    why: "max-age goes before Expires",
    says: { date: date(1000), expires: date(5000), "cache-control": "max-age=60" },
    after: [[60, "n2 live 0"]]
  },
  { why: "Expires: 0 is over", says: { expires: "0" }, after: [[0, "n2 live 0"]] },
  {
    why: "Age has passed already",
    says: { "cache-control": "max-age=60", age: "50" },
    after: [
      [9, "n1 cached 9"],
      [1, "n2 live 0"]
    ]
  },
  { why: "s-maxage is for others", says: { "cache-control": "s-maxage=60" }, after: [[0, "n2 live 0"]] },
  {
    why: "s-maxage does not go before max-age",
    says: { "cache-control": "s-maxage=0, max-age=60" },
    after: [[59, "n1 cached 59"]]
  },
  { why: "no-store", says: { "cache-control": "no-store, max-age=60", etag: '"1"' }, after: [[0, "n2 live 0"]] },
  { why: "no-store in capitals", says: { "cache-control": "No-Store, max-age=60" }, after: [[0, "n2 live 0"]] },
  { why: "no-cache is asked about", says: { "cache-control": "no-cache, max-age=60" }, after: [[0, "n2 live 0"]] },
  {
    why: "Pragma: no-cache by itself",
    says: { pragma: "no-cache", expires: date(5000), date: date(1000) },
    after: [[0, "n2 live 0"]]
  },
  {
    why: "must-revalidate is fresh as long as it is fresh",
    says: { "cache-control": "max-age=60, must-revalidate" },
    after: [
      [59, "n1 cached 59"],
      [1, "n2 live 0"]
    ]
  },
  { why: "nothing said", says: {}, after: [[0, "n2 live 0"]] },
  {
    why: "Last-Modified is no promise",
    says: { "last-modified": date(-1_000_000), date: date(1000) },
    after: [[0, "n2 live 0"]]
  },
  { why: "Vary: *", says: { "cache-control": "max-age=60", vary: "*" }, after: [[0, "n2 live 0"]] },
  {
    why: "Vary by what the connection sends",
    says: { "cache-control": "max-age=60", vary: "User-Agent, Accept-Encoding" },
    after: [[59, "n1 cached 59"]]
  },
  {
    why: "immutable, without a time of its own",
    says: { "cache-control": "max-age=60, immutable" },
    after: [[59, "n1 cached 59"]]
  }
]

describe("HttpCaching.http", () => {
  it.effect.each(cases)("$why", ({ after, says }) =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((n) => named(n, says))
        const shop = yield* Shop.connect(transport)
        const get = captured(shop.places.web(p1))
        const given: Array<string> = [yield* get]
        for (const [seconds] of after) {
          yield* TestClock.adjust(Duration.seconds(seconds))
          given.push(yield* get)
        }

        assert.deepStrictEqual(given, ["n1 live 0", ...after.map(([, text]) => text)])
      })
    )
  )

  it.effect("asks by validator, takes a 304 for the answer, and takes over what the 304 says", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([
          Fake.json({ id: "p1", name: "n1" }, 200, {
            etag: '"v1"',
            "last-modified": date(5),
            "cache-control": "max-age=10",
            age: "9"
          }),
          Fake.empty(304, {
            etag: '"v1"',
            "cache-control": "max-age=60",
            "shop-request-id": "r2",
            "content-type": "x/y"
          })
        ])
        const shop = yield* Shop.connect(transport)
        const get = captured(shop.places.web(p1))
        const first = yield* get
        yield* TestClock.adjust("1 second")
        const confirmed = yield* Answer.capture(shop.places.web(p1))
        yield* TestClock.adjust("59 seconds")
        const fresh = yield* get

        assert.deepStrictEqual([first, fresh], ["n1 live 0", "n1 cached 59"])
        assert.deepInclude(confirmed, {
          value: { id: "p1", name: "n1" },
          source: "revalidated",
          age: Duration.zero,
          requestId: "r2"
        })
        assert.strictEqual(transport.sent.length, 2)
        const conditions = transport.sent.map(({ headers }) => [headers["if-none-match"], headers["if-modified-since"]])
        assert.deepStrictEqual(conditions, [
          [undefined, undefined],
          ['"v1"', date(5)]
        ])
      })
    )
  )

  it.effect("takes what has changed, and asks by its validator from then on", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((n) => named(n, { etag: `"v${n}"` }))
        const shop = yield* Shop.connect(transport)
        const given = [
          yield* captured(shop.places.web(p1)),
          yield* captured(shop.places.web(p1)),
          yield* captured(shop.places.web(p1))
        ]

        assert.deepStrictEqual(given, ["n1 live 0", "n2 live 0", "n3 live 0"])
        assert.deepStrictEqual(
          transport.sent.map(({ headers }) => headers["if-none-match"]),
          [undefined, '"v1"', '"v2"']
        )
      })
    )
  )

  it.effect("forgets what a 304 says is not to be stored any more", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([
          named(1, { etag: '"v1"', "cache-control": "max-age=1" }),
          Fake.empty(304, { etag: '"v1"', "cache-control": "no-store" }),
          named(3, {})
        ])
        const shop = yield* Shop.connect(transport)
        const get = captured(shop.places.web(p1))
        yield* get
        yield* TestClock.adjust("1 second")
        const given = [yield* get, yield* get]

        assert.deepStrictEqual(given, ["n1 revalidated 0", "n3 live 0"])
        assert.strictEqual(transport.sent[2]?.headers["if-none-match"], undefined)
      })
    )
  )

  it.effect("asks about an answer for a day, and then anew", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((n) => named(n, { etag: `"v${n}"`, "cache-control": "max-age=60" }))
        const shop = yield* Shop.connect(transport)
        yield* shop.places.web(p1)
        yield* TestClock.adjust("1 day")
        yield* TestClock.adjust("59 seconds")
        yield* shop.places.web(p1)
        yield* TestClock.adjust("1 day")
        yield* TestClock.adjust("1 minute")
        yield* shop.places.web(p1)

        assert.deepStrictEqual(
          transport.sent.map(({ headers }) => headers["if-none-match"]),
          [undefined, '"v1"', undefined]
        )
      })
    )
  )

  it.effect("learns from a 304 what is left of the limits", () =>
    inScenario(
      Effect.gen(function* () {
        const limits = { "x-ratelimit-limit": "100", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "20" }
        const transport = Fake.make([named(1, { etag: '"v1"' }), Fake.empty(304, { etag: '"v1"', ...limits })])
        const shop = yield* Shop.connect(transport, { policy: { rateWait: "1 second" } })
        yield* shop.places.web(p1)
        yield* shop.places.web(p1)
        const { outcome } = yield* run(shop.places.live(p1), 0)

        assert.deepInclude((outcome as { reason?: object }).reason, { _tag: "RateLimited", by: "budget" })
      })
    )
  )

  it.effect("leaves a request alone that has conditions of its caller", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((n) => named(n, { "cache-control": "max-age=60" }))
        const shop = yield* Shop.connect(transport)
        const conditional = shop.places.conditional({ headers: { "if-none-match": '"mine"' } })
        yield* conditional
        yield* conditional

        assert.deepStrictEqual(
          transport.sent.map(({ headers }) => headers["if-none-match"]),
          ['"mine"', '"mine"']
        )
      })
    )
  )

  it.effect("does not heed what the caller's request says of caches, and keeps such requests apart", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((n) => named(n, { "cache-control": "max-age=60, stale-if-error=60" }))
        const shop = yield* Shop.connect(transport)
        const ask = (control: string) => captured(shop.places.conditional({ headers: { "cache-control": control } }))
        yield* ask("max-stale=1000")
        yield* ask("no-store")
        yield* TestClock.adjust("61 seconds")

        assert.deepStrictEqual([yield* ask("max-stale=1000"), yield* ask("no-store")], ["n3 live 0", "n4 live 0"])
        assert.deepStrictEqual(yield* ask("no-store"), "n4 cached 0")
      })
    )
  )

  it.effect("keeps a 404 that says for how long", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([
          Fake.empty(404, { "cache-control": "max-age=10", etag: '"gone"' }),
          Fake.empty(304)
        ])
        const shop = yield* Shop.connect(transport)
        const get = Effect.map(run(shop.places.web(p1), 0), ({ outcome }) => outcome)
        const [first, second] = [yield* get, yield* get]
        yield* TestClock.adjust("10 seconds")
        const third = yield* get

        const notFound = (attempts: number) => ({
          class: "FatalError",
          attempts,
          reason: { _tag: "NotFound", status: 404 }
        })
        assert.deepStrictEqual([first, second, third], [notFound(1), notFound(0), notFound(1)])
        assert.strictEqual(transport.sent.length, 2)
      })
    )
  )
})

describe("a second attempt beside a slow one", () => {
  it.effect("confirms what is kept as well", () =>
    inScenario(
      Effect.gen(function* () {
        const place = { id: "p1", name: "Berlin" }
        const first = Fake.json(place, 200, { etag: '"1"', "cache-control": "max-age=60" })
        const transport = Fake.make([first, Fake.silent, Fake.empty(304, { etag: '"1"' })])
        const shop = yield* Shop.connect(transport, { policy: { hedge: { delay: "1 second" } } })
        const get = shop.places.web({ params: { id: "p1" } })
        yield* get
        yield* TestClock.adjust("1 minute")
        const { outcome } = yield* run(Answer.capture(get), "5 seconds")

        assert.deepInclude((outcome as { readonly value: object }).value, { source: "revalidated", value: place })
        assert.strictEqual(transport.sent.length, 3)
      })
    )
  )
})

describe("stale-if-error", () => {
  /** What is given at so many seconds when the provider is down from then on. */
  const at = (seconds: number, says: Headers, robust = false) =>
    Effect.gen(function* () {
      const transport = Fake.make([named(1, says), Fake.empty(503)])
      const shop = yield* Shop.connect(transport, { policy: { attempts: 1 } })
      const get = robust ? shop.places.robust(p1) : shop.places.web(p1)
      yield* get
      yield* TestClock.adjust(Duration.seconds(seconds))
      return yield* Effect.catch(captured(get), ({ _tag }) => Effect.succeed(_tag))
    }).pipe(inScenario)

  it.effect("lasts as long as the answer says, or longer if that is declared", () =>
    Effect.gen(function* () {
      const says = { "cache-control": "max-age=10, stale-if-error=20" }

      assert.deepStrictEqual(
        [
          yield* at(29, says),
          yield* at(30, says),
          yield* at(30, says, true),
          yield* at(3609, says, true),
          yield* at(3610, says, true)
        ],
        ["n1 stale 29", "RetryableError", "n1 stale 30", "n1 stale 3609", "RetryableError"]
      )
    })
  )

  it.effect("is forbidden by must-revalidate and by no-cache, whatever is declared", () =>
    Effect.gen(function* () {
      const given: Array<string> = []
      for (const strict of ["must-revalidate", "no-cache", "Must-Revalidate"])
        given.push(yield* at(11, { "cache-control": `max-age=10, stale-if-error=60, ${strict}`, etag: '"1"' }, true))

      assert.deepStrictEqual(given, ["RetryableError", "RetryableError", "RetryableError"])
    })
  )
})

describe("stale-while-revalidate", () => {
  const says = { "cache-control": "max-age=10, stale-while-revalidate=20", etag: '"1"' }

  it.effect("gives what is stale at once, and fetches anew beside it, once", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((n) => (n === 1 ? named(1, says) : Fake.late(1000, named(n, says))))
        const shop = yield* Shop.connect(transport)
        const get = captured(shop.places.web(p1))
        yield* get
        yield* TestClock.adjust("10 seconds")
        const { outcome: stale, took } = yield* run(Effect.all([get, get]), 0)
        yield* TestClock.adjust("1 second")
        const fresh = yield* get
        yield* TestClock.adjust("29 seconds")
        const last = yield* get
        yield* TestClock.adjust("1 second")

        assert.deepStrictEqual([stale, took], [{ value: ["n1 stale 10", "n1 stale 10"] }, 0])
        assert.deepStrictEqual([fresh, last], ["n2 cached 0", "n2 stale 29"])
        assert.deepStrictEqual(
          transport.sent.map(({ at, headers }) => [at, headers["if-none-match"]]),
          [
            [0, undefined],
            [10_000, '"1"'],
            [40_000, '"1"']
          ]
        )
      })
    )
  )

  it.effect("waits for the provider beyond its time", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((n) => named(n, says))
        const shop = yield* Shop.connect(transport)
        yield* shop.places.web(p1)
        yield* TestClock.adjust("30 seconds")

        assert.strictEqual(yield* captured(shop.places.web(p1)), "n2 live 0")
      })
    )
  )

  it.effect("is tried again by the next call when it has failed", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((n) => (n === 2 ? Fake.empty(503) : named(n, says)))
        const shop = yield* Shop.connect(transport, { policy: { attempts: 1 } })
        const get = captured(shop.places.web(p1))
        yield* get
        yield* TestClock.adjust("10 seconds")
        const first = yield* get
        yield* TestClock.adjust(0)
        const second = yield* get
        yield* TestClock.adjust(0)

        assert.deepStrictEqual([first, second, yield* get], ["n1 stale 10", "n1 stale 10", "n3 cached 0"])
      })
    )
  )

  it.effect("goes on without the caller, and ends with the layer", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((n) => (n === 1 ? named(1, says) : Fake.silent))
        const scope = yield* Scope.make()
        const shop = yield* Effect.provideService(Shop.connect(transport), Scope.Scope, scope)
        yield* shop.places.web(p1)
        yield* TestClock.adjust("10 seconds")
        const caller = yield* Effect.forkChild(shop.places.web(p1))
        yield* Fiber.join(caller)
        yield* TestClock.adjust("1 second")
        const going = transport.open()
        yield* Scope.close(scope, Exit.void)
        yield* TestClock.adjust(0)

        assert.deepStrictEqual([going, transport.open(), transport.cut()], [1, 0, 1])
      })
    )
  )

  it.effect("runs sixteen at once, and leaves the others to later calls", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((_, { at }) => (at === 0 ? named(1, says) : Fake.silent))
        const shop = yield* Shop.connect(transport)
        const all = Effect.forEach(
          Array.from({ length: 20 }, (_, n) => n),
          (n) => shop.places.web({ params: { id: `${n}` } }),
          { discard: true }
        )
        yield* all
        yield* TestClock.adjust("10 seconds")
        yield* all
        yield* TestClock.adjust(0)

        assert.strictEqual(transport.open(), 16)
      })
    )
  )
})

describe("what HttpCaching is declared with", () => {
  it("refuses times that cannot be", () => {
    assert.throws(
      () => HttpCaching.http({ staleFor: Duration.infinity }),
      RangeError,
      "HttpCaching.http: staleFor must be 0 or more"
    )
    assert.throws(
      () => HttpCaching.http({ keepFor: Duration.infinity }),
      RangeError,
      "HttpCaching.http: keepFor must be 0 or more"
    )
    assert.throws(() => HttpCaching.http({ version: -1 }), RangeError, "HttpCaching.http: version")
  })

  it.effect("is missed by what another version of the rules wrote", () =>
    inScenario(
      Effect.gen(function* () {
        const value = { s: 200, h: { "cache-control": "max-age=60" }, j: { id: "p1", name: "old" }, r: "?" }
        const store = {
          ...AnswerStore.memory(),
          get: () => Effect.succeed({ payload: { version: 1, value }, ageMillis: 0 })
        }
        const layer = Layer.succeed(AnswerStore.AnswerStore, store)
        const shop = yield* Effect.provide(Shop.connect(Fake.make([named(1, {})])), layer)

        assert.strictEqual(yield* captured(shop.places.web(p1)), "n1 live 0")
        assert.strictEqual(yield* captured(Caching.bypass(shop.places.web(p1))), "n1 live 0")
      })
    )
  )
})
