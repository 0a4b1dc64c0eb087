/**
 * Fills a policy's defaults and refuses one that contradicts itself, naming the field and the rule. Only what was written is refused: a default
 * bends to it. @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { AdaptiveConcurrency, CallPolicy, ResolvedPolicy } from "./CallPolicy.ts"
import { CallPolicyError, defaults, defaultsWhenAsked, ofClass, shadowable } from "./CallPolicy.ts"

/** Longest duration that any field takes: 24 days, the range of a 32-bit timer. */
const longestMillis = 2 ** 31 - 1

class Broken extends Error {
  readonly field: string
  readonly rule: string
  constructor(field: string, rule: string) {
    super(`${field} ${rule}`)
    this.field = field
    this.rule = rule
  }
}

const millis = (field: string, input: Duration.Input | undefined, fallback: number, least = 1): number => {
  if (input === undefined) return fallback
  const duration = Duration.fromInput(input)
  if (Option.isNone(duration))
    throw new Broken(field, `must be a duration such as "5 seconds", got ${JSON.stringify(input)}`)
  const value = Duration.toMillis(duration.value)
  if (!(value > 0) && (least > 0 || value !== 0))
    throw new Broken(field, least > 0 ? "must be longer than zero" : "must not be negative")
  if (value > longestMillis) throw new Broken(field, "must be at most 24 days")
  return value
}

/** A duration that may be zero, for "not at all". */
const millisOrNone = (field: string, input: Duration.Input | undefined, fallback: number): number => {
  const given = input === undefined ? Option.none() : Option.map(Duration.fromInput(input), Duration.toMillis)
  if (Option.isNone(given) || given.value > 0) return millis(field, input, fallback)
  if (given.value < 0) throw new Broken(field, "must not be negative")
  return 0
}

const optionalMillis = (field: string, input: Duration.Input | undefined): number | undefined =>
  input === undefined ? undefined : millis(field, input, 0)

const share = (field: string, input: number | undefined, fallback: number): number => {
  const value = input ?? fallback
  if (!(value > 0 && value <= 1)) throw new Broken(field, `must be above 0 and at most 1, got ${value}`)
  return value
}

const count = (field: string, input: number | undefined, fallback: number, min: number, max: number): number => {
  const value = input ?? fallback
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new Broken(field, `must be a whole number from ${min} to ${max}, got ${value}`)
  }
  return value
}

const within = (field: string, written: unknown, value: number, limit: string, max: number): number => {
  if (value <= max) return value
  if (written === undefined) return max
  throw new Broken(
    field,
    `(${Duration.format(Duration.millis(value))}) must not be longer than ${limit} (${Duration.format(Duration.millis(max))})`
  )
}

const ms = Duration.toMillis

const timeouts = (policy: CallPolicy) => {
  const deadlineMillis = millis("deadline", policy.deadline, ms(defaults.deadline))
  const attempt = millis("attemptTimeout", policy.attemptTimeout, ms(defaults.attemptTimeout))
  const attemptMillis = within("attemptTimeout", policy.attemptTimeout, attempt, "deadline", deadlineMillis)
  const silence = millis("silenceTimeout", policy.silenceTimeout, ms(defaults.silenceTimeout))
  const connect = millis("connectTimeout", policy.connectTimeout, ms(defaults.connectTimeout))
  return {
    deadlineMillis,
    attemptMillis,
    silenceMillis: within("silenceTimeout", policy.silenceTimeout, silence, "attemptTimeout", attemptMillis),
    connectMillis: within("connectTimeout", policy.connectTimeout, connect, "attemptTimeout", attemptMillis)
  }
}

const backoff = ({ backoff = {} }: CallPolicy) => {
  const capMillis = millis("backoff.cap", backoff.cap, ms(defaults.backoff.cap))
  const base = millis("backoff.base", backoff.base, ms(defaults.backoff.base))
  const throttled = millis("backoff.throttledBase", backoff.throttledBase, ms(defaults.backoff.throttledBase))
  return {
    capMillis,
    baseMillis: within("backoff.base", backoff.base, base, "backoff.cap", capMillis),
    throttledBaseMillis: within("backoff.throttledBase", backoff.throttledBase, throttled, "backoff.cap", capMillis)
  }
}

/** What the rates are taken over, and from how many calls on. */
const breakerWindow = (breaker: NonNullable<CallPolicy["breaker"]>) => {
  const usual = defaults.breaker
  const timeWindowMillis = optionalMillis("breaker.timeWindow", breaker.timeWindow)
  const window = count("breaker.window", breaker.window, usual.window, 1, 10_000)
  const fewest = timeWindowMillis === undefined ? Math.min(usual.minimumCalls, window) : usual.minimumCalls
  const minimumCalls = count("breaker.minimumCalls", breaker.minimumCalls, fewest, 1, 10_000)
  if (timeWindowMillis === undefined && minimumCalls > window) {
    throw new Broken(
      "breaker.minimumCalls",
      `(${minimumCalls}) must not be more than breaker.window (${window}): the rate could never count`
    )
  }
  return {
    window,
    minimumCalls,
    timeWindowMillis,
    windowAgeMillis: millis("breaker.windowAge", breaker.windowAge, ms(usual.windowAge))
  }
}

/** How long a circuit is open, and how it closes. */
const breakerOpen = (breaker: NonNullable<CallPolicy["breaker"]>) => {
  const usual = defaults.breaker
  const longest = millis("breaker.maxOpenFor", breaker.maxOpenFor, ms(usual.maxOpenFor))
  const openMillis = millis("breaker.openFor", breaker.openFor, Math.min(ms(usual.openFor), longest))
  const maxOpenMillis = breaker.maxOpenFor === undefined ? Math.max(longest, openMillis) : longest
  if (maxOpenMillis < openMillis) throw new Broken("breaker.maxOpenFor", "must not be shorter than breaker.openFor")
  return {
    openMillis,
    maxOpenMillis,
    probes: count("breaker.probes", breaker.probes, usual.probes, 1, 100),
    probeLeaseMillis: optionalMillis("breaker.probeLease", breaker.probeLease),
    successesToClose: count("breaker.successesToClose", breaker.successesToClose, usual.successesToClose, 1, 100),
    rampMillis: millisOrNone("breaker.ramp", breaker.ramp, ms(usual.ramp))
  }
}

const breaker = ({ breaker = {} }: CallPolicy) => {
  const usual = defaults.breaker
  return {
    failureRate: share("breaker.failureRate", breaker.failureRate, usual.failureRate),
    ...breakerWindow(breaker),
    ...breakerOpen(breaker),
    consecutiveFailures: count(
      "breaker.consecutiveFailures",
      breaker.consecutiveFailures,
      usual.consecutiveFailures,
      1,
      10_000
    ),
    slowAfterMillis: optionalMillis("breaker.slowAfter", breaker.slowAfter),
    slowRate: share("breaker.slowRate", breaker.slowRate, usual.slowRate)
  }
}

const bulkhead = ({ bulkhead = {} }: CallPolicy, deadlineMillis: number) => {
  const queueMillis = millis("bulkhead.queueTimeout", bulkhead.queueTimeout, ms(defaults.bulkhead.queueTimeout))
  const concurrency = count("bulkhead.concurrency", bulkhead.concurrency, defaults.bulkhead.concurrency, 1, 100_000)
  return {
    concurrency,
    queue: count("bulkhead.queue", bulkhead.queue, defaults.bulkhead.queue, 0, 1_000_000),
    queueMillis: within("bulkhead.queueTimeout", bulkhead.queueTimeout, queueMillis, "deadline", deadlineMillis),
    adaptive: adaptive(bulkhead.adaptive, concurrency)
  }
}

const adaptive = (input: AdaptiveConcurrency | false | undefined, concurrency: number) => {
  if (input === undefined || input === false) return undefined
  const usual = defaultsWhenAsked.adaptive
  const fewest = Math.min(usual.minimum, concurrency)
  return {
    minimum: count("bulkhead.adaptive.minimum", input.minimum, fewest, 1, concurrency),
    latency: input.latency ?? usual.latency
  }
}

/** A number that need not be whole. */
const between = (field: string, input: number | undefined, fallback: number, min: number, max: number): number => {
  const value = input ?? fallback
  if (!(value >= min && value <= max)) throw new Broken(field, `must be from ${min} to ${max}, got ${value}`)
  return value
}

const throttle = ({ throttle }: CallPolicy) => {
  if (throttle === undefined || throttle === false) return undefined
  const usual = defaultsWhenAsked.throttle
  return {
    ratio: between("throttle.ratio", throttle.ratio, usual.ratio, 1.1, 100),
    cap: between("throttle.cap", throttle.cap, usual.cap, 0.01, 0.99),
    windowMillis: millis("throttle.window", throttle.window, ms(usual.window)),
    minimumCalls: count("throttle.minimumCalls", throttle.minimumCalls, usual.minimumCalls, 1, 10_000)
  }
}

const hedge = ({ hedge }: CallPolicy) => {
  if (hedge === undefined || hedge === false) return undefined
  const usual = defaultsWhenAsked.hedge
  return {
    percentile: between("hedge.percentile", hedge.percentile, usual.percentile, 0.01, 0.999),
    delayMillis: optionalMillis("hedge.delay", hedge.delay),
    minimumMillis: millis("hedge.minimumDelay", hedge.minimumDelay, ms(usual.minimumDelay))
  }
}

const rate = ({ rate = {} }: CallPolicy) => {
  const { alarmAt = defaults.rate.alarmAt, reserve = defaults.rate.reserve } = rate
  if (!(reserve >= 0 && reserve < 1)) throw new Broken("rate.reserve", `must be at least 0 and below 1, got ${reserve}`)
  if (!(alarmAt > 0 && alarmAt <= 1)) throw new Broken("rate.alarmAt", `must be above 0 and at most 1, got ${alarmAt}`)
  return {
    reserve,
    alarmAt,
    queue: count("rate.queue", rate.queue, defaults.rate.queue, 0, 1_000_000),
    marginMillis: millis("rate.margin", rate.margin, ms(defaults.rate.margin), 0),
    partitions: count("rate.partitions", rate.partitions, defaults.rate.partitions, 1, 10_000_000)
  }
}

/** An empty list is none, so that the hot path asks for one thing. */
const shadow = ({ shadow = [] }: CallPolicy) => {
  const known: ReadonlyArray<string> = shadowable
  const other = shadow.find((each) => !known.includes(each))
  if (other !== undefined) throw new Broken("shadow", `must name ${known.join(", ")}, got ${JSON.stringify(other)}`)
  return shadow.length === 0 ? undefined : shadow
}

const streaming = ({ streaming = {} }: CallPolicy) => ({
  deadlineMillis: millis("streaming.deadline", streaming.deadline, ms(defaults.streaming.deadline)),
  maxBytes: count("streaming.maxBytes", streaming.maxBytes, defaults.streaming.maxBytes, 1, Number.MAX_SAFE_INTEGER)
})

const resolveOrThrow = (policy: CallPolicy): ResolvedPolicy => {
  const time = timeouts(policy)
  if (policy.schedule !== undefined && policy.backoff !== undefined) {
    throw new Broken("backoff", "must be left out when schedule is given: the schedule decides the delays")
  }
  const rateWait = millis("rateWait", policy.rateWait, ms(defaults.rateWait))
  return {
    ...time,
    attempts: count("attempts", policy.attempts, defaults.attempts, 1, 20),
    backoff: backoff(policy),
    schedule: policy.schedule,
    hintCapMillis: millis("hintCap", policy.hintCap, ms(defaults.hintCap)),
    breaker: breaker(policy),
    bulkhead: bulkhead(policy, time.deadlineMillis),
    throttle: throttle(policy),
    hedge: hedge(policy),
    coalesce: policy.coalesce ?? defaults.coalesce,
    rateWaitMillis: within("rateWait", policy.rateWait, rateWait, "deadline", time.deadlineMillis),
    rate: rate(policy),
    shadow: shadow(policy),
    maxBodyBytes: count("maxBodyBytes", policy.maxBodyBytes, defaults.maxBodyBytes, 1, 2 ** 31),
    streaming: streaming(policy)
  }
}

/** What is written for a class must hold too; nothing is written for most. */
const checkClasses = (policy: CallPolicy): void => {
  for (const traffic of ["webhook", "import"] as const) {
    if (policy.classes?.[traffic] === undefined) continue
    try {
      resolveOrThrow(ofClass(policy, traffic))
    } catch (error) {
      if (error instanceof Broken) throw new Broken(`classes.${traffic}.${error.field}`, error.rule)
      throw error
    }
  }
}

/**
 * The policy with every default filled in, or the first field that breaks a rule. `owner` is named in the error.
 * @category constructors @since 0.1.0
 */
export const resolve = (owner: string, policy: CallPolicy): Result.Result<ResolvedPolicy, CallPolicyError> => {
  try {
    const resolved = resolveOrThrow(policy)
    checkClasses(policy)
    return Result.succeed(resolved)
  } catch (error) {
    if (error instanceof Broken)
      return Result.fail(new CallPolicyError({ owner, field: error.field, rule: error.rule }))
    throw error
  }
}
