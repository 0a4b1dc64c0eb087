/**
 * How often an operation may be sent that nobody declared: by its method, and with a key within its window. What a declaration says of it is `Safety`'s, which gives these out as its own; a call
 * that nobody declared does not load what a declaration is made of. @internal
 */
import * as Duration from "effect/Duration"

/**
 * `safe` reads; `idempotent` has the same effect however often; `keyed` is a write with an idempotency key; `unsafe` is anything else.
 * @category models @since 0.1.0
 */
export type Safety = "safe" | "idempotent" | "keyed" | "unsafe"

/** No key is sent this close to the end of its window: clocks differ, and requests travel. @category constants @since 0.1.0 */
export const windowMargin = Duration.hours(1)

/** Default by method, when there is no marker. @category constructors @since 0.1.0 */
export const ofMethod = (method: string): Safety => {
  switch (method) {
    case "GET":
    case "HEAD":
    case "OPTIONS":
      return "safe"
    case "PUT":
    case "DELETE":
      return "idempotent"
    default:
      return "unsafe"
  }
}
