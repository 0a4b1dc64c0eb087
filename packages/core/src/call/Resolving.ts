/**
 * Does what is declared of a write about its outcome: puts the key where it is found by, looks a write up that nobody knows the outcome of, and asks for what is there already. Only methods of operations that declare
 * something of the kind pass here. @internal
 */
// A method fails with whatever its declaration says; this file looks at our own errors only.
// @effect-diagnostics anyUnknownInErrorContext:off
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Predicate from "effect/Predicate"
import { Mode } from "../definition/AnswerRules.ts"
import type { Operation } from "../definition/Operation.ts"
import type { Asked, Plan } from "../definition/Resolution.ts"
import { answerOf, undecided } from "../definition/Resolution.ts"
import { CurrentDeadline } from "../policy/Deadline.ts"
import { CurrentKey, CurrentName } from "../policy/Idempotency.ts"
import type { RecordId } from "../store/IdempotencyRecord.ts"
import { scopeOf } from "../store/IdempotencyRecord.ts"
import { IdempotencyStore } from "../store/IdempotencyStore.ts"
import type { Resolvable, Verdict } from "../store/Resolvable.ts"
import type { StaleClaim } from "../store/StoreError.ts"
import { StoreError } from "../store/StoreError.ts"
import type { HttpApi } from "../vocabulary/PlatformApi.ts"
import type { ProviderError } from "../vocabulary/ProviderError.ts"
import { OutcomeUnknown, isProviderError } from "../vocabulary/ProviderError.ts"
import * as Safety from "../vocabulary/Safety.ts"
import type { Resolved } from "../vocabulary/Telemetry.ts"
import { attribute, field } from "../vocabulary/Telemetry.ts"
import * as Telemetry from "../vocabulary/Telemetry.ts"
import type { Connection } from "./Connection.ts"
import * as ResponseDecoding from "./ResponseDecoding.ts"
import * as KeptOutcomes from "./KeptOutcome.ts"
import * as StoredAnswer from "./StoredAnswer.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** A method of a client, its types left out. @category models @since 0.1.0 */
export type LooseMethod = (request: unknown) => Effect.Effect<unknown, unknown>

/** When the calls inside look: before they create, or after they ended in doubt. @category references @since 0.1.0 */
export const Looking = Context.Reference<"first" | "in doubt" | undefined>("@breakwater/core/Resolving/Looking", {
  defaultValue: () => undefined
})

interface Parts {
  readonly connection: Connection
  readonly operation: Operation
  readonly plan: Plan
  readonly api: HttpApi.Top
  readonly method: LooseMethod
  /** The method of another operation, `group.endpoint`. */
  readonly methodOf: (path: string) => LooseMethod
}

/** What is asked here is what is so now, and not what was kept: a write that is not there yet would be taken for one that is not made. */
const ofNow = <A, E>(asked: Effect.Effect<A, E>): Effect.Effect<A, E> => Effect.provideService(asked, Mode, "bypass")

const isNotFound = (error: unknown): boolean =>
  isProviderError(error) && error._tag === "FatalError" && error.reason._tag === "NotFound"

const stays = (why: "early" | "undecided" | "asks"): Verdict => ({ _tag: "Stays", why })
const undone: Verdict = { _tag: "Undone" }

const verdictWith =
  ({ methodOf, plan }: Parts): Resolvable["verdict"] =>
  (asked, settled) =>
    Effect.suspend((): Effect.Effect<Verdict, ProviderError> => {
      const { target, way } = plan
      if (way === undefined || way._tag === "Ask" || target === undefined) return Effect.succeed(stays("asks"))
      if (way._tag === "Compensate" && !settled) return Effect.succeed(stays("early"))
      const answer = ofNow(methodOf(target)(way.request(asked))) as Effect.Effect<unknown, ProviderError>
      if (way._tag === "Compensate")
        return Effect.catchIf(Effect.as(answer, undone), isNotFound, () => Effect.succeed(undone))
      const absent = settled ? undone : stays("early")
      const looked = Effect.map(answer, (found): Verdict => {
        const value = way.match(found, asked)
        if (value === undecided) return stays("undecided")
        return value === undefined ? absent : { _tag: "Done", value }
      })
      return Effect.catchIf(looked, isNotFound, () => Effect.succeed(absent))
    })

const dayMillis = Duration.toMillis(Duration.days(1))

const resolvableOf = (parts: Parts): Resolvable => {
  const { api, connection, operation, plan } = parts
  const { environment, id, provider } = connection.options
  const keptMillis = operation.keys === undefined ? 0 : Duration.toMillis(operation.keys.window)
  const { way } = plan
  return {
    provider,
    operation: operation.name,
    connection: id,
    environment,
    way: way?._tag ?? "Ask",
    settlesAfterMillis: way === undefined || way._tag === "Ask" ? 0 : way.settlesAfterMillis,
    retentionMillis: Math.max(dayMillis, keptMillis),
    windowMillis: Math.max(0, keptMillis - Duration.toMillis(Safety.windowMargin)),
    verdict: verdictWith(parts),
    encode: (value) => StoredAnswer.encode(api, operation.path, value)
  }
}

/** Says in the record what was found out, unless it has moved on. @category combinators @since 0.1.0 */
export const settle = Effect.fnUntraced(function* (
  store: IdempotencyStore["Service"],
  record: RecordId & { readonly fence: number },
  { encode, retentionMillis }: Pick<Resolvable, "encode" | "retentionMillis">,
  verdict: Exclude<Verdict, { readonly _tag: "Stays" }>
): Effect.fn.Return<void, StoreError | StaleClaim> {
  if (verdict._tag === "Undone") return yield* store.resolve(record, { _tag: "Undone", retentionMillis })
  const at = yield* Clock.currentTimeMillis
  const payload = KeptOutcomes.payloadOf(yield* encode(verdict.value), at)
  const succeeded = { _tag: "Succeeded", retentionMillis } as const
  const isTooLarge = (error: StoreError | StaleClaim) => error instanceof StoreError && error.problem === "invalid"
  yield* Effect.catchIf(store.resolve(record, { ...succeeded, payload }), isTooLarge, () =>
    store.resolve(record, { ...succeeded, payload: KeptOutcomes.payloadOf(undefined, at) })
  )
})

/** Counts what looking into a write came to. @category metrics @since 0.1.0 */
export const count = (fiber: AnyFiber, { environment, operation, provider }: Resolvable, outcome: Resolved): void =>
  Telemetry.bind(Telemetry.resolutions, {
    ...(environment === undefined ? {} : { [attribute.environment]: environment }),
    [attribute.provider]: provider,
    [attribute.operation]: operation,
    [attribute.outcome]: outcome
  }).updateUnsafe(1, fiber.context)

/** The fields of a line about a write in doubt. @category logging @since 0.1.0 */
export const fieldsOf = (of: Pick<Resolvable, "provider" | "operation" | "connection">, event: string) => ({
  [field.provider]: of.provider,
  [field.operation]: of.operation,
  [field.connection]: of.connection,
  [field.event]: event
})

/** Says that looking failed, so that the write stays in doubt. @category logging @since 0.1.0 */
export const sayFailed = (of: Resolvable, why: string): Effect.Effect<void> =>
  Effect.annotateLogs(
    Effect.logWarning(`${of.operation}: the outcome stays unknown, since finding out failed: ${why}`),
    fieldsOf(of, "resolution failed")
  )

/** What is known of a write in doubt while its call is still there. */
interface Doubt {
  readonly asked: Asked
  readonly record: (RecordId & { readonly fence: number }) | undefined
  readonly store: IdempotencyStore["Service"] | undefined
}

const doubtOf = Effect.fnUntraced(function* (
  of: Resolvable,
  records: IdempotencyStore["Service"] | undefined,
  fiber: AnyFiber,
  key: string,
  error: OutcomeUnknown
) {
  const now = yield* Clock.currentTimeMillis
  const store = Context.getOrUndefined(fiber.context, IdempotencyStore) ?? records
  // Without the record the write is looked up all the same; what is found out is then told to the caller alone.
  const row =
    store === undefined
      ? undefined
      : yield* Effect.orElseSucceed(store.get({ scope: scopeOf(of), key }), () => undefined)
  const record = row?.state === "Unknown" ? row : undefined
  const asked: Asked = {
    key,
    firstSentAt: record?.firstSentAt ?? error.firstSentAt,
    lastSentAt: record?.changedAt ?? now
  }
  return { asked, store, record } satisfies Doubt
})

const told = Effect.fnUntraced(function* (of: Resolvable, fiber: AnyFiber, { record, store }: Doubt, verdict: Verdict) {
  count(fiber, of, outcomes[verdict._tag])
  if (verdict._tag === "Stays" || store === undefined || record === undefined) return
  // Whoever has settled it meanwhile knew as much; a store that is down is asked by the next who looks.
  yield* Effect.ignore(settle(store, record, of, verdict))
})

const outcomes = { Done: "done", Undone: "undone", Stays: "stays" } as const

/** Looks now, and once more when absence counts, if that comes before the deadline. */
const lookedUp = Effect.fnUntraced(function* (
  of: Resolvable,
  doubt: Doubt,
  until: number
): Effect.fn.Return<Verdict, ProviderError> {
  const settlesAt = doubt.asked.lastSentAt + of.settlesAfterMillis
  const look = Effect.flatMap(Clock.currentTimeMillis, (now) => of.verdict(doubt.asked, now >= settlesAt))
  const first = yield* Effect.result(look)
  if (first._tag === "Success" && first.success._tag !== "Stays") return first.success
  const now = yield* Clock.currentTimeMillis
  if (now >= settlesAt || settlesAt >= until) return yield* Effect.fromResult(first)
  yield* Effect.sleep(Duration.millis(settlesAt - now))
  return yield* look
})

/** Why finding out failed, without anything secret. @category logging @since 0.1.0 */
export const whyOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.findErrorOption(cause)
  if (error._tag === "None") return "its request or its match has thrown"
  if (isProviderError(error.value)) return error.value.message
  if (error.value instanceof StoreError) return "the store could not be asked"
  const name = Predicate.hasProperty(error.value, "_tag") ? error.value._tag : undefined
  return `the look-up failed with ${Predicate.isString(name) ? name : "an error that it declares"}`
}

/** The value of a write that ended in doubt and was made; else the doubt again. */
const inDoubt = Effect.fnUntraced(function* (
  { connection }: Parts,
  of: Resolvable,
  fiber: AnyFiber,
  { key, until }: { readonly key: string; readonly until: number },
  error: OutcomeUnknown
) {
  const doubt = yield* doubtOf(of, connection.options.records, fiber, key, error)
  const looked = yield* Effect.exit(Effect.provideService(lookedUp(of, doubt, until), CurrentDeadline, until))
  if (looked._tag === "Failure") {
    if (Cause.hasInterrupts(looked.cause)) return yield* looked
    count(fiber, of, "unanswered")
    yield* sayFailed(of, whyOf(looked.cause))
    return yield* Effect.fail(error)
  }
  yield* told(of, fiber, doubt, looked.value)
  return looked.value._tag === "Done" ? looked.value.value : yield* Effect.fail(error)
})

/** Asks whether it is there before it is made; what cannot be told is not made. */
const unlessThere = (
  { connection, operation }: Parts,
  of: Resolvable,
  key: string,
  made: Effect.Effect<unknown, unknown>
): Effect.Effect<unknown, unknown> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    Effect.flatMap(of.verdict({ key, firstSentAt: 0, lastSentAt: now }, true), (verdict) => {
      if (verdict._tag === "Done") return Effect.succeed(verdict.value)
      if (verdict._tag === "Undone") return made
      const detail = "cannot be kept: the look-up does not tell whether it is there"
      return ResponseDecoding.invalid(connection, operation, "createIfAbsent", detail)
    })
  )

const whereItIs = ({ methodOf, plan }: Parts, request: unknown, error: unknown): Effect.Effect<unknown, unknown> => {
  const { existing } = plan
  if (existing === undefined || !isProviderError(error) || !existing.says(error.reason)) return Effect.fail(error)
  return Effect.suspend(() => {
    const refused = { request: request as never, ...answerOf(error.reason) }
    return Effect.flatMap(ofNow(methodOf(existing.path)(existing.request(refused))), (answer) => {
      const value = existing.match(answer, refused)
      return value === undefined ? Effect.fail(error) : Effect.succeed(value)
    })
  }).pipe(Effect.catchCause((cause) => (Cause.hasInterrupts(cause) ? Effect.failCause(cause) : Effect.fail(error))))
}

/** The request with the key in its field; `undefined` if the caller has set that to something else, or there is no place for it. */
const referring = (request: unknown, names: ReadonlyArray<string>, key: string): unknown => {
  const [name, ...rest] = names
  if (name === undefined) return request === undefined || request === key ? key : undefined
  if (request !== undefined && !Predicate.isObject(request)) return undefined
  const fields: Readonly<Record<string, unknown>> | undefined = request
  const set = referring(fields?.[name], rest, key)
  if (set === undefined) return undefined
  // An instance of a class stays one: its schema takes nothing else.
  const of: object | null = fields === undefined ? Object.prototype : Object.getPrototypeOf(fields)
  return Object.assign(Object.create(of) as object, fields, { [name]: set })
}

/** The method with what is declared of its outcome, and what its layer registers. @category constructors @since 0.1.0 */
export const resolving = (
  parts: Parts
): { readonly method: LooseMethod; readonly resolvable: Resolvable | undefined } => {
  const { connection, method, operation, plan } = parts
  const of = resolvableOf(parts)
  const { way } = plan
  const names = way?._tag === "Lookup" && way.reference !== undefined ? ["payload", ...way.reference.split(".")] : []
  const looks = way?._tag === "Lookup"
  const cell = operation.safety === "keyed" ? CurrentKey : CurrentName
  const resolved: LooseMethod = (request) =>
    Effect.withFiber((fiber: AnyFiber) => {
      const key = fiber.getRef(cell)?.key
      const sent = names.length === 0 || key === undefined ? request : referring(request, names, key)
      if (sent === undefined && key !== undefined && names.length > 0) {
        const detail = "must be left out or be the key: the write is found by it"
        return ResponseDecoding.invalid(connection, operation, names.join("."), detail)
      }
      const called =
        plan.existing === undefined
          ? method(sent)
          : Effect.catch(method(sent), (error) => whereItIs(parts, sent, error))
      const looking = looks && key !== undefined ? fiber.getRef(Looking) : undefined
      if (looking === undefined || key === undefined) return called
      if (looking === "first") return unlessThere(parts, of, key, called)
      const until =
        fiber.getRef(CurrentDeadline) ??
        fiber.getRef(Clock.Clock).currentTimeMillisUnsafe() + operation.policy.deadlineMillis
      return Effect.catch(called, (error) =>
        error instanceof OutcomeUnknown ? inDoubt(parts, of, fiber, { key, until }, error) : Effect.fail(error)
      )
    })
  return { method: resolved, resolvable: way === undefined ? undefined : of }
}
