import { assert, describe, it } from "@effect/vitest"
import { Call, Idempotency, Telemetry } from "@breakwater/core"
import { Effect, Metric } from "effect"
import { PrometheusMetrics } from "effect/observability"
import * as Acme from "../support/Acme.ts"
import { collected } from "../support/Collector.ts"
import * as Fake from "../support/FakeTransport.ts"
import { inScenario, run } from "../support/Scenario.ts"

const calling = Effect.gen(function* () {
  const script = [Fake.late(30, Fake.empty(503)), Fake.late(80, Fake.json({ id: "o1", amount: 1 }))]
  const acme = yield* Acme.connect(Fake.make(script))
  const create = acme.orders.create({ payload: { amount: 1 } })
  yield* run(create.pipe(Idempotency.withKey("k"), Call.withCorrelationId("c-1")))
})

interface KeyValue {
  readonly key: string
  readonly value: { readonly stringValue?: string; readonly intValue?: number; readonly doubleValue?: number }
}

const plain = (attributes: ReadonlyArray<KeyValue>): Record<string, unknown> =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))

describe("what Effect's Otlp exports", () => {
  it.effect("is the same spans, with kind and state, and log records below the call", () =>
    Effect.gen(function* () {
      const { logs, traces } = yield* inScenario(collected(calling))
      const { resourceSpans } = JSON.parse(traces[0] ?? "") as {
        resourceSpans: ReadonlyArray<{
          scopeSpans: ReadonlyArray<{
            spans: ReadonlyArray<{
              name: string
              kind: number
              spanId: string
              traceId: string
              parentSpanId?: string
              attributes: ReadonlyArray<KeyValue>
              status: { code: number; message?: string }
            }>
          }>
        }>
      }
      const spans = resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans))
      const call = spans.find(({ parentSpanId }) => parentSpanId === undefined)

      assert.deepStrictEqual(
        spans.map(({ kind, name, parentSpanId, status }) => [name, kind, parentSpanId === call?.spanId, status]),
        [
          ["POST /orders", 3, true, { code: 2, message: "answered 503" }],
          ["POST /orders", 3, true, { code: 1 }],
          ["acme.orders.create", 1, false, { code: 1 }]
        ]
      )
      assert.deepStrictEqual(plain(spans[0]?.attributes ?? []), {
        "breakwater.attempt": 1,
        "http.request.method": "POST",
        "url.template": "/orders",
        "server.address": "sandbox.acme.test",
        "server.port": 443,
        "url.scheme": "https",
        "http.response.status_code": 503,
        "error.type": "503"
      })
      const { resourceLogs } = JSON.parse(logs.find((each) => each.includes("error_code")) ?? "") as {
        resourceLogs: ReadonlyArray<{
          scopeLogs: ReadonlyArray<{
            logRecords: ReadonlyArray<{ severityText: string; spanId?: string; attributes: ReadonlyArray<KeyValue> }>
          }>
        }>
      }
      const records = resourceLogs.flatMap(({ scopeLogs }) => scopeLogs.flatMap((scope) => scope.logRecords))
      const failed = records.find(({ severityText }) => severityText === "Warn")
      assert.strictEqual(failed?.spanId, call?.spanId)
      assert.strictEqual(plain(failed?.attributes ?? [])["error_code"], "HTTP_503")
    })
  )

  it.effect("is the same metrics, with their units and bounds", () =>
    Effect.gen(function* () {
      const { metrics } = yield* inScenario(collected(calling))
      const { resourceMetrics } = JSON.parse(metrics.at(-1) ?? "") as {
        resourceMetrics: ReadonlyArray<{
          scopeMetrics: ReadonlyArray<{
            metrics: ReadonlyArray<{
              name: string
              unit: string
              sum?: { isMonotonic: boolean }
              histogram?: { dataPoints: ReadonlyArray<{ explicitBounds: ReadonlyArray<number> }> }
            }>
          }>
        }>
      }
      const all = resourceMetrics.flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics))

      assert.deepStrictEqual(
        all.map(({ histogram, name, sum, unit }) => [
          name,
          unit,
          sum?.isMonotonic ?? histogram?.dataPoints.length ?? 0
        ]),
        [
          ["http.client.request.duration", "s", 2],
          ["breakwater.wait.duration", "s", 1],
          ["breakwater.call.count", "{call}", true],
          ["breakwater.call.duration", "s", 1],
          ["breakwater.retry.count", "{attempt}", true]
        ]
      )
      assert.deepStrictEqual(all[0]?.histogram?.dataPoints[0]?.explicitBounds, Telemetry.boundaries)
    })
  )
})

describe("Telemetry.prometheusName", () => {
  it.effect("gives what a collector would write: unit and _total at the end, and leaves other metrics alone", () =>
    inScenario(
      Effect.gen(function* () {
        yield* calling
        yield* Metric.update(Metric.counter("the.app's"), 1)
        const text = yield* PrometheusMetrics.format({ metricNameMapper: Telemetry.prometheusName })

        assert.deepStrictEqual(
          text.split("\n").flatMap((line) => /^# TYPE (.*)/u.exec(line)?.[1] ?? []),
          [
            "http_client_request_duration_seconds histogram",
            "breakwater_wait_duration_seconds histogram",
            "breakwater_call_count_total counter",
            "breakwater_call_duration_seconds histogram",
            "breakwater_retry_count_total counter",
            "the_app_s counter"
          ]
        )
        assert.include(
          text,
          'breakwater_call_count_total{breakwater_provider="acme",breakwater_operation="acme.orders.create",breakwater_environment="sandbox",breakwater_outcome="ok"} 1'
        )
      })
    )
  )
})
