/**
 * The modules of Effect's HTTP that are tagged *unstable*, each imported here and nowhere else in our packages, so that a rename in a minor release
 * costs one edit (ADR 0001); those that declare an API are in `PlatformApi`. Programs of your own import them from `effect/http` and `effect/http-api` as usual. @since 0.1.0
 */
export * as FetchHttpClient from "effect/http/FetchHttpClient"
export * as Headers from "effect/http/Headers"
export * as HttpBody from "effect/http/HttpBody"
export * as Cookies from "effect/http/Cookies"
export * as HttpClient from "effect/http/HttpClient"
export * as HttpClientError from "effect/http/HttpClientError"
export * as HttpClientRequest from "effect/http/HttpClientRequest"
export * as HttpClientResponse from "effect/http/HttpClientResponse"
export * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
export type * as ProblemDetails from "effect/http/ProblemDetails"
export * as UrlParams from "effect/http/UrlParams"
