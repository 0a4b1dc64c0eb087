/**
 * What a cassette's file holds. @internal
 */
import * as Schema from "effect/Schema"

/** Version of the format that is written. One that is newer is refused. @category constants @since 0.1.0 */
export const formatVersion = 1

/** What stands in place of a secret. @category constants @since 0.1.0 */
export const mask = "<redacted>"

/** @category schemas @since 0.1.0 */
export const Body = Schema.Union([
  Schema.Struct({ json: Schema.Unknown }),
  Schema.Struct({ text: Schema.String }),
  Schema.Struct({ base64: Schema.String })
])
/** @category models @since 0.1.0 */
export type Body = typeof Body.Type

const Headers = Schema.Record(Schema.String, Schema.String)

/** @category schemas @since 0.1.0 */
export const Request = Schema.Struct({
  method: Schema.String,
  origin: Schema.String,
  path: Schema.String,
  query: Schema.Array(Schema.Tuple([Schema.String, Schema.String])),
  headers: Headers,
  /** Left out for a body of no bytes. */
  body: Schema.optionalKey(Body)
})
/** @category models @since 0.1.0 */
export type Request = typeof Request.Type

/** @category schemas @since 0.1.0 */
export const Interaction = Schema.Struct({
  request: Request,
  response: Schema.Struct({
    status: Schema.Int.check(Schema.isBetween({ minimum: 100, maximum: 599 })),
    headers: Headers,
    body: Schema.optionalKey(Body)
  })
})
/** @category models @since 0.1.0 */
export type Interaction = typeof Interaction.Type

/** Where a cassette comes from. */
const Provenance = Schema.Struct({
  /** ISO 8601, UTC. */
  recordedAt: Schema.String,
  /** Package and version. */
  recordedBy: Schema.String,
  /** As given, or else the origin of the first request. */
  baseUrl: Schema.optionalKey(Schema.String),
  provider: Schema.optionalKey(Schema.String),
  apiVersion: Schema.optionalKey(Schema.String)
})

/** @category schemas @since 0.1.0 */
export const Cassette = Schema.Struct({
  format: Schema.Literal("breakwater-cassette"),
  version: Schema.Literal(formatVersion),
  provenance: Provenance,
  interactions: Schema.Array(Interaction)
})
/** @category models @since 0.1.0 */
export type Cassette = typeof Cassette.Type

/** A message as it was on the wire. @category models @since 0.1.0 */
export interface RawRequest {
  readonly method: string
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

/** @category models @since 0.1.0 */
export interface RawResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}
