/**
 * Answers that have drifted from their declaration: what a provider changes without telling. The drifts of an operation are made from its own response schema, and each is a fault
 * that changes one place of an answer's JSON. @since 0.1.0
 */
import type * as Provider from "@breakwater/core/Provider"
import { HttpApi } from "@breakwater/core/PlatformApi"
import * as Predicate from "effect/Predicate"
import * as SchemaAST from "effect/SchemaAST"
import type { Exchange } from "./Exchange.ts"
import type { Drift as DriftFault, DriftKind, Fault } from "./Fault.ts"
import * as Faults from "./Fault.ts"

/** Places of a response, the fields of its objects by name and the items of its arrays by `*`. */
interface Found {
  readonly kind: DriftKind
  readonly path: ReadonlyArray<string>
}

/** Deeper places are left out, so that a schema that contains itself comes to an end. @category constants @since 0.1.0 */
export const maxDepth = 6

const membersOf = (ast: SchemaAST.AST): ReadonlyArray<SchemaAST.AST> =>
  SchemaAST.isSuspend(ast) ? membersOf(ast.thunk()) : SchemaAST.isUnion(ast) ? ast.types.flatMap(membersOf) : [ast]

const isClosed = (members: ReadonlyArray<SchemaAST.AST>): boolean => {
  const values = members.filter((member) => !SchemaAST.isNull(member) && !SchemaAST.isUndefined(member))
  const isText = (member: SchemaAST.AST) => SchemaAST.isLiteral(member) && Predicate.isString(member.literal)
  return values.length > 0 && values.every(isText)
}

const takesNull = (member: SchemaAST.AST): boolean =>
  SchemaAST.isNull(member) || SchemaAST.isUnknown(member) || SchemaAST.isAny(member)

/** What may happen to a value, whatever it is in. */
const ofValue = (ast: SchemaAST.AST, path: ReadonlyArray<string>): ReadonlyArray<Found> => {
  const members = membersOf(ast)
  const found: Array<Found> = []
  if (path.length > 0 && !members.some(takesNull)) found.push({ kind: "null", path })
  if (isClosed(members)) found.push({ kind: "widened enum", path })
  if (members.some(SchemaAST.isNumber) && !members.some(SchemaAST.isString))
    found.push({ kind: "string for number", path })
  return [...found, ...(path.length < maxDepth ? members.flatMap((member) => inside(member, path)) : [])]
}

const inside = (ast: SchemaAST.AST, path: ReadonlyArray<string>): ReadonlyArray<Found> => {
  if (SchemaAST.isArrays(ast)) return ast.rest.flatMap((item) => ofValue(item, [...path, "*"]))
  if (!SchemaAST.isObjects(ast) || ast.propertySignatures.length === 0) return []
  const fields = ast.propertySignatures.flatMap(({ name, type }): ReadonlyArray<Found> => {
    const field = [...path, String(name)]
    const missing: ReadonlyArray<Found> = SchemaAST.isOptional(type) ? [{ kind: "missing optional", path: field }] : []
    return [...missing, ...ofValue(type, field)]
  })
  return [{ kind: "extra field", path }, ...fields]
}

/** The drifts of each operation of a declaration, by `group.endpoint`. @category constructors @since 0.1.0 */
export const byOperation = (provider: Provider.Any): ReadonlyMap<string, ReadonlyArray<Fault>> => {
  const drifts = new Map<string, ReadonlyArray<Fault>>()
  HttpApi.reflect(provider.api as HttpApi.Top, {
    onGroup: () => undefined,
    onEndpoint: ({ endpoint, group, successes }) => {
      const found = [...successes.values()].flat().flatMap(({ ast }) => ofValue(SchemaAST.toEncoded(ast), []))
      const faults = found.map(({ kind, path }) => Faults.drift(kind, path))
      const byName = new Map(faults.map((fault) => [fault.name, fault]))
      drifts.set(`${group.identifier}.${endpoint.identifier}`, [...byName.values()])
    }
  })
  return drifts
}

/**
 * Every drift of the operation that is called, for `FaultMenu.make`: missing optional fields, nulls, new members of closed sets, strings for numbers, fields that nobody declared.
 * @category constructors @since 0.1.0
 */
export const of = (provider: Provider.Any): ((exchange: Exchange) => ReadonlyArray<Fault>) => {
  const drifts = byOperation(provider)
  return ({ operation }) => drifts.get(operation) ?? []
}

type Json = Readonly<Record<string, unknown>> | ReadonlyArray<unknown>

const unheardOf = "breakwater_unheard_of"

const changed = (kind: DriftKind, value: unknown): unknown => {
  switch (kind) {
    case "null":
      return null
    case "widened enum":
      return Predicate.isString(value) ? unheardOf : value
    case "string for number":
      return Predicate.isNumber(value) ? String(value) : value
    case "extra field":
      return Predicate.isObject(value) && !Array.isArray(value) ? { ...value, [unheardOf]: true } : value
    case "missing optional":
      return undefined
  }
}

const isContainer = (value: unknown): value is Json => Predicate.isObject(value) || Array.isArray(value)

/** What is not there stays away, so a drift of an absent place changes nothing. */
const at = (value: unknown, path: ReadonlyArray<string>, kind: DriftKind): unknown => {
  const [name, ...rest] = path
  if (name === undefined) return changed(kind, value)
  if (!isContainer(value)) return value
  if (Array.isArray(value)) return name === "*" ? value.map((item) => at(item, rest, kind)) : value
  const entries = Object.entries(value).map(([key, field]) => [key, key === name ? at(field, rest, kind) : field])
  // JSON leaves out what is undefined.
  return Object.fromEntries(entries) as unknown
}

const decoder = new TextDecoder()
const encoder = new TextEncoder()

/** A body of JSON after the drift. @category combinators @since 0.1.0 */
export const apply = (body: Uint8Array, { kind, path }: DriftFault): Uint8Array =>
  encoder.encode(JSON.stringify(at(JSON.parse(decoder.decode(body)), path, kind)))
