/**
 * One operation as the pipeline knows it, declared or not. `Operation` makes it of a declaration, and gives these out as its own; a call that nobody declared makes one here, and does not load what
 * a declaration is made of. @internal
 */
import type * as Safety from "../vocabulary/Safety.ts"
import type { AnswerRules } from "./AnswerRules.ts"
import type { CallPolicy, ResolvedPolicy } from "./CallPolicy.ts"
import type * as Resolution from "./Resolution.ts"

/** @category models @since 0.1.0 */
export interface Operation {
  /** `provider.group.endpoint`. */
  readonly name: string
  /** `group.endpoint`. */
  readonly path: string
  readonly method: string
  /** Path with its parameters' names, such as `/v1/refunds/:id`; the `url.template` of spans. Empty for calls that are not HTTP. */
  readonly template: string
  readonly safety: Safety.Safety
  /** Of `keyed` ones. */
  readonly keys: Safety.KeyOptions | undefined
  /** Where an operation without keys takes a reference of the caller's. */
  readonly reference?: Safety.ReferenceOptions | undefined
  /** What holds now: it changes with the policy of its layer, and a call keeps what it began with. */
  readonly policy: ResolvedPolicy
  /** The policy before its defaults were filled in, for overrides of a single call. */
  readonly written: CallPolicy
  /** Tokens that an attempt takes from the rate budget. */
  readonly cost: number
  /** What a dry run gives; `undefined` where it fails. */
  readonly dryRun: DryRunValue | undefined
  /** Statuses whose body a declared schema reads; `undefined` when nothing is declared and every answer is handed on. */
  readonly declared: Declared | undefined
  /** Which answers are kept, and which it makes void; `undefined` for neither. */
  readonly answers: AnswerRules | undefined
  /** How it is found out what became of it; `undefined` where nothing is declared. */
  readonly resolution?: Resolution.Plan | undefined
}

/** What a dry run of an operation gives. @category models @since 0.1.0 */
export interface DryRunValue {
  readonly value: unknown
}

/** How a declared body is to be read. @category models @since 0.1.0 */
export type BodyKind = "json" | "none" | "stream" | "other"

/** The answers that an endpoint declares, by status. @category models @since 0.1.0 */
export interface Declared {
  readonly success: ReadonlyMap<number, BodyKind>
  readonly error: ReadonlyMap<number, BodyKind>
  /** A success has a body that is read as it comes. */
  readonly streams: boolean
  /** No success has a body. */
  readonly emptySuccess: boolean
}

/** Gives an operation another policy, for the calls that begin from now on: whoever made it does so when its layer's policy changes. @category combinators @since 0.1.0 */
export const repolicy = (operation: Operation, next: Pick<Operation, "policy" | "written">): void => {
  // In place: the methods of a client hold on to their operation, and a call must find out for nothing.
  Object.assign(operation, { policy: next.policy, written: next.written })
}

/** An operation that no `HttpApi` declares. @category constructors @since 0.1.0 */
export const undeclared = (options: {
  readonly name: string
  readonly method: string
  readonly template: string
  readonly safety: Safety.Safety
  readonly keys?: Safety.KeyOptions | undefined
  readonly policy: ResolvedPolicy
  readonly written: CallPolicy
}): Operation => ({
  ...options,
  path: options.name.slice(options.name.indexOf(".") + 1),
  keys: options.keys,
  cost: 1,
  dryRun: undefined,
  declared: undefined,
  answers: undefined
})
