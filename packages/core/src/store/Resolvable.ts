/**
 * The writes of open connections whose outcome can be found out: what a layer registers, so that a record in doubt is settled by whoever finds it. @internal
 */
import * as Effect from "effect/Effect"
import type { Asked, Way } from "../definition/Resolution.ts"
import type { ProviderError } from "../vocabulary/ProviderError.ts"
import { Connections } from "./Connections.ts"
import { scopeOf } from "./IdempotencyRecord.ts"

/** What asking came to. @category models @since 0.1.0 */
export type Verdict =
  /** It was made: this is its value. */
  | { readonly _tag: "Done"; readonly value: unknown }
  /** It was not made, or it was undone. */
  | { readonly _tag: "Undone" }
  /** Nobody knows yet. */
  | { readonly _tag: "Stays"; readonly why: "early" | "undecided" | "asks" }

/** An answer as a record keeps it: what reading it again needs. @category models @since 0.1.0 */
export interface StoredAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
}

/** @category models @since 0.1.0 */
export interface Resolvable {
  readonly provider: string
  /** `provider.group.endpoint`. */
  readonly operation: string
  readonly connection: string
  readonly environment: string | undefined
  readonly way: Way["_tag"]
  readonly settlesAfterMillis: number
  /** How long what was found out is remembered: what the provider remembers of a key, at least a day. */
  readonly retentionMillis: number
  /** How long after its first request a key may be sent again; 0 where there are no keys. */
  readonly windowMillis: number
  /** Asks the provider, or undoes the write. What is absent counts only if it is `settled`: so long after the last request. */
  readonly verdict: (asked: Asked, settled: boolean) => Effect.Effect<Verdict, ProviderError>
  /** The answer that has this value; `undefined` if none has. */
  readonly encode: (value: unknown) => Effect.Effect<StoredAnswer | undefined>
}

/** What the open connections can find out, by the scope of the keys; of two of one name, the later one. @category accessors @since 0.1.0 */
export const byScope: Effect.Effect<ReadonlyMap<string, Resolvable>> = Effect.map(
  Connections,
  (open) => new Map([...open].flatMap(({ resolvables = [] }) => resolvables.map((of) => [scopeOf(of), of] as const)))
)
