/**
 * Whether two runs of one plan are the same, line by line. @since 0.1.0
 */
import type { Case } from "../Case.ts"
import type { Problem, Verdict } from "./Judge.ts"

/** Everything that a run showed: what ran when, what was decided, noted and done, and what was wrong with it. @category accessors @since 0.1.0 */
export const linesOf = <W, A, E, I>(of: Case<W, A, E, I>, verdict: Verdict<W, I>): ReadonlyArray<string> => {
  const { ledger = [], client = [] } = verdict.world === undefined ? {} : (of.timeline?.(verdict.world) ?? {})
  return [
    ...verdict.report.trace,
    ...ledger.map(({ at, text }) => `${at} ledger: ${text}`),
    ...client.map(({ at, text }) => `${at} client: ${text}`),
    verdict.problem?.message ?? "nothing is wrong"
  ]
}

/** The first line in which two runs differ. @category accessors @since 0.1.0 */
export const difference = (first: ReadonlyArray<string>, second: ReadonlyArray<string>): Problem | undefined => {
  const length = Math.max(first.length, second.length)
  for (let line = 0; line < length; line++) {
    const [a, b] = [first[line], second[line]]
    if (a !== b) return different(line, a, b)
  }
  return undefined
}

const quoted = (line: string | undefined): string => (line === undefined ? "nothing more" : `"${line}"`)

const different = (line: number, a: string | undefined, b: string | undefined): Problem => ({
  kind: "not deterministic",
  message:
    `two runs of one plan differ in line ${line + 1} of their traces: ${quoted(a)}, then ${quoted(b)}; ` +
    "something is kept from run to run, or comes from outside by a way that is not watched"
})
