/** What a feature that is off comes to. @internal */
import * as Schema from "effect/Schema"

/** The feature is off: nobody was called. @category errors @since 0.1.0 */
export class FeatureOff extends Schema.TaggedError<FeatureOff>("@breakwater/core/FeatureOff")("FeatureOff", {
  /** Its name, as `Fallback.off` has it. */
  feature: Schema.String
}) {
  override get message(): string {
    return `${this.feature} is off`
  }
}
