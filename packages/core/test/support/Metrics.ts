/** What was counted, as a test writes it down. */
import { Effect, Metric } from "effect"
import * as Telemetry from "@breakwater/core/Telemetry"

const { attribute } = Telemetry

/** Every metric that is ours, whoever added it. */
export const all: ReadonlyArray<Metric.Metric<never, unknown>> = Object.values<unknown>(Telemetry).filter((each) =>
  Metric.isMetric(each)
)

/** The labels of every metric of one operation of Acme, in its sandbox. */
export const labelsOf = (operation: string): Record<string, string> => ({
  [attribute.provider]: "acme",
  [attribute.operation]: operation,
  [attribute.environment]: "sandbox"
})

/** The value of one metric of one operation of Acme. */
export const valueOf = <State>(metric: Metric.Metric<number, State>, operation: string): Effect.Effect<State> =>
  Metric.value(Metric.withAttributes(metric, labelsOf(operation)))

/** Labels that tell nothing that a test would ask for: they are the same for a whole operation. */
const constant = new Set<string>(["unit", attribute.method, attribute.template, attribute.address, attribute.port])

/** Every series, by its name, its operation and what tells it from others of that: a count, or a count and a sum. */
export const counted = Effect.map(Metric.snapshot, (series) =>
  Object.fromEntries(
    series.map(({ attributes = {}, id, state }) => {
      const { [attribute.operation]: operation, ...labels } = attributes
      const base = labelsOf(operation ?? "")
      const text = Object.entries(labels)
        .filter(([name, value]) => !constant.has(name) && base[name] !== value)
        .map(([name, value]) => `${name.replace(/^breakwater\./u, "")}=${value}`)
      const value = "sum" in state ? [state.count, state.sum] : "count" in state ? state.count : undefined
      return [[id, operation, ...text].join(" "), value]
    })
  )
)
