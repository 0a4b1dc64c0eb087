/**
 * What a protected call costs, as CPU time a call (user and system, garbage collection included), each variant in a warm process of its own, interleaved in rounds of one run: ratios
 * are taken inside a round, so that a machine that slows down slows both. Nothing here is an assertion.
 */
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"

const rounds = 9

const start = async (file: string, ...args: ReadonlyArray<string>): Promise<ChildProcess> => {
  const child = fork(join(import.meta.dirname, file), args, { stdio: ["ignore", "ignore", "inherit", "ipc"] })
  await once(child, "message")
  return child
}

/** CPU microseconds a call of one batch. */
const batch = async (worker: ChildProcess, calls: number): Promise<number> => {
  worker.send({ calls })
  const [message] = (await once(worker, "message")) as [{ readonly cpuMicros: number }]
  return message.cpuMicros / calls
}

const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

/** Runs the variants in turn, the first one last in the next round; gives each one's figures by round. */
const interleaved = async (
  variants: ReadonlyArray<string>,
  calls: number,
  ...args: ReadonlyArray<string>
): Promise<Map<string, Array<number>>> => {
  const workers = await Promise.all(variants.map((variant) => start("worker.ts", variant, ...args)))
  const figures = new Map(variants.map((variant) => [variant, [] as Array<number>]))
  for (const worker of workers) await batch(worker, calls * 3)
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < variants.length; turn++) {
      const index = (turn + round) % variants.length
      const [variant, worker] = [variants[index], workers[index]]
      if (variant !== undefined && worker !== undefined) figures.get(variant)?.push(await batch(worker, calls))
    }
  }
  for (const worker of workers) worker.kill()
  return figures
}

const paired = (a: ReadonlyArray<number>, b: ReadonlyArray<number>, f: (a: number, b: number) => number): number =>
  median(a.map((value, round) => f(value, b[round] ?? Number.NaN)))

const overLoopback = async (): Promise<string> => {
  const server = fork(join(import.meta.dirname, "server.ts"), { stdio: ["ignore", "ignore", "inherit", "ipc"] })
  const [{ url }] = (await once(server, "message")) as [{ readonly url: string }]
  const figures = await interleaved(["undici+cockatiel+zod", "breakwater"], 4000, url)
  server.kill()
  const [peer = [], ours = []] = [...figures.values()]
  const ratio = paired(ours, peer, (a, b) => a / b)
  return `over loopback, 64 in flight, 1 KB of JSON: Breakwater ${median(ours).toFixed(0)} µs a call, undici + cockatiel + zod ${median(peer).toFixed(0)} µs: ${ratio.toFixed(2)}×`
}

const overNothing = async (): Promise<string> => {
  const figures = await interleaved(
    ["bare over nothing", "bare untraced over nothing", "breakwater over nothing"],
    20_000
  )
  const [traced = [], bare = [], ours = []] = [...figures.values()]
  const added = paired(ours, bare, (a, b) => a - b)
  const addedToDefault = paired(ours, traced, (a, b) => a - b)
  return (
    `over a transport that costs nothing: the pipeline adds ${added.toFixed(1)} µs to the generated client's ${median(bare).toFixed(1)} µs ` +
    `(${addedToDefault.toFixed(1)} µs to its ${median(traced).toFixed(1)} µs with Effect's own span, which is its default)`
  )
}

process.stdout.write(`${await overNothing()}\n`)
process.stdout.write(`${await overLoopback()}\n`)
