/**
 * What OpenTelemetry's own SDK gets to see of an effect, kept in memory: spans, metrics and log records.
 */
import * as NodeSdk from "@effect/opentelemetry/NodeSdk"
import { InMemoryLogRecordExporter, type ReadableLogRecord, SimpleLogRecordProcessor } from "@opentelemetry/sdk-logs"
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  type MetricData,
  PeriodicExportingMetricReader
} from "@opentelemetry/sdk-metrics"
import { InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Effect } from "effect"

export interface Exported {
  /** In the order in which they began. */
  readonly spans: ReadonlyArray<ReadableSpan>
  readonly metrics: ReadonlyArray<MetricData>
  readonly logs: ReadonlyArray<ReadableLogRecord>
}

const nanosOf = ({ startTime: [seconds, nanos] }: ReadableSpan): number => seconds * 1e9 + nanos

/** Runs an effect under the SDK; what it came to itself is not looked at. */
export const exported = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<Exported, never, R> =>
  Effect.suspend(() => {
    const spans = new InMemorySpanExporter()
    const metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
    const logs = new InMemoryLogRecordExporter()
    const reader = new PeriodicExportingMetricReader({ exporter: metrics, exportIntervalMillis: 1e9 })
    const sdk = NodeSdk.layer(() => ({
      resource: { serviceName: "test" },
      spanProcessor: new SimpleSpanProcessor(spans),
      metricReader: reader,
      logRecordProcessor: new SimpleLogRecordProcessor({ exporter: logs })
    }))
    return Effect.gen(function* () {
      yield* Effect.exit(effect)
      yield* Effect.promise(() => reader.forceFlush())
      // A parent begins in the same instant as its first child, and ends after it.
      const inOrder = spans
        .getFinishedSpans()
        .toReversed()
        .toSorted((a, b) => nanosOf(a) - nanosOf(b))
      return {
        spans: inOrder,
        metrics: metrics.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics)),
        logs: logs.getFinishedLogRecords()
      }
    }).pipe(Effect.provide(sdk))
  })
