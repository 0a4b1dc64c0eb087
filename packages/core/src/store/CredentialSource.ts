/**
 * Yields the current credential of a connection. A static key is a source that never refreshes; OAuth and secret managers are sources that do.
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"

/** Secret material with its generation: a 401 is matched with the generation that was sent, so that a late one refreshes nothing. @category models @since 0.1.0 */
export interface Credential {
  readonly secret: Redacted.Redacted<string>
  readonly generation: number
}

/** The source, or its token endpoint, could not be asked. `detail` holds no secret. @category errors @since 0.1.0 */
export class CredentialSourceError extends Schema.TaggedError<CredentialSourceError>(
  "@breakwater/core/CredentialSource/CredentialSourceError"
)("CredentialSourceError", {
  detail: Schema.String,
  /** True when asking again is useless: the grant was revoked. */
  revoked: Schema.Boolean
}) {
  override get message(): string {
    return `credential source: ${this.detail}`
  }
}

/** @category models @since 0.1.0 */
export interface CredentialSource {
  /** The credential, if there is one that may be sent now without waiting. */
  readonly peek: () => Credential | undefined
  /** The credential to send now; may wait for a refresh that is under way. */
  readonly current: Effect.Effect<Credential, CredentialSourceError>
  /**
   * Asks for a credential newer than `generation`; `undefined` for a source that has only the one it was given. Calls that it makes to the same
   * provider go in `Call.refreshLane`.
   */
  readonly refresh: ((generation: number) => Effect.Effect<Credential, CredentialSourceError>) | undefined
}

/** A key that was read once. @category constructors @since 0.1.0 */
export const fixed = (secret: Redacted.Redacted<string>): CredentialSource => ({
  ...constant({ secret, generation: 1 }),
  refresh: undefined
})

const constant = (credential: Credential) => ({ peek: () => credential, current: Effect.succeed(credential) })

/**
 * A key that is read again after a 401, so that a rotated one is found without a restart (AUTH-1, AUTH-7). However many ask at once, `read` runs once for
 * all of them; when it gives the key that was refused, there is nothing newer. @category constructors @since 0.1.0
 */
export const rereading = (
  first: Redacted.Redacted<string>,
  read: Effect.Effect<Redacted.Redacted<string>, CredentialSourceError>
): CredentialSource => {
  let credential: Credential = { secret: first, generation: 1 }
  let reads = 0
  const oneAtATime = Semaphore.makeUnsafe(1)
  const reread = Effect.map(read, (secret) => {
    reads++
    if (Redacted.value(secret) !== Redacted.value(credential.secret)) {
      credential = { secret, generation: credential.generation + 1 }
    }
    return credential
  })
  return {
    peek: () => credential,
    current: Effect.sync(() => credential),
    refresh: (generation) =>
      Effect.suspend(() => {
        const readBefore = reads
        const isNews = () => credential.generation > generation || reads > readBefore
        return oneAtATime.withPermit(Effect.suspend(() => (isNews() ? Effect.succeed(credential) : reread)))
      })
  }
}
