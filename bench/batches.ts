/** How a variant runs its calls: so many in all, so many at once. */
import { Effect } from "effect"

export type Batch = (calls: number, width: number) => Promise<unknown>

const lanes = <A>(width: number, lane: () => A): ReadonlyArray<A> => Array.from({ length: width }, lane)

/** Batches of an effect. */
export const ofEffect = (one: Effect.Effect<unknown, unknown>): Batch => {
  const lane = (calls: number) =>
    Effect.gen(function* () {
      for (let call = 0; call < calls; call++) yield* one
    })
  return (calls, width) =>
    Effect.runPromise(
      Effect.all(
        lanes(width, () => lane(calls / width)),
        { concurrency: "unbounded", discard: true }
      )
    )
}

/** Batches of a function that gives a promise. */
export const ofPromise = (one: () => Promise<unknown>): Batch => {
  const lane = async (calls: number) => {
    for (let call = 0; call < calls; call++) await one()
  }
  return (calls, width) => Promise.all(lanes(width, () => lane(calls / width)))
}
