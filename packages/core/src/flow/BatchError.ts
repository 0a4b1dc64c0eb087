/**
 * What an item of a batch fails with: one class for each decision that the caller must take, as `ProviderError` has them for a call. @internal
 */
import * as Schema from "effect/Schema"

const context = {
  /** Name of the batch, such as `orders.import`. */
  batch: Schema.String,
  /** Why, in the provider's words or ours, without secrets; at most 256 characters. */
  detail: Schema.String,
  /** Status of the item in the provider's answer. */
  status: Schema.optional(Schema.Int),
  /** The provider's own code. */
  code: Schema.optional(Schema.String),
  /** How often the item was sent. */
  sends: Schema.Int
}

/** Sending the item again changes nothing: the provider refused it, or it can never be sent. @category errors @since 0.1.0 */
export class ItemFailed extends Schema.TaggedError<ItemFailed>("@breakwater/core/BatchError/ItemFailed")(
  "ItemFailed",
  context
) {
  override get message(): string {
    return `${this.batch}: item failed: ${this.detail}`
  }
}

/** The item was not carried out, and may be sent again: the rounds are spent, or there was no time for another. @category errors @since 0.1.0 */
export class ItemRetryable extends Schema.TaggedError<ItemRetryable>("@breakwater/core/BatchError/ItemRetryable")(
  "ItemRetryable",
  {
    ...context,
    /** How long to wait before that, where the provider or a policy said. */
    retryAfter: Schema.optional(Schema.Duration)
  }
) {
  override get message(): string {
    return `${this.batch}: item not carried out: ${this.detail}`
  }
}

/** The provider may have carried the item out. Find out first: a run with it sends it again. @category errors @since 0.1.0 */
export class ItemUnknown extends Schema.TaggedError<ItemUnknown>("@breakwater/core/BatchError/ItemUnknown")(
  "ItemUnknown",
  context
) {
  override get message(): string {
    return `${this.batch}: outcome of item unknown: ${this.detail}`
  }
}

/** @category errors @since 0.1.0 */
export type ItemError = ItemFailed | ItemRetryable | ItemUnknown
