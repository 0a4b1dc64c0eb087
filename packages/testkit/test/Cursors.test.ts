import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Result } from "effect"
import { Cursors, Fault, FaultMenu, Mode, SimulatedNetwork, Simulation } from "@breakwater/testkit"
import { Catalogue, items, make as makeCatalogue, walk } from "./support/Catalogue.ts"

const cursors = new Cursors<string>({ idOf: (id) => id, maxLimit: 3, defaultLimit: 2, lifetime: "1 hour" })
const of = (letters: string) => letters.split("")
const page = (letters: string, cursor?: string, now = 0, limit?: number) =>
  cursors.page(of(letters), { cursor, now, limit })
const read = (result: ReturnType<typeof page>) => Result.getOrThrow(Result.map(result, ({ items }) => items.join("")))
const cursorOf = (result: ReturnType<typeof page>) => Result.getOrThrow(result).next

describe("Cursors.page", () => {
  it("gives so many as it is asked for, at most its own most, and two when nobody says", () => {
    assert.deepStrictEqual(
      [undefined, 1, 3, 4, 0].map((limit) => read(page("abcdef", undefined, 0, limit))),
      ["ab", "a", "abc", "abc", "a"]
    )
  })

  it("goes on behind the last item, and has no cursor on the last page", () => {
    const first = page("abcde")
    const second = page("abcde", cursorOf(first))
    const third = page("abcde", cursorOf(second))

    assert.deepStrictEqual([first, second, third].map(read), ["ab", "cd", "e"])
    assert.deepStrictEqual(
      [cursorOf(third), cursorOf(page("ab")), cursorOf(page(""))],
      [undefined, undefined, undefined]
    )
  })

  it("neither hides nor repeats an item when others come before it or go", () => {
    const cursor = cursorOf(page("abcde"))

    assert.deepStrictEqual([read(page("xabcde", cursor)), read(page("bcde", cursor))], ["cd", "cd"])
  })

  it("refuses a cursor that it never gave, one that has ended, and one whose item is gone", () => {
    const cursor = cursorOf(page("abcde", undefined, 5))
    const refusals = [
      page("abcde", "nonsense"),
      page("abcde", "bm90IGEgcGxhY2U"),
      page("abcde", cursor, 5 + 3_600_000),
      page("acde", cursor)
    ]

    assert.deepStrictEqual(
      refusals.map((refusal) => Result.isFailure(refusal) && refusal.failure),
      ["unknown cursor", "unknown cursor", "expired cursor", "item is gone"]
    )
    assert.strictEqual(read(page("abcde", cursor, 5 + 3_599_999)), "cd")
  })

  it("takes a cursor that was given between two milliseconds", () => {
    assert.strictEqual(read(page("abcde", cursorOf(page("abcde", undefined, 5.25)), 5.5)), "cd")
  })

  it("refuses a page that holds nothing", () => {
    assert.throws(
      () => new Cursors({ idOf: String, maxLimit: 0 }),
      RangeError,
      "Cursors: maxLimit must be a whole number of at least 1, got 0"
    )
  })
})

/** Once in a while something goes wrong on the way. */
const menu = FaultMenu.make([Fault.lostResponse, Fault.truncated(), Fault.status(503), Fault.latency("2 seconds")])

describe("realistic sizes (TEST-1)", () => {
  it("reads a list of 100,000 items, each once, whatever goes wrong at one page in fifty", () => {
    const whole = Simulation.make({
      world: Effect.suspend(makeCatalogue),
      program: (catalogue) => {
        const network = SimulatedNetwork.layer([catalogue], { plan: menu })
        return Effect.provide(walk, Layer.provide(Catalogue.layer, network))
      },
      invariant: ({ exit, world }) => {
        if (exit._tag !== "Success") return "it did not come to an end"
        if (exit.value.length !== items.length) return `it read ${exit.value.length} items`
        const strange = exit.value.findIndex(({ id }, index) => id !== index)
        if (strange >= 0) return `item ${strange} is not where it should be`
        return world.ledger.exchanges.length >= 200 ? undefined : "it read fewer than 200 pages"
      },
      sometimes: { "a page had to be read again": ({ world }) => world.ledger.exchanges.length > 200 }
    })
    const { runs } = Simulation.verify(whole, Mode.random({ runs: 2, faultRate: 0.02, preemption: "none" }))

    assert.strictEqual(runs, 4)
  }, 60_000)

  it.effect("reads a body of 5 MB", () =>
    Effect.gen(function* () {
      const network = SimulatedNetwork.layer([yield* makeCatalogue()])
      const read = Effect.flatMap(Catalogue, (catalogue) => catalogue.items.export())
      const all = yield* Effect.provide(read, Layer.provide(Catalogue.layer, network))

      assert.strictEqual(all.length, items.length)
      assert.isAbove(JSON.stringify(all).length, 5_000_000)
    })
  )
})
