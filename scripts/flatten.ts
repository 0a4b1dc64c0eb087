/**
 * Makes few files of core's many, in `dist`, for the tarball: to find and compile a hundred small modules takes Node longer than all that they do. The entries stay where they are, and each is a few lines
 * over one of the parts: the errors, what a protected call needs beside them, what a declared provider needs beside that, and the rest. What a bundle does not use still falls out of it, since every call at the top level of a
 * module is marked as one that only makes a value; `sideEffects: false` says the same of whole modules.
 */
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join, posix, relative } from "node:path"
import { parseSync } from "oxc-parser"
import { type Plugin, RolldownMagicString, rolldown } from "rolldown"
import { published } from "./exports.ts"
import { manifestPath, readManifest, root } from "./workspace.ts"

const core = "packages/core"
const dist = join(root, core, "dist")

/** `./dist/call/Call.js` as `call/Call`. */
const entryNames: ReadonlyArray<string> = Object.values(published(readManifest(manifestPath("core")).exports ?? {}))
  .map((file) => /^\.\/dist\/(.*)\.js$/u.exec(file)?.[1])
  .filter((name) => name !== undefined)

/** The files of `dist` that one of them loads, itself included. */
const reachedFrom = (entry: string): ReadonlySet<string> => {
  const reached = new Set<string>()
  const visit = (file: string): void => {
    if (reached.has(file)) return
    reached.add(file)
    for (const [, specifier = ""] of readFileSync(join(dist, file), "utf8").matchAll(/ from "(\.[^"]+)"/gu))
      visit(posix.join(posix.dirname(file), specifier))
  }
  visit(entry)
  return reached
}

/** Each part with its files, less those of the parts before it. */
const partsOf = (): ReadonlyArray<{ readonly name: string; readonly files: ReadonlySet<string> }> => {
  const parts = [
    { name: "errors", entry: "vocabulary/ProviderError.js" },
    { name: "call", entry: "call/Call.js" },
    { name: "declared", entry: "index.js" }
  ].map(({ entry, name }) => ({ name, files: reachedFrom(entry) }))
  const isEarlier = (file: string, index: number): boolean => parts.slice(0, index).some(({ files }) => files.has(file))
  return parts.map(({ files, name }, index) => ({
    name,
    files: new Set([...files].filter((file) => !isEarlier(file, index)))
  }))
}

interface Node {
  readonly type: string
  readonly start: number
}

const isNode = (value: unknown): value is Node => typeof value === "object" && value !== null && "type" in value

/** Where a call begins that runs when the module is loaded: what is inside a function runs later, or never. */
const callsIn = (node: Node): ReadonlyArray<number> => {
  if (/Function|Arrow|MethodDefinition|StaticBlock/u.test(node.type)) return []
  if (node.type === "PropertyDefinition" && !("static" in node && node.static === true)) return []
  const inside = Object.values(node).flat().filter(isNode).flatMap(callsIn)
  return node.type === "CallExpression" || node.type === "NewExpression" ? [node.start, ...inside] : inside
}

const declarations = new Set(["VariableDeclaration", "ClassDeclaration", "ExportNamedDeclaration"])

/** A statement that declares nothing is there for what it does, and is left alone. */
const pure: Plugin = {
  name: "pure",
  load(id) {
    if (!id.startsWith(dist)) return null
    return { code: readFileSync(id, "utf8"), map: readFileSync(`${id}.map`, "utf8") }
  },
  transform(code, id) {
    if (!id.startsWith(dist)) return null
    const text = new RolldownMagicString(code)
    const declared = parseSync(id, code).program.body.filter(({ type }) => declarations.has(type))
    for (const start of new Set(declared.flatMap(callsIn))) text.appendLeft(start, "/* @__PURE__ */ ")
    return { code: text.toString(), map: text.generateMap({ hires: true, source: id }).toString() }
  }
}

/** Two classes of one name would be told apart by a number, which then stood in what is printed of their values. */
const refuseRenamed = (file: string, code: string): void => {
  const [renamed] = /(?:class|var) [A-Z]\w*\$\d+(?= = class| extends| \{)/u.exec(code) ?? []
  if (renamed !== undefined) throw new Error(`${file}: ${renamed} has the name of another; give it one of its own`)
}

const flatten = async (): Promise<void> => {
  const nameOf = (id: string): string => relative(dist, id).replaceAll("\\", "/")
  const bundle = await rolldown({
    input: Object.fromEntries(entryNames.map((name) => [name, join(dist, `${name}.js`)])),
    external: (id) => !id.startsWith(".") && !id.startsWith(dist),
    platform: "neutral",
    treeshake: { moduleSideEffects: false },
    plugins: [pure]
  })
  const { output } = await bundle.generate({
    dir: dist,
    format: "esm",
    sourcemap: true,
    entryFileNames: "[name].js",
    chunkFileNames: "parts/[name].js",
    codeSplitting: { groups: partsOf().map(({ files, name }) => ({ name, test: (id) => files.has(nameOf(id)) })) }
  })
  for (const chunk of output) if (chunk.type === "chunk") refuseRenamed(chunk.fileName, chunk.code)
  for (const file of globSync("**/*.{js,js.map}", { cwd: dist })) rmSync(join(dist, file))
  // What was built is not what the compiler wrote: it must write all of it anew the next time.
  rmSync(join(dist, ".tsbuildinfo"))
  mkdirSync(join(dist, "parts"), { recursive: true })
  for (const file of output) writeFileSync(join(dist, file.fileName), file.type === "chunk" ? file.code : file.source)
  process.stdout.write(`flatten: ${entryNames.length} entries over ${output.length} files\n`)
}

if (!existsSync(join(dist, ".tsbuildinfo"))) throw new Error("flatten works on what `tsc -b` has just built")
await flatten()
