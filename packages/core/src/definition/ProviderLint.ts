/**
 * What is amiss with the policies of a provider at some traffic. `Provider.lint` is this. @internal
 */
import * as Result from "effect/Result"
import type { HttpApi } from "../vocabulary/PlatformApi.ts"
import type { Environment } from "./Auth.ts"
import type { CallPolicy } from "./CallPolicy.ts"
import * as CallPolicies from "./CallPolicy.ts"
import * as Operation from "./Operation.ts"
import type { Finding, Traffic } from "./PolicyLint.ts"
import type { Any } from "./Provider.ts"
import * as RatePlan from "./RatePlan.ts"

/** @category models @since 0.1.0 */
export interface LintOptions extends Omit<Traffic, "ratePerSecond"> {
  /** What a layer is given over the provider's policy. */
  readonly policy?: CallPolicy | undefined
  /** Whose declared rate is meant. Default `"production"`. */
  readonly environment?: Environment | undefined
}

/** The least that any limit lets through that holds for everything. */
const ratePerSecond = (provider: Any, environment: Environment): number | undefined => {
  const rates = RatePlan.resolve(provider.rate, environment)
    .filter(({ match, perPartition }) => match === undefined && !perPartition)
    .flatMap(({ windows }) => windows.map(({ limit, windowMillis }) => (limit * 1000) / windowMillis))
  return rates.length === 0 ? undefined : Math.min(...rates)
}

/** What operations have in common is said once, of the provider. */
const grouped = (provider: string, findings: ReadonlyArray<Finding>, operations: number): ReadonlyArray<Finding> => {
  const byMessage = new Map<string, Array<Finding>>()
  for (const finding of findings) {
    const key = `${finding.rule} ${finding.message}`
    byMessage.set(key, [...(byMessage.get(key) ?? []), finding])
  }
  return [...byMessage.values()].flatMap((same) => {
    const [first] = same
    return first !== undefined && same.length === operations ? [{ ...first, owner: provider }] : same
  })
}

/**
 * What is amiss with the policies of a provider's operations, each with the arithmetic; what all of them have is said once. `callsPerSecond` are those of one connection, all operations together. Throws a
 * `RangeError` for a policy that contradicts itself.
 * **Example** `Provider.lint(Stripe.provider, { callsPerSecond: 20, latency: "300 millis" })`
 * @category inspection @since 0.1.0
 */
export const lint = (provider: Any, options: LintOptions = {}): ReadonlyArray<Finding> => {
  const { environment = "production", policy = {}, ...traffic } = options
  const written = CallPolicies.merge(provider.policy ?? {}, policy)
  const operations = Operation.ofApi(provider.name, provider.api as HttpApi.Top, written)
  if (Result.isFailure(operations)) throw new RangeError(`Provider.lint: ${operations.failure.message}`)
  const known = { ...traffic, ratePerSecond: ratePerSecond(provider, environment) }
  // A hedge that the policy of all operations asks for is meant for those that are safe.
  const isMeant = ({ policy }: Operation.Operation, { rule }: Finding) =>
    rule !== "hedge on a write" || policy.hedge === undefined || written.hedge === undefined
  const findings = [...operations.success.values()].flatMap((operation) =>
    CallPolicies.lint(operation, known).filter((finding) => isMeant(operation, finding))
  )
  return grouped(provider.name, findings, operations.success.size)
}
