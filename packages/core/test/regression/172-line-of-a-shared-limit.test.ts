import { assert, describe, it } from "@effect/vitest"
import { caller, learn, limited, send, wait } from "../support/Budgets.ts"

const start = 1_790_000_000_000

const core = (operation: string) => ({ operation, name: "core", scope: "operation" }) as const

/** Two operations whose answers name one limit of which two tokens are left, and a third with a limit of its own. */
const shared = () => {
  const budget = limited(undefined, { perOperation: true })
  for (const operation of ["repos.get", "issues.get"])
    learn(budget, { remaining: 2, resetMillis: 9000 }, start, core(operation))
  learn(budget, { remaining: 2, resetMillis: 9000 }, start, { ...core("search.code"), name: "search" })
  return budget
}

describe("a limit that operations share by the name that answers give it", () => {
  it("is not taken by another operation's call from those in line for it (RATE-1)", () => {
    const budget = shared()
    const place = budget.join(caller(budget, start, { ...core("repos.get"), cost: 3 }), start)

    assert.isFalse(place?.granted)
    assert.strictEqual(wait(budget, start, core("issues.get")), 9000)
    assert.isFalse(send(budget, start, core("issues.get")))
    assert.isTrue(send(budget, start, core("search.code")))
  })

  it("is given to those in line as they came, whichever of the operations they call", () => {
    const budget = shared()
    const joined = [
      { ...core("repos.get"), cost: 3 },
      { ...core("issues.get"), cost: 1 },
      { ...core("search.code"), cost: 1 },
      { ...core("repos.get"), cost: 1 }
    ].map((of) => budget.join(caller(budget, start, of), start))

    assert.deepStrictEqual(
      joined.map((place) => [place?.isFirst, place?.granted]),
      [
        [true, false],
        [false, false],
        [false, true],
        [false, false]
      ]
    )
    if (joined[0] !== undefined) budget.leave(joined[0], start)
    assert.deepStrictEqual(
      joined.map((place) => place?.granted),
      [false, true, true, true]
    )
  })

  it("goes to the higher class first, whichever of the operations it calls (RATE-2)", () => {
    const budget = shared()
    const first = budget.join(caller(budget, start, { ...core("repos.get"), cost: 3, traffic: "import" }), start)

    assert.isFalse(send(budget, start, { ...core("issues.get"), traffic: "import" }))
    assert.isTrue(send(budget, start, core("issues.get")))
    assert.isFalse(first?.granted)
  })

  it("is awaited by those, too, who were in line before an answer named it", () => {
    const budget = limited(undefined, { perOperation: true })
    const waiting = caller(budget, start, { ...core("repos.get"), cost: 2 })
    budget.block(waiting.route, "operation", 1000, start)
    budget.join(waiting, start)
    for (const operation of ["repos.get", "issues.get"])
      learn(budget, { remaining: 2, resetMillis: 9000 }, start, core(operation))

    assert.isFalse(send(budget, start, core("issues.get")))
  })

  it("keeps behind those in line for it also who has a limit of its own to wait for", () => {
    const budget = shared()
    budget.join(caller(budget, start, { ...core("repos.get"), cost: 3 }), start)
    const blocked = caller(budget, start, core("issues.get"))
    budget.block(blocked.route, "operation", 1000, start)
    const place = budget.join(blocked, start)

    assert.deepStrictEqual([place?.isFirst, place?.granted], [false, false])
  })
})
