/**
 * The names under which a call is seen: fields of log lines, attributes and events of spans, metrics and their labels (OBS-1 to OBS-3). `docs/telemetry.md` has a row
 * for each, and a test holds the two together. What OpenTelemetry defines has its name there (semantic conventions 1.44,
 * https://opentelemetry.io/docs/specs/semconv/http/, read 2026-11-21); everything else begins with `breakwater.`. @since 0.1.0
 */
import * as Metric from "effect/Metric"

/** Attributes of spans, and labels of metrics. @category constants @since 0.1.0 */
export const attribute = {
  provider: "breakwater.provider",
  operation: "breakwater.operation",
  connection: "breakwater.connection",
  environment: "breakwater.environment",
  correlationId: "breakwater.correlation_id",
  attempt: "breakwater.attempt",
  attempts: "breakwater.attempts",
  outcome: "breakwater.outcome",
  reason: "breakwater.reason",
  waitFor: "breakwater.wait.for",
  circuitLevel: "breakwater.breaker.level",
  circuitState: "breakwater.breaker.state",
  rateLimit: "breakwater.rate.limit",
  shadow: "breakwater.shadow.policy",
  queue: "breakwater.outbox.queue",
  commandState: "breakwater.outbox.state",
  replayed: "breakwater.replayed",
  fallback: "breakwater.fallback",
  method: "http.request.method",
  template: "url.template",
  address: "server.address",
  port: "server.port",
  scheme: "url.scheme",
  status: "http.response.status_code",
  resend: "http.request.resend_count",
  errorType: "error.type"
} as const

/** Fields of log lines. @category constants @since 0.1.0 */
export const field = {
  service: "service",
  provider: "third_party",
  method: "method",
  endpoint: "endpoint",
  operation: "operation",
  connection: "connection",
  origin: "origin",
  traceId: "trace_id",
  correlationId: "correlation_id",
  attempt: "attempt",
  status: "http_status",
  requestId: "request_id",
  duration: "duration_ms",
  errorCode: "error_code",
  errorMessage: "error_message",
  errorCause: "error_cause",
  event: "event",
  limitName: "limit_name",
  limit: "limit",
  used: "used",
  window: "window_ms",
  deprecatedAt: "deprecated_at",
  sunsetAt: "sunset_at",
  link: "link",
  queue: "queue",
  command: "command"
} as const

/** What a call may come to. @category constants @since 0.1.0 */
export const outcomes = [
  "ok",
  "declared",
  "retryable",
  "fatal",
  "unknown",
  "refused",
  "handed on",
  "interrupted",
  "defect"
] as const

/** @category models @since 0.1.0 */
export type Outcome = (typeof outcomes)[number]

/** What a call may wait for. @category constants @since 0.1.0 */
export const waitsFor = ["credential", "rate", "slot", "backoff"] as const

/** @category models @since 0.1.0 */
export type WaitFor = (typeof waitsFor)[number]

/** Why no further attempt follows one that may be tried again. @category constants @since 0.1.0 */
export const denials = [
  "attempts",
  "safety",
  "body",
  "hint",
  "schedule",
  "deadline",
  "key",
  "circuit",
  "budget",
  "credential",
  "stopped"
] as const

/** @category models @since 0.1.0 */
export type Denial = (typeof denials)[number]

/** What a refresh of a credential came to. @category constants @since 0.1.0 */
export const refreshed = ["newer", "nothing newer", "revoked", "failed"] as const

/** @category models @since 0.1.0 */
export type Refreshed = (typeof refreshed)[number]

/** What a second attempt beside a slow one came to. @category constants @since 0.1.0 */
export const hedged = ["sent", "won"] as const

/** @category models @since 0.1.0 */
export type Hedged = (typeof hedged)[number]

/** What a change of a policy while it runs came to. @category constants @since 0.1.0 */
export const reloaded = ["changed", "unchanged", "rejected"] as const

/** @category models @since 0.1.0 */
export type PolicyReload = (typeof reloaded)[number]

/** What looking into a write in doubt came to: it was made, it was not, nobody knows yet, nobody could be asked, or somebody else had settled it. @category constants @since 0.1.0 */
export const resolved = ["done", "undone", "stays", "unanswered", "moved on"] as const

/** @category models @since 0.1.0 */
export type Resolved = (typeof resolved)[number]

/** How a body that is read as it comes came to its end: whole, left by its reader, or broken. @category constants @since 0.1.0 */
export const streamed = ["complete", "left", "broken"] as const

/** @category models @since 0.1.0 */
export type StreamEnd = (typeof streamed)[number]

/** What one attempt at a command of an outbox came to. @category constants @since 0.1.0 */
export const commanded = ["completed", "rescheduled", "dead", "lost"] as const

/** @category models @since 0.1.0 */
export type CommandEnd = (typeof commanded)[number]

/**
 * What a claim of an idempotency record came to: `granted`, `resumed` (an earlier call may have sent it), `replayed` (its outcome was there), `locked`, `mismatched`, `unresolved`, or `unclaimed`, since
 * the store could not be asked. @category constants @since 0.1.0
 */
export const claimed = ["granted", "resumed", "replayed", "locked", "mismatched", "unresolved", "unclaimed"] as const

/** @category models @since 0.1.0 */
export type RecordClaim = (typeof claimed)[number]

/** How a call of an operation that keeps answers had its own: kept and fresh, from the provider, kept and no longer fresh, kept and confirmed. @category constants @since 0.1.0 */
export const answered = ["hit", "miss", "stale", "revalidated"] as const

/** @category models @since 0.1.0 */
export type Answered = (typeof answered)[number]

/** Events of the span of a call. Each kind of wait has one of its own. @category constants @since 0.1.0 */
export const event = {
  wait: "breakwater.wait",
  refusal: "breakwater.refusal",
  denial: "breakwater.retry.denied",
  hedge: "breakwater.hedge",
  coalesced: "breakwater.coalesced",
  shadow: "breakwater.shadow",
  streamed: "breakwater.stream"
} as const

type Labels = Readonly<Record<string, string>>
type Made = Metric.Metric<number, unknown>

/** How each metric is made again with its labels in it. */
const makers = new WeakMap<object, (labels: Labels) => Made>()

const prometheusNames = new Map<string, string>()

const bindable = <M extends Made>(suffix: string, make: (labels: Labels) => M): M => {
  const metric = make({})
  makers.set(metric, make)
  prometheusNames.set(metric.id, metric.id.replaceAll(".", "_") + suffix)
  return metric
}

/** The unit stands in the label `unit`, which is where Effect's exporters take it from. */
const counter = (id: string, unit: string, description: string) =>
  bindable("_total", (labels) =>
    Metric.counter(id, { description, incremental: true, attributes: { ...labels, unit } })
  )

/** What is now, until it is measured again. */
const gauge = (id: string, unit: string, description: string) =>
  bindable(unit === "1" ? "_ratio" : "", (labels) => Metric.gauge(id, { description, attributes: { ...labels, unit } }))

/** Upper bounds in seconds, as OpenTelemetry recommends for `http.client.request.duration`. @category constants @since 0.1.0 */
export const boundaries = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]

const seconds = (id: string, description: string, bounds: ReadonlyArray<number> = boundaries) =>
  bindable("_seconds", (labels) =>
    Metric.histogram(id, { description, boundaries: bounds, attributes: { ...labels, unit: "s" } })
  )

/**
 * The metric with these labels in it. An update of one looks up one key; through `Metric.withAttributes` it writes the key anew whenever another series of the
 * same metric was updated in between, which costs 1 µs. @category combinators @since 0.1.0
 */
export const bind = (metric: Made, labels: Labels): Made =>
  makers.get(metric)?.(labels) ?? Metric.withAttributes(metric, labels)

/** Calls that ended, by outcome. @category metrics @since 0.1.0 */
export const calls = counter("breakwater.call.count", "{call}", "Calls that ended, by outcome")

/** Seconds from the start of a call to its end, by outcome. @category metrics @since 0.1.0 */
export const callDuration = seconds("breakwater.call.duration", "Duration of calls, with their waits")

/** Seconds an attempt over HTTP was on the wire, by status and error. @category metrics @since 0.1.0 */
export const requestDuration = seconds("http.client.request.duration", "Duration of HTTP client requests.")

/** Seconds an attempt took that is not HTTP, by error. @category metrics @since 0.1.0 */
export const attemptDuration = seconds("breakwater.attempt.duration", "Duration of attempts that are not HTTP")

/** Attempts after the first. @category metrics @since 0.1.0 */
export const retries = counter("breakwater.retry.count", "{attempt}", "Attempts after the first")

/** Attempts that did not follow one that may be tried again, by reason. @category metrics @since 0.1.0 */
export const retriesDenied = counter("breakwater.retry.denied", "{attempt}", "Retries that were not made, by reason")

/** Second attempts beside slow ones, that were sent and that brought the answer. @category metrics @since 0.1.0 */
export const hedges = counter("breakwater.hedge.count", "{attempt}", "Second attempts beside slow ones, by outcome")

/** Seconds from the headers of an answer that is read as it comes to its end, by how that came. @category metrics @since 0.1.0 */
export const streams = seconds("breakwater.stream.duration", "Duration of bodies that are read as they come")

/** Bytes of answers that are read as they come, by how those came to their end. @category metrics @since 0.1.0 */
export const streamBytes = counter("breakwater.stream.bytes", "By", "Bytes of bodies that are read as they come")

/** Calls that waited for another call's answer instead of asking for it. @category metrics @since 0.1.0 */
export const coalesced = counter("breakwater.coalesce.count", "{call}", "Calls that shared another call's answer")

/** Calls of operations that keep answers, by where the answer came from. @category metrics @since 0.1.0 */
export const answers = counter("breakwater.answer.count", "{call}", "Calls that looked for a kept answer, by outcome")

/** What the store of answers did not do, by its problem. @category metrics @since 0.1.0 */
export const answerFailures = counter(
  "breakwater.answer.failures",
  "{request}",
  "Requests that the answer store failed"
)

/** Attempts that a policy of ours refused before they were sent, by reason. @category metrics @since 0.1.0 */
export const refusals = counter("breakwater.refusal.count", "{attempt}", "Attempts refused before they were sent")

/** Attempts that a policy in shadow mode would have refused or kept waiting, by policy and reason. @category metrics @since 0.1.0 */
export const shadows = counter("breakwater.shadow.count", "{attempt}", "Attempts that a policy only watched")

/** Seconds waited for something of ours, by what for. @category metrics @since 0.1.0 */
export const waits = seconds("breakwater.wait.duration", "Duration of waits before an attempt")

/** Refreshes of a credential after a 401, by what came of them. @category metrics @since 0.1.0 */
export const refreshes = counter(
  "breakwater.credential.refreshes",
  "{refresh}",
  "Refreshes of a credential after a 401"
)

/** How often the use of a limit passed the share at which it is told, by the limit's name. @category metrics @since 0.1.0 */
export const rateAlarms = counter("breakwater.rate.alarms", "{alarm}", "How often a limit was about to be used up")

/** Operations whose answers said that they are deprecated or will end, each word once. @category metrics @since 0.1.0 */
export const deprecations = counter(
  "breakwater.deprecation.count",
  "{operation}",
  "Operations that answers said will end"
)

/** How often a circuit opened, by level: `origin` or `connection`. @category metrics @since 0.1.0 */
export const openings = counter("breakwater.breaker.openings", "{opening}", "How often a circuit opened")

/** How often a circuit came into a state, by level and state. @category metrics @since 0.1.0 */
export const transitions = counter(
  "breakwater.breaker.transitions",
  "{transition}",
  "How often a circuit came into a state"
)

/** Policies that were changed while they ran, or were to be, by what came of it. @category metrics @since 0.1.0 */
export const policyReloads = counter("breakwater.policy.reloads", "{reload}", "Policies read again or set by hand")

/** Claims of idempotency records, by what came of them. @category metrics @since 0.1.0 */
export const claims = counter("breakwater.record.claims", "{claim}", "Claims of idempotency records, by outcome")

/** Calls whose outcome could not be written into their record, by problem. @category metrics @since 0.1.0 */
export const unsettled = counter(
  "breakwater.record.unsettled",
  "{call}",
  "Calls whose outcome could not be written into their record"
)

/** Items of batches that came to an end, by outcome; the operation is the name of the batch. @category metrics @since 0.1.0 */
export const batchItems = counter("breakwater.batch.items", "{item}", "Items of batches, by outcome")

/** Answers that something else gave in the provider's place, by its name and the reason. @category metrics @since 0.1.0 */
export const fallbacks = counter("breakwater.fallback.count", "{answer}", "Answers given in a provider's place")

/** Writes in doubt that were looked into, by what came of it. @category metrics @since 0.1.0 */
export const resolutions = counter("breakwater.resolution.count", "{write}", "Writes in doubt that were looked into")

/** Writes whose caller interrupted them while they were under way. @category metrics @since 0.1.0 */
export const abandoned = counter("breakwater.call.abandoned", "{call}", "Writes interrupted while under way")

/** Attempts at commands of an outbox that ended, by queue and outcome. @category metrics @since 0.1.0 */
export const commands = counter("breakwater.outbox.count", "{attempt}", "Attempts at commands of an outbox")

/** Upper bounds in seconds of what may take days: 100 ms to a day. @category constants @since 0.1.0 */
export const ageBoundaries = [0.1, 0.5, 1, 5, 30, 60, 300, 1800, 7200, 21_600, 86_400]

/** Seconds from the addition of a command to its end, by queue. @category metrics @since 0.1.0 */
export const commandAge = seconds("breakwater.outbox.age", "Age of commands when they are done", ageBoundaries)

/** Commands that are kept, by queue and state, when they were last counted. @category metrics @since 0.1.0 */
export const commandDepth = gauge("breakwater.outbox.depth", "{command}", "Commands that are kept, by state")

/** Circuits in each state, by level and state. @category metrics @since 0.1.0 */
export const circuits = gauge("breakwater.breaker.circuits", "{circuit}", "Circuits in each state")

/** Attempts that are on the wire now. @category metrics @since 0.1.0 */
export const inFlight = gauge("breakwater.bulkhead.in_flight", "{attempt}", "Attempts on the wire")

/** Calls that wait now, by what for: `slot` or `rate`. @category metrics @since 0.1.0 */
export const waiting = gauge("breakwater.call.waiting", "{call}", "Calls that wait for a slot or for the rate")

/** Share of a limit that is used in its window, 0 to 1, by the limit's name: of several windows, keys and connections the highest. @category metrics @since 0.1.0 */
export const rateUsed = gauge("breakwater.rate.used", "1", "Share of a limit that is used in its window")

/** Share of the declared limits that this process keeps to, where `Fleet` divides them: of several connections the least. @category metrics @since 0.1.0 */
export const rateShare = gauge("breakwater.rate.share", "1", "Share of the declared limits that this process keeps to")

/** Tokens that are left to retry with: of several connections the least. @category metrics @since 0.1.0 */
export const retryTokens = gauge("breakwater.retry.tokens", "{token}", "Tokens that are left to retry with")

/**
 * The name of a metric of ours in Prometheus, as OpenTelemetry's own exporters write it: the unit and `_total` at its end
 * (https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/, read 2026-11-21). For `PrometheusMetrics.format({ metricNameMapper })`, so that
 * a dashboard reads the same names whichever way they come. Other names stay as they are. @category encoding @since 0.1.0
 */
export const prometheusName = (name: string): string => prometheusNames.get(name) ?? name
