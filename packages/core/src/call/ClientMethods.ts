/**
 * Makes the methods of a client: the generated ones over a protected transport, so that a request is encoded once and every attempt sends the same bytes.
 * @internal
 */
// A generated method fails with whatever its schemas do; `ResponseDecoding` tells it apart.
// @effect-diagnostics anyUnknownInErrorContext:off
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import type { Any } from "../definition/Provider.ts"
import type * as Operation from "../definition/Operation.ts"
import { isDirect } from "../transport/DirectClient.ts"
import type { HttpClientResponse } from "../vocabulary/Platform.ts"
import type { HttpApi } from "../vocabulary/PlatformApi.ts"
import { HttpClient, HttpClientRequest } from "../vocabulary/Platform.ts"
import { HttpApiClient } from "../vocabulary/PlatformApi.ts"
import type { ProviderError } from "../vocabulary/ProviderError.ts"
import type * as Client from "./Client.ts"
import type { Connection } from "./Connection.ts"
import * as HttpAttempt from "./HttpAttempt.ts"
import * as Pipeline from "./Pipeline.ts"
import type { Resolvable } from "../store/Resolvable.ts"
import * as StreamedBody from "./StreamedBody.ts"
import * as ResponseDecoding from "./ResponseDecoding.ts"
import type { LooseMethod } from "./Resolving.ts"
import { resolving } from "./Resolving.ts"
import type { AttemptKind } from "./RunningCall.ts"
import { RunningCall } from "./RunningCall.ts"

/** A client of Effect's kind whose `execute` is a protected call of one operation. */
const clientFor = (
  connection: Connection,
  operation: Operation.Operation,
  kind: AttemptKind,
  client: HttpClient.HttpClient,
  baseUrl: string
) => {
  const protect = (request: HttpClientRequest.HttpClientRequest) => {
    const absolute = HttpClientRequest.setUrl(request, baseUrl + request.url)
    const call = new RunningCall({ kind, connection, operation, request: absolute, client })
    const running = Pipeline.run<HttpClientResponse.HttpClientResponse>(call)
    if (operation.declared?.streams !== true) return running
    // The type of the method asks for the scope.
    const scope = Effect.service(Scope.Scope) as unknown as Effect.Effect<Scope.Scope>
    return Effect.flatMap(scope, (parent) => StreamedBody.within(parent, call, running))
  }
  return HttpClient.makeWith<never, never, ProviderError, never>(
    (request) => Effect.flatMap(request, protect),
    Effect.succeed
  )
}

/** Of an operation that a plan names: each was found when the layer was built. */
const missing: LooseMethod = () => Effect.die(new Error("an operation that a resolution names has no method"))

/** A method that is generated when it is called first: most programs use few of a provider's operations, and each takes its time to compile. */
const onFirstUse = (generate: Effect.Effect<LooseMethod>): LooseMethod => {
  let made: LooseMethod | undefined
  return (request) =>
    Effect.suspend(
      () =>
        made?.(request) ??
        Effect.flatMap(generate, (method) => {
          made = method
          return method(request)
        })
    )
}

/** The methods of a client, and the writes among them whose outcome can be found out. @category models @since 0.1.0 */
export interface Made<P> {
  readonly client: Client.Of<P>
  readonly resolvables: ReadonlyArray<Resolvable>
}

/** The methods of a provider over one connection. `client` is the transport. @category constructors @since 0.1.0 */
export const make = <P extends Any>(
  provider: P,
  options: {
    readonly connection: Connection
    readonly operations: ReadonlyMap<string, Operation.Operation>
    readonly client: HttpClient.HttpClient
    readonly baseUrl: string
  }
): Effect.Effect<Made<P>> =>
  Effect.gen(function* () {
    const { baseUrl, client, connection, operations } = options
    const api = provider.api as HttpApi.Top
    // What stands around the endpoints of the declaration is looked for where the client is made, not where it is used.
    const services = yield* Effect.context<never>()
    const methods: Record<string, LooseMethod> = {}
    const groups: Record<string, Record<string, LooseMethod>> = {}
    const byPath = new Map<string, LooseMethod>()
    const resolvables: Array<Resolvable> = []
    const methodOf = (path: string): LooseMethod => byPath.get(path) ?? missing
    const compile = isDirect(client) ? client.compile : undefined
    for (const { decode, endpoint, group, path, schemas, topLevel } of ResponseDecoding.ofApi(api)) {
      const operation = operations.get(path)
      if (operation === undefined) continue
      const kind = HttpAttempt.declared(ResponseDecoding.inCall(decode), decode)
      const httpClient = clientFor(connection, operation, kind, client, baseUrl)
      const generate = HttpApiClient.endpoint(api, { group, endpoint, httpClient }) as Effect.Effect<LooseMethod>
      const compiled = compile === undefined ? generate : Effect.andThen(compile(schemas), generate)
      const generated = onFirstUse(Effect.provideContext(compiled, services))
      let method = ResponseDecoding.method(connection, operation, generated)
      if (operation.resolution !== undefined) {
        const resolved = resolving({ connection, operation, plan: operation.resolution, api, method, methodOf })
        method = resolved.method
        if (resolved.resolvable !== undefined) resolvables.push(resolved.resolvable)
      }
      byPath.set(path, method)
      if (topLevel) methods[endpoint] = method
      else (groups[group] ??= {})[endpoint] = method
    }
    return { client: { ...methods, ...groups } as Client.Of<P>, resolvables }
  })
