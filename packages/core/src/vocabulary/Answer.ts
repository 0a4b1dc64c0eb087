/**
 * A value with where it came from: the provider now, or something that stands in for it. Whatever answers in a call's place says so here, and `capture` tells the caller. @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { ProviderError } from "./ProviderError.ts"

/** From the provider itself to what replaces it: of several, the one furthest to the right names the whole. @category constants @since 0.1.0 */
export const sources = ["live", "revalidated", "cached", "stale", "fallback"] as const

/**
 * `live`: the provider said it now. `revalidated`: it said now that what was kept is still so. `cached`: kept, and fresh. `stale`: kept, and no longer fresh. `fallback`: what a
 * fallback gave in its place, from elsewhere or from before. @category models @since 0.1.0
 */
export type Source = (typeof sources)[number]

/** Where a value came from. @category models @since 0.1.0 */
export interface Provenance {
  readonly source: Source
  /** How long ago the provider said it. Zero where it said it now, or never did. */
  readonly age: Duration.Duration
  /** `provider.group.endpoint` of the call; `undefined` where there was none. */
  readonly operation?: string | undefined
  /** The provider's id of the answer. */
  readonly requestId?: string | undefined
  /** Why the provider's own answer is not there. */
  readonly degradedBy?: ProviderError | undefined
}

/** @category models @since 0.1.0 */
export interface Answer<A> extends Provenance {
  readonly value: A
}

/** What is noted while an effect runs, and who listens outside of it. */
interface Cell {
  noted: Provenance | undefined
  readonly outer: Cell | undefined
}

const Listening = Context.Reference<Cell | undefined>("@breakwater/core/Answer/Listening", {
  defaultValue: () => undefined
})

/** Of an effect that asked nobody. */
const nobody: Provenance = { source: "live", age: Duration.zero }

/** Whether anybody wants to hear. @category guards @since 0.1.0 */
export const isCaptured = (fiber: Fiber.Fiber<unknown, unknown>): boolean => fiber.getRef(Listening) !== undefined

const rank = ({ source }: Provenance): number => sources.indexOf(source)

/** Says where a value came from, to whoever captures it. @category combinators @since 0.1.0 */
export const note = (fiber: Fiber.Fiber<unknown, unknown>, provenance: Provenance): void => {
  for (let cell = fiber.getRef(Listening); cell !== undefined; cell = cell.outer)
    if (cell.noted === undefined || rank(provenance) >= rank(cell.noted)) cell.noted = provenance
}

/** Runs an effect of which nobody is to hear: what goes on beside a call is no answer to it. @category combinators @since 0.1.0 */
export const unheard = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(self, Listening, undefined)

/**
 * The value of an effect with where it came from. Of several calls inside, the one that is furthest from the provider counts, and of those the last: a page that shows one stale part
 * is stale. An effect that makes no call is `live`, of age zero. @category combinators @since 0.1.0
 */
export const capture = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<Answer<A>, E, R> =>
  Effect.withFiber((fiber) => {
    const cell: Cell = { noted: undefined, outer: fiber.getRef(Listening) }
    return Effect.map(Effect.provideService(self, Listening, cell), (value) => ({ ...(cell.noted ?? nobody), value }))
  })
