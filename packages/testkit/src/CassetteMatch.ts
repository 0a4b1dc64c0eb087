/**
 * Whether a request is the one that was recorded, and if not, in what it differs. @internal
 */
import type { Body, Request } from "./CassetteFormat.ts"
import { mask } from "./CassetteFormat.ts"

const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/gu, "\\$&")

/** What was redacted matches anything. */
const fits = (recorded: string, sent: string): boolean =>
  recorded === sent ||
  (recorded.includes(mask) && new RegExp(`^${recorded.split(mask).map(escaped).join("[^]*")}$`, "u").test(sent))

const shown = (value: unknown): string => {
  const text = value === undefined ? "nothing" : JSON.stringify(value)
  return text.length > 80 ? `${text.slice(0, 79)}…` : text
}

const difference = (place: string, recorded: unknown, sent: unknown): string =>
  `${place}: recorded ${shown(recorded)}, sent ${shown(sent)}`

const isContainer = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null

const inValues = (place: string, recorded: unknown, sent: unknown): ReadonlyArray<string> => {
  if (typeof recorded === "string" && typeof sent === "string") {
    return fits(recorded, sent) ? [] : [difference(place, recorded, sent)]
  }
  if (!isContainer(recorded) || !isContainer(sent) || Array.isArray(recorded) !== Array.isArray(sent)) {
    return recorded === sent ? [] : [difference(place, recorded, sent)]
  }
  return [...new Set([...Object.keys(recorded), ...Object.keys(sent)])].flatMap((name) =>
    inValues(`${place}.${name}`, recorded[name], sent[name])
  )
}

const grouped = (query: Request["query"]): Record<string, ReadonlyArray<string>> => {
  const groups: Record<string, Array<string>> = {}
  for (const [name, value] of query) (groups[name] ??= []).push(value)
  return groups
}

const bodyOf = (body: Body | undefined): unknown => {
  if (body === undefined) return undefined
  return "json" in body ? body.json : "text" in body ? body.text : body.base64
}

/** In what two requests differ, in words; nothing if they are the same. Headers do not count: they differ from client to client. @category accessors @since 0.1.0 */
export const differences = (recorded: Request, sent: Request): ReadonlyArray<string> => [
  ...inValues("method", recorded.method, sent.method),
  ...inValues("origin", recorded.origin, sent.origin),
  ...inValues("path", recorded.path, sent.path),
  ...inValues("query", grouped(recorded.query), grouped(sent.query)),
  ...inValues("body", bodyOf(recorded.body), bodyOf(sent.body))
]
