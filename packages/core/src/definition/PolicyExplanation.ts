/**
 * A policy in words, for whoever operates it. `CallPolicy.explain` is this. @internal
 */
import * as Duration from "effect/Duration"
import type { ResolvedPolicy } from "./CallPolicy.ts"

/** What `explain` reads: a declared operation has it. @category models @since 0.1.0 */
export interface Explained {
  readonly name: string
  readonly safety: string
  readonly policy: ResolvedPolicy
  readonly declared?: { readonly streams: boolean } | undefined
}

const time = (millis: number): string => Duration.format(Duration.millis(millis))

const attemptLines = ({ policy, safety }: Explained): ReadonlyArray<string> => {
  const lines: Array<string> = []
  let ceiling = 0
  for (let attempt = 1; attempt <= policy.attempts; attempt++) {
    const { baseMillis, capMillis } = policy.backoff
    if (attempt > 1) ceiling += Math.min(capMillis, baseMillis * 2 ** (attempt - 2))
    const earliest = Math.min(policy.deadlineMillis, ceiling)
    const bound = Math.min(policy.attemptMillis, policy.deadlineMillis - earliest)
    const wait =
      attempt === 1
        ? "at once"
        : policy.schedule === undefined
          ? `after at most ${time(Math.min(capMillis, baseMillis * 2 ** (attempt - 2)))}`
          : "when the schedule says"
    const when = attempt > 1 && safety === "unsafe" ? ", only if refused before work" : ""
    lines.push(
      bound > 0
        ? `  attempt ${attempt}: ${wait}, bounded by ${time(bound)}${when}`
        : `  attempt ${attempt}: ${wait}, only if the waits before it fell short${when}`
    )
  }
  return lines
}

const percent = (rate: number): string => `${Math.round(rate * 100)} %`

const breakerLine = ({ breaker }: ResolvedPolicy): string => {
  const { minimumCalls, rampMillis, slowAfterMillis, timeWindowMillis } = breaker
  const calls =
    timeWindowMillis === undefined
      ? `the last ${breaker.window} calls (at least ${minimumCalls}, ${time(breaker.windowAgeMillis)} old at most)`
      : `the calls of the last ${time(timeWindowMillis)} (at least ${minimumCalls})`
  const slow =
    slowAfterMillis === undefined
      ? ""
      : `, or on ${percent(breaker.slowRate)} that take longer than ${time(slowAfterMillis)}`
  const probes = breaker.probes === 1 ? "" : `, ${breaker.probes} probes at once`
  return [
    `  breaker: opens on ${breaker.consecutiveFailures} failures in a row or ${percent(breaker.failureRate)} of ${calls}${slow}`,
    `open ${time(breaker.openMillis)} to ${time(breaker.maxOpenMillis)}`,
    `${breaker.successesToClose} successes close${probes}`,
    rampMillis === 0 ? "no ramp" : `ramp ${time(rampMillis)}`
  ].join("; ")
}

const adaptiveWords = ({ bulkhead: { adaptive } }: ResolvedPolicy): string =>
  adaptive === undefined
    ? ""
    : `, down to ${adaptive.minimum} while ${adaptive.latency ? "overloaded or slow" : "overloaded"}`

/** What an operation has only where somebody asked for it. */
const loadLines = ({ policy: { coalesce, hedge, shadow, throttle }, safety }: Explained): ReadonlyArray<string> => {
  const lines: Array<string> = []
  if (throttle !== undefined)
    lines.push(
      `  throttle: refuses up to ${percent(throttle.cap)} while less than ${percent(1 / throttle.ratio)} is accepted, over ${time(throttle.windowMillis)}`
    )
  if (hedge !== undefined && safety === "safe") {
    const when =
      hedge.delayMillis === undefined ? `at the ${percent(hedge.percentile)} mark` : `after ${time(hedge.delayMillis)}`
    lines.push(`  hedge: a second attempt ${when}, never before ${time(hedge.minimumMillis)}`)
  }
  if (coalesce && safety === "safe") lines.push("  coalesce: calls that ask for the same at once are one")
  if (shadow !== undefined) lines.push(`  in shadow mode: ${shadow.join(", ")}; told, and nothing refused`)
  return lines
}

/**
 * The policy of an operation as an operator reads it: every bound, and the effective bound of each attempt when all waits take their longest.
 * @category inspection @since 0.1.0
 */
export const explain = (operation: Explained): string => {
  const { policy } = operation
  const { bulkhead } = policy
  return [
    `${operation.name} (${operation.safety})`,
    `  deadline ${time(policy.deadlineMillis)}, connect ${time(policy.connectMillis)}, silence ${time(policy.silenceMillis)}, attempt ${time(policy.attemptMillis)}`,
    ...attemptLines(operation),
    `  hints are slept up to ${time(policy.hintCapMillis)}, longer ones fail the call with retryAfter`,
    breakerLine(policy),
    `  bulkhead: ${bulkhead.concurrency} at once${adaptiveWords(policy)}, ${bulkhead.queue} waiting, ${time(bulkhead.queueMillis)} at most`,
    ...loadLines(operation),
    `  rate budget: waits ${time(policy.rateWaitMillis)} at most, ${policy.rate.queue} of a class; webhooks and imports leave ${Math.round(policy.rate.reserve * 100)} %`,
    `  body: ${policy.maxBodyBytes} bytes at most`,
    ...(operation.declared?.streams === true
      ? [`  stream: ${policy.streaming.maxBytes} bytes at most, within ${time(policy.streaming.deadlineMillis)}`]
      : [])
  ].join("\n")
}
