/**
 * Faults for the plan of a simulation to choose from. @since 0.1.0
 */
import type { Exchange } from "./Exchange.ts"
import type { Fault } from "./Fault.ts"
import * as Faults from "./Fault.ts"
import type { FaultPlan } from "./FaultPlan.ts"
import { current } from "./kernel/CurrentRun.ts"

const duplicateOf = (names: ReadonlyArray<string>): string | undefined =>
  names.find((name, index) => names.indexOf(name) !== index)

/**
 * Each exchange is a question with these faults to choose from, beside none; outside a simulation nothing goes wrong. Throws a `RangeError` if two faults have one name.
 * @category constructors @since 0.1.0
 */
export const make = (faults: ReadonlyArray<Fault> | ((exchange: Exchange) => ReadonlyArray<Fault>)): FaultPlan => {
  const menuOf = (of: ReadonlyArray<Fault>) => {
    const menu = [Faults.none, ...of]
    const names = menu.map(({ name }) => name)
    const twice = duplicateOf(names)
    if (twice !== undefined) throw new RangeError(`FaultMenu.make: two faults are called "${twice}"`)
    return { names, byName: new Map(menu.map((fault) => [fault.name, fault])) }
  }
  const fixed = typeof faults === "function" ? undefined : menuOf(faults)
  return {
    next: (exchange) => {
      const run = current()
      if (run === undefined) return Faults.none
      const { byName, names } = fixed ?? menuOf(typeof faults === "function" ? faults(exchange) : faults)
      const label = `${exchange.provider} ${exchange.label}`
      return byName.get(run.choose(label, names)) ?? Faults.none
    }
  }
}
