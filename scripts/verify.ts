/** Runs everything that must hold before a release, one step after the other, and stops at the first that fails. */
import { script, succeeds } from "./workspace.ts"

const steps = ["check", "build", "test", "bench", "packed"] as const

interface Outcome {
  readonly step: string
  readonly seconds: string
  readonly result: "passed" | "failed" | "not run"
}

const run = (step: string): Outcome => {
  const command = script(step)
  process.stdout.write(`\n=== ${step}: ${command}\n`)
  const started = performance.now()
  const result = succeeds(command) ? "passed" : "failed"
  const seconds = ((performance.now() - started) / 1_000).toFixed(1)
  process.stdout.write(`=== ${step} ${result} after ${seconds} s\n`)
  return { step, seconds, result }
}

const runAll = (): ReadonlyArray<Outcome> => {
  const outcomes: Array<Outcome> = []
  for (const step of steps) {
    const stopped = outcomes.some(({ result }) => result === "failed")
    outcomes.push(stopped ? { step, seconds: "-", result: "not run" } : run(step))
  }
  return outcomes
}

const outcomes = runAll()
process.stdout.write("\n")
for (const { result, seconds, step } of outcomes) {
  process.stdout.write(`${step.padEnd(8)} ${seconds.padStart(7)} s  ${result}\n`)
}
process.exitCode = outcomes.every(({ result }) => result === "passed") ? 0 : 1
