/** A checkout on the test clock: our client, a simulated Stripe, and a plan of what goes wrong between them. */
import { Context, Duration, Effect, type Exit, Fiber, Layer, Logger, Random, Redacted, References } from "effect"
import { TestClock } from "effect/testing"
import type { CallPolicy } from "@breakwater/core/CallPolicy"
import type { LayerOptions } from "@breakwater/core/Client"
import { isProviderError } from "@breakwater/core/ProviderError"
import { Stripe } from "@breakwater/providers/stripe"
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

/** The exit of an effect that runs in a fiber of its own while the clock goes on for `limit`. */
export const toEnd = Effect.fnUntraced(function* <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  limit: Duration.Input = "10 minutes"
) {
  const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
  if (fiber.pollUnsafe() === undefined) yield* TestClock.adjust(limit)
  const exit = fiber.pollUnsafe()
  if (exit !== undefined) return exit
  yield* Fiber.interrupt(fiber)
  return yield* Effect.die(new Error(`still running after ${Duration.format(Duration.fromInputUnsafe(limit))}`))
})

/** What an effect comes to, while the clock goes on. */
export const inTime = <A, E, R>(effect: Effect.Effect<A, E, R>, limit?: Duration.Input): Effect.Effect<A, E, R> =>
  Effect.flatten(toEnd(effect, limit))

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
