import { assert, describe, it } from "@effect/vitest"
import { Bulkhead } from "@breakwater/core/Bulkhead"

describe("Bulkhead.join with a free slot", () => {
  it("gives the slot at once, since nobody would ever release it to the one who waits", () => {
    const bulkhead = new Bulkhead({ concurrency: 1, queue: 1 })
    const late = { slot: false }
    let granted = 0

    const leave = bulkhead.join(late, () => granted++)
    leave?.()

    assert.isDefined(leave)
    assert.deepStrictEqual({ late, granted }, { late: { slot: true }, granted: 1 })
    assert.deepStrictEqual([bulkhead.inFlight, bulkhead.waiting], [1, 0])
  })
})
