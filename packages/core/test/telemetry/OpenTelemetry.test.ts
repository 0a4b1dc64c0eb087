import { assert, describe, it } from "@effect/vitest"
import { Call, Idempotency, Telemetry } from "@breakwater/core"
import { SpanKind, SpanStatusCode } from "@opentelemetry/api"
import { DataPointType } from "@opentelemetry/sdk-metrics"
import * as conventions from "@opentelemetry/semantic-conventions"
import * as incubating from "@opentelemetry/semantic-conventions/incubating"
import { Effect } from "effect"
import { HttpClientRequest } from "effect/http"
import * as Acme from "../support/Acme.ts"
import * as Credentials from "../support/Credentials.ts"
import * as Fake from "../support/FakeTransport.ts"
import { all } from "../support/Metrics.ts"
import { exported } from "../support/OpenTelemetry.ts"
import { inScenario, run } from "../support/Scenario.ts"

const order = { id: "o1", amount: 100 }
const params = { id: "o1" }
const payload = { amount: 1 }

/** What the SDK saw of calls of Acme. */
const seen = (
  script: Fake.Script,
  use: (acme: Acme.AcmeClient) => Effect.Effect<unknown, unknown>,
  options?: Parameters<typeof Acme.connect>[1]
) =>
  inScenario(
    exported(Effect.flatMap(Acme.connect(Fake.make(script), options), (acme) => run(use(acme)).pipe(Effect.asVoid)))
  )

const create = (acme: Acme.AcmeClient) =>
  acme.orders.create({ payload }).pipe(Idempotency.withKey("k"), Call.withCorrelationId("c-1"))

/** Every name that the conventions define. */
const known = new Set([...Object.values<unknown>(conventions), ...Object.values<unknown>(incubating)])

describe("names", () => {
  it("are OpenTelemetry's own, or begin with breakwater", () => {
    const names = Object.values(Telemetry.attribute).filter((name) => !name.startsWith("breakwater."))

    assert.deepStrictEqual(
      names.filter((name) => !known.has(name)),
      []
    )
    assert.deepStrictEqual(names.toSorted(), [
      conventions.ATTR_ERROR_TYPE,
      conventions.ATTR_HTTP_REQUEST_METHOD,
      conventions.ATTR_HTTP_REQUEST_RESEND_COUNT,
      conventions.ATTR_HTTP_RESPONSE_STATUS_CODE,
      conventions.ATTR_SERVER_ADDRESS,
      conventions.ATTR_SERVER_PORT,
      conventions.ATTR_URL_SCHEME,
      incubating.ATTR_URL_TEMPLATE
    ])
  })

  it("of metrics are OpenTelemetry's own, or begin with breakwater; each has a unit and says what it is", () => {
    assert.isAtLeast(all.length, 11)
    for (const { attributes, description, id } of all) {
      assert(id.startsWith("breakwater.") || known.has(id), id)
      assert.match(attributes?.["unit"] ?? "", /^(?:s|\{[a-z]+\}|[a-zA-Z1]+)$/u, `unit of ${id}`)
      assert.match(description ?? "", /^[A-Z]/u, `description of ${id}`)
    }
  })
})

describe("the spans that the SDK exports (OBS-3)", () => {
  it.effect("are one INTERNAL a call and one CLIENT an attempt, with the conventions' names", () =>
    Effect.gen(function* () {
      const { spans } = yield* seen([Fake.empty(503), Fake.json(order)], create)
      const ours = {
        "breakwater.provider": "acme",
        "breakwater.operation": "acme.orders.create",
        "breakwater.connection": "default",
        "breakwater.environment": "sandbox",
        "breakwater.correlation_id": "c-1",
        "breakwater.attempts": 2,
        "breakwater.outcome": "ok"
      }
      const wire = {
        [conventions.ATTR_HTTP_REQUEST_METHOD]: conventions.HTTP_REQUEST_METHOD_VALUE_POST,
        [conventions.ATTR_SERVER_ADDRESS]: "sandbox.acme.test",
        [conventions.ATTR_SERVER_PORT]: 443,
        [conventions.ATTR_URL_SCHEME]: "https",
        [incubating.ATTR_URL_TEMPLATE]: "/orders"
      }

      assert.deepStrictEqual(
        spans.map(({ attributes, kind, name }) => ({ name, kind, attributes })),
        [
          { name: "acme.orders.create", kind: SpanKind.INTERNAL, attributes: ours },
          {
            name: "POST /orders",
            kind: SpanKind.CLIENT,
            attributes: {
              ...wire,
              "breakwater.attempt": 1,
              [conventions.ATTR_HTTP_RESPONSE_STATUS_CODE]: 503,
              [conventions.ATTR_ERROR_TYPE]: "503"
            }
          },
          {
            name: "POST /orders",
            kind: SpanKind.CLIENT,
            attributes: {
              ...wire,
              "breakwater.attempt": 2,
              [conventions.ATTR_HTTP_REQUEST_RESEND_COUNT]: 1,
              [conventions.ATTR_HTTP_RESPONSE_STATUS_CODE]: 200
            }
          }
        ]
      )
      const [call, ...attempts] = spans
      assert.deepStrictEqual(
        attempts.map(({ parentSpanContext }) => parentSpanContext?.spanId),
        [call?.spanContext().spanId, call?.spanContext().spanId]
      )
      assert.strictEqual(new Set(spans.map((span) => span.spanContext().traceId)).size, 1)
      assert.deepStrictEqual(
        call?.events.map(({ attributes, name }) => [name, attributes]),
        [["breakwater.wait.backoff", { millis: 100 }]]
      )
    })
  )

  const get = (acme: Acme.AcmeClient) => acme.orders.get({ params }).pipe(Call.withPolicy({ attempts: 1 }))
  const capture = (acme: Acme.AcmeClient) => acme.orders.capture({ params, payload })
  const halfway = Fake.chunks(['{"id"', { code: "ECONNRESET" }])

  const endings: ReadonlyArray<
    readonly [
      string,
      Fake.Step,
      (acme: Acme.AcmeClient) => Effect.Effect<unknown, unknown>,
      { readonly status?: number; readonly type: string | undefined; readonly text?: string }
    ]
  > = [
    ["200", Fake.json(order), get, { status: 200, type: undefined }],
    ["404", Fake.empty(404), get, { status: 404, type: "404", text: "not found (404)" }],
    ["429", Fake.empty(429), get, { status: 429, type: "429", text: "rate limited by the provider" }],
    ["503", Fake.empty(503), get, { status: 503, type: "503", text: "answered 503" }],
    ["302", Fake.empty(302), capture, { status: 302, type: "302", text: "rejected (302)" }],
    [
      "a declared error",
      Fake.json({ _tag: "Declined", code: "no_funds" }, 402),
      capture,
      { status: 402, type: "402", text: "answered 402" }
    ],
    [
      "a success that is not JSON",
      Fake.text("<html>"),
      get,
      { status: 200, type: "RESPONSE_UNREADABLE", text: "answered 200 with a body that is not JSON" }
    ],
    [
      "a reset after the headers",
      halfway,
      get,
      { status: 200, type: "ECONN", text: "transport failed with ECONNRESET" }
    ],
    ["a reset", Fake.broken("ECONNRESET"), get, { type: "ECONN", text: "transport failed with ECONNRESET" }],
    ["a silence", Fake.silent, get, { type: "ETIMEDOUT", text: "silence timeout after 5s" }]
  ]

  it.effect.each(endings)("have the state of the conventions after %s", ([, step, use, expected]) =>
    Effect.gen(function* () {
      const { metrics, spans } = yield* seen([step], use)
      const attempt = spans[1]
      const code = expected.type === undefined ? SpanStatusCode.OK : SpanStatusCode.ERROR

      assert.deepStrictEqual(
        {
          status: attempt?.attributes[conventions.ATTR_HTTP_RESPONSE_STATUS_CODE],
          type: attempt?.attributes[conventions.ATTR_ERROR_TYPE],
          state: attempt?.status
        },
        {
          status: expected.status,
          type: expected.type,
          state: expected.text === undefined ? { code } : { code, message: expected.text }
        }
      )
      const points = metrics.find(
        ({ descriptor }) => descriptor.name === conventions.METRIC_HTTP_CLIENT_REQUEST_DURATION
      )?.dataPoints
      assert.deepStrictEqual(
        points?.map(({ attributes }) => [
          attributes[conventions.ATTR_HTTP_RESPONSE_STATUS_CODE],
          attributes[conventions.ATTR_ERROR_TYPE]
        ]),
        [[expected.status === undefined ? undefined : String(expected.status), expected.type]]
      )
    })
  )

  it.effect("say what a DELETE met on the wire that was found done", () =>
    Effect.gen(function* () {
      const { spans } = yield* seen([Fake.broken("ECONNRESET"), Fake.empty(404)], (acme) =>
        acme.orders.remove({ params })
      )

      assert.deepStrictEqual(
        spans.slice(1).map(({ attributes, status }) => [attributes["http.response.status_code"], status.code]),
        [
          [undefined, SpanStatusCode.ERROR],
          [404, SpanStatusCode.OK]
        ]
      )
    })
  )

  it.effect("name neither path nor query, nor any URL", () =>
    Effect.gen(function* () {
      const { spans } = yield* seen([Fake.empty(404)], (acme) =>
        Effect.andThen(
          Effect.exit(acme.orders.get({ params: { id: "jane" } })),
          acme.orders.find({ query: { q: "doe" }, headers: {} })
        )
      )
      const names = new Set(spans.flatMap(({ attributes }) => Object.keys(attributes)))

      for (const name of [conventions.ATTR_URL_FULL, conventions.ATTR_URL_PATH, conventions.ATTR_URL_QUERY])
        assert.isFalse(names.has(name), name)
      assert.notMatch(JSON.stringify(spans.map(({ attributes, name }) => [name, attributes])), /jane|doe|q=/u)
    })
  )

  it.effect("of a plain client have the method for a name, and host and port without brackets", () =>
    Effect.gen(function* () {
      const { spans } = yield* inScenario(
        exported(
          Effect.flatMap(Call.client(Fake.make([Fake.empty(204)]).client, { provider: "plain" }), (client) =>
            client.execute(HttpClientRequest.get("http://[::1]:8080/a/jane?token=x"))
          )
        )
      )

      assert.deepStrictEqual(
        spans.map(({ name }) => name),
        ["plain.GET", "GET"]
      )
      assert.deepStrictEqual(spans[1]?.attributes, {
        "breakwater.attempt": 1,
        "http.request.method": "GET",
        "server.address": "::1",
        "server.port": 8080,
        "url.scheme": "http",
        "http.response.status_code": 204
      })
    })
  )
})

describe("the metrics that the SDK exports (OBS-2)", () => {
  /** Seconds, as the conventions recommend for the duration of HTTP requests. */
  const recommended = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]

  it.effect("have http.client.request.duration as the conventions want it", () =>
    Effect.gen(function* () {
      const { metrics } = yield* seen([Fake.late(30, Fake.empty(503)), Fake.late(80, Fake.json(order))], create)
      const duration = metrics.find(
        ({ descriptor }) => descriptor.name === conventions.METRIC_HTTP_CLIENT_REQUEST_DURATION
      )
      assert(duration?.dataPointType === DataPointType.HISTOGRAM)
      const labels = {
        "breakwater.provider": "acme",
        "breakwater.operation": "acme.orders.create",
        "breakwater.environment": "sandbox",
        [conventions.ATTR_HTTP_REQUEST_METHOD]: conventions.HTTP_REQUEST_METHOD_VALUE_POST,
        [incubating.ATTR_URL_TEMPLATE]: "/orders",
        [conventions.ATTR_SERVER_ADDRESS]: "sandbox.acme.test",
        [conventions.ATTR_SERVER_PORT]: "443",
        // Where Effect keeps the unit; its exporters hand it on as a label too.
        unit: "s"
      }

      assert.strictEqual(duration.descriptor.unit, "s")
      assert.deepStrictEqual(
        duration.dataPoints.map(({ attributes, value }) => ({ attributes, value })),
        [
          {
            attributes: {
              ...labels,
              [conventions.ATTR_HTTP_RESPONSE_STATUS_CODE]: "503",
              [conventions.ATTR_ERROR_TYPE]: "503"
            },
            value: {
              buckets: { boundaries: recommended, counts: [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] },
              count: 1,
              min: 0.03,
              max: 0.03,
              sum: 0.03
            }
          },
          {
            attributes: { ...labels, [conventions.ATTR_HTTP_RESPONSE_STATUS_CODE]: "200" },
            value: {
              buckets: { boundaries: recommended, counts: [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0] },
              count: 1,
              min: 0.08,
              max: 0.08,
              sum: 0.08
            }
          }
        ]
      )
    })
  )

  it.effect("have kind and unit: counters of things that go up, histograms of seconds", () =>
    Effect.gen(function* () {
      const refresh = () => Effect.delay(Effect.succeed(Credentials.credential(2)), "1 second")
      const { metrics } = yield* seen(
        [Fake.empty(401), Fake.empty(503), Fake.empty(503)],
        (acme) => Effect.andThen(Effect.exit(create(acme)), Effect.exit(create(acme))),
        { credential: Credentials.source({ refresh }), policy: { breaker: { consecutiveFailures: 2 } } }
      )

      assert.deepStrictEqual(
        Object.fromEntries(
          metrics.map(({ dataPointType, descriptor }) => [
            descriptor.name,
            [DataPointType[dataPointType], descriptor.unit]
          ])
        ),
        {
          "http.client.request.duration": ["HISTOGRAM", "s"],
          "breakwater.wait.duration": ["HISTOGRAM", "s"],
          "breakwater.credential.refreshes": ["SUM", "{refresh}"],
          "breakwater.breaker.openings": ["SUM", "{opening}"],
          "breakwater.breaker.transitions": ["SUM", "{transition}"],
          "breakwater.retry.denied": ["SUM", "{attempt}"],
          "breakwater.call.count": ["SUM", "{call}"],
          "breakwater.call.duration": ["HISTOGRAM", "s"],
          "breakwater.retry.count": ["SUM", "{attempt}"],
          "breakwater.refusal.count": ["SUM", "{attempt}"]
        }
      )
      for (const metric of metrics)
        if (metric.dataPointType === DataPointType.SUM) assert.isTrue(metric.isMonotonic, metric.descriptor.name)
    })
  )

  it.effect("have one label for the host where it is declared, none where the caller chose it", () =>
    Effect.gen(function* () {
      const { metrics } = yield* seen([Fake.json(order)], create, { baseUrl: "https://tenant-7.acme.test" })
      const labels = metrics.flatMap(({ dataPoints }) =>
        dataPoints.flatMap(({ attributes }) => Object.keys(attributes))
      )

      assert.notInclude(labels, "server.address")
    })
  )
})

describe("the log records that the SDK exports (OBS-1)", () => {
  it.effect("have level, text and fields, and belong to the span of the call", () =>
    Effect.gen(function* () {
      const { logs, spans } = yield* seen(
        [Fake.late(12, Fake.empty(503, { "acme-request-id": "req_7" })), Fake.json(order)],
        create,
        {
          userAgent: "shop/1.4"
        }
      )
      const record = logs.find(({ severityText }) => severityText === "Warn")
      const span = spans[0]?.spanContext()
      const { "effect.fiberId": _, spanId, traceId, ...fields } = record?.attributes ?? {}

      // WARN in OpenTelemetry's data model of logs.
      assert.strictEqual(Number(record?.severityNumber), 13)
      assert.strictEqual(record?.body, "acme.orders.create attempt 1 failed: answered 503; trying again in 100ms")
      assert.deepStrictEqual(fields, {
        service: "shop",
        third_party: "acme",
        method: "POST",
        endpoint: "/orders",
        operation: "acme.orders.create",
        trace_id: span?.traceId,
        correlation_id: "c-1",
        attempt: 1,
        http_status: 503,
        request_id: "req_7",
        duration_ms: 12,
        error_code: "HTTP_503",
        error_message: "answered 503"
      })
      assert.deepStrictEqual([record?.spanContext?.spanId, record?.spanContext?.traceId], [span?.spanId, span?.traceId])
      assert.deepStrictEqual([spanId, traceId], [span?.spanId, span?.traceId])
    })
  )
})
