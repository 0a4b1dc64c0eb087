/**
 * The rules of `CallPolicy.lint`. Each finds nothing, or says what is amiss with the numbers that it follows from. @internal
 */
import * as Duration from "effect/Duration"
import type { ResolvedPolicy } from "./CallPolicy.ts"

/** What may be amiss. @category models @since 0.1.0 */
export type Rule =
  | "deadline below attempts"
  | "breaker never opens"
  | "failure rate never counts"
  | "slow never counts"
  | "hint cap above deadline"
  | "nested retries"
  | "hedge on a write"
  | "hedge after the attempt"
  | "bulkhead below traffic"
  | "rate below traffic"
  | "queue above caller"
  | "deadline above caller"
  | "retries outlive the key"
  | "recovery above objective"
  | "throttle never counts"

/** What is known of a policy and its calls, times in milliseconds. */
interface Subject {
  readonly policy: ResolvedPolicy
  readonly safety: string
  readonly known: {
    readonly callsPerSecond: number | undefined
    readonly latencyMillis: number | undefined
    readonly callerWaitsMillis: number | undefined
    readonly recoversWithinMillis: number | undefined
    readonly nestedRetries: number | undefined
    readonly ratePerSecond: number | undefined
    readonly keyMillis: number | undefined
  }
}

/** @category models @since 0.1.0 */
export interface LintRule {
  readonly rule: Rule
  readonly severity: "warning" | "note"
  readonly fields: ReadonlyArray<string>
  readonly find: (subject: Subject) => string | undefined
}

const time = (millis: number): string => Duration.format(Duration.millis(Math.round(millis)))
const number = (value: number): string => String(Math.round(value * 100) / 100)

/** Longest waits before each attempt after the first, where the policy says them itself. */
const backoffs = ({ attempts, backoff, schedule }: ResolvedPolicy): ReadonlyArray<number> | undefined =>
  schedule === undefined
    ? Array.from({ length: attempts - 1 }, (_, retry) => Math.min(backoff.capMillis, backoff.baseMillis * 2 ** retry))
    : undefined

const sum = (values: ReadonlyArray<number>): number => values.reduce((all, value) => all + value, 0)

/** How often an operation is sent at most, as far as the policy alone decides: an unsafe one is sent again only when no work was done. */
const isRetried = ({ policy, safety }: Subject): boolean => policy.attempts > 1 && safety !== "unsafe"

/**
 * Attempts may take their whole time or fail at once, so that a deadline below the sum of the longest is no mistake: it is one when attempts that are not answered usually leave no time to begin the last.
 * What ends such an attempt is the shorter of the silence and the attempt timeout; a wait with full jitter is half of its ceiling on average.
 */
const deadlineBelowAttempts = (subject: Subject): string | undefined => {
  const { policy } = subject
  const waits = backoffs(policy)
  if (!isRetried(subject) || waits === undefined) return undefined
  const each = Math.min(policy.silenceMillis, policy.attemptMillis)
  const backoff = sum(waits) / 2
  const begun = (policy.attempts - 1) * each + backoff
  if (begun < policy.deadlineMillis) return undefined
  const which = policy.silenceMillis < policy.attemptMillis ? "of silence " : ""
  return `deadline ${time(policy.deadlineMillis)} is not more than ${policy.attempts - 1} × ${time(each)} ${which}+ ${time(backoff)} of backoff on average = ${time(begun)}: after attempts that are not answered, the last of ${policy.attempts} is never made`
}

/** Calls that a window can hold at this traffic. */
const inWindow = ({ breaker }: ResolvedPolicy, callsPerSecond: number) => {
  const millis = breaker.timeWindowMillis ?? breaker.windowAgeMillis
  const name = breaker.timeWindowMillis === undefined ? "breaker.windowAge" : "breaker.timeWindow"
  return { name, millis, calls: (callsPerSecond * millis) / 1000 }
}

const tooFew = (policy: ResolvedPolicy, callsPerSecond: number | undefined): string | undefined => {
  if (callsPerSecond === undefined) return undefined
  const { calls, millis, name } = inWindow(policy, callsPerSecond)
  const { minimumCalls } = policy.breaker
  return calls >= minimumCalls
    ? undefined
    : `${number(callsPerSecond)} calls a second × ${time(millis)} of ${name} = ${number(calls)} calls, less than breaker.minimumCalls (${minimumCalls})`
}

/** Failures in a row open a circuit at any traffic; it is only a question of how long that takes. */
const breakerAtTraffic =
  (isOutOfReach: boolean) =>
  ({ known: { callsPerSecond }, policy }: Subject): string | undefined => {
    const few = tooFew(policy, callsPerSecond)
    if (few === undefined || callsPerSecond === undefined) return undefined
    const { consecutiveFailures } = policy.breaker
    if (consecutiveFailures > inWindow(policy, callsPerSecond).calls !== isOutOfReach) return undefined
    const takes = time((consecutiveFailures / callsPerSecond) * 1000)
    return `${few}: no share of failures or slow calls ever counts, and ${consecutiveFailures} failures in a row take ${takes} of nothing else`
  }

const slowNeverCounts = ({ policy: { attemptMillis, breaker } }: Subject): string | undefined =>
  breaker.slowAfterMillis === undefined || breaker.slowAfterMillis < attemptMillis
    ? undefined
    : `breaker.slowAfter (${time(breaker.slowAfterMillis)}) is not less than the attempt timeout (${time(attemptMillis)}): no attempt is ever slow`

/** The hint cap of the defaults, which is longer than most deadlines on purpose: it counts for what the rest of the connection is held back by. */
const usualHintCapMillis = 60_000

const hintCapAboveDeadline = ({ policy: { deadlineMillis, hintCapMillis } }: Subject): string | undefined =>
  hintCapMillis === usualHintCapMillis || hintCapMillis <= deadlineMillis
    ? undefined
    : `hintCap ${time(hintCapMillis)} is above the deadline ${time(deadlineMillis)}: a hint between the two fails the call all the same, and the ${time(hintCapMillis)} only hold back the rest of the connection`

const nestedRetries = (subject: Subject): string | undefined => {
  const { known, policy } = subject
  const outer = (known.nestedRetries ?? 0) + 1
  const { attempts } = policy
  return outer === 1 || !isRetried(subject)
    ? undefined
    : `${attempts} attempts here × ${outer} there = ${attempts * outer} attempts for one call while the provider is down: leave the retries to one of the two`
}

const hedgeOnWrite = ({ policy, safety }: Subject): string | undefined =>
  policy.hedge === undefined || safety === "safe"
    ? undefined
    : `hedge has no effect on an operation that is ${safety}: a second attempt beside the first would be a second write, and is never sent`

const hedgeAfterAttempt = ({ policy, safety }: Subject): string | undefined => {
  const delay = policy.hedge && Math.max(policy.hedge.delayMillis ?? 0, policy.hedge.minimumMillis)
  const longest = Math.min(policy.silenceMillis, policy.attemptMillis)
  return delay === undefined || safety !== "safe" || delay < longest
    ? undefined
    : `hedge waits ${time(delay)}, and a first attempt that is silent ends after ${time(longest)}: the second one is never beside it`
}

/** Little's law: what is under way is the rate times how long each takes. */
const bulkheadBelowTraffic = ({ known: { callsPerSecond, latencyMillis }, policy }: Subject): string | undefined => {
  if (callsPerSecond === undefined || latencyMillis === undefined || latencyMillis === 0) return undefined
  const { concurrency } = policy.bulkhead
  const most = (concurrency * 1000) / latencyMillis
  return most >= callsPerSecond
    ? undefined
    : `${concurrency} at once at ${time(latencyMillis)} each let ${number(most)} through in a second, less than ${number(callsPerSecond)}: the queue fills, and what is beyond it is refused`
}

const rateBelowTraffic = (subject: Subject): string | undefined => {
  const { callsPerSecond, ratePerSecond } = subject.known
  if (callsPerSecond === undefined || ratePerSecond === undefined) return undefined
  const { attempts } = subject.policy
  if (callsPerSecond > ratePerSecond)
    return `${number(callsPerSecond)} calls a second are more than the ${number(ratePerSecond)} that the provider lets through: the others wait, and are refused`
  // What the retry budget lets be sent at most once all fail: one a second, while the circuit is closed.
  const withRetries = callsPerSecond + 1
  return withRetries <= ratePerSecond || attempts === 1
    ? undefined
    : `${number(callsPerSecond)} calls a second and 1 retry a second, which is the least that the retry budget gives, = ${number(withRetries)}, more than the ${number(ratePerSecond)} that the provider lets through: retries wait behind calls`
}

const queueAboveCaller = ({ known: { callerWaitsMillis: waits }, policy: { bulkhead } }: Subject) =>
  waits === undefined || bulkhead.queue === 0 || bulkhead.queueMillis < waits
    ? undefined
    : `bulkhead.queueTimeout ${time(bulkhead.queueMillis)} is not less than the ${time(waits)} that the caller waits: whoever gets a slot then has nobody to answer to`

const deadlineAboveCaller = ({ known: { callerWaitsMillis: waits }, policy: { deadlineMillis } }: Subject) =>
  waits === undefined || deadlineMillis <= waits
    ? undefined
    : `deadline ${time(deadlineMillis)} is more than the ${time(waits)} that the caller waits: the last ${time(deadlineMillis - waits)} are work for nobody`

/** What a key leaves before it expires, in which nothing is sent any more. */
const keyMarginMillis = 3_600_000

const retriesOutliveKey = ({ known: { keyMillis }, policy, safety }: Subject): string | undefined => {
  if (safety !== "keyed" || keyMillis === undefined || policy.attempts === 1) return undefined
  const usable = keyMillis - keyMarginMillis
  return policy.deadlineMillis <= usable
    ? undefined
    : `deadline ${time(policy.deadlineMillis)} is more than the ${time(keyMillis)} that the provider remembers a key, less an hour = ${time(Math.max(0, usable))}: later attempts are not made, and the outcome is unknown`
}

const recoveryAboveObjective = ({ known: { recoversWithinMillis: within }, policy: { breaker } }: Subject) => {
  if (within === undefined) return undefined
  const openMillis = breaker.openMillis * 1.2
  const recovery = openMillis + breaker.rampMillis
  return recovery <= within
    ? undefined
    : `breaker.openFor ${time(breaker.openMillis)} + 20 % + ramp ${time(breaker.rampMillis)} = ${time(recovery)} after the end of a short outage, more than the ${time(within)} in which it is to be over`
}

const throttleNeverCounts = ({ known: { callsPerSecond }, policy: { throttle } }: Subject): string | undefined => {
  if (throttle === undefined || callsPerSecond === undefined) return undefined
  const calls = (callsPerSecond * throttle.windowMillis) / 1000
  return calls >= throttle.minimumCalls
    ? undefined
    : `${number(callsPerSecond)} calls a second × ${time(throttle.windowMillis)} of throttle.window = ${number(calls)} calls, less than throttle.minimumCalls (${throttle.minimumCalls}): it never refuses`
}

/** All rules, in the order in which their findings come. @category constants @since 0.1.0 */
export const all: ReadonlyArray<LintRule> = [
  {
    rule: "deadline below attempts",
    severity: "warning",
    fields: ["deadline", "attempts", "silenceTimeout", "attemptTimeout", "backoff"],
    find: deadlineBelowAttempts
  },
  {
    rule: "breaker never opens",
    severity: "warning",
    fields: ["breaker.minimumCalls", "breaker.windowAge", "breaker.timeWindow", "breaker.consecutiveFailures"],
    find: breakerAtTraffic(true)
  },
  {
    rule: "failure rate never counts",
    severity: "note",
    fields: ["breaker.minimumCalls", "breaker.windowAge", "breaker.timeWindow"],
    find: breakerAtTraffic(false)
  },
  {
    rule: "slow never counts",
    severity: "warning",
    fields: ["breaker.slowAfter", "attemptTimeout"],
    find: slowNeverCounts
  },
  {
    rule: "hint cap above deadline",
    severity: "note",
    fields: ["hintCap", "deadline"],
    find: hintCapAboveDeadline
  },
  { rule: "nested retries", severity: "warning", fields: ["attempts"], find: nestedRetries },
  { rule: "hedge on a write", severity: "warning", fields: ["hedge"], find: hedgeOnWrite },
  {
    rule: "hedge after the attempt",
    severity: "warning",
    fields: ["hedge.delay", "hedge.minimumDelay", "silenceTimeout", "attemptTimeout"],
    find: hedgeAfterAttempt
  },
  {
    rule: "bulkhead below traffic",
    severity: "warning",
    fields: ["bulkhead.concurrency"],
    find: bulkheadBelowTraffic
  },
  { rule: "rate below traffic", severity: "warning", fields: ["attempts"], find: rateBelowTraffic },
  { rule: "queue above caller", severity: "note", fields: ["bulkhead.queueTimeout"], find: queueAboveCaller },
  { rule: "deadline above caller", severity: "note", fields: ["deadline"], find: deadlineAboveCaller },
  { rule: "retries outlive the key", severity: "warning", fields: ["deadline", "attempts"], find: retriesOutliveKey },
  {
    rule: "recovery above objective",
    severity: "note",
    fields: ["breaker.openFor", "breaker.ramp"],
    find: recoveryAboveObjective
  },
  {
    rule: "throttle never counts",
    severity: "warning",
    fields: ["throttle.minimumCalls", "throttle.window"],
    find: throttleNeverCounts
  }
]
