/**
 * Gives spans ids that are the same in every run: Effect's own are random. A tracer of the user's sees the same spans, with these ids on their parents. @since 0.1.0
 */
import type * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import { hashOf, hexOf } from "./Draw.ts"
import type { FiberRecord } from "./FiberRecord.ts"

/** @category models @since 0.1.0 */
export interface Options {
  /** The fiber that runs now. */
  readonly owner: () => FiberRecord
  /** Told of everything, so that spans can be asserted on or exported. Default none. */
  readonly tracer?: Tracer.Tracer | undefined
}

type SpanOptions = Parameters<Tracer.Tracer["span"]>[0]

/** A span with given ids that tells another one everything it hears. */
class SimulatedSpan extends Tracer.NativeSpan {
  private readonly id: string
  private readonly inner: Tracer.Span | undefined

  constructor(options: SpanOptions, id: string, inner: Tracer.Span | undefined) {
    super(options)
    this.id = id
    this.inner = inner
  }

  override get spanId(): string {
    return this.id
  }

  override get traceId(): string {
    return Option.match(this.parent, { onNone: () => this.id.repeat(2), onSome: ({ traceId }) => traceId })
  }

  override end(endTime: bigint, exit: Exit.Exit<unknown, unknown>): void {
    super.end(endTime, exit)
    this.inner?.end(endTime, exit)
  }

  override attribute(key: string, value: unknown): void {
    super.attribute(key, value)
    this.inner?.attribute(key, value)
  }

  override event(name: string, startTime: bigint, attributes?: Record<string, unknown>): void {
    super.event(name, startTime, attributes)
    this.inner?.event(name, startTime, attributes)
  }

  override addLinks(links: ReadonlyArray<Tracer.SpanLink>): void {
    super.addLinks(links)
    this.inner?.addLinks(links)
  }
}

/** @category constructors @since 0.1.0 */
export const make = ({ owner, tracer }: Options): Tracer.Tracer => {
  const { context } = tracer ?? {}
  return Tracer.make({
    span: (options) => {
      const record = owner()
      const id = `${hexOf(hashOf(record.name))}${hexOf(++record.spans)}`
      return new SimulatedSpan(options, id, tracer?.span({ ...options, links: [...options.links] }))
    },
    ...(context === undefined ? {} : { context })
  })
}
