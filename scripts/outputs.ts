/**
 * Holds what the documents say that a program prints against what it prints: each ```sh run fence is one `node` command, and the ```text fence behind it is its standard output.
 * `--write` puts the output there.
 */
import { spawnSync } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { list, root } from "./workspace.ts"

const documents = ["README.md", "docs/**/*.md"]
const boundMillis = 30_000

const shown = /^```sh run\n(?<command>[^\n]+)\n```\n\n```text\n(?<output>[\s\S]*?)^```$/gmu

/** What a command prints; throws when it is no `node` command, or fails. */
const outputOf = (command: string): string => {
  const [program, ...options] = command.split(" ")
  if (program !== "node") throw new Error(`"${command}" must begin with node`)
  const { status, stderr, stdout } = spawnSync(process.execPath, options, {
    cwd: root,
    encoding: "utf8",
    killSignal: "SIGKILL",
    timeout: boundMillis
  })
  if (status !== 0) throw new Error(`"${command}" ended with ${status ?? "a signal"}\n${stderr}`)
  return stdout
}

/** The document with every output as it is now, and the commands whose output was another. */
const renewed = (text: string): { readonly text: string; readonly stale: ReadonlyArray<string> } => {
  const stale: Array<string> = []
  const next = text.replaceAll(shown, (fences: string, command: string, output: string) => {
    const now = outputOf(command)
    if (now !== output) stale.push(command)
    return fences.slice(0, fences.length - output.length - 3) + now + "```"
  })
  return { text: next, stale }
}

const main = (): void => {
  const write = process.argv.includes("--write")
  let outdated = 0
  for (const document of list(...documents)) {
    const path = join(root, document)
    const { stale, text } = renewed(readFileSync(path, "utf8"))
    outdated += stale.length
    if (stale.length > 0 && write) writeFileSync(path, text)
    for (const command of stale)
      process.stdout.write(`outputs: ${document}: ${command} ${write ? "written" : "prints something else"}\n`)
  }
  process.exitCode = outdated > 0 && !write ? 1 : 0
}

main()
