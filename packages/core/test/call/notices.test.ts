import { assert, describe, it } from "@effect/vitest"
import { Call, Dialect, Health, Notice } from "@breakwater/core"
import { Duration, Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { counted } from "../support/Metrics.ts"
import { inScenario, LogBook, run } from "../support/Scenario.ts"

const order = { id: "o1", amount: 100 }
const get = (acme: Acme.AcmeClient) => acme.orders.get({ params: { id: "o1" } })
const origin = { provider: "acme", connection: "default", environment: "sandbox" }

/** What a listener hears. */
const listening = () => {
  const heard: Array<Notice.Notice> = []
  return { heard, listener: (notice: Notice.Notice) => void heard.push(notice) }
}

/** The counts of a metric, by what tells its series apart. */
const counts = (id: string) =>
  Effect.map(counted, (series) => Object.entries(series).filter(([name]) => name.startsWith(`${id} `)))

describe("a limit that is about to be used up (RATE-4)", () => {
  const limited = Acme.variant({ rate: { limit: 10, window: "1 minute", burst: 10 } })

  it.effect("is said once in a line, counted, and heard, and seen in the health of the connection", () => {
    const book = new LogBook()
    const { heard, listener } = listening()
    return inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connectTo(limited, Fake.make([Fake.json(order)]), { userAgent: "shop/1" })
        for (let n = 0; n < 10; n++) yield* run(get(acme), 0)
        const { connections } = yield* Health.snapshot
        const usage = { limitName: "default", partition: null, limit: 10, windowMillis: 60_000 }

        assert.deepStrictEqual(heard, [{ _tag: "RateUsed", ...origin, ...usage, used: 8 }])
        assert.deepStrictEqual(book.of("Warn"), [
          {
            level: "Warn",
            message: "acme: 8 of 10 requests of limit default in 1m used",
            fields: {
              service: "shop",
              third_party: "acme",
              operation: "acme.orders.get",
              event: "rate usage",
              limit_name: "default",
              limit: 10,
              used: 8,
              window_ms: 60_000
            }
          }
        ])
        assert.deepStrictEqual(yield* counts("breakwater.rate.alarms"), [
          ["breakwater.rate.alarms acme.orders.get rate.limit=default", 1]
        ])
        assert.deepStrictEqual(connections[0]?.rateBudget.usage, [{ ...usage, used: 10 }])
      }).pipe(Effect.provideService(Notice.Listener, listener)),
      book
    )
  })

  it.effect("is told by answers too, under a label that the provider does not choose", () => {
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        const headers = { ratelimit: '"hourly";r=19;t=60', "ratelimit-policy": '"hourly";q=100;w=3600' }
        const acme = yield* Acme.connect(Fake.make([Fake.json(order, 200, headers)]))
        yield* run(get(acme), 0)
        const { connections } = yield* Health.snapshot

        assert.deepStrictEqual(
          book.of("Warn").map(({ message }) => message),
          ["acme: 81 of 100 requests of limit hourly used"]
        )
        assert.deepStrictEqual(yield* counts("breakwater.rate.alarms"), [
          ["breakwater.rate.alarms acme.orders.get rate.limit=told by the provider", 1]
        ])
        assert.deepStrictEqual(connections[0]?.rateBudget.usage, [
          { limitName: "hourly", partition: null, limit: 100, used: 81, windowMillis: null }
        ])
      }),
      book
    )
  })

  it.effect("has the share that the policy says", () => {
    const { heard, listener } = listening()
    return inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connectTo(limited, Fake.make([Fake.json(order)]), {
          policy: { rate: { alarmAt: 0.2 } }
        })
        for (let n = 0; n < 3; n++) yield* run(get(acme), 0)

        assert.deepStrictEqual(
          heard.map((notice) => (notice._tag === "RateUsed" ? notice.used : notice)),
          [2]
        )
      }).pipe(Effect.provideService(Notice.Listener, listener))
    )
  })

  it.effect("is told with its partition, sanitised, and not for each of many in the same minute", () => {
    const { heard, listener } = listening()
    const perCustomer = Acme.variant({
      rate: [{ name: "customer", limits: { limit: 2, window: "1 minute", burst: 2 }, perPartition: true }]
    })
    return inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connectTo(perCustomer, Fake.make([Fake.json(order)]))
        const twice = (key: string) => {
          const one = run(get(acme).pipe(Call.withPartition(key)), 0)
          return Effect.andThen(one, one)
        }
        for (const key of ["c-7", "c-8", "c-9"]) yield* twice(key)
        yield* TestClock.adjust("1 minute")
        yield* twice("ann@shop.example")

        assert.deepStrictEqual(
          heard.map((notice) => (notice._tag === "RateUsed" ? notice.partition : notice)),
          ["c-7", "<redacted>"]
        )
      }).pipe(Effect.provideService(Notice.Listener, listener))
    )
  })

  it.effect("of requests that run at once is told and shown where the dialect knows it, and holds nobody back", () => {
    const { heard, listener } = listening()
    const dialect: Dialect.Dialect = { concurrency: { header: "Twilio-Concurrent-Requests", limit: 50 } }
    return inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((n) =>
          Fake.json(order, 200, { "twilio-concurrent-requests": String([39, 40, 90][n - 1] ?? 12) })
        )
        const acme = yield* Acme.connectTo(Acme.variant({ dialect }), transport)
        for (let n = 0; n < 4; n++) yield* run(get(acme), 0)
        const { connections } = yield* Health.snapshot
        const usage = { limitName: "concurrency", partition: null, limit: 50, windowMillis: null }

        assert.deepStrictEqual(heard, [{ _tag: "RateUsed", ...origin, ...usage, used: 40 }])
        assert.deepStrictEqual(connections[0]?.rateBudget.usage, [{ ...usage, used: 12 }])
        assert.strictEqual(transport.sent.length, 4)
      }).pipe(Effect.provideService(Notice.Listener, listener))
    )
  })

  it.effect("costs no call its outcome when the listener throws", () =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connectTo(
          Acme.variant({ rate: { limit: 2, window: "1 minute", burst: 2 } }),
          Fake.make([Fake.json(order)])
        )
        yield* run(get(acme), 0)

        assert.deepStrictEqual(yield* run(get(acme), 0), { outcome: { value: order }, took: 0 })
      }).pipe(
        Effect.provideService(Notice.Listener, () => {
          throw new Error("a pager that is broken")
        })
      )
    )
  )
})

describe("an operation that will end (RFC 9745, RFC 8594)", () => {
  const ending = {
    deprecation: "@1688169600",
    sunset: "Sun, 01 Nov 2026 00:00:00 GMT",
    link: '<https://acme.test/docs/v2?token=tok_secret123>; rel="deprecation"'
  }

  it.effect("is said once for each operation and word: a line, a count, and for whoever listens", () => {
    const book = new LogBook()
    const { heard, listener } = listening()
    return inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((n) =>
          n % 2 === 0
            ? Fake.empty(204, ending)
            : Fake.json(order, 200, n === 5 ? { ...ending, deprecation: "true" } : ending)
        )
        const acme = yield* Acme.connect(transport, { userAgent: "shop/1" })
        for (let n = 0; n < 4; n++) {
          yield* run(get(acme), 0)
          yield* run(acme.orders.ping(), 0)
        }
        const deprecated = {
          _tag: "Deprecated" as const,
          ...origin,
          deprecatedAt: Date.UTC(2023, 6, 1),
          sunsetAt: Date.UTC(2026, 10, 1),
          link: "https://acme.test/docs/v2"
        }

        assert.deepStrictEqual(heard, [
          { ...deprecated, operation: "acme.orders.get" },
          { ...deprecated, operation: "acme.orders.ping" },
          { ...deprecated, operation: "acme.orders.get", deprecatedAt: undefined }
        ])
        assert.deepStrictEqual(book.of("Warn")[0], {
          level: "Warn",
          message:
            "acme.orders.get is deprecated since 2023-07-01T00:00:00.000Z, may end 2026-11-01T00:00:00.000Z: https://acme.test/docs/v2",
          fields: {
            service: "shop",
            third_party: "acme",
            operation: "acme.orders.get",
            event: "deprecated",
            deprecated_at: "2023-07-01T00:00:00.000Z",
            sunset_at: "2026-11-01T00:00:00.000Z",
            link: "https://acme.test/docs/v2"
          }
        })
        assert.deepStrictEqual(
          book.of("Warn").map(({ message }) => message.split(" ")[0]),
          ["acme.orders.get", "acme.orders.ping", "acme.orders.get"]
        )
        assert.sameDeepMembers(
          [...(yield* counts("breakwater.deprecation.count"))],
          [
            ["breakwater.deprecation.count acme.orders.get", 2],
            ["breakwater.deprecation.count acme.orders.ping", 1]
          ]
        )
      }).pipe(Effect.provideService(Notice.Listener, listener)),
      book
    )
  })

  it.effect("is said of answers that failed, and in a line without what is not known", () => {
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(Fake.make([Fake.empty(404, { deprecation: "true" })]))
        yield* run(get(acme), 0)

        assert.deepStrictEqual(book.of("Warn").at(-1), {
          level: "Warn",
          message: "acme.orders.get is deprecated",
          fields: {
            service: "breakwater",
            third_party: "acme",
            operation: "acme.orders.get",
            event: "deprecated"
          }
        })
      }),
      book
    )
  })

  it.effect("is said of at most eight words: a provider that says another one each time fills no log", () => {
    const { heard, listener } = listening()
    return inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((n) => Fake.json(order, 200, { deprecation: `@${1_688_169_600 + n}` }))
        const acme = yield* Acme.connect(transport)
        for (let n = 0; n < 100; n++) yield* run(get(acme), 0)

        assert.strictEqual(heard.length, 8)
      }).pipe(Effect.provideService(Notice.Listener, listener))
    )
  })

  it.effect("is not said when the answer says that it will not", () => {
    const { heard, listener } = listening()
    return inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(Fake.make([Fake.json(order, 200, { deprecation: "false", sunset: "never" })]))
        yield* run(get(acme), 0)

        assert.deepStrictEqual(heard, [])
      }).pipe(Effect.provideService(Notice.Listener, listener))
    )
  })
})

describe("a refusal for the rate", () => {
  const errors = {
    rules: [{ status: 403, header: { name: "x-ratelimit-remaining", value: "0" }, means: "RateLimited" }]
  } as const
  const noRetry = { attempts: 1, rateWait: "5 minutes", deadline: "10 minutes", hintCap: "5 minutes" } as const

  /** When a call of `get` and one of `ping` leave after one of `get` was refused. */
  const afterRefusal = Effect.fnUntraced(function* (dialect: Dialect.Dialect, refusal: Fake.Step) {
    yield* TestClock.setTime(1_700_000_000_000)
    const transport = Fake.make((n, { url }) =>
      n === 1 ? refusal : url.endsWith("ping") ? Fake.empty(204) : Fake.json(order)
    )
    const acme = yield* Acme.connectTo(Acme.variant({ dialect, errors }), transport, { policy: noRetry })
    const first = yield* run(get(acme), 0)
    const ping = yield* run(acme.orders.ping(), "10 minutes")
    yield* TestClock.setTime(1_700_000_000_000)
    const again = yield* run(get(acme), "10 minutes")
    return { first: first.outcome, ping: ping.took, again: again.took }
  })

  const refused = (retryAfter: number | undefined, status = 429) => ({
    class: "RetryableError",
    attempts: 1,
    reason: {
      _tag: "RateLimited",
      status,
      by: "provider",
      ...(retryAfter === undefined ? {} : { retryAfter })
    },
    sent: "no",
    ...(retryAfter === undefined ? {} : { retryAfter })
  })

  it.effect("of GitHub's primary limit lasts until the resource starts anew, by the provider's clock", () =>
    inScenario(
      Effect.gen(function* () {
        // Its clock is three minutes fast.
        const theirs = 1_700_000_000 + 180
        const headers = {
          date: new Date(theirs * 1000).toUTCString(),
          "x-ratelimit-limit": "60",
          "x-ratelimit-remaining": "0",
          "x-ratelimit-reset": String(theirs + 40),
          "x-ratelimit-resource": "core"
        }
        const { again, first } = yield* afterRefusal(Dialect.github, Fake.empty(403, headers))

        assert.deepStrictEqual(first, refused(40_000, 403))
        assert.strictEqual(again, 40_100)
      })
    )
  )

  it.effect("of GitHub's secondary limit lasts a minute where the answer does not say, for everybody", () =>
    inScenario(
      Effect.gen(function* () {
        const { first, ping } = yield* afterRefusal(Dialect.github, Fake.empty(429))

        assert.deepStrictEqual(first, refused(60_000))
        assert.strictEqual(ping, 60_100)
      })
    )
  )

  it.effect("of one of Slack's methods holds back that method alone", () =>
    inScenario(
      Effect.gen(function* () {
        const { again, ping } = yield* afterRefusal(Dialect.slack, Fake.empty(429, { "retry-after": "30" }))

        assert.deepStrictEqual([ping, again], [0, 30_100])
      })
    )
  )

  it.effect("of Stripe's holds back whom its reason names", () =>
    inScenario(
      Effect.gen(function* () {
        const held: Record<string, ReadonlyArray<number>> = {}
        for (const reason of ["global-rate", "endpoint-rate", "resource-specific"]) {
          const headers = { "retry-after": "30", "Stripe-Rate-Limited-Reason": reason }
          const { again, ping } = yield* afterRefusal(Dialect.stripe, Fake.empty(429, headers))
          held[reason] = [ping, again]
        }

        assert.deepStrictEqual(held, {
          "global-rate": [30_100, 30_100],
          "endpoint-rate": [0, 30_100],
          "resource-specific": [0, 0]
        })
      })
    )
  )

  it.effect("of SendGrid's lasts until the endpoint's window starts anew", () =>
    inScenario(
      Effect.gen(function* () {
        const headers = { "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1700000012" }
        const { again, first, ping } = yield* afterRefusal(Dialect.sendgrid, Fake.empty(429, headers))

        assert.deepStrictEqual([first, ping, again], [refused(12_000), 0, 12_100])
      })
    )
  )

  it.effect("of OpenAI's lasts as long as the limit that is spent", () =>
    inScenario(
      Effect.gen(function* () {
        const headers = {
          "x-ratelimit-remaining-requests": "10",
          "x-ratelimit-reset-requests": "1s",
          "x-ratelimit-remaining-tokens": "0",
          "x-ratelimit-reset-tokens": "1m0s"
        }
        const { again, first } = yield* afterRefusal(Dialect.openai, Fake.empty(429, headers))

        assert.deepStrictEqual([first, again], [refused(60_000), 60_100])
      })
    )
  )

  it.effect("that does not say how long it lasts holds nobody back", () =>
    inScenario(
      Effect.gen(function* () {
        const { again, first, ping } = yield* afterRefusal(Dialect.standard, Fake.empty(429))

        assert.deepStrictEqual([first, ping, again], [refused(undefined), 0, 0])
      })
    )
  )

  it.effect("holds back for the margin that the policy says, and never for longer than a hint is slept", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make((n) => (n === 1 ? Fake.empty(429, { "retry-after": "3600" }) : Fake.json(order)))
        const acme = yield* Acme.connect(transport, {
          policy: { attempts: 1, hintCap: "5 seconds", rate: { margin: "1 second" } }
        })
        yield* run(get(acme), 0)

        assert.deepStrictEqual(yield* run(get(acme), "10 seconds"), { outcome: { value: order }, took: 6000 })
      })
    )
  )
})

describe("limits that answers give names to", () => {
  it.effect("hold back the operations that share them, also those that were called once only", () =>
    inScenario(
      Effect.gen(function* () {
        const headers = (resource: string, remaining: number) => ({
          "x-ratelimit-limit": "60",
          "x-ratelimit-remaining": String(remaining),
          "x-ratelimit-reset": "9",
          "x-ratelimit-resource": resource
        })
        const transport = Fake.make((n, { url }) => {
          if (url.includes("search")) return Fake.json([order], 200, headers("search", 5))
          return url.endsWith("ping")
            ? Fake.empty(204, headers("core", n < 4 ? 7 : 0))
            : Fake.json(order, 200, headers("core", 6))
        })
        const acme = yield* Acme.connectTo(Acme.variant({ dialect: Dialect.github }), transport)
        yield* run(get(acme), 0)
        yield* run(acme.orders.search({ payload: { q: "a" } }), 0)
        yield* run(acme.orders.ping(), 0)
        yield* run(acme.orders.ping(), 0)
        const search = yield* run(acme.orders.search({ payload: { q: "a" } }), 0)
        const held = yield* run(get(acme), Duration.seconds(9))

        assert.deepStrictEqual([search.took, held.took], [0, 9000])
      })
    )
  )
})
