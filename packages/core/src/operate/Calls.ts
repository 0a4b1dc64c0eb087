/**
 * The kill switch: stops the calls to a provider, a connection or an operation, all of them or only writes, until somebody lets them go on. What is stopped is refused as `Stopped` before anything is spent on
 * it; attempts on the wire go on. `Health.snapshot` shows it, and each switch is a line at level Warning that says who did it. @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { Connections } from "../store/Connections.ts"
import type { StopTarget } from "../store/Stops.ts"
import { Stops } from "../store/Stops.ts"
import { field } from "../vocabulary/Telemetry.ts"

/** What is meant: everything that is given must fit. @category models @since 0.1.0 */
export interface Target extends StopTarget {}

/** Whose decision it is, such as `ana, incident 42`: it stands in the log, in `Health` and in the errors of callers. @category models @since 0.1.0 */
export interface By {
  readonly by: string
}

const nameOf = ({ connection, operation, provider }: Target): string =>
  `${provider}${operation === undefined ? "" : `.${operation}`}${connection === undefined ? "" : ` over connection ${connection}`}`

/** How many open connections are meant. */
const counted = (target: Target): Effect.Effect<number> =>
  Effect.map(
    Connections,
    (open) =>
      [...open]
        .flatMap((observed) => observed.circuits())
        .filter(
          ({ connection, level, provider }) =>
            level === "connection" &&
            provider === target.provider &&
            (target.connection === undefined || connection === target.connection)
        ).length
  )

const say = (target: Target, text: string, event: string): Effect.Effect<void> =>
  Effect.annotateLogs(Effect.logWarning(text), {
    [field.provider]: target.provider,
    ...(target.connection === undefined ? {} : { [field.connection]: target.connection }),
    ...(target.operation === undefined ? {} : { [field.operation]: `${target.provider}.${target.operation}` }),
    [field.event]: event
  })

/**
 * Refuses every call that fits, or with `writes` every call of an operation that is not safe, until `resume`: also calls that wait, between two attempts or for a slot, and connections that are opened later. Returns
 * how many connections are open now for which it holds. **Example** `Calls.stop({ provider: "stripe", writes: true, by: "ana, incident 42" })`
 * @category operations @since 0.1.0
 */
export const stop = Effect.fnUntraced(function* (
  options: Target & By & { readonly writes?: boolean | undefined }
): Effect.fn.Return<number> {
  const { by, connection, operation, provider, writes = false } = options
  const stops = yield* Stops
  const at = yield* Clock.currentTimeMillis
  stops.stop({ provider, connection, operation, writes, by, at, from: "operator" })
  const open = yield* counted(options)
  const what = `${writes ? "writes" : "calls"} to ${nameOf(options)}`
  yield* say(options, `${what} stopped by ${by}: ${open} open connections`, "calls stopped")
  return open
})

/**
 * Lets go on what was stopped: every stop of an operator that lies within the target, so that a provider alone lifts those of its connections and operations too. What `Config` stops (`<PROVIDER>_STOPPED`) goes on when it
 * says so and is reloaded. Returns how many stops were lifted. **Example** `Calls.resume({ provider: "stripe", by: "ana" })`
 * @category operations @since 0.1.0
 */
export const resume = Effect.fnUntraced(function* (options: Target & By): Effect.fn.Return<number> {
  const stops = yield* Stops
  const lifted = stops.resume(options, "operator")
  for (const each of lifted) {
    const what = `${each.writes ? "writes" : "calls"} to ${nameOf(each)}`
    yield* say(each, `${what} go on, by ${options.by}: they were stopped by ${each.by}`, "calls resumed")
  }
  return lifted.length
})
