/**
 * Reads off an endpoint what is declared about its answers, and says what cannot be declared so. @internal
 */
import * as Context from "effect/Context"
import type * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import { HttpApiSchema } from "../vocabulary/PlatformApi.ts"
import type { AnswerRules } from "./AnswerRules.ts"
import { Invalidates, Keep } from "./AnswerRules.ts"

/** What `HttpApiSchema.encodeToWithHeaders` leaves of the headers. */
const pairOf = SchemaAST.resolveAt<{ readonly headers: Schema.Top }>("~httpApiWithHeaders")

/** The schema of the headers that a success reads, if it reads any. */
const headersIn = (schema: Schema.Top): Schema.Top | undefined =>
  HttpApiSchema.isWithHeaders(schema) ? schema.headers : pairOf(schema.ast)?.headers

const namesIn = (headers: Schema.Top): ReadonlyArray<string> => {
  const encoded = SchemaAST.toEncoded(headers.ast)
  if (!SchemaAST.isObjects(encoded)) return []
  return encoded.propertySignatures.map(({ name }) => String(name).toLowerCase())
}

/** Never kept, whoever declares it. */
const personal = new Set(["set-cookie", "authorization", "proxy-authorization"])

/** What the annotations of an endpoint say about its answers; `undefined` for nothing. @category constructors @since 0.1.0 */
export const ofEndpoint = (
  annotations: Context.Context<never>,
  success: Iterable<Schema.Top>
): AnswerRules | undefined => {
  const keep = Context.getOrUndefined(annotations, Keep)
  const invalidates = Context.getOrUndefined(annotations, Invalidates)
  if (keep === undefined && invalidates === undefined) return undefined
  const read = [...success].map(headersIn).filter((each) => each !== undefined)
  const headers = new Set(["content-type", ...read.flatMap(namesIn), ...(keep?.rules.headers ?? [])])
  return {
    keep,
    invalidates,
    headers: [...headers].filter((name) => !personal.has(name)),
    readsHeaders: read.length > 0
  }
}

/** Why an operation cannot be declared so, or `undefined`. @category guards @since 0.1.0 */
export const problemOf = (
  rules: AnswerRules | undefined,
  { safety, streams }: { readonly safety: string; readonly streams: boolean }
): string | undefined => {
  if (rules?.keep !== undefined && safety !== "safe")
    return `keeps answers of operations that are safe, and this one is ${safety}`
  if (rules?.keep !== undefined && streams) return "keeps answers that are read whole, and this one is a stream"
  return rules?.invalidates !== undefined && safety === "safe"
    ? "makes answers void where something was changed, and this operation is safe"
    : undefined
}
