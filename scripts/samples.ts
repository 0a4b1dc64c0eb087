/**
 * Copies each ```ts fence of the documents and of JSDoc to `examples/samples`, where `tsc -b` checks it; with `--run`, executes
 * those marked `ts run`. A fence marked `ts ignore` is left out. A sample keeps its line numbers: what is reported at line 12 of
 * a sample stands at line 12 of its document.
 */
import { spawnSync } from "node:child_process"
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { list, root } from "./workspace.ts"

const folder = join(root, "examples", "samples")
const boundMillis = 30_000
const documents = ["README.md", "docs/**/*.md", "packages/*/README.md", "packages/providers/src/*/README.md"]
const sources = ["packages/*/src/**/*.ts"]

export interface Sample {
  /** The document and the line of the fence, as `README.md:12`. */
  readonly origin: string
  readonly path: string
  readonly text: string
  readonly runs: boolean
}

/** The samples of every document, in the order of their documents. */
export const samples = (): ReadonlyArray<Sample> => [...list(...documents), ...list(...sources)].flatMap(samplesOf)

// A fence may be indented, as in a list, and in JSDoc each line starts with an asterisk.
const fence = /^(?<indent>[ \t]*(?:\* ?)?)```ts(?<marks>[^\S\n][^\n]*)?\n(?<code>[\s\S]*?)^\k<indent>```[ \t]*$/gmu

const samplesOf = (document: string): ReadonlyArray<Sample> => {
  const text = readFileSync(join(root, document), "utf8")
  return [...text.matchAll(fence)].flatMap((match) => {
    const { code = "", indent = "", marks = "" } = match.groups ?? {}
    const words = marks.trim().split(/\s+/u)
    if (words.includes("ignore")) return []
    const line = text.slice(0, match.index).split("\n").length
    const origin = `${document}:${line}`
    const path = join(folder, `${origin.replaceAll(/[^\w.]+/gu, "-")}.ts`)
    return [
      { origin, path, text: `// ${origin}${"\n".repeat(line)}${unindent(code, indent)}`, runs: words.includes("run") }
    ]
  })
}

/** Removes what the fence's own line starts with; a blank line may have lost the space at its end. */
const unindent = (code: string, indent: string): string =>
  code
    .split("\n")
    .map((line) => line.slice(line.startsWith(indent) ? indent.length : indent.trimEnd().length))
    .join("\n")

const extract = (all: ReadonlyArray<Sample>): void => {
  rmSync(folder, { force: true, recursive: true })
  mkdirSync(folder, { recursive: true })
  for (const { path, text } of all) writeFileSync(path, text)
}

/** Runs a sample that stands at `path` and says what went wrong, or nothing. */
export const failureOf = ({ origin }: Sample, path: string): string | undefined => {
  const { signal, status, stderr, stdout } = spawnSync(process.execPath, [path], {
    encoding: "utf8",
    killSignal: "SIGKILL",
    timeout: boundMillis
  })
  if (status === 0) return undefined
  const reason = signal === "SIGKILL" ? `longer than ${boundMillis / 1_000} s` : (signal ?? `exit ${status}`)
  return `${origin}: the sample failed (${reason})\n${stdout}${stderr}`
}

const main = (): void => {
  const all = samples()
  extract(all)
  if (!process.argv.includes("--run")) {
    process.stdout.write(`samples: ${all.length} extracted\n`)
    return
  }
  const marked = all.filter(({ runs }) => runs)
  const failures = marked.flatMap((sample) => failureOf(sample, sample.path) ?? [])
  for (const failure of failures) process.stderr.write(failure)
  if (failures.length === 0) process.stdout.write(`samples: ${marked.length} of ${all.length} ran\n`)
  process.exitCode = failures.length === 0 ? 0 : 1
}

if (import.meta.main) main()
