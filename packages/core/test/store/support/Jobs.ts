/** Workers that do a thing once with the help of a store, so that they can be killed anywhere. */
import type { Answer, Settlement } from "@breakwater/core/IdempotencyStore"
import { IdempotencyStore } from "@breakwater/core/IdempotencyStore"
import { OutboxStore } from "@breakwater/core/OutboxStore"
import { Process } from "@breakwater/testkit"
import { Effect } from "effect"

/** What really happened, by key: how often the provider did it. */
export interface Provider {
  readonly sends: Pick<Array<string>, "push" | "includes">
  /** One with keys does it once however often it is sent. */
  readonly keyed: boolean
  /** How long a claim holds. */
  readonly leaseMillis: number
}

/** What a provider did of what was sent. */
export const done = (keyed: boolean, sends: ReadonlyArray<string>): ReadonlyArray<string> =>
  keyed ? [...new Set(sends)] : sends

const retentionMillis = 86_400_000

const success: Settlement = { _tag: "Succeeded", payload: { version: 1, value: "sent" }, retentionMillis }

const send = (provider: Provider, key: string) =>
  Effect.gen(function* () {
    yield* Process.point("sending")
    provider.sends.push(key)
    yield* Effect.sleep("80 millis")
    yield* Process.point("sent")
  })

/** Sends under the key until the store says that it is done. What nobody knows is looked up. */
export const sendOnce = Effect.fnUntraced(function* (provider: Provider, key: string) {
  const store = yield* IdempotencyStore
  const { leaseMillis } = provider
  const windowMillis = provider.keyed ? undefined : 0
  const request = { scope: "send", key, fingerprint: "f", leaseMillis, windowMillis }
  for (;;) {
    const answer: Answer = yield* store.claim(request)
    yield* Process.point(answer._tag)
    switch (answer._tag) {
      case "Settled":
        return
      case "Granted":
        yield* store.sending(answer.claim, leaseMillis)
        yield* send(provider, key)
        yield* store.settle(answer.claim, success)
        break
      case "Locked":
        yield* Effect.sleep(answer.retryAfterMillis)
        break
      case "Unknown":
        yield* store.resolve(
          { ...request, fence: answer.fence },
          provider.sends.includes(key) ? success : { _tag: "Undone", retentionMillis }
        )
        break
      default:
        return yield* Effect.die(new Error("the key was used for another request"))
    }
  }
})

/** Adds the commands, then carries out what is due until nothing is left. */
export const workOff = Effect.fnUntraced(function* (provider: Provider, keys: ReadonlyArray<string>, queue = "q") {
  const outbox = yield* OutboxStore
  const { leaseMillis } = provider
  yield* outbox.add(keys.map((key) => ({ queue, key, orderingKey: "customer", payload: { version: 1, value: key } })))
  yield* Process.point("added")
  for (;;) {
    const batch = yield* outbox.claim({ queue, limit: 5, leaseMillis })
    for (const command of batch) {
      yield* send(provider, command.key)
      yield* outbox.complete([command])
      yield* Process.point("completed")
    }
    const { Done } = yield* outbox.counts(queue)
    if (Done === keys.length) return
    if (batch.length === 0) yield* Effect.sleep(leaseMillis / 5)
  }
})
