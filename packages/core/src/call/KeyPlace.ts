/**
 * Where a provider wants its key: in a header, bare or quoted, or in a field of the body, which then is fixed, so that every attempt sends the same bytes. @internal
 */
import * as Predicate from "effect/Predicate"
import { InvalidRequest } from "../vocabulary/FatalReason.ts"
import type { HttpClientRequest } from "../vocabulary/Platform.ts"
import { HttpBody, HttpClientRequest as Requests } from "../vocabulary/Platform.ts"
import type { KeyOptions } from "../vocabulary/Safety.ts"

type Request = HttpClientRequest.HttpClientRequest

/** A string of RFC 8941 §3.3.3. */
const quoted = (key: string): string => `"${key.replaceAll(/["\\]/gu, String.raw`\$&`)}"`

/** The value of the header. @category encoding @since 0.1.0 */
export const inHeader = ({ encoding }: KeyOptions, key: string): string => (encoding === "quoted" ? quoted(key) : key)

const taken = (field: string): InvalidRequest =>
  new InvalidRequest({ field, detail: "is where the idempotency key goes, and holds something else" })

const withBytes = (request: Request, text: string, contentType: string): Request =>
  Requests.setBody(request, HttpBody.uint8Array(new TextEncoder().encode(text), contentType))

type Fields = Record<string, unknown>

/** The body with the key in its field; objects on the way there are made. */
const inJson = (body: unknown, field: string, key: string): unknown => {
  const root = Predicate.isObject(body) && !Array.isArray(body) ? { ...body } : undefined
  const path = field.split(".")
  const last = path.pop() ?? field
  let at: Fields | undefined = root
  for (const name of path) {
    if (at === undefined) break
    const found: unknown = Object.hasOwn(at, name) ? at[name] : {}
    const next: Fields | undefined = Predicate.isObject(found) && !Array.isArray(found) ? { ...found } : undefined
    at[name] = next
    at = next
  }
  if (at === undefined) return new InvalidRequest({ field, detail: "must be in a JSON object, to take the key" })
  if (Object.hasOwn(at, last) && at[last] !== key) return taken(field)
  at[last] = key
  return root
}

/** `a.b` is `a[b]` in a form. */
const bracketed = (field: string): string => {
  const [first = field, ...others] = field.split(".")
  return [first, ...others.map((name) => `[${name}]`)].join("")
}

const inForm = (text: string, field: string, key: string): string | InvalidRequest => {
  const form = new URLSearchParams(text)
  const name = bracketed(field)
  const found = form.getAll(name)
  if (found.some((value) => value !== key)) return taken(field)
  if (found.length === 0) form.append(name, key)
  return form.toString()
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The request with the key in that field of its body, or why there is no such place. @category combinators @since 0.1.0 */
export const inBody = (request: Request, field: string, key: string): Request | InvalidRequest => {
  const { body } = request
  const unfit = new InvalidRequest({ field, detail: "takes the key, and needs a body of JSON or a form" })
  if (body._tag !== "Uint8Array") return unfit
  const { contentType } = body
  const text = new TextDecoder().decode(body.body)
  if (contentType.startsWith("application/x-www-form-urlencoded")) {
    const form = inForm(text, field, key)
    return Predicate.isString(form) ? withBytes(request, form, contentType) : form
  }
  if (!/^application\/(?:[\w.+-]+\+)?json\b/u.test(contentType)) return unfit
  const json = inJson(parsed(text), field, key)
  return json instanceof InvalidRequest ? json : withBytes(request, JSON.stringify(json), contentType)
}
