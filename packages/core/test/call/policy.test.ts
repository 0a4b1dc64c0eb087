import { assert, describe, it } from "@effect/vitest"
import { Auth, Call, CallPolicy, Client, Operation, Provider, Safety } from "@breakwater/core"
import { Context, Effect, Layer, Result, Schedule, Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { apiKey } from "../support/Acme.ts"
import * as Acme from "../support/Acme.ts"
import * as Fake from "../support/FakeTransport.ts"
import { errorOf, inScenario, run } from "../support/Scenario.ts"

/** One rule of PolicyRules each: the policy that breaks it, the field it names, and what it says. */
const contradictions: ReadonlyArray<readonly [CallPolicy.CallPolicy, string, string]> = [
  [{ deadline: "0 seconds" }, "deadline", "must be longer than zero"],
  [{ deadline: "-1 seconds" }, "deadline", "must be longer than zero"],
  [{ deadline: "25 days" }, "deadline", "must be at most 24 days"],
  [{ deadline: Infinity }, "deadline", "must be at most 24 days"],
  [{ deadline: "soon" as never }, "deadline", 'must be a duration such as "5 seconds", got "soon"'],
  [{ attemptTimeout: "31 seconds" }, "attemptTimeout", "(31s) must not be longer than deadline (30s)"],
  [{ silenceTimeout: "11 seconds" }, "silenceTimeout", "(11s) must not be longer than attemptTimeout (10s)"],
  [{ connectTimeout: "11 seconds" }, "connectTimeout", "(11s) must not be longer than attemptTimeout (10s)"],
  [{ attempts: 0 }, "attempts", "must be a whole number from 1 to 20, got 0"],
  [{ attempts: 21 }, "attempts", "must be a whole number from 1 to 20, got 21"],
  [{ attempts: 1.5 }, "attempts", "must be a whole number from 1 to 20, got 1.5"],
  [{ backoff: { cap: "0 seconds" } }, "backoff.cap", "must be longer than zero"],
  [{ backoff: { base: "21 seconds" } }, "backoff.base", "(21s) must not be longer than backoff.cap (20s)"],
  [
    { backoff: { throttledBase: "21 seconds" } },
    "backoff.throttledBase",
    "(21s) must not be longer than backoff.cap (20s)"
  ],
  [
    { schedule: Schedule.forever, backoff: {} },
    "backoff",
    "must be left out when schedule is given: the schedule decides the delays"
  ],
  [{ hintCap: "0 seconds" }, "hintCap", "must be longer than zero"],
  [{ breaker: { failureRate: 0 } }, "breaker.failureRate", "must be above 0 and at most 1, got 0"],
  [{ breaker: { failureRate: 1.1 } }, "breaker.failureRate", "must be above 0 and at most 1, got 1.1"],
  [{ breaker: { failureRate: Number.NaN } }, "breaker.failureRate", "must be above 0 and at most 1, got NaN"],
  [{ breaker: { window: 0 } }, "breaker.window", "must be a whole number from 1 to 10000, got 0"],
  [{ breaker: { minimumCalls: 0 } }, "breaker.minimumCalls", "must be a whole number from 1 to 10000, got 0"],
  [
    { breaker: { window: 10, minimumCalls: 11 } },
    "breaker.minimumCalls",
    "(11) must not be more than breaker.window (10): the rate could never count"
  ],
  [
    { breaker: { openFor: "10 seconds", maxOpenFor: "9 seconds" } },
    "breaker.maxOpenFor",
    "must not be shorter than breaker.openFor"
  ],
  [
    { breaker: { consecutiveFailures: 0 } },
    "breaker.consecutiveFailures",
    "must be a whole number from 1 to 10000, got 0"
  ],
  [{ breaker: { timeWindow: "0 seconds" } }, "breaker.timeWindow", "must be longer than zero"],
  [{ breaker: { slowAfter: "0 seconds" } }, "breaker.slowAfter", "must be longer than zero"],
  [{ breaker: { slowRate: 0 } }, "breaker.slowRate", "must be above 0 and at most 1, got 0"],
  [{ breaker: { slowRate: 1.1 } }, "breaker.slowRate", "must be above 0 and at most 1, got 1.1"],
  [{ breaker: { probes: 0 } }, "breaker.probes", "must be a whole number from 1 to 100, got 0"],
  [{ breaker: { probes: 101 } }, "breaker.probes", "must be a whole number from 1 to 100, got 101"],
  [{ breaker: { probeLease: "0 seconds" } }, "breaker.probeLease", "must be longer than zero"],
  [{ breaker: { ramp: "-1 seconds" } }, "breaker.ramp", "must not be negative"],
  [{ breaker: { ramp: "25 days" } }, "breaker.ramp", "must be at most 24 days"],
  [{ breaker: { windowAge: "0 seconds" } }, "breaker.windowAge", "must be longer than zero"],
  [{ breaker: { successesToClose: 101 } }, "breaker.successesToClose", "must be a whole number from 1 to 100, got 101"],
  [{ bulkhead: { concurrency: 0 } }, "bulkhead.concurrency", "must be a whole number from 1 to 100000, got 0"],
  [{ bulkhead: { queue: -1 } }, "bulkhead.queue", "must be a whole number from 0 to 1000000, got -1"],
  [
    { deadline: "3 seconds", bulkhead: { queueTimeout: "4 seconds" } },
    "bulkhead.queueTimeout",
    "(4s) must not be longer than deadline (3s)"
  ],
  [{ rateWait: "31 seconds" }, "rateWait", "(31s) must not be longer than deadline (30s)"],
  [{ maxBodyBytes: 0 }, "maxBodyBytes", "must be a whole number from 1 to 2147483648, got 0"]
]

describe("a policy that contradicts itself", () => {
  it.effect.each(contradictions)("%j is refused by Client.layer, before anything is sent", ([policy, field, rule]) =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([])
        const error = yield* errorOf(Acme.connect(transport, { policy }))

        assert.deepStrictEqual(
          [error._tag, "owner" in error && error.owner, error.field, error.rule, error.message],
          ["CallPolicyError", "acme", field, rule, `policy of acme: ${field} ${rule}`]
        )
        assert.strictEqual(transport.sent.length, 0)
      })
    )
  )

  it.effect.each(contradictions)("%j is refused by Call.layer", ([policy, field, rule]) =>
    inScenario(
      Effect.gen(function* () {
        const layer = Call.layer({ provider: "plain", policy }).pipe(Layer.provide(Fake.make([]).layer))
        const error = yield* errorOf(Layer.build(layer))

        assert.strictEqual(error.message, `policy of plain: ${field} ${rule}`)
      })
    )
  )

  it.effect("is refused by Call.connect", () =>
    inScenario(
      Effect.gen(function* () {
        const error = yield* errorOf(Call.connect({ provider: "sdk", policy: { attempts: 0 } }))

        assert.strictEqual(error.message, "policy of sdk: attempts must be a whole number from 1 to 20, got 0")
      })
    )
  )

  it.effect("in a default is not one: it bends to what was written", () =>
    inScenario(
      Effect.gen(function* () {
        const took = Effect.fnUntraced(function* (policy: CallPolicy.CallPolicy) {
          const acme = yield* Acme.connect(Fake.make([Fake.silent]), { policy: { attempts: 1, ...policy } })
          return (yield* run(acme.orders.get({ params: { id: "o1" } }))).took
        })

        assert.strictEqual(yield* took({ deadline: "3 seconds" }), 3000)
        assert.strictEqual(yield* took({ attemptTimeout: "2 seconds" }), 2000)
        assert.strictEqual(yield* took({ bulkhead: { queueTimeout: "5 seconds" }, breaker: { window: 3 } }), 5000)
      })
    )
  )
})

/** A provider of one endpoint, declared as the test wants it. */
const declaring = <E extends HttpApiEndpoint.Constraint>(endpoint: E) =>
  Provider.make("single", {
    api: HttpApi.make("single").add(HttpApiGroup.make("things").add(endpoint)),
    environments: { sandbox: "https://sandbox.single.test", production: "https://single.test" },
    auth: Auth.bearer()
  })

class Single extends Context.Service<Single, unknown>()("test/Single") {}

const built = (provider: Provider.Any, transport = Fake.make([])) =>
  Layer.build(
    Client.layer(Single as never, provider, { credential: apiKey }).pipe(Layer.provide(transport.layer))
  ) as Effect.Effect<Context.Context<Single>, Client.ConnectionError | CallPolicy.CallPolicyError>

describe("a declaration that contradicts itself", () => {
  it.effect("in the policy of an endpoint is refused, naming the endpoint", () =>
    inScenario(
      Effect.gen(function* () {
        const endpoint = HttpApiEndpoint.get("list", "/things", { success: Schema.String }).pipe(
          Operation.policy({ attempts: 0 })
        )
        const error = yield* errorOf(built(declaring(endpoint)))

        assert.strictEqual(
          error.message,
          "policy of single.things.list: attempts must be a whole number from 1 to 20, got 0"
        )
      })
    )
  )

  it.effect("in the policy of an endpoint is only what it says itself: what it inherits bends", () =>
    inScenario(
      Effect.gen(function* () {
        const endpoint = HttpApiEndpoint.get("list", "/things", { success: Schema.String })
        const policy = { attemptTimeout: "2 seconds" } as const
        const bent = endpoint.pipe(Operation.policy({ deadline: "1 second" }))
        const broken = endpoint.pipe(Operation.policy({ deadline: "1 second", ...policy }))
        yield* built({ ...declaring(bent), policy })
        const error = yield* errorOf(built({ ...declaring(broken), policy }))

        assert.strictEqual(
          error.message,
          "policy of single.things.list: attemptTimeout (2s) must not be longer than deadline (1s)"
        )
      })
    )
  )

  it.effect.each([
    [{ breaker: { window: 50 } }, "breaker"],
    [{ bulkhead: { concurrency: 2 } }, "bulkhead.concurrency"],
    [{ bulkhead: { queue: 2 } }, "bulkhead.queue"]
  ] as const)("in what all operations share is refused: %j of one of them would hold for none", ([policy, field]) =>
    inScenario(
      Effect.gen(function* () {
        const endpoint = HttpApiEndpoint.get("list", "/things", { success: Schema.String })
        const ofEndpoint = yield* errorOf(built(declaring(endpoint.pipe(Operation.policy(policy)))))
        const group = HttpApiGroup.make("things").add(endpoint).pipe(Operation.policy(policy))
        const ofGroup = yield* errorOf(built({ ...declaring(endpoint), api: HttpApi.make("single").add(group) }))

        assert.strictEqual(
          ofEndpoint.message,
          `policy of single.things.list: ${field} is shared by all operations of a connection: set it in the provider's policy or the layer's, not in an operation's`
        )
        assert.strictEqual(ofGroup.message, ofEndpoint.message)
        yield* built({ ...declaring(endpoint), policy })
      })
    )
  )

  class Busy extends Schema.TaggedError<Busy>("test/Busy")("Busy", {}, { httpApiStatus: 503 }) {}
  class Plain extends Schema.TaggedError<Plain>("test/Plain")("Plain", {}) {}
  const failing = (status: number) =>
    HttpApiEndpoint.get("list", "/things", {
      success: Schema.String,
      error: Schema.Struct({ _tag: Schema.Literal("Busy") }).annotate({ httpApiStatus: status })
    })
  const rule = (status: number) =>
    `policy of single.things.list: error declares ${status}, a status that tells of an outage: set httpApiStatus, or mark the endpoint with Operation.declaresOutage`

  it.effect.each([408, 425, 429, 500, 503, 599])("that declares an error on %i is refused", (status) =>
    inScenario(
      Effect.gen(function* () {
        const error = yield* errorOf(built(declaring(failing(status))))

        assert.strictEqual(error.message, rule(status))
      })
    )
  )

  it.effect("that declares an error without a status is refused: it would be 500", () =>
    inScenario(
      Effect.gen(function* () {
        const endpoint = HttpApiEndpoint.get("list", "/things", { success: Schema.String, error: Plain })
        const error = yield* errorOf(built(declaring(endpoint)))

        assert.strictEqual(error.message, rule(500))
      })
    )
  )

  it.effect.each([400, 404, 409, 423, 499])("is not one that declares an error on %i", (status) =>
    inScenario(
      Effect.gen(function* () {
        yield* built(declaring(failing(status)))
      })
    )
  )

  it.effect("is not one that declares 503 and says so; the error is then final, and no failure of the provider", () =>
    inScenario(
      Effect.gen(function* () {
        const endpoint = HttpApiEndpoint.get("list", "/things", { success: Schema.String, error: Busy }).pipe(
          Operation.declaresOutage
        )
        const provider = declaring(endpoint)
        const tag = Context.Service<"single", Client.Of<typeof provider>>("test/Declared")
        const transport = Fake.make([Fake.json({ _tag: "Busy" }, 503)])
        const context = yield* Layer.build(
          Client.layer(tag, provider, { credential: apiKey, policy: { breaker: { consecutiveFailures: 1 } } }).pipe(
            Layer.provide(transport.layer)
          )
        )
        const list = Context.get(context, tag).things.list()
        yield* run(list)

        assert.deepStrictEqual((yield* run(list)).outcome, { declared: new Busy() })
        assert.strictEqual(transport.sent.length, 2)
      })
    )
  )
})

describe("the policy of an endpoint", () => {
  it.effect("goes over that of the group, the layer and the provider, field by field", () =>
    inScenario(
      Effect.gen(function* () {
        const endpoint = <const Name extends string>(name: Name) =>
          HttpApiEndpoint.get(name, `/${name}`, { success: Schema.String })
        const provider = Provider.make("layered", {
          api: HttpApi.make("layered").add(
            HttpApiGroup.make("things")
              .add(endpoint("plain"), endpoint("own").pipe(Operation.policy({ attempts: 1 })))
              .pipe(Operation.policy({ attempts: 2 })),
            HttpApiGroup.make("others").add(endpoint("plain"))
          ),
          environments: { sandbox: "https://sandbox.layered.test", production: "https://layered.test" },
          auth: Auth.bearer(),
          policy: { attempts: 5, backoff: { base: "2 seconds" } }
        })
        const tag = Context.Service<"layered", Client.Of<typeof provider>>("test/Layered")
        const attempts = Effect.fnUntraced(function* (
          use: (client: Client.Of<typeof provider>) => Effect.Effect<unknown, unknown>,
          policy: CallPolicy.CallPolicy
        ) {
          const transport = Fake.make([Fake.empty(503)])
          const context = yield* Layer.build(
            Client.layer(tag, provider, {
              credential: apiKey,
              policy: { breaker: { consecutiveFailures: 99 }, ...policy }
            }).pipe(Layer.provide(transport.layer))
          )
          const { took } = yield* run(use(Context.get(context, tag)))
          return [transport.sent.length, took]
        })

        assert.deepStrictEqual(yield* attempts((client) => client.others.plain(), {}), [5, 1000 + 2000 + 4000 + 8000])
        assert.deepStrictEqual(yield* attempts((client) => client.others.plain(), { attempts: 3 }), [3, 3000])
        assert.deepStrictEqual(yield* attempts((client) => client.things.plain(), { attempts: 3 }), [2, 1000])
        assert.deepStrictEqual(yield* attempts((client) => client.things.own(), { attempts: 3 }), [1, 0])
      })
    )
  )

  it.effect("may replace the delays by a schedule, which sees each failure; a hint stays a floor", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(503), Fake.empty(503, { "retry-after": "5" }), Fake.empty(503)])
        const acme = yield* Acme.connect(transport, {
          policy: { schedule: Schedule.spaced("3 seconds").pipe(Schedule.upTo({ times: 2 })) }
        })
        const { outcome, took } = yield* run(acme.orders.get({ params: { id: "o1" } }))

        assert.strictEqual((outcome as { attempts: number }).attempts, 3)
        assert.strictEqual(took, 3000 + 5000 + 3000)
      })
    )
  )
})

describe("CallPolicy.explain", () => {
  const explained = (path: string, base: CallPolicy.CallPolicy) => {
    const operations = Operation.ofApi("acme", Acme.api as unknown as HttpApi.Top, base)
    const operation = Result.isSuccess(operations) ? operations.success.get(path) : undefined
    return operation === undefined ? undefined : CallPolicy.explain(operation)
  }

  it("prints everything that holds for a keyed write under the defaults", () => {
    assert.strictEqual(
      explained("orders.create", {}),
      `acme.orders.create (keyed)
  deadline 30s, connect 2s, silence 5s, attempt 10s
  attempt 1: at once, bounded by 10s
  attempt 2: after at most 200ms, bounded by 10s
  attempt 3: after at most 400ms, bounded by 10s
  attempt 4: after at most 800ms, bounded by 10s
  hints are slept up to 1m, longer ones fail the call with retryAfter
  breaker: opens on 5 failures in a row or 50 % of the last 100 calls (at least 20, 5m old at most); open 30s to 5m; 3 successes close; ramp 10s
  bulkhead: 64 at once, 256 waiting, 5s at most
  rate budget: waits 10s at most, 256 of a class; webhooks and imports leave 10 %
  body: 8388608 bytes at most`
    )
  })

  it("prints the bounds that a tight deadline leaves to an unsafe write", () => {
    assert.strictEqual(
      explained("orders.capture", {
        deadline: "5 seconds",
        attemptTimeout: "4 seconds",
        backoff: { base: "1 second", cap: "3 seconds" },
        breaker: { failureRate: 0.2, window: 10, minimumCalls: 5, openFor: "1 second", maxOpenFor: "2 seconds" },
        bulkhead: { concurrency: 2, queue: 0, queueTimeout: "1 second" },
        rateWait: "2 seconds",
        maxBodyBytes: 1024
      }),
      `acme.orders.capture (unsafe)
  deadline 5s, connect 2s, silence 4s, attempt 4s
  attempt 1: at once, bounded by 4s
  attempt 2: after at most 1s, bounded by 4s, only if refused before work
  attempt 3: after at most 2s, bounded by 2s, only if refused before work
  attempt 4: after at most 3s, only if the waits before it fell short, only if refused before work
  hints are slept up to 1m, longer ones fail the call with retryAfter
  breaker: opens on 5 failures in a row or 20 % of the last 10 calls (at least 5, 5m old at most); open 1s to 2s; 3 successes close; ramp 10s
  bulkhead: 2 at once, 0 waiting, 1s at most
  rate budget: waits 2s at most, 256 of a class; webhooks and imports leave 10 %
  body: 1024 bytes at most`
    )
  })

  it("says of a schedule that it decides", () => {
    assert.deepStrictEqual(
      explained("orders.get", { schedule: Schedule.forever, attempts: 2 })?.split("\n").slice(0, 4),
      [
        "acme.orders.get (safe)",
        "  deadline 30s, connect 2s, silence 5s, attempt 10s",
        "  attempt 1: at once, bounded by 10s",
        "  attempt 2: when the schedule says, bounded by 10s"
      ]
    )
  })
})

describe("Safety.keyed", () => {
  it("refuses a window in which no key could be sent", () => {
    assert.throws(
      () => Safety.keyed({ header: "Idempotency-Key", window: "1 hour" }),
      RangeError,
      "Safety.keyed: window must be longer than 1h, got 1h"
    )
  })
})
