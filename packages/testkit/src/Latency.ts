/**
 * How long answers take, as distributions: real latencies have tails, and it is the tail that a timeout meets. @since 0.1.0
 */
import * as Duration from "effect/Duration"

/** @category models @since 0.1.0 */
export type Latency =
  | { readonly _tag: "Uniform"; readonly fromMillis: number; readonly toMillis: number }
  | { readonly _tag: "Normal"; readonly meanMillis: number; readonly deviationMillis: number }
  | { readonly _tag: "LogNormal"; readonly medianMillis: number; readonly sigma: number }
  | { readonly _tag: "Pareto"; readonly leastMillis: number; readonly shape: number }

const millisOf = (duration: Duration.Input): number => Duration.toMillis(duration)

const positive = (of: string, field: string, value: number): number => {
  if (value > 0 && Number.isFinite(value)) return value
  throw new RangeError(`Latency.${of}: ${field} must be a finite number above 0, got ${value}`)
}

/** Anything from `from` to before `to`, equally likely. Throws a `RangeError` unless `to` is later. @category constructors @since 0.1.0 */
export const uniform = (options: { readonly from: Duration.Input; readonly to: Duration.Input }): Latency => {
  const fromMillis = millisOf(options.from)
  positive("uniform", "to − from in milliseconds", millisOf(options.to) - fromMillis)
  return { _tag: "Uniform", fromMillis, toMillis: millisOf(options.to) }
}

/** Around a mean; what would be below 0 is 0. @category constructors @since 0.1.0 */
export const normal = (options: { readonly mean: Duration.Input; readonly deviation: Duration.Input }): Latency => ({
  _tag: "Normal",
  meanMillis: millisOf(options.mean),
  deviationMillis: positive("normal", "deviation in milliseconds", millisOf(options.deviation))
})

/** What servers look like: half of the answers before the median, few of them much later. `sigma` is the deviation of the logarithm. Default 0.5. @category constructors @since 0.1.0 */
export const logNormal = (options: {
  readonly median: Duration.Input
  readonly sigma?: number | undefined
}): Latency => ({
  _tag: "LogNormal",
  medianMillis: positive("logNormal", "median in milliseconds", millisOf(options.median)),
  sigma: positive("logNormal", "sigma", options.sigma ?? 0.5)
})

/** A heavy tail: never sooner than `least`, and the smaller `shape`, the heavier; below 1 it has no mean. Default 1.5. @category constructors @since 0.1.0 */
export const pareto = (options: { readonly least: Duration.Input; readonly shape?: number | undefined }): Latency => ({
  _tag: "Pareto",
  leastMillis: positive("pareto", "least in milliseconds", millisOf(options.least)),
  shape: positive("pareto", "shape", options.shape ?? 1.5)
})

/** For logs and plans, such as `latency lognormal 200 ms, 0.5`. @category accessors @since 0.1.0 */
export const inWords = (latency: Latency): string => {
  switch (latency._tag) {
    case "Uniform":
      return `uniform ${latency.fromMillis} to ${latency.toMillis} ms`
    case "Normal":
      return `normal ${latency.meanMillis} ± ${latency.deviationMillis} ms`
    case "LogNormal":
      return `lognormal ${latency.medianMillis} ms, ${latency.sigma}`
    case "Pareto":
      return `pareto ${latency.leastMillis} ms, ${latency.shape}`
  }
}

/** Longest latency that is drawn: tails have no end, and timers have. @category constants @since 0.1.0 */
export const maxMillis = 24 * 60 * 60 * 1000

/** Milliseconds, out of two numbers from 0 to below 1. @category drawing @since 0.1.0 */
export const sample = (latency: Latency, first: number, second: number): number =>
  Math.min(maxMillis, Math.max(0, drawn(latency, first, second)))

const drawn = (latency: Latency, first: number, second: number): number => {
  switch (latency._tag) {
    case "Uniform":
      return latency.fromMillis + first * (latency.toMillis - latency.fromMillis)
    case "Normal":
      return latency.meanMillis + latency.deviationMillis * gaussian(first, second)
    case "LogNormal":
      return latency.medianMillis * Math.exp(latency.sigma * gaussian(first, second))
    case "Pareto":
      return latency.leastMillis / (1 - first) ** (1 / latency.shape)
  }
}

/** Mean 0, deviation 1 (Box and Muller). */
const gaussian = (first: number, second: number): number =>
  Math.sqrt(-2 * Math.log(1 - first)) * Math.cos(2 * Math.PI * second)
