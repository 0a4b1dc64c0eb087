/**
 * What a caller keeps in a store: JSON with the version of whoever wrote it, bounded. The same rules hold in memory, so that what works there works on disk.
 * @since 0.1.0
 */
import * as Predicate from "effect/Predicate"
import type { Place, StoreError } from "./StoreError.ts"
import { make } from "./StoreError.ts"

/** @category models @since 0.1.0 */
export interface Payload {
  /** Format of `value`, a whole number that its writer counts up when the format changes. A reader that does not know it says so and leaves it. */
  readonly version: number
  /** Anything that JSON can say. */
  readonly value: unknown
}

/** A payload as it is kept. @category models @since 0.1.0 */
export interface StoredPayload {
  readonly version: number
  readonly json: string
}

/** Bytes of a payload unless told otherwise: 1 MiB. @category constants @since 0.1.0 */
export const defaultMaxBytes = 1_048_576

const problemText = (error: unknown): string =>
  Predicate.isError(error) ? (error.message.split("\n")[0] ?? "").slice(0, 120) : "not JSON"

const stringify = (place: Place, value: unknown): string | StoreError => {
  try {
    const json: string | undefined = JSON.stringify(value)
    return json ?? make(place, "invalid", "the payload is not JSON: it is a function, a symbol or undefined")
  } catch (error) {
    return make(place, "invalid", `the payload cannot be serialised: ${problemText(error)}`)
  }
}

const encoder = new TextEncoder()

/** Whether a text is longer than so many bytes; counted only where its length leaves that open. */
const isLonger = (text: string, bytes: number): boolean =>
  text.length > bytes || (text.length * 3 > bytes && encoder.encode(text).length > bytes)

/** @category encoding @since 0.1.0 */
export const encode = (place: Place, { value, version }: Payload, maxBytes: number): StoredPayload | StoreError => {
  if (!Number.isSafeInteger(version) || version < 0 || version > 0x7fffffff)
    return make(place, "invalid", `the payload's version must be a whole number, got ${version}`)
  const json = stringify(place, value)
  if (!Predicate.isString(json)) return json
  return isLonger(json, maxBytes)
    ? make(place, "invalid", `the payload must have at most ${maxBytes} bytes, has more`)
    : { version, json }
}

/** @category decoding @since 0.1.0 */
export const decode = (place: Place, { json, version }: StoredPayload): Payload | StoreError => {
  try {
    return { version, value: JSON.parse(json) as unknown }
  } catch {
    return make(place, "corrupt", "the payload is not JSON")
  }
}
