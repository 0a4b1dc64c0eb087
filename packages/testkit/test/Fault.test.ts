import { assert, describe, it } from "@effect/vitest"
import { Fault, Hint, Latency } from "@breakwater/testkit"

const all: ReadonlyArray<Fault.Fault> = [
  Fault.none,
  Fault.latency("1 second"),
  Fault.latencyOf(Latency.pareto({ least: "1 second" })),
  Fault.refused,
  Fault.dns(),
  Fault.tls(),
  Fault.connectBlackhole(),
  Fault.resetBefore,
  Fault.lostResponse,
  Fault.blackhole(),
  Fault.blackhole({ processed: true }),
  Fault.silence,
  Fault.stalled(0.5),
  Fault.truncated(0.5),
  Fault.trickle(),
  Fault.contentType(),
  Fault.hugeHeaders(),
  Fault.drift("null", ["data", "*", "id"]),
  Fault.garbage,
  Fault.html(),
  Fault.html(502),
  Fault.status(503),
  Fault.status(503, { processed: true }),
  Fault.rateLimited(Hint.seconds(2)),
  Fault.rateLimited(Hint.aDay),
  Fault.crash(),
  Fault.crash({ processed: true }),
  Fault.emptyBody,
  Fault.hugeBody(),
  Fault.hugeBody({ announced: false }),
  Fault.clockSkew({ ahead: "5 minutes" }),
  Fault.clockSkew({ behind: "5 minutes" }, Fault.status(503))
]

describe("Fault", () => {
  it("is plain data: JSON and back changes nothing", () => {
    const isSaid = ([, value]: readonly [string, unknown]) => value !== undefined
    const said = (fault: Fault.Fault): unknown => {
      const fields = Object.fromEntries(Object.entries(fault).filter(isSaid))
      return fault._tag === "ClockSkew" ? { ...fields, fault: said(fault.fault) } : fields
    }
    for (const fault of all) assert.deepStrictEqual(JSON.parse(JSON.stringify(fault)), said(fault))
  })

  it("has a name of its own for each", () => {
    assert.strictEqual(new Set(all.map(({ name }) => name)).size, all.length)
  })

  it("says at which phase it strikes, and whether the provider works all the same", () => {
    const seen = all.map(({ _tag, phase, processed }) => `${_tag} ${phase} ${processed ? "done" : "not done"}`)

    assert.deepStrictEqual(seen, [
      "None none done",
      "Latency answer done",
      "LatencyOf answer done",
      "Refused connection not done",
      "Unreachable connection not done",
      "Unreachable connection not done",
      "ConnectBlackhole connection not done",
      "ResetBefore request not done",
      "LostResponse answer done",
      "Blackhole request not done",
      "Blackhole answer done",
      "Silence body done",
      "Stalled body done",
      "Truncated body done",
      "Trickle body done",
      "ContentType body done",
      "HugeHeaders answer done",
      "Drift body done",
      "Garbage body done",
      "Html body done",
      "Html body done",
      "Status request not done",
      "Status answer done",
      "Status request not done",
      "Status request not done",
      "Crash work not done",
      "Crash work done",
      "EmptyBody body done",
      "HugeBody body done",
      "HugeBody body done",
      "ClockSkew answer done",
      "ClockSkew request not done"
    ])
  })

  it("refuses values that mean nothing", () => {
    assert.throws(() => Fault.truncated(1), RangeError, /share must be from 0 to below 1/u)
    assert.throws(() => Fault.truncated(Number.NaN), RangeError)
    assert.throws(() => Fault.stalled(1), RangeError, /share must be from 0 to below 1/u)
    assert.throws(() => Fault.truncated(-0.1), RangeError)
    assert.doesNotThrow(() => Fault.truncated(0))
    assert.throws(() => Fault.trickle({ pieces: 0 }), RangeError, /Fault.trickle: pieces/u)
    assert.throws(() => Fault.status(199), RangeError, /Fault.status: status must be from 200 to 599/u)
    assert.throws(() => Fault.status(600), RangeError)
    assert.throws(() => Fault.html(1), RangeError, /Fault.html/u)
    assert.throws(() => Fault.clockSkew({}), RangeError, "Fault.clockSkew: the clock must be either ahead or behind")
    assert.throws(() => Fault.clockSkew({ ahead: "1 second", behind: "1 second" }), RangeError)
    assert.throws(() => Fault.crash({ status: 1000 }), RangeError, /Fault.crash/u)
  })
})
