/**
 * A report as a table: faults down, operations across.
 * @internal
 */
import type { Report } from "./Conformance.ts"

const widest = (cells: ReadonlyArray<string>): number => Math.max(...cells.map(({ length }) => length))

const tableOf = (rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => {
  const widths = (rows[0] ?? []).map((_, column) => widest(rows.map((row) => row[column] ?? "")))
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd()
  )
}

const short: { readonly [outcome: string]: string } = {
  success: "ok",
  RetryableError: "retryable",
  FatalError: "fatal",
  OutcomeUnknown: "unknown"
}

/** `RetryableError (Timeout)` as `retryable`. */
const word = (outcome: string): string => {
  const name = outcome.split(" (", 1)[0] ?? outcome
  return short[name] ?? name
}

/** @category conversions @since 0.1.0 */
export const make = (report: Report): string => {
  const { cases, notExercised, operations, provider, violations } = report
  const names = [...new Set(cases.map(({ fault }) => fault))]
  const cell = (operation: string, fault: string): string => {
    const found = cases.filter((each) => each.operation === operation && each.fault === fault)
    if (found.some((each) => each.violations.length > 0)) return "BROKEN"
    return [...new Set(found.flatMap(({ outcomes }) => outcomes.map(word)))].join("/")
  }
  const head = ["", ...operations.map(({ operation }) => operation)]
  const safety = ["", ...operations.map(({ safety }) => safety)]
  const rows = names.map((fault) => [fault, ...operations.map(({ operation }) => cell(operation, fault))])
  const broken = violations.map(
    ({ fault, message, operation, rule }) => `  ${operation}, ${fault}: ${rule}: ${message}`
  )
  const verdict = violations.length === 0 ? "every rule holds" : `${violations.length} broken`
  return [
    `${provider}: ${cases.length} cases, ${operations.length} operations, ${names.length} faults: ${verdict}`,
    ...tableOf([head, safety, ...rows]),
    ...(broken.length === 0 ? [] : ["broken:", ...broken]),
    notExercised.length === 0 ? "not exercised: nothing" : "not exercised:",
    ...notExercised.map((what) => `  ${what}`)
  ].join("\n")
}
