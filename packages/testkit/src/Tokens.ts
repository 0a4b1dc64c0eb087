/**
 * A part of a simulated provider's protocol: tokens that it gives out, and that end. @since 0.1.0
 */
import * as Duration from "effect/Duration"

/** @category models @since 0.1.0 */
export interface Options {
  /** How long a token is taken, from when it was given out. */
  readonly lifetime: Duration.Input
  /** What tokens begin with. Default `"token"`. */
  readonly prefix?: string | undefined
}

/** A token as a token endpoint tells of it (RFC 6749 §5.1). @category models @since 0.1.0 */
export interface Token {
  readonly token: string
  readonly expiresInSeconds: number
}

/** Tokens that are taken at once; the oldest is forgotten first. @category constants @since 0.1.0 */
export const maxTokens = 10_000

/**
 * Gives tokens out, and says which are taken: `Authentication.make({ accepts: (request, now) => tokens.accepts(Authentication.keyIn(request.headers), now), … })`.
 * Throws a `RangeError` for a lifetime that is none. @category models @since 0.1.0
 */
export class Tokens {
  private readonly lifetimeMillis: number
  private readonly prefix: string
  private readonly endsAt = new Map<string, number>()
  private issued = 0

  constructor(options: Options) {
    this.lifetimeMillis = Duration.toMillis(options.lifetime)
    this.prefix = options.prefix ?? "token"
    if (!(this.lifetimeMillis > 0))
      throw new RangeError(`Tokens: lifetime must be longer than zero, got ${this.lifetimeMillis} ms`)
  }

  /** A new token, `now` in milliseconds since the epoch. */
  issue(now: number): Token {
    const oldest = this.endsAt.keys().next()
    if (this.endsAt.size >= maxTokens && oldest.done !== true) this.endsAt.delete(oldest.value)
    const token = `${this.prefix}_${this.issued++}`
    this.endsAt.set(token, now + this.lifetimeMillis)
    return { token, expiresInSeconds: Math.floor(this.lifetimeMillis / 1000) }
  }

  /** Whether a request with this token is let through: it was given out, has not ended, and was not taken back. */
  accepts(token: string | undefined, now: number): boolean {
    const endsAt = token === undefined ? undefined : this.endsAt.get(token)
    return endsAt !== undefined && now < endsAt
  }

  /** Takes a token back before its end; without one, all of them. */
  revoke(token?: string): void {
    if (token === undefined) this.endsAt.clear()
    else this.endsAt.delete(token)
  }
}
