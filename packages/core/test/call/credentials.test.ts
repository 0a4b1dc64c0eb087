import { assert, describe, it } from "@effect/vitest"
import { Call, Client, type CredentialSource, Idempotency, Provider } from "@breakwater/core"
import * as Auth from "@breakwater/core/Auth"
import { ConfigProvider, Context, Effect, Fiber, Layer, Redacted } from "effect"
import { TestClock } from "effect/testing"
import * as Acme from "../support/Acme.ts"
import * as Credentials from "../support/Credentials.ts"
import * as Fake from "../support/FakeTransport.ts"
import { errorOf, inScenario, LogBook, outcome, run } from "../support/Scenario.ts"

const order = { id: "o1", amount: 100 }
const get = (acme: Acme.AcmeClient) => acme.orders.get({ params: { id: "o1" } })
const authorizations = (transport: Fake.FakeTransport) => transport.sent.map(({ headers }) => headers["authorization"])

describe("where the credential goes (AUTH-1)", () => {
  const sentWith = Effect.fnUntraced(function* (auth: Auth.Auth, key: string) {
    const transport = Fake.make([Fake.json(order)])
    const acme = yield* Acme.connectTo(Acme.variant({ auth }), transport, { credential: Redacted.make(key) })
    yield* run(get(acme))
    return transport.sent[0]
  })

  it.effect("is the header, the query or Basic, as the provider says", () =>
    inScenario(
      Effect.gen(function* () {
        const bearer = yield* sentWith(Auth.bearer(), "k1-ü")
        const header = yield* sentWith(Auth.header("X-Api-Key"), "k1")
        const query = yield* sentWith(Auth.query("key"), "k&1")
        const basic = yield* sentWith(Auth.basic(), "me:pä")

        assert.strictEqual(bearer?.headers["authorization"], "Bearer k1-ü")
        assert.strictEqual(header?.headers["x-api-key"], "k1")
        assert.strictEqual(header?.headers["authorization"], undefined)
        assert.strictEqual(query?.url, "https://sandbox.acme.test/orders/o1?key=k%261")
        assert.strictEqual(query?.headers["authorization"], undefined)
        assert.strictEqual(basic?.headers["authorization"], `Basic ${Buffer.from("me:pä").toString("base64")}`)
      })
    )
  )
})

describe("a 401", () => {
  const unauthorized = { class: "FatalError", attempts: 1, reason: { _tag: "Unauthorized", status: 401 } }

  it.effect("with a key that was given once is Unauthorized, at once", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(401), Fake.json(order)])
        const acme = yield* Acme.connect(transport)

        assert.deepStrictEqual(yield* run(get(acme)), { outcome: unauthorized, took: 0 })
        assert.strictEqual(transport.sent.length, 1)
      })
    )
  )

  it.effect("with a source that refreshes costs one refresh and one attempt, at once (AUTH-7)", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(401), Fake.json(order)])
        const source = Credentials.source()
        const acme = yield* Acme.connect(transport, { credential: source })

        assert.deepStrictEqual(yield* run(get(acme)), { outcome: { value: order }, took: 0 })
        assert.deepStrictEqual(source.refreshes, [1])
        assert.deepStrictEqual(authorizations(transport), ["Bearer test_secret_1", "Bearer test_secret_2"])
      })
    )
  )

  it.effect("again after a refresh is CredentialRejected, without a second refresh", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json({ error: { code: "expired" } }, 401)])
        const source = Credentials.source()
        const acme = yield* Acme.connect(transport, { credential: source })

        assert.deepStrictEqual(yield* run(get(acme)), {
          outcome: {
            class: "FatalError",
            attempts: 2,
            reason: { _tag: "CredentialRejected", status: 401, code: "expired" }
          },
          took: 0
        })
        assert.deepStrictEqual(source.refreshes, [1])
      })
    )
  )

  it.effect("whose refresh says that the grant was revoked is CredentialRejected", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(401)])
        const source = Credentials.source({ refresh: () => Effect.fail(Credentials.revoked) })
        const acme = yield* Acme.connect(transport, { credential: source })

        assert.deepStrictEqual(yield* run(get(acme)), {
          outcome: { class: "FatalError", attempts: 1, reason: { _tag: "CredentialRejected" } },
          took: 0
        })
      })
    )
  )

  it.effect("for a generation that was replaced meanwhile asks for that generation, and gets what there is", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.late(1000, Fake.empty(401)), Fake.json(order)])
        const source = Credentials.source({ refresh: () => Effect.succeed(Credentials.credential(5)) })
        const acme = yield* Acme.connect(transport, { credential: source })
        const late = yield* Effect.forkChild(get(acme), { startImmediately: true })
        source.become(5)
        yield* TestClock.adjust("1 second")

        assert.deepStrictEqual(outcome(yield* Fiber.await(late)), { value: order })
        assert.deepStrictEqual(source.refreshes, [1])
        assert.deepStrictEqual(authorizations(transport), ["Bearer test_secret_1", "Bearer test_secret_5"])
      })
    )
  )

  it.effect("whose refresh gives nothing newer is Unauthorized", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(401)])
        const source = Credentials.source({
          refresh: (generation) => Effect.succeed(Credentials.credential(generation))
        })
        const acme = yield* Acme.connect(transport, { credential: source })

        assert.deepStrictEqual(yield* run(get(acme)), { outcome: unauthorized, took: 0 })
      })
    )
  )

  it.effect("whose refresh takes longer than the deadline is CredentialUnavailable, at the deadline", () =>
    inScenario(
      Effect.gen(function* () {
        const source = Credentials.source({ refresh: () => Effect.never })
        const acme = yield* Acme.connect(Fake.make([Fake.late(1000, Fake.empty(401))]), { credential: source })

        assert.deepStrictEqual(yield* run(get(acme).pipe(Call.withDeadline("3 seconds"))), {
          outcome: {
            class: "RetryableError",
            attempts: 1,
            reason: { _tag: "CredentialUnavailable", detail: "no answer before the deadline" },
            sent: "no"
          },
          took: 3000
        })
      })
    )
  )

  it.effect("during the refresh holds no slot: other calls go on", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(401), Fake.json(order)])
        const source = Credentials.source({ refresh: () => Effect.never })
        const acme = yield* Acme.connect(transport, {
          credential: source,
          policy: { bulkhead: { concurrency: 1, queue: 0 } }
        })
        const refreshing = yield* Effect.forkChild(get(acme), { startImmediately: true })

        assert.deepStrictEqual(yield* run(get(acme), 0), { outcome: { value: order }, took: 0 })
        yield* Fiber.interrupt(refreshing)
      })
    )
  )

  it.effect("does not count against the provider's health", () =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(Fake.make([Fake.empty(401)]), {
          policy: { breaker: { consecutiveFailures: 1 } }
        })
        yield* run(get(acme), 0)

        assert.deepStrictEqual((yield* run(get(acme), 0)).outcome, unauthorized)
      })
    )
  )

  it.effect("of an unsafe write is answered before any work: after the refresh it is sent again", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(401), Fake.json(order)])
        const acme = yield* Acme.connect(transport, { credential: Credentials.source() })
        const capture = acme.orders.capture({ params: { id: "o1" }, payload: { amount: 1 } })

        assert.deepStrictEqual((yield* run(capture)).outcome, { value: order })
        assert.strictEqual(transport.sent.length, 2)
      })
    )
  )
})

describe("a source that has no credential yet", () => {
  const waiting = (current: Effect.Effect<CredentialSource.Credential, CredentialSource.CredentialSourceError>) =>
    Credentials.source({ generation: undefined, current })

  it.effect("is waited for before anything is held", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(order)])
        const source = waiting(Effect.delay(Effect.succeed(Credentials.credential(3)), "2 seconds"))
        const acme = yield* Acme.connect(transport, { credential: source })

        assert.deepStrictEqual(yield* run(get(acme)), { outcome: { value: order }, took: 2000 })
        assert.deepStrictEqual(authorizations(transport), ["Bearer test_secret_3"])
        assert.strictEqual(source.asked(), 1)
      })
    )
  )

  it.effect("and is down is CredentialUnavailable, nothing sent", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(order)])
        const acme = yield* Acme.connect(transport, { credential: waiting(Effect.fail(Credentials.down)) })

        assert.deepStrictEqual(yield* run(get(acme)), {
          outcome: {
            class: "RetryableError",
            attempts: 0,
            reason: { _tag: "CredentialUnavailable", detail: "token endpoint answered 503" },
            sent: "no"
          },
          took: 0
        })
        assert.strictEqual(transport.sent.length, 0)
      })
    )
  )

  it.effect("and was revoked is CredentialRejected, nothing sent", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(order)])
        const acme = yield* Acme.connect(transport, { credential: waiting(Effect.fail(Credentials.revoked)) })

        assert.deepStrictEqual((yield* run(get(acme))).outcome, {
          class: "FatalError",
          attempts: 0,
          reason: { _tag: "CredentialRejected" }
        })
        assert.strictEqual(transport.sent.length, 0)
      })
    )
  )

  it.effect("and does not answer is DeadlineExceeded, at the deadline", () =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(Fake.make([]), { credential: waiting(Effect.never) })

        assert.deepStrictEqual(yield* run(get(acme).pipe(Call.withDeadline("3 seconds"))), {
          outcome: {
            class: "RetryableError",
            attempts: 0,
            reason: { _tag: "DeadlineExceeded", deadline: 3000 },
            sent: "no"
          },
          took: 3000
        })
      })
    )
  )

  it.effect("leaves a keyed call's key free for another try", () =>
    inScenario(
      Effect.gen(function* () {
        let failing = true
        const source = waiting(
          Effect.suspend(() => (failing ? Effect.fail(Credentials.down) : Effect.succeed(Credentials.credential(1))))
        )
        const acme = yield* Acme.connect(Fake.make([Fake.json(order)]), { credential: source })
        const create = acme.orders.create({ payload: { amount: 1 } })
        const twice = Effect.gen(function* () {
          const first = yield* Effect.flip(create)
          failing = false
          return { first: first._tag, second: yield* create }
        }).pipe(Idempotency.withKey("k"))

        assert.deepStrictEqual((yield* run(twice)).outcome, { value: { first: "RetryableError", second: order } })
      })
    )
  )
})

describe("the environment guard (AUTH-8)", () => {
  const built = (key: string, environment?: "sandbox" | "production") =>
    Effect.gen(function* () {
      const transport = Fake.make([Fake.json(order)])
      const options = { credential: Redacted.make(key), ...(environment === undefined ? {} : { environment }) }
      const acme = yield* Acme.connect(transport, options)
      yield* run(get(acme))
      return transport.sent.map(({ url }) => url)
    })

  it.effect("takes sandbox where nothing is said, with a key of it", () =>
    inScenario(
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* built("test_1"), ["https://sandbox.acme.test/orders/o1"])
      })
    )
  )

  it.effect("takes production where it is said, with a key of it", () =>
    inScenario(
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* built("live_1", "production"), ["https://api.acme.test/orders/o1"])
      })
    )
  )

  it.effect("takes a key that looks like neither", () =>
    inScenario(
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* built("other_1"), ["https://sandbox.acme.test/orders/o1"])
      })
    )
  )

  it.effect.each([
    { key: "live_planted", environment: "sandbox", found: "production" },
    { key: "test_planted", environment: "production", found: "sandbox" }
  ] as const)("refuses a $found key in $environment before any request", ({ environment, found, key }) =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(order)])
        const error = yield* errorOf(Acme.connect(transport, { credential: Redacted.make(key), environment }))

        assert.strictEqual(
          error.message,
          `connection to acme: credential is a ${found} key, and the environment is ${environment}: nothing was sent`
        )
        assert.strictEqual(transport.sent.length, 0)
        assert.isFalse(JSON.stringify(error).includes("planted"))
      })
    )
  )

  it.effect.each(["", "   "])("refuses an empty key %j", (key) =>
    inScenario(
      Effect.gen(function* () {
        const error = yield* errorOf(Acme.connect(Fake.make([]), { credential: Redacted.make(key) }))

        assert.strictEqual(error.message, "connection to acme: credential must not be empty")
      })
    )
  )

  it.effect.each(["http://api.acme.test", "ftp://api.acme.test", "acme", "https://"])(
    "refuses a base URL that is not https: %s (SAFE-8)",
    (baseUrl) =>
      inScenario(
        Effect.gen(function* () {
          const error = yield* errorOf(Acme.connect(Fake.make([]), { baseUrl }))

          assert.strictEqual(error.message, "connection to acme: baseUrl must be https, or http on loopback")
        })
      )
  )

  it.effect(
    "refuses a rate limit that an operation costs more than, or where the provider declares no single limit",
    () =>
      inScenario(
        Effect.gen(function* () {
          const ruleOf = (rate: Parameters<typeof Acme.variant>[0]["rate"], rateLimit: number) =>
            Effect.map(
              errorOf(Acme.connectTo(Acme.variant({ rate }), Fake.make([]), { rateLimit })),
              ({ message }) => message
            )
          const limit = { limit: 10, window: "1 second" } as const

          assert.strictEqual(
            yield* ruleOf(limit, 1.5),
            "connection to acme: rateLimit must not be below the cost (2) of orders.replace"
          )
          for (const rate of [undefined, [{ name: "all", limits: limit }]]) {
            assert.strictEqual(
              yield* ruleOf(rate, 5),
              "connection to acme: rateLimit replaces one limit, and the provider does not declare one"
            )
          }
        })
      )
  )

  it.effect.each([0, -1, Number.NaN])("refuses a rate limit of %d", (rateLimit) =>
    inScenario(
      Effect.gen(function* () {
        const error = yield* errorOf(Acme.connect(Fake.make([]), { rateLimit }))

        assert.strictEqual(error.message, "connection to acme: rateLimit must be above 0")
      })
    )
  )

  it.effect("takes a base URL on loopback, with a path and a slash at its end", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(order)])
        const acme = yield* Acme.connect(transport, { baseUrl: "http://127.0.0.1:4010/eu/" })
        yield* run(get(acme))

        assert.strictEqual(transport.sent[0]?.url, "http://127.0.0.1:4010/eu/orders/o1")
      })
    )
  )
})

describe("the start line (AUTH-8, AUTH-9)", () => {
  const lineOf = Effect.fnUntraced(function* (options: Parameters<typeof Acme.connect>[1], provider = Acme.provider) {
    const book = new LogBook()
    yield* inScenario(Acme.connectTo(provider, Fake.make([]), options), book)
    return book.lines
  })

  it.effect("says environment, origin, key fingerprint and API version, and not the key", () =>
    Effect.gen(function* () {
      const [line, ...others] = yield* lineOf({ credential: Redacted.make("live_planted"), environment: "production" })

      assert.deepStrictEqual(others, [])
      assert.strictEqual(line?.level, "Info")
      assert.match(
        line?.message ?? "",
        /^acme: production at https:\/\/api\.acme\.test, key [0-9a-f]{8}, API version 2026-11-01, records: no$/u
      )
      assert.isFalse(JSON.stringify(line).includes("planted"))
    })
  )

  it.effect("has the same fingerprint for the same key, and another for another", () =>
    Effect.gen(function* () {
      const of = (key: string) =>
        Effect.map(
          lineOf({ credential: Redacted.make(key) }),
          ([line]) => /key ([0-9a-f]{8})/u.exec(line?.message ?? "")?.[1]
        )

      assert.strictEqual(yield* of("test_a"), yield* of("test_a"))
      assert.notStrictEqual(yield* of("test_a"), yield* of("test_b"))
    })
  )

  it.effect("says that a source has no key yet, and that no version is pinned", () =>
    Effect.gen(function* () {
      const [line] = yield* lineOf(
        { credential: Credentials.source({ generation: undefined }) },
        Acme.variant({ version: undefined })
      )

      assert.strictEqual(
        line?.message,
        "acme: sandbox at https://sandbox.acme.test, key not obtained yet, API version unpinned, records: no"
      )
    })
  )
})

describe("what every request carries", () => {
  it.effect("is the pinned version, the user agent and the correlation id (SAFE-13, SAFE-14, OBS-3)", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(order)])
        const acme = yield* Acme.connect(transport, { userAgent: "shop/1.4 (ops@shop.example)" })
        yield* run(
          acme.orders.create({ payload: { amount: 1 } }).pipe(Idempotency.withKey("k 1"), Call.withCorrelationId("c-1"))
        )

        assert.deepStrictEqual(transport.sent[0]?.headers, {
          "content-type": "application/json",
          "content-length": "12",
          "acme-version": "2026-11-01",
          "user-agent": "shop/1.4 (ops@shop.example)",
          "x-request-id": "c-1",
          "idempotency-key": "k 1",
          authorization: "Bearer test_4242abcd"
        })
      })
    )
  )

  it.effect.each(["no/slash/twice", "", "bad\r\nheader: x", "x".repeat(201)])(
    "refuses the user agent %j",
    (userAgent) =>
      inScenario(
        Effect.gen(function* () {
          const error = yield* errorOf(Acme.connect(Fake.make([]), { userAgent }))

          assert.strictEqual(
            error.message,
            'connection to acme: userAgent must be like "shop/1.4 (ops@shop.example)", at most 200 characters'
          )
        })
      )
  )
})

describe("Client.layerConfig", () => {
  const connect = (
    transport: Fake.FakeTransport,
    variables: Record<string, string>,
    options?: Parameters<typeof Client.layerConfig>[2]
  ) =>
    Layer.build(Client.layerConfig(Acme.Acme, Acme.provider, options).pipe(Layer.provide(transport.layer))).pipe(
      Effect.map(Context.get(Acme.Acme)),
      Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown(variables))
    )

  it.effect("needs a key and nothing else; the environment is then sandbox", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.json(order)])
        const acme = yield* connect(transport, { ACME_API_KEY: "test_9" })
        yield* run(get(acme))

        assert.strictEqual(transport.sent[0]?.url, "https://sandbox.acme.test/orders/o1")
        assert.strictEqual(transport.sent[0]?.headers["authorization"], "Bearer test_9")
      })
    )
  )

  it.effect("reads every variable that it documents", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.late(600, Fake.empty(503))])
        const acme = yield* connect(transport, {
          ACME_API_KEY: "live_9",
          ACME_ENVIRONMENT: "production",
          ACME_BASE_URL: "https://eu.acme.test",
          ACME_CONNECTION: "tenant-7",
          ACME_DEADLINE: "9 seconds",
          ACME_ATTEMPT_TIMEOUT: "3 seconds",
          ACME_SILENCE_TIMEOUT: "1 second",
          ACME_CONNECT_TIMEOUT: "500 millis",
          ACME_ATTEMPTS: "2",
          ACME_CONCURRENCY: "1",
          USER_AGENT: "shop/2"
        })
        const error = yield* errorOf(get(acme))

        assert.strictEqual(transport.sent.length, 2)
        assert.strictEqual(transport.sent[0]?.url, "https://eu.acme.test/orders/o1")
        assert.strictEqual(transport.sent[0]?.headers["user-agent"], "shop/2")
        assert.strictEqual(error.connection, "tenant-7")
      })
    )
  )

  it.effect("times what it was told to time", () =>
    inScenario(
      Effect.gen(function* () {
        const timed = Effect.fnUntraced(function* (variables: Record<string, string>, step: Fake.Step = Fake.silent) {
          const acme = yield* connect(Fake.make([step]), { ACME_API_KEY: "test_9", ACME_ATTEMPTS: "1", ...variables })
          return yield* run(get(acme))
        })
        const refusedTo = Fake.broken("UND_ERR_CONNECT_TIMEOUT")

        assert.strictEqual((yield* timed({ ACME_SILENCE_TIMEOUT: "700 millis" })).took, 700)
        assert.strictEqual((yield* timed({ ACME_ATTEMPT_TIMEOUT: "800 millis" })).took, 800)
        assert.strictEqual((yield* timed({ ACME_DEADLINE: "900 millis" })).took, 900)
        assert.deepStrictEqual((yield* timed({ ACME_CONNECT_TIMEOUT: "300 millis" }, refusedTo)).outcome, {
          class: "RetryableError",
          attempts: 1,
          reason: { _tag: "Timeout", phase: "connect", after: 300 },
          sent: "no"
        })
      })
    )
  )

  it.effect("lets Config go before the options, and the options before the provider", () =>
    inScenario(
      Effect.gen(function* () {
        const attempts = Effect.fnUntraced(function* (
          variables: Record<string, string>,
          options?: { policy: { attempts: number } }
        ) {
          const transport = Fake.make([Fake.empty(503)])
          const acme = yield* connect(transport, { ACME_API_KEY: "test_9", ...variables }, options)
          yield* run(get(acme))
          return transport.sent.length
        })

        assert.strictEqual(yield* attempts({}), 4)
        assert.strictEqual(yield* attempts({}, { policy: { attempts: 3 } }), 3)
        assert.strictEqual(yield* attempts({ ACME_ATTEMPTS: "2" }, { policy: { attempts: 3 } }), 2)
      })
    )
  )

  const bad: ReadonlyArray<readonly [string, Record<string, string>, RegExp]> = [
    ["no key", {}, /ACME_API_KEY/u],
    ["an empty key", { ACME_API_KEY: "" }, /ACME_API_KEY|credential must not be empty/u],
    [
      "a live key in sandbox",
      { ACME_API_KEY: "live_planted" },
      /credential is a production key, and the environment is sandbox/u
    ],
    ["an unknown environment", { ACME_ENVIRONMENT: "prod" }, /ACME_ENVIRONMENT/u],
    ["a base URL without TLS", { ACME_BASE_URL: "http://acme.test" }, /baseUrl must be https, or http on loopback/u],
    ["a deadline that is no duration", { ACME_DEADLINE: "soon" }, /ACME_DEADLINE/u],
    ["an attempt timeout that is no duration", { ACME_ATTEMPT_TIMEOUT: "soon" }, /ACME_ATTEMPT_TIMEOUT/u],
    ["a silence timeout that is no duration", { ACME_SILENCE_TIMEOUT: "soon" }, /ACME_SILENCE_TIMEOUT/u],
    ["a connect timeout that is no duration", { ACME_CONNECT_TIMEOUT: "soon" }, /ACME_CONNECT_TIMEOUT/u],
    ["attempts that are no number", { ACME_ATTEMPTS: "many" }, /ACME_ATTEMPTS/u],
    [
      "no attempts",
      { ACME_ATTEMPTS: "0" },
      /^policy of acme: ACME_ATTEMPTS must be a whole number from 1 to 20, got 0$/u
    ],
    ["a deadline of zero", { ACME_DEADLINE: "0 seconds" }, /^policy of acme: ACME_DEADLINE must be longer than zero$/u],
    [
      "an attempt longer than the deadline",
      { ACME_DEADLINE: "3 seconds", ACME_ATTEMPT_TIMEOUT: "4 seconds" },
      /^policy of acme: ACME_ATTEMPT_TIMEOUT \(4s\) must not be longer than deadline \(3s\)$/u
    ],
    ["no concurrency", { ACME_CONCURRENCY: "0" }, /^policy of acme: ACME_CONCURRENCY must be a whole number/u],
    ["a user agent that is none", { USER_AGENT: "a/b/c" }, /userAgent must be like/u]
  ]

  it.effect.each(bad)("refuses %s, and says which", ([, variables, message]) =>
    inScenario(
      Effect.gen(function* () {
        const key = "ACME_API_KEY" in variables || Object.keys(variables).length === 0 ? {} : { ACME_API_KEY: "test_9" }
        const transport = Fake.make([])
        const error = yield* errorOf(connect(transport, { ...key, ...variables }))

        assert.match(error.message, message)
        assert.isFalse(`${error.message}${JSON.stringify(error)}`.includes("planted"))
        assert.strictEqual(transport.sent.length, 0)
      })
    )
  )

  it.effect("reads the key again after a 401, so that a rotated one needs no restart (AUTH-7)", () =>
    inScenario(
      Effect.gen(function* () {
        const variables = { ACME_API_KEY: "test_old" }
        const transport = Fake.make((_, sent) =>
          sent.headers["authorization"] === "Bearer test_new" ? Fake.json(order) : Fake.empty(401)
        )
        const acme = yield* connect(transport, variables)
        const before = yield* run(get(acme))
        variables.ACME_API_KEY = "test_new"
        const after = yield* run(get(acme))
        const next = yield* run(get(acme))

        assert.deepStrictEqual(before.outcome, {
          class: "FatalError",
          attempts: 1,
          reason: { _tag: "Unauthorized", status: 401 }
        })
        assert.deepStrictEqual(after.outcome, { value: order })
        assert.deepStrictEqual(next.outcome, { value: order })
        assert.deepStrictEqual(authorizations(transport), [
          "Bearer test_old",
          "Bearer test_old",
          "Bearer test_new",
          "Bearer test_new"
        ])
      })
    )
  )

  it.effect("does not send a key that was rotated to one of the other environment", () =>
    inScenario(
      Effect.gen(function* () {
        const variables = { ACME_API_KEY: "test_old" }
        const transport = Fake.make([Fake.empty(401), Fake.json(order)])
        const acme = yield* connect(transport, variables)
        variables.ACME_API_KEY = "live_planted"
        const ended = yield* run(get(acme))

        assert.isFalse(authorizations(transport).includes("Bearer live_planted"))
        assert.deepStrictEqual(ended.outcome, {
          class: "RetryableError",
          attempts: 1,
          reason: {
            _tag: "CredentialUnavailable",
            detail: "ACME_API_KEY is a production key, and the environment is sandbox: nothing was sent"
          },
          sent: "no"
        })
      })
    )
  )

  it.effect("names its variables after the provider, in capitals, dashes as underscores", () =>
    inScenario(
      Effect.gen(function* () {
        const dashed = Provider.make("two-words", Acme.provider)
        const tag = Context.Service<"two", Client.Of<typeof dashed>>("test/Two")
        const transport = Fake.make([Fake.empty(204)])
        const client = yield* Layer.build(Client.layerConfig(tag, dashed).pipe(Layer.provide(transport.layer))).pipe(
          Effect.map(Context.get(tag)),
          Effect.provideService(
            ConfigProvider.ConfigProvider,
            ConfigProvider.fromUnknown({ TWO_WORDS_API_KEY: "test_9" })
          )
        )
        yield* run(client.orders.ping())

        assert.strictEqual(transport.sent[0]?.headers["authorization"], "Bearer test_9")
      })
    )
  )
})
