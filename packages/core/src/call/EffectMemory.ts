/**
 * What is kept of a protected effect's outcome: its value, and those of its failures that its owner calls final, as the JSON of their schemas. @internal
 */
// An effect fails with whatever its owner says.
// @effect-diagnostics anyUnknownInErrorContext:off
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { windowMargin } from "../vocabulary/MethodSafety.ts"
import type { OutcomeMemory } from "./RunningCall.ts"

/** How the outcome of a protected effect is kept in its record. @category models @since 0.1.0 */
export interface RecordOptions<A, E> {
  /** Writes the value as JSON, and reads it again for whoever makes the call a second time. A value that it cannot write is given to its caller, and not kept. */
  readonly success: Schema.Codec<A, unknown>
  /**
   * The failures that are the other side's last word: kept, and replayed. Any other failure leaves open whether it was done. Default: every failure does.
   */
  readonly error?: Schema.Codec<E, unknown> | undefined
  /** What is asked for, in any words: the same key with other words is refused. Default: only the operation is compared. */
  readonly fingerprint?: string | undefined
  /** How long the other side remembers a key, more than one hour: nothing is sent with it in the last one. For `keyed` alone. Default `"24 hours"`. */
  readonly window?: Duration.Input | undefined
}

const defaultWindow = Duration.hours(24)

type Any = Schema.Codec<unknown, unknown>

/** Writes and reads the values of one schema. */
interface Format {
  readonly write: (value: unknown) => Exit.Exit<unknown, unknown>
  readonly read: (json: unknown) => Exit.Exit<unknown, unknown>
  readonly is: (value: unknown) => boolean
}

const formatOf = (schema: Any): Format => {
  const codec = Schema.toCodecJson(schema)
  return { write: Schema.encodeUnknownExit(codec), read: Schema.decodeUnknownExit(codec), is: Schema.is(schema) }
}

/** Schemas do not change, and an effect is protected anew for each call. */
const formats = new WeakMap<Any, Format>()

const known = (schema: Any): Format => {
  const format = formats.get(schema) ?? formatOf(schema)
  formats.set(schema, format)
  return format
}

/** The value as JSON, or `undefined` where its schema cannot write it. */
const written = (format: Format, value: unknown): unknown => {
  const exit = format.write(value)
  return Exit.isSuccess(exit) ? (exit.value ?? null) : undefined
}

const nothing: Any = Schema.Never

const failed = (exit: Exit.Exit<unknown, unknown>): Option.Option<unknown> =>
  Exit.isSuccess(exit) ? Option.none() : Cause.findErrorOption(exit.cause)

const windowOf = (window: Duration.Input): number => {
  if (Duration.isGreaterThan(Duration.fromInputUnsafe(window), windowMargin)) return Duration.toMillis(window)
  throw new RangeError(`Call.protect: record.window must be longer than ${Duration.format(windowMargin)}`)
}

/** Throws a `RangeError` for a window in which no key could be sent. @category constructors @since 0.1.0 */
export const make = <A, E>(options: RecordOptions<A, E>): OutcomeMemory => {
  const ofSuccess = known(options.success)
  const ofError = known(options.error ?? nothing)
  const keep: OutcomeMemory["keep"] = (_, exit) => {
    if (Exit.isSuccess(exit)) {
      const value = written(ofSuccess, exit.value)
      return value === undefined ? undefined : { value }
    }
    const found = failed(exit)
    const kept = Option.isSome(found) ? written(ofError, found.value) : undefined
    return kept === undefined ? undefined : { error: kept }
  }
  const recall: OutcomeMemory["recall"] = (_, kept) => {
    const isValue = Predicate.hasProperty(kept, "value")
    if (!isValue && !Predicate.hasProperty(kept, "error")) return undefined
    const exit = isValue ? ofSuccess.read(kept.value) : ofError.read((kept as { readonly error: unknown }).error)
    if (Exit.isFailure(exit)) return undefined
    return isValue ? Effect.succeed(exit.value) : Effect.fail(exit.value)
  }
  return {
    keep,
    recall,
    isFinal: ofError.is,
    windowMillis: windowOf(options.window ?? defaultWindow),
    fingerprint: options.fingerprint
  }
}
