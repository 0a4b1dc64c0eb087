/**
 * Checks a request before anything is spent on it (SAFE-10): what came from outside must not leave its path segment, smuggle a header, or be without
 * end. The values are encoded by then; this refuses what encoding does not mend. @since 0.1.0
 */
import * as Redacted from "effect/Redacted"
import { isSecure } from "../vocabulary/SecureUrl.ts"
import { InvalidRequest } from "../vocabulary/FatalReason.ts"
import type { HttpClientRequest } from "../vocabulary/Platform.ts"

/** Longest values that are sent, in characters. @category constants @since 0.1.0 */
export const limits = { url: 8192, segment: 1024, queryValue: 4096, headerValue: 8192 } as const

const control = /[\u0000-\u001f\u007f]/u

/** What no header carries: controls, and what is more than a byte (RFC 9110 §5.5). */
const unfitForHeader = /[^\u0020-\u007e\u0080-\u00ff]/u

/** A name from outside, as far as it may stand in a message. */
const shown = (name: string): string => name.slice(0, 64).replaceAll(/[^\w.[\]-]/gu, "?")

/** Anything that makes a closer look worthwhile: an escape, a backslash, a dot at the start of a segment. */
const suspicious = /[%\\]|\/\./u

const invalid = (field: string, detail: string): InvalidRequest => new InvalidRequest({ field, detail })

const decoded = (segment: string): string | undefined => {
  try {
    return decodeURIComponent(segment)
  } catch {
    return undefined
  }
}

const problemOfSegment = (segment: string): InvalidRequest | undefined => {
  if (segment.length > limits.segment)
    return invalid("path", `segment must have at most ${limits.segment} characters, has ${segment.length}`)
  const text = decoded(segment)
  if (text === undefined) return invalid("path", "has a percent sign that escapes nothing")
  if (control.test(text)) return invalid("path", "must not hold control characters")
  // A space at the end of a URL is dropped, so that `.. ` is `..` there.
  return text.split(/[/\\]/u).some((part) => part.trim() === ".." || part.trim() === ".")
    ? invalid("path", "must not hold '.' or '..' as a segment")
    : undefined
}

/** What makes a URL worth a closer look at all: of most, this is the only one. */
const unusual = /[\u0000-\u001f\u007f%\\?#]|\/\./u

const problemOfUrl = (url: string): InvalidRequest | undefined => {
  if (url.length <= limits.segment && !unusual.test(url)) return undefined
  if (url.length > limits.url) return invalid("url", `must have at most ${limits.url} characters, has ${url.length}`)
  if (control.test(url)) return invalid("url", "must not hold control characters")
  const start = url.indexOf("://")
  const path = start < 0 ? 0 : url.indexOf("/", start + 3)
  if (path < 0) return undefined
  const end = url.search(/[?#]/u)
  const pathname = url.slice(path, end < 0 ? undefined : end)
  if (pathname.length <= limits.segment && !suspicious.test(pathname)) return undefined
  for (const segment of pathname.split("/")) {
    const problem = problemOfSegment(segment)
    if (problem !== undefined) return problem
  }
  return undefined
}

/** Why a request must not be sent, or `undefined`. @category guards @since 0.1.0 */
export const problemOf = (request: HttpClientRequest.HttpClientRequest): InvalidRequest | undefined => {
  const problem = problemOfUrl(request.url)
  if (problem !== undefined) return problem
  for (const [name, value] of request.urlParams.params) {
    const text = Redacted.isRedacted(value) ? Redacted.value(value) : value
    if (text.length > limits.queryValue)
      return invalid(`query ${shown(name)}`, `must have at most ${limits.queryValue} characters, has ${text.length}`)
    if (control.test(text) || control.test(name))
      return invalid(`query ${shown(name)}`, "must not hold control characters")
  }
  for (const name in request.headers) {
    const value = request.headers[name]
    if (value === undefined) continue
    if (value.length > limits.headerValue)
      return invalid(`header ${name}`, `must have at most ${limits.headerValue} characters, has ${value.length}`)
    if (unfitForHeader.test(value)) {
      const what = control.test(value) ? "control characters, CR or LF" : "characters beyond Latin-1"
      return invalid(`header ${name}`, `must not hold ${what}`)
    }
  }
  return undefined
}

/** A URL that no request goes to: only https, or http on loopback (SAFE-8). @category constants @since 0.1.0 */
export const insecure = invalid("url", "must be https, or http on loopback")

/** Whether an origin may be called. @category guards @since 0.1.0 */
export const isAllowed = (origin: string): boolean => URL.canParse(origin) && isSecure(new URL(origin))
