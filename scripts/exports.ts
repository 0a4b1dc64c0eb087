/**
 * Writes `exports` and `publishConfig.exports` of each package from its source tree: sources in the workspace, `dist` in the
 * tarball. With `--check` it changes nothing and fails where they differ.
 */
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { isDeepStrictEqual } from "node:util"
import {
  type Exports,
  floors,
  list,
  manifestPath,
  type Package,
  packages,
  pascalCase,
  readManifest,
  root,
  toolPath
} from "./workspace.ts"

/** What the tarball exports for what the workspace exports. */
export const published = (exports: Exports): Exports =>
  Object.fromEntries(
    Object.entries(exports).map(([path, file]) => [path, file.replace(/^\.\/src\/(.*)\.ts$/u, "./dist/$1.js")])
  )

/** The exports that the source tree of a package asks for. */
export const exportsOf = (name: Package): Exports => {
  const entries = new Map([
    ["./package.json", "./package.json"],
    [".", "./src/index.ts"]
  ])
  for (const [path, file] of modules[name]().toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const taken = entries.get(path)
    if (taken !== undefined) throw new Error(`packages/${name}: ${path} is both ${taken} and ${file}`)
    entries.set(path, file)
  }
  return Object.fromEntries(entries)
}

type Entry = readonly [path: string, file: string]

const modules: Record<Package, () => ReadonlyArray<Entry>> = {
  core: () => floors.flatMap((floor) => pascalCaseFiles("core", `${floor}/`)),
  providers: () => folders("providers"),
  testkit: () => [...pascalCaseFiles("testkit", ""), ...folders("testkit")]
}

/** Whether a module's own doc comment says `@internal`. */
const isInternal = (path: string): boolean =>
  /^\/\*\*(?:(?!\*\/)[\s\S])*@internal/u.test(readFileSync(`${root}/${path}`, "utf8"))

const pascalCaseFiles = (name: Package, folder: string): ReadonlyArray<Entry> =>
  list(`packages/${name}/src/${folder}*.ts`).flatMap((path) => {
    if (isInternal(path)) return []
    const file = /\/(?<module>[A-Z]\w*)(?<node>\.node)?\.ts$/u.exec(path)?.groups
    if (file === undefined) return []
    const { module, node = "" } = file
    return [[`./${node === "" ? "" : "node/"}${module}`, `./src/${folder}${module}${node}.ts`]]
  })

const folders = (name: Package): ReadonlyArray<Entry> => {
  const found = list(`packages/${name}/src/*/*.ts`).map((path) => path.split("/").at(-2) ?? "")
  return [...new Set(found)].flatMap((folder): ReadonlyArray<Entry> => {
    const files = [`./src/${folder}/index.ts`, `./src/${folder}/${pascalCase(folder)}.ts`]
    const entry = files.find((file) => existsSync(`${root}/packages/${name}/${file}`))
    if (entry === undefined) throw new Error(`packages/${name}: neither ${files.join(" nor ")} exists`)
    return isInternal(`packages/${name}/${entry}`) ? [] : [[`./${folder}`, entry]]
  })
}

const isCurrent = (name: Package): boolean => {
  const { exports, publishConfig } = readManifest(manifestPath(name))
  const wanted = exportsOf(name)
  return isDeepStrictEqual(exports, wanted) && isDeepStrictEqual(publishConfig?.exports, published(wanted))
}

const write = (name: Package): void => {
  const path = manifestPath(name)
  const exports = exportsOf(name)
  const manifest = JSON.parse(readFileSync(path, "utf8")) as object
  const publishConfig = { access: "public", exports: published(exports) }
  writeFileSync(path, `${JSON.stringify({ ...manifest, exports, publishConfig }, null, 2)}\n`)
}

const main = (): void => {
  const outdated = packages.filter((name) => !isCurrent(name))
  if (!process.argv.includes("--check")) {
    outdated.forEach(write)
    if (outdated.length > 0)
      execFileSync("oxfmt", outdated.map(manifestPath), { env: toolPath(), stdio: ["ignore", "ignore", "inherit"] })
    process.stdout.write(`exports: ${outdated.length === 0 ? "up to date" : `wrote ${outdated.join(", ")}`}\n`)
    return
  }
  for (const name of outdated) process.stderr.write(`packages/${name}/package.json: run node scripts/exports.ts\n`)
  process.exitCode = outdated.length === 0 ? 0 : 1
}

if (import.meta.main) main()
