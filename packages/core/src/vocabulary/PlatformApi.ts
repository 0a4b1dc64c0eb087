/**
 * The modules of Effect that declare an API and make its client, imported here and nowhere else in our packages (ADR 0001). They stand apart from `Platform`, because a program that protects
 * calls of its own, and declares nothing, does not have to load them. @since 0.1.0
 */
export * as HttpApi from "effect/http-api/HttpApi"
export * as HttpApiClient from "effect/http-api/HttpApiClient"
export * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
export * as HttpApiGroup from "effect/http-api/HttpApiGroup"
export * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
export * as HttpApiSchema from "effect/http-api/HttpApiSchema"
