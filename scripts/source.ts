/** Reads a source file into what the rules of `floors.ts` look at. */
import { readFileSync } from "node:fs"
import { posix } from "node:path"
import { parseSync } from "oxc-parser"
import { type Package, root } from "./workspace.ts"

interface Located {
  readonly line: number
}

export interface Import extends Located {
  readonly specifier: string
  /** The file meant, relative to the repository, when the specifier is relative. */
  readonly file: string | undefined
  /** Whether nothing of it is left when the program runs. */
  readonly isType: boolean
}

export interface Source {
  readonly path: string
  readonly package: Package
  readonly imports: ReadonlyArray<Import>
  readonly functions: ReadonlyArray<Located & { readonly lines: number }>
  readonly comments: ReadonlyArray<Located & { readonly text: string }>
  readonly codeLines: number
}

/** What one source file imports, how long it and its functions are, and what its comments say. */
export const read = (path: string): Source => {
  const text = readFileSync(posix.join(root, path), "utf8")
  const { comments, errors, program } = parseSync(path, text)
  if (errors.length > 0) throw new Error(`${path}: ${errors[0]?.message}`)
  const nodes = nodesOf(program)
  return {
    path,
    package: path.split("/")[1] as Package,
    imports: nodes.flatMap((node) => importOf(path, text, node)),
    functions: nodes
      .filter(({ type }) => /^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/u.test(type))
      .map(({ end, start }) => ({ line: lineAt(text, start), lines: text.slice(start, end).split("\n").length })),
    comments: comments.map(({ start, value }) => ({ line: lineAt(text, start), text: value })),
    codeLines: countCode(text, comments)
  }
}

const importOf = (
  path: string,
  text: string,
  { exportKind, importKind, source, start }: Node
): ReadonlyArray<Import> => {
  const specifier = source?.value
  if (typeof specifier !== "string") return []
  const file = specifier.startsWith(".") ? posix.join(posix.dirname(path), specifier) : undefined
  return [{ specifier, file, line: lineAt(text, start), isType: importKind === "type" || exportKind === "type" }]
}

const countCode = (text: string, comments: ReadonlyArray<{ readonly start: number; readonly end: number }>): number => {
  let code = text
  for (const { end, start } of comments) {
    code = code.slice(0, start) + code.slice(start, end).replaceAll(/[^\n]/gu, " ") + code.slice(end)
  }
  return code.split("\n").filter((line) => line.trim() !== "").length
}

interface Node {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly source?: { readonly value?: unknown } | null
  readonly importKind?: string
  readonly exportKind?: string
}

const isNode = (value: unknown): value is Node => typeof value === "object" && value !== null && "type" in value

const nodesOf = (value: unknown): ReadonlyArray<Node> => {
  if (Array.isArray(value)) return value.flatMap(nodesOf)
  return isNode(value) ? [value, ...Object.values(value).flatMap(nodesOf)] : []
}

const lineAt = (text: string, offset: number): number => text.slice(0, offset).split("\n").length
