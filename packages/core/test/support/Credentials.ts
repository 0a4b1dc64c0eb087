/**
 * A source of credentials whose moves a test makes: what there is, what a refresh gives, and how often it was asked.
 */
import { Effect, Redacted } from "effect"
import type { Credential, CredentialSource } from "@breakwater/core/CredentialSource"
import { CredentialSourceError } from "@breakwater/core/CredentialSource"

export const secret = (generation: number): string => `test_secret_${generation}`

export const credential = (generation: number): Credential => ({
  secret: Redacted.make(secret(generation)),
  generation
})

export const down = new CredentialSourceError({ detail: "token endpoint answered 503", revoked: false })
export const revoked = new CredentialSourceError({ detail: "invalid_grant", revoked: true })

export interface FakeSource extends CredentialSource {
  /** Generations for which a refresh was asked. */
  readonly refreshes: ReadonlyArray<number>
  /** How often `current` was asked. */
  readonly asked: () => number
  /** Changes what there is, as another process would. */
  readonly become: (generation: number | undefined) => void
}

/** `refresh` answers for the generation that was refused; by default with the next one. */
export const source = (
  options: {
    readonly generation?: number | undefined
    readonly current?: Effect.Effect<Credential, CredentialSourceError>
    readonly refresh?: (generation: number) => Effect.Effect<Credential, CredentialSourceError>
  } = {}
): FakeSource => {
  const refreshes: Array<number> = []
  let asked = 0
  let held = "generation" in options ? options.generation : 1
  const hold = (next: Credential) => {
    held = next.generation
    return next
  }
  const refresh = options.refresh ?? ((generation) => Effect.succeed(credential(generation + 1)))
  return {
    refreshes,
    asked: () => asked,
    become: (generation) => {
      held = generation
    },
    peek: () => (held === undefined ? undefined : credential(held)),
    current: Effect.suspend(() => {
      asked++
      return Effect.map(options.current ?? Effect.succeed(credential(held ?? 1)), hold)
    }),
    refresh: (generation) =>
      Effect.suspend(() => {
        refreshes.push(generation)
        return Effect.map(refresh(generation), hold)
      })
  }
}
