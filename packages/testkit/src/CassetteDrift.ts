/**
 * Whether recorded answers are still what a declaration expects. @internal
 */
// Schemas of a declaration may require anything, which answers of a cassette cannot give them.
// @effect-diagnostics anyUnknownInErrorContext:off
import { HttpApi, HttpApiSchema } from "@breakwater/core/PlatformApi"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import type { Cassette, Interaction } from "./CassetteFormat.ts"
import { mask } from "./CassetteFormat.ts"

/** @category schemas @since 0.1.0 */
export const Drift = Schema.Struct({
  /** Which interaction of the cassette, from 0. */
  interaction: Schema.Int,
  /** `group.endpoint`; `unknown` for a request that no endpoint takes. */
  operation: Schema.String,
  status: Schema.Int,
  /** Where in the body, with dots; empty for the whole. */
  path: Schema.String,
  expected: Schema.String
})

interface Route {
  readonly operation: string
  readonly method: string
  readonly pattern: RegExp
  readonly schemas: ReadonlyMap<number, ReadonlyArray<Schema.Top>>
}

const routesOf = (api: HttpApi.Constraint): ReadonlyArray<Route> => {
  const routes: Array<Route> = []
  HttpApi.reflect(api as HttpApi.Top, {
    onGroup: () => undefined,
    onEndpoint: ({ endpoint, errors, group, successes }) => {
      const path = endpoint.path.replaceAll(/[.*+?^${}()|[\]\\]/gu, "\\$&").replaceAll(/:\w+/gu, "[^/]+")
      routes.push({
        operation: group.topLevel ? endpoint.identifier : `${group.identifier}.${endpoint.identifier}`,
        method: endpoint.method,
        // What comes before is the path of the base URL.
        pattern: new RegExp(`^(?<base>.*)${path}$`, "u"),
        schemas: new Map([...errors, ...successes])
      })
    }
  })
  return routes
}

/** The route of a request: of several, the one with the shortest path before its own. */
const routeOf = (routes: ReadonlyArray<Route>, { method, path }: Interaction["request"]): Route | undefined => {
  const baseOf = ({ pattern }: Route) => pattern.exec(path)?.groups?.["base"]?.length ?? Number.POSITIVE_INFINITY
  const [first] = routes
    .filter((route) => route.method === method && route.pattern.test(path))
    .toSorted((a, b) => baseOf(a) - baseOf(b))
  return first
}

const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()

type Found = Pick<typeof Drift.Type, "path" | "expected">

const at = (value: unknown, path: ReadonlyArray<PropertyKey>): unknown => {
  let found = value
  for (const key of path) {
    if (typeof found !== "object" || found === null) return undefined
    found = (found as Record<PropertyKey, unknown>)[key]
  }
  return found
}

/** What is wrong with a value, but for what was redacted. */
const problemsOf = (schemas: ReadonlyArray<Schema.Top>, json: unknown): ReadonlyArray<Found> => {
  const union = Schema.Union(schemas) as unknown as Schema.ConstraintDecoder<unknown>
  const decode = Schema.decodeUnknownEffect(union, { errors: "all" })
  const exit = Effect.runSync(Effect.result(decode(json)))
  if (Result.isSuccess(exit)) return []
  return formatIssue(exit.failure.issue).issues.flatMap((issue) => {
    const path = (issue.path ?? []).map((segment) => (typeof segment === "object" ? segment.key : segment))
    const value = at(json, path)
    if (typeof value === "string" && value.includes(mask)) return []
    const expected = issue.message === "Missing key" ? "a value" : issue.message.replace(/^Expected /u, "")
    return [{ path: path.map(String).join("."), expected: expected.replace(/, got [\s\S]*$/u, "") }]
  })
}

const driftOf = (route: Route | undefined, { request, response }: Interaction): ReadonlyArray<Found> => {
  if (route === undefined) return [{ path: "", expected: `an endpoint for ${request.method} ${request.path}` }]
  const schemas = route.schemas.get(response.status)
  if (schemas === undefined) {
    return [{ path: "", expected: `one of the declared statuses ${[...route.schemas.keys()].join(", ")}` }]
  }
  if (schemas.some((schema) => HttpApiSchema.isNoContent(schema.ast))) return []
  const { body } = response
  if (body === undefined || "base64" in body) return [{ path: "", expected: "a body of JSON" }]
  return problemsOf(schemas, "json" in body ? body.json : body.text)
}

/** Everything that drifted. @category accessors @since 0.1.0 */
export const driftsOf = (cassette: Cassette, api: HttpApi.Constraint): ReadonlyArray<typeof Drift.Type> => {
  const routes = routesOf(api)
  return cassette.interactions.flatMap((interaction, index) => {
    const route = routeOf(routes, interaction.request)
    const { status } = interaction.response
    return driftOf(route, interaction).map((found) => ({
      interaction: index,
      operation: route?.operation ?? "unknown",
      status,
      ...found
    }))
  })
}
