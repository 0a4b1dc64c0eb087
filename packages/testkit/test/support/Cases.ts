/** Small cases with bugs that are known. */
import { Clock, Effect, Ref } from "effect"
import { Simulation } from "@breakwater/testkit"

interface Line {
  readonly at: number
  readonly text: string
}

const chargedOnce = (charges: ReadonlyArray<Line>): string | undefined =>
  charges.length > 1 ? `charged ${charges.length} times` : undefined

/** A program by itself, of which nothing is asked. */
export const only = <A, E>(program: Effect.Effect<A, E>) =>
  Simulation.make({ name: "only", world: Effect.void, program: () => program, invariant: () => undefined })

/** Two deliveries of one event, which charge if they get the claim. */
export const twoDeliveries = (claims: "checked" | "checked over a network" | "atomic") =>
  Simulation.make({
    name: `two deliveries, ${claims}`,
    world: Effect.sync(() => ({ charges: [] as Array<Line> })),
    program: Effect.fnUntraced(function* ({ charges }) {
      const claimed = yield* Ref.make(false)
      const check = Effect.gen(function* () {
        if (yield* Ref.get(claimed)) return false
        if (claims === "checked over a network") yield* Effect.sleep("1 millis")
        yield* Ref.set(claimed, true)
        return true
      })
      const claim = claims === "atomic" ? Ref.modify(claimed, (before) => [!before, true] as const) : check
      const delivery = Effect.gen(function* () {
        if (yield* claim) charges.push({ at: yield* Clock.currentTimeMillis, text: "charge" })
      })
      const noise = Effect.andThen(Effect.yieldNow, Effect.yieldNow)
      yield* Effect.all([delivery, delivery, noise, noise, noise, noise], { concurrency: "unbounded", discard: true })
    }),
    invariant: ({ world }) => chargedOnce(world.charges),
    timeline: ({ charges }) => ({ ledger: charges })
  })

interface Paying {
  /** Whether attempts after the first are known to be the same. */
  readonly keyed: boolean
  readonly attempts: number
  /** What may go wrong; names that begin with "lost" are processed and lost. */
  readonly faults: ReadonlyArray<string>
  readonly fails: (charges: number) => boolean
}

/** One payment, tried again after a second until it is answered. */
export const paying = ({ attempts, faults, fails, keyed }: Paying) =>
  Simulation.make({
    name: "paying",
    world: Effect.sync(() => ({ charges: [] as Array<Line> })),
    program: Effect.fnUntraced(function* ({ charges }) {
      for (let attempt = 1; attempt <= attempts; attempt++) {
        const fault = yield* Simulation.choose("exchange order-1", ["none", ...faults])
        const isProcessed = fault !== "refused" && !(keyed && charges.length > 0)
        if (isProcessed) charges.push({ at: yield* Clock.currentTimeMillis, text: "charge order-1" })
        if (fault !== "refused" && !fault.startsWith("lost")) return
        yield* Simulation.note(`attempt ${attempt} failed`)
        yield* Effect.sleep("1 second")
      }
    }),
    invariant: ({ world }) => (fails(world.charges.length) ? `charged ${world.charges.length} times` : undefined),
    timeline: ({ charges }) => ({ ledger: charges })
  })
