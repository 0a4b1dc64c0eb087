/** What is wrong with a value that does not fit its schema, for errors that must not show the value. @internal */
import type * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"

const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()

/** The first issue of a schema error: where, and what was expected; never what was found. @category accessors @since 0.1.0 */
export const firstIssue = (error: Schema.SchemaError): { readonly path: string; readonly expected: string } => {
  const issue = formatIssue(error.issue).issues[0]
  const path = (issue?.path ?? [])
    .map((segment) => String(typeof segment === "object" ? segment.key : segment))
    .join(".")
  const message = issue?.message ?? "a value of the schema"
  return { path, expected: message === "Missing key" ? "a value" : message.replace(/^Expected /u, "") }
}
