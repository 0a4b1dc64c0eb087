/**
 * A tracer that keeps every span that was made, with everything that was put on it.
 */
import { Cause, Exit, Option, Tracer } from "effect"

export interface RecordedSpan {
  readonly name: string
  readonly kind: string
  readonly spanId: string
  readonly traceId: string
  readonly parent: string | undefined
  readonly attributes: Record<string, unknown>
  readonly events: Array<{ readonly name: string; readonly at: number; readonly attributes: Record<string, unknown> }>
  readonly startedAt: number
  endedAt: number | undefined
  /** `open`, `ok`, `interrupted`, `defect`, or the text of the error. */
  state: string
  exit: Exit.Exit<unknown, unknown> | undefined
  /** How often it was ended; more than once is a bug. */
  ends: number
}

const stateOf = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return "ok"
  if (Cause.hasDies(exit.cause)) return "defect"
  if (Cause.hasInterrupts(exit.cause)) return "interrupted"
  const error = Cause.squash(exit.cause)
  return error instanceof Error ? error.message : String(error)
}

const millis = (nanos: bigint): number => Number(nanos / 1_000_000n)

export class Recorder {
  readonly spans: Array<RecordedSpan> = []

  readonly tracer: Tracer.Tracer = Tracer.make({
    span: (options) => {
      const native = Tracer.nativeTracer.span(options)
      const recorded: RecordedSpan = {
        name: options.name,
        kind: options.kind,
        spanId: native.spanId,
        traceId: native.traceId,
        parent: Option.getOrUndefined(Option.map(options.parent, ({ spanId }) => spanId)),
        attributes: {},
        events: [],
        startedAt: millis(options.startTime),
        endedAt: undefined,
        state: "open",
        exit: undefined,
        ends: 0
      }
      this.spans.push(recorded)
      const end = native.end.bind(native)
      const attribute = native.attribute.bind(native)
      return Object.assign(native, {
        end: (at: bigint, exit: Exit.Exit<unknown, unknown>) => {
          recorded.ends++
          recorded.endedAt = millis(at)
          recorded.state = stateOf(exit)
          recorded.exit = exit
          end(at, exit)
        },
        attribute: (key: string, value: unknown) => {
          recorded.attributes[key] = value
          attribute(key, value)
        },
        event: (name: string, at: bigint, attributes: Record<string, unknown> = {}) => {
          recorded.events.push({ name, at: millis(at), attributes })
        }
      })
    }
  })

  /** The names in the order in which they were begun. */
  get names(): ReadonlyArray<string> {
    return this.spans.map(({ name }) => name)
  }
}
