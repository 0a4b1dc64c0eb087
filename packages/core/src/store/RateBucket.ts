/**
 * Limits that are kept to together: those of one policy, for one partition key where the policy has such, and those that answers told of. @since 0.1.0
 */
import type { ResolvedRatePolicy, WindowLimit } from "../definition/RatePlan.ts"
import type { Rank } from "../vocabulary/TrafficClass.ts"
import type { Demand, Told, WindowUsage } from "./RateWindow.ts"
import { Alarm, DeclaredWindow, ToldWindow } from "./RateWindow.ts"

/** How much of one limit is used. @category models @since 0.1.0 */
export interface Usage extends WindowUsage {
  /** Name of the policy, or of the limit as the provider's answers have it. */
  readonly limitName: string
  /** Key of the partition, where the policy is counted for each. */
  readonly partition: string | null
}

/** Limits that answers told of, by name, in one bucket; further ones are taken for the last. @category constants @since 0.1.0 */
export const maxTold = 16

/** How somebody in line stands to a limit: its tokens are there, are not there yet, or are awaited by somebody before. @category models @since 0.1.0 */
export type Contention = "free" | "short" | "behind"

/**
 * Tokens are held while a call may still be refused, and spent when it is sent: what is given back was never counted. @category models @since 0.1.0
 */
export class RateBucket {
  readonly name: string
  readonly partition: string | null
  private readonly windows: Array<DeclaredWindow>
  private readonly told: Array<ToldWindow> = []
  private held = 0
  private blockedUntil = 0
  /** Tokens that those in line need of it, by class. */
  private readonly wanted: [number, number, number] = [0, 0, 0]
  /** The alarm of a policy that is counted by partition is one for all keys, so that many keys do not ring at once. */
  private readonly alarm: Alarm | undefined
  /** Another bucket whose tokens are needed whenever this one's are. */
  private beside: RateBucket | undefined = undefined
  /** The last look at the line in which somebody was found to wait for it. */
  private contested = 0

  constructor(
    name: string,
    limits: ReadonlyArray<WindowLimit> = [],
    of: { readonly partition?: string | undefined; readonly alarm?: Alarm | undefined } = {}
  ) {
    this.name = name
    this.partition = of.partition ?? null
    this.alarm = of.alarm
    this.windows = limits.map((limit) => new DeclaredWindow(limit, of.alarm))
  }

  /** Milliseconds until all its limits have the tokens; 0 if now. Behind a rank, those in line who go before it have theirs first. */
  wait(demand: Demand, now: number, behind?: Rank): number {
    const wait = this.waitOfOwn(demand, now, behind)
    return this.beside === undefined ? wait : Math.max(wait, this.beside.wait(demand, now, behind))
  }

  private waitOfOwn(demand: Demand, now: number, behind: Rank | undefined): number {
    const before = behind === undefined ? this.held : this.held + this.ahead(behind)
    let wait = this.blockedUntil > now ? this.blockedUntil - now : 0
    for (const window of this.windows) wait = Math.max(wait, window.wait(demand, before, now))
    for (const window of this.told) wait = Math.max(wait, window.wait(demand, before, now))
    return wait
  }

  /** Asks in one look at the line for somebody who stands in it: whether the tokens are there, are not yet, or somebody before waits for them. */
  contend(demand: Demand, now: number, look: number): Contention {
    const beside = this.beside?.contend(demand, now, look) ?? "free"
    if (this.contested === look) return "behind"
    if (this.waitOfOwn(demand, now, undefined) === 0) return beside
    this.contested = look
    return beside === "behind" ? beside : "short"
  }

  hold(cost: number): void {
    this.held += cost
    this.beside?.hold(cost)
  }

  /** Gives back what was held. */
  free(cost: number): void {
    this.held -= cost
    this.beside?.free(cost)
  }

  /** Counts what was held: it leaves now. The first limit whose alarm that rings. */
  spend(cost: number, now: number, alarmAt: number): Usage | undefined {
    let alarmed: Usage | undefined
    this.held -= cost
    for (const window of this.windows) {
      if (window.spend(cost, now, alarmAt)) alarmed ??= this.usageOf(this.name, window.usage(now))
    }
    for (const window of this.told) window.spend(cost)
    this.beside?.spend(cost, now, alarmAt)
    return alarmed
  }

  /** Needs the tokens of another bucket too from now on, also for what is held and awaited already. */
  putBeside(other: RateBucket): void {
    if (this.beside === other) return
    const before = this.beside
    before?.free(this.held)
    other.hold(this.held)
    for (const rank of [0, 1, 2] as const) {
      before?.unwant(this.wanted[rank], rank)
      other.want(this.wanted[rank], rank)
    }
    this.beside = other
  }

  /** Learns what an answer told of the limit of this name. The usage, if that rings its alarm. */
  learn(name: string, told: Told, now: number, alarmAt: number): Usage | undefined {
    const window = this.told.find((known) => known.name === name) ?? this.openTold(name, now)
    if (!window.learn(told, now, alarmAt)) return undefined
    const usage = window.usage(now)
    return usage && this.usageOf(window.name, usage)
  }

  private openTold(name: string, now: number): ToldWindow {
    const idle = this.told.length < maxTold ? -1 : this.told.findIndex((known) => known.isIdle(now))
    const last = this.told.at(-1)
    if (this.told.length >= maxTold && idle === -1 && last !== undefined) return last
    const opened = new ToldWindow(name)
    if (idle === -1) this.told.push(opened)
    else this.told[idle] = opened
    return opened
  }

  /** Lets nothing through for so long. */
  block(millis: number, now: number): void {
    this.blockedUntil = Math.max(this.blockedUntil, now + millis)
  }

  /** Somebody joins the line who needs tokens of it. */
  want(cost: number, rank: Rank): void {
    this.wanted[rank] += cost
    this.beside?.want(cost, rank)
  }

  /** Somebody left the line. */
  unwant(cost: number, rank: Rank): void {
    this.wanted[rank] -= cost
    this.beside?.unwant(cost, rank)
  }

  /** Tokens that go first: those in line of the same class, and of those before it. */
  private ahead(rank: Rank): number {
    const [first, second, third] = this.wanted
    return rank === 0 ? first : rank === 1 ? first + second : first + second + third
  }

  /** Other limits from now on; what was spent stays spent in those that have the same window. */
  retune(limits: ReadonlyArray<WindowLimit>, now: number): void {
    const before = [...this.windows]
    this.windows.length = 0
    for (const limit of limits) {
      const index = before.findIndex(({ windowMillis }) => windowMillis === limit.windowMillis)
      // Each is kept once, also where two limits have the same window.
      const [kept] = index === -1 ? [] : before.splice(index, 1)
      kept?.retune(limit, now)
      this.windows.push(kept ?? new DeclaredWindow(limit, this.alarm))
    }
  }

  /** Whether it is as good as new: full, blocked by nothing, and nobody holds or awaits anything of it. */
  isIdle(now: number): boolean {
    return (
      this.held === 0 &&
      this.ahead(2) === 0 &&
      this.blockedUntil <= now &&
      this.windows.every((window) => window.isIdle(now)) &&
      this.told.every((window) => window.isIdle(now))
    )
  }

  /** The least that is left by what the provider told, or `undefined` when nobody knows. */
  left(now: number): number | undefined {
    const known = this.told.map((window) => window.left(now)).filter((left) => left !== undefined)
    return known.length === 0 ? undefined : Math.min(...known)
  }

  usage(now: number): ReadonlyArray<Usage> {
    return [
      ...this.windows.map((window) => this.usageOf(this.name, window.usage(now))),
      ...this.told.flatMap((window) => {
        const usage = window.usage(now)
        return usage === undefined ? [] : [this.usageOf(window.name, usage)]
      })
    ]
  }

  private usageOf(limitName: string, usage: WindowUsage): Usage {
    return { limitName, partition: this.partition, ...usage }
  }
}

/** A key's bucket, between those that were used before and after it. */
interface Entry {
  readonly key: string
  readonly bucket: RateBucket
  older: Entry | undefined
  newer: Entry | undefined
}

/**
 * The buckets of a policy that counts for each key by itself. Keys that have come to rest are forgotten, the one that was not used for longest first; when there is no room for
 * another key, those that are new share one bucket. @category models @since 0.1.0
 */
export class PartitionedBuckets {
  private readonly byKey = new Map<string, Entry>()
  /** A list of its own, since a `Map` whose entries are moved to its end is slow to say which is the first. */
  private oldest: Entry | undefined = undefined
  private newest: Entry | undefined = undefined
  private readonly alarm = new Alarm()
  private readonly shared: RateBucket
  private max: number
  private limits: ReadonlyArray<WindowLimit>

  constructor(policy: ResolvedRatePolicy, max: number) {
    this.limits = policy.windows
    this.max = max
    this.shared = new RateBucket(policy.name, policy.windows, { alarm: this.alarm })
  }

  /** Keys that are remembered. */
  get size(): number {
    return this.byKey.size
  }

  /** The bucket of a key, as the one that was used last. Calls without a key share one. */
  of(key: string | undefined, now: number): RateBucket {
    this.forget(now)
    if (key === undefined) return this.shared
    const found = this.byKey.get(key)
    if (found === undefined && this.byKey.size >= this.max) return this.shared
    if (found !== undefined) this.unlink(found)
    const entry = found ?? this.open(key)
    entry.older = this.newest
    if (this.newest === undefined) this.oldest = entry
    else this.newest.newer = entry
    this.newest = entry
    return entry.bucket
  }

  private open(key: string): Entry {
    const bucket = new RateBucket(this.shared.name, this.limits, { partition: key, alarm: this.alarm })
    const entry = { key, bucket, older: undefined, newer: undefined }
    this.byKey.set(key, entry)
    return entry
  }

  private unlink(entry: Entry): void {
    const { newer, older } = entry
    if (older === undefined) this.oldest = newer
    else older.newer = newer
    if (newer === undefined) this.newest = older
    else newer.older = older
    entry.older = entry.newer = undefined
  }

  /** Forgets the keys that have come to rest, from the one that was not used for longest up to one that has not. */
  forget(now: number): void {
    for (let entry = this.oldest; entry?.bucket.isIdle(now) === true; entry = this.oldest) {
      this.unlink(entry)
      this.byKey.delete(entry.key)
    }
  }

  /** Remembers so many keys from now on. Those that are known stay until they are at rest. */
  resize(max: number): void {
    this.max = max
  }

  retune(limits: ReadonlyArray<WindowLimit>, now: number): void {
    this.limits = limits
    this.shared.retune(limits, now)
    for (const { bucket } of this.byKey.values()) bucket.retune(limits, now)
  }
}
