/** What a record keeps of a call that is done, and how it is written: one format for calls that end, and for those whose end is found out later. @internal */
import * as Predicate from "effect/Predicate"
import type { Payload } from "../store/Payload.ts"

/** The outcome, and when it was known; without one nobody has it. @category models @since 0.1.0 */
export interface KeptOutcome {
  readonly at: number
  readonly outcome?: unknown
}

/** Format of what is kept. @category constants @since 0.1.0 */
export const version = 1

/** @category constructors @since 0.1.0 */
export const payloadOf = (outcome: unknown, at: number): Payload => ({
  version,
  value: outcome === undefined ? { at } : { at, outcome }
})

/** @category guards @since 0.1.0 */
export const isKept = (u: unknown): u is KeptOutcome => Predicate.hasProperty(u, "at") && Predicate.isNumber(u.at)
