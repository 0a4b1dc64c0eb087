/**
 * Policies for usual cases, as data: a layer, an operation or a call takes one as it is, or merged with what it has otherwise. `CallPolicy` has them under the same names. @internal
 */
import type { CallPolicy } from "./CallPolicy.ts"

/** For a person who waits: 10 s in all, 3 attempts. @category presets @since 0.1.0 */
export const interactive: CallPolicy = { deadline: "10 seconds", attemptTimeout: "4 seconds", attempts: 3 }

/** For work that nobody waits for: 10 minutes in all, 8 attempts. @category presets @since 0.1.0 */
export const background: CallPolicy = {
  deadline: "10 minutes",
  attemptTimeout: "30 seconds",
  attempts: 8,
  rateWait: "5 minutes"
}

/**
 * The delays of AWS SDKs from 2026: base 50 ms, 1 s when throttled, cap 20 s, 3 attempts.
 * @see https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html (read 2026-11-21)
 * @category presets @since 0.1.0
 */
export const aws2026: CallPolicy = {
  attempts: 3,
  backoff: { base: "50 millis", throttledBase: "1 second", cap: "20 seconds" }
}

/** For taking money: connect 2 s, silence 5 s (SYS-2). @category presets @since 0.1.0 */
export const charge: CallPolicy = { connectTimeout: "2 seconds", silenceTimeout: "5 seconds" }

/** For an address that a form waits for: silence 3 s (SYS-3). @category presets @since 0.1.0 */
export const geocode: CallPolicy = { silenceTimeout: "3 seconds", deadline: "10 seconds" }

/** For handing over an e-mail: connect 1 s, silence 3 s (SYS-4). @category presets @since 0.1.0 */
export const email: CallPolicy = { connectTimeout: "1 second", silenceTimeout: "3 seconds" }
