/** Batches against a provider that does with each item, and each request, whatever comes up. */
import { assert, describe, it } from "@effect/vitest"
import { Batch } from "@breakwater/core"
import { Effect, Result, Schema } from "effect"
import { inDoubt, notSent, outcomeUnknown } from "../support/Errors.ts"
import { inScenario, toEnd } from "../support/Scenario.ts"

const whole = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** What the provider does with an item that it is sent: `swallowed` is done and not told of, `forgotten` neither. */
const Deed = Schema.Literals(["ok", "ok", "failed", "declined", "swallowed", "forgotten"])

/** What becomes of a request: refused before work, lost on its way there or back, answered with too few entries. */
const Fate = Schema.Literals(["answered", "answered", "answered", "refused", "lost before", "lost after", "short"])

const World = Schema.Struct({
  items: Schema.Array(
    Schema.Struct({ bytes: whole(1, 12), deeds: Schema.Array(Deed).check(Schema.isMaxLength(3)) })
  ).check(Schema.isMaxLength(12)),
  fates: Schema.Array(Fate).check(Schema.isMaxLength(8)),
  per: Schema.Literals(["none", "chunk", "item"]),
  limit: whole(1, 5),
  concurrency: whole(1, 3),
  rounds: whole(1, 4)
})

interface Item {
  readonly id: string
  readonly bytes: number
  readonly deeds: ReadonlyArray<typeof Deed.Type>
}

type Told = "ok" | "failed" | "declined" | "nothing"

/** What the provider did, and what was sent to it. */
class Provider {
  readonly done: Array<string> = []
  readonly sends: Array<ReadonlyArray<Item>> = []
  private readonly kept = new Map<string, ReadonlyArray<Told>>()
  private readonly world: typeof World.Type

  constructor(world: typeof World.Type) {
    this.world = world
  }

  private times(item: Item): number {
    return this.sends.filter((sent) => sent.includes(item)).length
  }

  private carryOut(item: Item): Told {
    if (this.world.per === "item" && this.done.includes(item.id)) return "ok"
    const deed = item.deeds[this.times(item) - 1] ?? "ok"
    if (deed === "ok" || deed === "swallowed") this.done.push(item.id)
    return deed === "swallowed" || deed === "forgotten" ? "nothing" : deed
  }

  private answer(items: ReadonlyArray<Item>, key: string): ReadonlyArray<Told> {
    const kept = this.kept.get(key) ?? items.map((item) => this.carryOut(item))
    if (key !== "") this.kept.set(key, kept)
    return kept
  }

  readonly send = (items: ReadonlyArray<Item>, key: string) =>
    Effect.suspend(() => {
      const fate = this.world.fates[this.sends.length] ?? "answered"
      this.sends.push(items)
      const lost = this.world.per === "none" ? outcomeUnknown() : inDoubt()
      if (fate === "refused") return Effect.fail(notSent())
      if (fate === "lost before") return Effect.fail(lost)
      const told = this.answer(items, key)
      if (fate === "lost after") return Effect.fail(lost)
      return Effect.succeed({ told: fate === "short" ? told.slice(1) : told, ids: items.map(({ id }) => id) })
    })
}

const outcomes = ({ ids, told }: { readonly told: ReadonlyArray<Told>; readonly ids: ReadonlyArray<string> }) =>
  told.map((each, index) => {
    if (each === "ok") return Batch.succeeded(ids[index])
    if (each === "failed") return Batch.failed({ detail: "no" })
    return each === "declined" ? Batch.retryable({ detail: "later" }) : Batch.unknown({ detail: "silence" })
  })

const maxBytes = 10

const batchOf = (world: typeof World.Type, provider: Provider) => {
  const common = {
    name: "model",
    outcomes,
    limits: { items: world.limit, bytes: maxBytes, size: ({ bytes }: Item) => bytes },
    concurrency: world.concurrency,
    rounds: world.rounds
  }
  if (world.per === "chunk")
    return Batch.make({ ...common, key: { per: "chunk", of: ({ id }: Item) => id }, send: provider.send })
  const send = (items: ReadonlyArray<Item>) => provider.send(items, "")
  return Batch.make({ ...common, send, key: world.per === "item" ? { per: "item" } : undefined })
}

describe("Batch.run, whatever comes up", () => {
  it.effect.prop(
    "loses no item and does none twice, keeps to order and limits, and says only what is so",
    { world: World },
    ({ world }) =>
      inScenario(
        Effect.gen(function* () {
          const items = world.items.map((item, index): Item => ({ ...item, id: `i${index}` }))
          const provider = new Provider(world)
          const { exit } = yield* toEnd(batchOf(world, provider).run(items))
          assert(exit._tag === "Success")

          assert.strictEqual(exit.value.length, items.length)
          items.forEach((item, index) => {
            const result = exit.value[index]
            assert(result !== undefined)
            const times = provider.done.filter((id) => id === item.id).length
            const sends = provider.sends.filter((sent) => sent.includes(item)).length
            assert.isAtMost(times, 1)
            assert.isAtMost(sends, world.rounds)
            if (Result.isSuccess(result)) assert.deepStrictEqual([result.success, times], [item.id, 1])
            else {
              assert.strictEqual(result.failure.sends, sends)
              if (result.failure._tag !== "ItemUnknown") assert.strictEqual(times, 0)
            }
            if (item.bytes > maxBytes) assert.strictEqual(sends, 0)
          })
          for (const sent of provider.sends) {
            assert.isAtMost(sent.length, world.limit)
            assert.isAtMost(
              sent.reduce((sum, { bytes }) => sum + bytes, 0),
              maxBytes
            )
            assert.deepStrictEqual(
              sent.map((item) => items.indexOf(item)),
              sent.map((item) => items.indexOf(item)).toSorted((a, b) => a - b)
            )
          }
        })
      ),
    { arbitrary: { runs: 1500, size: 30, seed: "batch" } }
  )
})
