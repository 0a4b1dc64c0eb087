/** What the scripts share: where the packages are, their floors, their files, and their manifests. */
import { spawnSync } from "node:child_process"
import { globSync, readFileSync } from "node:fs"
import { basename, join } from "node:path"

export const root: string = join(import.meta.dirname, "..")

/** Lowest first: a package imports only those before it. */
export const packages = ["core", "providers", "testkit"] as const
export type Package = (typeof packages)[number]

/** The folders of `packages/core/src`, lowest first. `index.ts` stands above them all. */
export const floors = ["vocabulary", "definition", "store", "policy", "transport", "call", "flow", "operate"] as const

export type Exports = Readonly<Record<string, string>>

export interface Manifest {
  readonly name: string
  readonly version: string
  readonly scripts?: Readonly<Record<string, string>>
  readonly exports?: Exports
  readonly publishConfig?: { readonly access?: string; readonly exports?: Exports }
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

export const manifestPath = (name: Package): string => join(root, "packages", name, "package.json")

export const readManifest = (path: string): Manifest => JSON.parse(readFileSync(path, "utf8")) as Manifest

/** The files that match, relative to the repository, sorted, with `/` on every platform. */
export const list = (...patterns: ReadonlyArray<string>): ReadonlyArray<string> =>
  globSync(patterns, { cwd: root, exclude: ["**/node_modules/**", "**/dist/**"] })
    .map((path) => path.replaceAll("\\", "/"))
    .toSorted()

/** `google-maps` to `GoogleMaps`: the file that a folder is named for. */
export const pascalCase = (folder: string): string =>
  folder.replaceAll(/(?:^|-)([a-z])/gu, (_, letter: string) => letter.toUpperCase())

/** The pnpm that runs this script, or the one on the `PATH`. */
export const pnpm = (): string => {
  const running = process.env["npm_execpath"] ?? ""
  return basename(running).startsWith("pnpm") ? running : "pnpm"
}

/** An environment in which the repository's own tools are found first, however the script was started. */
export const toolPath = (): NodeJS.ProcessEnv => ({
  ...process.env,
  PATH: [join(root, "node_modules", ".bin"), process.env["PATH"]].join(process.platform === "win32" ? ";" : ":")
})

/** Runs a command of the repository's tools and shows what it prints. False when it failed. */
export const succeeds = (command: string, cwd: string = root): boolean =>
  spawnSync(command, { cwd, env: toolPath(), shell: true, stdio: "inherit" }).status === 0

/** The command behind a script of the root `package.json`. */
export const script = (name: string): string => {
  const command = readManifest(join(root, "package.json")).scripts?.[name]
  if (command === undefined) throw new Error(`package.json has no script named ${name}`)
  return command
}
