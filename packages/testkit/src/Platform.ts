/**
 * The server-side modules of Effect that are tagged *unstable*, each imported here and nowhere else in our packages, for the simulated providers. Those of the client
 * are in `@breakwater/core/Platform`.
 * @internal
 */
export * as Arbitrary from "effect/Arbitrary"
export { HttpApiSchemaError } from "effect/http-api/HttpApiError"
export * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
export * as HttpRouter from "effect/http/HttpRouter"
export * as HttpServer from "effect/http/HttpServer"
export * as HttpServerError from "effect/http/HttpServerError"
export * as HttpServerRequest from "effect/http/HttpServerRequest"
export * as HttpServerResponse from "effect/http/HttpServerResponse"
