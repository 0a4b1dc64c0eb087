/**
 * What the method of an endpoint takes, in the types: `params`, `query`, `payload`, `headers`, as far as the endpoint declares them. @internal
 */
import type { HttpApiEndpoint } from "../vocabulary/PlatformApi.ts"

type Part<Name extends string, S> = [S] extends [never]
  ? {}
  : S extends { readonly Type: infer T }
    ? { readonly [K in Name]: T }
    : {}

/** @category type-level @since 0.1.0 */
export type RequestOf<E extends HttpApiEndpoint.ConstraintRequest> = Part<"params", E["~Params"]> &
  Part<"query", E["~Query"]> &
  Part<"payload", E["~Payload"]> &
  Part<"headers", E["~Headers"]>
