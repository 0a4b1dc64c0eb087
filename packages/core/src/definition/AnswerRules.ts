/**
 * What a declaration says about keeping answers: what an answer is good for, under which key and tags it is kept, and what a write makes void. `Caching` and `HttpCaching` make such rules; whoever
 * declares neither loads nothing of the cache. @internal
 */
import * as Context from "effect/Context"

/** What a call asks for, as it is sent. @category models @since 0.1.0 */
export interface Asked {
  /** Parameters of the path by their names, decoded. */
  readonly params: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  /** The body that was sent, where it is JSON; `undefined` otherwise. */
  readonly payload: unknown
}

/** Tags of an answer, or of what a write makes void: the same for every call, or by what it asks for. @category models @since 0.1.0 */
export type Tags = ReadonlyArray<string> | ((asked: Asked) => ReadonlyArray<string>)

/** An answer without its body. @category models @since 0.1.0 */
export interface Head {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
}

/** Who asks. @category models @since 0.1.0 */
export interface Asking {
  readonly method: string
  /** What the operation sends. */
  readonly headers: Readonly<Record<string, string>>
  /** What the connection sends with every request, the credential left out. */
  readonly common: Readonly<Record<string, string>>
}

/** What is kept of an answer beside its body; `state` is what its rules wrote, as JSON. @category models @since 0.1.0 */
export interface KeptHead extends Head {
  readonly state: unknown
}

/** How an answer is to be kept. */
interface Admitted {
  /** How long, stale or not. */
  readonly keepMillis: number
  readonly state: unknown
}

/** What a kept answer is good for now. @category models @since 0.1.0 */
export interface Verdict {
  /** `fresh`: as good as the provider's. `renew`: may be given while another is fetched. `ask`: the provider is asked first. */
  readonly use: "fresh" | "renew" | "ask"
  /** Whether it may be given when the provider is down. */
  readonly whenDown: boolean
  /** Headers that ask whether it is still so; `undefined` where there is nothing to ask by. */
  readonly conditions: Readonly<Record<string, string>> | undefined
}

/** When an answer is kept, and what it is good for. @category models @since 0.1.0 */
export interface Rules {
  /** Headers of an answer that the rules read again, in lower case. */
  readonly headers: ReadonlyArray<string>
  /** How to keep it; `undefined` for not at all. */
  readonly admit: (asking: Asking, answer: Head, now: number) => Admitted | undefined
  readonly judge: (asking: Asking, kept: KeptHead, ageMillis: number) => Verdict
}

/** What carries the rules out: known to the floor above, and brought along by the declaration. @category models @since 0.1.0 */
export interface Engine {
  readonly "~engine": "answers"
}

/** @category models @since 0.1.0 */
export interface Keeping {
  readonly rules: Rules
  /** What the answer is of, in place of path, query and body. */
  readonly key: ((asked: Asked) => string) | undefined
  readonly tags: Tags
  /** Counted up by whoever declares, when answers mean something else. */
  readonly version: number
  readonly engine: Engine
}

/** @category models @since 0.1.0 */
export interface Invalidating {
  readonly tags: Tags
  readonly engine: Engine
}

/** Answers of an endpoint are kept. @category annotations @since 0.1.0 */
export class Keep extends Context.Service<Keep, Keeping>()("@breakwater/core/AnswerRules/Keep") {}

/** A write makes answers void. @category annotations @since 0.1.0 */
export class Invalidates extends Context.Service<Invalidates, Invalidating>()(
  "@breakwater/core/AnswerRules/Invalidates"
) {}

/** Everything that is declared about the answers of an operation. @category models @since 0.1.0 */
export interface AnswerRules {
  readonly keep: Keeping | undefined
  readonly invalidates: Invalidating | undefined
  /** Headers that are kept: what decoding needs, and what the rules read. */
  readonly headers: ReadonlyArray<string>
  /** Decoding reads headers beside the body, and so the body as it came. */
  readonly readsHeaders: boolean
}

/** How the calls inside use what is kept. @category references @since 0.1.0 */
export const Mode = Context.Reference<"use" | "bypass" | "renew" | "forget">("@breakwater/core/AnswerRules/Mode", {
  defaultValue: () => "use"
})

/** Ends a call that was to forget its answer. @category models @since 0.1.0 */
export class Forgotten {
  readonly _tag = "Forgotten"
}
