import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, outcome, run } from "../support/Scenario.ts"

const order = { id: "o1", amount: 100 }
const day = 24 * 3600 * 1000

type Headers = Record<string, string>

/** How long after the first attempt the second one left, for an answer with these headers. */
const waitAfter = Effect.fnUntraced(function* (status: number, headers: Headers) {
  const transport = Fake.make([Fake.empty(status, headers), Fake.json(order)])
  const acme = yield* Acme.connect(transport)
  const ended = yield* run(acme.orders.get({ params: { id: "o1" } }))
  assert.deepStrictEqual(ended.outcome, { value: order })
  return (transport.sent[1]?.at ?? 0) - (transport.sent[0]?.at ?? 0)
})

describe("a hint (SAFE-4)", () => {
  // The clock of a test begins at the epoch. Jitter adds 100 ms to a 503 and 500 ms to a 429.
  const read: ReadonlyArray<readonly [string, Headers, number]> = [
    ["seconds", { "retry-after": "7" }, 7000],
    ["zero seconds", { "retry-after": "0" }, 0],
    ["seconds within white space", { "retry-after": " 7 " }, 7000],
    ["an HTTP-date", { "retry-after": "Thu, 01 Jan 1970 00:00:09 GMT" }, 9000],
    ["an HTTP-date of RFC 850", { "retry-after": "Thursday, 01-Jan-70 00:00:09 GMT" }, 9000],
    ["an HTTP-date that is over", { "retry-after": "Wed, 31 Dec 1969 23:59:59 GMT" }, 0],
    ["milliseconds, which go first", { "retry-after-ms": "1500", "retry-after": "7" }, 1500],
    ["seconds beside unreadable milliseconds", { "retry-after-ms": "soon", "retry-after": "7" }, 7000]
  ]
  const unread: ReadonlyArray<readonly [string, Headers]> = [
    ["garbage", { "retry-after": "in a while" }],
    ["a negative number", { "retry-after": "-5" }],
    ["a fraction with a sign", { "retry-after": "+1.5" }],
    ["nothing", { "retry-after": "" }],
    ["infinity", { "retry-after": "Infinity" }],
    ["hexadecimal", { "retry-after": "0x10" }],
    ["negative milliseconds", { "retry-after-ms": "-1500" }]
  ]

  it.effect.each(read)("of %s is a floor below the jitter", ([, headers, millis]) =>
    inScenario(
      Effect.gen(function* () {
        assert.strictEqual(yield* waitAfter(503, headers), millis + 100)
      })
    )
  )

  it.effect.each(unread)("of %s says nothing", ([, headers]) =>
    inScenario(
      Effect.gen(function* () {
        assert.strictEqual(yield* waitAfter(503, headers), 100)
        assert.strictEqual(yield* waitAfter(429, headers), 500)
      })
    )
  )

  it.effect("of a day is not slept: the call fails now and carries it", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(503, { "retry-after": "86400" })])
        const acme = yield* Acme.connect(transport, { policy: { deadline: "2 days" } })

        assert.deepStrictEqual(yield* run(acme.orders.get({ params: { id: "o1" } })), {
          outcome: {
            class: "RetryableError",
            attempts: 1,
            reason: { _tag: "Unavailable", status: 503, problem: "status", retryAfter: day },
            sent: "unknown",
            retryAfter: day
          },
          took: 0
        })
      })
    )
  )

  it.effect.each([
    { hint: "60", attempts: 2 },
    { hint: "61", attempts: 1 }
  ])("of $hint s against a cap of 60 s: $attempts attempts", ({ attempts, hint }) =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(429, { "retry-after": hint }), Fake.json(order)])
        const acme = yield* Acme.connect(transport, { policy: { deadline: "10 minutes" } })
        yield* run(acme.orders.get({ params: { id: "o1" } }))

        assert.strictEqual(transport.sent.length, attempts)
      })
    )
  )

  it.effect("that does not fit the deadline fails the call now, and is carried", () =>
    inScenario(
      Effect.gen(function* () {
        const locked = Fake.json({ error: { code: "in_flight" } }, 409, { "retry-after": "30" })
        const acme = yield* Acme.connect(Fake.make([locked]))

        assert.deepStrictEqual(yield* run(acme.orders.get({ params: { id: "o1" } })), {
          outcome: {
            class: "RetryableError",
            attempts: 1,
            reason: { _tag: "Locked", status: 409, code: "in_flight", retryAfter: 30_000 },
            sent: "unknown",
            retryAfter: 30_000
          },
          took: 0
        })
      })
    )
  )

  it.effect.each([
    { deadline: 7100, attempts: 1 },
    { deadline: 7101, attempts: 2 }
  ])("of 7 s with 100 ms of jitter before a deadline of $deadline ms: $attempts attempts", ({ attempts, deadline }) =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(503, { "retry-after": "7" }), Fake.json(order)])
        const acme = yield* Acme.connect(transport, { policy: { deadline, rateWait: "1 second" } })
        yield* run(acme.orders.get({ params: { id: "o1" } }))

        assert.strictEqual(transport.sent.length, attempts)
      })
    )
  )

  it.effect("of a 429 holds back the other calls of the connection too", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(429, { "retry-after": "4" }), Fake.json(order)])
        const acme = yield* Acme.connect(transport)
        const get = acme.orders.get({ params: { id: "o1" } })
        const first = yield* Effect.forkChild(get, { startImmediately: true })
        const other = yield* Effect.forkChild(get, { startImmediately: true })
        yield* TestClock.adjust("1 minute")

        assert.deepStrictEqual(outcome(yield* Fiber.await(first)), { value: order })
        assert.deepStrictEqual(outcome(yield* Fiber.await(other)), { value: order })
        assert.deepStrictEqual(
          transport.sent.map(({ at }) => at),
          // The other leaves when the wait and its margin are over, the first when its jitter is.
          [0, 4100, 4500]
        )
      })
    )
  )

  it.effect("of a 503 is that call's own business", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(503, { "retry-after": "4" }), Fake.json(order)])
        const acme = yield* Acme.connect(transport)
        const get = acme.orders.get({ params: { id: "o1" } })
        yield* Effect.forkChild(get, { startImmediately: true })
        yield* Effect.forkChild(get, { startImmediately: true })
        yield* TestClock.adjust("1 minute")

        assert.deepStrictEqual(
          transport.sent.map(({ at }) => at),
          [0, 0, 4100]
        )
      })
    )
  )
})

describe("what an answer says of the quota that is left (RATE-2)", () => {
  const spent: ReadonlyArray<readonly [string, Headers]> = [
    ["the IETF field", { ratelimit: '"default";r=0;t=5' }],
    ["X-RateLimit-*, from now", { "x-ratelimit-remaining": "0", "x-ratelimit-reset": "5" }],
    ["X-RateLimit-*, since the epoch", { "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1700000005" }]
  ]

  it.effect.each(spent)("by %s is obeyed before a 429 comes", ([, headers]) =>
    inScenario(
      Effect.gen(function* () {
        yield* TestClock.setTime(1_700_000_000_000)
        const transport = Fake.make([Fake.json(order, 200, headers), Fake.json(order)])
        const acme = yield* Acme.connect(transport)
        const get = acme.orders.get({ params: { id: "o1" } })
        yield* get
        const second = yield* run(get)

        assert.deepStrictEqual(second, { outcome: { value: order }, took: 5000 })
        assert.strictEqual(transport.sent.length, 2)
      })
    )
  )
})
