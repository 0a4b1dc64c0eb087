/**
 * What is secret in a request, and everything that an error shows.
 * @internal
 */
import type { HttpClientRequest } from "@breakwater/core/Platform"
import { UrlParams } from "@breakwater/core/Platform"
import * as Formatter from "effect/Formatter"
import * as Predicate from "effect/Predicate"

/** A secret, and where it stands. @category models @since 0.1.0 */
export interface Secret {
  readonly where: string
  readonly secret: string
}

/** Shorter than this, a text may stand in an error by chance. */
const least = 6
const secretName = /authorization|cookie|password|secret|token|api[-_]?key/iu

const longEnough = ({ secret }: Secret): boolean => secret.length >= least

/** The credentials in the headers and queries of requests. @category accessors @since 0.1.0 */
export const inRequests = (sent: ReadonlyArray<HttpClientRequest.HttpClientRequest>): ReadonlyArray<Secret> =>
  sent
    .flatMap(({ headers, urlParams }) => [
      ...Object.entries(headers).map(([name, value]) => ({ where: `header ${name}`, name, value })),
      ...Object.entries(UrlParams.toRecord(urlParams)).map(([name, value]) => ({
        where: `query parameter ${name}`,
        name,
        value: String(value)
      }))
    ])
    .filter(({ name }) => secretName.test(name))
    .map(({ value, where }) => ({ where, secret: value.replace(/^(?:bearer|basic) +/iu, "") }))
    .filter(longEnough)

/** Strings in the fields of a request that are called so. @category accessors @since 0.1.0 */
export const inFields = (request: unknown, names: ReadonlyArray<string>, depth = 0): ReadonlyArray<Secret> => {
  if (!Predicate.isObject(request) || depth > 8) return []
  return Object.entries(request)
    .flatMap(([name, value]) =>
      Predicate.isString(value) && names.includes(name)
        ? [{ where: `field ${name}`, secret: value }]
        : inFields(value, names, depth + 1)
    )
    .filter(longEnough)
}

/** Every text that can be reached from a value, as it is: within JSON it would be written otherwise. */
const textsOf = (value: unknown, seen: Set<object>): ReadonlyArray<string> => {
  if (!Predicate.isObjectOrArray(value)) return [String(value)]
  if (seen.has(value)) return []
  seen.add(value)
  const own = Object.getOwnPropertyNames(value).flatMap((name) => [name, ...textsOf(Reflect.get(value, name), seen)])
  return Predicate.isError(value) ? [value.message, ...own] : own
}

/** Everything that an error shows: its fields, its message, its stack, those of its causes, and what a log would make of it. @category accessors @since 0.1.0 */
export const everythingOf = (error: unknown): string =>
  [...textsOf(error, new Set()), Formatter.format(error), Formatter.formatJson(error)].join("\n")

/** Whether a text has a secret in it: as it is, as JSON writes it, or percent-encoded. @category guards @since 0.1.0 */
export const isIn = (text: string, secret: string): boolean => {
  const inJson = JSON.stringify(secret).slice(1, -1)
  const encoded = encodeURIComponent(secret.replaceAll(/\p{Surrogate}/gu, "\ufffd"))
  return [secret, inJson, encoded].some((spelling) => text.includes(spelling))
}
