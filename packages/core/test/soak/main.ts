/** The soak from the command line: `pnpm soak`. */
import { Cause, Effect } from "effect"
import { parseArgs } from "node:util"
import type { Options } from "./Soak.ts"
import * as Soak from "./Soak.ts"

const help = `Charges orders through an outbox in PostgreSQL by two worker processes, one of which is killed with
SIGKILL each second; then holds the ledger of the provider against the orders. Needs PostgreSQL and Redis
on their standard local ports; its tables and keys are removed at the end.

  pnpm soak [options]

  --commands N   orders that are charged; 1 to 100000. Default 10000
  --kills N      how often a worker is killed, once a second: one that is at work; 0 to 600. Default 20
  --seed N       which worker, each time; 0 to 4294967295. Default 1
  --patience N   seconds after which it is given up; 1 to 3600. Default 300
  --help         this

Exit code 0 if every order was charged once, 1 if not, 2 for a mistake in the command.
`

const ranges = { commands: [1, 100_000], kills: [0, 600], seed: [0, 4_294_967_295], patience: [1, 3600] } as const
const defaults = { commands: "10000", kills: "20", seed: "1", patience: "300" } as const

const usage = (line: string): never => {
  process.stderr.write(`soak: ${line}\n`)
  process.exit(2)
}

const parsed = () => {
  try {
    const text = { type: "string" } as const
    return parseArgs({
      options: { commands: text, kills: text, seed: text, patience: text, help: { type: "boolean" } }
    }).values
  } catch (error) {
    return usage(`${error instanceof Error ? error.message.split(".")[0] : "not understood"}; --help shows the options`)
  }
}

const values = parsed()
if (values.help === true) {
  process.stdout.write(help)
  process.exit(0)
}
const whole = (name: keyof typeof ranges): number => {
  const given = values[name] ?? defaults[name]
  const [least, most] = ranges[name]
  const value = /^\d+$/u.test(given) ? Number(given) : Number.NaN
  if (value >= least && value <= most) return value
  return usage(`--${name} must be a whole number from ${least} to ${most}, got ${JSON.stringify(given)}`)
}
const options: Options = {
  commands: whole("commands"),
  kills: whole("kills"),
  seed: whole("seed"),
  patience: whole("patience")
}

// Ctrl-C cleans up, too.
const stopping = new AbortController()
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => stopping.abort())
const exit = await Effect.runPromiseExit(
  Soak.run(options, (line) => void process.stdout.write(`${line}\n`)),
  { signal: stopping.signal }
)
if (exit._tag === "Failure") {
  process.stderr.write(stopping.signal.aborted ? "soak: stopped\n" : `soak: ${Cause.pretty(exit.cause)}\n`)
  process.exit(1)
}
const report = exit.value
const { output, ...figures } = report
process.stdout.write(`${JSON.stringify(figures)}\n`)
if (output !== "") process.stdout.write(`workers wrote, at the end:\n${output}\n`)
const problem = Soak.problemOf(report)
process.stdout.write(problem === undefined ? "every order was charged once\n" : `${problem}\n`)
process.exit(problem === undefined ? 0 : 1)
