/**
 * What a policy says that holds together and still cannot be meant, with the arithmetic. `CallPolicy.lint` is this. @internal
 */
import * as Duration from "effect/Duration"
import type { ResolvedPolicy } from "./CallPolicy.ts"
import * as LintRules from "./LintRules.ts"

/** Something in a policy that will not do what it says. @category models @since 0.1.0 */
export interface Finding {
  /** What is amiss, a word of a closed list. */
  readonly rule: LintRules.Rule
  /** `warning`: part of the policy has no effect, or the opposite one. `note`: it depends on what is meant. */
  readonly severity: "warning" | "note"
  /** Whose policy: an operation, or `policy`. */
  readonly owner: string
  /** In words, with the numbers that it follows from. */
  readonly message: string
  /** The fields that it is about, as they are written. */
  readonly fields: ReadonlyArray<string>
}

/** What is known of the calls. What is left out is not asked about. @category models @since 0.1.0 */
export interface Traffic {
  /** Attempts of one connection that share its circuit and its slots, retries not counted. */
  readonly callsPerSecond?: number | undefined
  /** How long an attempt usually takes. */
  readonly latency?: Duration.Input | undefined
  /** How long whoever asks for it waits at most, such as a person before a form. */
  readonly callerWaits?: Duration.Input | undefined
  /** How long an outage may be felt after its end. */
  readonly recoversWithin?: Duration.Input | undefined
  /** Retries that are made around or below these calls: by a vendor's SDK, a queue, a proxy. The first attempt is not one. */
  readonly nested?: { readonly retries: number } | undefined
  /** What the provider lets through in a second, of all operations. */
  readonly ratePerSecond?: number | undefined
}

/** What `lint` reads: a declared operation has it. @category models @since 0.1.0 */
export interface Linted {
  readonly name: string
  readonly safety: string
  readonly policy: ResolvedPolicy
  /** Of a keyed operation, how long the provider remembers a key. */
  readonly keys?: { readonly window: Duration.Input } | undefined
}

const millisOf = (input: Duration.Input | undefined): number | undefined =>
  input === undefined ? undefined : Duration.toMillis(input)

/**
 * What is amiss with the policy of an operation (`Operation.of`), or with a resolved policy, at this traffic. Each message has the arithmetic. Only what is certain is told: a rule that needs a number that
 * `traffic` leaves out is not asked. `Provider.lint` asks it of all operations of a provider. Throws a `RangeError` for a number of `traffic` that is none.
 * @category inspection @since 0.1.0
 */
export const lint = (subject: Linted | ResolvedPolicy, traffic: Traffic = {}): ReadonlyArray<Finding> => {
  const { keys, name, policy, safety } =
    "policy" in subject ? subject : { name: "policy", safety: "safe", policy: subject, keys: undefined }
  for (const [field, value] of [
    ["callsPerSecond", traffic.callsPerSecond],
    ["ratePerSecond", traffic.ratePerSecond]
  ] as const) {
    if (value !== undefined && !(value > 0))
      throw new RangeError(`CallPolicy.lint: ${field} must be above 0, got ${value}`)
  }
  const { nested } = traffic
  if (nested !== undefined && !(Number.isInteger(nested.retries) && nested.retries >= 0))
    throw new RangeError(`CallPolicy.lint: nested.retries must be a whole number from 0, got ${nested.retries}`)
  const known = {
    callsPerSecond: traffic.callsPerSecond,
    latencyMillis: millisOf(traffic.latency),
    callerWaitsMillis: millisOf(traffic.callerWaits),
    recoversWithinMillis: millisOf(traffic.recoversWithin),
    nestedRetries: nested?.retries,
    ratePerSecond: traffic.ratePerSecond,
    keyMillis: millisOf(keys?.window)
  }
  return LintRules.all.flatMap(({ fields, find, rule, severity }) => {
    const message = find({ policy, safety, known })
    return message === undefined ? [] : [{ rule, severity, owner: name, message, fields }]
  })
}
