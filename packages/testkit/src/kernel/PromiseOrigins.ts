/**
 * Where promises were made. Only Node can say, by a hook that makes every promise dear: it is asked when a run has already left the simulation, and is repeated to be
 * explained. @since 0.1.0
 */
import * as CallSite from "./CallSite.ts"

interface Hook {
  readonly enable: () => void
  readonly disable: () => void
}

interface AsyncHooks {
  readonly createHook: (callbacks: {
    readonly init: (id: number, type: string, trigger: number, resource: object) => void
  }) => Hook
}

interface Host {
  readonly process?: { readonly getBuiltinModule?: (name: string) => unknown }
}

/** A module of Node, where there is one. @category accessors @since 0.1.0 */
export const builtin = (name: string): unknown => (globalThis as Host).process?.getBuiltinModule?.(name)

/** @category models @since 0.1.0 */
export interface PromiseOrigins {
  /** `file:line:column` of the user's code that made the promise. */
  readonly locationOf: (promise: object) => string | undefined
  readonly stop: () => void
}

/** Watches promises from now on. @category constructors @since 0.1.0 */
export const watch = (): PromiseOrigins => {
  const locations = new WeakMap<object, string>()
  const hooks = builtin("node:async_hooks") as AsyncHooks | undefined
  const hook = hooks?.createHook({
    init: (_id, type, _trigger, resource) => {
      const location = type === "PROMISE" ? CallSite.userLocation(CallSite.capture()) : undefined
      if (location !== undefined) locations.set(resource, location)
    }
  })
  hook?.enable()
  return { locationOf: (promise) => locations.get(promise), stop: () => hook?.disable() }
}
