/** How long an import takes in a new process: wall and CPU time, medians of interleaved rounds; the ratio is of CPU time, less that of an empty process. Ours is the build in `dist`, as it is published. */
import { execFileSync } from "node:child_process"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { median } from "./rounds.ts"

const root = join(import.meta.dirname, "..")
const dist = join(root, "packages/core/dist")
const rounds = 15

const programs: ReadonlyArray<readonly [name: string, imports: ReadonlyArray<string>]> = [
  ["nothing", []],
  ["undici + cockatiel + zod (the reference)", ["undici", "cockatiel", "zod"]],
  ["stripe", ["stripe"]],
  ["@breakwater/core", [join(dist, "index.js")]],
  [
    "@breakwater/core and node/Undici, with undici",
    [join(dist, "index.js"), join(dist, "transport/Undici.node.js"), "undici"]
  ],
  [
    "core/Call and node/Undici, with undici",
    [join(dist, "call/Call.js"), join(dist, "transport/Undici.node.js"), "undici"]
  ],
  ["core/Call alone", [join(dist, "call/Call.js")]],
  ["core/ProviderError alone", [join(dist, "vocabulary/ProviderError.js")]],
  ["effect", ["effect"]],
  ["effect/http/HttpClient", ["effect/http/HttpClient"]],
  ["effect/http-api/HttpApiClient", ["effect/http-api/HttpApiClient"]]
]

interface Took {
  readonly wall: number
  readonly cpu: number
}

const measure = (imports: ReadonlyArray<string>): Took => {
  const loads = imports.map((path) => `await import(${JSON.stringify(path)})`).join(";")
  const report =
    "const { user, system } = process.cpuUsage(); console.log(JSON.stringify({ wall: performance.now(), cpu: (user + system) / 1000 }))"
  const program = `${loads};${report}`
  return JSON.parse(
    execFileSync(process.execPath, ["--input-type=module", "-e", program], { cwd: root, encoding: "utf8" })
  ) as Took
}

export const rows = async (): Promise<ReadonlyArray<ReadonlyArray<string>>> => {
  if (!existsSync(join(dist, "index.js"))) throw new Error("cold imports are those of the build: run pnpm build first")
  const took = programs.map((): Array<Took> => [])
  for (let round = 0; round <= rounds; round++) {
    programs.forEach(([, imports], index) => {
      const one = measure(imports)
      // The first round fills the system's cache of files.
      if (round > 0) took[index]?.push(one)
    })
  }
  const of = (index: number, field: keyof Took) => median((took[index] ?? []).map((each) => each[field]))
  const [empty, reference] = [of(0, "cpu"), of(1, "cpu")]
  return programs.map(([name], index) => [
    name,
    of(index, "wall").toFixed(0),
    of(index, "cpu").toFixed(0),
    index === 0 ? "" : `${((of(index, "cpu") - empty) / (reference - empty)).toFixed(2)}×`
  ])
}
