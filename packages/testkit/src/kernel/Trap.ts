/**
 * Catches a run that leaves the simulation: ambient time, randomness, timers and promises, and Effect's own entry points. Substitutes stand in for them while a
 * simulation lasts; outside the steps of a run they are what they replace. @since 0.1.0
 */
import * as Scheduler from "effect/Scheduler"
import * as CallSite from "./CallSite.ts"
import type { PromiseOrigins } from "./PromiseOrigins.ts"
import { builtin } from "./PromiseOrigins.ts"
import { fill, uuid } from "./SimulatedRandom.ts"

/** A way out of the simulation that a run took. @category models @since 0.1.0 */
export interface Leak {
  /** What was called, such as `Date.now()`. */
  readonly what: string
  /** `file:line:column` in the user's code; `undefined` where nobody can say. */
  readonly location: string | undefined
}

/** The run that the substitutes serve. @category models @since 0.1.0 */
export interface Watch {
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Milliseconds since the run began. */
  readonly elapsed: () => number
  readonly draw: () => number
  /** The fiber that runs now begins work outside; `undefined` where none may. */
  readonly onExternal: (() => void) | undefined
  readonly origins: PromiseOrigins | undefined
  readonly onLeak: (leak: Leak) => void
}

let watched: Watch | undefined

/** Runs `body` with the substitutes serving a run. @category running @since 0.1.0 */
export const watching = <A>(watch: Watch, body: () => A): A => {
  const before = watched
  watched = watch
  try {
    return body()
  } finally {
    watched = before
  }
}

/** Runs `body`, which belongs to no run, in the middle of one: the testkit's own work, the same whichever run asks for it first. @category running @since 0.1.0 */
export const aside = <A>(body: () => A): A => {
  const before = watched
  watched = undefined
  try {
    return body()
  } finally {
    watched = before
  }
}

type AnyFunction = (...args: ReadonlyArray<never>) => unknown

interface Substitute {
  readonly target: object
  readonly name: string
  readonly make: (original: AnyFunction) => unknown
}

/** The run to report to, unless the call is Node's or the test runner's own. */
const reporting = (what: string): Watch | undefined => {
  const watch = watched
  if (watch === undefined) return undefined
  const frames = CallSite.capture()
  const caller = CallSite.caller(frames)
  if (caller !== undefined && CallSite.isRunner(caller)) return undefined
  watch.onLeak({ what, location: CallSite.userLocation(frames) })
  return watch
}

/** A function with no need of its arguments, and what stands in for it. */
const ambient = (target: object, name: string, what: string, instead: (watch: Watch) => unknown): Substitute => ({
  target,
  name,
  make: (original) =>
    function (this: unknown, ...args: ReadonlyArray<never>): unknown {
      const watch = reporting(what)
      return watch === undefined ? original.apply(this, [...args]) : instead(watch)
    }
})

/** Effect hashes objects by `Math.random()`: what it draws is the run's, and no fault of the user's. */
const mathRandom: Substitute = {
  target: Math,
  name: "random",
  make: (original) => (): unknown => {
    const watch = watched
    if (watch === undefined) return original()
    const frames = CallSite.capture()
    const caller = CallSite.caller(frames)
    if (caller !== undefined && CallSite.isRunner(caller)) return original()
    if (caller === undefined || !CallSite.isEffect(caller)) {
      watch.onLeak({ what: "Math.random()", location: CallSite.userLocation(frames) })
    }
    return watch.draw()
  }
}

const dateConstructor: Substitute = {
  target: globalThis,
  name: "Date",
  make: (original) => {
    const isNow = (args: ReadonlyArray<unknown>) => args.length === 0
    const proxy: DateConstructor = new Proxy(original as unknown as DateConstructor, {
      construct: (target, args: Array<unknown>, newTarget: AnyFunction) => {
        const watch = isNow(args) ? reporting("new Date()") : undefined
        const made = newTarget === (proxy as unknown) ? target : newTarget
        return Reflect.construct(target, watch === undefined ? args : [watch.now()], made) as object
      }
    })
    return proxy
  }
}

const bytesOf = (array: ArrayBufferView): Uint8Array => new Uint8Array(array.buffer, array.byteOffset, array.byteLength)

const getRandomValues: Substitute = {
  target: globalThis.crypto,
  name: "getRandomValues",
  make: (original) =>
    function <A extends ArrayBufferView>(this: unknown, array: A): unknown {
      const watch = reporting("crypto.getRandomValues()")
      if (watch === undefined) return original.apply(globalThis.crypto, [array as never])
      fill(bytesOf(array), watch.draw)
      return array
    }
}

const randomUuid: Substitute = {
  target: globalThis.crypto,
  name: "randomUUID",
  make: (original) => () => {
    const watch = reporting("crypto.randomUUID()")
    return watch === undefined ? original.apply(globalThis.crypto) : uuid(watch.draw)
  }
}

/** What a timer that must not be gives back: as good as one that never goes off. */
const noTimer = { ref: () => noTimer, unref: () => noTimer, hasRef: () => false, [Symbol.toPrimitive]: () => 0 }

/** Where work outside begins: allowed, and waited for, or reported. */
const outside = (target: object, name: string, instead: (original: () => unknown) => unknown): Substitute => ({
  target,
  name,
  make: (original) =>
    function (this: unknown, ...args: ReadonlyArray<never>): unknown {
      watched?.onExternal?.()
      const call = () => original.apply(this, [...args])
      return watched?.onExternal === undefined && reporting(`${name}()`) !== undefined ? instead(call) : call()
    }
})

const timer = (name: string): Substitute => outside(globalThis, name, () => noTimer)

const fetching: Substitute = outside(globalThis, "fetch", () => {
  throw new Error("fetch() in a simulation")
})

const promiseThen: Substitute = {
  target: Promise.prototype,
  name: "then",
  make: (original) => {
    const native = original as unknown as Promise<unknown>["then"]
    return function (this: Promise<unknown>, onFulfilled: never, onRejected: never): Promise<unknown> {
      watched?.onExternal?.()
      if (watched !== undefined && watched.onExternal === undefined) reportPromise(watched, this)
      return native.call(this, onFulfilled, onRejected)
    }
  }
}

const reportPromise = (watch: Watch, promise: Promise<unknown>): void => {
  const frames = CallSite.capture()
  const caller = CallSite.caller(frames)
  if (caller !== undefined && CallSite.isRunner(caller)) return
  watch.onLeak({ what: "a promise", location: watch.origins?.locationOf(promise) ?? CallSite.userLocation(frames) })
}

const entryPoints =
  /[\\/]effect[\\/](?:dist|src)[\\/](?:internal[\\/]effect|Effect|Scheduler|ManagedRuntime|Runtime)\.[jt]s$/u

/**
 * A fiber of another scheduler asks it whether to yield while a run of ours is in one of its steps: somebody called `Effect.runSync` or the like. Effect itself does so to
 * decode schemas, which takes no time and asks for nothing.
 */
const foreignFibers = (): Substitute => {
  const judged = new WeakSet()
  return {
    target: Scheduler.MixedScheduler.prototype,
    name: "shouldYield",
    make: (original) =>
      function (this: unknown, fiber: object): unknown {
        const watch = watched
        if (watch !== undefined && !judged.has(fiber)) {
          judged.add(fiber)
          if (!isStartedByEffect()) {
            const what = "Effect.runSync, runPromise or runFork"
            watch.onLeak({ what, location: CallSite.userLocation(CallSite.capture()) })
          }
        }
        return original.apply(this, [fiber as never])
      }
  }
}

/** More frames than there are between an entry point of Effect and the first operation of its fiber. */
const entryDepth = 16

const isStartedByEffect = (): boolean => {
  const files = CallSite.files(entryDepth)
  if (files.length === 0) return true
  const entered = files.findIndex((file) => entryPoints.test(file))
  const starter = files.slice(entered).find((file) => !entryPoints.test(file))
  return starter !== undefined && CallSite.isEffect({ file: starter })
}

const nodeCrypto = builtin("node:crypto") as object | undefined

const nodeSubstitutes: ReadonlyArray<Substitute> =
  nodeCrypto === undefined
    ? []
    : [
        ambient(nodeCrypto, "randomUUID", "randomUUID() of node:crypto", ({ draw }) => uuid(draw)),
        ambient(nodeCrypto, "randomInt", "randomInt() of node:crypto", ({ draw }) => Math.floor(draw() * 2 ** 31)),
        ambient(nodeCrypto, "randomBytes", "randomBytes() of node:crypto", () => new Uint8Array(64))
      ]

const substitutes: ReadonlyArray<Substitute> = [
  ambient(Date, "now", "Date.now()", ({ now }) => now()),
  dateConstructor,
  ambient(performance, "now", "performance.now()", ({ elapsed }) => elapsed()),
  mathRandom,
  getRandomValues,
  randomUuid,
  ...["setTimeout", "setInterval", "setImmediate", "queueMicrotask"].map(timer),
  promiseThen,
  fetching,
  foreignFibers(),
  ...nodeSubstitutes
]

/** Lets `import { randomUUID } from "node:crypto"` see what was replaced. */
const syncNode = (): void => {
  const module = builtin("node:module") as { readonly syncBuiltinESMExports?: () => void } | undefined
  module?.syncBuiltinESMExports?.()
}

const replace = ({ make, name, target }: Substitute): (() => void) => {
  const before = Object.getOwnPropertyDescriptor(target, name)
  const original = Reflect.get(target, name) as AnyFunction | undefined
  if (original === undefined) return () => undefined
  Object.defineProperty(target, name, {
    value: make(original),
    configurable: true,
    writable: true,
    enumerable: before?.enumerable ?? false
  })
  return () => {
    if (before === undefined) Reflect.deleteProperty(target, name)
    else Object.defineProperty(target, name, before)
  }
}

let installed = 0
let restore: ReadonlyArray<() => void> = []

/** Puts the substitutes in place until what it gives back is called. @category running @since 0.1.0 */
export const install = (): (() => void) => {
  if (installed++ === 0) {
    restore = substitutes.map(replace)
    syncNode()
  }
  let open = true
  return () => {
    if (!open) return
    open = false
    if (--installed > 0) return
    for (const undo of restore.toReversed()) undo()
    syncNode()
  }
}
