/**
 * `it.simulate`, beside `it.effect` of `@effect/vitest` or by itself. @since 0.1.0
 */
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { Case } from "./Case.ts"
import type { Mode } from "./Mode.ts"
import * as Modes from "./Mode.ts"
import * as Plans from "./Plan.ts"
import * as Simulation from "./Simulation.ts"

/** What a test runner registers tests by: Vitest's `it`, or one that is called alike. @category models @since 0.1.0 */
export type Register = (name: string, test: () => void | Promise<void>, timeout?: number) => unknown

/** @category models @since 0.1.0 */
export interface Runner extends Register {
  readonly only: Register
  readonly skip: Register
}

/** Registers a simulation as a test. @category models @since 0.1.0 */
export interface Simulate {
  <W, A, E, I = void>(name: string, of: Case<W, A, E, I>, mode: Mode, timeout?: number): void
}

/** @category models @since 0.1.0 */
export interface Simulates {
  readonly simulate: Simulate & { readonly only: Simulate; readonly skip: Simulate }
}

/** Name of the environment variable that makes a test replay one plan. @category constants @since 0.1.0 */
export const planVariable = "BREAKWATER_PLAN"

/** The plan that the environment has for this case, in place of the mode. */
const overridden = (name: string, mode: Mode): Mode => {
  // The environment as it is now: the default provider keeps what it was when somebody first asked.
  const environment = ConfigProvider.fromEnv()
  const text = Effect.runSync(Effect.option(Config.String(planVariable).parse(environment)))
  if (Option.isNone(text)) return mode
  const plan = Plans.parse(text.value)
  if (Result.isFailure(plan)) throw plan.failure
  return plan.success.case === name ? Modes.replay(plan.success) : mode
}

const simulateBy =
  (register: Register): Simulate =>
  (name, of, mode, timeout) => {
    const named = { ...of, name: of.name ?? name }
    const test = (): void | Promise<void> => {
      const wanted = overridden(named.name, mode)
      if (of.external === "hold") return Simulation.verifyPromise(named, wanted).then(() => undefined)
      Simulation.verify(named, wanted)
    }
    register(name, test, timeout)
  }

/**
 * The same `it` with `it.simulate(name, case, mode)`. The variable `BREAKWATER_PLAN` makes the test that a plan belongs to replay it.
 * @category constructors @since 0.1.0
 */
export const extend = <It extends Runner>(it: It): It & Simulates => {
  const simulate = Object.assign(simulateBy(it), { only: simulateBy(it.only), skip: simulateBy(it.skip) })
  // A proxy, since a copy would lose what Vitest keeps on the function, and an assignment would change everybody's.
  return new Proxy(it as It & Simulates, {
    get: (target, name, receiver) => (name === "simulate" ? simulate : (Reflect.get(target, name, receiver) as unknown))
  })
}
