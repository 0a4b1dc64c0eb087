/** The payload of a command between its schema and JSON, with what is wrong with it in words that do not show it. @internal */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { place } from "../store/OutboxStore.ts"
import type { Payload } from "../store/Payload.ts"
import type { StoreError } from "../store/StoreError.ts"
import { make as storeError } from "../store/StoreError.ts"
import { firstIssue } from "../vocabulary/FirstIssue.ts"

/** @category models @since 0.1.0 */
export interface OutboxPayload<A> {
  /** Fails with `invalid`, naming the field and the rule. */
  readonly encode: (value: A) => Effect.Effect<Payload, StoreError>
  /** Fails with why it cannot be read. */
  readonly decode: (payload: Payload) => Effect.Effect<A, string>
}

const problemOf = (error: Schema.SchemaError): string => {
  const { expected, path } = firstIssue(error)
  return `${path === "" ? "payload" : `payload.${path}`} must be ${expected}`
}

/** Throws a `RangeError` for a version that is no whole number. @category constructors @since 0.1.0 */
export const make = <A, I>(schema: Schema.Codec<A, I>, version: number): OutboxPayload<A> => {
  if (!Number.isSafeInteger(version) || version < 0)
    throw new RangeError(`Outbox.make: version must be a whole number of at least 0, got ${version}`)
  const codec = Schema.toCodecJson(schema)
  const encode = Schema.encodeEffect(codec)
  const decode = Schema.decodeUnknownEffect(codec)
  return {
    encode: (value) =>
      encode(value).pipe(
        Effect.map((json) => ({ version, value: json })),
        Effect.mapError((error) => storeError(place("add"), "invalid", problemOf(error)))
      ),
    decode: (payload) =>
      payload.version > version
        ? Effect.fail(`version ${payload.version} of the payload is newer than ${version}, which this program knows`)
        : Effect.mapError(decode(payload.value), problemOf)
  }
}
