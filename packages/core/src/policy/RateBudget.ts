/**
 * The quota of one connection: what is declared and what answers tell, obeyed before a 429 comes (RATE-1 to RATE-4). A call takes tokens of every limit that is for it, or
 * of none; it holds them until it is sent. Who cannot have them stands in line: classes in their order, in a class first come, first served. A pure state machine; sleeping is
 * the caller's.
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3 for `Retry-After`
 * @since 0.1.0
 */
import type { Matched, ResolvedRatePolicy } from "../definition/RatePlan.ts"
import { matches, shareOf } from "../definition/RatePlan.ts"
import type { Usage } from "../store/RateBucket.ts"
import { PartitionedBuckets, RateBucket } from "../store/RateBucket.ts"
import type { Demand, Told } from "../store/RateWindow.ts"
import { Concurrency } from "../store/RateWindow.ts"
import type { Rank } from "../vocabulary/TrafficClass.ts"

/** @category models @since 0.1.0 */
export interface RateBudgetOptions {
  readonly policies: ReadonlyArray<ResolvedRatePolicy>
  /** Share of each limit that the lower classes leave, from 0 to below 1. */
  readonly reserve: number
  /** Calls of each class that may wait. */
  readonly queue: number
  /** Partition keys that are remembered for each policy. */
  readonly partitions: number
  /** Share of a limit whose use is told. */
  readonly alarmAt: number
  /** Answers tell of limits that are one operation's own. */
  readonly perOperation: boolean
}

/** What an operation takes tokens of: every bucket. @category models @since 0.1.0 */
export interface Route {
  readonly buckets: ReadonlyArray<RateBucket>
  /** Limits that are this operation's own, by its answers; among the buckets. */
  readonly own: RateBucket | undefined
}

/** Who takes tokens: what the call costs, of which class it is, and which way it goes. @category models @since 0.1.0 */
export interface TokenHolder {
  readonly cost: number
  readonly rank: Rank
  /** Does not change while tokens are held. */
  readonly route: Route
  /** What it holds; set in the instant in which it is given, so that an interruption cannot lose it. */
  tokens: number
}

/** A place in the line of those who wait for tokens. @category models @since 0.1.0 */
export class Place {
  readonly holder: TokenHolder
  /** Nobody before it waits for what it waits for: it watches the clock. */
  isFirst = false
  /** It has its tokens, and stands in line no longer. */
  granted = false
  /** Runs when one of these becomes true. */
  onChange: (() => void) | undefined = undefined

  constructor(holder: TokenHolder) {
    this.holder = holder
  }
}

/** What an answer tells, and which operations that is about: all of the connection, or those whose answers name the same limit. @category models @since 0.1.0 */
export interface Learned extends Told {
  readonly name: string
  readonly scope: "connection" | "operation"
}

/** @category models @since 0.1.0 */
export interface RateSnapshot {
  /** The least that is left of any window that the provider told of; `null` if it told of none. */
  readonly remaining: number | null
  /** Milliseconds until an interactive call could leave to which every policy applies that applies to all operations. */
  readonly waitMillis: number
  readonly waiting: number
  readonly usage: ReadonlyArray<Usage>
  /** Partition keys that are remembered. */
  readonly partitions: number
  /** The share of each declared limit that it keeps to; `null` while nobody divides them. */
  readonly share: number | null
}

/** The way of a call that takes no tokens. @category constants @since 0.1.0 */
export const nowhere: Route = { buckets: [], own: undefined }

/** Routes that are kept; operations beyond are looked up anew each time. */
const maxRoutes = 1024

/** Names of limits that operations share by what their answers say. */
const maxNamed = 64

type Policy = ResolvedRatePolicy & { readonly buckets: RateBucket | PartitionedBuckets }

/** @category models @since 0.1.0 */
export class RateBudget {
  private options: RateBudgetOptions
  private policies: ReadonlyArray<Policy>
  /** What is everybody's: waits that the provider asked of us, and limits that it told of without saying whose. */
  private readonly common = new RateBucket("provider")
  private readonly named = new Map<string, RateBucket>()
  private routes = new Map<string, { readonly route: Route; readonly partitioned: ReadonlyArray<PartitionedBuckets> }>()
  private readonly simplest: Route
  private readonly line: readonly [Set<Place>, Set<Place>, Set<Place>] = [new Set(), new Set(), new Set()]
  private concurrency: Concurrency | undefined = undefined
  private looks = 0
  private share: number | null = null

  constructor(options: RateBudgetOptions) {
    this.options = options
    this.policies = options.policies.map((policy) => this.open(policy))
    this.simplest = { buckets: [this.common], own: undefined }
  }

  private open(policy: ResolvedRatePolicy): Policy {
    const windows = this.shared(policy)
    const buckets = policy.perPartition
      ? new PartitionedBuckets({ ...policy, windows }, this.options.partitions)
      : new RateBucket(policy.name, windows)
    return { ...policy, buckets }
  }

  private shared({ windows }: ResolvedRatePolicy): ResolvedRatePolicy["windows"] {
    const { share } = this
    return share === null ? windows : windows.map((window) => shareOf(window, share))
  }

  /** The buckets that an operation takes tokens of. */
  routeOf(operation: Matched & { readonly name: string }, partition: string | undefined, now: number): Route {
    if (this.policies.length === 0 && !this.options.perOperation) return this.simplest
    const { partitioned, route } = this.routes.get(operation.name) ?? this.openRoute(operation)
    if (partitioned.length === 0) return route
    return { own: route.own, buckets: [...route.buckets, ...partitioned.map((policy) => policy.of(partition, now))] }
  }

  private openRoute(operation: Matched & { readonly name: string }) {
    const matching = this.policies.filter(({ match }) => matches(match, operation)).map(({ buckets }) => buckets)
    const own = this.options.perOperation ? new RateBucket(operation.path) : undefined
    const plain = matching.filter((buckets) => buckets instanceof RateBucket)
    const opened = {
      route: { own, buckets: [this.common, ...(own === undefined ? [] : [own]), ...plain] },
      partitioned: matching.filter((buckets) => buckets instanceof PartitionedBuckets)
    }
    if (this.routes.size < maxRoutes) this.routes.set(operation.name, opened)
    return opened
  }

  private demandOf({ cost, rank }: Pick<TokenHolder, "cost" | "rank">): Demand {
    return { cost, leaves: rank === 0 ? 0 : this.options.reserve }
  }

  /** Milliseconds until the tokens could be had if nobody waited; 0 if now. Takes nothing. */
  wait(asking: Omit<TokenHolder, "tokens">, now: number): number {
    const demand = this.demandOf(asking)
    let wait = 0
    for (const bucket of asking.route.buckets) wait = Math.max(wait, bucket.wait(demand, now))
    return wait
  }

  /** Milliseconds until a call that joins the line now may expect its tokens; 0 if it need not join. */
  expected(asking: TokenHolder, now: number): number {
    const demand = this.demandOf(asking)
    let wait = 0
    for (const bucket of asking.route.buckets) wait = Math.max(wait, bucket.wait(demand, now, asking.rank))
    return wait
  }

  /** Holds the tokens. Whether they are to be had is asked before, in the same instant. */
  hold(holder: TokenHolder): void {
    for (const bucket of holder.route.buckets) bucket.hold(holder.cost)
    holder.tokens = holder.cost
  }

  /** Holds the tokens if they are to be had now and nobody goes first; otherwise nothing. */
  take(holder: TokenHolder, now: number): boolean {
    if (this.expected(holder, now) > 0) return false
    this.hold(holder)
    return true
  }

  /** Counts the tokens that are held: the call is sent now. The usage, if a limit is about to be used up. */
  spend(holder: TokenHolder, now: number): Usage | undefined {
    const { route, tokens } = holder
    if (tokens === 0) return undefined
    let alarmed: Usage | undefined
    for (const bucket of route.buckets) alarmed = bucket.spend(tokens, now, this.options.alarmAt) ?? alarmed
    holder.tokens = 0
    return alarmed
  }

  /** Gives back tokens that are held: the call was refused or interrupted before it was sent. Safe to run twice. */
  refund(holder: TokenHolder, now: number): void {
    const { route, tokens } = holder
    if (tokens === 0) return
    for (const bucket of route.buckets) bucket.free(tokens)
    holder.tokens = 0
    this.serve(now)
  }

  /** Learns from an answer to a call that went this way. The usage, if a limit is about to be used up. */
  learn(route: Route, learned: Learned, now: number): Usage | undefined {
    return this.bucketOf(route, learned).learn(learned.name, learned, now, this.options.alarmAt)
  }

  /** A limit that is declared by the same name is that policy's; others are the operation's or everybody's. */
  private bucketOf(route: Route, { name, scope }: Learned): RateBucket {
    const declared = route.buckets.find((bucket) => bucket !== this.common && bucket.name === name)
    if (declared !== undefined) return declared
    const { own } = route
    if (scope === "connection" || own === undefined) return this.common
    if (name === "" || (!this.named.has(name) && this.named.size >= maxNamed)) return own
    const known = this.named.get(name) ?? new RateBucket(name)
    this.named.set(name, known)
    own.putBeside(known)
    return known
  }

  /** Notes how many requests the provider says that it works on. The usage, if it is about to take no more. Holds nobody back: that is the bulkhead's business. */
  noteConcurrency(used: number, limit: number | undefined, now: number): Usage | undefined {
    this.concurrency ??= new Concurrency()
    return this.concurrency.learn(used, limit, now, this.options.alarmAt) ? this.concurrencyUsage()[0] : undefined
  }

  private concurrencyUsage(): ReadonlyArray<Usage> {
    const { concurrency } = this
    return concurrency === undefined ? [] : [{ limitName: "concurrency", partition: null, ...concurrency.usage() }]
  }

  /** The provider asked to wait: nothing of the connection, or of the operation, leaves before that. The caller has capped the wait. */
  block(route: Route, scope: Learned["scope"], millis: number, now: number): void {
    const bucket = scope === "operation" ? (route.own ?? this.common) : this.common
    bucket.block(millis, now)
  }

  /** How many stand in line. */
  get waiting(): number {
    return this.line[0].size + this.line[1].size + this.line[2].size
  }

  /** Joins the line, or `undefined` if that of its class is full. Whoever joins leaves again, whatever comes of it. */
  join(holder: TokenHolder, now: number): Place | undefined {
    const line = this.line[holder.rank]
    if (line.size >= this.options.queue) return undefined
    const place = new Place(holder)
    for (const bucket of holder.route.buckets) bucket.want(holder.cost, holder.rank)
    line.add(place)
    this.serve(now)
    return place
  }

  /** Leaves the line, wherever it stands. */
  leave(place: Place, now: number): void {
    if (this.remove(place)) this.serve(now)
  }

  private remove(place: Place): boolean {
    const { cost, rank, route } = place.holder
    if (!this.line[rank].delete(place)) return false
    for (const bucket of route.buckets) bucket.unwant(cost, rank)
    return true
  }

  /** Goes along the line and gives tokens to whoever can have them, unless somebody before waits for the same. Says who is first now. */
  serve(now: number): void {
    if (this.waiting === 0) return
    this.looks++
    for (const line of this.line) for (const place of line) this.look(place, now)
  }

  private look(place: Place, now: number): void {
    const demand = this.demandOf(place.holder)
    let isBehind = false
    let isShort = false
    for (const bucket of place.holder.route.buckets) {
      const contention = bucket.contend(demand, now, this.looks)
      if (contention === "behind") isBehind = true
      else if (contention === "short") isShort = true
    }
    if (!isBehind && !isShort) {
      this.remove(place)
      this.hold(place.holder)
      place.granted = true
      place.onChange?.()
      return
    }
    const wasFirst = place.isFirst
    place.isFirst = !isBehind
    if (place.isFirst && !wasFirst) place.onChange?.()
  }

  /** Other policies from now on. Those of the same name keep what was counted. */
  replace(policies: ReadonlyArray<ResolvedRatePolicy>, now: number): void {
    const before = this.policies
    this.policies = policies.map((policy) => {
      const kept = before.find(({ name, perPartition }) => name === policy.name && perPartition === policy.perPartition)
      kept?.buckets.retune(this.shared(policy), now)
      return kept === undefined ? this.open(policy) : { ...policy, buckets: kept.buckets }
    })
    this.routes = new Map()
    this.serve(now)
  }

  /** Shares its limits in another way from now on. What was counted, held and learnt stays, and whoever stands in line. */
  configure(sharing: Pick<RateBudgetOptions, "reserve" | "queue" | "partitions" | "alarmAt">, now: number): void {
    const { alarmAt, partitions, queue, reserve } = sharing
    this.options = { ...this.options, alarmAt, partitions, queue, reserve }
    for (const { buckets } of this.policies) if (buckets instanceof PartitionedBuckets) buckets.resize(partitions)
    this.serve(now)
  }

  /**
   * Keeps to this share of every declared limit from now on, above 0 to 1: other processes have the rest. What was spent stays spent, and whoever stands in line stays there. What answers tell of is the whole
   * account's already, and is not divided.
   */
  divide(share: number, now: number): void {
    const isSame = share === (this.share ?? 1)
    this.share = share
    if (isSame) return
    for (const policy of this.policies) policy.buckets.retune(this.shared(policy), now)
    this.serve(now)
    // Who is first watches the clock, and so far for the tokens of the share before.
    for (const line of this.line) for (const place of line) if (place.isFirst) place.onChange?.()
  }

  snapshot(now: number): RateSnapshot {
    const plain = this.policies.flatMap(({ buckets }) => (buckets instanceof RateBucket ? [buckets] : []))
    const partitioned = this.policies.flatMap(({ buckets }) => (buckets instanceof RateBucket ? [] : [buckets]))
    for (const policy of partitioned) policy.forget(now)
    const told = [
      this.common,
      ...this.named.values(),
      ...[...this.routes.values()].flatMap(({ route }) => route.own ?? [])
    ]
    const left = [...told, ...plain].map((bucket) => bucket.left(now)).filter((left) => left !== undefined)
    const always = this.policies.filter(({ match }) => match === undefined).map(({ buckets }) => buckets)
    const buckets = [this.common, ...always.filter((bucket) => bucket instanceof RateBucket)]
    return {
      remaining: left.length === 0 ? null : Math.min(...left),
      waitMillis: this.wait({ route: { buckets, own: undefined }, cost: 1, rank: 0 }, now),
      waiting: this.waiting,
      usage: [...[...plain, ...told].flatMap((bucket) => bucket.usage(now)), ...this.concurrencyUsage()],
      partitions: partitioned.reduce((sum, policy) => sum + policy.size, 0),
      share: this.share
    }
  }
}
