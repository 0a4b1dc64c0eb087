/**
 * What `Config` said of a layer, read by `PolicyVariables`, which gives this out as its own. A layer that asks no `Config` loads none. @internal
 */
import type { CallPolicy } from "./CallPolicy.ts"
import { CallPolicyError } from "./CallPolicy.ts"

/** What `Config` says of a layer: it may change while the layer runs. @category models @since 0.1.0 */
export interface Configured {
  readonly policy: CallPolicy
  /** The variable that gave each field. */
  readonly variables: ReadonlyMap<string, string>
  /** `<PROVIDER>_STOPPED`: no call is made. */
  readonly stopped: boolean
  /** `<PROVIDER>_DRY_RUN`: the writes that are not sent, as `group.endpoint` or `group.*`; `*` is all of them. */
  readonly dryRun: ReadonlyArray<string>
}

/** Where nothing comes from `Config`. @category constants @since 0.1.0 */
export const none: Configured = { policy: {}, variables: new Map(), stopped: false, dryRun: [] }

/** The error, with the variable in place of the field where that is where its value comes from. @category errors @since 0.1.0 */
export const blamed = (error: CallPolicyError, configured: Configured): CallPolicyError => {
  const variable = configured.variables.get(error.field)
  return variable === undefined
    ? error
    : new CallPolicyError({ owner: error.owner, field: error.field, rule: error.rule, variable })
}

/** How a dry run is told. @category formatting @since 0.1.0 */
export const dryRunText = (dryRun: ReadonlyArray<string>): string => {
  if (dryRun.length === 0) return "off"
  return dryRun.includes("*") ? "all writes" : dryRun.join(", ")
}
