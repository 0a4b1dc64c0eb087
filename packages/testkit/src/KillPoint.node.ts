/**
 * Real processes that kill themselves by `SIGKILL` at the points that a simulated run has passed, for stores that are no part of a simulation because they are sockets or
 * files of others. The script provides `layer`, and the test runs it once per moment. Needs Node, and an operating system with signals. @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { Case } from "./Case.ts"
import { PointListener } from "./Process.ts"
import * as Judge from "./search/Judge.ts"

/** When a process is killed: at the point of this name, after it was passed so often. @category schemas @since 0.1.0 */
export const Moment = Schema.Struct({ point: Schema.String, occurrence: Schema.Int })

/** @category models @since 0.1.0 */
export type Moment = typeof Moment.Type

/** The environment variable that says when. @category constants @since 0.1.0 */
export const variable = "BREAKWATER_KILL_AT"

/** @category models @since 0.1.0 */
export interface Options {
  /** What Node runs. */
  readonly script: string | URL
  readonly args?: ReadonlyArray<string> | undefined
  /** Its environment: nothing is inherited. Default empty. */
  readonly env?: Readonly<Record<string, string>> | undefined
  /** How long one start may last. Default `"1 minute"`. */
  readonly timeout?: Duration.Input | undefined
}

/** The values used when an option is left out. @category constants @since 0.1.0 */
export const defaults = { timeout: "1 minute" } as const satisfies Partial<Options>

/** How one start of the script ended. @category models @since 0.1.0 */
export interface Ended {
  /** `undefined` if it was killed. */
  readonly code: number | undefined
  readonly signal: string | undefined
  /** What it wrote, to both outputs. At most the last 64 KiB. */
  readonly output: string
}

/** A process that was not killed where it should have been, or did not come through when it was started again. @category errors @since 0.1.0 */
export class KillPointFailed extends Schema.TaggedError<KillPointFailed>(
  "@breakwater/testkit/KillPoint.node/KillPointFailed"
)("KillPointFailed", {
  moment: Moment,
  why: Schema.String,
  output: Schema.String
}) {
  override get message(): string {
    const { occurrence, point } = this.moment
    return `${point}#${occurrence}: ${this.why}`
  }
}

const textOf = ({ occurrence, point }: Moment): string => `${point}#${occurrence}`

/**
 * The moments of a process at which a real one can be killed: each `Process.point` that it passes in the undisturbed run of a case, in order. Throws a `RangeError` if that run
 * fails, or passes none. @category accessors @since 0.1.0
 */
export const moments = <W, A, E>(of: Case<W, A, E>, process: string): ReadonlyArray<Moment> => {
  const answers = { _tag: "Planned", decisions: [] } as const
  const request = { answers, seed: 0, input: undefined, preemption: "none", points: true } as const
  const { problem, report } = Effect.runSync(Judge.judge(of, request))
  if (problem !== undefined) throw new RangeError(`KillPoint.moments: the undisturbed run fails: ${problem.message}`)
  const start = `kill ${process} at `
  const found = report.points.filter(({ label }) => label.text.startsWith(start))
  if (found.length === 0) throw new RangeError(`KillPoint.moments: process "${process}" passes no Process.point`)
  return found.map(({ label, occurrence }) => ({ point: label.text.slice(start.length), occurrence }))
}

const listener = (moment: string): ((point: string) => void) => {
  const passed = new Map<string, number>()
  return (point) => {
    const occurrence = passed.get(point) ?? 0
    passed.set(point, occurrence + 1)
    if (textOf({ point, occurrence }) === moment) process.kill(process.pid, "SIGKILL")
  }
}

/** For the script: kills the process at the moment that the environment names, if it names one. @category layers @since 0.1.0 */
export const layer: Layer.Layer<never, Config.ConfigError> = Layer.effect(
  PointListener,
  Effect.map(Config.option(Config.String(variable)), (moment) =>
    Option.isNone(moment) ? undefined : listener(moment.value)
  )
)

const maxOutput = 64 * 1024

const start = (options: Options, env: Readonly<Record<string, string>>): Effect.Effect<Ended> =>
  Effect.callback((resume) => {
    const { args = [], script } = options
    const path = script instanceof URL ? fileURLToPath(script) : script
    const child = spawn(process.execPath, [path, ...args], {
      env: { ...options.env, ...env },
      stdio: ["ignore", "pipe", "pipe"]
    })
    let output = ""
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        output = `${output}${text}`.slice(-maxOutput)
      })
    }
    child.on("error", (error) => resume(Effect.die(error)))
    child.on("close", (code, signal) =>
      resume(Effect.succeed({ code: code ?? undefined, signal: signal ?? undefined, output }))
    )
    return Effect.sync(() => void child.kill("SIGKILL"))
  })

const shown = ({ code, signal }: Ended): string => (signal === undefined ? `exited with ${code}` : `died of ${signal}`)

/**
 * Starts the script, which kills itself at the moment, and starts it again, when it must exit with 0. Gives back both ends, so that what must hold can be judged by what
 * really happened. Fails with `KillPointFailed` if it does not die there, does not come through afterwards, or takes too long. @category running @since 0.1.0
 */
export const run = Effect.fnUntraced(function* (moment: Moment, options: Options) {
  const failed = (why: string, output: string) => new KillPointFailed({ moment, why, output })
  const limit = Duration.fromInputUnsafe(options.timeout ?? defaults.timeout)
  const within = (env: Readonly<Record<string, string>>) =>
    Effect.timeoutOrElse(start(options, env), {
      duration: limit,
      orElse: () => Effect.fail(failed(`it did not end within ${Duration.format(limit)}`, ""))
    })
  const killed = yield* within({ [variable]: textOf(moment) })
  if (killed.signal !== "SIGKILL") {
    return yield* failed(`it did not die there, but ${shown(killed)}`, killed.output)
  }
  const ended = yield* within({})
  if (ended.code !== 0) return yield* failed(`started again, it ${shown(ended)}`, ended.output)
  return { killed, ended }
})
