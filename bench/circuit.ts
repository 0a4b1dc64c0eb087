/**
 * What one decision of a circuit costs, in nanoseconds of CPU time: look, admit, settle; and a refusal, which is a look. A call asks two circuits, that of its origin and that of its
 * connection. Median of rounds, after some to warm up. Nothing here is an assertion.
 */
import { type CallPolicy, CallPolicy as CallPolicies } from "@breakwater/core"
import { Circuit } from "@breakwater/core/Circuit"
import * as PolicyRules from "@breakwater/core/PolicyRules"
import { Result } from "effect"

const rounds = 11
const decisions = 1_000_000

const circuit = (breaker: CallPolicy.Breaker = {}): Circuit =>
  new Circuit(Result.getOrThrow(PolicyRules.resolve("bench", { ...CallPolicies.defaults, breaker })).breaker)

const draw = (): number => 0.5

/** One attempt at a time, a hundred thousand a second; where some fail, every fourth does. */
const decide = (circuits: ReadonlyArray<Circuit>, failing: boolean) => {
  let now = 0
  return (index: number): void => {
    now += 0.01
    for (const each of circuits) each.notice(now, draw)
    for (const each of circuits) if (each.peek(now) > 0) throw new Error("the circuit of the bench is open")
    for (const each of circuits) {
      const sample = failing && index % 4 === 0 ? "failure" : "success"
      each.settle(each.admit(now), sample, now, draw)
    }
  }
}

const refuse = (each: Circuit) => {
  each.forceOpen("the bench")
  return (): void => {
    if (each.peek(0) === 0) throw new Error("the circuit of the bench is closed")
  }
}

const nanos = (step: (index: number) => void): number => {
  const figures = Array.from({ length: rounds }, () => {
    const before = process.cpuUsage()
    for (let index = 0; index < decisions; index++) step(index)
    const { system, user } = process.cpuUsage(before)
    return ((system + user) * 1000) / decisions
  })
  return figures.slice(2).toSorted((a, b) => a - b)[Math.floor((rounds - 2) / 2)] ?? Number.NaN
}

const timed = { timeWindow: "1 minute" } as const
const slow = { slowAfter: "2 seconds" } as const
const variants: ReadonlyArray<readonly [string, (index: number) => void]> = [
  ["one circuit, last 100 calls", decide([circuit()], false)],
  ["one circuit, a quarter of them fail", decide([circuit()], true)],
  ["one circuit, calls of a minute", decide([circuit(timed)], true)],
  ["one circuit, slow calls watched", decide([circuit(slow)], true)],
  ["origin and connection", decide([circuit(), circuit()], true)],
  ["origin and connection, all of it", decide([circuit({ ...timed, ...slow }), circuit({ ...timed, ...slow })], true)],
  ["a refusal", refuse(circuit())]
]

for (const [name, step] of variants) process.stdout.write(`circuit, ${name}: ${nanos(step).toFixed(0)} ns\n`)
