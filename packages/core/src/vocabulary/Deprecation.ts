/**
 * What an answer says about the end of an operation: `Deprecation` (RFC 9745), `Sunset` (RFC 8594), and the link to what is to be done about it. @since 0.1.0
 */
import { parseItem } from "structured-headers"
import * as AnswerTime from "./AnswerTime.ts"
import type { Headers } from "./Platform.ts"

/** @category models @since 0.1.0 */
export interface Deprecation {
  /** Since when, or from when on, it is deprecated: milliseconds since the epoch; `undefined` where the answer does not say. */
  readonly deprecatedAt: number | undefined
  /** When it may stop to answer: milliseconds since the epoch; `undefined` where the answer does not say. */
  readonly sunsetAt: number | undefined
  /** Where to read more: an absolute http or https URL without user, query and fragment. */
  readonly link: string | undefined
}

/** Longest field that is read, in characters. */
const longestField = 4096

/** The last instant of the year 9999, the last that an HTTP-date can tell. */
const lastMillis = 253_402_300_799_999

const within = (millis: number | undefined): number | undefined =>
  millis !== undefined && millis >= 0 && millis <= lastMillis ? millis : undefined

/** `@1688169600`, a date of structured fields (RFC 9651 §3.3.7). */
const ofStructuredDate = (text: string): number | undefined => {
  try {
    const [value] = parseItem(text)
    return value instanceof Date ? value.getTime() : undefined
  } catch {
    return undefined
  }
}

/** Words by which earlier drafts, and others, say that it is not. */
const isDenied = (text: string): boolean => text === "" || text === "?0" || /^(?:false|@?0|none)$/iu.test(text)

const link = /<([^<>]{1,2048})>((?:\s*;\s*[\w*-]+(?:\s*=\s*(?:"[^"]*"|[^\s",;]+))?)*)/gu
const relation = /;\s*rel\s*=\s*(?:"([^"]*)"|([^\s",;]+))/iu

/** The relations that lead on, the most telling first (RFC 9745 §3, RFC 8594 §6, RFC 5829). */
const relations = ["deprecation", "sunset", "successor-version"]

const shown = (target: string): string | undefined => {
  if (!URL.canParse(target)) return undefined
  const url = new URL(target)
  return url.protocol === "https:" || url.protocol === "http:" ? `${url.origin}${url.pathname}` : undefined
}

const linkOf = (field: string | undefined): string | undefined => {
  if (field === undefined || field.length > longestField) return undefined
  const found = [...field.matchAll(link)].flatMap(([, target = "", parameters = ""]) => {
    const [, quoted, plain] = relation.exec(parameters) ?? []
    const rank = relations.findIndex((each) => (quoted ?? plain ?? "").toLowerCase().split(/\s+/u).includes(each))
    const url = rank === -1 ? undefined : shown(target)
    return url === undefined ? [] : [{ rank, url }]
  })
  return found.toSorted((a, b) => a.rank - b.rank)[0]?.url
}

/**
 * What the answer says, or `undefined` if it says nothing. A `Deprecation` that cannot be read still says that there is one; a `Sunset` that cannot be read says nothing.
 * @category parsing @since 0.1.0
 */
export const fromHeaders = (headers: Headers.Headers): Deprecation | undefined => {
  const field = headers["deprecation"]?.trim()
  const sunset = headers["sunset"]?.trim()
  const isDeprecated = field !== undefined && !isDenied(field)
  const sunsetAt = sunset === undefined ? undefined : within(AnswerTime.ofHttpDate(sunset))
  if (!isDeprecated && sunsetAt === undefined) return undefined
  const date = isDeprecated && field.length <= longestField ? field : ""
  const deprecatedAt = date.startsWith("@") ? ofStructuredDate(date) : AnswerTime.ofHttpDate(date)
  return { deprecatedAt: within(deprecatedAt), sunsetAt, link: linkOf(headers["link"]) }
}
