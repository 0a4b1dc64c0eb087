/**
 * A suite that any provider must pass, out of its declaration: each operation under each fault, judged by its safety, with the ledger of the simulated provider as oracle.
 * Nothing waits: each case is a run of the kernel. @since 0.1.0
 */
import * as Exit from "effect/Exit"
import * as Predicate from "effect/Predicate"
import type { Fault } from "../Fault.ts"
import * as Faults from "../Fault.ts"
import * as Hint from "../Hint.ts"
import type { Register } from "../Vitest.ts"
import type { AnyOptions, Options, Sample } from "./Options.ts"
import { ConformanceError } from "./Options.ts"
import type { Violation as Broken } from "./Rules.ts"
import * as Rules from "./Rules.ts"
import * as Samples from "./Samples.ts"
import type { Subject } from "./Subject.ts"
import * as Subjects from "./Subject.ts"
import * as Summaries from "./Summary.ts"
import type { Strike, Trial } from "./Trial.ts"
import * as Trials from "./Trial.ts"

export type { NamesOf, OperationOptions, Options, RequestOf, Sample } from "./Options.ts"
export { ConformanceError } from "./Options.ts"
export type { Rule } from "./Rules.ts"

/** A rule that a case breaks. @category models @since 0.1.0 */
export interface Violation extends Broken {
  /** `group.endpoint`. */
  readonly operation: string
  readonly fault: string
}

/** One call under one fault. @category models @since 0.1.0 */
export interface Case {
  readonly operation: string
  readonly fault: string
  /** What the call came to, such as `success` or `RetryableError (Timeout)`: under the fault once, and under the fault at every attempt. */
  readonly outcomes: ReadonlyArray<string>
  readonly violations: ReadonlyArray<Violation>
}

/** What a suite came to. @category models @since 0.1.0 */
export interface Report {
  readonly provider: string
  readonly operations: ReadonlyArray<{ readonly operation: string; readonly safety: string }>
  readonly cases: ReadonlyArray<Case>
  readonly violations: ReadonlyArray<Violation>
  /** Operations that were left out, those of which the ledger says nothing, and declared errors that no case came to. */
  readonly notExercised: ReadonlyArray<string>
}

/** What strikes, unless a suite says otherwise. @category constants @since 0.1.0 */
export const faults: ReadonlyArray<Fault> = [
  Faults.latency("50 millis"),
  Faults.latency("5 minutes"),
  Faults.refused,
  Faults.dns(),
  Faults.tls(),
  Faults.connectBlackhole(),
  Faults.resetBefore,
  Faults.lostResponse,
  Faults.blackhole(),
  Faults.blackhole({ processed: true }),
  Faults.silence,
  Faults.truncated(0),
  Faults.truncated(0.5),
  Faults.trickle(),
  Faults.trickle({ pieces: 100 }),
  Faults.contentType(),
  Faults.hugeHeaders(),
  Faults.garbage,
  Faults.html(),
  Faults.html(502),
  Faults.emptyBody,
  Faults.hugeBody(),
  Faults.hugeBody({ announced: false }),
  Faults.status(401),
  Faults.status(403),
  Faults.status(404),
  Faults.status(408),
  Faults.status(409),
  Faults.status(500),
  Faults.status(500, { processed: true }),
  Faults.status(502, { processed: true }),
  Faults.status(503),
  Faults.status(503, { hint: Hint.seconds(2) }),
  Faults.status(504, { processed: true }),
  Faults.rateLimited(),
  Faults.rateLimited(Hint.seconds(2)),
  Faults.rateLimited(Hint.aDay),
  Faults.rateLimited(Hint.unreadable()),
  Faults.clockSkew({ ahead: "5 minutes" }),
  Faults.clockSkew({ ahead: "5 minutes" }, Faults.status(503, { hint: Hint.httpDate(2) })),
  Faults.clockSkew({ behind: "5 minutes" }, Faults.status(503, { hint: Hint.httpDate(2) })),
  Faults.crash(),
  Faults.crash({ processed: true }),
  Faults.crash({ processed: true, status: 503 })
]

const erased = <I, C, E>(options: Options<I, C, E>): AnyOptions => options as unknown as AnyOptions

/** Statuses of a refusal that quotes the request, beside the faults. */
const quoted = [400, 500]

const strikesOf = (faults: ReadonlyArray<Fault>): ReadonlyArray<readonly [name: string, ReadonlyArray<Strike>]> => [
  ...faults.map((fault): readonly [string, ReadonlyArray<Strike>] => [
    fault.name,
    [
      { name: fault.name, fault, how: "first" },
      { name: fault.name, fault, how: "every" }
    ]
  ]),
  ...quoted.map((status): readonly [string, ReadonlyArray<Strike>] => {
    const name = `status ${status} that quotes the request`
    return [name, [{ name, fault: Faults.none, how: "every", quotes: status }]]
  })
]

/** What the case of an operation's drifts is called. @category constants @since 0.1.0 */
export const drifting = "drift at any place of the answer"

/** Every place of an operation's answer that may drift, as one case: there are many, and they are told apart by the messages. */
const driftsOf = ({ drifts }: Subject): ReadonlyArray<readonly [name: string, ReadonlyArray<Strike>]> =>
  drifts.length === 0 ? [] : [[drifting, drifts.map((fault): Strike => ({ name: drifting, fault, how: "every" }))]]

/** A request that succeeds, and how much one call leaves. */
interface Prepared {
  readonly sample: Sample<unknown, unknown>
  readonly usual: number
}

/** What is known of a suite as it goes on: which requests work, and what came about. */
class Progress {
  readonly options: AnyOptions
  readonly tried: ReadonlyArray<Subject>
  readonly skipped: ReadonlyArray<string>
  readonly cases: Array<Case> = []
  private readonly prepared = new Map<string, Prepared | ConformanceError>()
  private readonly met = new Set<string>()
  private readonly common: ReadonlyArray<readonly [name: string, ReadonlyArray<Strike>]>

  constructor(options: AnyOptions) {
    this.options = options
    const { skipped, tried } = Subjects.all(options)
    this.tried = tried
    this.skipped = skipped
    this.common = strikesOf(Subjects.faultsOf(options.faults, faults))
  }

  /** What is to strike an operation. Its drifts do unless the suite names its faults. */
  strikes(subject: Subject): ReadonlyArray<readonly [name: string, ReadonlyArray<Strike>]> {
    return this.options.faults === undefined ? [...this.common, ...driftsOf(subject)] : this.common
  }

  /** The operation with nothing wrong. Throws a `ConformanceError` where it cannot be tried at all. */
  undisturbed(subject: Subject): Case {
    const { sample, usual } = this.ready(subject)
    return this.judge(subject, sample, usual, [Trials.undisturbed])
  }

  struck(subject: Subject, strikes: ReadonlyArray<Strike>): Case {
    const { sample, usual } = this.ready(subject)
    return this.judge(subject, sample, usual, strikes)
  }

  /** Brings about the errors that the user has a request for. Throws a `ConformanceError` for one that ends otherwise. */
  declared(subject: Subject): ReadonlyArray<Case> {
    const { usual } = this.ready(subject)
    return Object.entries(subject.options.errors ?? {}).map(([tag, sample]) => {
      const tried = this.judge(subject, sample, usual, [{ ...Trials.undisturbed, name: `its error ${tag}` }])
      if (tried.outcomes.includes(tag)) return tried
      const { name } = subject.operation
      throw new ConformanceError(`${name}: the request in errors.${tag} ends with ${tried.outcomes.join(", ")}`)
    })
  }

  report(): Report {
    const missed = this.tried.flatMap((subject) =>
      subject.declared
        .filter((tag) => !this.met.has(`${subject.path} ${tag}`))
        .map((tag) => `${subject.path}: no case ends with ${tag}, which it declares; give a request, as errors.${tag}`)
    )
    const unjudged = this.tried.filter(({ operation, path }) => {
      const known = this.prepared.get(path)
      return operation.safety !== "safe" && known !== undefined && "usual" in known && known.usual === 0
    })
    return {
      provider: this.options.provider.name,
      operations: this.tried.map(({ operation: { safety }, path }) => ({ operation: path, safety })),
      cases: this.cases,
      violations: this.cases.flatMap(({ violations }) => violations),
      notExercised: [
        ...this.skipped.map((path) => `${path}: left out`),
        ...unjudged.map(({ path }) => `${path}: one call leaves nothing in the ledger, so its work is not judged`),
        ...missed
      ]
    }
  }

  private ready(subject: Subject): Prepared {
    const known = this.prepared.get(subject.path) ?? this.prepare(subject)
    this.prepared.set(subject.path, known)
    if (known instanceof ConformanceError) throw known
    return known
  }

  private prepare(subject: Subject): Prepared | ConformanceError {
    try {
      return this.firstThatWorks(subject)
    } catch (error) {
      if (error instanceof ConformanceError) return error
      throw error
    }
  }

  private firstThatWorks(subject: Subject): Prepared {
    const { name } = subject.operation
    const given = subject.options.request
    const samples: ReadonlyArray<Sample<unknown, unknown>> = given === undefined ? Samples.of(subject) : [given]
    let last = ""
    for (const sample of samples) {
      const trial = Trials.run(this.options, subject, sample, Trials.undisturbed)
      if (trial._tag === "Stuck") throw new ConformanceError(`${name}: with nothing wrong, ${trial.why}`)
      const { call, request } = trial.observed
      if (Exit.isSuccess(call.exit)) return { sample, usual: usualOf(subject, trial.observed) }
      last = `${shown(request)} ends with ${Rules.outcomeOf(call)}${messageOf(Rules.errorOf(call))}`
    }
    throw new ConformanceError(
      given === undefined
        ? `${name}: no request made from its schemas succeeds (the last, ${last}): give one, as operations["${subject.path}"].request`
        : `${name}: its request must succeed with nothing wrong: ${last}`
    )
  }

  private judge(
    subject: Subject,
    sample: Sample<unknown, unknown>,
    usual: number,
    strikes: ReadonlyArray<Strike>
  ): Case {
    const { provider } = this.options
    const outcomes: Array<string> = []
    const broken = new Map<string, Broken>()
    for (const strike of strikes) {
      const trial = Trials.run(this.options, subject, sample, strike)
      outcomes.push(trial._tag === "Stuck" ? "hangs" : Rules.outcomeOf(trial.observed.call))
      this.meet(subject, trial)
      const found: ReadonlyArray<Broken> =
        trial._tag === "Stuck"
          ? [{ rule: "ends", message: trial.why }]
          : Rules.broken({ provider, subject, strike, usual, seen: trial.observed })
      for (const each of found) {
        const message = strike.name === drifting ? `${strike.fault.name}: ${each.message}` : each.message
        broken.set(`${each.rule} ${message}`, { rule: each.rule, message })
      }
    }
    const fault = strikes[0]?.name ?? Trials.undisturbed.name
    const violations = [...broken.values()].map((each) => ({ ...each, operation: subject.path, fault }))
    const done = { operation: subject.path, fault, outcomes, violations }
    this.cases.push(done)
    return done
  }

  private meet(subject: Subject, trial: Trial): void {
    if (trial._tag === "Observed") this.met.add(`${subject.path} ${Rules.outcomeOf(trial.observed.call)}`)
  }
}

const messageOf = (error: unknown): string =>
  Predicate.isError(error) && error.message !== "" ? `: ${error.message}` : ""

const shown = (request: unknown): string => {
  const text = JSON.stringify(request) ?? "nothing"
  return text.length > 200 ? `${text.slice(0, 199)}…` : text
}

/** How many units of work one undisturbed call leaves. Throws a `ConformanceError` for a write of which the ledger cannot tell how often it was done. */
const usualOf = (subject: Subject, { call }: Trials.Observed): number => {
  const { counts } = subject.options
  const { name, safety } = subject.operation
  const work = Rules.workOf(subject, call.entries)
  if (!Subjects.isWrite(subject) || counts === "nothing" || work.length === 1) return work.length
  const kind = counts === undefined ? "" : ` of kind "${counts}"`
  if (work.length === 0) {
    throw new ConformanceError(
      `${name} is ${safety} and succeeded, and the ledger has nothing${kind}: record what it does in its handler, or say counts: "nothing" if it does nothing (the ledger has ${Rules.inWords(call.entries)})`
    )
  }
  throw new ConformanceError(
    `${name} was called once, with nothing wrong, and did ${work.length} units of work${kind}: ${Rules.inWords(work)}; say which kind counts`
  )
}

const textOf = ({ operation, outcomes, violations }: Case): string =>
  [`${operation} breaks ${violations.length === 1 ? "a rule" : "rules"}; it ended with ${outcomes.join(", and with ")}`]
    .concat(violations.map(({ message, rule }) => `  ${rule}: ${message}`))
    .join("\n")

const passed = (tried: Case): void => {
  if (tried.violations.length > 0) throw new ConformanceError(textOf(tried))
}

/**
 * Tries every operation under every fault, and says what came of it. Everything is done when it returns: no promise, no time. Throws a `ConformanceError` where an operation
 * cannot be tried: no request that succeeds, no ledger, a name that is not declared. @category running @since 0.1.0
 */
export const check = <I, C, E>(options: Options<I, C, E>): Report => {
  const progress = new Progress(erased(options))
  for (const subject of progress.tried) {
    progress.undisturbed(subject)
    progress.declared(subject)
    for (const [, strikes] of progress.strikes(subject)) progress.struck(subject, strikes)
  }
  return progress.report()
}

/** A report as text: faults and operations, what is broken, what was not exercised. @category accessors @since 0.1.0 */
export const summary = (report: Report): string => Summaries.make(report)

/** @category models @since 0.1.0 */
export interface SuiteOptions<I, C, E> extends Options<I, C, E> {
  /** Told of everything when the last test has run, such as `(report) => console.log(Conformance.summary(report))`. Default: nobody. */
  readonly onReport?: ((report: Report) => void) | undefined
}

/** Vitest's `it`, or what is called alike; without `skip`, what is not exercised stands in the report only. @category models @since 0.1.0 */
export type Runner = Register & { readonly skip?: Register | undefined }

const nothing = (): void => undefined

/**
 * Registers one test for each operation and fault. What is not exercised, an operation that was left out or a declared error without a request, is a test that is skipped. Throws
 * a `ConformanceError` at once for an operation, an error or a fault that there is not. @category running @since 0.1.0
 */
export const suite = <I, C, E>(it: Runner, options: SuiteOptions<I, C, E>): void => {
  const progress = new Progress(erased(options))
  for (const subject of progress.tried) {
    const name = `${subject.path} (${subject.operation.safety})`
    const errors = subject.options.errors ?? {}
    it(`${name}: works with nothing wrong`, () => passed(progress.undisturbed(subject)))
    if (Object.keys(errors).length > 0)
      it(`${name}: ends with the errors it declares`, () => progress.declared(subject).forEach(passed))
    for (const [fault, strikes] of progress.strikes(subject)) {
      it(`${name}: ${fault}`, () => passed(progress.struck(subject, strikes)))
    }
    for (const tag of subject.declared) {
      if (!(tag in errors)) it.skip?.(`${name}: no request for its error ${tag}`, nothing)
    }
  }
  for (const path of progress.skipped) it.skip?.(`${path}: left out`, nothing)
  const { onReport } = options
  if (onReport !== undefined) it("the whole is told", () => onReport(progress.report()))
}
