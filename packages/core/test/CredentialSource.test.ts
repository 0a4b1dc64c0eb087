import { assert, describe, it } from "@effect/vitest"
import * as CredentialSource from "@breakwater/core/CredentialSource"
import { Effect, Fiber, Redacted } from "effect"
import { TestClock } from "effect/testing"

const key = (secret: string) => Redacted.make(secret)

const shown = ({ generation, secret }: CredentialSource.Credential) => [Redacted.value(secret), generation]

/** A store whose key changes; says how often it was asked. */
const store = (first: string) => {
  const state = { value: first, reads: 0 }
  const read = Effect.sync(() => {
    state.reads++
    return key(state.value)
  })
  return { state, read }
}

const refresh = (source: CredentialSource.CredentialSource, generation: number) =>
  source.refresh?.(generation) ?? Effect.die("cannot refresh")

describe("CredentialSource.fixed", () => {
  it.effect("gives the key it was made with, and has no newer one", () =>
    Effect.gen(function* () {
      const source = CredentialSource.fixed(key("k1"))

      assert.deepStrictEqual(shown(yield* source.current), ["k1", 1])
      assert.deepStrictEqual(source.peek(), yield* source.current)
      assert.isUndefined(source.refresh)
    })
  )
})

describe("CredentialSource.rereading", () => {
  it.effect("finds a key that was rotated, without a restart (AUTH-1, AUTH-7)", () =>
    Effect.gen(function* () {
      const { read, state } = store("k1")
      const source = CredentialSource.rereading(key("k1"), read)
      const before = shown(yield* source.current)

      state.value = "k2"
      const newer = yield* refresh(source, 1)

      assert.deepStrictEqual(
        [before, shown(newer)],
        [
          ["k1", 1],
          ["k2", 2]
        ]
      )
      assert.deepStrictEqual(source.peek(), newer)
      assert.strictEqual(yield* source.current, newer)
    })
  )

  it.effect("does not read before it is asked to", () =>
    Effect.gen(function* () {
      const { read, state } = store("k2")
      const source = CredentialSource.rereading(key("k1"), read)

      yield* source.current
      source.peek()

      assert.strictEqual(state.reads, 0)
    })
  )

  it.effect("reads nothing for a late 401: the key that was refused is not the current one any more", () =>
    Effect.gen(function* () {
      const { read, state } = store("k2")
      const source = CredentialSource.rereading(key("k1"), read)
      yield* refresh(source, 1)

      const late = yield* refresh(source, 1)

      assert.deepStrictEqual(shown(late), ["k2", 2])
      assert.strictEqual(state.reads, 1)
    })
  )

  it.effect("has nothing newer while the store has the key that was refused, and looks again the next time", () =>
    Effect.gen(function* () {
      const { read, state } = store("k1")
      const source = CredentialSource.rereading(key("k1"), read)

      const unchanged = yield* refresh(source, 1)
      state.value = "k2"
      const changed = yield* refresh(source, 1)

      assert.deepStrictEqual(
        [shown(unchanged), shown(changed)],
        [
          ["k1", 1],
          ["k2", 2]
        ]
      )
      assert.strictEqual(state.reads, 2)
    })
  )

  it.effect("counts generations on from one rotation to the next", () =>
    Effect.gen(function* () {
      const { read, state } = store("k2")
      const source = CredentialSource.rereading(key("k1"), read)
      yield* refresh(source, 1)

      state.value = "k1"
      const back = yield* refresh(source, 2)

      assert.deepStrictEqual(shown(back), ["k1", 3])
    })
  )

  it.effect("keeps its key when the store cannot be read, and says so", () =>
    Effect.gen(function* () {
      const down = new CredentialSource.CredentialSourceError({ detail: "the vault is sealed", revoked: false })
      const source = CredentialSource.rereading(key("k1"), Effect.fail(down))

      const failure = yield* Effect.flip(refresh(source, 1))

      assert.strictEqual(failure, down)
      assert.strictEqual(failure.message, "credential source: the vault is sealed")
      assert.deepStrictEqual(shown(yield* source.current), ["k1", 1])
    })
  )

  it.effect("lets the next caller read when the one who read was interrupted", () =>
    Effect.gen(function* () {
      const { read, state } = store("k2")
      const source = CredentialSource.rereading(key("k1"), Effect.andThen(Effect.sleep("1 second"), read))

      const first = yield* Effect.forkChild(refresh(source, 1), { startImmediately: true })
      const second = yield* Effect.forkChild(refresh(source, 1), { startImmediately: true })
      yield* TestClock.adjust("500 millis")
      yield* Fiber.interrupt(first)
      yield* TestClock.adjust("1 second")

      assert.deepStrictEqual(shown(yield* Fiber.join(second)), ["k2", 2])
      assert.strictEqual(state.reads, 1)
    })
  )

  it.effect("gives no key away in JSON (AUTH-10)", () =>
    Effect.gen(function* () {
      const source = CredentialSource.rereading(key("planted-secret"), Effect.succeed(key("other")))

      assert.notInclude(JSON.stringify([yield* source.current, source.peek()]), "planted-secret")
    })
  )
})
