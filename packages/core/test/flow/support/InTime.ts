/** Runs a program on virtual time to its end: a worker polls for ever, so time must go by itself. */
import { Simulation } from "@breakwater/testkit"
import { Cause, Effect, Exit } from "effect"
import type { Scope } from "effect"

export const inTime = <A, E>(program: Effect.Effect<A, E, Scope.Scope>): A => {
  const { outcome } = Simulation.run(Effect.scoped(program))
  if (outcome._tag !== "Completed") throw new Error(JSON.stringify(outcome))
  if (Exit.isFailure(outcome.exit)) throw new Error(Cause.pretty(outcome.exit.cause))
  return outcome.exit.value
}
