import { assert, describe, it } from "@effect/vitest"
import { Call, Idempotency } from "@breakwater/core"
import { Effect, References, Tracer } from "effect"
import { TestClock } from "effect/testing"
import * as Acme from "../support/Acme.ts"
import * as Credentials from "../support/Credentials.ts"
import * as Fake from "../support/FakeTransport.ts"
import { counted } from "../support/Metrics.ts"
import { Recorder } from "../support/Recorder.ts"
import { inScenario, LogBook, run } from "../support/Scenario.ts"

const order = { id: "o1", amount: 100 }
const params = { id: "o1" }
const payload = { amount: 1 }
const id = { "acme-request-id": "req_7" }

/** Runs calls under a tracer that keeps everything. */
const traced = Effect.fnUntraced(function* (
  script: Fake.Script,
  use: (acme: Acme.AcmeClient) => Effect.Effect<unknown, unknown>,
  options?: Parameters<typeof Acme.connect>[1]
) {
  const recorder = new Recorder()
  const transport = Fake.make(script)
  const acme = yield* Acme.connect(transport, options)
  const ended = yield* run(use(acme).pipe(Call.withCorrelationId("c-1"))).pipe(
    Effect.provideService(Tracer.Tracer, recorder.tracer)
  )
  return {
    ...ended,
    spans: recorder.spans,
    sent: transport.sent,
    traces: new Set(recorder.spans.map(({ traceId }) => traceId)).size
  }
})

const ofCall = {
  "breakwater.provider": "acme",
  "breakwater.connection": "default",
  "breakwater.environment": "sandbox",
  "breakwater.correlation_id": "c-1"
}
const ofWire = { "server.address": "sandbox.acme.test", "server.port": 443, "url.scheme": "https" }

describe("the spans of a call (OBS-3)", () => {
  it.effect("are one for the call and below it one for each attempt, with their attributes, times and states", () =>
    inScenario(
      Effect.gen(function* () {
        const { spans, traces } = yield* traced(
          [Fake.late(10, Fake.empty(503, id)), Fake.late(20, Fake.json(order, 200, id))],
          (acme) => acme.orders.create({ payload }).pipe(Idempotency.withKey("k"))
        )
        const [call, first, second, ...others] = spans

        assert.deepStrictEqual(others, [])
        assert.strictEqual(traces, 1)
        assert.deepStrictEqual([first?.parent, second?.parent], [call?.spanId, call?.spanId])
        assert.deepStrictEqual(
          spans.map(({ attributes, endedAt, ends, events, kind, name, startedAt, state }) => ({
            name,
            kind,
            attributes,
            events,
            time: [startedAt, endedAt],
            state,
            ends
          })),
          [
            {
              name: "acme.orders.create",
              kind: "internal",
              attributes: {
                ...ofCall,
                "breakwater.operation": "acme.orders.create",
                "breakwater.attempts": 2,
                "breakwater.outcome": "ok"
              },
              events: [{ name: "breakwater.wait.backoff", at: 10, attributes: { millis: 100 } }],
              time: [0, 130],
              state: "ok",
              ends: 1
            },
            {
              name: "POST /orders",
              kind: "client",
              attributes: {
                ...ofWire,
                "http.request.method": "POST",
                "url.template": "/orders",
                "breakwater.attempt": 1,
                "http.response.status_code": 503,
                "error.type": "503"
              },
              events: [],
              time: [0, 10],
              state: "answered 503",
              ends: 1
            },
            {
              name: "POST /orders",
              kind: "client",
              attributes: {
                ...ofWire,
                "http.request.method": "POST",
                "url.template": "/orders",
                "breakwater.attempt": 2,
                "http.request.resend_count": 1,
                "http.response.status_code": 200
              },
              events: [],
              time: [110, 130],
              state: "ok",
              ends: 1
            }
          ]
        )
      })
    )
  )

  it.effect("hang below the span that the caller is in, and name the template, never the path", () =>
    inScenario(
      Effect.gen(function* () {
        const { spans } = yield* traced([Fake.json(order)], (acme) =>
          Effect.withSpan(acme.orders.get({ params: { id: "secret-order" } }), "checkout")
        )

        assert.deepStrictEqual(
          spans.map(({ name, parent }) => [name, spans.find(({ spanId }) => spanId === parent)?.name]),
          [
            ["checkout", undefined],
            ["acme.orders.get", "checkout"],
            ["GET /orders/:id", "acme.orders.get"]
          ]
        )
        assert.isFalse(JSON.stringify(spans.map(({ attributes }) => attributes)).includes("secret-order"))
      })
    )
  )

  const outcomes: ReadonlyArray<
    readonly [string, Fake.Step, (acme: Acme.AcmeClient) => Effect.Effect<unknown, unknown>, Record<string, unknown>]
  > = [
    [
      "a fatal end",
      Fake.empty(404),
      (acme) => acme.orders.get({ params }),
      { outcome: "fatal", call: "acme.orders.get: not found (404)", attempt: "not found (404)", type: "404" }
    ],
    [
      "an unknown end",
      Fake.broken("ECONNRESET"),
      (acme) => acme.orders.capture({ params, payload }),
      {
        outcome: "unknown",
        call: "acme.orders.capture: outcome unknown, transport failed with ECONNRESET",
        attempt: "transport failed with ECONNRESET",
        type: "ECONN"
      }
    ],
    [
      "a retryable end",
      Fake.silent,
      (acme) => acme.orders.get({ params }).pipe(Call.withPolicy({ attempts: 1 })),
      {
        outcome: "retryable",
        call: "acme.orders.get: silence timeout after 5s",
        attempt: "silence timeout after 5s",
        type: "ETIMEDOUT"
      }
    ],
    [
      "a declared error",
      Fake.json({ _tag: "Declined", code: "no_funds", card: "4242424242424242" }, 402),
      (acme) => acme.orders.capture({ params, payload }),
      { outcome: "declared", call: "declared error", attempt: "answered 402", type: "402" }
    ],
    [
      "an interruption",
      Fake.silent,
      (acme) => Effect.timeoutOption(acme.orders.get({ params }), "1 second"),
      { outcome: "interrupted", call: "interrupted", attempt: "interrupted", type: "INTERRUPTED" }
    ]
  ]

  it.effect.each(outcomes)("say how it came to %s", ([, step, use, expected]) =>
    inScenario(
      Effect.gen(function* () {
        const { spans } = yield* traced([step], use)
        const [call, attempt, ...others] = spans

        assert.deepStrictEqual(others, [])
        assert.deepStrictEqual(
          {
            outcome: call?.attributes["breakwater.outcome"],
            call: call?.state,
            attempt: attempt?.state,
            type: attempt?.attributes["error.type"]
          },
          expected
        )
        assert.deepStrictEqual([call?.ends, attempt?.ends], [1, 1])
      })
    )
  )

  it.effect("have no attempt where nothing was sent", () =>
    inScenario(
      Effect.gen(function* () {
        const { spans } = yield* traced([], (acme) => acme.orders.get({ params: { id: "a/../b" } }))
        const refused = yield* traced([], (acme) => acme.orders.get({ params }).pipe(Call.withDeadline(0)))

        assert.deepStrictEqual(
          [...spans, ...refused.spans].map(({ attributes, name }) => [
            name,
            attributes["breakwater.outcome"],
            attributes["breakwater.attempts"]
          ]),
          [
            ["acme.orders.get", "refused", 0],
            ["acme.orders.get", "refused", 0]
          ]
        )
      })
    )
  )

  it.effect("tell each wait as an event: credential, rate, slot, backoff", () =>
    inScenario(
      Effect.gen(function* () {
        const recorder = new Recorder()
        const transport = Fake.make((n) => (n === 2 ? Fake.empty(401) : Fake.late(100, Fake.json(order))))
        const source = Credentials.source({
          generation: undefined,
          current: Effect.delay(Effect.succeed(Credentials.credential(1)), "50 millis"),
          refresh: () => Effect.delay(Effect.succeed(Credentials.credential(2)), "70 millis")
        })
        const acme = yield* Acme.connectTo(
          Acme.variant({ rate: { limit: 50, window: "1 second", burst: 1 } }),
          transport,
          {
            credential: source,
            policy: { bulkhead: { concurrency: 1 } }
          }
        )
        yield* Effect.forkChild(acme.orders.get({ params }), { startImmediately: true })
        yield* run(acme.orders.get({ params })).pipe(Effect.provideService(Tracer.Tracer, recorder.tracer))

        assert.deepStrictEqual(recorder.spans[0]?.events, [
          { name: "breakwater.wait.credential", at: 50, attributes: { millis: 50 } },
          { name: "breakwater.wait.rate", at: 70, attributes: { millis: 20 } },
          { name: "breakwater.wait.slot", at: 150, attributes: { millis: 80 } },
          { name: "breakwater.wait.credential", at: 220, attributes: { millis: 70 } }
        ])
      })
    )
  )

  it.effect("are not made where nobody would see them", () =>
    inScenario(
      Effect.gen(function* () {
        let made = 0
        const counting = Tracer.make({
          span: (options) => {
            made++
            return Tracer.nativeTracer.span(options)
          }
        })
        const acme = yield* Acme.connect(Fake.make([Fake.json(order)]))
        const get = acme.orders.get({ params })
        yield* run(get)
        yield* run(get.pipe(Effect.withTracerEnabled(false))).pipe(Effect.provideService(Tracer.Tracer, counting))

        assert.strictEqual(made, 0)
        yield* run(get).pipe(Effect.provideService(Tracer.Tracer, counting))
        assert.strictEqual(made, 2)
      })
    )
  )

  it.effect("are made below a parent span also without a tracer of one's own", () =>
    inScenario(
      Effect.gen(function* () {
        const book = new LogBook()
        const acme = yield* Acme.connect(Fake.make([Fake.empty(404)]))
        const traceId = yield* Effect.currentSpan.pipe(
          Effect.tap(() => Effect.exit(acme.orders.get({ params }))),
          Effect.map((span) => span.traceId),
          Effect.withSpan("checkout"),
          Effect.provideService(References.CurrentLoggers, new Set([book.logger]))
        )

        assert.strictEqual(book.lines[0]?.fields["trace_id"], traceId)
      })
    )
  )
})

describe("trace headers (OBS-3)", () => {
  const headers = Effect.fnUntraced(function* (provider: typeof Acme.provider, withTracer: boolean) {
    const recorder = new Recorder()
    const transport = Fake.make([Fake.json(order)])
    const acme = yield* Acme.connectTo(provider, transport)
    const calling = run(acme.orders.get({ params }))
    yield* withTracer ? Effect.provideService(calling, Tracer.Tracer, recorder.tracer) : calling
    return { sent: transport.sent[0]?.headers ?? {}, attempt: recorder.spans[1] }
  })

  it.effect("go out to no one by default", () =>
    inScenario(
      Effect.gen(function* () {
        const { sent } = yield* headers(Acme.provider, true)

        assert.deepStrictEqual(
          Object.keys(sent).filter((name) => /^(?:traceparent|tracestate|b3|x-b3-.*|baggage)$/u.test(name)),
          []
        )
      })
    )
  )

  it.effect("are traceparent of the attempt where the provider declares it, and never b3", () =>
    inScenario(
      Effect.gen(function* () {
        const { attempt, sent } = yield* headers(Acme.variant({ traceContext: true }), true)

        assert.strictEqual(sent["traceparent"], `00-${attempt?.traceId}-${attempt?.spanId}-01`)
        assert.isFalse("b3" in sent)
      })
    )
  )

  it.effect("are none where nothing is traced", () =>
    inScenario(
      Effect.gen(function* () {
        const { sent } = yield* headers(Acme.variant({ traceContext: true }), false)

        assert.isFalse("traceparent" in sent)
      })
    )
  )
})

describe("the log lines (OBS-1)", () => {
  it.effect("are one for each failed attempt, with every field, and the same correlation id as X-Request-ID", () => {
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        const { sent, spans } = yield* traced(
          [
            Fake.late(12, Fake.empty(503, id)),
            Fake.late(34, Fake.broken("ECONNRESET", "read ECONNRESET")),
            Fake.silent,
            Fake.empty(429)
          ],
          (acme) => acme.orders.create({ payload }).pipe(Idempotency.withKey("k")),
          { userAgent: "shop/1.4 (ops@shop.example)" }
        )
        const common = {
          service: "shop",
          third_party: "acme",
          method: "POST",
          endpoint: "/orders",
          operation: "acme.orders.create",
          trace_id: spans[0]?.traceId,
          correlation_id: "c-1"
        }

        assert.deepStrictEqual(book.of("Warn"), [
          {
            level: "Warn",
            message: "acme.orders.create attempt 1 failed: answered 503; trying again in 100ms",
            fields: {
              ...common,
              attempt: 1,
              http_status: 503,
              request_id: "req_7",
              duration_ms: 12,
              error_code: "HTTP_503",
              error_message: "answered 503"
            }
          },
          {
            level: "Warn",
            message: "acme.orders.create attempt 2 failed: transport failed with ECONNRESET; trying again in 200ms",
            fields: {
              ...common,
              attempt: 2,
              duration_ms: 34,
              error_code: "ECONN",
              error_message: "transport failed with ECONNRESET",
              error_cause: "read ECONNRESET"
            }
          },
          {
            level: "Warn",
            message: "acme.orders.create attempt 3 failed: silence timeout after 5s; trying again in 400ms",
            fields: {
              ...common,
              attempt: 3,
              duration_ms: 5000,
              error_code: "ETIMEDOUT",
              error_message: "silence timeout after 5s"
            }
          },
          {
            level: "Warn",
            message: "acme.orders.create attempt 4 failed: rate limited by the provider; giving up: 4 attempts made",
            fields: {
              ...common,
              attempt: 4,
              http_status: 429,
              duration_ms: 0,
              error_code: "HTTP_429",
              error_message: "rate limited by the provider"
            }
          }
        ])
        assert.deepStrictEqual(
          sent.map(({ headers }) => headers["x-request-id"]),
          ["c-1", "c-1", "c-1", "c-1"]
        )
      }),
      book
    )
  })

  const reasons: ReadonlyArray<readonly [string, Fake.Step, Parameters<typeof Call.withPolicy>[1], string]> = [
    ["final", Fake.empty(404), {}, "final"],
    [
      "a hint beyond the cap",
      Fake.empty(503, { "retry-after": "90" }),
      {},
      "giving up: asked to wait 1m 30s, longer than the hint cap"
    ],
    [
      "a wait beyond the deadline",
      Fake.empty(503, { "retry-after": "9" }),
      { deadline: "5 seconds" },
      "giving up: a wait of 9s 100ms does not fit the deadline"
    ],
    ["the attempts", Fake.empty(503), { attempts: 1 }, "giving up: 1 attempts made"]
  ]

  it.effect.each(reasons)("say why the call ends: %s", ([, step, policy, why]) => {
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(Fake.make([step]))
        yield* run(acme.orders.get({ params }).pipe(Call.withPolicy(policy)))

        assert.strictEqual(book.of("Warn").at(-1)?.message.split("; ")[1], why)
      }),
      book
    )
  })

  it.effect(
    "say that an open circuit ends it, that an unsafe write is not sent again, and that a newer credential is tried",
    () => {
      const book = new LogBook()
      const last = () => book.of("Warn").at(-1)?.message.split("; ")[1]
      return inScenario(
        Effect.gen(function* () {
          const broken = yield* Acme.connect(Fake.make([Fake.empty(503)]), {
            policy: { breaker: { consecutiveFailures: 1 } }
          })
          yield* run(broken.orders.get({ params }))
          assert.strictEqual(last(), "giving up: the circuit is open for 30s")

          const unsafe = yield* Acme.connect(Fake.make([Fake.empty(503)]))
          yield* run(unsafe.orders.capture({ params, payload }))
          assert.strictEqual(last(), "outcome unknown, not sent again")

          const refreshing = yield* Acme.connect(Fake.make([Fake.empty(401), Fake.json(order)]), {
            credential: Credentials.source()
          })
          yield* run(refreshing.orders.get({ params }))
          assert.strictEqual(last(), "trying again with a newer credential")
        }),
        book
      )
    }
  )

  it.effect("are none for an attempt that succeeded, unless Debug is on", () => {
    const book = new LogBook()
    return inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(Fake.make([Fake.json(order, 200, id)]))
        const get = acme.orders.get({ params }).pipe(Call.withCorrelationId("c-1"))
        yield* run(get)
        assert.deepStrictEqual(book.lines.length, 1)
        yield* run(get).pipe(Effect.provideService(References.MinimumLogLevel, "Debug"))

        assert.deepStrictEqual(book.lines.slice(1), [
          {
            level: "Debug",
            message: "acme.orders.get attempt 1 succeeded",
            fields: {
              service: "breakwater",
              third_party: "acme",
              method: "GET",
              endpoint: "/orders/:id",
              operation: "acme.orders.get",
              correlation_id: "c-1",
              attempt: 1,
              http_status: 200,
              request_id: "req_7",
              duration_ms: 0
            }
          }
        ])
      }),
      book
    )
  })
})

describe("the metrics (OBS-2)", () => {
  it.effect("count and time calls by outcome and attempts by status class, retries and waits", () =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(
          Fake.make([
            Fake.late(1000, Fake.empty(503)),
            Fake.late(500, Fake.json(order)),
            Fake.late(500, Fake.broken("ECONNREFUSED")),
            Fake.empty(404)
          ])
        )
        const get = acme.orders.get({ params })
        yield* run(get, "10 seconds")
        yield* run(get, "10 seconds")

        const of = "acme.orders.get"
        assert.deepStrictEqual(yield* counted, {
          [`breakwater.call.count ${of} outcome=ok`]: 1,
          [`breakwater.call.count ${of} outcome=fatal`]: 1,
          [`breakwater.call.duration ${of} outcome=ok`]: [1, 1.6],
          [`breakwater.call.duration ${of} outcome=fatal`]: [1, 0.6],
          [`http.client.request.duration ${of} http.response.status_code=503 error.type=503`]: [1, 1],
          [`http.client.request.duration ${of} http.response.status_code=200`]: [1, 0.5],
          [`http.client.request.duration ${of} error.type=ECONN`]: [1, 0.5],
          [`http.client.request.duration ${of} http.response.status_code=404 error.type=404`]: [1, 0],
          [`breakwater.retry.count ${of}`]: 2,
          [`breakwater.wait.duration ${of} wait.for=backoff`]: [2, 0.2]
        })
      })
    )
  )

  it.effect("count refusals by reason and openings", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.late(500, Fake.empty(500))])
        const acme = yield* Acme.connect(transport, {
          policy: { attempts: 1, breaker: { consecutiveFailures: 1 }, bulkhead: { concurrency: 1, queue: 0 } }
        })
        const get = Effect.exit(acme.orders.get({ params }))
        yield* Effect.forkChild(get, { startImmediately: true })
        yield* run(get, 0)
        yield* TestClock.adjust("2 seconds")
        yield* run(get, 0)

        const of = "acme.orders.get"
        const all = Object.entries(yield* counted).filter(([name]) => !name.startsWith("breakwater.wait"))
        assert.deepStrictEqual(Object.fromEntries(all), {
          [`breakwater.call.count ${of} outcome=retryable`]: 1,
          [`breakwater.call.count ${of} outcome=refused`]: 2,
          [`breakwater.call.duration ${of} outcome=retryable`]: [1, 0.5],
          [`breakwater.call.duration ${of} outcome=refused`]: [2, 0],
          [`http.client.request.duration ${of} http.response.status_code=500 error.type=500`]: [1, 0.5],
          [`breakwater.breaker.openings ${of} breaker.level=connection`]: 1,
          [`breakwater.breaker.openings ${of} breaker.level=origin`]: 1,
          [`breakwater.breaker.transitions ${of} breaker.level=connection breaker.state=open`]: 1,
          [`breakwater.breaker.transitions ${of} breaker.level=origin breaker.state=open`]: 1,
          [`breakwater.retry.denied ${of} reason=attempts`]: 1,
          [`breakwater.refusal.count ${of} reason=Overloaded`]: 1,
          [`breakwater.refusal.count ${of} reason=CircuitOpen`]: 1
        })
      })
    )
  )

  it.effect("time waits by what for", () =>
    inScenario(
      Effect.gen(function* () {
        const waits = Effect.fnUntraced(function* (
          changes: Parameters<typeof Acme.variant>[0],
          options: Parameters<typeof Acme.connect>[1]
        ) {
          const acme = yield* Acme.connectTo(
            Acme.variant(changes),
            Fake.make([Fake.late(500, Fake.json(order))]),
            options
          )
          const get = acme.orders.get({ params })
          yield* Effect.forkChild(get, { startImmediately: true })
          yield* run(get, "5 seconds")
        })
        yield* waits({ rate: { limit: 1, window: "250 millis", burst: 1 } }, {})
        yield* waits({}, { policy: { bulkhead: { concurrency: 1 } } })
        const current = Effect.delay(Effect.succeed(Credentials.credential(1)), "750 millis")
        yield* waits({}, { credential: Credentials.source({ generation: undefined, current }) })
        const all = Object.entries(yield* counted).filter(([name]) => name.startsWith("breakwater.wait"))

        assert.deepStrictEqual(Object.fromEntries(all), {
          "breakwater.wait.duration acme.orders.get wait.for=rate": [1, 0.25],
          "breakwater.wait.duration acme.orders.get wait.for=slot": [1, 0.5],
          "breakwater.wait.duration acme.orders.get wait.for=credential": [2, 1.5]
        })
      })
    )
  )

  it.effect("tell a call that was refused before its second attempt from one that sent nothing", () =>
    inScenario(
      Effect.gen(function* () {
        const transport = Fake.make([Fake.empty(503), Fake.late(20, Fake.empty(503))])
        const acme = yield* Acme.connect(transport, { policy: { breaker: { consecutiveFailures: 2 } } })
        const get = acme.orders.get({ params })
        yield* Effect.forkChild(Effect.exit(get), { startImmediately: true })
        yield* Effect.forkChild(Effect.exit(get.pipe(Call.withPolicy({ attempts: 1 }))), { startImmediately: true })
        yield* TestClock.adjust("1 second")
        yield* run(get, 0)
        const counts = yield* counted
        const calls = Object.entries(counts).filter(([name]) => /count.*(?:outcome|reason)/u.test(name))

        assert.deepStrictEqual(Object.fromEntries(calls), {
          "breakwater.call.count acme.orders.get outcome=retryable": 2,
          "breakwater.call.count acme.orders.get outcome=refused": 1,
          "breakwater.refusal.count acme.orders.get reason=CircuitOpen": 2
        })
      })
    )
  )

  it.effect.each([
    ["declared", Fake.json({ _tag: "Declined", code: "x" }, 402)],
    ["unknown", Fake.empty(503)],
    // A transport that calls back has no defects: what it throws is a failure of it.
    ...(Fake.way.callsBack ? [] : [["defect", () => Effect.die(new Error("a bug"))] as const])
  ] as const)("tell an outcome that is %s", ([outcome, step]) =>
    inScenario(
      Effect.gen(function* () {
        const acme = yield* Acme.connect(Fake.make([step]))
        yield* run(acme.orders.capture({ params, payload }))
        const name = `breakwater.call.count acme.orders.capture outcome=${outcome}`

        assert.strictEqual((yield* counted)[name], 1)
      })
    )
  )
})
