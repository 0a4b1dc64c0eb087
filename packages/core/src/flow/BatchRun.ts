/**
 * One run of a batch: rounds of chunks, until every item has come to an end. @internal
 */
// A request fails with ours or with what its operation declares; only ours are looked into.
// @effect-diagnostics anyUnknownInErrorContext:off
import type * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import { CurrentDeadline } from "../policy/Deadline.ts"
import { isProviderError } from "../vocabulary/ProviderError.ts"
import * as Redaction from "../vocabulary/Redaction.ts"
import type { Outcome } from "../vocabulary/Telemetry.ts"
import { attribute, batchItems, bind, field } from "../vocabulary/Telemetry.ts"
import type { Chunk } from "./BatchChunks.ts"
import { chunksOf, Entry } from "./BatchChunks.ts"
import type { ItemError } from "./BatchError.ts"
import { ItemFailed, ItemRetryable, ItemUnknown } from "./BatchError.ts"
import type { Detail, Reading } from "./BatchReading.ts"

/** @category models @since 0.1.0 */
export type Send<Item, Body, R> = (
  items: Arr.NonEmptyReadonlyArray<Item>,
  key: string
) => Effect.Effect<Body, unknown, R>

/** The options of a batch, with their defaults. @category models @since 0.1.0 */
export interface Resolved<Item, Body, A, R> {
  readonly name: string
  readonly send: Send<Item, Body, R>
  readonly outcomes: (body: Body, items: ReadonlyArray<Item>) => ReadonlyArray<Reading<A>>
  /** What makes sending twice harmless. */
  readonly per: "chunk" | "item" | "none"
  readonly identify: ((item: Item) => string) | undefined
  readonly maxItems: number
  readonly maxBytes: number
  readonly size: (item: Item) => number
  readonly concurrency: number
  readonly rounds: number
  readonly backoffMillis: number
  readonly hintCapMillis: number
}

const redaction = Redaction.make()

/** Longest ceiling of a wait that nobody asked for. */
const backoffCapMillis = 20_000

/** Bytes of an item, `NaN` for one that cannot be encoded. */
const sizeOf = <Item>(size: (item: Item) => number, item: Item): number => {
  try {
    return size(item)
  } catch {
    return Number.NaN
  }
}

class Run<Item, Body, A, R> {
  private readonly options: Resolved<Item, Body, A, R>
  readonly entries: ReadonlyArray<Entry<Item, A>>

  constructor(options: Resolved<Item, Body, A, R>, items: ReadonlyArray<Item>) {
    this.options = options
    const identities = new Set<string>()
    this.entries = items.map((item) => {
      const { identify, maxBytes, size } = options
      const bytes = maxBytes === Number.POSITIVE_INFINITY ? 0 : sizeOf(size, item)
      const entry = new Entry<Item, A>(item, bytes, identify?.(item) ?? "")
      const problem = this.problemOf(entry, identities)
      identities.add(entry.identity)
      if (problem !== undefined) this.end(entry, "Failed", { detail: problem })
      return entry
    })
  }

  private problemOf({ bytes, identity }: Entry<Item, A>, taken: ReadonlySet<string>): string | undefined {
    const { identify, maxBytes } = this.options
    if (Number.isNaN(bytes)) return "the item cannot be encoded"
    if (bytes > maxBytes) return `the item has ${bytes} bytes, and a request may have ${maxBytes}`
    return identify !== undefined && taken.has(identity) ? "an earlier item of the run has the same key" : undefined
  }

  get open(): ReadonlyArray<Entry<Item, A>> {
    return this.entries.filter(({ result }) => result === undefined)
  }

  /** Once no item is open. */
  get results(): ReadonlyArray<Result.Result<A, ItemError>> {
    return this.entries.map(({ result }, index) => {
      if (result === undefined) throw new Error(`Batch.run: item ${index} has no outcome`)
      return result
    })
  }

  /** An item is over. What failed now may have been carried out before. */
  end(
    entry: Entry<Item, A>,
    as: "Failed" | "Retryable" | "Unknown",
    { code, detail, retryAfter, status }: Detail
  ): void {
    const context = {
      batch: this.options.name,
      detail: redaction.text(detail, 256),
      sends: entry.sends,
      ...(status === undefined || !Number.isInteger(status) ? {} : { status }),
      ...(code === undefined ? {} : { code: redaction.text(code, 64) })
    }
    if (entry.doubted || as === "Unknown") entry.result = Result.fail(new ItemUnknown(context))
    else if (as === "Failed") entry.result = Result.fail(new ItemFailed(context))
    else {
      const wait = retryAfter === undefined ? {} : { retryAfter: Duration.fromInputUnsafe(retryAfter) }
      entry.result = Result.fail(new ItemRetryable({ ...context, ...wait }))
    }
  }

  /** An item is not over yet. */
  private again(entry: Entry<Item, A>, why: Detail): void {
    entry.why = why
    entry.hintMillis = why.retryAfter === undefined ? 0 : Duration.toMillis(why.retryAfter)
  }

  private doubt(entry: Entry<Item, A>, why: Detail): void {
    if (this.options.per !== "item") return this.end(entry, "Unknown", why)
    entry.doubted = true
    this.again(entry, why)
  }

  private read(entry: Entry<Item, A>, reading: Reading<A>): void {
    // The key of a chunk makes its answer the answer to every send of it.
    if (entry.bound !== undefined) entry.doubted = false
    entry.bound = undefined
    if (reading._tag === "Succeeded") entry.result = Result.succeed(reading.value)
    else if (reading._tag === "Failed") this.end(entry, "Failed", reading)
    else if (reading._tag === "Unknown") this.doubt(entry, reading)
    else {
      entry.declined++
      this.again(entry, reading)
    }
  }

  /** The request as a whole has failed: what that says of each of its items. */
  private failed(chunk: Chunk<Item, A>, error: unknown): void {
    const detail = isProviderError(error) ? error.message : "the request was refused"
    for (const entry of chunk.entries) {
      if (!isProviderError(error)) this.end(entry, "Failed", { detail: detailOf(error) })
      else if (error._tag === "OutcomeUnknown") this.doubt(entry, { detail })
      else if (error._tag === "FatalError")
        this.end(entry, error.reason._tag === "ResponseInvalid" ? "Unknown" : "Failed", { detail })
      else if (error.sent === "no") this.again(entry, { detail, retryAfter: error.retryAfter })
      else if (this.options.per === "chunk") {
        entry.doubted = true
        entry.bound = chunk
        entry.boundUntil = error.retryUntil ?? Number.POSITIVE_INFINITY
        this.again(entry, { detail, retryAfter: error.retryAfter })
      } else this.doubt(entry, { detail, retryAfter: error.retryAfter })
    }
  }

  private answered({ entries }: Chunk<Item, A>, body: Body): Effect.Effect<void> {
    const unread = (detail: string) => this.doubtUnread(entries, detail)
    return Effect.sync(() => {
      const readings = this.options.outcomes(
        body,
        entries.map(({ item }) => item)
      )
      if (readings.length !== entries.length)
        return unread(`the answer was read as ${readings.length} outcomes for ${entries.length} items`)
      readings.forEach((reading, index) => {
        const entry = entries[index]
        if (entry !== undefined) this.read(entry, reading)
      })
    }).pipe(Effect.catchDefect(() => Effect.sync(() => unread("the answer could not be read"))))
  }

  private doubtUnread(entries: ReadonlyArray<Entry<Item, A>>, detail: string): void {
    for (const entry of entries) if (entry.result === undefined) this.doubt(entry, { detail })
  }

  send(chunk: Chunk<Item, A>): Effect.Effect<void, never, R> {
    const [first, ...rest] = chunk.entries
    return Effect.suspend(() => {
      for (const entry of chunk.entries) {
        entry.sends++
        entry.why = undefined
        entry.hintMillis = 0
      }
      return this.options.send([first.item, ...rest.map(({ item }) => item)], chunk.key)
    }).pipe(
      Effect.result,
      Effect.flatMap((result) =>
        Result.isSuccess(result)
          ? this.answered(chunk, result.success)
          : Effect.sync(() => this.failed(chunk, result.failure))
      ),
      // A bug in one request takes nothing away from what the others came to.
      Effect.catchDefect(() => Effect.sync(() => this.doubtUnread(chunk.entries, "the request died")))
    )
  }

  /** Ends what is still open, for want of rounds or time. */
  spend(entries: ReadonlyArray<Entry<Item, A>>): void {
    for (const entry of entries) this.end(entry, "Retryable", entry.why ?? { detail: "not sent" })
  }
}

/** Words for an error that is not ours: its tag, since its text may hold anything. */
const detailOf = (error: unknown): string =>
  Predicate.hasProperty(error, "_tag") && Predicate.isString(error._tag)
    ? `the request was refused: ${error._tag}`
    : "the request was refused"

/** Milliseconds before the next round: above every hint, so that nothing is sent sooner than it was asked for. */
const waitOf = (round: number, backoffMillis: number, entries: ReadonlyArray<{ readonly hintMillis: number }>) => {
  const ceiling = Math.min(backoffCapMillis, backoffMillis * 2 ** Math.min(round - 1, 40))
  const hint = entries.reduce((longest, { hintMillis }) => Math.max(longest, hintMillis), 0)
  return Effect.map(Random.next, (share) => Math.ceil(hint + ceiling * share))
}

const outcomeOf = (result: Result.Result<unknown, ItemError>): Outcome => {
  if (Result.isSuccess(result)) return "ok"
  switch (result.failure._tag) {
    case "ItemFailed":
      return "fatal"
    case "ItemRetryable":
      return "retryable"
    case "ItemUnknown":
      return "unknown"
  }
}

/** Counts the items by outcome; says in a line at level Warning if not all succeeded. */
const tell = (name: string, results: ReadonlyArray<Result.Result<unknown, ItemError>>) =>
  Effect.withFiber((fiber) => {
    const counts = new Map<Outcome, number>()
    for (const result of results) counts.set(outcomeOf(result), (counts.get(outcomeOf(result)) ?? 0) + 1)
    for (const [outcome, count] of counts) {
      const labels = { [attribute.operation]: name, [attribute.outcome]: outcome }
      bind(batchItems, labels).updateUnsafe(count, fiber.context)
    }
    const ok = counts.get("ok") ?? 0
    if (ok === results.length) return Effect.void
    const of = (outcome: Outcome) => counts.get(outcome) ?? 0
    const text = `batch ${name}: ${ok} of ${results.length} items succeeded, ${of("fatal")} failed, ${of("retryable")} were not carried out, ${of("unknown")} unknown`
    return Effect.annotateLogs(Effect.logWarning(text), { [field.operation]: name, [field.event]: "batch" })
  })

/** @category constructors @since 0.1.0 */
export const runOf = <Item, Body, A, R>(options: Resolved<Item, Body, A, R>) => {
  const room = { items: options.maxItems, bytes: options.maxBytes }
  const isKeyed = options.per === "chunk"

  /** Waits for the next round; `false` if nothing is left to be sent in it. */
  const another = Effect.fnUntraced(function* (run: Run<Item, Body, A, R>, round: number) {
    run.spend(run.open.filter(({ hintMillis }) => round === options.rounds || hintMillis > options.hintCapMillis))
    const { open } = run
    if (open.length === 0) return false
    const wait = yield* waitOf(round, options.backoffMillis, open)
    const at = (yield* Clock.currentTimeMillis) + wait
    const deadline = yield* CurrentDeadline
    run.spend(open.filter(({ bound, boundUntil }) => bound !== undefined && at >= boundUntil))
    if (deadline !== undefined && at >= deadline) run.spend(run.open)
    if (run.open.length === 0) return false
    yield* Effect.sleep(Duration.millis(wait))
    return true
  })

  return Effect.fnUntraced(function* (items: ReadonlyArray<Item>) {
    const run = new Run(options, items)
    for (let round = 1; run.open.length > 0; round++) {
      const chunks = chunksOf(options.name, run.open, room, isKeyed)
      yield* Effect.forEach(chunks, (chunk) => run.send(chunk), { concurrency: options.concurrency, discard: true })
      if (!(yield* another(run, round))) break
    }
    const results = run.results
    yield* tell(options.name, results)
    return results
  })
}
