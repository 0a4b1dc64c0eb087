import { assert, describe, it } from "@effect/vitest"
import { Call, Health, Idempotency } from "@breakwater/core"
import { Duration, Effect } from "effect"
import { HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { errorOf, inScenario, run } from "../support/Scenario.ts"

const order = { id: "o1", amount: 100 }
const limited = Acme.variant({ rate: { limit: 60, window: "1 minute", burst: 1 } })

/** What a call is refused for, and whether anything was sent or spent. */
const refusal = Effect.fnUntraced(function* (use: (acme: Acme.AcmeClient) => Effect.Effect<unknown, unknown>) {
  const transport = Fake.make([Fake.json(order)])
  const acme = yield* Acme.connectTo(limited, transport)
  const { outcome } = yield* run(use(acme), 0)
  const [health] = (yield* Health.snapshot).connections.slice(-1)
  return {
    outcome,
    sent: transport.sent.length,
    wait: health?.rateBudget.waitMillis,
    retryTokens: health?.retryBudget.tokens
  }
})

const untouched = { sent: 0, wait: 0, retryTokens: 500 }
const invalid = (field: string, detail: string) => ({
  outcome: { class: "FatalError", attempts: 0, reason: { _tag: "InvalidRequest", field, detail } },
  ...untouched
})

/** The URL that a value ends up in. */
const urlOf = Effect.fnUntraced(function* (use: (acme: Acme.AcmeClient) => Effect.Effect<unknown, unknown>) {
  const transport = Fake.make([Fake.json(order)])
  const acme = yield* Acme.connect(transport)
  yield* run(use(acme), 0)
  return transport.sent[0]?.url
})

describe("a path segment (SAFE-10)", () => {
  const segments: ReadonlyArray<readonly [string, ReturnType<typeof invalid>]> = [
    ["..", invalid("params.id", "must not be '.' or '..'")],
    [".", invalid("params.id", "must not be '.' or '..'")],
    ["a/../b", invalid("path", "must not hold '.' or '..' as a segment")],
    ["../admin", invalid("path", "must not hold '.' or '..' as a segment")],
    ["a\\..\\b", invalid("path", "must not hold '.' or '..' as a segment")],
    ["a\r\nb", invalid("path", "must not hold control characters")],
    ["a\u0000", invalid("path", "must not hold control characters")],
    ["x".repeat(1025), invalid("path", "segment must have at most 1024 characters, has 1025")],
    ["\ud800", invalid("request", "must be values that can be encoded")]
  ]

  it.effect.each(segments)("%j is refused; nothing is sent, no token spent", ([id, expected]) =>
    inScenario(
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* refusal((acme) => acme.orders.get({ params: { id } })), expected)
      })
    )
  )

  const encoded: ReadonlyArray<readonly [string, string]> = [
    ["a/b", "a%2Fb"],
    ["a b?c#d", "a%20b%3Fc%23d"],
    ["%2e%2e", "%252e%252e"],
    ["...", "..."],
    ["..a", "..a"],
    ["ü", "%C3%BC"],
    ["x".repeat(1024), "x".repeat(1024)]
  ]

  it.effect.each(encoded)("%j is encoded", ([id, path]) =>
    inScenario(
      Effect.gen(function* () {
        assert.strictEqual(
          yield* urlOf((acme) => acme.orders.get({ params: { id } })),
          `https://sandbox.acme.test/orders/${path}`
        )
      })
    )
  )
})

describe("a query value (SAFE-10)", () => {
  const values: ReadonlyArray<readonly [string, string]> = [
    ["a\r\nX: 1", "must not hold control characters"],
    ["a\u007f", "must not hold control characters"],
    ["x".repeat(4097), "must have at most 4096 characters, has 4097"]
  ]

  it.effect.each(values)("%j is refused; nothing is sent, no token spent", ([q, detail]) =>
    inScenario(
      Effect.gen(function* () {
        assert.deepStrictEqual(
          yield* refusal((acme) => acme.orders.find({ query: { q }, headers: {} })),
          invalid("query q", detail)
        )
      })
    )
  )

  it.effect("with everything that means something in a URL is encoded", () =>
    inScenario(
      Effect.gen(function* () {
        assert.strictEqual(
          yield* urlOf((acme) => acme.orders.find({ query: { q: "a&b=c#d e+f/../ü" }, headers: {} })),
          "https://sandbox.acme.test/orders?q=a%26b%3Dc%23d+e%2Bf%2F..%2F%C3%BC"
        )
      })
    )
  )
})

describe("a header value (SAFE-10)", () => {
  const values: ReadonlyArray<readonly [string, string]> = [
    ["a\r\nx-evil: 1", "must not hold control characters, CR or LF"],
    ["a\nb", "must not hold control characters, CR or LF"],
    ["a\u0000b", "must not hold control characters, CR or LF"],
    ["x".repeat(8193), "must have at most 8192 characters, has 8193"]
  ]

  it.effect.each(values)("%j is refused; nothing is sent, no token spent", ([note, detail]) =>
    inScenario(
      Effect.gen(function* () {
        assert.deepStrictEqual(
          yield* refusal((acme) => acme.orders.find({ query: { q: "a" }, headers: { "x-note": note } })),
          invalid("header x-note", detail)
        )
      })
    )
  )
})

describe("input that does not fit its schema", () => {
  it.effect("is refused naming where, and what was expected, never the value", () =>
    inScenario(
      Effect.gen(function* () {
        assert.deepStrictEqual(
          yield* refusal((acme) => acme.orders.capture({ params: { id: "o1" }, payload: { amount: 0.5 } })),
          invalid("amount", "must be an integer")
        )
        assert.deepStrictEqual(
          yield* refusal((acme) =>
            acme.orders.capture({ params: { id: "o1" }, payload: { amount: "planted" as never } })
          ),
          invalid("amount", "must be number")
        )
      })
    )
  )

  it.effect("is refused at once, before there is a call: no attempt, no time", () =>
    inScenario(
      Effect.gen(function* () {
        yield* TestClock.setTime(1_000_000)
        const acme = yield* Acme.connect(Fake.make([]))
        const replace = acme.orders.replace({ params: { id: "o1" }, payload: { amount: 0.5 } })
        const error = yield* errorOf(replace.pipe(Call.withCorrelationId("c-1")))

        assert.deepStrictEqual(
          [error._tag, error.attempts, Duration.toMillis(error.elapsed), error.correlationId],
          ["FatalError", 0, 0, "c-1"]
        )
      })
    )
  )

  it.effect("of a keyed write leaves its key free", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(order)])
        const acme = yield* Acme.connect(transport)
        const twice = Effect.andThen(
          Effect.exit(acme.orders.create({ payload: { amount: 0.5 } })),
          acme.orders.create({ payload: { amount: 5 } })
        )

        assert.deepStrictEqual((yield* run(twice.pipe(Idempotency.withKey("k")))).outcome, { value: order })
      })
    )
  )
})

describe("a correlation id", () => {
  it.effect.each(["", "a b", "a\r\nx-evil: 1", "x".repeat(129), "ü"])("%j is refused, and not repeated", (id) =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(order)])
        const acme = yield* Acme.connect(transport)
        const error = yield* errorOf(acme.orders.get({ params: { id: "o1" } }).pipe(Call.withCorrelationId(id)))

        assert.deepStrictEqual(
          { id: error.correlationId, message: error.message },
          {
            id: "invalid",
            message:
              "acme.orders.get: invalid request: correlation id must be 1 to 128 letters, digits, '.', '_', ':' or '-'"
          }
        )
        assert.strictEqual(transport.sent.length, 0)
      })
    )
  )

  it.effect.each(["a", "req:2026-11-21.7_b", "x".repeat(128)])("%s is sent as it is", (id) =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(order)])
        const acme = yield* Acme.connect(transport)
        yield* run(acme.orders.get({ params: { id: "o1" } }).pipe(Call.withCorrelationId(id)))

        assert.strictEqual(transport.sent[0]?.headers["x-request-id"], id)
      })
    )
  )

  it.effect("that nobody sets is another for each call, and fits its own rule", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(order)])
        const acme = yield* Acme.connect(transport)
        const other = yield* Acme.connect(transport)
        for (const client of [acme, acme, other, other]) yield* run(client.orders.get({ params: { id: "o1" } }))
        const ids = transport.sent.map(({ headers }) => headers["x-request-id"] ?? "")

        for (const id of ids) assert.match(id, /^[\w.:-]{1,128}$/u)
        assert.notStrictEqual(ids[0], ids[1])
      })
    )
  )
})

describe("a plain client's request (SAFE-8, SAFE-10)", () => {
  const plain = Effect.fnUntraced(function* (request: HttpClientRequest.HttpClientRequest) {
    const transport = Fake.make([Fake.empty(204)])
    const client = yield* Call.client(transport.client, { provider: "plain" })
    const { outcome } = yield* run(Effect.mapError(client.execute(request), ({ cause }) => cause))
    return { outcome, sent: transport.sent.length }
  })
  const refused = (field: string, detail: string) => ({
    outcome: { class: "FatalError", attempts: 0, reason: { _tag: "InvalidRequest", field, detail } },
    sent: 0
  })
  const dots = refused("path", "must not hold '.' or '..' as a segment")
  const insecure = refused("url", "must be https, or http on loopback")

  const urls: ReadonlyArray<readonly [string, ReturnType<typeof refused>]> = [
    ["https://plain.test/a/../b", dots],
    ["https://plain.test/a/%2e%2e/b", dots],
    ["https://plain.test/a/%2E./b", dots],
    ["https://plain.test/a%2f..%2fb", dots],
    ["https://plain.test/a%5c..%5cb", dots],
    ["https://plain.test/a%0d%0ab", refused("path", "must not hold control characters")],
    ["https://plain.test/a%zz", refused("path", "has a percent sign that escapes nothing")],
    ["https://plain.test/\r\nx", refused("url", "must not hold control characters")],
    [`https://plain.test/${"x".repeat(8192)}`, refused("url", "must have at most 8192 characters, has 8211")],
    ["http://plain.test/", insecure],
    ["http://127.0.0.1.evil.test/", insecure],
    ["http://localhost.evil.test/", insecure],
    ["ftp://plain.test/", insecure],
    ["/relative", insecure]
  ]

  it.effect.each(urls)("to %s is refused, and not sent", ([url, expected]) =>
    inScenario(
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* plain(HttpClientRequest.get(url)), expected)
      })
    )
  )

  it.effect.each(["https://plain.test/a?b=..", "http://127.0.0.1:3000/", "http://localhost/", "http://[::1]:8080/x"])(
    "to %s is sent",
    (url) =>
      inScenario(
        Effect.gen(function* () {
          assert.strictEqual((yield* plain(HttpClientRequest.get(url))).sent, 1)
        })
      )
  )
})
