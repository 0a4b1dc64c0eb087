/**
 * Makes a failing plan smaller while it fails: delta debugging, then every plan that is smaller still, then choices that come earlier in their menus. @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { Decision } from "../kernel/Decisions.ts"
import { keyOf } from "../kernel/Decisions.ts"
import * as Exhaust from "./Exhaust.ts"
import type { Kind, Request } from "./Judge.ts"
import type { Search } from "./Search.ts"

/** Plans that are tried below the size that delta debugging comes to, where it may have stuck. */
const maxSmaller = 2000

/** A plan that fails, by what it fails. @category models @since 0.1.0 */
export interface Failing<I> extends Omit<Request<I>, "answers" | "points" | "trace"> {
  readonly decisions: ReadonlyArray<Decision>
  readonly kind: Kind
}

type Fails = (decisions: ReadonlyArray<Decision>) => Effect.Effect<boolean>

/** Whether a plan still fails in the same way. @category accessors @since 0.1.0 */
export const stillFails = <W, A, E, I>(search: Search<W, A, E, I>, failing: Failing<I>): Effect.Effect<boolean> => {
  const { decisions, kind, ...request } = failing
  const run = search.run({ ...request, answers: { _tag: "Planned", decisions } })
  return Effect.map(run, ({ problem }) => problem?.kind === kind)
}

/** A plan of which no part fails by itself, and for which no smaller one was found. @category running @since 0.1.0 */
export const minimal = Effect.fnUntraced(function* <W, A, E, I>(search: Search<W, A, E, I>, failing: Failing<I>) {
  const fails: Fails = (decisions) => stillFails(search, { ...failing, decisions })
  const reduced = yield* withoutParts(failing.decisions, fails)
  const smaller = yield* below(search, { ...failing, decisions: reduced })
  const simpler = yield* earlierChoices(search, { ...failing, decisions: smaller ?? reduced }, fails)
  return { ...failing, decisions: simpler }
})

/** Zeller's ddmin, over complements. */
const withoutParts = Effect.fnUntraced(function* (all: ReadonlyArray<Decision>, fails: Fails) {
  let current = all
  let parts = 2
  while (current.length > 0) {
    const size = Math.ceil(current.length / parts)
    const reduced = yield* withoutOne(current, size, fails)
    if (reduced !== undefined) {
      current = reduced
      parts = Math.max(parts - 1, 2)
    } else if (size <= 1) {
      break
    } else {
      parts = Math.min(current.length, parts * 2)
    }
  }
  return current
})

const withoutOne = Effect.fnUntraced(function* (current: ReadonlyArray<Decision>, size: number, fails: Fails) {
  for (let start = 0; start < current.length; start += size) {
    const candidate = [...current.slice(0, start), ...current.slice(start + size)]
    if (yield* fails(candidate)) return candidate
  }
  return undefined
})

const below = Effect.fnUntraced(function* <W, A, E, I>(search: Search<W, A, E, I>, failing: Failing<I>) {
  let found: ReadonlyArray<Decision> | undefined
  let tried = 0
  const options = {
    ...failing,
    search,
    onPlan: (
      { problem }: { readonly problem: { readonly kind: Kind } | undefined },
      decisions: ReadonlyArray<Decision>
    ) => {
      if (problem?.kind === failing.kind) found = decisions
      return found === undefined && ++tried < maxSmaller
    }
  }
  for (let size = 1; size < failing.decisions.length; size++) {
    if (!(yield* Exhaust.ofSize(options, size))) break
  }
  return found
})

/** Takes, for each decision, the first choice of its menu with which it still fails. */
const earlierChoices = Effect.fnUntraced(function* <W, A, E, I>(
  search: Search<W, A, E, I>,
  failing: Failing<I>,
  fails: Fails
) {
  const { decisions, kind: _, ...request } = failing
  const { report } = yield* search.run({ ...request, answers: { _tag: "Planned", decisions }, points: true })
  const keys = new Set(decisions.map(({ key }) => key))
  const asked = report.points.filter((point) => keys.has(keyOf(point)))
  const menus = new Map(asked.map((point) => [keyOf(point), point.menu]))
  let current = decisions
  for (const [index, { choice, key }] of decisions.entries()) {
    const menu = menus.get(key) ?? []
    for (const earlier of menu.slice(1, Math.max(menu.indexOf(choice), 1))) {
      const candidate = current.with(index, { key, choice: earlier })
      if (!(yield* fails(candidate))) continue
      current = candidate
      break
    }
  }
  return current
})
