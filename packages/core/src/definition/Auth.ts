/**
 * How a provider takes its credential, and how to tell which environment a key belongs to (AUTH-1, AUTH-8). @since 0.1.0
 */
import * as Redacted from "effect/Redacted"

/** @category models @since 0.1.0 */
export type Environment = "sandbox" | "production"

/** @category models @since 0.1.0 */
export interface Auth {
  /** Where the secret goes. */
  readonly place:
    | { readonly _tag: "Header"; readonly name: string; readonly prefix: string }
    | { readonly _tag: "Query"; readonly name: string }
    | { readonly _tag: "Basic" }
  /** What a key of each environment looks like. A key that fits only the other one is refused before any request. */
  readonly keys: { readonly [E in Environment]?: RegExp | undefined }
}

/** Which keys belong to which environment; without it any key is taken. @category models @since 0.1.0 */
export interface KeyPatterns {
  readonly keys?: Auth["keys"] | undefined
}

/** `Authorization: Bearer <key>` (RFC 6750). @category constructors @since 0.1.0 */
export const bearer = (options?: KeyPatterns): Auth => ({
  place: { _tag: "Header", name: "authorization", prefix: "Bearer " },
  keys: options?.keys ?? {}
})

/** The key in a header of the provider's own. @category constructors @since 0.1.0 */
export const header = (name: string, options?: KeyPatterns): Auth => ({
  place: { _tag: "Header", name: name.toLowerCase(), prefix: "" },
  keys: options?.keys ?? {}
})

/** The key as a query parameter. It is taken out of every URL that is logged. @category constructors @since 0.1.0 */
export const query = (name: string, options?: KeyPatterns): Auth => ({
  place: { _tag: "Query", name },
  keys: options?.keys ?? {}
})

/** `Authorization: Basic`, from a secret of the form `user:password` (RFC 7617). @category constructors @since 0.1.0 */
export const basic = (options?: KeyPatterns): Auth => ({ place: { _tag: "Basic" }, keys: options?.keys ?? {} })

/** `search` and not `test`, which remembers a place in a pattern that is global. */
const fits = (pattern: RegExp, secret: string): boolean => secret.search(pattern) >= 0

/** The environment whose pattern a key fits, when it is not `environment`; `undefined` if the key may be used there. @category guards @since 0.1.0 */
export const belongsElsewhere = (
  auth: Auth,
  environment: Environment,
  key: Redacted.Redacted<string>
): Environment | undefined => {
  const other = environment === "sandbox" ? "production" : "sandbox"
  const secret = Redacted.value(key)
  const here = auth.keys[environment]
  if (here !== undefined && fits(here, secret)) return undefined
  const there = auth.keys[other]
  return there !== undefined && fits(there, secret) ? other : undefined
}
