/**
 * What an answer is kept under: whose it is (provider, environment, connection, epoch, versions), and what was asked for. Two calls have the same key only if the same answer is right for both, so that
 * every header that the operation sends counts; what the connection adds to each request (credential, user agent) does not. @internal
 */
import * as Predicate from "effect/Predicate"
import type { Asked, Keeping, Tags } from "../definition/AnswerRules.ts"
import * as Fingerprint from "../vocabulary/Fingerprint.ts"
import type { HttpClientRequest } from "../vocabulary/Platform.ts"
import { UrlParams } from "../vocabulary/Platform.ts"
import type { Connection } from "./Connection.ts"
import type { RunningCall } from "./RunningCall.ts"

type Request = HttpClientRequest.HttpClientRequest

/** Longest key that stands in the store as it is; of a longer one its digest does. */
const maxPlain = 400

const plain = /^[\u0020-\u007e]*$/u

/** A text that every store can index. */
const indexed = (text: string): string =>
  text.length <= maxPlain && plain.test(text) ? text : Fingerprint.of({ method: "", path: text })

/** Whose answers they are: nobody else sees them. @category keys @since 0.1.0 */
export const partitionOf = ({ options: { environment, epoch, id, provider } }: Connection): string =>
  JSON.stringify([provider, environment ?? "", id, epoch ?? 0])

/** They tell one request from another, and not what it asks for. */
const told = new Set(["x-request-id", "traceparent", "tracestate", "b3"])

/** A request that has one of these asks for something else than the answer. */
const conditional = ["if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "if-range", "range"]

const headersOf = ({ headers }: Request): string => {
  const said: Array<string> = []
  for (const name in headers) if (!told.has(name)) said.push(JSON.stringify([name, headers[name]]))
  // A header may be a secret, which a key must not show.
  return said.length === 0 ? "" : Fingerprint.of({ method: "", path: said.toSorted().join("") })
}

const decoder = new TextDecoder()

const bodyOf = ({ body }: Request): Uint8Array | undefined => (body._tag === "Uint8Array" ? body.body : undefined)

const sentOf = (request: Request): string => {
  const { params } = request.urlParams
  const body = bodyOf(request)
  const path = params.length === 0 ? request.url : `${request.url}?${UrlParams.toString(request.urlParams)}`
  return body === undefined ? path : `${path} ${Fingerprint.of({ method: "", path: "", body })}`
}

/** The key of a call's answer behind `prefix`; `undefined` for a request whose answer cannot be kept. @category keys @since 0.1.0 */
export const keyOf = (call: RunningCall, { key }: Keeping, prefix: string): string | undefined => {
  const { request } = call
  if (request === undefined || (request.body._tag !== "Empty" && request.body._tag !== "Uint8Array")) return undefined
  for (const name of conditional) if (name in request.headers) return undefined
  const what = key === undefined ? sentOf(request) : JSON.stringify(key(askedOf(call, request)))
  return indexed(`${prefix} ${request.method} ${what} ${headersOf(request)}`)
}

/** Path templates as patterns, whose groups are the parameters. */
const patterns = new Map<string, { readonly pattern: RegExp; readonly names: ReadonlyArray<string> }>()
const maxPatterns = 2000

const patternOf = (template: string) => {
  const known = patterns.get(template)
  if (known !== undefined) return known
  const names: Array<string> = []
  const source = template.split(/:(?<name>\w+)\??/u).map((part, index) => {
    if (index % 2 === 0) return part.replaceAll(/[$()*+.?[\\\]^{|}]/gu, String.raw`\$&`)
    names.push(part)
    return "([^/]*)"
  })
  const made = { pattern: new RegExp(`${source.join("")}$`, "u"), names }
  if (patterns.size >= maxPatterns) patterns.clear()
  patterns.set(template, made)
  return made
}

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

const paramsOf = (template: string, url: string): Record<string, string> => {
  const { names, pattern } = patternOf(template)
  const found = pattern.exec(url)?.slice(1) ?? []
  return Object.fromEntries(names.map((name, index) => [name, decoded(found[index] ?? "")]))
}

const payloadOf = (request: Request): unknown => {
  const body = bodyOf(request)
  if (body === undefined) return undefined
  const text = decoder.decode(body)
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** What a call asks for, for keys and tags that are made of it. */
const askedOf = ({ operation }: RunningCall, request: Request): Asked => ({
  params: paramsOf(operation.template, request.url),
  query: new URLSearchParams(UrlParams.toString(request.urlParams)),
  payload: payloadOf(request)
})

/** Tags as the store has them, each of one connection alone. @category keys @since 0.1.0 */
export const tagOf = (partition: string, tag: string): string => indexed(`${partition} ${tag}`)

/** What every answer of an operation is tagged with. @category keys @since 0.1.0 */
export const operationTag = (partition: string, path: string): string => indexed(`${partition}/${path}`)

/** The tags that are declared, for one call. @category keys @since 0.1.0 */
export const tagsOf = (call: RunningCall, tags: Tags): ReadonlyArray<string> =>
  !Predicate.isFunction(tags) ? tags : call.request === undefined ? [] : tags(askedOf(call, call.request))
