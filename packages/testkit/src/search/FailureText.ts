/**
 * A failure as one reads it: what is wrong, the plan in words, what really happened beside what the client believed, and how to have it again. @since 0.1.0
 */
import type { Case } from "../Case.ts"
import type { TimedLine } from "../kernel/CurrentRun.ts"
import type { Taken } from "../kernel/Decisions.ts"
import * as Kernel from "../kernel/Kernel.ts"
import type { Plan } from "../Plan.ts"
import * as Plans from "../Plan.ts"
import type { Problem, Verdict } from "./Judge.ts"

/** Lines of a timeline that are shown, the last ones. */
const maxLines = 60

/** The name of a case. @category accessors @since 0.1.0 */
export const nameOf = ({ name }: { readonly name?: string | undefined }): string => name ?? "simulation"

interface Row {
  readonly at: number
  readonly ledger: string
  readonly client: string
}

const rowsOf = <W, A, E, I>(of: Case<W, A, E, I>, { report, world }: Verdict<W, I>): ReadonlyArray<Row> => {
  const startAt = of.startAt ?? Kernel.defaults.startAt
  const { client = [], ledger = [] } = world === undefined ? {} : (of.timeline?.(world) ?? {})
  const since = ({ at }: TimedLine) => at - startAt
  const rows = [
    ...report.taken.map((decision) => ({ at: decision.at, ledger: "", client: `! ${Plans.inWords(decision)}` })),
    ...ledger.map((line) => ({ at: since(line), ledger: line.text, client: "" })),
    ...client.map((line) => ({ at: since(line), ledger: "", client: line.text })),
    ...report.notes.map((line) => ({ at: since(line), ledger: "", client: line.text }))
  ]
  return rows.toSorted((a, b) => a.at - b.at)
}

const table = (rows: ReadonlyArray<Row>): ReadonlyArray<string> => {
  const heads = ["virtual time", "ledger", "client"] as const
  const lines = rows
    .slice(-maxLines)
    .map(({ at, client, ledger }) => [`+${Number(at.toFixed(3))} ms`, ledger, client] as const)
  const widths = [0, 1].map((column) => Math.max(...[heads, ...lines].map((line) => line[column]?.length ?? 0)))
  const drawn = ([at, ledger, client]: readonly [string, string, string]) =>
    `  ${at.padEnd(widths[0] ?? 0)}  ${ledger.padEnd(widths[1] ?? 0)}  ${client}`.trimEnd()
  const left = rows.length - lines.length
  return [drawn(heads), ...(left > 0 ? [`  ${left} lines before`] : []), ...lines.map(drawn)]
}

const shellQuoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

/** What to run to have the failure again. */
const replayCommand = (plan: Plan): string =>
  `BREAKWATER_PLAN=${shellQuoted(Plans.stringify(plan))} npx vitest run -t ${shellQuoted(plan.case)}`

const planInWords = ({ decisions, input }: Plan, taken: ReadonlyArray<Taken>): ReadonlyArray<string> => {
  const details = new Map(taken.map(({ detail, key }) => [key, detail]))
  const count =
    decisions.length === 0
      ? "nothing goes wrong in it"
      : `${decisions.length} decision${decisions.length === 1 ? "" : "s"}`
  return [
    `plan: ${count}`,
    ...decisions.map((decision, index) => {
      const detail = details.get(decision.key)
      return `  ${index + 1}. ${Plans.inWords({ ...decision, detail })}`
    }),
    ...(input === undefined ? [] : [`  input ${JSON.stringify(input)}`])
  ]
}

/** @category constructors @since 0.1.0 */
export const make = <W, A, E, I>(of: Case<W, A, E, I>, problem: Problem, plan: Plan, verdict: Verdict<W, I>): string =>
  [
    `${nameOf(of)}: ${problem.message}`,
    "",
    ...planInWords(plan, verdict.report.taken),
    "",
    "timeline:",
    ...table(rowsOf(of, verdict)),
    "",
    "replay:",
    `  ${replayCommand(plan)}`,
    `  Simulation.verify(theCase, Mode.replay(${JSON.stringify(Plans.stringify(plan))}))`
  ].join("\n")
