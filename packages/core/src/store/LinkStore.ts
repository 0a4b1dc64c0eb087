/**
 * Which id of ours stands for which id of somebody else (IDEM-6): one for one, in a scope such as `crm.customers`, never forgotten by itself.
 *
 * **When it is down** nobody is told that something is not linked, so that nothing is created twice: it fails *closed*.
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type { Place, StoreError } from "./StoreError.ts"
import { keyProblem, make as storeError } from "./StoreError.ts"

/** One of both ids is linked to another one already; nothing has changed. @category errors @since 0.1.0 */
export class LinkTaken extends Schema.TaggedError<LinkTaken>("@breakwater/core/LinkStore/LinkTaken")("LinkTaken", {
  scope: Schema.String,
  /** Whose id was taken: the other side's, or ours. */
  side: Schema.Literals(["external", "internal"])
}) {
  override get message(): string {
    return `${this.scope}: the ${this.side} id is linked to another one`
  }
}

/** @category models @since 0.1.0 */
export interface Link {
  /** What is linked, such as `crm.customers`: ids of one scope are no ids of another. */
  readonly scope: string
  /** Their id. */
  readonly external: string
  /** Ours. */
  readonly internal: string
}

/** @category services @since 0.1.0 */
export class LinkStore extends Context.Service<
  LinkStore,
  {
    /** Our id for theirs, or `undefined`. */
    readonly internalOf: (of: Omit<Link, "internal">) => Effect.Effect<string | undefined, StoreError>
    /** Their id for ours, or `undefined`. */
    readonly externalOf: (of: Omit<Link, "external">) => Effect.Effect<string | undefined, StoreError>
    /** Links two ids, once: of many who link one id at once, one succeeds. The same link again changes nothing. In SQL it joins the transaction of its caller. */
    readonly link: (link: Link) => Effect.Effect<void, StoreError | LinkTaken>
    /** Takes a link away; nothing happens if there is none. */
    readonly unlink: (of: Omit<Link, "internal">) => Effect.Effect<void, StoreError>
  }
>()("@breakwater/core/LinkStore") {
  /** In memory: nothing survives the process. */
  static readonly layerMemory = (options?: MemoryOptions): Layer.Layer<LinkStore> =>
    Layer.sync(LinkStore, () => memory(options))
}

/** @category models @since 0.1.0 */
export interface MemoryOptions {
  /** Links that fit in; beyond it the store is full, since one that was forgotten would be created again. Default 100,000. */
  readonly capacity?: number | undefined
}

/** The values used when an option is left out. @category constants @since 0.1.0 */
export const defaults = { capacity: 100_000 } as const

/** @category constructors @since 0.1.0 */
export const place = (operation: string): Place => ({ store: "link", operation })

/** Why a link cannot be kept, or `undefined`. @category guards @since 0.1.0 */
export const problemOf = (operation: string, link: Partial<Link>): StoreError | undefined => {
  for (const field of ["scope", "external", "internal"] as const) {
    const id = link[field]
    const problem = id === undefined ? undefined : keyProblem(place(operation), field, id)
    if (problem !== undefined) return problem
  }
  return undefined
}

/** A control character is in no id that can be kept. */
const keyOf = (scope: string, id: string): string => `${scope}\n${id}`

class Links {
  private readonly internal = new Map<string, string>()
  private readonly external = new Map<string, string>()
  private readonly capacity: number

  constructor(capacity: number) {
    this.capacity = capacity
  }

  internalOf(scope: string, external: string): string | undefined {
    return this.internal.get(keyOf(scope, external))
  }

  externalOf(scope: string, internal: string): string | undefined {
    return this.external.get(keyOf(scope, internal))
  }

  link({ external, internal, scope }: Link): LinkTaken | "full" | undefined {
    const [ours, theirs] = [this.internalOf(scope, external), this.externalOf(scope, internal)]
    if (ours === internal) return undefined
    if (ours !== undefined) return new LinkTaken({ scope, side: "external" })
    if (theirs !== undefined) return new LinkTaken({ scope, side: "internal" })
    if (this.internal.size >= this.capacity) return "full"
    this.internal.set(keyOf(scope, external), internal)
    this.external.set(keyOf(scope, internal), external)
    return undefined
  }

  unlink(scope: string, external: string): void {
    const internal = this.internalOf(scope, external)
    if (internal === undefined) return
    this.internal.delete(keyOf(scope, external))
    this.external.delete(keyOf(scope, internal))
  }
}

const checked = <A, E>(operation: string, link: Partial<Link>, f: () => Effect.Effect<A, E>) =>
  Effect.suspend((): Effect.Effect<A, E | StoreError> => {
    const problem = problemOf(operation, link)
    return problem === undefined ? f() : Effect.fail(problem)
  })

/** A store in memory. Throws a `RangeError` for a capacity below 1. @category constructors @since 0.1.0 */
export const memory = (options?: MemoryOptions): LinkStore["Service"] => {
  const capacity = options?.capacity ?? defaults.capacity
  if (!(capacity >= 1)) throw new RangeError(`LinkStore.memory: capacity must be at least 1, got ${capacity}`)
  const links = new Links(capacity)
  return LinkStore.of({
    internalOf: (of) => checked("internalOf", of, () => Effect.succeed(links.internalOf(of.scope, of.external))),
    externalOf: (of) => checked("externalOf", of, () => Effect.succeed(links.externalOf(of.scope, of.internal))),
    link: (link) =>
      checked("link", link, (): Effect.Effect<void, StoreError | LinkTaken> => {
        const problem = links.link(link)
        if (problem === undefined) return Effect.void
        return Effect.fail(
          problem === "full" ? storeError(place("link"), "full", `${capacity} links are kept`) : problem
        )
      }),
    unlink: (of) => checked("unlink", of, () => Effect.sync(() => links.unlink(of.scope, of.external)))
  })
}
