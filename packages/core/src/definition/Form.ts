/**
 * Form bodies with brackets, `card[exp][0]=12`: nested payloads for providers that take `application/x-www-form-urlencoded`. @since 0.1.0
 */
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { HttpApiSchema } from "../vocabulary/PlatformApi.ts"

type Flat = { readonly [name: string]: string | ReadonlyArray<string> }
type Tree = string | undefined | ReadonlyArray<Tree> | { readonly [name: string]: Tree }

/** Depth of brackets and number of fields that are read: a form is input from outside. */
const limits = { depth: 16, fields: 1000, index: 1000 }

const flattenInto = (out: Array<readonly [name: string, value: string]>, name: string, tree: Tree): void => {
  if (tree === undefined) return
  if (Predicate.isString(tree)) {
    out.push([name, tree])
    return
  }
  for (const [key, child] of Object.entries(tree)) flattenInto(out, name === "" ? key : `${name}[${key}]`, child)
}

/** Every leaf under its bracketed name. @category conversions @since 0.1.0 */
export const flatten = (tree: Tree): Record<string, string> => {
  const out: Array<readonly [name: string, value: string]> = []
  flattenInto(out, "", tree)
  // Not by assignment, which would lose a field called `__proto__`.
  return Object.fromEntries(out)
}

/** A node that is not decided yet: an array if all its names are indices, or empty (`a[]`). */
class Node {
  readonly children = new Map<string, Node>()
  leaf: string | undefined = undefined

  child(name: string): Node {
    const key = name === "" ? String(this.children.size) : name
    const found = this.children.get(key)
    if (found !== undefined) return found
    const node = new Node()
    this.children.set(key, node)
    return node
  }

  toTree(ast: SchemaAST.AST | undefined): Tree {
    if (this.children.size === 0) return this.leaf
    const names = [...this.children.keys()]
    if (takesList(ast) && names.every((name) => /^\d+$/u.test(name) && Number(name) < limits.index)) {
      return names
        .toSorted((a, b) => Number(a) - Number(b))
        .map((name) => this.children.get(name)?.toTree(below(ast, name)))
    }
    return this.toRecord(ast)
  }

  toRecord(ast: SchemaAST.AST | undefined): { readonly [name: string]: Tree } {
    return Object.fromEntries([...this.children].map(([name, node]) => [name, node.toTree(below(ast, name))]))
  }
}

/** Whether there may be a list at this place of the schema: a number in brackets is otherwise the name of a field. Without a schema, there may. */
const takesList = (ast: SchemaAST.AST | undefined): boolean => {
  if (ast === undefined) return true
  if (ast._tag === "Union") return ast.types.some(takesList)
  return ast._tag === "Suspend" ? takesList(ast.thunk()) : ast._tag === "Arrays"
}

/** The schema of a field or an item; `undefined` where the schema says nothing of it. */
const below = (ast: SchemaAST.AST | undefined, name: string): SchemaAST.AST | undefined => {
  switch (ast?._tag) {
    case "Union":
      return ast.types.map((type) => below(type, name)).find((found) => found !== undefined)
    case "Suspend":
      return below(ast.thunk(), name)
    case "Arrays":
      return ast.elements[Number(name)] ?? ast.rest[0]
    case "Objects":
      return ast.propertySignatures.find((field) => field.name === name)?.type ?? ast.indexSignatures[0]?.type
    default:
      return undefined
  }
}

const segments = (name: string): ReadonlyArray<string> => {
  const open = name.indexOf("[")
  if (open <= 0 || !name.endsWith("]")) return [name]
  return [name.slice(0, open), ...name.slice(open + 1, -1).split("][", limits.depth)]
}

/** The tree behind bracketed names. Takes `a[0]` and `a[]` for lists alike, where the schema has one; more than 1,000 fields are left unread. @category conversions @since 0.1.0 */
export const nest = (flat: Flat, ast?: SchemaAST.AST): { readonly [name: string]: Tree } => {
  const root = new Node()
  for (const [name, value] of Object.entries(flat).slice(0, limits.fields)) {
    const path = segments(name)
    const repeated = Predicate.isString(value) ? undefined : value
    const parents = repeated !== undefined && path.at(-1) === "" ? path.slice(0, -1) : path
    let node = root
    for (const segment of parents) node = node.child(segment)
    if (repeated === undefined) node.leaf = value as string
    else for (const item of repeated) node.child("").leaf = item
  }
  return root.toRecord(ast)
}

/**
 * Sends a payload as a form with bracketed names. Numbers and booleans travel as text; absent optional fields are left out.
 * **Example** `CreatePayment.pipe(Form.bracketed)` as the `payload` of an endpoint. @category schemas @since 0.1.0
 */
export const bracketed = <S extends Schema.Top>(
  schema: S
): Schema.Codec<S["Type"], Flat, S["DecodingServices"], S["EncodingServices"]> => {
  const tree = Schema.toCodecStringTree(schema) as unknown as Schema.Codec<
    S["Type"],
    Tree,
    S["DecodingServices"],
    S["EncodingServices"]
  >
  const encoded = SchemaAST.toEncoded(tree.ast)
  return Schema.Record(Schema.String, Schema.Union([Schema.String, Schema.Array(Schema.String)])).pipe(
    Schema.decodeTo(
      tree,
      SchemaTransformation.transform({
        decode: (flat) => nest(flat, encoded) as Tree,
        encode: (value) => flatten(value) as Flat
      })
    ),
    HttpApiSchema.asFormUrlEncoded()
  )
}
