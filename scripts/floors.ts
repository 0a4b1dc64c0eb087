/**
 * Holds the source to its shape: imports go down, policies do not know one another, one file of ours stands before each unstable
 * module of Effect, entries load no more than they need, files and functions stay short, every file is reachable, every provider has its four parts.
 */
import { existsSync } from "node:fs"
import { isBuiltin } from "node:module"
import { posix } from "node:path"
import { isDeepStrictEqual } from "node:util"
import { published } from "./exports.ts"
import { type Import, read, type Source } from "./source.ts"
import { floors, list, manifestPath, type Package, packages, pascalCase, readManifest, root } from "./workspace.ts"

const limits = { fileLines: 400, functionLines: 70, medianLines: 150 }
const unstable =
  /^(effect\/(http|http-api|persistence|crypto|sql|workflow|cluster|observability|Arbitrary|ExecutionPlan)|@effect\/platform-node)(\/|$)/u
const bannedWords = /\b(TODO|FIXME|XXX|HACK)\b/u

interface Problem {
  readonly where: string
  readonly rule: string
  readonly message: string
}
type Rule = (sources: ReadonlyArray<Source>) => ReadonlyArray<Problem>

const problem = (rule: string, path: string, message: string, line?: number): Problem => ({
  where: line === undefined ? path : `${path}:${line}`,
  rule,
  message
})

const core = "packages/core/src/"
const barrel = `${core}index.ts`
const floorNames: ReadonlyArray<string> = floors

/** The floor's number, lowest 0; the barrel above all; -1 for a file on no floor. */
const floorOf = (path: string): number =>
  path === barrel ? floors.length : floorNames.indexOf(path.slice(core.length).split("/")[0] ?? "")

const isInCore = (path: string): boolean => path.startsWith(core)

const everyFileHasAFloor: Rule = (sources) =>
  sources
    .filter(({ path }) => isInCore(path) && floorOf(path) === -1)
    .map(({ path }) => problem("floor", path, `is on no floor; the floors are ${floors.join(", ")}`))

const importsGoDown: Rule = (sources) =>
  sources
    .filter(({ path }) => isInCore(path))
    .flatMap(({ imports, path }) => imports.flatMap((to) => downward(path, to)))

const downward = (path: string, { file, line, specifier }: Import): ReadonlyArray<Problem> => {
  if (file === undefined || !isInCore(file) || floorOf(file) === -1) return []
  const from = floorOf(path)
  const to = floorOf(file)
  if (to > from) {
    return [problem("direction", path, `${nameOf(from)} imports upwards from ${nameOf(to)}: ${specifier}`, line)]
  }
  const isPolicy = floors[from] === "policy" && from === to
  return isPolicy && !isPart(path, file)
    ? [problem("policies", path, `policies meet only in call: ${specifier}`, line)]
    : []
}

/** A part of a policy begins with the policy's name, and is not exported: `CircuitWindow` is one of `Circuit`, while `RetryBudget` is a policy of its own. */
const isPart = (policy: string, file: string): boolean =>
  file.startsWith(policy.replace(/\.ts$/u, "")) && !entries("core").includes(file)

const nameOf = (floor: number): string => floors[floor] ?? "the barrel"

const packagesGoDown: Rule = (sources) =>
  sources.flatMap((source) => source.imports.flatMap((to) => packageDownward(source, to)))

const packageDownward = (from: Source, { file, line, specifier }: Import): ReadonlyArray<Problem> => {
  if (file !== undefined) {
    const inside = file.startsWith(`packages/${from.package}/src/`)
    return inside ? [] : [problem("packages", from.path, `leaves its package's src: ${specifier}`, line)]
  }
  const target = /^@breakwater\/(?<name>[\w-]+)/u.exec(specifier)?.groups?.["name"]
  const below: ReadonlyArray<string> = packages.slice(0, packages.indexOf(from.package))
  if (target === undefined || below.includes(target)) return []
  const allowed = below.length === 0 ? "no other package" : below.join(" and ")
  return [problem("packages", from.path, `${from.package} may import ${allowed}, not ${specifier}`, line)]
}

/** The root's development dependencies are in reach of every package, so that an undeclared import shows only once installed. */
const importsAreDeclared: Rule = (sources) =>
  sources.flatMap(({ imports, package: of, path }) => {
    const { dependencies, peerDependencies } = readManifest(manifestPath(of))
    const declared = new Set(Object.keys({ ...dependencies, ...peerDependencies }))
    return imports
      .filter(
        ({ file, specifier }) => file === undefined && !isBuiltin(specifier) && !specifier.startsWith("@breakwater/")
      )
      .map(({ line, specifier }) => ({ line, name: /^(?:@[^/]+\/)?[^/]+/u.exec(specifier)?.[0] ?? specifier }))
      .filter(({ name }) => !declared.has(name))
      .map(({ line, name }) =>
        problem("packages", path, `${name} is not declared in packages/${of}/package.json`, line)
      )
  })

const oneFilePerUnstableModule: Rule = (sources) => {
  const uses = sources.flatMap(({ imports, path }) =>
    [...new Set(imports.map(({ specifier }) => specifier).filter((specifier) => unstable.test(specifier)))].map(
      (specifier) => ({ specifier, path })
    )
  )
  return uses.flatMap(({ path, specifier }) => {
    const first = uses.find((use) => use.specifier === specifier)?.path
    return first === path ? [] : [problem("unstable", path, `${specifier} is already imported by ${first}`)]
  })
}

const unwantedInCalls =
  /^effect\/(http-api|http\/(ProblemDetails|HttpServer\w*|HttpRouter)|sql|persistence|workflow|cluster|observability)(\/|$)/u

/**
 * What an entry must not load, however far down: a protected call needs nothing of what declares an API, which takes a fifth of the time that its import takes, nor of `Config`, which it does not ask; and no store's
 * driver belongs to those who keep their state in memory.
 */
const light: ReadonlyArray<readonly [entry: string, unwanted: RegExp]> = [
  [`${core}call/Call.ts`, unwantedInCalls],
  [`${core}call/Call.ts`, /^effect\/Config/u],
  [`${core}transport/Undici.node.ts`, unwantedInCalls],
  [barrel, /^effect\/(sql|persistence|workflow|cluster|observability)(\/|$)/u]
]

const entriesAreLight: Rule = (sources) => {
  const imported = new Map(sources.map(({ imports, path }) => [path, imports.filter(({ isType }) => !isType)]))
  return light.flatMap(([entry, unwanted]) => {
    if (!imported.has(entry)) return [problem("light", entry, "is named by the rule, and does not exist")]
    return [...reached(entry, imported)].flatMap(([path, from]) =>
      (imported.get(path) ?? [])
        .filter(({ specifier }) => unwanted.test(specifier))
        .map(({ line, specifier }) =>
          problem("light", path, `${specifier} must not be loaded by ${entry}, which comes here by ${from}`, line)
        )
    )
  })
}

/** The files that an entry loads, each with the file that led to it. */
const reached = (entry: string, imported: ReadonlyMap<string, ReadonlyArray<Import>>): ReadonlyMap<string, string> => {
  const from = new Map([[entry, entry]])
  // A map is walked in the order in which it grows.
  for (const path of from.keys()) {
    for (const { file } of imported.get(path) ?? []) if (file !== undefined && !from.has(file)) from.set(file, path)
  }
  return from
}

const filesAreShort: Rule = (sources) =>
  sources
    .filter(({ codeLines }) => codeLines > limits.fileLines)
    .map(({ codeLines, path }) => problem("size", path, `has ${codeLines} code lines, at most ${limits.fileLines}`))

const functionsAreShort: Rule = (sources) =>
  sources.flatMap(({ functions, path }) =>
    functions
      .filter(({ lines }) => lines > limits.functionLines)
      .map(({ line, lines }) =>
        problem("size", path, `function of ${lines} lines, at most ${limits.functionLines}`, line)
      )
  )

const medianOf = (sources: ReadonlyArray<Source>, of: Package): number => {
  const sizes = sources.filter((source) => source.package === of).map(({ codeLines }) => codeLines)
  const sorted = sizes.toSorted((a, b) => a - b)
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? 0
}

const mediansAreSmall: Rule = (sources) =>
  packages
    .filter((of) => medianOf(sources, of) > limits.medianLines)
    .map((of) =>
      problem("size", `packages/${of}`, `median of ${medianOf(sources, of)} code lines, at most ${limits.medianLines}`)
    )

const wordsAreClean: Rule = (sources) =>
  sources.flatMap(({ comments, path }) =>
    comments
      .filter(({ text }) => bannedWords.test(text))
      .map(({ line, text }) => problem("words", path, `the comment says ${bannedWords.exec(text)?.[0]}`, line))
  )

const everyFileIsReached: Rule = (sources) => {
  const reached = new Set([
    ...sources.flatMap(({ imports }) => imports.map(({ file }) => file)),
    ...packages.flatMap(entries)
  ])
  return sources
    .filter(({ path }) => !reached.has(path))
    .map(({ path }) => problem("reach", path, "is neither exported by its package nor imported by a source file"))
}

const entries = (of: Package): ReadonlyArray<string> =>
  Object.values(readManifest(manifestPath(of)).exports ?? {}).map((file) => posix.join("packages", of, file))

const exportsAreTrue: Rule = () =>
  packages.flatMap((of) => {
    const path = `packages/${of}/package.json`
    const { exports = {}, publishConfig } = readManifest(manifestPath(of))
    const missing = entries(of).filter((file) => !existsSync(posix.join(root, file)))
    const mirrored = isDeepStrictEqual(publishConfig?.exports, published(exports))
    return [
      ...missing.map((file) => problem("exports", path, `exports ${file}, which does not exist`)),
      ...(mirrored ? [] : [problem("exports", path, "publishConfig.exports must mirror exports with ./dist/*.js")])
    ]
  })

const providersAreComplete: Rule = () =>
  [...new Set(list("packages/providers/src/*/*").map((path) => path.split("/")[3] ?? ""))].flatMap((folder) => {
    const path = `packages/providers/src/${folder}`
    // Vendors spell themselves as they like: `SendGrid.ts` is the service of `sendgrid`.
    const found = new Set(list(`${path}/*`).map((file) => posix.basename(file).toLowerCase()))
    return ["Api.ts", "Errors.ts", `${pascalCase(folder)}.ts`, "README.md"]
      .filter((file) => !found.has(file.toLowerCase()))
      .map((file) => problem("provider", path, `lacks ${file}`))
  })

const rules: ReadonlyArray<Rule> = [
  everyFileHasAFloor,
  importsGoDown,
  packagesGoDown,
  importsAreDeclared,
  oneFilePerUnstableModule,
  entriesAreLight,
  filesAreShort,
  functionsAreShort,
  mediansAreSmall,
  wordsAreClean,
  everyFileIsReached,
  exportsAreTrue,
  providersAreComplete
]

const main = (): void => {
  const sources = list("packages/*/src/**/*.ts").map(read)
  const problems = rules.flatMap((rule) => rule(sources))
  for (const { message, rule, where } of problems) process.stderr.write(`${where}: [${rule}] ${message}\n`)
  if (problems.length > 0) {
    process.exitCode = 1
    return
  }
  const medians = packages.map((of) => `${of} ${medianOf(sources, of)}`).join(", ")
  process.stdout.write(`floors: ${sources.length} files on ${floors.length} floors; median code lines ${medians}\n`)
}

main()
