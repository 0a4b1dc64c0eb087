/**
 * What a protected call costs, as CPU time a call (user and system, garbage collection included), against what else there is. `--full` measures more variants, one call
 * at a time too, cold imports and the size of a bundle, and takes minutes. Nothing here is an assertion.
 */
import * as Bundle from "./bundle.ts"
import * as Cold from "./cold.ts"
import { type Figures, median, paired, run, withServer } from "./rounds.ts"

const isFull = process.argv.includes("--full")
const rounds = isFull ? 15 : 5
const reference = "undici + cockatiel + zod"

const say = (line = ""): void => {
  process.stdout.write(`${line}\n`)
}

const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): void => {
  const widths = head.map((cell, column) => Math.max(cell.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const line = (cells: ReadonlyArray<string>) =>
    `| ${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join(" | ")} |`
  say(line(head))
  say(
    `| ${widths.map((width, column) => (column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)).join(" | ")} |`
  )
  for (const row of rows) say(line(row))
  say()
}

const micros = (values: ReadonlyArray<number> | undefined): string => median(values ?? []).toFixed(1)

const spread = (values: ReadonlyArray<number> = []): string => {
  const middle = median(values)
  return `± ${((median(values.map((value) => Math.abs(value - middle))) / middle) * 100).toFixed(0)} %`
}

const overLoopback = async (variants: ReadonlyArray<string>, width: number, calls: number): Promise<void> => {
  const figures = await withServer((url) => run({ variants, calls, width, rounds, url }))
  say(`over loopback, ${width} in flight, 1 KB of JSON`)
  const times = (variant: string, other: string) =>
    figures.has(other) ? `${paired(figures, variant, other, (a, b) => a / b).toFixed(2)}×` : ""
  table(
    ["variant", "CPU µs a call", "lowest", "spread", "÷ reference", "÷ stripe"],
    variants.map((variant) => [
      variant === reference ? `${variant} (the reference)` : variant,
      micros(figures.get(variant)),
      Math.min(...(figures.get(variant) ?? [])).toFixed(1),
      spread(figures.get(variant)),
      times(variant, reference),
      times(variant, "stripe")
    ])
  )
}

const added = (figures: Figures, variant: string, bare: string): string =>
  `${paired(figures, variant, bare, (a, b) => a - b).toFixed(2)} over ${micros(figures.get(bare))}`

const inMemory = async (): Promise<void> => {
  const usual = [
    "bare promise",
    "cockatiel's policies",
    "bare effect",
    "protected effect",
    "generated client",
    "protected client",
    "circuit open"
  ]
  const others = ["generated client, traced", "protected client, traced", "refused by the provider"]
  const variants = isFull ? [...usual, ...others] : usual
  const figures = await run({ variants, calls: isFull ? 20_000 : 8000, width: 1, rounds })
  const retried = await run({ variants: isFull ? ["retried twice"] : [], calls: 6400, width: 64, rounds })
  const one = (what: string, variant: string, from = figures) => [what, micros(from.get(variant))]
  say("over a transport that costs nothing")
  table(
    ["what", "CPU µs a call"],
    [
      [
        "cockatiel's retry, breaker, bulkhead and timeout, added to a promise",
        added(figures, "cockatiel's policies", "bare promise")
      ],
      ["all policies and metrics, added to an effect", added(figures, "protected effect", "bare effect")],
      ["the pipeline, added to the generated client", added(figures, "protected client", "generated client")],
      one("a refusal by an open circuit, as a typed error", "circuit open"),
      ...(isFull
        ? [
            ["the pipeline, both with spans", added(figures, "protected client, traced", "generated client, traced")],
            one("a call that the provider refuses, with its log line", "refused by the provider"),
            one("a call that is retried twice, with its log lines", "retried twice", retried)
          ]
        : [])
    ]
  )
}

const everything = [
  "undici.request",
  reference,
  "Effect's HttpApiClient",
  "stripe",
  "got",
  "Breakwater",
  "Breakwater, with Effect's schema JIT",
  "Breakwater, no tracer"
]

await overLoopback(
  isFull ? everything : [reference, "stripe", "Breakwater", "Breakwater, no tracer"],
  64,
  isFull ? 6400 : 3200
)
if (isFull) await overLoopback(everything, 1, 2000)
await inMemory()
if (isFull) {
  say("cold imports, a new process each, from its start to the end of the import")
  table(["import", "ms", "CPU ms", "÷ reference"], await Cold.rows())
  say("a bundle for a browser or an edge, minified")
  table(["program", "KB", "gzip KB"], await Bundle.rows())
}
