/**
 * The reverse of decoding: the answer that would have given a value that was found out otherwise, as a record keeps it, so that a replay reads it like any other. @internal
 */
// Schemas of a declaration may fail with anything; what cannot be written is not written.
// @effect-diagnostics anyUnknownInErrorContext:off
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Operations from "../definition/Operation.ts"
import type { StoredAnswer } from "../store/Resolvable.ts"
import { HttpApi } from "../vocabulary/PlatformApi.ts"

type Encode = (value: unknown) => Effect.Effect<StoredAnswer, unknown>
type Body = Pick<StoredAnswer, "headers" | "text">

const asJson = (body: unknown): Body =>
  body === undefined
    ? { headers: {}, text: "" }
    : { headers: { "content-type": "application/json" }, text: JSON.stringify(body) }

/** The body as text; fails for one of another kind, which no record keeps so. */
const bodyOf = (schema: Schema.Top, encoded: unknown): Effect.Effect<Body, "neither JSON nor text"> => {
  const encoding = Operations.encodingOf(schema.ast)?._tag ?? "Json"
  if (encoding === "Json") return Effect.sync(() => asJson(encoded))
  return encoding === "Text" && Predicate.isString(encoded)
    ? Effect.succeed({ headers: { "content-type": "text/plain" }, text: encoded })
    : Effect.fail("neither JSON nor text")
}

/** What `HttpApiSchema.encodeToWithHeaders` encodes to. */
interface Pair {
  readonly body: unknown
  readonly headers: Readonly<Record<string, string>>
}

const encoderOf = (status: number, schema: Schema.Top): Encode => {
  const encode = Schema.encodeUnknownEffect(schema as unknown as Schema.ConstraintEncoder<unknown>)
  const pair = Operations.pairOf(schema.ast)
  return (value) =>
    Effect.flatMap(encode(value), (encoded) => {
      if (pair === undefined) return Effect.map(bodyOf(schema, encoded), (body) => ({ status, ...body }))
      const { body, headers } = encoded as Pair
      return Effect.map(bodyOf(pair.body, body), (kept) => ({
        status,
        headers: { ...kept.headers, ...headers },
        text: kept.text
      }))
    })
}

const compile = (api: HttpApi.Top): ReadonlyMap<string, Encode> => {
  const encoders = new Map<string, Encode>()
  HttpApi.reflect(api, {
    onGroup: () => undefined,
    onEndpoint: ({ endpoint, errors, group, successes }) => {
      const path = group.topLevel ? endpoint.identifier : `${group.identifier}.${endpoint.identifier}`
      if (Operations.declaredOf(endpoint, successes, errors).streams) return
      const each = [...successes].flatMap(([status, schemas]) => schemas.map((schema) => encoderOf(status, schema)))
      if (each.length > 0) encoders.set(path, (value) => Effect.firstSuccessOf(each.map((encode) => encode(value))))
    }
  })
  return encoders
}

/** Declarations do not change. */
const compiled = new WeakMap<HttpApi.Top, ReadonlyMap<string, Encode>>()

/** The answer of an operation, `group.endpoint`, that has this value; `undefined` if none has, or none that can be kept as text. @category encoding @since 0.1.0 */
export const encode = (api: HttpApi.Top, path: string, value: unknown): Effect.Effect<StoredAnswer | undefined> =>
  Effect.suspend(() => {
    const known = compiled.get(api) ?? compile(api)
    compiled.set(api, known)
    const encoder = known.get(path)
    if (encoder === undefined) return Effect.succeed(undefined)
    // A schema's own code may throw, too.
    return Effect.map(Effect.exit(encoder(value)), (exit) => (exit._tag === "Success" ? exit.value : undefined))
  })
