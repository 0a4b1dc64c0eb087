/**
 * What an operator should hear of though no call has failed: a limit that is about to be used up, an operation that will end. Each is one log line and one count of a metric;
 * programs may listen too. @since 0.1.0
 */
import * as Context from "effect/Context"
import type { Deprecation } from "./Deprecation.ts"

/** Whose notice it is. @category models @since 0.1.0 */
export interface Origin {
  readonly provider: string
  /** The authorised link; for a plain client, the origin. */
  readonly connection: string
  readonly environment: string | undefined
}

/** The use of a limit has passed the share `rate.alarmAt` of the policy (RATE-4); told once a window, and at most once a minute. @category models @since 0.1.0 */
export interface RateUsed extends Origin {
  readonly _tag: "RateUsed"
  /** Name of the policy, or of the limit as the provider's answers have it; empty where it has none. */
  readonly limitName: string
  /** Key of the partition, sanitised, where the policy is counted for each. */
  readonly partition: string | null
  readonly limit: number | null
  readonly used: number
  /** Length of the window, where it is known. */
  readonly windowMillis: number | null
}

/** An answer says that its operation is deprecated, or will end; told once for each operation and word. @category models @since 0.1.0 */
export interface Deprecated extends Origin, Deprecation {
  readonly _tag: "Deprecated"
  readonly operation: string
}

/** @category models @since 0.1.0 */
export type Notice = RateUsed | Deprecated

/**
 * Hears every notice, at the end of the call that it came up in, in that call's fiber and context. Must return at once; what it throws is ignored. Default: nobody listens.
 * **Example** `Effect.provideService(program, Notice.Listener, (notice) => void pager.send(notice))`
 * @category references @since 0.1.0
 */
export const Listener = Context.Reference<((notice: Notice) => void) | undefined>("@breakwater/core/Notice/Listener", {
  defaultValue: () => undefined
})
