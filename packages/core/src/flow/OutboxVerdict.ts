/**
 * What becomes of a command after it was tried: done, again later, or dead. An error says whether trying again is safe; nobody tries again what nobody knows. @internal
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type { Command } from "../store/OutboxStore.ts"
import { StoreError } from "../store/StoreError.ts"
import { FatalError, OutcomeUnknown, RetryableError } from "../vocabulary/ProviderError.ts"
import * as Redaction from "../vocabulary/Redaction.ts"
import type { OutboxSchedule } from "./OutboxSchedule.ts"

/** What an error means for its command. @category models @since 0.1.0 */
export type Disposition = "retry" | "dead" | "unknown" | { readonly retryAfter: Duration.Input }

/** @category models @since 0.1.0 */
export type Verdict =
  | { readonly _tag: "Done" }
  | { readonly _tag: "Again"; readonly afterMillis: number; readonly note: string; readonly sent: Sent }
  | { readonly _tag: "Dead"; readonly note: string; readonly sent: Sent }
  /** Somebody must find out first. */
  | { readonly _tag: "Unknown"; readonly note: string }

type Sent = "no" | "maybe" | "unknown"

/** What the store can be told. @category models @since 0.1.0 */
export type Settled = Exclude<Verdict, { readonly _tag: "Unknown" }>

/** A command at work, and what its worker knows of it. @category models @since 0.1.0 */
export interface Attempt {
  readonly command: Command
  /** Milliseconds since the epoch, by the store's clock. */
  readonly now: number
  /** An earlier attempt may have been carried out. */
  readonly maybeSent: boolean
}

/** @category models @since 0.1.0 */
export interface Rules {
  readonly schedule: OutboxSchedule
  /** Milliseconds for which a provider knows a key. */
  readonly keyWindow: number
  readonly classify: (error: unknown) => Disposition | undefined
}

const redaction = Redaction.make()

const noteOf = (error: unknown): string => {
  if (Predicate.isError(error)) return Redaction.safeCause(error, redaction).message
  if (Predicate.isString(error)) return redaction.text(error)
  return Predicate.hasProperty(error, "_tag") ? String(error._tag) : "failed"
}

const unclassified = (error: unknown): Disposition =>
  error instanceof StoreError && error.isRetryable ? "retry" : "dead"

interface Failed {
  readonly note: string
  readonly atLeastMillis: number
  readonly sent: Sent
  /** Milliseconds since the epoch, by this process's clock, after which it must not be sent again. */
  readonly until?: number | undefined
}

/** Later, unless there is no other attempt, or it would come when the provider has forgotten the key. */
const again = Effect.fnUntraced(function* (
  { command, maybeSent, now }: Attempt,
  { keyWindow, schedule }: Rules,
  failure: unknown,
  { atLeastMillis, note, sent, until = Number.POSITIVE_INFINITY }: Failed
): Effect.fn.Return<Verdict> {
  const pause = yield* schedule.pauseAfter(command.attempts, failure)
  if (pause === undefined) {
    const told = `given up after ${command.attempts} attempts: ${note}`
    return { _tag: "Dead", note: told, sent: maybeSent ? "maybe" : sent }
  }
  // At least 1 ms, so that the next claim is later than this one.
  const afterMillis = Math.max(1, Math.ceil(pause), Math.ceil(atLeastMillis))
  const nothingSent = sent === "no" && !maybeSent
  const since = command.sentAt ?? now
  const isTooLate = now + afterMillis > since + keyWindow || (yield* Clock.currentTimeMillis) + afterMillis > until
  if (!nothingSent && isTooLate)
    return { _tag: "Unknown", note: `the key would be forgotten before the next attempt: ${note}` }
  return { _tag: "Again", afterMillis, note, sent: nothingSent ? "no" : "maybe" }
})

/** The error of a handler, or its defect. @category accessors @since 0.1.0 */
export const errorOf = (cause: Cause.Cause<unknown>): unknown => Cause.squash(cause)

const ofDisposition = (
  attempt: Attempt,
  rules: Rules,
  failure: unknown,
  disposition: Disposition
): Effect.Effect<Verdict> => {
  const note = noteOf(failure)
  if (disposition === "dead") return Effect.succeed({ _tag: "Dead", note, sent: "maybe" })
  if (disposition === "unknown") return Effect.succeed({ _tag: "Unknown", note })
  const atLeastMillis =
    disposition === "retry" ? 0 : Duration.toMillis(Duration.fromInputUnsafe(disposition.retryAfter))
  return again(attempt, rules, failure, { note, atLeastMillis, sent: "maybe" })
}

/** What a failure means. @category accessors @since 0.1.0 */
export const ofCause = (attempt: Attempt, rules: Rules, cause: Cause.Cause<unknown>): Effect.Effect<Verdict> => {
  const found = Cause.findErrorOption(cause)
  if (found._tag === "None")
    return again(attempt, rules, cause, {
      note: `defect: ${noteOf(errorOf(cause))}`,
      atLeastMillis: 0,
      sent: "maybe"
    })
  const error = found.value
  if (error instanceof RetryableError) {
    const { message: note, retryAfter, retryUntil: until, sent } = error
    const atLeastMillis = retryAfter === undefined ? 0 : Duration.toMillis(retryAfter)
    return again(attempt, rules, error, { note, atLeastMillis, sent: sent === "no" ? "no" : "maybe", until })
  }
  // What the provider refused was not done, unless an earlier attempt was, or it did it and said so unreadably.
  if (error instanceof FatalError) {
    const isRefused = !attempt.maybeSent && error.reason._tag !== "ResponseInvalid"
    return Effect.succeed({ _tag: "Dead", note: noteOf(error), sent: isRefused ? "no" : "maybe" })
  }
  if (error instanceof OutcomeUnknown) return ofDisposition(attempt, rules, error, "unknown")
  return ofDisposition(attempt, rules, error, rules.classify(error) ?? unclassified(error))
}

/** The pause after a defect of what is beside the handler. In milliseconds. */
const afterDefect = 60_000

/** Something is wrong with who finds out what became of a command: again after a while, and not before somebody knows. @category accessors @since 0.1.0 */
export const ofDefectInDoubt = (note: string, cause: Cause.Cause<unknown>): Settled => ({
  _tag: "Again",
  afterMillis: afterDefect,
  note: unknownNote(note, errorOf(cause)),
  sent: "unknown"
})

/** Something beside the handler is wrong: again after a while, until it was claimed too often. @category accessors @since 0.1.0 */
export const ofDefect = ({ isUnknown }: Command, cause: Cause.Cause<unknown>): Settled => ({
  _tag: "Again",
  afterMillis: afterDefect,
  note: `defect: ${noteOf(errorOf(cause))}`,
  sent: isUnknown ? "unknown" : "maybe"
})

/** Why a command is not tried, or `undefined`. @category guards @since 0.1.0 */
export const beforeAttempt = (
  { command, maybeSent, now }: Attempt,
  { keyWindow, schedule }: Rules
): Verdict | undefined => {
  if (command.attempts > schedule.maxClaims) {
    const note = `given up: claimed ${command.attempts} times, and no worker came to its end`
    return { _tag: "Dead", note, sent: command.isUnknown ? "unknown" : "maybe" }
  }
  if (command.isUnknown) return { _tag: "Unknown", note: command.note ?? "outcome unknown" }
  if (maybeSent && now > (command.sentAt ?? now) + keyWindow)
    return { _tag: "Unknown", note: "it may have been done, so long ago that its key may be forgotten" }
  return undefined
}

/** What the answer of somebody who found out means; he may not know yet. @category accessors @since 0.1.0 */
export const ofFinding = (attempt: Attempt, rules: Rules, note: string, finding: Finding): Effect.Effect<Settled> => {
  if (finding === "done") return Effect.succeed({ _tag: "Done" })
  if (finding === "not done") return undone(attempt, rules, note)
  if (finding === "dead") return Effect.succeed({ _tag: "Dead", note, sent: "unknown" })
  const atLeastMillis = Duration.toMillis(Duration.fromInputUnsafe(finding.askAfter))
  return askAgain(attempt, rules, { note, atLeastMillis })
}

/** At once the first time, and after a pause in which it was asked; otherwise who always ends in doubt would be tried without a pause. */
const undone = ({ command }: Attempt, { schedule }: Rules, note: string): Effect.Effect<Settled> => {
  const { attempts, isUnknown } = command
  if (attempts === 1 || isUnknown) return Effect.succeed({ _tag: "Again", afterMillis: 1, note, sent: "no" })
  return Effect.map(schedule.pauseAfter(attempts, undefined), (pause): Settled =>
    pause === undefined
      ? { _tag: "Dead", note: `given up after ${attempts} attempts: ${note}`, sent: "no" }
      : { _tag: "Again", afterMillis: Math.max(1, Math.ceil(pause)), note, sent: "no" }
  )
}

/** Nobody could find out yet. @category accessors @since 0.1.0 */
export const askAgain = (
  { command }: Attempt,
  { schedule }: Rules,
  asked: { readonly note: string; readonly atLeastMillis?: number; readonly failure?: unknown }
): Effect.Effect<Settled> => {
  const { atLeastMillis = 0, failure, note } = asked
  return Effect.map(schedule.pauseAfter(command.attempts, failure), (pause): Settled =>
    pause === undefined
      ? { _tag: "Dead", note, sent: "unknown" }
      : // What is asked for replaces the schedule: a lookup is safe at any time.
        {
          _tag: "Again",
          afterMillis: Math.max(1, Math.ceil(atLeastMillis > 0 ? atLeastMillis : pause)),
          note,
          sent: "unknown"
        }
  )
}

/**
 * What became of a command whose outcome was unknown. `done`; `not done`: it is tried again as if it never had been, the first time at once, then on the schedule; `dead`: an operator must find out; or it is to be
 * asked again after a while. @category models @since 0.1.0
 */
export type Finding = "done" | "not done" | "dead" | { readonly askAfter: Duration.Input }

/** The note of what cannot be found out, or was not. @category accessors @since 0.1.0 */
export const unknownNote = (note: string, why?: unknown): string => {
  const told = note.startsWith("outcome unknown") ? note : `outcome unknown: ${note}`
  return why === undefined ? told : `${told.split("; to find out failed")[0]}; to find out failed: ${noteOf(why)}`
}
