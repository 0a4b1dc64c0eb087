/**
 * The metrics of one operation over one connection, each series made once with its labels in it, so that an update looks nothing up but the series. What labels hold
 * is declared (names of operations, templates, the declaration's own host) or of a closed list (statuses, outcomes, reasons): their number does not grow with traffic.
 * @internal
 */
import type * as Context from "effect/Context"
import type * as Metric from "effect/Metric"
import type { Operation } from "../definition/Operation.ts"
import * as Telemetry from "../vocabulary/Telemetry.ts"
import * as Peer from "./Peer.ts"

type Series = Metric.Metric<number, unknown>
type Labels = Readonly<Record<string, string>>

const { attribute } = Telemetry

/** What the metrics of an operation need to know of its connection. @category models @since 0.1.0 */
export interface Owner {
  readonly provider: string
  readonly environment?: string | undefined
  readonly origin?: string | undefined
  /** Whether the origin is the declaration's own, and with it one of few. */
  readonly declaredOrigin?: boolean | undefined
}

const ofOwner = ({ environment, provider }: Owner, operation: Operation): Labels => ({
  [attribute.provider]: provider,
  [attribute.operation]: operation.name,
  ...(environment === undefined ? {} : { [attribute.environment]: environment })
})

/** What the conventions want of `http.client.request.duration`; a host that the caller chose is left out, since there may be any number. */
const ofHttp = ({ declaredOrigin, origin }: Owner, operation: Operation): Labels => {
  const peer = declaredOrigin === true && origin !== undefined ? Peer.of(origin) : undefined
  return {
    [attribute.method]: operation.method,
    ...(operation.template === "" ? {} : { [attribute.template]: operation.template }),
    ...(peer === undefined ? {} : { [attribute.address]: peer.address, [attribute.port]: String(peer.port) })
  }
}

/** What tells the series of one metric apart: the values, since their names are the same in all of them. Nothing is made for one label or none, which is what almost all have. */
const keyOf = (labels: Labels): string => {
  let key = ""
  for (const name in labels) key = key === "" ? (labels[name] ?? "") : `${key} ${labels[name]}`
  return key
}

/** @category models @since 0.1.0 */
export class BoundMetrics {
  private readonly base: Labels
  private readonly http: Labels
  private readonly ends = new Map<string, { readonly count: Series; readonly duration: Series }>()
  private readonly answers = new Map<number | string, Series>()
  private readonly claims = new Map<Telemetry.RecordClaim, Series>()
  private readonly kept = new Map<Telemetry.Answered, Series>()
  private readonly others = new Map<Series, Map<string, Series>>()

  constructor(owner: Owner, operation: Operation) {
    this.base = ofOwner(owner, operation)
    this.http = { ...this.base, ...ofHttp(owner, operation) }
  }

  /** A call has ended. */
  ended(outcome: Telemetry.Outcome, seconds: number, context: Context.Context<never>): void {
    const { count, duration } = this.ends.get(outcome) ?? this.bindEnd(outcome)
    count.updateUnsafe(1, context)
    duration.updateUnsafe(seconds, context)
  }

  private bindEnd(outcome: Telemetry.Outcome) {
    const labels = { ...this.base, [attribute.outcome]: outcome }
    const made = {
      count: Telemetry.bind(Telemetry.calls, labels),
      duration: Telemetry.bind(Telemetry.callDuration, labels)
    }
    this.ends.set(outcome, made)
    return made
  }

  /** An attempt over HTTP has ended: with a status if one came, with the type of its error if it failed. */
  requested(
    status: number | undefined,
    errorType: string | undefined,
    seconds: number,
    context: Context.Context<never>
  ): void {
    const key = errorType === undefined ? (status ?? 0) : `${status ?? 0} ${errorType}`
    const series = this.answers.get(key) ?? this.bindAnswer(key, status, errorType)
    series.updateUnsafe(seconds, context)
  }

  private bindAnswer(key: number | string, status: number | undefined, errorType: string | undefined): Series {
    const made = Telemetry.bind(Telemetry.requestDuration, {
      ...this.http,
      ...(status === undefined ? {} : { [attribute.status]: String(status) }),
      ...(errorType === undefined ? {} : { [attribute.errorType]: errorType })
    })
    this.answers.set(key, made)
    return made
  }

  /** A record was asked for. */
  claimed(outcome: Telemetry.RecordClaim, context: Context.Context<never>): void {
    const series =
      this.claims.get(outcome) ?? Telemetry.bind(Telemetry.claims, { ...this.base, [attribute.outcome]: outcome })
    this.claims.set(outcome, series)
    series.updateUnsafe(1, context)
  }

  /** A call of an operation that keeps answers has its own. */
  answered(how: Telemetry.Answered, context: Context.Context<never>): void {
    const series = this.kept.get(how) ?? this.bindKept(how)
    series.updateUnsafe(1, context)
  }

  private bindKept(how: Telemetry.Answered): Series {
    const made = Telemetry.bind(Telemetry.answers, { ...this.base, [attribute.outcome]: how })
    this.kept.set(how, made)
    return made
  }

  /** Anything else has happened. The values of labels must be few: each makes a series. */
  observe(metric: Series, context: Context.Context<never>, labels: Labels = {}, amount = 1): void {
    const series = this.others.get(metric)?.get(keyOf(labels)) ?? this.bindOther(metric, labels)
    series.updateUnsafe(amount, context)
  }

  private bindOther(metric: Series, labels: Labels): Series {
    const bound = this.others.get(metric) ?? new Map<string, Series>()
    const made = Telemetry.bind(metric, { ...this.base, ...labels })
    bound.set(keyOf(labels), made)
    this.others.set(metric, bound)
    return made
  }
}
