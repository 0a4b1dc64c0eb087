/**
 * Who waits for a call: a person, a sender of webhooks, or nobody. Where there is not enough for all, the first goes before the second, and the second before the third.
 * @since 0.1.0
 */

/** @category models @since 0.1.0 */
export type TrafficClass = "interactive" | "webhook" | "import"

/** All of them, those that go first at the beginning. @category constants @since 0.1.0 */
export const all: ReadonlyArray<TrafficClass> = ["interactive", "webhook", "import"]

/** Place of a class in the order: 0 goes first. @category models @since 0.1.0 */
export type Rank = 0 | 1 | 2

const ranks = { interactive: 0, webhook: 1, import: 2 } as const

/** @category accessors @since 0.1.0 */
export const rankOf = (of: TrafficClass): Rank => ranks[of]
