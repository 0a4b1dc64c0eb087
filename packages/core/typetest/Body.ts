/** What the types say of a body that is read as it comes. */
import type { Effect, Scope, Stream } from "effect"
import type { FatalError, OutcomeUnknown, RetryableError } from "@breakwater/core/ProviderError"
import type { MediaClient } from "../test/support/Media.ts"

type Answer<F> = F extends (..._: never) => Effect.Effect<infer A, infer _E, infer _R> ? A : never
type Requires<F> = F extends (..._: never) => Effect.Effect<infer _A, infer _E, infer R> ? R : never
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false

type Downloads = MediaClient["downloads"]
type Broken<S> = S extends { readonly stream: Stream.Stream<infer _A, infer E> } ? E : never
type Items<S> = S extends { readonly stream: Stream.Stream<infer A, infer _E> } ? A : never

/** It needs a scope to end with, and nothing else does. */
export const scoped: Same<Requires<Downloads["get"]>, Scope.Scope> = true
export const unscoped: Same<Requires<Downloads["plain"]>, never> = true
export const bytes: Same<Items<Answer<Downloads["get"]>>, Uint8Array> = true
export const items: Same<Items<Answer<Downloads["lines"]>>, { readonly id: number }> = true

/** Its errors are those of the operation's safety. */
export const safe: Same<Broken<Answer<Downloads["get"]>>, RetryableError | FatalError> = true
export const unsafe: Same<Broken<Answer<Downloads["render"]>>, RetryableError | FatalError | OutcomeUnknown> = true
