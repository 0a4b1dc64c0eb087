/** One attempt at a command: what is checked before it, the handler, and who finds out what became of it. @internal */
// A handler fails with whatever it likes.
// @effect-diagnostics anyUnknownInErrorContext:off
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { Command } from "../store/OutboxStore.ts"
import { attribute } from "../vocabulary/Telemetry.ts"
import type { OutboxPayload } from "./OutboxPayload.ts"
import type { Attempt, Finding, Rules, Settled, Verdict } from "./OutboxVerdict.ts"
import * as Verdicts from "./OutboxVerdict.ts"

/** What a handler is told beside the payload. @category models @since 0.1.0 */
export interface Occasion {
  /** Names the command, and is the idempotency key to send it with. */
  readonly key: string
  readonly orderingKey: string | undefined
  /** From 1; attempts whose worker died count. */
  readonly attempt: number
  /**
   * An earlier attempt may have been carried out: its worker died, or its answer was lost. With a provider that knows the key, send it again; with another one, look whether it is there
   * first.
   */
  readonly maybeSent: boolean
  /** When it was added, in milliseconds since the epoch by the store's clock. */
  readonly addedAt: number
}

/** @category models @since 0.1.0 */
export interface Handlers<A, R> {
  readonly queue: string
  readonly payload: OutboxPayload<A>
  readonly rules: Rules
  readonly handle: (payload: A, occasion: Occasion) => Effect.Effect<unknown, unknown, R>
  readonly onUnknown: ((payload: A, occasion: Occasion) => Effect.Effect<Finding, unknown, R>) | undefined
}

const occasionOf = ({ command, maybeSent }: Attempt): Occasion => {
  const { addedAt, attempts, key, orderingKey } = command
  return { key, orderingKey, attempt: attempts, maybeSent, addedAt }
}

/** Whether anybody would see a span. */
const traced = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  queue: string,
  { attempts }: Command
): Effect.Effect<A, E, R> =>
  Effect.withFiber<A, E, R>(({ cache }) =>
    cache.tracerEnabled && (cache.tracer !== undefined || cache.span !== undefined)
      ? (Effect.withSpan(effect, `outbox ${queue}`, {
          kind: "consumer",
          root: true,
          attributes: { [attribute.queue]: queue, [attribute.attempt]: attempts }
        }) as Effect.Effect<A, E, R>)
      : effect
  )

/** Tries a command. @category constructors @since 0.1.0 */
export const make =
  <A, R>({ handle, onUnknown, payload, queue, rules }: Handlers<A, R>) =>
  (attempt: Attempt): Effect.Effect<Settled, never, Exclude<R, Scope.Scope>> => {
    const { command } = attempt
    const occasion = occasionOf(attempt)

    const findOut = Effect.fnUntraced(function* (value: A, told: string) {
      const note = Verdicts.unknownNote(told)
      const dead: Settled = { _tag: "Dead", note, sent: "unknown" }
      if (onUnknown === undefined) return dead
      const exit = yield* Effect.exit(Effect.scoped(Effect.suspend(() => onUnknown(value, occasion))))
      if (Exit.isSuccess(exit)) return yield* Verdicts.ofFinding(attempt, rules, note, exit.value)
      const failure = Verdicts.errorOf(exit.cause)
      return yield* Verdicts.askAgain(attempt, rules, { note: Verdicts.unknownNote(told, failure), failure })
    })
    // Whatever goes wrong from here on, nobody knows: it must not be tried.
    const settled = (value: A, verdict: Verdict) =>
      verdict._tag === "Unknown"
        ? Effect.catchCause(findOut(value, verdict.note), (cause) =>
            Effect.succeed(Verdicts.ofDefectInDoubt(verdict.note, cause))
          )
        : Effect.succeed<Settled>(verdict)

    const trying = Effect.gen(function* () {
      const decoded = yield* Effect.result(payload.decode(command.payload))
      if (decoded._tag === "Failure") {
        const sent = command.isUnknown ? "unknown" : attempt.maybeSent ? "maybe" : "no"
        return { _tag: "Dead", note: decoded.failure, sent } satisfies Settled
      }
      const value = decoded.success
      const before = Verdicts.beforeAttempt(attempt, rules)
      if (before !== undefined) return yield* settled(value, before)
      const exit = yield* Effect.exit(Effect.scoped(Effect.suspend(() => handle(value, occasion))))
      if (Exit.isSuccess(exit)) return { _tag: "Done" } satisfies Settled
      return yield* settled(value, yield* Verdicts.ofCause(attempt, rules, exit.cause))
    })
    // Nothing that is wrong with one command may end the worker of all: such as a `classify` that throws.
    const sound = Effect.catchCause(trying, (cause) => Effect.succeed(Verdicts.ofDefect(command, cause)))
    return traced(sound, queue, command)
  }
