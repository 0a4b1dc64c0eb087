/**
 * An answer as it is kept in a record: what decoding needs of it. Also the reverse of decoding: the answer that would have given a value that was found out otherwise. @internal
 */
// Schemas of a declaration may fail with anything; what cannot be written is not written.
// @effect-diagnostics anyUnknownInErrorContext:off
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import * as Operations from "../definition/Operation.ts"
import type { Payload } from "../store/Payload.ts"
import { BufferedResponse } from "../transport/BufferedResponse.ts"
import { Headers, HttpApi, HttpClientRequest } from "../vocabulary/Platform.ts"
import * as ResponseDecoding from "./ResponseDecoding.ts"

/** The format of what is kept. @category constants @since 0.1.0 */
export const version = 1

/** @category models @since 0.1.0 */
export interface StoredAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** As text; `null` where it is done, and nobody has the answer. */
  readonly body: string | null
}

/** Of a write that is done, and whose answer nobody has. @category constants @since 0.1.0 */
export const withoutAnswer: Payload = {
  version,
  value: { status: 200, headers: {}, body: null } satisfies StoredAnswer
}

type Encode = (value: unknown) => Effect.Effect<StoredAnswer, unknown>

const asJson = (body: unknown): Pick<StoredAnswer, "headers" | "body"> =>
  body === undefined
    ? { headers: {}, body: "" }
    : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }

const encodingOf = SchemaAST.resolveAt<{ readonly _tag: string }>("~httpApiEncoding")
const pairOf = SchemaAST.resolveAt<{ readonly body: Schema.Top }>("~httpApiWithHeaders")

const isText = (schema: Schema.Top): boolean => encodingOf(schema.ast)?._tag === "Text"

const bodyOf = (schema: Schema.Top, encoded: unknown): Pick<StoredAnswer, "headers" | "body"> =>
  isText(schema) && Predicate.isString(encoded)
    ? { headers: { "content-type": "text/plain" }, body: encoded }
    : asJson(encoded)

interface Pair {
  readonly body: unknown
  readonly headers: Readonly<Record<string, string>>
}

const encoderOf = (status: number, schema: Schema.Top): Encode => {
  const encode = Schema.encodeUnknownEffect(schema as unknown as Schema.ConstraintEncoder<unknown>)
  const pair = pairOf(schema.ast)
  return (value) =>
    Effect.map(encode(value), (encoded) => {
      if (pair === undefined) return { status, ...bodyOf(schema, encoded) }
      const { body, headers } = encoded as Pair
      const kept = bodyOf(pair.body, body)
      return { status, headers: { ...kept.headers, ...headers }, body: kept.body }
    })
}

/** Whether the answer reads as a success: what is replayed must be readable. */
const readsWell = (decode: ResponseDecoding.Decoded["decode"], { body, headers, status }: StoredAnswer) => {
  const request = HttpClientRequest.get("")
  const bytes = new TextEncoder().encode(body ?? "")
  const head = { status, headers: Headers.fromInput(headers) }
  return Effect.isSuccess(decode(new BufferedResponse(request, head, bytes)))
}

const compile = (api: HttpApi.Top): ReadonlyMap<string, Encode> => {
  const decoders = new Map(ResponseDecoding.ofApi(api).map(({ decode, path }) => [path, decode]))
  const encoders = new Map<string, Encode>()
  HttpApi.reflect(api, {
    onGroup: () => undefined,
    onEndpoint: ({ endpoint, errors, group, successes }) => {
      const path = group.topLevel ? endpoint.identifier : `${group.identifier}.${endpoint.identifier}`
      const decode = decoders.get(path)
      if (decode === undefined || Operations.declaredOf(endpoint, successes, errors).streams) return
      const each = [...successes].flatMap(([status, schemas]) => schemas.map((schema) => encoderOf(status, schema)))
      const sound = each.map(
        (encode): Encode =>
          (value) =>
            Effect.flatMap(encode(value), (answer) =>
              Effect.flatMap(readsWell(decode, answer), (well) =>
                well ? Effect.succeed(answer) : Effect.fail("unreadable")
              )
            )
      )
      if (sound.length > 0) encoders.set(path, (value) => Effect.firstSuccessOf(sound.map((encode) => encode(value))))
    }
  })
  return encoders
}

/** Declarations do not change. */
const compiled = new WeakMap<HttpApi.Top, ReadonlyMap<string, Encode>>()

/** The answer of an operation, `group.endpoint`, that has this value, as it is stored; `undefined` if no answer that can be read has. @category encoding @since 0.1.0 */
export const encode = (api: HttpApi.Top, path: string, value: unknown): Effect.Effect<Payload | undefined> =>
  Effect.suspend(() => {
    const known = compiled.get(api) ?? compile(api)
    compiled.set(api, known)
    const encoder = known.get(path)
    if (encoder === undefined) return Effect.succeed(undefined)
    return Effect.map(Effect.exit(encoder(value)), (exit) =>
      exit._tag === "Success" ? { version, value: exit.value } : undefined
    )
  })
