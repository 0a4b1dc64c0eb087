/**
 * The fields of a policy that hold one value, by their names: for whoever reads them from somewhere, or says which of them changed. A schedule is none. @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type { CallPolicy, ResolvedPolicy } from "./CallPolicy.ts"

/** What a field holds: a time, a whole number, any number, yes or no, or a list of words. @category models @since 0.1.0 */
export type Kind = "time" | "count" | "number" | "flag" | "list"

/** A policy as it holds, and as it was written. @category models @since 0.1.0 */
export interface Held {
  readonly policy: ResolvedPolicy
  readonly written: CallPolicy
}

/** @category models @since 0.1.0 */
export interface PolicyField {
  /** As it is written, such as `breaker.openFor`. */
  readonly name: string
  readonly kind: Kind
  /** What holds: times in milliseconds, `undefined` for none. */
  readonly of: (held: Held) => unknown
}

type Row = readonly [name: string, kind: Kind, of: (policy: ResolvedPolicy) => unknown]

const main: ReadonlyArray<Row> = [
  ["deadline", "time", (policy) => policy.deadlineMillis],
  ["attemptTimeout", "time", (policy) => policy.attemptMillis],
  ["silenceTimeout", "time", (policy) => policy.silenceMillis],
  ["connectTimeout", "time", (policy) => policy.connectMillis],
  ["attempts", "count", (policy) => policy.attempts],
  ["backoff.base", "time", ({ backoff }) => backoff.baseMillis],
  ["backoff.throttledBase", "time", ({ backoff }) => backoff.throttledBaseMillis],
  ["backoff.cap", "time", ({ backoff }) => backoff.capMillis],
  ["hintCap", "time", (policy) => policy.hintCapMillis],
  ["coalesce", "flag", (policy) => policy.coalesce],
  ["maxBodyBytes", "count", (policy) => policy.maxBodyBytes],
  ["streaming.deadline", "time", (policy) => policy.streaming.deadlineMillis],
  ["streaming.maxBytes", "count", (policy) => policy.streaming.maxBytes],
  ["shadow", "list", (policy) => policy.shadow]
]

const breaker: ReadonlyArray<Row> = [
  ["breaker.consecutiveFailures", "count", ({ breaker }) => breaker.consecutiveFailures],
  ["breaker.failureRate", "number", ({ breaker }) => breaker.failureRate],
  ["breaker.window", "count", ({ breaker }) => breaker.window],
  ["breaker.windowAge", "time", ({ breaker }) => breaker.windowAgeMillis],
  ["breaker.timeWindow", "time", ({ breaker }) => breaker.timeWindowMillis],
  ["breaker.minimumCalls", "count", ({ breaker }) => breaker.minimumCalls],
  ["breaker.slowAfter", "time", ({ breaker }) => breaker.slowAfterMillis],
  ["breaker.slowRate", "number", ({ breaker }) => breaker.slowRate],
  ["breaker.openFor", "time", ({ breaker }) => breaker.openMillis],
  ["breaker.maxOpenFor", "time", ({ breaker }) => breaker.maxOpenMillis],
  ["breaker.probes", "count", ({ breaker }) => breaker.probes],
  ["breaker.probeLease", "time", ({ breaker }) => breaker.probeLeaseMillis],
  ["breaker.successesToClose", "count", ({ breaker }) => breaker.successesToClose],
  ["breaker.ramp", "time", ({ breaker }) => breaker.rampMillis]
]

const load: ReadonlyArray<Row> = [
  ["bulkhead.concurrency", "count", ({ bulkhead }) => bulkhead.concurrency],
  ["bulkhead.queue", "count", ({ bulkhead }) => bulkhead.queue],
  ["bulkhead.queueTimeout", "time", ({ bulkhead }) => bulkhead.queueMillis],
  ["bulkhead.adaptive.minimum", "count", ({ bulkhead }) => bulkhead.adaptive?.minimum],
  ["bulkhead.adaptive.latency", "flag", ({ bulkhead }) => bulkhead.adaptive?.latency],
  ["throttle.ratio", "number", ({ throttle }) => throttle?.ratio],
  ["throttle.cap", "number", ({ throttle }) => throttle?.cap],
  ["throttle.window", "time", ({ throttle }) => throttle?.windowMillis],
  ["throttle.minimumCalls", "count", ({ throttle }) => throttle?.minimumCalls],
  ["hedge.percentile", "number", ({ hedge }) => hedge?.percentile],
  ["hedge.delay", "time", ({ hedge }) => hedge?.delayMillis],
  ["hedge.minimumDelay", "time", ({ hedge }) => hedge?.minimumMillis],
  ["rateWait", "time", (policy) => policy.rateWaitMillis],
  ["rate.reserve", "number", ({ rate }) => rate.reserve],
  ["rate.queue", "count", ({ rate }) => rate.queue],
  ["rate.alarmAt", "number", ({ rate }) => rate.alarmAt],
  ["rate.margin", "time", ({ rate }) => rate.marginMillis],
  ["rate.partitions", "count", ({ rate }) => rate.partitions]
]

const millisOf = (input: Duration.Input | undefined): number | undefined =>
  input === undefined ? undefined : Duration.toMillis(input)

const ofClass = (traffic: "webhook" | "import"): ReadonlyArray<PolicyField> => [
  {
    name: `classes.${traffic}.deadline`,
    kind: "time",
    of: ({ written }) => millisOf(written.classes?.[traffic]?.deadline)
  },
  {
    name: `classes.${traffic}.rateWait`,
    kind: "time",
    of: ({ written }) => millisOf(written.classes?.[traffic]?.rateWait)
  }
]

/** Every field that holds one value, in the order in which they are documented. @category constants @since 0.1.0 */
export const all: ReadonlyArray<PolicyField> = [
  ...[...main, ...breaker, ...load].map(([name, kind, of]) => ({
    name,
    kind,
    of: ({ policy }: Held) => of(policy)
  })),
  ...ofClass("webhook"),
  ...ofClass("import")
]

/** One field that holds something else now. @category models @since 0.1.0 */
export interface FieldChange {
  readonly field: string
  /** In words, such as `30s`; `none` for nothing. */
  readonly from: string
  readonly to: string
}

const inWords = (kind: Kind, value: unknown): string => {
  if (value === undefined) return "none"
  if (kind === "time") return value === 0 ? "0" : Duration.format(Duration.millis(Number(value)))
  return Array.isArray(value) ? value.join(" and ") : `${value as string | number | boolean}`
}

/** What holds after a change that did not before, field by field. @category comparing @since 0.1.0 */
export const changes = (before: Held, after: Held): ReadonlyArray<FieldChange> => {
  const changed = all.flatMap(({ kind, name, of }) => {
    const [from, to] = [inWords(kind, of(before)), inWords(kind, of(after))]
    return from === to ? [] : [{ field: name, from, to }]
  })
  const isRescheduled = before.policy.schedule !== after.policy.schedule
  const named = ({ policy }: Held) => (policy.schedule === undefined ? "none" : "a schedule")
  return isRescheduled ? [...changed, { field: "schedule", from: named(before), to: named(after) }] : changed
}
