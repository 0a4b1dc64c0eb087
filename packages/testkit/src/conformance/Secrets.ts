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

/** An error as a log could have it: its fields, its message, its stack, and those of its causes. @category accessors @since 0.1.0 */
export const everythingOf = (error: unknown, depth = 0): string => {
  if (!Predicate.isObject(error) || depth > 4) return Formatter.format(error)
  const shown = [Formatter.format(error), Formatter.formatJson(error), Formatter.formatJson(Object.entries(error))]
  if (Predicate.isError(error)) shown.push(error.message, error.stack ?? "")
  if ("cause" in error) shown.push(everythingOf(error.cause, depth + 1))
  return shown.join("\n")
}
