/**
 * How a call is protected, as data: per provider, overridden per operation, per call (`Call.withPolicy`) and by `Config`. A field that is left out takes
 * its default, which bends to the fields that are given: a deadline of 3 s makes the attempt timeout 3 s, not a contradiction. @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { BackoffSchedule } from "../vocabulary/AttemptFailure.ts"

export {
  /** The delays of AWS SDKs from 2026. @category presets @since 0.1.0 */
  aws2026,
  /** For work that nobody waits for. @category presets @since 0.1.0 */
  background,
  /** For taking money (SYS-2). @category presets @since 0.1.0 */
  charge,
  /** For handing over an e-mail (SYS-4). @category presets @since 0.1.0 */
  email,
  /** For an address that a form waits for (SYS-3). @category presets @since 0.1.0 */
  geocode,
  /** For a person who waits. @category presets @since 0.1.0 */
  interactive
} from "./PolicyPresets.ts"
export type { Explained } from "./PolicyExplanation.ts"
export type { Finding, Linted, Traffic } from "./PolicyLint.ts"
export {
  /** What is amiss with a policy, with the arithmetic. @category inspection @since 0.1.0 */
  lint
} from "./PolicyLint.ts"
export {
  /** The policy of an operation as an operator reads it. @category inspection @since 0.1.0 */
  explain
} from "./PolicyExplanation.ts"
import type { TrafficClass } from "../vocabulary/TrafficClass.ts"

/** Delays between attempts. @category models @since 0.1.0 */
export interface Backoff {
  /** Ceiling of the first delay; doubles with each retry. Default `"200 millis"`. */
  readonly base?: Duration.Input | undefined
  /** The same after a throttled attempt. Default `"1 second"`. */
  readonly throttledBase?: Duration.Input | undefined
  /** Ceiling of any one delay, before the provider's hint. Default `"20 seconds"`. */
  readonly cap?: Duration.Input | undefined
}

/**
 * When a circuit opens and closes (SAFE-6). There is one for each origin and one for each connection, of the same sizes (ADR 0005).
 * @category models @since 0.1.0
 */
export interface Breaker {
  /** Failures in a row that open it. Default 5. */
  readonly consecutiveFailures?: number | undefined
  /** Share of failures, above 0 and at most 1, that opens it. Default 0.5. */
  readonly failureRate?: number | undefined
  /** How many of the last calls the rates are taken over. Default 100. */
  readonly window?: number | undefined
  /** Calls older than this leave the window. Default `"5 minutes"`. */
  readonly windowAge?: Duration.Input | undefined
  /** Takes the rates over the calls of this time, in tenths of it, in place of the last `window` calls: for traffic that fills a window in an instant. Default none. */
  readonly timeWindow?: Duration.Input | undefined
  /** Calls in the window before a rate counts. Default 20. */
  readonly minimumCalls?: number | undefined
  /** A call that takes longer is slow, whether it succeeds or fails, and as soon as it does: also while it still runs. Default none: nothing is slow. */
  readonly slowAfter?: Duration.Input | undefined
  /** Share of slow calls, above 0 and at most 1, that opens it. Counts only with `slowAfter`. Default 0.5. */
  readonly slowRate?: number | undefined
  /** How long it stays open the first time, ± 20 %; doubles each time a probe fails. A `Retry-After` of the failure that opened it is a floor, up to `hintCap`. Default `"30 seconds"`. */
  readonly openFor?: Duration.Input | undefined
  /** Longest time it stays open, hints aside. Default `"5 minutes"`. */
  readonly maxOpenFor?: Duration.Input | undefined
  /** Probes that may be under way at once when its time is over, 1 to 100. Default 1. */
  readonly probes?: number | undefined
  /** How long a probe keeps its place without an end; what it comes to afterwards is not counted. Default the attempt's own timeout and one second. */
  readonly probeLease?: Duration.Input | undefined
  /** Probes that must succeed to close it. Default 3. */
  readonly successesToClose?: number | undefined
  /** How long it takes from closing until everything is let through again: 10 % of the calls for a third of it, then 25 %, then 50 %, and always one a second. 0 for at once. Default `"10 seconds"`. */
  readonly ramp?: Duration.Input | undefined
}

/** How many attempts run at once. @category models @since 0.1.0 */
export interface Bulkhead {
  /** Attempts on the wire at once. Default 64. */
  readonly concurrency?: number | undefined
  /** Calls that may wait for a slot; 0 refuses at once. Default 256. */
  readonly queue?: number | undefined
  /** Longest wait for a slot. Default `"5 seconds"`. */
  readonly queueTimeout?: Duration.Input | undefined
  /** Lets the provider have fewer attempts at once while it is overloaded. Default none: always as many as `concurrency`. `false` switches it off where a policy below asks for it. */
  readonly adaptive?: AdaptiveConcurrency | false | undefined
}

/**
 * How far the attempts at once go down when the provider answers 429 or 503, or not in time: by three tenths for each round, and up again by one for each round that it keeps up.
 * @category models @since 0.1.0
 */
export interface AdaptiveConcurrency {
  /** Fewest attempts at once. Default 4, or `concurrency` if that is less. */
  readonly minimum?: number | undefined
  /** Whether answers that take longer than they used to count as well. Default false: over the internet they say little. */
  readonly latency?: boolean | undefined
}

/**
 * Refuses a share of the calls here while the provider refuses more than it accepts, so that what it refuses does not cost it more. Counted are attempts that were sent; refused by it are
 * 429, 503, connections that do not come about and answers that do not come in time. @category models @since 0.1.0
 */
export interface Throttle {
  /** How many times as much as is accepted may be sent, from 1.1 to 100. Default 2. */
  readonly ratio?: number | undefined
  /** Largest share that is refused, above 0 and at most 0.99. Default 0.9. */
  readonly cap?: number | undefined
  /** Default `"2 minutes"`. */
  readonly window?: Duration.Input | undefined
  /** Attempts in the window before anything is refused. Default 20. */
  readonly minimumCalls?: number | undefined
}

/**
 * A second attempt beside a first one that takes long, of safe operations only; the first answer counts. It pays from the retry budget while more than half of that is left, takes a rate token and a
 * slot only if they are free, and is not sent while a circuit is not closed. @category models @since 0.1.0
 */
export interface Hedge {
  /** When it is sent: at this share of how long attempts of the operation took of late, above 0 and below 1, once 50 have been seen. Default 0.95. */
  readonly percentile?: number | undefined
  /** When it is sent, whatever attempts took. Default: by the percentile. */
  readonly delay?: Duration.Input | undefined
  /** Never sooner than this. Default `"10 millis"`. */
  readonly minimumDelay?: Duration.Input | undefined
}

/** Bounds of a body that is read as it comes (`Body.streaming`, `Call.streaming`). @category models @since 0.1.0 */
export interface Streaming {
  /** From the headers to the end of the body, whoever is slow. Default `"10 minutes"`. */
  readonly deadline?: Duration.Input | undefined
  /** Largest body, in bytes, 1 to 2^53 - 1. Default 1 GiB. */
  readonly maxBytes?: number | undefined
}

/** How the calls of a connection share its rate. @category models @since 0.1.0 */
export interface RateSharing {
  /** Share of each limit's burst, and of what a provider says is left, that webhooks and imports leave to interactive calls; from 0 to below 1. Default 0.1. */
  readonly reserve?: number | undefined
  /** Calls of each class that may wait; 0 refuses at once. Default 256. */
  readonly queue?: number | undefined
  /** Share of a limit, above 0 and at most 1, whose use is told, once a window and at most once a minute (RATE-4); of a limit of 1 never. Default 0.8. */
  readonly alarmAt?: number | undefined
  /** How much longer than a 429 asks the whole connection waits (RATE-3). Default `"100 millis"`. */
  readonly margin?: Duration.Input | undefined
  /** Partition keys that are remembered for each policy that counts by partition; further ones share a limit until there is room. Default 10,000. */
  readonly partitions?: number | undefined
}

/** What calls of a class have otherwise than interactive ones. @category models @since 0.1.0 */
export interface ClassPolicy {
  /** Default: as written for all; otherwise 10 minutes for imports. */
  readonly deadline?: Duration.Input | undefined
  /** Default: as written for all; otherwise 30 seconds for webhooks, 5 minutes for imports. */
  readonly rateWait?: Duration.Input | undefined
}

/** Policies that may watch without a say. @category constants @since 0.1.0 */
export const shadowable = ["breaker", "rate", "bulkhead", "throttle"] as const

/** @category models @since 0.1.0 */
export type Shadowable = (typeof shadowable)[number]

/** @category models @since 0.1.0 */
export interface CallPolicy {
  /** The whole call, with all its attempts and waits. Default `"30 seconds"`. */
  readonly deadline?: Duration.Input | undefined
  /** One attempt, body included. Default `"10 seconds"`, or the deadline if that is shorter. */
  readonly attemptTimeout?: Duration.Input | undefined
  /** No byte for so long: before the first one, and between two. Default `"5 seconds"`, or the attempt timeout if that is shorter. */
  readonly silenceTimeout?: Duration.Input | undefined
  /** To make a connection, where the transport says when it has one. Default `"2 seconds"`, or the attempt timeout if that is shorter. */
  readonly connectTimeout?: Duration.Input | undefined
  /** Requests sent at most, the first included, 1 to 20. An unsafe operation is sent again only after it was refused before work. Default 4. */
  readonly attempts?: number | undefined
  /** Delays between attempts; not to be given together with `schedule`. */
  readonly backoff?: Backoff | undefined
  /** Replaces the delays: gets each failed attempt, gives the wait. The provider's hint stays a floor. Default full jitter over `backoff`. */
  readonly schedule?: BackoffSchedule | undefined
  /** A hint longer than this is not slept: the call fails now and carries it as `retryAfter`. Default `"60 seconds"`. */
  readonly hintCap?: Duration.Input | undefined
  readonly breaker?: Breaker | undefined
  readonly bulkhead?: Bulkhead | undefined
  /** Refuses calls here while the provider refuses them there. Default none; `false` switches it off where a policy below asks for it. */
  readonly throttle?: Throttle | false | undefined
  /** Sends a second attempt beside a slow one, of safe operations. Default none; `false` switches it off where a policy below asks for it. */
  readonly hedge?: Hedge | false | undefined
  /** Whether calls of a safe operation that ask for the same at the same time are one: one flight, its outcome for all. Default false. */
  readonly coalesce?: boolean | undefined
  /** Longest wait for the rate budget. Default `"10 seconds"`. */
  readonly rateWait?: Duration.Input | undefined
  readonly rate?: RateSharing | undefined
  /** For calls inside `Call.withClass`; goes over the fields above. */
  readonly classes?: { readonly [C in Exclude<TrafficClass, "interactive">]?: ClassPolicy | undefined } | undefined
  /** Policies in shadow mode: they decide and tell, and refuse nothing, nor keep anybody waiting. Default none. */
  readonly shadow?: ReadonlyArray<Shadowable> | undefined
  /** Largest body of an answer that is read, in bytes. Default 8 MiB. */
  readonly maxBodyBytes?: number | undefined
  readonly streaming?: Streaming | undefined
}

/** A policy with every field filled in, times in milliseconds: what the pipeline reads. @category models @since 0.1.0 */
export interface ResolvedPolicy {
  readonly deadlineMillis: number
  readonly attemptMillis: number
  readonly silenceMillis: number
  readonly connectMillis: number
  readonly attempts: number
  readonly backoff: { readonly baseMillis: number; readonly throttledBaseMillis: number; readonly capMillis: number }
  readonly schedule: BackoffSchedule | undefined
  readonly hintCapMillis: number
  readonly breaker: {
    readonly consecutiveFailures: number
    readonly failureRate: number
    readonly window: number
    readonly minimumCalls: number
    readonly windowAgeMillis: number
    readonly timeWindowMillis: number | undefined
    readonly slowAfterMillis: number | undefined
    readonly slowRate: number
    readonly openMillis: number
    readonly maxOpenMillis: number
    readonly probes: number
    readonly probeLeaseMillis: number | undefined
    readonly successesToClose: number
    readonly rampMillis: number
  }
  readonly bulkhead: {
    readonly concurrency: number
    readonly queue: number
    readonly queueMillis: number
    readonly adaptive: { readonly minimum: number; readonly latency: boolean } | undefined
  }
  readonly throttle:
    | { readonly ratio: number; readonly cap: number; readonly windowMillis: number; readonly minimumCalls: number }
    | undefined
  readonly hedge:
    | { readonly percentile: number; readonly delayMillis: number | undefined; readonly minimumMillis: number }
    | undefined
  readonly coalesce: boolean
  readonly rateWaitMillis: number
  readonly rate: {
    readonly reserve: number
    readonly queue: number
    readonly alarmAt: number
    readonly marginMillis: number
    readonly partitions: number
  }
  readonly shadow: ReadonlyArray<Shadowable> | undefined
  readonly maxBodyBytes: number
  readonly streaming: { readonly deadlineMillis: number; readonly maxBytes: number }
}

/** A policy that contradicts itself, or a field out of range. The layer that was given it is not built. @category errors @since 0.1.0 */
export class CallPolicyError extends Schema.TaggedError<CallPolicyError>("@breakwater/core/CallPolicy/CallPolicyError")(
  "CallPolicyError",
  {
    /** Whose policy: a provider, an operation, or a layer's own name. */
    owner: Schema.String,
    /** The field as it is written, such as `breaker.failureRate`. */
    field: Schema.String,
    rule: Schema.String,
    /** The variable that the value comes from, where it comes from `Config`. */
    variable: Schema.optional(Schema.String)
  }
) {
  override get message(): string {
    return `policy of ${this.owner}: ${this.variable ?? this.field} ${this.rule}`
  }
}

/** The values used when a field is left out. @category constants @since 0.1.0 */
export const defaults = {
  deadline: Duration.seconds(30),
  attemptTimeout: Duration.seconds(10),
  silenceTimeout: Duration.seconds(5),
  connectTimeout: Duration.seconds(2),
  attempts: 4,
  backoff: { base: Duration.millis(200), throttledBase: Duration.seconds(1), cap: Duration.seconds(20) },
  hintCap: Duration.seconds(60),
  breaker: {
    consecutiveFailures: 5,
    failureRate: 0.5,
    window: 100,
    minimumCalls: 20,
    windowAge: Duration.minutes(5),
    slowRate: 0.5,
    openFor: Duration.seconds(30),
    maxOpenFor: Duration.minutes(5),
    probes: 1,
    successesToClose: 3,
    ramp: Duration.seconds(10)
  },
  bulkhead: { concurrency: 64, queue: 256, queueTimeout: Duration.seconds(5) },
  coalesce: false,
  rateWait: Duration.seconds(10),
  rate: { reserve: 0.1, queue: 256, alarmAt: 0.8, margin: Duration.millis(100), partitions: 10_000 },
  classes: {
    webhook: { rateWait: Duration.seconds(30) },
    import: { deadline: Duration.minutes(10), rateWait: Duration.minutes(5) }
  },
  maxBodyBytes: 8 * 1024 * 1024,
  streaming: { deadline: Duration.minutes(10), maxBytes: 1024 ** 3 }
} satisfies CallPolicy

/** What a policy that does nothing unless it is asked for takes where a field of it is left out. @category constants @since 0.1.0 */
export const defaultsWhenAsked = {
  adaptive: { minimum: 4, latency: false },
  throttle: { ratio: 2, cap: 0.9, window: Duration.minutes(2), minimumCalls: 20 },
  hedge: { percentile: 0.95, minimumDelay: Duration.millis(10) }
} satisfies {
  readonly adaptive: AdaptiveConcurrency
  readonly throttle: Throttle
  readonly hedge: Hedge
}

const mergePart = <T extends object>(base: T | undefined, override: T | undefined): T | undefined =>
  base === undefined ? override : override === undefined ? base : { ...base, ...given(override) }

/** The same of a part that does nothing unless it is asked for, and may be switched off. */
const mergeAsked = <T extends object>(base: T | false | undefined, override: T | false | undefined) =>
  base === false || override === false ? (override ?? base) : mergePart(base, override)

const given = <T extends object>(part: T): Partial<T> =>
  Object.fromEntries(Object.entries(part).filter(([, value]) => value !== undefined)) as Partial<T>

/** Fields and what each must not be longer than. */
const bounds = [
  ["attemptTimeout", "deadline"],
  ["silenceTimeout", "attemptTimeout"],
  ["silenceTimeout", "deadline"],
  ["connectTimeout", "attemptTimeout"],
  ["connectTimeout", "deadline"],
  ["rateWait", "deadline"]
] as const

const isLonger = (input: Duration.Input, limit: Duration.Input): boolean => {
  const [a, b] = [Duration.fromInput(input), Duration.fromInput(limit)]
  return Option.isSome(a) && Option.isSome(b) && Duration.isGreaterThan(a.value, b.value)
}

/** The base with the times that an override makes impossible shortened to what it allows: whoever shortens the attempt does not contradict a longer silence that somebody else wrote. */
const bent = (base: CallPolicy, override: CallPolicy): CallPolicy => {
  const result: { -readonly [K in keyof CallPolicy]: CallPolicy[K] } = { ...base }
  for (const [field, limit] of bounds) {
    const [written, shorter] = [result[field], override[limit]]
    if (override[field] === undefined && written !== undefined && shorter !== undefined && isLonger(written, shorter))
      result[field] = shorter
  }
  const wait = result.bulkhead?.queueTimeout
  if (
    override.bulkhead?.queueTimeout === undefined &&
    wait !== undefined &&
    override.deadline !== undefined &&
    isLonger(wait, override.deadline)
  ) {
    result.bulkhead = { ...result.bulkhead, queueTimeout: override.deadline }
  }
  return result
}

const mergeClasses = (base: CallPolicy["classes"], override: CallPolicy["classes"]): CallPolicy["classes"] =>
  override === undefined
    ? base
    : { webhook: mergePart(base?.webhook, override.webhook), import: mergePart(base?.import, override.import) }

/**
 * The second policy over the first, field by field, also inside its parts. A time of the first that is longer than what the second allows bends to
 * it. @category combinators @since 0.1.0
 */
export const merge = (base: CallPolicy, override: CallPolicy): CallPolicy => ({
  ...bent(base, override),
  ...given(override),
  backoff: override.schedule === undefined ? mergePart(base.backoff, override.backoff) : override.backoff,
  schedule: override.schedule ?? (override.backoff === undefined ? base.schedule : undefined),
  breaker: mergePart(base.breaker, override.breaker),
  throttle: mergeAsked(base.throttle, override.throttle),
  hedge: mergeAsked(base.hedge, override.hedge),
  bulkhead: mergePart(bent(base, override).bulkhead, override.bulkhead),
  rate: mergePart(base.rate, override.rate),
  streaming: mergePart(base.streaming, override.streaming),
  classes: mergeClasses(base.classes, override.classes)
})

/** The policy as calls of a class have it: what is written for the class, over what is written for all, over the defaults of the class. @category combinators @since 0.1.0 */
export const ofClass = (policy: CallPolicy, traffic: TrafficClass): CallPolicy =>
  traffic === "interactive" ? policy : merge(defaults.classes[traffic], merge(policy, policy.classes?.[traffic] ?? {}))
