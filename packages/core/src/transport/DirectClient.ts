/**
 * A client that can also do a whole exchange, body included, by calling back: what the pipeline asks of its transport, with no effect, fiber or stream in between. Any
 * other client is used through effects. @internal
 */
import * as Predicate from "effect/Predicate"
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { HttpClient, HttpClientRequest } from "../vocabulary/Platform.ts"
import type { AnswerHead, BufferedResponse } from "./BufferedResponse.ts"
import type { Due } from "./DueList.ts"

/** @category constants @since 0.1.0 */
export const TypeId = "~@breakwater/core/DirectClient"

/** Who is told what an exchange comes to: of `received` and `failed` one is called, once, unless the exchange is aborted. @category models @since 0.1.0 */
export interface Receiver extends Due {
  readonly request: HttpClientRequest.HttpClientRequest
  /** What is sent in place of the request's own headers, names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** Longest body that is read, in bytes. */
  readonly limit: number
  /** Where a body that is a stream runs. */
  readonly context: Context.Context<never>
  readonly clock: Clock.Clock
  /** A byte came. */
  heard(): void
  received(response: BufferedResponse): void
  /** No answer came, or one whose body could not be read. */
  failed(error: unknown, head: AnswerHead | undefined): void
}

/** An exchange that is under way. @category models @since 0.1.0 */
export interface Exchanging {
  /** Ends it, and closes its socket; nobody is told. */
  abort(): void
}

/** @category models @since 0.1.0 */
export interface DirectClient extends HttpClient.HttpClient {
  readonly [TypeId]: (receiver: Receiver) => Exchanging
  /** Has schemas that answers are read by compiled, when they are used next. Left out where nothing compiles. */
  readonly compile?: ((schemas: ReadonlyArray<Schema.Top>) => Effect.Effect<void>) | undefined
}

/** @category guards @since 0.1.0 */
export const isDirect = (client: HttpClient.HttpClient): client is DirectClient => Predicate.hasProperty(client, TypeId)
