/**
 * The answers of one connection that are kept: reads and writes the `AnswerStore` at hand, knows what was made void since a fetch began, and leaves a store that is down alone for a while. It fails open:
 * what cannot be read is a miss, what cannot be written is lost, and both are counted and said once. @internal
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Keeping } from "../definition/AnswerRules.ts"
import type { Operation } from "../definition/Operation.ts"
import type { StoredAnswer } from "../store/AnswerStore.ts"
import { AnswerStore, memory } from "../store/AnswerStore.ts"
import type { AnswerControl } from "../store/Connections.ts"
import * as ImmediateAnswers from "../store/ImmediateAnswers.ts"
import { make as storeError, type StoreError } from "../store/StoreError.ts"
import { attribute, field } from "../vocabulary/Telemetry.ts"
import * as Telemetry from "../vocabulary/Telemetry.ts"
import * as AnswerKey from "./AnswerKey.ts"
import { heard } from "./CallRecord.ts"
import type { Connection } from "./Connection.ts"
import * as KeptAnswer from "./KeptAnswer.ts"
import type { RunningCall } from "./RunningCall.ts"
import { nowOf } from "./RunningCall.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** An answer that was found, and how old it is. @category models @since 0.1.0 */
export interface Found {
  readonly kept: KeptAnswer.KeptAnswer
  readonly ageMillis: number
}

const foundIn = (stored: StoredAnswer | undefined): Found | undefined => {
  const kept = stored === undefined ? undefined : KeptAnswer.read(stored.payload.value)
  return stored === undefined || kept === undefined ? undefined : { kept, ageMillis: stored.ageMillis }
}

/** A store that has failed is not asked again for so long. */
const restMillis = 5000

/** A store that was given less than that, by a call that has no more, is not taken for one that is down. */
const glanceMillis = 100

/** A write waits no longer for what it has made void to be forgotten. */
const patienceMillis = 5000

/** Refreshes that run at once beside the calls, for each connection. @category constants @since 0.1.0 */
export const maxRefreshes = 16

const late = storeError({ store: "answer", operation: "ask" }, "timeout")

/** What a layer lends to its cache. @category models @since 0.1.0 */
export interface Options {
  readonly connection: Connection
  /** Refreshes end with it. */
  readonly scope: Scope.Scope
  /** The store of the layer; a fiber may have another. Default one in memory. */
  readonly store: AnswerStore["Service"] | undefined
}

/** @category models @since 0.1.0 */
export class AnswerCache implements AnswerControl {
  readonly provider: string
  readonly connection: string
  readonly scope: Scope.Scope
  /** Keys that are fetched anew while their stale answers are given. */
  readonly refreshing = new Set<string>()
  /** How often answers were made void: what was asked for before is not kept after. */
  voided = 0
  private readonly owner: Connection
  private readonly partition: string
  private readonly own: AnswerStore["Service"]
  private readonly ownRead: ImmediateAnswers.Read | undefined
  private readonly prefixes = new WeakMap<Keeping, string>()
  private restsUntil = Number.NEGATIVE_INFINITY
  private isSaid = false

  constructor({ connection, scope, store }: Options) {
    this.owner = connection
    this.provider = connection.options.provider
    this.connection = connection.options.id
    this.scope = scope
    this.partition = AnswerKey.partitionOf(connection)
    this.own = store ?? memory()
    this.ownRead = ImmediateAnswers.of(this.own)
  }

  /** Key of a call's answer; `undefined` if it cannot be kept. */
  keyOf(call: RunningCall, keeping: Keeping): string | undefined {
    return AnswerKey.keyOf(call, keeping, this.prefixes.get(keeping) ?? this.prefix(call.operation, keeping))
  }

  private prefix({ name }: Operation, keeping: Keeping): string {
    const versions = [KeptAnswer.version, this.owner.options.version ?? "", keeping.version]
    const made = `${this.partition} ${name} ${JSON.stringify(versions)}`
    this.prefixes.set(keeping, made)
    return made
  }

  /** The store of the fiber, or the layer's. */
  private storeOf(fiber: AnyFiber): AnswerStore["Service"] {
    return Context.getOrUndefined(fiber.context, AnswerStore) ?? this.own
  }

  /** Goes on with what is kept, as far as it can be read in time. */
  read<A, E>(
    call: RunningCall,
    fiber: AnyFiber,
    key: string,
    goOn: (found: Found | undefined) => Effect.Effect<A, E>
  ): Effect.Effect<A, E> {
    const store = this.storeOf(fiber)
    const immediate = store === this.own ? this.ownRead : ImmediateAnswers.of(store)
    if (immediate !== undefined) return goOn(foundIn(immediate(key, KeptAnswer.version, nowOf(fiber))))
    return Effect.flatMap(this.tried(call, fiber, Effect.map(store.get(key, KeptAnswer.version), foundIn)), goOn)
  }

  /** Keeps an answer for so long. */
  write(
    call: RunningCall,
    fiber: AnyFiber,
    key: string,
    kept: KeptAnswer.KeptAnswer,
    keepMillis: number
  ): Effect.Effect<void> {
    const declared = call.operation.answers?.keep?.tags ?? []
    const tags = AnswerKey.tagsOf(call, declared).map((tag) => AnswerKey.tagOf(this.partition, tag))
    const answer = {
      payload: { version: KeptAnswer.version, value: kept },
      keepMillis,
      tags: [AnswerKey.operationTag(this.partition, call.operation.path), ...tags]
    }
    return Effect.asVoid(this.tried(call, fiber, this.storeOf(fiber).set(key, answer)))
  }

  /** Forgets one answer that is not to be kept any more. */
  drop(call: RunningCall, fiber: AnyFiber, key: string): Effect.Effect<void> {
    return Effect.asVoid(this.tried(call, fiber, this.storeOf(fiber).delete(key)))
  }

  /** Forgets one answer because somebody says so, who hears if that is not possible. */
  forget(fiber: AnyFiber, key: string): Effect.Effect<void, StoreError> {
    this.voided++
    return this.storeOf(fiber).delete(key)
  }

  /** Forgets all answers with one of the tags, or of one of the operations, and says how many. */
  invalidate(
    fiber: AnyFiber,
    tags: ReadonlyArray<string>,
    operations: ReadonlyArray<string> = []
  ): Effect.Effect<number, StoreError> {
    this.voided++
    const store = this.storeOf(fiber)
    const all = [
      ...tags.map((tag) => AnswerKey.tagOf(this.partition, tag)),
      ...operations.map((path) => AnswerKey.operationTag(this.partition, path))
    ]
    const each = Effect.forEach(all, (tag) => store.invalidate(tag))
    return Effect.map(each, (counts) => counts.reduce((sum, count) => sum + count, 0))
  }

  /** Forgets what a write has made void. It is asked for also where the store rests: what is not forgotten would be wrong when it is back. */
  voidBy(call: RunningCall, fiber: AnyFiber, tags: ReadonlyArray<string>): Effect.Effect<void> {
    return Effect.flatMap(heard(this.invalidate(fiber, tags), patienceMillis), (exit) => {
      if (exit !== undefined && Exit.isSuccess(exit)) return Effect.void
      const error = exit === undefined ? Option.some(late) : Exit.findErrorOption(exit)
      return Option.isSome(error)
        ? this.failed(call, fiber, error.value)
        : Effect.orDie(Effect.asVoid(exit ?? Exit.void))
    })
  }

  /** Asks the store unless it rests, for a quarter of the call's time at most, since the provider needs the rest; `undefined` when it does not answer. */
  private tried<A>(
    call: RunningCall,
    fiber: AnyFiber,
    asked: Effect.Effect<A, StoreError>
  ): Effect.Effect<A | undefined> {
    const now = nowOf(fiber)
    if (now < this.restsUntil) return Effect.succeed(undefined)
    const share = Math.max(0, call.deadlineAt - now) / 4
    const orElse = () => Effect.fail(late)
    return Effect.matchEffect(Effect.timeoutOrElse(asked, { duration: Duration.millis(share), orElse }), {
      onFailure: (error) =>
        Effect.as(this.failed(call, fiber, error, error === late && share < glanceMillis), undefined),
      onSuccess: (answer) => {
        this.isSaid = false
        return Effect.succeed(answer)
      }
    })
  }

  /** Counted each time, said once. An answer that the store does not take is nothing against the store. */
  private failed(
    call: RunningCall,
    fiber: AnyFiber,
    { message, problem }: StoreError,
    wasGlance = false
  ): Effect.Effect<void> {
    const labels = { [attribute.reason]: problem }
    this.owner.metrics(call.operation).observe(Telemetry.answerFailures, fiber.context, labels)
    if (problem === "invalid" || wasGlance) return Effect.void
    this.restsUntil = nowOf(fiber) + restMillis
    if (this.isSaid) return Effect.void
    this.isSaid = true
    return Effect.annotateLogs(Effect.logWarning(`${this.provider}: answers are not kept: ${message}`), {
      [field.provider]: this.provider,
      [field.event]: "answers not kept"
    })
  }
}
