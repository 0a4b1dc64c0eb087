/**
 * Policies changed while they run: by an operator, or read again from `Config`. A change is whole or not at all: each policy is checked first, and one that contradicts itself leaves everything as it is. Calls under way
 * keep the policy that they began with; what circuits, budgets and limits have counted stays (ADR 0006). @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Result from "effect/Result"
import type { CallPolicy, CallPolicyError } from "../definition/CallPolicy.ts"
import type { FieldChange } from "../definition/PolicyFields.ts"
import type { PolicyControl, PolicySources, PreparedPolicy } from "../store/Connections.ts"
import { Connections } from "../store/Connections.ts"
import type { PolicyReload } from "../vocabulary/Telemetry.ts"
import { attribute, field } from "../vocabulary/Telemetry.ts"
import * as Telemetry from "../vocabulary/Telemetry.ts"

/** Whose policy is meant: that of a provider's open connections, or of one. @category models @since 0.1.0 */
export interface Target {
  readonly provider: string
  /** Default: all of them, and the circuit of their origin. */
  readonly connection?: string | undefined
}

/** What changed of one connection. @category models @since 0.1.0 */
export interface PolicyChange {
  readonly provider: string
  /** `undefined` for a plain client, whose connections share a policy. */
  readonly connection: string | undefined
  /** Empty where all fields hold what they held. */
  readonly changes: ReadonlyArray<FieldChange>
}

interface Intended {
  readonly control: PolicyControl
  readonly sources: PolicySources
}

const isMeant = (target: Partial<Target>, { connection, provider }: PolicyControl): boolean =>
  (target.provider === undefined || target.provider === provider) &&
  (target.connection === undefined || target.connection === connection)

const controlsOf = (target: Partial<Target>) =>
  Effect.map(Connections, (open) => [...open].map(({ policy }) => policy).filter((each) => isMeant(target, each)))

const count = (provider: string, outcome: PolicyReload) =>
  Metric.update(
    Telemetry.bind(Telemetry.policyReloads, { [attribute.provider]: provider, [attribute.outcome]: outcome }),
    1
  )

const tell = Effect.fnUntraced(function* (
  { connection, provider }: PolicyControl,
  changes: ReadonlyArray<FieldChange>,
  by: string
) {
  yield* count(provider, changes.length === 0 ? "unchanged" : "changed")
  if (changes.length === 0) return
  const whose = connection === undefined ? provider : `${provider}, connection ${connection},`
  const words = changes.map(({ field, from, to }) => `${field} ${from} → ${to}`).join(", ")
  yield* Effect.annotateLogs(Effect.logInfo(`policy of ${whose} changed by ${by}: ${words}`), {
    [field.provider]: provider,
    ...(connection === undefined ? {} : { [field.connection]: connection }),
    [field.event]: "policy changed"
  })
})

/** Checks everything, and takes it on in the same instant, so that nobody sees a part of it. */
const takeAll = (intended: ReadonlyArray<Intended>, now: number) =>
  Effect.suspend((): Effect.Effect<ReadonlyArray<PreparedPolicy>, readonly [PolicyControl, CallPolicyError]> => {
    const prepared: Array<PreparedPolicy> = []
    for (const { control, sources } of intended) {
      const result = control.prepare(sources)
      if (Result.isFailure(result)) return Effect.fail([control, result.failure])
      prepared.push(result.success)
    }
    for (const { take } of prepared) take(now)
    return Effect.succeed(prepared)
  })

const change = Effect.fnUntraced(function* (intended: ReadonlyArray<Intended>, by: string) {
  const now = yield* Clock.currentTimeMillis
  const prepared = yield* Effect.catch(takeAll(intended, now), ([{ provider }, error]) =>
    Effect.andThen(count(provider, "rejected"), Effect.fail(error))
  )
  const changed: Array<PolicyChange> = []
  for (const [index, { control }] of intended.entries()) {
    const changes = prepared[index]?.changes ?? []
    yield* tell(control, changes, by)
    changed.push({ provider: control.provider, connection: control.connection, changes })
  }
  return changed
})

/**
 * Lays a policy over the one that the layer was built with and over what `Config` says, in place of what was set before; operations that declare a policy of their own go before it. `policy: {}` takes it
 * back. It holds for what is open now, and ends with it. Says in a line what changed and by whom. Fails with `CallPolicyError`, and changes nothing, when a policy would contradict itself.
 * **Example** `Policies.set({ provider: "stripe", policy: { deadline: "10 seconds" }, by: "ana, incident 42" })`
 * @category operations @since 0.1.0
 */
export const set = Effect.fnUntraced(function* (
  options: Target & { readonly policy: CallPolicy; readonly by: string }
): Effect.fn.Return<ReadonlyArray<PolicyChange>, CallPolicyError> {
  const sources = { operator: options.policy, wholeProvider: options.connection === undefined }
  const controls = yield* controlsOf(options)
  return yield* change(
    controls.map((control) => ({ control, sources })),
    options.by
  )
})

/**
 * Reads the policies of layers that came from `Config` again, from the same `ConfigProvider`: of all of them, or of the target's. Fails with `ConfigError` for a value that cannot be read and with
 * `CallPolicyError` for one that breaks a rule, both naming the variable; then nothing has changed. What `set` has laid over it stays.
 * **Example** `Policies.reload({ provider: "stripe" })`
 * @category operations @since 0.1.0
 */
export const reload = Effect.fnUntraced(function* (
  target: Partial<Target> = {}
): Effect.fn.Return<ReadonlyArray<PolicyChange>, CallPolicyError | Config.ConfigError> {
  const intended: Array<Intended> = []
  for (const control of yield* controlsOf(target)) {
    const { provider, reread } = control
    if (reread === undefined) continue
    const configured = yield* Effect.tapError(reread, () => count(provider, "rejected"))
    intended.push({ control, sources: { configured, wholeProvider: target.connection === undefined } })
  }
  return yield* change(intended, "Config")
})
