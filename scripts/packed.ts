/**
 * Proves the tarballs, not the sources: builds, packs, lints what was packed, installs it into an empty npm project, imports
 * every public module in Node, resolves their types, and runs the documents' programs there.
 */
import { spawnSync } from "node:child_process"
import { globSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { failureOf, samples } from "./samples.ts"
import { packages, pnpm, readManifest, root, script, toolPath } from "./workspace.ts"

/** Runs a program that must succeed; what it printed is shown only when it did not. */
const run = (cwd: string, program: string, ...options: ReadonlyArray<string>): void => {
  const { error, status, stderr, stdout } = spawnSync(program, options, { cwd, encoding: "utf8", env: environment() })
  if (status === 0) return
  const printed = error === undefined ? `${stdout}${stderr}` : error.message
  throw new Error(`${[program, ...options].join(" ")} failed\n${printed}`)
}

/** Without the folder that an npm around this script works in, or the nested npm would install there. */
const environment = (): NodeJS.ProcessEnv => {
  const { npm_config_local_prefix: _, ...rest } = toolPath()
  return rest
}

const say = (line: string): void => {
  process.stdout.write(`packed: ${line}\n`)
}

const build = (): void => {
  for (const dist of globSync("packages/*/dist", { cwd: root })) rmSync(join(root, dist), { recursive: true })
  run(root, "sh", "-c", script("build"))
}

const pack = (scratch: string): ReadonlyArray<string> => {
  for (const name of packages) run(join(root, "packages", name), pnpm(), "pack", "--pack-destination", scratch)
  const tarballs = globSync("*.tgz", { cwd: scratch }).map((file) => join(scratch, file))
  for (const tarball of tarballs) run(scratch, "publint", tarball, "--strict")
  say(`${tarballs.map((path) => basename(path)).join(", ")} built, packed and linted`)
  return tarballs
}

/** Installs the tarballs beside their peers, in the versions that the workspace itself uses. */
const install = (project: string, tarballs: ReadonlyArray<string>): void => {
  const peers = packages.flatMap((name) =>
    Object.keys(readManifest(join(root, "packages", name, "package.json")).peerDependencies ?? {})
  )
  const versions = [...new Set([...peers, "@types/node"])].map((name) => `${name}@${versionOf(name)}`)
  mkdirSync(project)
  writeFileSync(join(project, "package.json"), JSON.stringify({ private: true, type: "module" }))
  run(project, "npm", "install", "--no-audit", "--no-fund", ...tarballs, ...versions)
  const copies = globSync("**/node_modules/effect/package.json", { cwd: project })
  if (copies.length !== 1) throw new Error(`effect is installed ${copies.length} times: ${copies.join(", ")}`)
  say(`installed with ${versions.join(", ")}`)
}

const versionOf = (name: string): string => readManifest(join(root, "node_modules", name, "package.json")).version

/** The import paths that the installed packages publish. */
const publicPaths = (project: string): ReadonlyArray<string> =>
  packages.flatMap((name) => {
    const { exports = {} } = readManifest(join(project, "node_modules/@breakwater", name, "package.json"))
    return Object.keys(exports)
      .filter((path) => path !== "./package.json")
      .map((path) => `@breakwater/${name}${path.slice(1)}`)
  })

const importAll = (project: string, paths: ReadonlyArray<string>): void => {
  writeFileSync(join(project, "import.js"), paths.map((path) => `import ${JSON.stringify(path)}\n`).join(""))
  run(project, process.execPath, "import.js")
  say(`${paths.length} import paths load`)
}

/** Checks the declarations in full, those of `node` files with Node's types and all others without. */
const checkTypes = (project: string, paths: ReadonlyArray<string>): void => {
  const needsNode = (path: string) => path.includes("/node/")
  checkTypesWith(
    project,
    "anywhere",
    [],
    paths.filter((path) => !needsNode(path))
  )
  checkTypesWith(project, "node", ["node"], paths)
  say("their types resolve")
}

const checkTypesWith = (
  project: string,
  name: string,
  types: ReadonlyArray<string>,
  paths: ReadonlyArray<string>
): void => {
  const lines = paths.map((path, index) => `export * as module${index} from ${JSON.stringify(path)}\n`)
  const compilerOptions = {
    target: "ES2023",
    lib: ["ES2023", "DOM", "DOM.Iterable"],
    module: "NodeNext",
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    noEmit: true,
    types
  }
  writeFileSync(join(project, `${name}.ts`), lines.join(""))
  writeFileSync(join(project, `tsconfig.${name}.json`), JSON.stringify({ compilerOptions, files: [`${name}.ts`] }))
  run(project, "tsc", "-p", `tsconfig.${name}.json`)
}

const runSamples = (project: string): void => {
  const marked = samples().filter(({ runs }) => runs)
  const failures = marked.flatMap((sample) => {
    const path = join(project, basename(sample.path))
    writeFileSync(path, sample.text)
    return failureOf(sample, path) ?? []
  })
  if (failures.length > 0) throw new Error(failures.join(""))
  say(`${marked.length} programs of the documents run`)
}

const main = (): void => {
  const scratch = mkdtempSync(join(tmpdir(), "breakwater-"))
  const project = join(scratch, "project")
  try {
    build()
    install(project, pack(scratch))
    const paths = publicPaths(project)
    importAll(project, paths)
    checkTypes(project, paths)
    runSamples(project)
  } catch (error) {
    process.stderr.write(`packed: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  } finally {
    rmSync(scratch, { force: true, recursive: true })
  }
}

main()
