/**
 * Everything that is not the program is decided here, one question at a time: which fault strikes an exchange, who runs next. The first choice of a menu always means that
 * nothing bad happens, so a run is told apart from the undisturbed one by the few questions that were answered otherwise. @since 0.1.0
 */
import { fraction, hashOf, hashOfNumber } from "./Draw.ts"

/** One question answered other than by the first choice of its menu. @category models @since 0.1.0 */
export interface Decision {
  /** Label and occurrence, as in `exchange POST /v1/charges#0`. */
  readonly key: string
  /** Name of the choice, so that a menu may be edited without changing what an old plan means. */
  readonly choice: string
}

/** A decision with the virtual time at which it was taken. @category models @since 0.1.0 */
export interface Taken extends Decision {
  /** Milliseconds since the run began. */
  readonly at: number
  /** What went on then, for the output. */
  readonly detail?: string | undefined
}

/**
 * Where answers come from: from a plan, in which what is not named stays undisturbed; or drawn, each question for itself, from the run's seed.
 * @category models @since 0.1.0
 */
export type Answers =
  | { readonly _tag: "Planned"; readonly decisions: ReadonlyArray<Decision> }
  | {
      readonly _tag: "Drawn"
      /** Share of the questions of the environment that are answered otherwise, from 0 to 1. */
      readonly faultRate: number
      /** Share of the questions of the scheduler that are answered otherwise, from 0 to 1. */
      readonly preemptRate: number
      /** Share of the questions whether to kill a process that are answered by a kill, from 0 to 1. Default 0. */
      readonly killRate?: number | undefined
    }

/** What questions are asked about: the same text in every run, whatever else happens. @category models @since 0.1.0 */
export class Label {
  readonly text: string
  /** Whose question it is. */
  readonly kind: Kind
  readonly hash: number
  readonly planned: ReadonlyMap<number, string> | undefined
  occurrences = 0

  constructor(text: string, seed: number, planned: ReadonlyMap<number, string> | undefined) {
    this.text = text
    this.kind = kindOf(text)
    this.hash = hashOf(text, hashOfNumber(seed, 0x811c9dc5))
    this.planned = planned
  }
}

/** A question that was asked. @category models @since 0.1.0 */
export interface Point {
  readonly label: Label
  readonly occurrence: number
  readonly menu: ReadonlyArray<string>
}

/** @category accessors @since 0.1.0 */
export const keyOf = ({ label, occurrence }: Pick<Point, "label" | "occurrence">): string =>
  `${label.text}#${occurrence}`

/** Who asks: the scheduler who runs next, a process whether it is killed, the environment whether something goes wrong. @category models @since 0.1.0 */
export type Kind = "scheduling" | "killing" | "environment"

/** Labels of the kernel's own begin with one of these words; those of the environment must not. */
const reservedWords: Readonly<Record<string, Kind>> = {
  preempt: "scheduling",
  wake: "scheduling",
  stall: "scheduling",
  kill: "killing",
  "kill-op": "killing"
}

/** Who asks a question, by its label or key. @category accessors @since 0.1.0 */
export const kindOf = (text: string): Kind => {
  const end = text.indexOf(" ")
  return (end === -1 ? undefined : reservedWords[text.slice(0, end)]) ?? "environment"
}

const rateOf = (kind: Kind, answers: Extract<Answers, { readonly _tag: "Drawn" }>): number =>
  kind === "scheduling" ? answers.preemptRate : kind === "killing" ? (answers.killRate ?? 0) : answers.faultRate

/** Questions that are remembered for a search; a run that asks more cannot be searched to the end. */
const maxPoints = 2_000_000

/** @category models @since 0.1.0 */
export interface Options {
  readonly answers: Answers
  readonly seed: number
  /** Whether to remember every question. */
  readonly points: boolean
  /** Milliseconds since the run began. */
  readonly elapsed: () => number
  readonly onTaken: (decision: Taken) => void
  /** The plan names a choice that its menu does not have. */
  readonly onUnknownChoice: (decision: Decision, menu: ReadonlyArray<string>) => void
}

type PlannedByLabel = ReadonlyMap<string, ReadonlyMap<number, string>>

const byLabel = (decisions: ReadonlyArray<Decision>): PlannedByLabel => {
  const labels = new Map<string, Map<number, string>>()
  for (const { choice, key } of decisions) {
    const end = key.lastIndexOf("#")
    const label = key.slice(0, end)
    const choices = labels.get(label) ?? new Map<number, string>()
    labels.set(label, choices.set(Number(key.slice(end + 1)), choice))
  }
  return labels
}

/** The questions and answers of one run. @category models @since 0.1.0 */
export class Decisions {
  readonly taken: Array<Taken> = []
  readonly points: Array<Point> = []
  /** Whether more questions were asked than are remembered. */
  overflown = false
  /** From when on nothing bad happens any more. */
  quiet = false
  private readonly options: Options
  private readonly planned: PlannedByLabel | undefined
  private readonly labels = new Map<string, Label>()
  private readonly drawn = new Map<string, number>()

  constructor(options: Options) {
    this.options = options
    this.planned = options.answers._tag === "Planned" ? byLabel(options.answers.decisions) : undefined
  }

  label(text: string): Label {
    const known = this.labels.get(text)
    if (known !== undefined) return known
    const label = new Label(text, this.options.seed, this.planned?.get(text))
    this.labels.set(text, label)
    return label
  }

  /** Index of the choice, 0 for the undisturbed one. The same label asked again is another question. */
  choose(text: string, menu: ReadonlyArray<string>): number {
    const label = this.label(text)
    return this.answer(label, label.occurrences++, menu)
  }

  /** The same, where whoever asks counts the occurrences. */
  answer(label: Label, occurrence: number, menu: ReadonlyArray<string>, detail?: () => string | undefined): number {
    if (this.quiet) return 0
    const choice = this.planned === undefined ? this.draw(label, occurrence, menu) : this.look(label, occurrence, menu)
    if (this.options.points) this.remember({ label, occurrence, menu })
    if (choice !== 0) {
      this.take({ key: keyOf({ label, occurrence }), choice: menu[choice] ?? "", detail: detail?.() })
    }
    return choice
  }

  /** From 0 to below 1: what a decision is filled with, such as how late an answer is. */
  uniform(text: string): number {
    const occurrence = this.drawn.get(text) ?? 0
    this.drawn.set(text, occurrence + 1)
    return fraction(hashOfNumber(occurrence, hashOf(text, this.options.seed ^ 0x2545f491)))
  }

  private look(label: Label, occurrence: number, menu: ReadonlyArray<string>): number {
    const choice = label.planned?.get(occurrence)
    if (choice === undefined) return 0
    const index = menu.indexOf(choice)
    if (index === -1) this.options.onUnknownChoice({ key: keyOf({ label, occurrence }), choice }, menu)
    return Math.max(index, 0)
  }

  private draw(label: Label, occurrence: number, menu: ReadonlyArray<string>): number {
    const { answers } = this.options
    if (answers._tag === "Planned" || menu.length < 2) return 0
    const hash = hashOfNumber(occurrence, label.hash)
    if (fraction(hash) >= rateOf(label.kind, answers)) return 0
    return 1 + Math.floor(fraction(hash ^ 0x6c62272e) * (menu.length - 1))
  }

  private remember(point: Point): void {
    if (this.points.length < maxPoints) this.points.push(point)
    else this.overflown = true
  }

  private take(decision: Omit<Taken, "at">): void {
    const taken = { ...decision, at: this.options.elapsed() }
    this.taken.push(taken)
    this.options.onTaken(taken)
  }
}
