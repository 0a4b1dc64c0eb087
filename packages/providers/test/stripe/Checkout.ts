/** A checkout on the test clock: our client, a simulated Stripe, and a plan of what goes wrong between them. */
import { Context, Effect, type Exit, Layer, Logger, Random, Redacted, References } from "effect"
import type { CallPolicy } from "@breakwater/core/CallPolicy"
import type { LayerOptions } from "@breakwater/core/Client"
import { isProviderError } from "@breakwater/core/ProviderError"
import { Stripe } from "@breakwater/providers/stripe"
export { inTime, toEnd } from "../../../testkit/test/support/Run.ts"
import { type Fault, FaultPlan, SimulatedNetwork, SimulatedStripe } from "@breakwater/testkit"

export interface Options {
  /** What befalls the first exchanges, one each. */
  readonly faults?: ReadonlyArray<Fault.Fault>
  readonly plan?: FaultPlan.FaultPlan
  readonly policy?: CallPolicy
  readonly simulated?: SimulatedStripe.Options
  readonly client?: Partial<LayerOptions>
}

/** Our client over a simulated Stripe, until the scope of the test closes. */
export const open = Effect.fnUntraced(function* (options: Options = {}) {
  const simulated = yield* SimulatedStripe.make(options.simulated)
  const network = SimulatedNetwork.layer([simulated], { plan: options.plan ?? FaultPlan.script(options.faults ?? []) })
  const credential = Redacted.make(options.simulated?.apiKey ?? SimulatedStripe.defaultApiKey)
  const live = Stripe.layer({ credential, policy: options.policy, ...options.client })
  const stripe = Context.get(yield* Layer.build(Layer.provide(live, network)), Stripe)
  return { stripe, ledger: simulated.ledger }
})

const half: Random.Random = { nextDoubleUnsafe: () => 0.5, nextIntUnsafe: () => 0 }

/** What is random held still, and the log kept. */
export const quietly = <A, E, R>(effect: Effect.Effect<A, E, R>, lines: Array<string> = []): Effect.Effect<A, E, R> => {
  const logger = Logger.make<unknown, void>(({ fiber, message }) => {
    lines.push(JSON.stringify([message, fiber.getRef(References.CurrentLogAnnotations)]))
  })
  return effect.pipe(
    Effect.provideService(Random.Random, half),
    Effect.provideService(References.CurrentLoggers, new Set([logger]))
  )
}

/** The error that an effect ends with, in short: class, reason, attempts; or `succeeded`. */
export const shortly = (exit: Exit.Exit<unknown, unknown>): string => {
  if (exit._tag === "Success") return "succeeded"
  const [reason] = exit.cause.reasons
  if (reason === undefined || reason._tag !== "Fail") return String(exit.cause)
  const { error } = reason
  return isProviderError(error)
    ? `${error._tag} ${error.reason._tag} after ${error.attempts}`
    : String((error as { readonly _tag?: string })._tag)
}
