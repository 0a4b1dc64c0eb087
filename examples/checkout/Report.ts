/** What the demo shows: a line that moves while a run goes on, and a table at the end. */
import type { Progress } from "./Run.ts"
import type { Figures } from "./Verdict.ts"

export interface Shown extends Figures {
  readonly deferredOnTheWay: number
  readonly openings: number
}

const isTerminal = process.stderr.isTTY

const bar = (done: number, all: number, width = 30): string => {
  const filled = Math.round((done / all) * width)
  return "█".repeat(filled) + "░".repeat(width - filled)
}

/** Draws progress on stderr, so that stdout is the result's: a moving line on a terminal, a line every two seconds elsewhere. */
export const progress = (name: string, orders: number) => {
  let ticks = 0
  return {
    report: ({ answered, arrived, waiting }: Progress): void => {
      const text = `${name.padEnd(10)} ${bar(answered, orders)} ${String(answered).padStart(4)}/${orders} answered, ${arrived} arrived, ${waiting} deferred`
      if (isTerminal) process.stderr.write(`\r\u001b[2K${text}`)
      else if (ticks++ % 10 === 0) process.stderr.write(`${text}\n`)
    },
    end: (): void => {
      if (isTerminal) process.stderr.write("\r\u001b[2K")
    }
  }
}

const rows: ReadonlyArray<readonly [string, (shown: Shown) => string | number]> = [
  ["charged", (shown) => shown.charged],
  ["refused", (shown) => shown.refused],
  ["deferred, then settled", (shown) => shown.deferredOnTheWay - shown.deferred],
  ["left deferred", (shown) => shown.deferred],
  ["charged twice", (shown) => shown.doubleCharged],
  ["lost", (shown) => shown.lost],
  ["attempts", (shown) => shown.attempts],
  ["retries", (shown) => shown.retries],
  ["circuit openings", (shown) => shown.openings],
  ["p50 / p95", (shown) => `${shown.p50Ms} / ${shown.p95Ms} ms`]
]

export const table = (naive: Shown, breakwater: Shown): string => {
  const line = (name: string, left: string | number, right: string | number) =>
    `  ${name.padEnd(24)}${String(left).padStart(16)}${String(right).padStart(16)}`
  return [
    line("", "naive", "breakwater"),
    ...rows.map(([name, value]) => line(name, value(naive), value(breakwater)))
  ].join("\n")
}
