import { assert, describe, it } from "@effect/vitest"
import type { CircuitOptions, Sample } from "@breakwater/core/Circuit"
import { Circuit } from "@breakwater/core/Circuit"
import { Schema } from "effect"
import { type Attempt, CircuitModel } from "./support/CircuitModel.ts"

const options: CircuitOptions = {
  consecutiveFailures: 3,
  failureRate: 0.5,
  window: 10,
  minimumCalls: 4,
  windowAgeMillis: 1000,
  openMillis: 100,
  maxOpenMillis: 350,
  successesToClose: 2,
  timeWindowMillis: undefined,
  slowAfterMillis: undefined,
  slowRate: 0.5,
  probes: 1,
  probeLeaseMillis: undefined,
  rampMillis: 0
}

/** A draw that makes the jitter 1. */
const middle = () => 0.5

/** Admits and settles one attempt, and says whether it was admitted. */
const attempt = (circuit: Circuit, sample: Sample, now: number, random = middle): boolean => {
  const ticket = circuit.admit(now)
  circuit.settle(ticket, sample, now, random)
  return ticket !== 0
}

const attempts = (circuit: Circuit, samples: ReadonlyArray<Sample>, now: number): void => {
  for (const sample of samples) attempt(circuit, sample, now)
}

const seen = (circuit: Circuit, now: number) => ({
  state: circuit.state,
  openings: circuit.openings,
  wait: circuit.peek(now)
})

const opened = (overrides: Partial<CircuitOptions> = {}): Circuit => {
  const circuit = new Circuit({ ...options, consecutiveFailures: 1, ...overrides })
  attempt(circuit, "failure", 0)
  return circuit
}

describe("Circuit closed", () => {
  it("opens on the last of the failures in a row, not before (SAFE-6)", () => {
    const circuit = new Circuit({ ...options, minimumCalls: 10 })

    attempts(circuit, ["failure", "failure"], 0)
    const before = seen(circuit, 0)
    attempt(circuit, "failure", 0)

    assert.deepStrictEqual(before, { state: "closed", openings: 0, wait: 0 })
    assert.deepStrictEqual(seen(circuit, 0), { state: "open", openings: 1, wait: 100 })
  })

  it("counts failures in a row anew after a success", () => {
    const circuit = new Circuit({ ...options, minimumCalls: 10 })

    attempts(circuit, ["failure", "failure", "success", "failure", "failure"], 0)

    assert.strictEqual(circuit.state, "closed")
  })

  it("counts failures in a row however long ago they were", () => {
    const circuit = new Circuit({ ...options, minimumCalls: 10 })

    for (const now of [0, 10_000, 20_000]) attempt(circuit, "failure", now)

    assert.strictEqual(circuit.state, "open")
  })

  it("does not count an attempt that was interrupted", () => {
    const circuit = new Circuit({ ...options, consecutiveFailures: 2, minimumCalls: 3 })

    attempts(circuit, ["success", "ignored", "failure", "ignored"], 0)
    const before = circuit.state
    attempt(circuit, "failure", 0)

    assert.strictEqual(before, "closed")
    assert.strictEqual(circuit.state, "open")
  })

  it("opens at the failure rate once there are enough calls (SAFE-6)", () => {
    const below = new Circuit({ ...options, consecutiveFailures: 100, minimumCalls: 5 })
    const at = new Circuit({ ...options, consecutiveFailures: 100, minimumCalls: 4 })

    attempts(below, ["success", "failure", "success", "failure"], 0)
    attempts(at, ["success", "failure", "success", "failure"], 0)

    assert.strictEqual(below.state, "closed")
    assert.strictEqual(at.state, "open")
  })

  it("stays closed just below the failure rate", () => {
    const circuit = new Circuit({ ...options, consecutiveFailures: 100 })

    attempts(circuit, ["success", "failure", "success", "success", "failure", "success", "failure"], 0)

    assert.strictEqual(circuit.state, "closed")
  })

  it("opens on a failure, never on a success", () => {
    const circuit = new Circuit({ ...options, consecutiveFailures: 100, minimumCalls: 4 })

    attempts(circuit, ["failure", "success", "failure", "success"], 0)
    const afterSuccess = circuit.state
    attempt(circuit, "failure", 0)

    assert.strictEqual(afterSuccess, "closed")
    assert.strictEqual(circuit.state, "open")
  })

  it("takes the rate over the last calls only", () => {
    const circuit = new Circuit({ ...options, consecutiveFailures: 100, window: 4, minimumCalls: 4 })

    attempts(circuit, ["failure", "failure", "success", "success", "success", "success", "failure"], 0)
    const before = circuit.state
    attempt(circuit, "failure", 0)

    assert.strictEqual(before, "closed")
    assert.strictEqual(circuit.state, "open")
  })

  it("forgets calls older than the window's age, on both sides of the boundary", () => {
    const young = new Circuit({ ...options, consecutiveFailures: 100, minimumCalls: 2 })
    const old = new Circuit({ ...options, consecutiveFailures: 100, minimumCalls: 2 })

    attempt(young, "failure", 0)
    attempt(young, "failure", 1000)
    attempt(old, "failure", 0)
    attempt(old, "failure", 1001)

    assert.strictEqual(young.state, "open")
    assert.strictEqual(old.state, "closed")
  })

  it("admits without limit and asks for no wait", () => {
    const circuit = new Circuit(options)

    const tickets = Array.from({ length: 50 }, () => circuit.admit(0))

    assert.isTrue(tickets.every((ticket) => ticket !== 0))
    assert.strictEqual(circuit.peek(0), 0)
  })
})

describe("Circuit open", () => {
  it("admits nothing until its time is over, then one probe", () => {
    const circuit = opened()

    const early = circuit.admit(99)
    const waits = [0, 1, 99, 100, 101].map((now) => circuit.peek(now))
    const first = circuit.admit(100)
    const second = circuit.admit(100)

    assert.strictEqual(early, 0)
    assert.deepStrictEqual(waits, [100, 99, 1, 0, 0])
    assert.notStrictEqual(first, 0)
    assert.strictEqual(second, 0)
    assert.strictEqual(circuit.state, "half-open")
  })

  it("stays open while nobody asks, and looking changes nothing", () => {
    const circuit = opened()

    const wait = circuit.peek(1_000_000)

    assert.strictEqual(wait, 0)
    assert.strictEqual(circuit.state, "open")
  })

  it("is open for its time ± 20 %, so that a fleet does not probe in step (SAFE-5)", () => {
    const shortest = new Circuit({ ...options, consecutiveFailures: 1 })
    const longest = new Circuit({ ...options, consecutiveFailures: 1 })

    attempt(shortest, "failure", 0, () => 0)
    attempt(longest, "failure", 0, () => 1)

    assert.strictEqual(shortest.peek(0), 80)
    assert.closeTo(longest.peek(0), 120, 1e-9)
  })

  it("ignores the outcome of an attempt that was admitted before it opened", () => {
    const circuit = new Circuit({ ...options, consecutiveFailures: 1 })
    const slow = circuit.admit(0)
    attempt(circuit, "failure", 0)

    circuit.settle(slow, "failure", 50, middle)

    assert.deepStrictEqual(seen(circuit, 50), { state: "open", openings: 1, wait: 50 })
  })

  it("ignores the outcome of an attempt that it refused", () => {
    const circuit = opened()

    circuit.settle(circuit.admit(50), "failure", 50, middle)
    circuit.settle(0, "success", 50, middle)

    assert.deepStrictEqual(seen(circuit, 50), { state: "open", openings: 1, wait: 50 })
  })

  it("is not closed by a late success of an attempt from before", () => {
    const circuit = new Circuit({ ...options, consecutiveFailures: 1, successesToClose: 1 })
    const slow = circuit.admit(0)
    attempt(circuit, "failure", 0)
    const probe = circuit.admit(100)

    circuit.settle(slow, "success", 100, middle)
    const afterLate = circuit.state
    circuit.settle(probe, "success", 100, middle)

    assert.strictEqual(afterLate, "half-open")
    assert.strictEqual(circuit.state, "closed")
  })

  it("draws at random only when it opens", () => {
    let draws = 0
    const random = () => {
      draws++
      return 0.5
    }
    const circuit = new Circuit(options)

    for (const sample of ["success", "failure", "failure"] as const) attempt(circuit, sample, 0, random)
    const before = draws
    attempt(circuit, "failure", 0, random)

    assert.strictEqual(before, 0)
    assert.strictEqual(draws, 1)
  })
})

describe("Circuit half-open", () => {
  it("closes after the probes that it asks for, one after the other (SAFE-6)", () => {
    const circuit = opened()

    attempt(circuit, "success", 100)
    const afterOne = circuit.state
    attempt(circuit, "success", 100)

    assert.strictEqual(afterOne, "half-open")
    assert.deepStrictEqual(seen(circuit, 100), { state: "closed", openings: 1, wait: 0 })
  })

  it("tells others to wait a second, or the open time if that is shorter, while a probe is under way", () => {
    const short = opened()
    const long = opened({ openMillis: 5000, maxOpenMillis: 5000 })

    short.admit(100)
    long.admit(5000)

    assert.strictEqual(short.peek(100), 100)
    assert.strictEqual(long.peek(5000), 1000)
  })

  it("opens again, for twice as long each time, when a probe fails, up to the longest time", () => {
    const circuit = opened()
    const waits: Array<number> = [circuit.peek(0)]

    let now = 0
    for (let probe = 0; probe < 4; probe++) {
      now += circuit.peek(now)
      attempt(circuit, "failure", now)
      waits.push(circuit.peek(now))
    }

    assert.deepStrictEqual(waits, [100, 200, 350, 350, 350])
    assert.strictEqual(circuit.openings, 5)
  })

  it("is never open longer than the longest time, jitter included", () => {
    const circuit = opened({ openMillis: 300, maxOpenMillis: 350 })

    attempt(circuit, "failure", 300, () => 1)

    assert.strictEqual(circuit.peek(300), 350)
  })

  it("asks for all its successes again after a probe that failed", () => {
    const circuit = opened()
    attempt(circuit, "success", 100)
    attempt(circuit, "failure", 100)

    attempt(circuit, "success", 300)

    assert.strictEqual(circuit.state, "half-open")
  })

  it("starts from the first open time after it has closed", () => {
    const circuit = opened()
    attempt(circuit, "failure", 100)
    attempts(circuit, ["success", "success"], 300)

    attempt(circuit, "failure", 300)

    assert.deepStrictEqual(seen(circuit, 300), { state: "open", openings: 3, wait: 100 })
  })

  it("gives the place of an interrupted probe to the next, and counts neither success nor failure", () => {
    const circuit = opened({ successesToClose: 1 })

    const interrupted = attempt(circuit, "ignored", 100)
    const afterwards = seen(circuit, 100)
    const next = attempt(circuit, "success", 100)

    assert.isTrue(interrupted)
    assert.deepStrictEqual(afterwards, { state: "half-open", openings: 1, wait: 0 })
    assert.isTrue(next)
    assert.strictEqual(circuit.state, "closed")
  })

  it("begins with an empty window after it has closed", () => {
    const circuit = opened({ consecutiveFailures: 2, minimumCalls: 4 })
    attempt(circuit, "failure", 0)
    attempts(circuit, ["success", "success"], 100)

    attempts(circuit, ["success", "success", "success", "failure"], 100)

    // With the two failures from before it would be the third of six calls.
    assert.strictEqual(circuit.state, "closed")
  })
})

describe("Circuit with several probes", () => {
  it("lets so many be under way at once, and no more", () => {
    const circuit = opened({ probes: 3, successesToClose: 3 })

    const tickets = Array.from({ length: 4 }, () => circuit.admit(100))

    assert.deepStrictEqual(
      tickets.map((ticket) => ticket !== 0),
      [true, true, true, false]
    )
    for (const ticket of tickets.slice(0, 3)) circuit.settle(ticket, "success", 100, middle)
    assert.strictEqual(circuit.state, "closed")
  })

  it("opens again at the first one that fails, and the others say nothing", () => {
    const circuit = opened({ probes: 3, successesToClose: 1 })
    const [first, second, third] = [circuit.admit(100), circuit.admit(100), circuit.admit(100)]

    circuit.settle(second, "failure", 100, middle)
    circuit.settle(first, "success", 100, middle)
    circuit.settle(third, "failure", 100, middle)

    assert.deepStrictEqual(seen(circuit, 100), { state: "open", openings: 2, wait: 200 })
  })
})

describe("Circuit whose probe never ends", () => {
  it("frees its place when the lease is over, not before: the attempt's own time and a second", () => {
    const circuit = opened({ openMillis: 60_000, maxOpenMillis: 60_000 })
    circuit.admit(60_000, 0, 10_000)

    const waits = [60_000, 70_500, 70_999, 71_000].map((now) => circuit.peek(now))
    const next = circuit.admit(71_000, 0, 10_000)

    assert.deepStrictEqual(waits, [1000, 500, 1, 0])
    assert.notStrictEqual(next, 0)
  })

  it("takes the lease of its options before that", () => {
    const circuit = opened({ probeLeaseMillis: 50, openMillis: 100 })
    circuit.admit(100, 0, 10_000)

    assert.deepStrictEqual([circuit.admit(149), circuit.peek(149)], [0, 1])
    assert.notStrictEqual(circuit.admit(150), 0)
  })

  it("does not count what it comes to once its place was given away, and does count it before", () => {
    const away = opened({ probeLeaseMillis: 50, successesToClose: 1 })
    const late = opened({ probeLeaseMillis: 50, successesToClose: 1 })
    const [lost, kept] = [away.admit(100), late.admit(100)]
    const taken = away.admit(150)

    away.settle(lost, "failure", 200, middle)
    late.settle(kept, "success", 200, middle)
    const before = away.state
    away.settle(taken, "success", 200, middle)

    assert.deepStrictEqual([before, late.state, away.state], ["half-open", "closed", "closed"])
  })

  it("keeps the places of those whose lease goes on", () => {
    const circuit = opened({ probes: 2 })
    circuit.admit(100, 0, 1000)
    circuit.admit(100, 0, 0)

    const taken = circuit.admit(1100)
    const none = circuit.admit(1100)

    assert.notStrictEqual(taken, 0)
    assert.strictEqual(none, 0)
  })
})

describe("Circuit open after a hint", () => {
  const failed = (hintMillis: number, random: number, overrides: Partial<CircuitOptions> = {}) => {
    const circuit = new Circuit({ ...options, consecutiveFailures: 1, ...overrides })
    circuit.settle(circuit.admit(0), "failure", 0, () => random, { hintMillis })
    return circuit
  }

  it("is open for at least as long as the provider asked, and up to a fifth longer", () => {
    assert.deepStrictEqual(
      [0, 0.5, 1].map((random) => Math.round(failed(200, random).peek(0))),
      [200, 220, 240]
    )
  })

  it("stays open for its own time when the hint is shorter", () => {
    assert.deepStrictEqual(
      [0, 0.5].map((random) => failed(70, random).peek(0)),
      [80, 100]
    )
  })

  it("is open beyond its longest time when the provider asked for that", () => {
    assert.strictEqual(failed(1000, 0, { maxOpenMillis: 350 }).peek(0), 1000)
  })

  it("takes the hint of a probe that failed", () => {
    const circuit = opened()

    circuit.settle(circuit.admit(100), "failure", 100, () => 0, { hintMillis: 5000 })

    assert.strictEqual(circuit.peek(100), 5000)
  })

  it("takes no hint of a failure that did not open it", () => {
    const circuit = new Circuit({ ...options, minimumCalls: 10 })

    for (const hintMillis of [5000, 5000, 0]) circuit.settle(circuit.admit(0), "failure", 0, middle, { hintMillis })

    assert.strictEqual(circuit.peek(0), 100)
  })
})

describe("Circuit with a time window", () => {
  const timed = (overrides: Partial<CircuitOptions> = {}) =>
    new Circuit({ ...options, consecutiveFailures: 100, timeWindowMillis: 1000, window: 1, ...overrides })

  it("takes the rate over all calls of that time, however many", () => {
    const circuit = timed({ minimumCalls: 1000 })

    for (let now = 0; now < 999; now++) attempt(circuit, now % 2 === 0 ? "failure" : "success", now)
    const before = circuit.state
    attempt(circuit, "failure", 999)

    assert.strictEqual(before, "closed")
    assert.strictEqual(circuit.state, "open")
  })

  it("forgets a tenth of it at a time, on both sides of the boundary", () => {
    const young = timed({ minimumCalls: 2 })
    const old = timed({ minimumCalls: 2 })

    attempt(young, "failure", 99)
    attempt(young, "failure", 999)
    attempt(old, "failure", 99)
    attempt(old, "failure", 1000)

    assert.strictEqual(young.state, "open")
    assert.strictEqual(old.state, "closed")
  })

  it("forgets everything in a long pause", () => {
    const circuit = timed({ minimumCalls: 2 })

    attempt(circuit, "failure", 0)
    attempt(circuit, "failure", 1_000_000)

    assert.deepStrictEqual(
      [circuit.state, circuit.snapshot(1_000_000).calls, circuit.snapshot(1_001_000).calls],
      ["closed", 1, 0]
    )
  })

  it("takes away what it has counted, and nothing else", () => {
    const circuit = timed({ minimumCalls: 100 })

    for (const now of [0, 150, 250, 250, 950]) attempt(circuit, now < 200 ? "failure" : "success", now)

    const counted = [950, 1000, 1100, 1200, 1900].map((now) => {
      const { calls, failures } = circuit.snapshot(now)
      return [calls, failures]
    })
    assert.deepStrictEqual(counted, [
      [5, 2],
      [4, 1],
      [3, 0],
      [1, 0],
      [0, 0]
    ])
  })
})

describe("Circuit on a clock that goes back", () => {
  it("counts what comes in the newest tenth of its time", () => {
    const circuit = new Circuit({ ...options, timeWindowMillis: 1000, minimumCalls: 100 })

    for (const now of [950, 350, 950]) attempt(circuit, "success", now)

    assert.deepStrictEqual([circuit.snapshot(950).calls, circuit.snapshot(1899).calls], [3, 3])
    assert.strictEqual(circuit.snapshot(1900).calls, 0)
  })
})

describe("Circuit and slow calls", () => {
  const timing = (overrides: Partial<CircuitOptions> = {}) =>
    new Circuit({ ...options, consecutiveFailures: 100, failureRate: 1, slowAfterMillis: 50, ...overrides })

  /** An attempt that takes so long. */
  const took = (circuit: Circuit, millis: number, now: number, sample: Sample = "success") =>
    circuit.settle(circuit.admit(now - millis), sample, now, middle, { startedAt: now - millis })

  it("opens at the slow rate, whether the calls succeed or fail, and says so", () => {
    const circuit = timing()

    for (const sample of ["success", "failure"] as const) took(circuit, 51, 100, sample)
    took(circuit, 50, 100)
    const before = circuit.state
    took(circuit, 51, 100)

    assert.strictEqual(before, "closed")
    assert.strictEqual(circuit.state, "open")
    assert.strictEqual(circuit.snapshot(100).reason, "slow: 75 % of 4 calls")
  })

  it("does not take a call for slow that took exactly so long, nor any where nothing is slow", () => {
    const exact = timing({ minimumCalls: 1 })
    const never = timing({ minimumCalls: 1, slowAfterMillis: undefined })

    took(exact, 50, 100)
    took(never, 1_000_000, 1_000_100)

    assert.deepStrictEqual([exact.state, never.state], ["closed", "closed"])
  })

  it("counts a call that still runs as soon as it is too long: a hang opens it before anything returns", () => {
    const circuit = timing()
    for (let n = 0; n < 4; n++) circuit.admit(n)

    circuit.notice(53, middle)
    const before = circuit.state
    circuit.notice(54, middle)

    assert.strictEqual(before, "closed")
    assert.deepStrictEqual([circuit.state, circuit.snapshot(54).reason], ["open", "slow: 100 % of 4 calls"])
  })

  it("counts it once, and adds that it failed when it does", () => {
    const circuit = timing({ minimumCalls: 10 })
    const tickets = [circuit.admit(0), circuit.admit(0), circuit.admit(0)]
    circuit.notice(60, middle)
    const [first = 0, second = 0, third = 0] = tickets

    circuit.settle(first, "failure", 70, middle, { startedAt: 0 })
    circuit.settle(second, "success", 70, middle, { startedAt: 0 })
    circuit.settle(third, "ignored", 70, middle, { startedAt: 0 })
    circuit.notice(80, middle)

    const { calls, failures, slow } = circuit.snapshot(80)
    assert.deepStrictEqual({ calls, failures, slow }, { calls: 3, failures: 1, slow: 3 })
  })

  it("does not count calls that ended in time, whatever the order", () => {
    const circuit = timing({ minimumCalls: 1 })
    const tickets = [circuit.admit(0), circuit.admit(10), circuit.admit(20)]

    for (const ticket of tickets.toReversed()) circuit.settle(ticket, "ignored", 40, middle)
    circuit.notice(1000, middle)

    assert.deepStrictEqual([circuit.state, circuit.snapshot(1000).calls], ["closed", 0])
  })

  it("watches the first 1,024 of those under way, and judges the others when they end", () => {
    const circuit = timing({ window: 5000, minimumCalls: 5000 })
    const tickets = Array.from({ length: 1100 }, () => circuit.admit(0))

    circuit.notice(51, middle)
    const watched = circuit.snapshot(51).slow
    for (const ticket of tickets) circuit.settle(ticket, "success", 60, middle, { startedAt: 0 })
    const ended = circuit.snapshot(60)
    const later = circuit.admit(60)
    circuit.notice(111, middle)

    assert.notStrictEqual(later, 0)
    assert.deepStrictEqual([watched, ended.slow, ended.calls, circuit.snapshot(111).slow], [1024, 1100, 1100, 1101])
  })

  it("does not take those for its own that it did not watch", () => {
    const circuit = timing({ window: 5000, minimumCalls: 5000 })
    const end = (from: number, to: number) => {
      for (let ticket = from; ticket <= to; ticket++) circuit.settle(ticket, "ignored", 55, middle)
    }
    circuit.admit(0)
    for (let n = 0; n < 1073; n++) circuit.admit(40)
    circuit.notice(51, middle)
    end(2, 100)
    circuit.notice(55, middle)
    circuit.admit(55)
    end(101, 1024)
    circuit.notice(60, middle)

    // The first one is slow; the one of 55 is not yet.
    assert.strictEqual(circuit.snapshot(60).slow, 1)
    circuit.notice(106, middle)
    assert.strictEqual(circuit.snapshot(106).slow, 2)
  })

  it("adds that a slow one failed to the call it was, as long as that counts", () => {
    const counted = timing({ timeWindowMillis: 1000, minimumCalls: 100 })
    const gone = timing({ timeWindowMillis: 1000, minimumCalls: 100 })
    for (const circuit of [counted, gone]) {
      const ticket = circuit.admit(0)
      circuit.notice(60, middle)
      const now = circuit === counted ? 999 : 1000
      took(circuit, 10, now)
      circuit.settle(ticket, "failure", now, middle, { startedAt: 0 })
    }

    const { calls, failures } = counted.snapshot(999)
    assert.deepStrictEqual([calls, failures], [2, 1])
    assert.deepStrictEqual([gone.snapshot(1000).calls, gone.snapshot(1000).failures], [1, 0])
  })

  it("keeps a slow one in another window, where no other call is taken for it", () => {
    const circuit = timing({ window: 5, minimumCalls: 5 })
    took(circuit, 10, 10)
    const ticket = circuit.admit(10)
    circuit.notice(61, middle)
    took(circuit, 10, 61)
    took(circuit, 10, 61)

    circuit.configure({ ...options, consecutiveFailures: 100, slowAfterMillis: 50, window: 3, minimumCalls: 5 }, 61)
    circuit.settle(ticket, "failure", 70, middle, { startedAt: 10 })

    const { calls, failures, slow } = circuit.snapshot(70)
    assert.deepStrictEqual({ calls, failures, slow }, { calls: 3, failures: 0, slow: 1 })
  })

  it("opens again when a probe was slow", () => {
    const circuit = timing({ consecutiveFailures: 1 })
    attempt(circuit, "failure", 0)

    took(circuit, 51, 200)

    assert.deepStrictEqual(seen(circuit, 200), { state: "open", openings: 2, wait: 200 })
    assert.strictEqual(circuit.snapshot(200).reason, "a probe was slow")
  })
})

describe("Circuit in its ramp", () => {
  const ramping = (overrides: Partial<CircuitOptions> = {}) => {
    const circuit = opened({ rampMillis: 9000, successesToClose: 1, minimumCalls: 10, ...overrides })
    attempt(circuit, "success", 100)
    return circuit
  }

  /** The share of a thousand calls, with lots all over, that are let through at an instant. */
  const shareAt = (circuit: Circuit, now: number): number => {
    let admitted = 0
    circuit.admit(now, 0)
    for (let n = 0; n < 1000; n++) if (circuit.admit(now, n / 1000) !== 0) admitted++
    return admitted / 1000
  }

  it("lets 10, 25 and 50 % of the calls through, a third of its time each, and then all", () => {
    const circuit = ramping()

    const shares = [100, 3099, 3100, 6099, 6100, 9099, 9100].map((now) => shareAt(circuit, now))

    assert.deepStrictEqual(shares, [0.1, 0.1, 0.25, 0.25, 0.5, 0.5, 1])
    assert.strictEqual(circuit.state, "closed")
  })

  it("lets one a second through whatever the lot, so that a call now and then is not refused", () => {
    const circuit = ramping()

    const admitted = [100, 100, 1099, 1100, 2000, 2100].filter((now) => circuit.admit(now, 0.99) !== 0)

    assert.deepStrictEqual(admitted, [100, 1100, 2100])
  })

  it("tells a call how long it will be refused: until its share comes, or a second has passed", () => {
    const circuit = ramping()
    circuit.admit(3000, 0)

    const waits = [0.05, 0.2, 0.4, 0.99].map((lot) => circuit.peek(3050, lot))

    assert.deepStrictEqual(waits, [0, 50, 950, 950])
  })

  it("opens again at a burst of failures, for twice as long as before", () => {
    const circuit = new Circuit({ ...options, consecutiveFailures: 2, rampMillis: 9000, successesToClose: 1 })
    attempts(circuit, ["failure", "failure"], 0)
    attempt(circuit, "success", 100)

    attempt(circuit, "failure", 200)
    const before = circuit.state
    attempt(circuit, "failure", 200)

    assert.strictEqual(before, "ramping")
    assert.deepStrictEqual(seen(circuit, 200), { state: "open", openings: 2, wait: 200 })
  })

  it("opens for the first open time again once the ramp is over, also for attempts of the ramp", () => {
    const circuit = ramping()
    const ticket = circuit.admit(9000)

    circuit.settle(ticket, "failure", 9100, middle)

    assert.deepStrictEqual(seen(circuit, 9100), { state: "open", openings: 2, wait: 100 })
  })

  it("counts the attempts of the ramp after it", () => {
    const circuit = ramping({ consecutiveFailures: 1 })
    const ticket = circuit.admit(9000)
    circuit.admit(9200)

    circuit.settle(ticket, "failure", 9200, middle)

    assert.strictEqual(circuit.state, "open")
  })
})

describe("Circuit set by hand", () => {
  it("forced open refuses everything, whatever passes, until it is told otherwise; then the next attempt is a probe", () => {
    const circuit = new Circuit({ ...options, successesToClose: 1 })
    const before = circuit.admit(0)

    circuit.forceOpen("ana: incident 7")
    circuit.settle(before, "failure", 0, middle)
    const refused = [0, 1_000_000].map((now) => circuit.admit(now))
    const { calls, forcedBy, reason, retryAfterMillis, state } = circuit.snapshot(0)
    circuit.automatic()
    const [probe, beside] = [circuit.admit(2_000_000), circuit.admit(2_000_000)]
    circuit.settle(probe, "success", 2_000_000, middle)

    assert.deepStrictEqual(refused, [0, 0])
    assert.deepStrictEqual(
      { calls, forcedBy, reason, retryAfterMillis, state },
      { calls: 0, forcedBy: "ana: incident 7", reason: "forced open", retryAfterMillis: 350, state: "forced-open" }
    )
    assert.notStrictEqual(probe, 0)
    assert.strictEqual(beside, 0)
    assert.deepStrictEqual([circuit.state, circuit.snapshot(2_000_000).forcedBy], ["closed", undefined])
  })

  it("disabled lets everything through and goes on counting; automatic again, the next failure opens it", () => {
    const circuit = new Circuit(options)
    attempt(circuit, "failure", 0)

    circuit.disable("ana")
    attempts(circuit, ["failure", "failure", "failure"], 0)
    const disabled = circuit.snapshot(0)
    circuit.automatic()
    const between = circuit.state
    attempt(circuit, "failure", 0)

    assert.deepStrictEqual(
      [disabled.state, disabled.calls, disabled.failures, disabled.forcedBy, disabled.openings],
      ["disabled", 4, 4, "ana", 0]
    )
    assert.deepStrictEqual([between, circuit.state], ["closed", "open"])
  })

  it("disabled while it is open lets through at once, and forgets what opened it", () => {
    const circuit = opened()

    circuit.disable("ana")

    assert.notStrictEqual(circuit.admit(0), 0)
    assert.strictEqual(circuit.snapshot(0).reason, undefined)
    circuit.automatic()
    assert.deepStrictEqual(seen(circuit, 0), { state: "closed", openings: 1, wait: 0 })
  })

  it("closed by hand begins anew: no counts, the first open time", () => {
    const circuit = opened()
    attempt(circuit, "failure", 100)

    circuit.close()
    const closed = seen(circuit, 100)
    attempt(circuit, "failure", 100)

    assert.deepStrictEqual(closed, { state: "closed", openings: 2, wait: 0 })
    assert.deepStrictEqual(seen(circuit, 100), { state: "open", openings: 3, wait: 100 })
  })

  it("automatic changes nothing that was not set by hand", () => {
    const circuit = opened()

    circuit.automatic()

    assert.deepStrictEqual(seen(circuit, 0), { state: "open", openings: 1, wait: 100 })
  })
})

describe("Circuit.configure", () => {
  it("keeps the state, and the counts that fit into the other window", () => {
    const circuit = new Circuit({ ...options, consecutiveFailures: 100, minimumCalls: 100 })
    attempts(circuit, ["failure", "failure", "success", "failure", "success"], 0)

    circuit.configure({ ...options, window: 3, minimumCalls: 100 }, 0)
    const fewer = circuit.snapshot(0)
    circuit.configure({ ...options, timeWindowMillis: 500, minimumCalls: 100 }, 0)
    const timed = circuit.snapshot(0)
    circuit.configure({ ...options, window: 2, minimumCalls: 100 }, 0)
    const back = circuit.snapshot(0)

    assert.deepStrictEqual(
      [fewer, timed, back].map(({ calls, failures, state }) => [state, calls, failures]),
      [
        ["closed", 3, 1],
        ["closed", 3, 1],
        ["closed", 2, 1]
      ]
    )
  })

  it("judges by the new sizes from the next failure on", () => {
    const circuit = new Circuit({ ...options, consecutiveFailures: 100, minimumCalls: 100 })
    attempts(circuit, ["failure", "failure"], 0)

    circuit.configure({ ...options, consecutiveFailures: 3 }, 0)
    attempt(circuit, "failure", 0)

    assert.strictEqual(circuit.snapshot(0).reason, "3 failures in a row")
  })

  it("begins and ends to time calls", () => {
    const circuit = new Circuit({ ...options, minimumCalls: 1 })
    circuit.admit(0)

    circuit.configure({ ...options, minimumCalls: 1, slowAfterMillis: 50 }, 0)
    circuit.notice(1000, middle)
    const unwatched = circuit.state
    circuit.admit(1000)
    circuit.configure({ ...options, minimumCalls: 1 }, 1000)
    circuit.notice(2000, middle)

    assert.deepStrictEqual([unwatched, circuit.state, circuit.timesCalls], ["closed", "closed", false])
  })
})

describe("Circuit.trip", () => {
  const told = (circuit: Circuit, now: number, millis: number, random = middle) =>
    circuit.trip(now, millis, "told by another process", random)
  /** Told in each state that it does not listen in; each is as it was. */
  const deaf = {
    open: () => opened(),
    "half-open": () => {
      const circuit = opened()
      circuit.admit(100)
      return circuit
    },
    "forced-open": () => {
      const circuit = new Circuit(options)
      circuit.forceOpen("ana")
      return circuit
    },
    disabled: () => {
      const circuit = new Circuit(options)
      circuit.disable("ana")
      return circuit
    }
  }

  it("opens one that is closed for what is left and up to a fifth longer, so that processes do not probe together", () => {
    const waits = [0, 0.5, 1].map((random) => {
      const circuit = new Circuit(options)
      told(circuit, 10, 200, () => random)
      return [circuit.state, Math.round(circuit.peek(10)), Math.round(circuit.peek(110))]
    })

    assert.deepStrictEqual(waits, [
      ["open", 200, 100],
      ["open", 220, 120],
      ["open", 240, 140]
    ])
  })

  it("is open no longer than its own longest time, and still not in step with others", () => {
    const waits = [0, 0.5, 1].map((random) => {
      const circuit = new Circuit({ ...options, maxOpenMillis: 360 })
      told(circuit, 0, 100_000, () => random)
      return Math.round(circuit.peek(0))
    })

    assert.deepStrictEqual(waits, [300, 330, 360])
  })

  it("tells the change with the reason, and counts no opening of its own", () => {
    const circuit = new Circuit(options)

    told(circuit, 0, 100, () => 0)
    const { openings, reason, retryAfterMillis } = circuit.snapshot(0)

    assert.deepStrictEqual(
      { openings, reason, retryAfterMillis: Math.round(retryAfterMillis) },
      { openings: 0, reason: "told by another process", retryAfterMillis: 100 }
    )
    assert.deepStrictEqual(
      circuit.takeChanges().map(({ from, reason, to, waitMillis }) => [from, to, reason, Math.round(waitMillis)]),
      [["closed", "open", "told by another process", 100]]
    )
  })

  it("lets a probe through afterwards, and its first own opening is as short as ever", () => {
    const circuit = new Circuit(options)
    told(circuit, 0, 100, () => 0)

    const early = circuit.admit(99)
    attempt(circuit, "failure", 101)

    assert.strictEqual(early, 0)
    assert.deepStrictEqual(seen(circuit, 101), { state: "open", openings: 1, wait: 100 })
  })

  it("takes no failures from before into the time after, nor the end of an attempt from before", () => {
    const circuit = new Circuit({ ...options, successesToClose: 1, minimumCalls: 10 })
    const late = circuit.admit(0)
    attempts(circuit, ["failure", "failure"], 0)
    told(circuit, 0, 100, () => 0)
    circuit.settle(late, "failure", 50, middle)
    const afterLate = circuit.openings
    attempt(circuit, "success", 101)
    attempt(circuit, "failure", 101)

    assert.strictEqual(afterLate, 0)
    assert.deepStrictEqual(seen(circuit, 101), { state: "closed", openings: 0, wait: 0 })
  })

  it("opens one that is ramping, whose next own opening is as long as it would have been", () => {
    const circuit = opened({ successesToClose: 1, rampMillis: 900 })
    attempt(circuit, "success", 100)
    const before = circuit.state

    told(circuit, 200, 50, () => 0)
    const tripped = circuit.state
    attempt(circuit, "failure", 251)

    assert.deepStrictEqual([before, tripped], ["ramping", "open"])
    assert.deepStrictEqual(seen(circuit, 251), { state: "open", openings: 2, wait: 200 })
  })

  it("takes one whose ramp is over for closed: its next own opening is the first", () => {
    const circuit = opened({ successesToClose: 1, rampMillis: 900 })
    attempt(circuit, "success", 100)

    told(circuit, 1000, 50, () => 0)
    attempt(circuit, "failure", 1051)

    assert.deepStrictEqual(
      circuit.takeChanges().map(({ from, to }) => `${from} > ${to}`),
      [
        "closed > open",
        "open > half-open",
        "half-open > ramping",
        "ramping > closed",
        "closed > open",
        "open > half-open",
        "half-open > open"
      ]
    )
    assert.deepStrictEqual(seen(circuit, 1051), { state: "open", openings: 2, wait: 100 })
  })

  it.each(Object.keys(deaf) as ReadonlyArray<keyof typeof deaf>)("leaves one that is %s as it is", (state) => {
    const circuit = deaf[state]()
    circuit.takeChanges()
    const before = circuit.snapshot(100)

    told(circuit, 100, 5000, () => assert.fail("nothing is drawn"))

    assert.strictEqual(circuit.state, state)
    assert.deepStrictEqual([circuit.snapshot(100), circuit.takeChanges()], [before, []])
  })

  it("does nothing for a time that is over, or is none", () => {
    const circuit = new Circuit(options)

    for (const millis of [0, -1, Number.NaN]) told(circuit, 0, millis, () => assert.fail("nothing is drawn"))

    assert.strictEqual(circuit.state, "closed")
  })
})

describe("Circuit.takeChanges", () => {
  it("tells each change once, with why and for how long it opened", () => {
    const circuit = new Circuit({ ...options, rampMillis: 900, successesToClose: 1 })
    attempts(circuit, ["failure", "failure", "failure"], 0)
    const opening = circuit.takeChanges()
    attempt(circuit, "success", 100)
    attempt(circuit, "success", 1000)
    const closing = circuit.takeChanges().map(({ from, to }) => `${from} > ${to}`)

    assert.deepStrictEqual(opening, [{ from: "closed", to: "open", reason: "3 failures in a row", waitMillis: 100 }])
    assert.deepStrictEqual(closing, ["open > half-open", "half-open > ramping", "ramping > closed"])
    assert.deepStrictEqual([circuit.hasChanged, circuit.takeChanges()], [false, []])
  })

  it("keeps the last sixteen", () => {
    const circuit = opened({ maxOpenMillis: 100 })
    for (let now = 100; now <= 2000; now += 100) attempt(circuit, "failure", now)

    assert.strictEqual(circuit.takeChanges().length, 16)
  })

  it("names the rate that opened it, and the probe", () => {
    const circuit = new Circuit({ ...options, consecutiveFailures: 100 })
    attempts(circuit, ["success", "failure", "success", "failure"], 0)
    const first = circuit.snapshot(0).reason
    attempt(circuit, "failure", 100)

    assert.deepStrictEqual([first, circuit.snapshot(100).reason], ["50 % of 4 calls failed", "a probe failed"])
  })
})

const whole = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const Options = Schema.Struct({
  consecutiveFailures: whole(1, 5),
  failureRate: Schema.Literals([0.125, 0.25, 0.5, 0.75, 1]),
  window: whole(1, 8),
  minimumCalls: whole(1, 8),
  windowAgeMillis: whole(1, 200),
  timeWindowMillis: Schema.Union([Schema.Undefined, whole(10, 400)]),
  slowAfterMillis: Schema.Union([Schema.Undefined, whole(1, 40), whole(1, 40)]),
  slowRate: Schema.Literals([0.25, 0.5, 1]),
  openMillis: whole(1, 200),
  maxOpenMillis: whole(200, 1000),
  probes: whole(1, 3),
  probeLeaseMillis: Schema.Union([Schema.Undefined, whole(1, 300)]),
  successesToClose: whole(1, 3),
  rampMillis: Schema.Literals([0, 30, 900, 3000])
})

const Outcome = Schema.Literals(["success", "failure", "failure", "ignored"])
const Share = Schema.Literals([0, 0.25, 0.5, 0.75])
const Hint = Schema.Literals([0, 0, 0, 150, 2000])

/** Histories of one provider: attempts begin, end in some order in some way, operators interfere, and time goes by. */
const Step = Schema.Union([
  Schema.TaggedStruct("Admit", { lot: Share }),
  Schema.TaggedStruct("Settle", { which: whole(0, 7), sample: Outcome, random: Share, hint: Hint }),
  Schema.TaggedStruct("Attempt", { sample: Outcome, random: Share, hint: Hint }),
  Schema.TaggedStruct("Attempt", { sample: Schema.Literals(["success"]), random: Share, hint: Hint }),
  Schema.TaggedStruct("Attempt", { sample: Schema.Literals(["failure"]), random: Share, hint: Hint }),
  Schema.TaggedStruct("SlowAttempt", { millis: whole(30, 60), sample: Outcome, random: Share, hint: Hint }),
  Schema.TaggedStruct("SlowAttempt", { millis: whole(1, 60), sample: Outcome, random: Share, hint: Hint }),
  Schema.TaggedStruct("AwaitAdmission", {}),
  Schema.TaggedStruct("Notice", { random: Share }),
  Schema.TaggedStruct("Pass", { millis: whole(0, 300) }),
  Schema.TaggedStruct("Pass", { millis: whole(0, 20) }),
  Schema.TaggedStruct("Force", {
    to: Schema.Literals(["forceOpen", "disable", "close", "automatic", "automatic", "automatic"])
  }),
  Schema.TaggedStruct("Trip", { millis: Schema.Literals([0, 1, 50, 300, 5000]), random: Share }),
  Schema.TaggedStruct("Configure", { window: whole(1, 8), timeWindowMillis: Options.fields.timeWindowMillis })
])

const Steps = Schema.Array(Step).check(Schema.isMaxLength(100))

/** A circuit and its model, to which the same happens; after each step both must look alike. */
class Pair {
  now = 0
  readonly circuit: Circuit
  readonly model: CircuitModel
  private options: CircuitOptions
  private readonly underWay: Array<{ readonly ticket: number; readonly modelled: Attempt }> = []

  constructor(options: CircuitOptions) {
    this.options = options
    this.circuit = new Circuit(options)
    this.model = new CircuitModel(options)
  }

  private admit(lot: number, longest: number) {
    const { now } = this
    const ticket = this.circuit.admit(now, lot, longest)
    const modelled = this.model.admit(now, lot, longest)
    assert.strictEqual(ticket !== 0, modelled !== undefined)
    return modelled === undefined ? undefined : { ticket, modelled }
  }

  private settle(attempt: ReturnType<Pair["admit"]>, sample: Sample, random: number, hintMillis: number): void {
    if (attempt === undefined) return
    const { modelled, ticket } = attempt
    this.circuit.settle(ticket, sample, this.now, () => random, { startedAt: modelled.startedAt, hintMillis })
    this.model.settle(modelled, sample, this.now, random, hintMillis)
  }

  private configure(window: number, timeWindowMillis: number | undefined): void {
    // The calls of a time window are not told apart, so that a model of single calls cannot follow them into another.
    if (this.options.timeWindowMillis !== undefined) return
    this.options = { ...this.options, window, timeWindowMillis }
    this.circuit.configure(this.options, this.now)
    this.model.configure(this.options, this.now)
  }

  step(step: typeof Step.Type): void {
    switch (step._tag) {
      case "Pass":
        this.now += step.millis
        break
      case "AwaitAdmission":
        this.now += this.model.peek(this.now, 0)
        break
      case "Attempt":
        this.settle(this.admit(0.2, 0), step.sample, step.random, step.hint)
        break
      case "SlowAttempt": {
        const attempt = this.admit(0.2, 0)
        this.now += step.millis
        this.settle(attempt, step.sample, step.random, step.hint)
        break
      }
      case "Admit": {
        const attempt = this.admit(step.lot, 20)
        if (attempt !== undefined) this.underWay.push(attempt)
        break
      }
      case "Settle": {
        const [attempt] = this.underWay.splice(step.which % Math.max(1, this.underWay.length), 1)
        this.settle(attempt, step.sample, step.random, step.hint)
        break
      }
      case "Notice":
        this.circuit.notice(this.now, () => step.random)
        this.model.notice(this.now, step.random)
        break
      case "Force":
        this.circuit[step.to]("somebody")
        this.model[step.to]()
        break
      case "Trip":
        this.circuit.trip(this.now, step.millis, "told", () => step.random)
        this.model.trip(this.now, step.millis, step.random)
        break
      case "Configure":
        this.configure(step.window, step.timeWindowMillis)
        break
    }
    this.looksAlike()
  }

  private looksAlike(): void {
    for (const lot of [0, 0.2, 0.6]) {
      const { calls, failures, openings, slow, state } = this.circuit.snapshot(this.now)
      const wait = this.circuit.peek(this.now, lot)
      assert.deepStrictEqual({ state, openings, wait, calls, failures, slow }, this.model.seen(this.now, lot))
    }
  }

  /** The caller of every attempt goes away. */
  interruptAll(): void {
    for (const attempt of this.underWay.splice(0)) this.settle(attempt, "ignored", 0, 0)
    this.looksAlike()
  }
}

describe("Circuit as a state machine", () => {
  const visited = new Map<string, number>()
  const visit = (what: string) => visited.set(what, (visited.get(what) ?? 0) + 1)

  it.prop(
    "does what the model does, whatever begins, ends, is interrupted or set by hand, and however time passes",
    [Options, Steps],
    ([options, steps]) => {
      const pair = new Pair(options)

      for (const step of steps) {
        pair.step(step)
        visit(pair.circuit.state)
        for (const { reason } of pair.circuit.takeChanges()) {
          const kind = ["in a row", "failed", "slow", "told"].find((word) => reason?.includes(word))
          if (kind !== undefined) visit(kind)
        }
      }
    },
    { arbitrary: { runs: 1000, size: 100, seed: "circuit" }, timeout: 60_000 }
  )

  it("was driven through all of its states and reasons by the property above", () => {
    const states = ["closed", "open", "half-open", "ramping", "forced-open", "disabled"]
    const wanted = [...states, "in a row", "failed", "slow", "told"]

    assert.deepStrictEqual(
      wanted.filter((state) => (visited.get(state) ?? 0) < 50),
      []
    )
  })

  it.prop(
    "holds nothing once every attempt was interrupted, at whichever step: all places of probes are free",
    [Options, Steps.check(Schema.isMaxLength(30))],
    ([options, steps]) => {
      for (let cut = 0; cut <= steps.length; cut++) {
        const pair = new Pair(options)
        for (const step of steps.slice(0, cut)) pair.step(step)
        pair.interruptAll()
        const { circuit } = pair
        circuit.automatic()
        pair.now += circuit.peek(pair.now)
        const isHalfOpen = circuit.admit(pair.now) !== 0 && circuit.state === "half-open"
        const more = Array.from({ length: 4 }, () => circuit.admit(pair.now)).filter((ticket) => ticket !== 0)

        if (isHalfOpen) assert.strictEqual(more.length + 1, options.probes)
        else assert.isTrue(circuit.state === "closed" || circuit.state === "ramping")
      }
    },
    { arbitrary: { runs: 100, size: 30, seed: "interrupted" }, timeout: 60_000 }
  )

  it.prop(
    "never holds more probes than it may, and never gets stuck half-open",
    [Options, Schema.Array(Schema.Literals(["success", "failure", "ignored"]))],
    ([options, samples]) => {
      const circuit = new Circuit({ ...options, consecutiveFailures: 1 })
      attempt(circuit, "failure", 0)
      let now = 0

      for (const sample of samples) {
        if (circuit.state === "closed" || circuit.state === "ramping") break
        now += options.maxOpenMillis
        const probes = Array.from({ length: options.probes }, () => circuit.admit(now))
        assert.isTrue(probes.every((probe) => probe !== 0))
        assert.strictEqual(circuit.admit(now), 0)
        for (const probe of probes) circuit.settle(probe, sample, now, middle)
      }
      now += options.maxOpenMillis

      assert.strictEqual(circuit.peek(now), 0)
    },
    { arbitrary: { runs: 500, seed: "probes" } }
  )
})

describe("Circuit with more under way than it watches", () => {
  const watching = () =>
    new Circuit({
      ...options,
      consecutiveFailures: 5000,
      failureRate: 1,
      minimumCalls: 5000,
      window: 5000,
      slowAfterMillis: 50
    })
  const admit = (circuit: Circuit, count: number, now: number): ReadonlyArray<number> =>
    Array.from({ length: count }, () => circuit.admit(now))
  const ignore = (circuit: Circuit, tickets: ReadonlyArray<number>, now: number) => {
    for (const ticket of tickets) circuit.settle(ticket, "ignored", now, middle)
  }
  const slow = (circuit: Circuit, now: number): number => {
    circuit.notice(now, middle)
    return circuit.snapshot(now).slow
  }

  it("takes the end of one that was slow before for nobody else's", () => {
    const circuit = watching()
    const hanging = admit(circuit, 1, 0)
    assert.strictEqual(slow(circuit, 51), 1)
    admit(circuit, 1024, 60)

    ignore(circuit, hanging, 61)

    assert.strictEqual(slow(circuit, 111), 1025)
  })

  it("takes the end of one that it does not watch for nobody else's", () => {
    const circuit = watching()
    const [unwatched = 0] = admit(circuit, 1025, 0).slice(-1)

    ignore(circuit, [unwatched], 10)

    assert.strictEqual(slow(circuit, 51), 1024)
  })

  it("knows one that it watches after some that it did not, and counts it once", () => {
    const circuit = watching()
    admit(circuit, 1, 0)
    const others = admit(circuit, 1073, 40)
    assert.strictEqual(slow(circuit, 51), 1)
    ignore(circuit, others.slice(0, 99), 55)
    slow(circuit, 55)
    const late = circuit.admit(55)
    ignore(circuit, others.slice(99), 55)
    const noticed = slow(circuit, 106)

    circuit.settle(late, "success", 120, middle, { startedAt: 55 })

    assert.deepStrictEqual([noticed, slow(circuit, 120), circuit.snapshot(120).calls], [2, 2, 2])
  })
})

describe("Circuit with more slow calls under way than it remembers", () => {
  const hanging = () =>
    new Circuit({ ...options, consecutiveFailures: 9999, minimumCalls: 9999, window: 9999, slowAfterMillis: 50 })
  /** So many calls that begin then, and are slow. */
  const slow = (circuit: Circuit, count: number, now: number): ReadonlyArray<number> => {
    const tickets = Array.from({ length: count }, () => circuit.admit(now))
    circuit.notice(now + 51, middle)
    return tickets
  }
  const counts = (circuit: Circuit, now: number) => {
    const { calls, failures } = circuit.snapshot(now)
    return { calls, failures }
  }

  it("remembers 1,024, and takes the oldest for another call when it ends", () => {
    const circuit = hanging()
    const [oldest = 0, second = 0] = slow(circuit, 1024, 0)
    slow(circuit, 1, 60)

    circuit.settle(second, "failure", 120, middle)
    const ofSecond = counts(circuit, 120)
    circuit.settle(oldest, "failure", 120, middle)

    assert.deepStrictEqual(ofSecond, { calls: 1025, failures: 1 })
    assert.deepStrictEqual(counts(circuit, 120), { calls: 1026, failures: 2 })
  })

  it("remembers none that has ended", () => {
    const circuit = hanging()
    const [first = 0] = slow(circuit, 1, 0)
    for (const now of [60, 120])
      for (const ticket of slow(circuit, 600, now)) circuit.settle(ticket, "success", now + 51, middle)

    circuit.settle(first, "failure", 180, middle)

    assert.deepStrictEqual(counts(circuit, 180), { calls: 1201, failures: 1 })
  })
})

describe("Circuit that learns late that a slow call failed", () => {
  const timing = (overrides: Partial<CircuitOptions>) =>
    new Circuit({ ...options, consecutiveFailures: 100, failureRate: 1, slowAfterMillis: 50, ...overrides })

  it("does not open for one that has left its window in the same moment, and does before", () => {
    for (const [timeWindowMillis, age] of [
      [undefined, 1000],
      [1000, 939]
    ] as const) {
      const states = [age, age + 1].map((millis) => {
        const circuit = timing({ timeWindowMillis, minimumCalls: 2, slowRate: 1 })
        const tickets = [circuit.admit(0), circuit.admit(0)]
        attempt(circuit, "success", 0)
        circuit.notice(60, middle)
        circuit.configure({ ...options, timeWindowMillis, slowAfterMillis: 50, minimumCalls: 2, failureRate: 0.3 }, 60)
        for (const ticket of tickets) circuit.settle(ticket, "failure", 60 + millis, middle)
        return circuit.state
      })

      assert.deepStrictEqual(states, ["open", "closed"])
    }
  })

  it("takes the failure out of its window with the call", () => {
    const circuit = timing({ window: 3, minimumCalls: 100 })
    attempt(circuit, "success", 0)
    const ticket = circuit.admit(0)
    circuit.notice(60, middle)
    circuit.settle(ticket, "failure", 70, middle, { startedAt: 0 })
    const counted = circuit.snapshot(70)
    attempts(circuit, ["success", "success", "success"], 70)

    const { calls, failures, slow } = circuit.snapshot(70)
    assert.deepStrictEqual([counted.calls, counted.failures, counted.slow], [2, 1, 1])
    assert.deepStrictEqual([calls, failures, slow], [3, 0, 0])
  })
})

describe("Circuit.configure from a time window", () => {
  const timed = { ...options, consecutiveFailures: 100, minimumCalls: 100, slowAfterMillis: 50, timeWindowMillis: 1000 }
  const counts = (circuit: Circuit, now: number) => {
    const { calls, failures, slow } = circuit.snapshot(now)
    return { calls, failures, slow }
  }
  /** Four calls of one tenth, long after the beginning: one failed, two were slow. */
  const four = () => {
    const circuit = new Circuit(timed)
    for (const sample of ["failure", "success", "success", "success"] as const) {
      const startedAt = sample === "failure" ? 9900 : circuit.snapshot(9990).calls < 3 ? 9990 : 9900
      circuit.settle(circuit.admit(startedAt), sample, 9990, middle, { startedAt })
    }
    return circuit
  }

  it("keeps every call of it where there is room, as one that failed or was slow, and of its time", () => {
    const circuit = four()
    circuit.configure({ ...timed, timeWindowMillis: undefined, window: 10 }, 10_050)

    assert.deepStrictEqual(counts(circuit, 10_050), { calls: 4, failures: 1, slow: 2 })
    assert.deepStrictEqual(counts(circuit, 10_901), { calls: 0, failures: 0, slow: 0 })
  })

  it("takes those that failed or were slow for the latest of their tenth", () => {
    const seen = [3, 2, 1].map((window) => {
      const circuit = four()
      circuit.configure({ ...timed, timeWindowMillis: undefined, window }, 10_050)
      return counts(circuit, 10_050)
    })

    assert.deepStrictEqual(seen, [
      { calls: 3, failures: 1, slow: 2 },
      { calls: 2, failures: 1, slow: 2 },
      { calls: 1, failures: 1, slow: 1 }
    ])
  })

  it("keeps the calls in another time window for as long as they are young enough", () => {
    const circuit = four()
    attempt(circuit, "success", 10_190)
    circuit.configure({ ...timed, timeWindowMillis: 2000 }, 10_190)

    const seen = [10_190, 11_799, 11_800, 12_000].map((now) => counts(circuit, now).calls)

    assert.deepStrictEqual(seen, [5, 5, 1, 0])
  })

  it("has nothing to keep of one that has seen nothing", () => {
    const circuit = new Circuit(timed)
    circuit.configure({ ...timed, timeWindowMillis: undefined }, 10_000)

    assert.deepStrictEqual(counts(circuit, 10_000), { calls: 0, failures: 0, slow: 0 })
  })
})

describe("Circuit.configure of other sizes than the window's", () => {
  it("finds a slow call that is under way in the same window", () => {
    const circuit = new Circuit({ ...options, minimumCalls: 100, slowAfterMillis: 50 })
    const ticket = circuit.admit(0)
    circuit.notice(60, middle)
    circuit.configure({ ...options, minimumCalls: 100, slowAfterMillis: 50, openMillis: 200 }, 60)

    circuit.settle(ticket, "failure", 70, middle, { startedAt: 0 })

    const { calls, failures, slow } = circuit.snapshot(70)
    assert.deepStrictEqual({ calls, failures, slow }, { calls: 1, failures: 1, slow: 1 })
  })

  it("takes another age for another window, and brings nothing back that was too old", () => {
    const younger = new Circuit(options)
    attempt(younger, "success", 0)
    younger.configure({ ...options, windowAgeMillis: 200 }, 100)
    const timed = new Circuit({ ...options, timeWindowMillis: 1000 })
    attempt(timed, "success", 0)
    timed.configure({ ...options, windowAgeMillis: 10_000 }, 5000)

    assert.deepStrictEqual(
      [younger.snapshot(200).calls, younger.snapshot(201).calls, timed.snapshot(5000).calls],
      [1, 0, 0]
    )
  })
})

describe("Circuit.snapshot and what else is asked of it", () => {
  it("says why it opened for as long as it is not closed", () => {
    const circuit = opened({ successesToClose: 1 })
    const open = circuit.snapshot(0).reason
    const probe = circuit.admit(100)
    const halfOpen = circuit.snapshot(100).reason
    circuit.settle(probe, "success", 100, middle)

    assert.deepStrictEqual([open, halfOpen, circuit.snapshot(100).reason], ["1 failure", "1 failure", undefined])
  })

  it("is closed to begin with, and times calls where one can be slow", () => {
    const [untimed, timed] = [new Circuit(options), new Circuit({ ...options, slowAfterMillis: 50 })]

    assert.deepStrictEqual([untimed.isClosed, opened().isClosed], [true, false])
    assert.deepStrictEqual([untimed.timesCalls, timed.timesCalls], [false, true])
  })

  it("has changed once it opened, and not when it is closed while it is", () => {
    const closed = new Circuit(options)
    closed.close()

    assert.deepStrictEqual([opened().hasChanged, closed.hasChanged, closed.takeChanges()], [true, false, []])
  })
})

describe("Circuit with a place for another probe", () => {
  it("takes nobody's whose lease is over while one is free", () => {
    const circuit = opened({ probes: 2, probeLeaseMillis: 50, successesToClose: 1 })
    const late = circuit.admit(100)
    circuit.admit(200)

    circuit.settle(late, "success", 200, middle)

    assert.strictEqual(circuit.state, "closed")
  })
})
