/**
 * An answer as a store has it: status, the headers that decoding needs, and the body, of which JSON is kept as JSON. What cannot be read any more is no answer. @internal
 */
import * as Base64 from "effect/encoding/Base64"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { KeptHead } from "../definition/AnswerRules.ts"
import type { Operation } from "../definition/Operation.ts"
import type { Parsed } from "../transport/BufferedResponse.ts"
import { BufferedResponse } from "../transport/BufferedResponse.ts"
import type { HttpClientRequest } from "../vocabulary/Platform.ts"
import { Headers } from "../vocabulary/Platform.ts"

/** Format of what is written; counted up when it changes. @category constants @since 0.1.0 */
export const version = 1

/** Field names are short, since they are read again with each answer. @category models @since 0.1.0 */
export interface KeptAnswer {
  readonly s: number
  readonly h: Readonly<Record<string, string>>
  /** The body as JSON, where it is declared as JSON. */
  readonly j?: unknown
  /** Any other body, as base64. */
  readonly b?: string
  /** What the rules wrote. */
  readonly r?: unknown
}

/** The headers that are kept, in lower case. @category encoding @since 0.1.0 */
export const headersOf = (response: BufferedResponse, names: ReadonlyArray<string>): Record<string, string> => {
  const headers: Record<string, string> = {}
  for (const name of names) {
    const value = response.headers[name]
    if (value !== undefined) headers[name] = value
  }
  return headers
}

const isDeclaredJson = ({ answers, declared }: Operation, status: number): boolean =>
  answers?.readsHeaders !== true && (declared?.success.get(status) ?? declared?.error.get(status)) === "json"

/** @category encoding @since 0.1.0 */
export const make = (operation: Operation, response: BufferedResponse, head: KeptHead): KeptAnswer => {
  const { headers: h, state: r, status: s } = head
  const { bytes } = response
  const common = r === undefined ? { s, h } : { s, h, r }
  if (isDeclaredJson(operation, s) && response.parsed._tag === "Json") return { ...common, j: response.parsed.value }
  return bytes.length === 0 ? common : { ...common, b: Base64.encode(bytes) }
}

const isTexts = (u: unknown): u is Readonly<Record<string, string>> =>
  Predicate.isObject(u) && Object.values(u).every(Predicate.isString)

/** What a store gave back, if it is an answer. @category decoding @since 0.1.0 */
export const read = (value: unknown): KeptAnswer | undefined => {
  if (!Predicate.isObject(value)) return undefined
  const { b, h, s } = value as Partial<KeptAnswer>
  const isAnswer = Predicate.isNumber(s) && isTexts(h) && (b === undefined || Predicate.isString(b))
  return isAnswer ? (value as unknown as KeptAnswer) : undefined
}

/** @category accessors @since 0.1.0 */
export const headOf = ({ h, r, s }: KeptAnswer): KeptHead => ({ status: s, headers: h, state: r })

const nothing = new Uint8Array(0)

const bytesOf = ({ b }: KeptAnswer): Uint8Array<ArrayBuffer> => {
  if (b === undefined) return nothing
  const bytes = Base64.decode(b)
  return Result.isSuccess(bytes) ? new Uint8Array(bytes.success) : nothing
}

/** The answer as it was read when it came. @category decoding @since 0.1.0 */
export const restored = (request: HttpClientRequest.HttpClientRequest, kept: KeptAnswer): BufferedResponse => {
  if (!("j" in kept)) {
    const head = { status: kept.s, headers: Headers.fromRecordUnsafe(kept.h) }
    return new BufferedResponse(request, head, bytesOf(kept))
  }
  // Nothing but names is looked up in them: a prototype of their own would cost a tenth of it all.
  const json: Parsed = { _tag: "Json", value: kept.j }
  return new BufferedResponse(request, { status: kept.s, headers: kept.h as Headers.Headers }, nothing, json)
}
