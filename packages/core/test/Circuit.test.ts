import { assert, describe, it } from "@effect/vitest"
import type { CircuitOptions, CircuitState, Sample } from "@breakwater/core/Circuit"
import { Circuit } from "@breakwater/core/Circuit"
import { Schema } from "effect"

const options: CircuitOptions = {
  consecutiveFailures: 3,
  failureRate: 0.5,
  window: 10,
  minimumCalls: 4,
  windowAgeMillis: 1000,
  openMillis: 100,
  maxOpenMillis: 350,
  successesToClose: 2
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

/** What the circuit should do, told as history instead of counters: every sample is kept, and every decision looks at all of them. */
class Model {
  openings = 0
  state: CircuitState = "closed"
  private epoch: object = {}
  private samples: Array<{ readonly failed: boolean; readonly at: number }> = []
  private until = 0
  private inSeries = 0
  private passed = 0
  private probe: object | undefined = undefined
  private readonly options: CircuitOptions

  constructor(options: CircuitOptions) {
    this.options = options
  }

  peek(now: number): number {
    if (this.state === "open") return Math.max(0, this.until - now)
    return this.state === "half-open" && this.probe !== undefined ? Math.min(1000, this.options.openMillis) : 0
  }

  admit(now: number): { readonly epoch: object } | undefined {
    if (this.peek(now) > 0) return undefined
    if (this.state === "open") this.become("half-open")
    const ticket = { epoch: this.epoch }
    if (this.state === "half-open") this.probe = ticket
    return ticket
  }

  settle(ticket: { readonly epoch: object }, sample: Sample, now: number, random: number): void {
    if (ticket.epoch !== this.epoch) return
    if (this.state === "half-open") {
      this.probe = undefined
      if (sample === "failure") this.open(now, random)
      if (sample === "success" && ++this.passed === this.options.successesToClose) {
        this.inSeries = 0
        this.become("closed")
      }
      return
    }
    if (sample === "ignored") return
    this.samples.push({ failed: sample === "failure", at: now })
    const lastSuccess = this.samples.findLastIndex(({ failed }) => !failed)
    const inRow = this.samples.length - 1 - lastSuccess
    const counted = this.samples
      .slice(-this.options.window)
      .filter(({ at }) => now - at <= this.options.windowAgeMillis)
    const failures = counted.filter(({ failed }) => failed).length
    const tooMany = counted.length >= this.options.minimumCalls && failures >= this.options.failureRate * counted.length
    if (sample === "failure" && (inRow >= this.options.consecutiveFailures || tooMany)) this.open(now, random)
  }

  private open(now: number, random: number): void {
    const { maxOpenMillis, openMillis } = this.options
    const length = Math.min(maxOpenMillis, openMillis * 2 ** this.inSeries)
    this.until = now + Math.min(maxOpenMillis, length * (0.8 + 0.4 * random))
    this.inSeries++
    this.openings++
    this.become("open")
  }

  private become(state: CircuitState): void {
    this.state = state
    this.epoch = {}
    this.samples = []
    this.passed = 0
    this.probe = undefined
  }
}

const whole = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const Options = Schema.Struct({
  consecutiveFailures: whole(1, 5),
  failureRate: Schema.Literals([0.125, 0.25, 0.5, 0.75, 1]),
  window: whole(1, 8),
  minimumCalls: whole(1, 8),
  windowAgeMillis: whole(1, 200),
  openMillis: whole(1, 200),
  maxOpenMillis: whole(200, 1000),
  successesToClose: whole(1, 3)
})

const Outcome = Schema.Literals(["success", "failure", "failure", "ignored"])
const Share = Schema.Literals([0, 0.25, 0.5, 1])

/** Histories of one provider: attempts begin, end in some order in some way, and time goes by. */
const Step = Schema.Union([
  Schema.TaggedStruct("Admit", {}),
  Schema.TaggedStruct("Settle", { which: whole(0, 7), sample: Outcome, random: Share }),
  Schema.TaggedStruct("Attempt", { sample: Outcome, random: Share }),
  Schema.TaggedStruct("Attempt", { sample: Schema.Literals(["success"]), random: Share }),
  Schema.TaggedStruct("AwaitAdmission", {}),
  Schema.TaggedStruct("Pass", { millis: whole(0, 300) })
])

const Steps = Schema.Array(Step).check(Schema.isMaxLength(120))

describe("Circuit as a state machine", () => {
  const visited = new Map<CircuitState, number>()

  it.prop(
    "does what the model does, whatever begins, ends, is interrupted and however time passes",
    [Options, Steps],
    ([options, steps]) => {
      const circuit = new Circuit(options)
      const model = new Model(options)
      const underWay: Array<ReturnType<typeof admit>> = []
      let now = 0

      const admit = () => {
        const ticket = circuit.admit(now)
        const modelled = model.admit(now)
        assert.strictEqual(ticket !== 0, modelled !== undefined)
        return modelled === undefined ? undefined : { ticket, modelled }
      }
      const settle = (attempt: ReturnType<typeof admit>, sample: Sample, random: number) => {
        if (attempt === undefined) return
        circuit.settle(attempt.ticket, sample, now, () => random)
        model.settle(attempt.modelled, sample, now, random)
      }

      for (const step of steps) {
        if (step._tag === "Pass") now += step.millis
        if (step._tag === "AwaitAdmission") now += model.peek(now)
        if (step._tag === "Attempt") settle(admit(), step.sample, step.random)
        if (step._tag === "Admit") underWay.push(admit())
        if (step._tag === "Settle" && underWay.length > 0) {
          const [attempt] = underWay.splice(step.which % underWay.length, 1)
          settle(attempt, step.sample, step.random)
        }
        assert.deepStrictEqual(seen(circuit, now), {
          state: model.state,
          openings: model.openings,
          wait: model.peek(now)
        })
        visited.set(circuit.state, (visited.get(circuit.state) ?? 0) + 1)
      }
    },
    { arbitrary: { runs: 1500, size: 120, seed: "circuit" } }
  )

  it("was driven through all of its states by the property above", () => {
    const states = ["closed", "open", "half-open"] as const

    assert.isTrue(states.every((state) => (visited.get(state) ?? 0) > 1000))
  })

  it.prop(
    "never holds more than one probe and never gets stuck half-open",
    [Options, Schema.Array(Schema.Literals(["success", "failure", "ignored"]))],
    ([options, samples]) => {
      const circuit = new Circuit({ ...options, consecutiveFailures: 1 })
      attempt(circuit, "failure", 0)
      let now = 0

      for (const sample of samples) {
        if (circuit.state === "closed") break
        now += options.maxOpenMillis
        const probe = circuit.admit(now)
        assert.notStrictEqual(probe, 0)
        assert.strictEqual(circuit.admit(now), 0)
        circuit.settle(probe, sample, now, middle)
      }
      now += options.maxOpenMillis

      assert.strictEqual(circuit.peek(now), 0)
    },
    { arbitrary: { runs: 500, seed: "probes" } }
  )
})
