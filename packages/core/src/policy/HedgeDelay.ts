/**
 * How long a call waits for its first attempt before it sends a second one beside it: a percentile of how long attempts took of late. A histogram of two windows, so that neither
 * memory nor the cost of a sample grows.
 * @see https://research.google/pubs/the-tail-at-scale/ (read 2026-11-21)
 * @since 0.1.0
 */

/** @category models @since 0.1.0 */
export interface HedgeDelayOptions {
  /** Share of the attempts that are answered before it, above 0 and below 1. */
  readonly percentile: number
  /** Samples before there is a delay at all. */
  readonly minimumSamples: number
  readonly minimumMillis: number
}

/** A window is the latest for so long, and the one before it for as long again. @category constants @since 0.1.0 */
export const windowMillis = 30_000

/** Buckets for each doubling of a duration: a percentile is right within a tenth. */
const bucketsPerDoubling = 8
const buckets = 20 * bucketsPerDoubling

const bucketOf = (millis: number): number =>
  Math.min(buckets - 1, Math.ceil(Math.log2(Math.max(1, millis)) * bucketsPerDoubling))

/** The longest duration of a bucket. */
const millisOf = (bucket: number): number => 2 ** (bucket / bucketsPerDoubling)

class Histogram {
  readonly counts = new Uint32Array(buckets)
  samples = 0

  add(bucket: number): void {
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1
    this.samples++
  }

  clear(): void {
    this.counts.fill(0)
    this.samples = 0
  }
}

/** @category models @since 0.1.0 */
export class HedgeDelay {
  private latest = new Histogram()
  private before = new Histogram()
  private startedAt = Number.NEGATIVE_INFINITY
  /** Samples that the percentile was last read after, and what it was. */
  private readAfter = Number.NEGATIVE_INFINITY
  private read: number | undefined = undefined
  private options: HedgeDelayOptions

  constructor(options: HedgeDelayOptions) {
    this.options = options
  }

  /** Takes another percentile. What was seen stays. */
  configure(options: HedgeDelayOptions): void {
    const { minimumMillis, percentile } = this.options
    this.options = options
    if (percentile !== options.percentile || minimumMillis !== options.minimumMillis)
      this.readAfter = Number.NEGATIVE_INFINITY
  }

  /** An attempt took so long. One that was cut off in favour of another took at least so long, and is counted as if it had ended then. */
  record(millis: number, now: number): void {
    this.goOn(now)
    this.latest.add(bucketOf(millis))
  }

  /** Milliseconds to wait; `undefined` while too little is known. */
  millis(now: number): number | undefined {
    this.goOn(now)
    const samples = this.latest.samples + this.before.samples
    if (samples < this.options.minimumSamples) return undefined
    // Read anew when a sixteenth has come: a percentile does not move by one sample.
    if (samples - this.readAfter > samples >> 4) {
      this.readAfter = samples
      this.read = Math.max(this.options.minimumMillis, millisOf(this.bucketAt(samples)))
    }
    return this.read
  }

  private bucketAt(samples: number): number {
    const wanted = Math.ceil(samples * this.options.percentile)
    let bucket = 0
    let seen = this.samplesIn(bucket)
    while (seen < wanted) seen += this.samplesIn(++bucket)
    return bucket
  }

  private samplesIn(bucket: number): number {
    return (this.latest.counts[bucket] ?? 0) + (this.before.counts[bucket] ?? 0)
  }

  private goOn(now: number): void {
    if (now - this.startedAt < windowMillis) return
    const isGone = now - this.startedAt >= 2 * windowMillis
    const oldest = this.before
    this.before = this.latest
    this.latest = oldest
    oldest.clear()
    if (isGone) this.before.clear()
    this.startedAt = now
    this.readAfter = Number.NEGATIVE_INFINITY
  }
}
