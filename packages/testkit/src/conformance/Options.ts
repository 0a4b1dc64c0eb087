/**
 * What a user of a conformance suite says.
 * @internal
 */
import type { HttpClient } from "@breakwater/core/Platform"
import type * as Provider from "@breakwater/core/Provider"
import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type { Fault } from "../Fault.ts"
import type { Services } from "../kernel/Kernel.ts"
import type { SimulatedProvider } from "../SimulatedProvider.ts"

type AnyMethod = (...request: never) => unknown

/** The names of a client's operations, `group.endpoint`. @category type-level @since 0.1.0 */
export type NamesOf<C> = {
  [G in keyof C & string]: C[G] extends AnyMethod ? G : `${G}.${keyof C[G] & string}`
}[keyof C & string]

type MethodOf<C, Name> = Name extends keyof C
  ? C[Name]
  : Name extends `${infer G}.${infer M}`
    ? G extends keyof C
      ? M extends keyof C[G]
        ? C[G][M]
        : never
      : never
    : never

/** What an operation takes. @category type-level @since 0.1.0 */
export type RequestOf<C, Name> =
  MethodOf<C, Name> extends (...request: infer Arguments) => unknown ? Exclude<Arguments[0], undefined> : never

/**
 * A request, or how to get one: what must be there beforehand is made with the client, while nothing goes wrong and before anything is counted.
 * @category models @since 0.1.0
 */
export type Sample<C, Request> = Request | ((client: C) => Effect.Effect<Request, unknown>)

/** @category models @since 0.1.0 */
export interface OperationOptions<C, Request> {
  /** One that the simulated provider answers with success. Default: made from the schemas of the operation, by `effect/Arbitrary`. */
  readonly request?: Sample<C, Request> | undefined
  /**
   * The kind of ledger entry that is one unit of this operation's work, or `"nothing"` for one that leaves none. A write must leave exactly one. Default: every entry counts.
   */
  readonly counts?: string | undefined
  /** Requests that end in the errors which the operation declares, by their tags. Default: they are listed as not exercised, unless a fault brings them about. */
  readonly errors?: { readonly [tag: string]: Sample<C, Request> } | undefined
  /** Texts in the request that must not be in an error. Added: credentials, and strings in the fields that the provider's `redaction` names. */
  readonly secrets?: ReadonlyArray<string> | undefined
}

/** @category models @since 0.1.0 */
export interface Options<I, C, E> {
  readonly provider: Provider.Any
  /** The service by which the provider is called. */
  readonly service: Context.Key<I, C>
  /** The client as the app has it, with its credential and policy. */
  readonly layer: Layer.Layer<I, E, HttpClient.HttpClient>
  /** Made anew for each case. It must take the credential of `layer`. */
  readonly simulated: Effect.Effect<SimulatedProvider, never, Services>
  /** What cannot be derived, by operation; `"skip"` leaves one out, and says so in the summary. Default: everything is derived. */
  readonly operations?: { readonly [Name in NamesOf<C>]?: OperationOptions<C, RequestOf<C, Name>> | "skip" } | undefined
  /** Faults, or names of `Conformance.faults`. Default: all of those. */
  readonly faults?: ReadonlyArray<Fault | string> | undefined
}

/** Options, their types left out. @category models @since 0.1.0 */
export interface AnyOptions {
  readonly provider: Provider.Any
  readonly service: Context.Key<unknown, unknown>
  readonly layer: Layer.Layer<unknown, unknown, HttpClient.HttpClient>
  readonly simulated: Effect.Effect<SimulatedProvider, never, Services>
  readonly operations?: { readonly [name: string]: OperationOptions<unknown, unknown> | "skip" | undefined } | undefined
  readonly faults?: ReadonlyArray<Fault | string> | undefined
}

/** The suite cannot be run as it is written, or the provider breaks a rule. @category errors @since 0.1.0 */
export class ConformanceError extends Error {
  override readonly name = "ConformanceError"
}
