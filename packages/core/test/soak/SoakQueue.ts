/** The queue of the soak, as those who add to it and those who work it off know it. */
import { Schema } from "effect"

export const queue = "soak"

export const Charge = Schema.Struct({ order: Schema.String })
