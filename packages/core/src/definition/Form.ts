/**
 * Form bodies with brackets, `card[exp][0]=12`: nested payloads for providers that take `application/x-www-form-urlencoded`. @since 0.1.0
 */
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { HttpApiSchema } from "../vocabulary/Platform.ts"

type Flat = { readonly [name: string]: string | ReadonlyArray<string> }
type Tree = string | undefined | ReadonlyArray<Tree> | { readonly [name: string]: Tree }

/** Depth of brackets and number of fields that are read: a form is input from outside. */
const limits = { depth: 16, fields: 1000, index: 1000 }

const flattenInto = (out: Record<string, string>, name: string, tree: Tree): void => {
  if (tree === undefined) return
  if (Predicate.isString(tree)) {
    out[name] = tree
    return
  }
  for (const [key, child] of Object.entries(tree)) flattenInto(out, name === "" ? key : `${name}[${key}]`, child)
}

/** Every leaf under its bracketed name. @category conversions @since 0.1.0 */
export const flatten = (tree: Tree): Record<string, string> => {
  const out: Record<string, string> = {}
  flattenInto(out, "", tree)
  return out
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

  toTree(): Tree {
    if (this.children.size === 0) return this.leaf
    const names = [...this.children.keys()]
    if (names.every((name) => /^\d+$/u.test(name) && Number(name) < limits.index)) {
      return names.toSorted((a, b) => Number(a) - Number(b)).map((name) => this.children.get(name)?.toTree())
    }
    return Object.fromEntries([...this.children].map(([name, node]) => [name, node.toTree()]))
  }
}

const segments = (name: string): ReadonlyArray<string> => {
  const open = name.indexOf("[")
  if (open <= 0 || !name.endsWith("]")) return [name]
  return [name.slice(0, open), ...name.slice(open + 1, -1).split("][", limits.depth)]
}

/** The tree behind bracketed names. Takes `a[0]` and `a[]` for arrays alike; more than 1,000 fields are left unread. @category conversions @since 0.1.0 */
export const nest = (flat: Flat): { readonly [name: string]: Tree } => {
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
  return Object.fromEntries([...root.children].map(([name, node]) => [name, node.toTree()]))
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
  return Schema.Record(Schema.String, Schema.Union([Schema.String, Schema.Array(Schema.String)])).pipe(
    Schema.decodeTo(
      tree,
      SchemaTransformation.transform({
        decode: (flat) => nest(flat) as Tree,
        encode: (value) => flatten(value) as Flat
      })
    ),
    HttpApiSchema.asFormUrlEncoded()
  )
}
