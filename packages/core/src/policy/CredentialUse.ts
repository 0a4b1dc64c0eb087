/**
 * Puts a credential on a request, at the last moment before it is sent, and nowhere else. @since 0.1.0
 */
import * as Redacted from "effect/Redacted"
import type { Auth } from "../definition/Auth.ts"
import type { Credential } from "../store/CredentialSource.ts"
import { HttpClientRequest } from "../vocabulary/Platform.ts"

/** `user:password` to Base64, over UTF-8. */
const base64 = (text: string): string => {
  let binary = ""
  for (const byte of new TextEncoder().encode(text)) binary += String.fromCodePoint(byte)
  return btoa(binary)
}

/** The headers that carry a credential; empty when it travels in the query. @category accessors @since 0.1.0 */
export const headers = (auth: Auth, credential: Credential): Record<string, string> => {
  const { place } = auth
  if (place._tag === "Query") return {}
  const secret = Redacted.value(credential.secret)
  return place._tag === "Basic" ? { authorization: `Basic ${base64(secret)}` } : { [place.name]: place.prefix + secret }
}

/** The request with the credential in its query, for providers that take it there; otherwise the request itself. @category combinators @since 0.1.0 */
export const inQuery = (
  request: HttpClientRequest.HttpClientRequest,
  auth: Auth,
  credential: Credential
): HttpClientRequest.HttpClientRequest =>
  auth.place._tag === "Query" ? HttpClientRequest.appendUrlParam(request, auth.place.name, credential.secret) : request
