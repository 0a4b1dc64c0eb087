/**
 * A policy from `Config`: one variable for each field that holds one value, `STRIPE_BREAKER_OPEN_FOR` for `breaker.openFor`. `docs/policies.md` has the table. @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Record from "effect/Record"
import type { CallPolicy } from "./CallPolicy.ts"
import type { Configured } from "./ConfiguredPolicy.ts"
import type { Kind } from "./PolicyFields.ts"
import * as PolicyFields from "./PolicyFields.ts"

export { blamed, dryRunText, none } from "./ConfiguredPolicy.ts"
export type { Configured } from "./ConfiguredPolicy.ts"

/** How the variables of a provider begin: its name in capitals, `TWO_WORDS` for `two-words`. @category accessors @since 0.1.0 */
export const prefixOf = (provider: string): string => provider.toUpperCase().replaceAll("-", "_")

/** `breaker.openFor` to `BREAKER_OPEN_FOR`. What belongs to the bulkhead, and to a class, is said without that word. @category accessors @since 0.1.0 */
export const variableOf = (field: string): string =>
  field
    .replace(/^(?:bulkhead|classes)\./u, "")
    .replaceAll(".", "_")
    .replaceAll(/(?<=[a-z])(?=[A-Z])/gu, "_")
    .toUpperCase()

/** Parts of a policy that do nothing unless they are asked for: `true` asks for them with their defaults, `false` switches them off whatever else asks for them. @category constants @since 0.1.0 */
export const asked = ["throttle", "hedge", "bulkhead.adaptive"] as const

const words = (text: string): ReadonlyArray<string> =>
  text
    .split(",")
    .map((word) => word.trim())
    .filter((word) => word !== "")

/** How `Config` itself writes yes and no. */
const yes = new Set(["true", "yes", "on", "1", "y"])
const no = new Set(["false", "no", "off", "0", "n"])

const dryRunOf = (text: string): ReadonlyArray<string> => {
  const word = text.trim().toLowerCase()
  if (yes.has(word)) return ["*"]
  return no.has(word) ? [] : words(text)
}

const readers: { readonly [K in Kind]: (variable: string) => Config.Config<unknown> } = {
  time: (variable) => Config.Duration(variable),
  count: (variable) => Config.Int(variable),
  number: (variable) => Config.Finite(variable),
  flag: (variable) => Config.Boolean(variable),
  list: (variable) => Config.map(Config.String(variable), words)
}

type Tree = { [name: string]: unknown }

/** Puts a value at its place in a policy that is being written. */
const put = (tree: Tree, [name = "", ...rest]: ReadonlyArray<string>, value: unknown): void => {
  if (rest.length === 0) tree[name] ??= value
  else put((tree[name] ??= {}) as Tree, rest, value)
}

const written = (values: ReadonlyMap<string, unknown>): CallPolicy => {
  const tree: Tree = {}
  for (const [field, value] of values) put(tree, field.split("."), value)
  return tree
}

/** What the variables of a provider say. A value that cannot be read is named by its variable. @category constructors @since 0.1.0 */
export const read = (provider: string): Config.Config<Configured> => {
  const prefix = prefixOf(provider)
  const named = (field: string) => `${prefix}_${variableOf(field)}`
  const values = Object.fromEntries(
    PolicyFields.all.map(({ kind, name }) => [name, Config.option(readers[kind](named(name)))])
  )
  const wanted = Object.fromEntries(asked.map((part) => [part, Config.option(Config.Boolean(named(part)))]))
  const stopped = Config.withDefault(Config.Boolean(`${prefix}_STOPPED`), false)
  const dryRun = Config.withDefault(Config.map(Config.String(`${prefix}_DRY_RUN`), dryRunOf), [])
  const all = { values: Config.all(values), wanted: Config.all(wanted), stopped, dryRun }
  return Config.map(Config.all(all), (found) => {
    const given = new Map(Object.entries(Record.getSomes(found.values)))
    const parts = Object.entries(Record.getSomes(found.wanted)).map(
      ([part, isWanted]) => [part, isWanted && {}] as const
    )
    const off = parts.flatMap(([part, wanted]) => (wanted === false ? [`${part}.`] : []))
    const heeded = [...given].filter(([field]) => !off.some((part) => field.startsWith(part)))
    return {
      policy: written(new Map<string, unknown>([...heeded, ...parts])),
      variables: new Map([...given.keys()].map((field) => [field, named(field)])),
      stopped: found.stopped,
      dryRun: found.dryRun
    }
  })
}
