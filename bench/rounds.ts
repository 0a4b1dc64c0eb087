/**
 * Runs variants in warm processes of their own, in turn, in rounds, and compares them inside a round: a machine that slows down slows all of them.
 */
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"

export interface Plan {
  readonly variants: ReadonlyArray<string>
  /** Calls of one batch. */
  readonly calls: number
  /** Calls at once. */
  readonly width: number
  readonly rounds: number
  /** The server that is called, where one is. */
  readonly url?: string | undefined
}

/** CPU microseconds a call, by variant and round. */
export type Figures = ReadonlyMap<string, ReadonlyArray<number>>

const start = async (file: string, ...args: ReadonlyArray<string>): Promise<readonly [ChildProcess, unknown]> => {
  const child = fork(join(import.meta.dirname, file), args, { stdio: ["ignore", "ignore", "inherit", "ipc"] })
  const [message] = (await once(child, "message")) as ReadonlyArray<unknown>
  return [child, message]
}

/** CPU microseconds a call of one batch. */
const batch = async (worker: ChildProcess, calls: number, width: number): Promise<number> => {
  worker.send({ calls, width })
  const [message] = (await once(worker, "message")) as [{ readonly cpuMicros: number }]
  return message.cpuMicros / calls
}

export const run = async ({ calls, rounds, url, variants, width }: Plan): Promise<Figures> => {
  const args = url === undefined ? [] : [url]
  const workers = await Promise.all(variants.map((variant) => start("worker.ts", variant, ...args)))
  const figures = new Map(variants.map((variant) => [variant, [] as Array<number>]))
  for (const [worker] of workers) await batch(worker, calls * 3, width)
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < variants.length; turn++) {
      // Who came first comes last in the next round.
      const index = (turn + round) % variants.length
      const [variant, worker] = [variants[index], workers[index]?.[0]]
      if (variant !== undefined && worker !== undefined) figures.get(variant)?.push(await batch(worker, calls, width))
    }
  }
  for (const [worker] of workers) worker.kill()
  return figures
}

/** Runs with a server of its own to call. */
export const withServer = async <A>(use: (url: string) => Promise<A>): Promise<A> => {
  const [server, message] = await start("server.ts")
  const result = await use((message as { readonly url: string }).url)
  server.kill()
  return result
}

export const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

/** The median over rounds of what two variants come to in the same round. */
export const paired = (figures: Figures, a: string, b: string, f: (a: number, b: number) => number): number => {
  const others = figures.get(b) ?? []
  return median((figures.get(a) ?? []).map((value, round) => f(value, others[round] ?? Number.NaN)))
}
