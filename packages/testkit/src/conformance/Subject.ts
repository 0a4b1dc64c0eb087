/**
 * What a suite is about: the operations of a declaration, and what its user says of them, held against each other before anything runs.
 * @internal
 */
import { HttpApi } from "@breakwater/core/PlatformApi"
import type { HttpApiEndpoint } from "@breakwater/core/PlatformApi"
import type * as Provider from "@breakwater/core/Provider"
import * as Operations from "@breakwater/core/Operation"
import type { Operation } from "@breakwater/core/Operation"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import * as Drifts from "../Drift.ts"
import type { Fault } from "../Fault.ts"
import type { AnyOptions, OperationOptions } from "./Options.ts"
import { ConformanceError } from "./Options.ts"

/** One operation of the declaration, with what is said of it. @category models @since 0.1.0 */
export interface Subject {
  /** `group.endpoint`. */
  readonly path: string
  readonly operation: Operation
  readonly endpoint: HttpApiEndpoint.Top
  /** Tags of the errors that it declares. */
  readonly declared: ReadonlyArray<string>
  /** Every way in which a successful answer may differ from its schema. */
  readonly drifts: ReadonlyArray<Fault>
  readonly options: OperationOptions<unknown, unknown>
}

/** Whether one call of it is to leave exactly one unit of work. @category guards @since 0.1.0 */
export const isWrite = ({ operation: { safety } }: Subject): boolean => safety === "keyed" || safety === "unsafe"

/** The tag that tells an error's class, or what it is called where it has none. */
const tagOf = (schema: Schema.Top, status: number): string => {
  const { ast } = Schema.toType(schema)
  const fields = SchemaAST.isDeclaration(ast) ? ast.typeParameters[0] : ast
  const tag =
    fields === undefined || !SchemaAST.isObjects(fields)
      ? undefined
      : fields.propertySignatures.find(({ name }) => name === "_tag")?.type
  if (tag !== undefined && SchemaAST.isLiteral(tag)) return String(tag.literal)
  return SchemaAST.resolveIdentifier(ast) ?? `error of status ${status}`
}

const list = (names: Iterable<string>): string => [...names].join(", ")

type Endpoint = Pick<Subject, "endpoint" | "declared" | "drifts">

const endpointsOf = (provider: Provider.Any): ReadonlyMap<string, Endpoint> => {
  const endpoints = new Map<string, Endpoint>()
  const drifts = Drifts.byOperation(provider)
  HttpApi.reflect(provider.api as HttpApi.Top, {
    onGroup: () => undefined,
    onEndpoint: ({ endpoint, errors, group }) => {
      const path = group.topLevel ? endpoint.identifier : `${group.identifier}.${endpoint.identifier}`
      const declared = [...errors].flatMap(([status, schemas]) => schemas.map((schema) => tagOf(schema, status)))
      endpoints.set(path, {
        endpoint,
        declared: [...new Set(declared)],
        drifts: drifts.get(`${group.identifier}.${endpoint.identifier}`) ?? []
      })
    }
  })
  return endpoints
}

const problemOf = (provider: string, subject: Subject): string | undefined => {
  const unknown = Object.keys(subject.options.errors ?? {}).find((tag) => !subject.declared.includes(tag))
  if (unknown === undefined) return undefined
  const declared = subject.declared.length === 0 ? "none" : list(subject.declared)
  return `operations["${subject.path}"].errors of ${provider}: it declares no error "${unknown}"; it declares ${declared}`
}

/** The operations to try, and those that are left out on purpose. Throws a `ConformanceError` for an operation or an error that the declaration does not have. @category constructors @since 0.1.0 */
export const all = (
  options: AnyOptions
): { readonly tried: ReadonlyArray<Subject>; readonly skipped: ReadonlyArray<string> } => {
  const { provider } = options
  const said: Readonly<Record<string, OperationOptions<unknown, unknown> | "skip" | undefined>> =
    options.operations ?? {}
  const read = Operations.ofApi(provider.name, provider.api as HttpApi.Top, provider.policy ?? {})
  if (Result.isFailure(read)) throw new ConformanceError(read.failure.message)
  const unknown = Object.keys(said).find((path) => !read.success.has(path))
  if (unknown !== undefined)
    throw new ConformanceError(
      `${provider.name} declares no operation "${unknown}"; it declares ${list(read.success.keys())}`
    )
  const endpoints = endpointsOf(provider)
  const tried: Array<Subject> = []
  const skipped: Array<string> = []
  for (const [path, operation] of read.success) {
    const own = said[path] ?? {}
    const found = endpoints.get(path)
    if (own === "skip" || found === undefined) skipped.push(path)
    else tried.push({ path, operation, ...found, options: own })
  }
  const problem = tried.map((subject) => problemOf(provider.name, subject)).find((each) => each !== undefined)
  if (problem !== undefined) throw new ConformanceError(problem)
  return { tried, skipped }
}

/** The faults to strike with. Throws a `ConformanceError` for a name that no fault has, and for two faults of one name. @category constructors @since 0.1.0 */
export const faultsOf = (
  wanted: ReadonlyArray<Fault | string> | undefined,
  known: ReadonlyArray<Fault>
): ReadonlyArray<Fault> => {
  const faults = (wanted ?? known).map((each) => {
    if (typeof each !== "string") return each
    const found = known.find(({ name }) => name === each)
    if (found !== undefined) return found
    throw new ConformanceError(`there is no fault "${each}"; there are ${list(known.map(({ name }) => `"${name}"`))}`)
  })
  const twice = faults.find(({ name }, index) => faults.findIndex((other) => other.name === name) !== index)
  if (twice !== undefined) throw new ConformanceError(`two faults are called "${twice.name}"`)
  return faults
}
