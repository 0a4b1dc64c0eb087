/**
 * The names under which a call is seen: one field of the log line, one attribute of the span, one label of the metric for each fact (OBS-1 to OBS-3).
 * Names with a dot that OpenTelemetry defines are its own (semantic conventions 1.44); the rest begin with `breakwater`. @since 0.1.0
 */
import * as Metric from "effect/Metric"

/** Attributes of spans. @category constants @since 0.1.0 */
export const attribute = {
  provider: "breakwater.provider",
  operation: "breakwater.operation",
  connection: "breakwater.connection",
  environment: "breakwater.environment",
  correlationId: "breakwater.correlation_id",
  attempts: "breakwater.attempts",
  outcome: "breakwater.outcome",
  method: "http.request.method",
  template: "url.template",
  address: "server.address",
  port: "server.port",
  scheme: "url.scheme",
  status: "http.response.status_code",
  resend: "http.request.resend_count",
  errorType: "error.type"
} as const

/** Upper bounds in seconds, as OpenTelemetry recommends for `http.client.request.duration`. */
const boundaries = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]

/** Calls that ended, by provider, operation, environment and outcome. @category metrics @since 0.1.0 */
export const calls = Metric.counter("breakwater.call.count", {
  description: "Calls that ended, by outcome",
  incremental: true
})

/** Seconds from the start of a call to its end, by provider, operation, environment and outcome. @category metrics @since 0.1.0 */
export const callDuration = Metric.histogram("breakwater.call.duration", {
  description: "Seconds a call took, with its waits",
  boundaries
})

/** Seconds an attempt was on the wire, by provider, operation, environment and status class. @category metrics @since 0.1.0 */
export const attemptDuration = Metric.histogram("http.client.request.duration", {
  description: "Seconds an attempt was on the wire",
  boundaries
})

/** Attempts after the first. @category metrics @since 0.1.0 */
export const retries = Metric.counter("breakwater.retry.count", {
  description: "Attempts after the first",
  incremental: true
})

/** Calls refused before anything was sent, by reason. @category metrics @since 0.1.0 */
export const refusals = Metric.counter("breakwater.refusal.count", {
  description: "Calls refused before anything was sent",
  incremental: true
})

/** Seconds waited for something of ours, by what for: `credential`, `rate`, `slot`, `backoff`. @category metrics @since 0.1.0 */
export const waits = Metric.histogram("breakwater.wait.duration", {
  description: "Seconds waited before an attempt",
  boundaries
})

/** How often the use of a limit passed the share at which it is told, by the limit's name. @category metrics @since 0.1.0 */
export const rateAlarms = Metric.counter("breakwater.rate.alarms", {
  description: "How often a limit was about to be used up",
  incremental: true
})

/** Operations whose answers said that they are deprecated or will end, each word once. @category metrics @since 0.1.0 */
export const deprecations = Metric.counter("breakwater.deprecation.count", {
  description: "Operations that answers said will end",
  incremental: true
})

/** How often a circuit opened. @category metrics @since 0.1.0 */
export const openings = Metric.counter("breakwater.breaker.openings", {
  description: "How often a circuit opened",
  incremental: true
})

/** Writes whose caller interrupted them while they were under way. @category metrics @since 0.1.0 */
export const abandoned = Metric.counter("breakwater.call.abandoned", {
  description: "Writes interrupted while under way",
  incremental: true
})
