/**
 * The path of a call whose operation keeps answers, before anything is spent on it: what is fresh is given at once; what is not is fetched by one for all who ask, and stands in for the provider when that
 * is down. Brought along by the declaration (`Caching`), so that a program that declares nothing does not load it. @internal
 */
// The errors of a call are whatever its operation declares.
// @effect-diagnostics anyUnknownInErrorContext:off
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import type { Asking, Engine, Keeping, KeptHead, Verdict } from "../definition/AnswerRules.ts"
import { Forgotten, Mode } from "../definition/AnswerRules.ts"
import { CurrentDeadline } from "../policy/Deadline.ts"
import { defaults } from "../store/AnswerStore.ts"
import { BufferedResponse } from "../transport/BufferedResponse.ts"
import * as Answer from "../vocabulary/Answer.ts"
import type { AttemptFailure } from "../vocabulary/AttemptFailure.ts"
import { HttpClientRequest } from "../vocabulary/Platform.ts"
import type { ProviderError } from "../vocabulary/ProviderError.ts"
import { isProviderError } from "../vocabulary/ProviderError.ts"
import type { Answered } from "../vocabulary/Telemetry.ts"
import type { Found, Options } from "./AnswerCache.ts"
import { AnswerCache, maxRefreshes } from "./AnswerCache.ts"
import * as AnswerKey from "./AnswerKey.ts"
import * as AnswerReading from "./AnswerReading.ts"
import * as CallErrors from "./CallErrors.ts"
import * as CallLog from "./CallLog.ts"
import * as Flights from "./Flights.ts"
import * as KeptAnswer from "./KeptAnswer.ts"
import type { AttemptKind, StandIn } from "./RunningCall.ts"
import { RunningCall, nowOf } from "./RunningCall.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>
type Outcome = Effect.Effect<unknown, unknown>

/** What the pipeline lends: how calls are made without a cache. @category models @since 0.1.0 */
export interface Way {
  /** Attempts, with what goes around them. */
  readonly direct: (call: RunningCall, fiber: AnyFiber, now: number) => Outcome
  /** A call of its own from its start to its outcome. */
  readonly run: (call: RunningCall) => Outcome
  /** Ends a call with a refusal of ours. */
  readonly refuse: (
    call: RunningCall,
    fiber: AnyFiber,
    failure: AttemptFailure,
    now: number
  ) => Effect.Effect<never, unknown>
}

/** @category models @since 0.1.0 */
export interface AnswerEngine extends Engine {
  readonly open: (options: Options) => AnswerCache
  readonly through: (cache: AnswerCache, call: RunningCall, fiber: AnyFiber, now: number, way: Way) => Outcome
  /** Forgets what is kept for the call; `undefined` if nothing can be. */
  readonly forget: (cache: AnswerCache, call: RunningCall, fiber: AnyFiber) => Outcome | undefined
}

/** One call of an operation that keeps answers. */
interface Visit {
  readonly cache: AnswerCache
  readonly call: RunningCall
  readonly fiber: AnyFiber
  readonly now: number
  readonly way: Way
  readonly keeping: Keeping
  readonly key: string
}

const through: AnswerEngine["through"] = (cache, call, fiber, now, way) => {
  const keeping = call.operation.answers?.keep
  if (keeping === undefined) return written(cache, call, fiber, now, way)
  const key = cache.keyOf(call, keeping)
  if (key === undefined) return way.direct(call, fiber, now)
  const visit = { cache, call, fiber, now, way, keeping, key }
  const mode = fiber.getRef(Mode)
  if (mode === "bypass") return bypassed(visit)
  return cache.read(call, fiber, key, (found) =>
    found === undefined ? fetched(visit, undefined, undefined) : judged(visit, found, mode)
  )
}

const askingOf = ({ connection, request }: RunningCall): Asking => ({
  method: request?.method ?? "GET",
  headers: request?.headers ?? nothing,
  common: connection.headers
})

const nothing = {}

/** What was found is given, given and renewed, or asked about. */
const judged = (visit: Visit, found: Found, mode: "use" | "renew" | "forget"): Outcome => {
  const { call, fiber } = visit
  call.now = nowOf(fiber)
  const verdict = verdictOf(visit, found)
  const use = mode === "renew" ? "ask" : verdict.use
  if (use === "ask") return fetched(visit, found, verdict)
  const given = standIn(
    visit,
    found,
    { source: use === "fresh" ? "cached" : "stale", ageMillis: found.ageMillis },
    () => fetched(visit, undefined, undefined, true)
  )
  return use === "fresh" ? given : Effect.andThen(renewed(visit), given)
}

const verdictOf = ({ call, keeping }: Visit, { ageMillis, kept }: Found): Verdict =>
  keeping.rules.judge(askingOf(call), KeptAnswer.headOf(kept), ageMillis)

/** What is kept, in the provider's place; what does not fit its schema any more is none. */
const standIn = (visit: Visit, { kept }: Found, as: StandIn, otherwise: () => Outcome): Outcome => {
  const { call, fiber } = visit
  const outcome = outcomeOf(call, kept)
  if (outcome === undefined) return otherwise()
  call.standIn = as
  const given = answered(call, fiber, as.source === "cached" ? "hit" : "stale", outcome)
  if (Exit.isExit(outcome)) return given
  return Effect.catchCause(given, (cause) => {
    if (!isDrift(cause)) return Effect.failCause(cause)
    call.standIn = undefined
    return otherwise()
  })
}

const answered = (call: RunningCall, fiber: AnyFiber, how: Answered, outcome: Outcome): Outcome => {
  count(call, fiber, how)
  return CallLog.isVerbose(fiber) ? Effect.andThen(CallLog.kept(call, fiber, how), outcome) : outcome
}

/** The outcome of a call whose answer this is; `undefined` if it cannot be read. */
const outcomeOf = (call: RunningCall, kept: KeptAnswer.KeptAnswer): Outcome | undefined => {
  const { request } = call
  const { restore } = call.kind
  if (request === undefined || restore === undefined) return undefined
  const response = KeptAnswer.restored(request, kept)
  call.answer = response
  const failure = response.status < 400 ? undefined : call.kind.classify(call, Exit.succeed(response), call.now)
  if (failure !== undefined) return Exit.fail(CallErrors.ending(call, failure, "final", call.now, undefined))
  const decoded = restore(response)
  return Exit.isExit(decoded) && Exit.isFailure(decoded) && isDrift(decoded.cause) ? undefined : decoded
}

const isDrift = (cause: Cause.Cause<unknown>): boolean =>
  cause.reasons.some(
    (reason) => Cause.isDieReason(reason) || (Cause.isFailReason(reason) && Schema.isSchemaError(reason.error))
  )

/** How one fetch goes: what it is asked about, and since when. */
interface Fetch {
  readonly visit: Visit
  readonly found: Found | undefined
  /** The answer that says that what was found is still so. */
  notModified: BufferedResponse | undefined
  readonly voided: number
  /** What is kept cannot be read, however fresh it is. */
  readonly isUnreadable: boolean
  /** Nobody has looked whether anything is kept. */
  readonly isUnseen: boolean
}

/** Asks the provider, once for all who ask; what is kept stands in when it is down. */
const fetched = (
  visit: Visit,
  found: Found | undefined,
  verdict: Verdict | undefined,
  isUnreadable = false
): Outcome => {
  const { call, fiber, key, way } = visit
  const fetch: Fetch = {
    visit,
    found,
    notModified: undefined,
    voided: visit.cache.voided,
    isUnreadable,
    isUnseen: false
  }
  const shared = Flights.share(
    call,
    fiber,
    `${Flights.companyOf(call)} ${fetch.voided} ${key}`,
    (flight) => flown(fetch, flight),
    (failure, at) => way.refuse(call, fiber, failure, at),
    () => flightOf(fetch, verdict?.conditions)
  )
  return Effect.matchCauseEffect(shared, {
    onFailure: (cause) => withoutProvider(visit, found, cause),
    onSuccess: (value) => {
      count(call, fiber, howOf(call))
      return Effect.succeed(value)
    }
  })
}

const howOf = ({ standIn }: RunningCall): Answered => {
  if (standIn === undefined) return "miss"
  return standIn.source === "cached" ? "hit" : "revalidated"
}

/** One fetch. It looks once more: another may have ended between the look of whoever began this one and its beginning. */
const flown = (fetch: Fetch, flight: RunningCall): Outcome =>
  // The fiber of whoever began it may be gone when it ends.
  Effect.withFiber((fiber) => {
    const { cache, call, key, way } = fetch.visit
    const sent = Effect.suspend(() => kept(fetch, flight, fiber, way.run(flight)))
    if (fetch.isUnreadable) return sent
    return cache.read(call, fiber, key, (found) => {
      const isFresh = found !== undefined && verdictOf(fetch.visit, found).use === "fresh"
      const outcome = isFresh ? outcomeOf(flight, found.kept) : undefined
      if (outcome === undefined || found === undefined) return sent
      flight.standIn = { source: "cached", ageMillis: found.ageMillis }
      return outcome
    })
  })

/** The provider did not answer, or said no: what is kept stands in if it may still. */
const withoutProvider = (visit: Visit, found: Found | undefined, cause: Cause.Cause<unknown>): Outcome => {
  const { call, fiber } = visit
  const failed = (): Outcome => {
    count(call, fiber, howOf(call))
    return Effect.failCause(cause)
  }
  const degradedBy = retryableIn(cause)
  if (found === undefined || degradedBy === undefined) return failed()
  const old = aged(visit, found)
  if (!verdictOf(visit, old).whenDown) return failed()
  return standIn(visit, old, { source: "stale", ageMillis: old.ageMillis, degradedBy }, failed)
}

const retryableIn = (cause: Cause.Cause<unknown>): ProviderError | undefined => {
  const error = Cause.findErrorOption(cause)
  return error._tag === "Some" && isProviderError(error.value) && error.value._tag === "RetryableError"
    ? error.value
    : undefined
}

/** The outcome of a fetch, after what may be kept of it is. A caller who leaves does not wait for the store. */
const kept = (fetch: Fetch, call: RunningCall, fiber: AnyFiber, outcome: Outcome): Outcome =>
  Effect.flatMap(Effect.exit(outcome), (exit) => Effect.andThen(keep(fetch, call, fiber, exit), exit))

/** How old it has become while the provider was asked. */
const aged = ({ call, now }: Visit, { ageMillis, kept }: Found): Found => ({
  kept,
  ageMillis: ageMillis + Math.max(0, call.now - now)
})

const count = (call: RunningCall, fiber: AnyFiber, how: Answered): void =>
  call.connection.metrics(call.operation).answered(how, fiber.context)

/** The call that fetches: with conditions, whose answer may be that nothing has changed. */
const flightOf = (fetch: Fetch, conditions: Verdict["conditions"]): RunningCall => {
  const { found, visit } = fetch
  const { client, connection, kind, operation, problem, request } = visit.call
  if (conditions === undefined || found === undefined || request === undefined) return new RunningCall(visit.call)
  return new RunningCall({
    kind: conditional(kind, fetch, found),
    connection,
    operation,
    request: HttpClientRequest.setHeaders(request, conditions),
    client,
    problem
  })
}

const isNotModified = (u: unknown): u is BufferedResponse => u instanceof BufferedResponse && u.status === 304

/** Attempts of which a 304 is the answer that was found. */
const conditional = (kind: AttemptKind, fetch: Fetch, found: Found): AttemptKind => ({
  ...kind,
  classify: (call, exit, now) =>
    Exit.isSuccess(exit) && isNotModified(exit.value)
      ? AnswerReading.ofNotModified(call, exit.value, now)
      : kind.classify(call, exit, now),
  result: (call, exit) => {
    const { answer } = call
    if (!isNotModified(answer)) return kind.result(call, exit)
    fetch.notModified = answer
    call.standIn = { source: "revalidated", ageMillis: 0, requestId: call.connection.requestIdOf(answer.headers) }
    return outcomeOf(call, found.kept) ?? kind.result(call, exit)
  }
})

/** What an answer comes to that may be kept: a success, or that there is no such thing. */
const isKept = (status: number, exit: Exit.Exit<unknown, unknown>): boolean => {
  if (Exit.isSuccess(exit)) return status >= 200 && status < 300
  if (status !== 404 && status !== 410) return false
  const error = Cause.findErrorOption(exit.cause)
  if (error._tag === "None" || Schema.isSchemaError(error.value)) return false
  return !isProviderError(error.value) || error.value.reason._tag === "NotFound"
}

/** Keeps what a fetch brought, unless something was made void meanwhile. */
const keep = (
  fetch: Fetch,
  call: RunningCall,
  fiber: AnyFiber,
  exit: Exit.Exit<unknown, unknown>
): Effect.Effect<void> => {
  const { found, visit } = fetch
  const { cache, key, keeping } = visit
  const { answer } = call
  if (!(answer instanceof BufferedResponse) || cache.voided !== fetch.voided) return Effect.void
  const head = headOf(fetch, call, answer)
  if (!isKept(head.status, exit) || answer.bytes.length > defaults.maxEntryBytes) return Effect.void
  const admitted = keeping.rules.admit(askingOf(call), head, call.now)
  if (admitted === undefined) return found === undefined && !fetch.isUnseen ? Effect.void : cache.drop(call, fiber, key)
  const entry = KeptAnswer.make(call.operation, answer, { ...head, state: admitted.state })
  return cache.write(call, fiber, key, entry, admitted.keepMillis)
}

/** They tell of the body, which is the old one, or of the moment, which has passed. */
const notUpdated = new Set(["content-type", "content-length", "content-encoding", "age", "date"])

/** Status and headers to be kept: of an answer that was confirmed, the old ones with what is new (RFC 9111 §3.2). */
const headOf = ({ found, notModified }: Fetch, call: RunningCall, answer: BufferedResponse): KeptHead => {
  const names = call.operation.answers?.headers ?? []
  const { status } = answer
  if (notModified === undefined || found === undefined)
    return { status, headers: KeptAnswer.headersOf(answer, names), state: undefined }
  const old = Object.entries(found.kept.h).filter(([name]) => name === "content-type" || !notUpdated.has(name))
  const { "content-type": _, ...told } = KeptAnswer.headersOf(notModified, names)
  return { status, headers: { ...Object.fromEntries(old), ...told }, state: undefined }
}

/** Asks the provider by itself, and keeps what it says. */
const bypassed = (visit: Visit): Outcome => {
  const { call, fiber, now, way } = visit
  const { voided } = visit.cache
  const fetch = { visit, found: undefined, notModified: undefined, voided, isUnreadable: false, isUnseen: true }
  count(call, fiber, "miss")
  return kept(fetch, call, fiber, way.direct(call, fiber, now))
}

/** Fetches beside the calls what is given stale meanwhile, once, and no longer than the layer is there. */
const renewed = ({ cache, call, key, way }: Visit): Effect.Effect<void> => {
  const { refreshing, scope } = cache
  if (refreshing.has(key) || refreshing.size >= maxRefreshes) return Effect.void
  refreshing.add(key)
  const again = way
    .run(new RunningCall(call))
    .pipe(
      Effect.provideService(Mode, "renew"),
      Effect.provideService(CurrentDeadline, undefined),
      Answer.unheard,
      Effect.ignoreCause,
      Effect.ensuring(Effect.sync(() => void refreshing.delete(key)))
    )
  return Effect.asVoid(Effect.forkIn(again, scope))
}

/** A write, and what it makes void: when it has succeeded, and when nobody knows. */
const written = (cache: AnswerCache, call: RunningCall, fiber: AnyFiber, now: number, way: Way): Outcome => {
  const tags = call.operation.answers?.invalidates?.tags ?? []
  return Effect.onExit(way.direct(call, fiber, now), (exit) => {
    if (Exit.isFailure(exit) && !maybeDone(exit.cause)) return Effect.void
    return cache.voidBy(call, fiber, AnswerKey.tagsOf(call, tags))
  })
}

/** Whether the provider may have done it all the same. */
const maybeDone = (cause: Cause.Cause<unknown>): boolean => {
  const error = Cause.findErrorOption(cause)
  if (error._tag === "None") return true
  return (
    isProviderError(error.value) &&
    (error.value._tag === "OutcomeUnknown" || (error.value._tag === "RetryableError" && error.value.sent === "unknown"))
  )
}

const forget: AnswerEngine["forget"] = (cache, call, fiber) => {
  const keeping = call.operation.answers?.keep
  const key = keeping === undefined ? undefined : cache.keyOf(call, keeping)
  return key === undefined ? undefined : Effect.andThen(cache.forget(fiber, key), Effect.fail(new Forgotten()))
}

/** What a declaration brings along. @category constants @since 0.1.0 */
export const engine: AnswerEngine = {
  "~engine": "answers",
  open: (options) => new AnswerCache(options),
  through,
  forget
}
