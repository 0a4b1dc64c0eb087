/**
 * The static description of a third party, written once: from it come the typed client, the simulated provider and the operator's papers. @since 0.1.0
 */
import type { HttpApi } from "../vocabulary/PlatformApi.ts"
import { isSecure } from "../vocabulary/SecureUrl.ts"
import type { Auth, Environment } from "./Auth.ts"
import type { CallPolicy } from "./CallPolicy.ts"
import type { Dialect } from "./Dialect.ts"
import * as Dialects from "./Dialect.ts"
import type { ErrorTable } from "./ErrorTable.ts"
import * as Operation from "./Operation.ts"
import type { Rate } from "./RatePlan.ts"
import * as RatePlan from "./RatePlan.ts"

export { isSecure } from "../vocabulary/SecureUrl.ts"
export type { LintOptions } from "./ProviderLint.ts"
export {
  /** What is amiss with the policies of a provider, with the arithmetic. @category inspection @since 0.1.0 */
  lint
} from "./ProviderLint.ts"
export type {
  /** One limit, such as 100 in a second. @category models @since 0.1.0 */
  RateLimit,
  /** Which operations a policy is for. @category models @since 0.1.0 */
  RateMatch,
  /** Limits of some operations. @category models @since 0.1.0 */
  RatePolicy
} from "./RatePlan.ts"

/** @category models @since 0.1.0 */
export interface ProviderOptions<Api> {
  readonly api: Api
  /** Base URL of each environment: https, or http on loopback. */
  readonly environments: { readonly [E in Environment]: string }
  readonly auth: Auth
  /** The API version that this declaration was written against, pinned by a header. Default none. */
  readonly version?: { readonly header: string; readonly value: string } | undefined
  readonly errors?: ErrorTable | undefined
  /** How many requests the provider lets through, per connection: one limit, or policies. Default: only what answers tell. */
  readonly rate?: Rate | undefined
  /** How its answers tell of limits, such as `Dialect.github`. Default `Dialect.standard`: the IETF fields and `X-RateLimit-*`. */
  readonly dialect?: Dialect | undefined
  /** Response header with the provider's id of a request, such as `Request-Id`. Default `x-request-id`. */
  readonly requestIdHeader?: string | undefined
  /** Whether `traceparent` is sent (W3C Trace Context). Default false: trace ids are nobody's business. */
  readonly traceContext?: boolean | undefined
  /** Policy of all operations, over the defaults; an endpoint overrides it with `Operation.policy`. */
  readonly policy?: CallPolicy | undefined
  /** What is secret beside the built-in: names of fields and parameters, and shapes of secrets. */
  readonly redaction?:
    | { readonly fields?: ReadonlyArray<string> | undefined; readonly patterns?: ReadonlyArray<RegExp> | undefined }
    | undefined
  /** A cheap safe operation, `group.endpoint`, that shows the link works: for health, go-live and the first request. Default none. */
  readonly probe?: string | undefined
}

/** @category models @since 0.1.0 */
export interface Provider<Name extends string, Api> extends ProviderOptions<Api> {
  readonly name: Name
}

/** Any provider, its types left out. @category models @since 0.1.0 */
export interface Any extends Provider<string, HttpApi.Constraint> {}

/**
 * Declares a provider. Throws a `RangeError` for a name that is not a lower-case word, since it stands in metrics, for a base URL that is not
 * https, for a rate that no budget can be made of, and for a dialect that tells nothing. @category constructors @since 0.1.0
 */
export const make = <const Name extends string, Api extends HttpApi.Constraint>(
  name: Name,
  options: ProviderOptions<Api>
): Provider<Name, Api> => {
  if (!/^[a-z][a-z0-9-]{0,39}$/u.test(name))
    throw new RangeError(`Provider.make: name must be a lower-case word of at most 40 characters, got "${name}"`)
  for (const [environment, url] of Object.entries(options.environments)) {
    if (!URL.canParse(url) || !isSecure(new URL(url)))
      throw new RangeError(`Provider.make: environments.${environment} of ${name} must be an https URL, got "${url}"`)
  }
  const { dialect, rate } = options
  const api: HttpApi.Constraint = options.api
  const problem =
    (rate && RatePlan.problemOf(rate, Operation.matchedOf(api as HttpApi.Top))) ??
    (dialect && Dialects.problemOf(dialect))
  if (problem !== undefined) {
    const [field, rule] = problem
    throw new RangeError(`Provider.make: ${field} of ${name} ${rule}`)
  }
  return { ...options, name }
}
