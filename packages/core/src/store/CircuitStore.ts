/**
 * What processes tell one another about circuits: which are open, for how long, why, and who has found it. Each of them is kept until it is over, by the store's own clock, and goes by itself.
 *
 * **When it is down** each process finds an outage by itself: it fails *open*. Nothing here is asked in the path of a call.
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Place, StoreError } from "./StoreError.ts"
import { keyProblem, make as storeError } from "./StoreError.ts"

/** Who says what of which circuit. @category models @since 0.1.0 */
export interface Finding {
  /** Name of the circuit, the same in all processes: 1 to 512 characters, none of them a control character. */
  readonly circuit: string
  /** Name of the process that has found it; as long as a circuit's. */
  readonly member: string
  /** Counts what the member has found of this circuit: the same for openings between which it never closed there. */
  readonly incident: number
  /** Why it opened. Of more than 200 characters the others are left out, and a control character is a space. */
  readonly reason: string
}

/** @category models @since 0.1.0 */
export interface Telling extends Finding {
  /** How long it will still be open: more than 0, at most an hour. */
  readonly openMillis: number
}

/** @category models @since 0.1.0 */
export interface Told extends Finding {
  /** How long it will still be open, as of the answer. */
  readonly leftMillis: number
}

/** What one process tells at a time: at most 256 of each. @category models @since 0.1.0 */
export interface News {
  /** In place of what the member has told of the same circuit. */
  readonly opened: ReadonlyArray<Telling>
  /** Names of circuits: what anybody has told of them is over. It comes before what is opened. */
  readonly closed: ReadonlyArray<string>
}

type Exchange = (news: News) => Effect.Effect<ReadonlyArray<Told>, StoreError>

/** @category services @since 0.1.0 */
export class CircuitStore extends Context.Service<
  CircuitStore,
  {
    /** Tells that a circuit is open. */
    readonly tell: (telling: Telling) => Effect.Effect<void, StoreError>
    /** The circuits that are open now, as each member tells it. */
    readonly told: Effect.Effect<ReadonlyArray<Told>, StoreError>
    /** A probe was answered well somewhere: nobody else is to open this circuit for what was told until now. */
    readonly close: (circuit: string) => Effect.Effect<void, StoreError>
    /** All of it in one request: tells, closes, and says what is open after that. */
    readonly exchange: Exchange
  }
>()("@breakwater/core/CircuitStore") {
  /** In memory: among the fibers of one process. */
  static readonly layerMemory: Layer.Layer<CircuitStore> = Layer.sync(CircuitStore, () => memory())
}

/** The bounds that hold in every adapter. @category constants @since 0.1.0 */
export const limits = {
  /** Findings that are kept; of more, those that are over first go. */
  findings: 512,
  /** Of each kind in one request. */
  news: 256,
  openMillis: 3_600_000,
  reasonLength: 200
} as const

/** @category constants @since 0.1.0 */
export const place: Place = { store: "circuit", operation: "exchange" }

/** Why a name cannot be told, or `undefined`. @category guards @since 0.1.0 */
export const problemOf = (field: "circuit" | "member", name: string): StoreError | undefined =>
  keyProblem(place, field, name)

const problemOfTelling = ({ circuit, incident, member, openMillis }: Telling): StoreError | undefined => {
  const ofNames = problemOf("circuit", circuit) ?? problemOf("member", member)
  if (ofNames !== undefined) return ofNames
  if (!(openMillis > 0 && openMillis <= limits.openMillis))
    return storeError(
      place,
      "invalid",
      `openMillis must be more than 0 and at most ${limits.openMillis}, is ${openMillis}`
    )
  return Number.isSafeInteger(incident)
    ? undefined
    : storeError(place, "invalid", `incident must be a whole number, is ${incident}`)
}

const problemOfNews = ({ closed, opened }: News): StoreError | undefined => {
  for (const [field, { length }] of [
    ["opened", opened],
    ["closed", closed]
  ] as const)
    if (length > limits.news)
      return storeError(place, "invalid", `${field} must have at most ${limits.news} entries, has ${length}`)
  for (const telling of opened) {
    const problem = problemOfTelling(telling)
    if (problem !== undefined) return problem
  }
  for (const circuit of closed) {
    const problem = problemOf("circuit", circuit)
    if (problem !== undefined) return problem
  }
  return undefined
}

/** It ends in log lines of other processes. */
const plain = (reason: string): string => reason.replaceAll(/[\p{Cc}\p{Cs}]/gu, " ").slice(0, limits.reasonLength)

const nothing: News = { opened: [], closed: [] }

/** The store that is one atomic exchange; what is asked of it is checked before. @category constructors @since 0.1.0 */
export const make = (exchange: Exchange): CircuitStore["Service"] => {
  const checked: Exchange = (news) =>
    Effect.suspend(() => {
      const problem = problemOfNews(news)
      if (problem !== undefined) return Effect.fail(problem)
      const opened = news.opened.map((telling) => ({ ...telling, reason: plain(telling.reason) }))
      return exchange({ opened, closed: news.closed })
    })
  return CircuitStore.of({
    tell: (telling) => Effect.asVoid(checked({ opened: [telling], closed: [] })),
    told: checked(nothing),
    close: (circuit) => Effect.asVoid(checked({ opened: [], closed: [circuit] })),
    exchange: checked
  })
}

interface Kept extends Finding {
  readonly until: number
}

/** Findings by circuit and member, in the order in which they were told. */
class Findings {
  private readonly kept = new Map<string, Kept>()

  private forget(isOver: (finding: Kept) => boolean): void {
    for (const [key, finding] of this.kept) if (isOver(finding)) this.kept.delete(key)
  }

  exchange({ closed, opened }: News, now: number): ReadonlyArray<Told> {
    this.forget(({ circuit, until }) => until <= now || closed.includes(circuit))
    for (const { openMillis, ...finding } of opened)
      this.kept.set(`${finding.circuit}\n${finding.member}`, { ...finding, until: now + openMillis })
    const inTime = [...this.kept.values()].toSorted((a, b) => a.until - b.until)
    const beyond = new Set(inTime.slice(0, Math.max(0, inTime.length - limits.findings)))
    this.forget((finding) => beyond.has(finding))
    return inTime.slice(beyond.size).map(({ until, ...finding }) => ({ ...finding, leftMillis: until - now }))
  }
}

/** A store in memory, by the clock of whoever asks. @category constructors @since 0.1.0 */
export const memory = (): CircuitStore["Service"] => {
  const findings = new Findings()
  return make((news) =>
    Clock.clockWith((clock) => Effect.succeed(findings.exchange(news, clock.currentTimeMillisUnsafe())))
  )
}
