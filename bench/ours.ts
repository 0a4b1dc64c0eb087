/** Breakwater, over loopback and over a transport that costs nothing, when all is well and when it is not. */
import { Auth, Call, type CallPolicy, Client, Provider } from "@breakwater/core"
import * as Undici from "@breakwater/core/node/Undici"
import { Context, Effect, Layer, Logger, Redacted, References, Scope, Tracer } from "effect"
import { HttpClient, HttpServerResponse } from "effect/http"
import { HttpApiClient } from "effect/http-api"
import { type Batch, ofEffect } from "./batches.ts"
import { api } from "./declared.ts"
import { body } from "./things.ts"

/** Spans are made, and dropped when they end. */
const tracer = Tracer.make({ span: (options) => new Tracer.NativeSpan(options) })

const silently = Effect.provideService(References.CurrentLoggers, new Set())

const answering = (status: number, bytes: Uint8Array): HttpClient.HttpClient => {
  const answer = HttpServerResponse.uint8Array(bytes, { status, contentType: "application/json" })
  return HttpClient.make((request) => Effect.succeed(HttpServerResponse.toClientResponse(answer, { request })))
}

const nothing = answering(200, body)

const clientOver = async (transport: Layer.Layer<HttpClient.HttpClient>, url: string) => {
  const provider = Provider.make("acme", {
    api,
    environments: { sandbox: url, production: url },
    auth: Auth.bearer()
  })
  class Acme extends Context.Service<Acme, Client.Of<typeof provider>>()("bench/Acme") {}
  const layer = Client.layer(Acme, provider, { credential: Redacted.make("sk_bench_0000") }).pipe(
    Layer.provide(transport),
    Layer.provide(Logger.layer([]))
  )
  // The layer stays open as long as the process does.
  const acme = Context.get(await Effect.runPromise(Layer.buildWithScope(layer, Scope.makeUnsafe())), Acme)
  return Effect.suspend(() => acme.things.get({ params: { id: "a" } }))
}

const nowhere = "http://127.0.0.1:1"

export const overLoopback = async (url: string): Promise<Batch> => ofEffect(await clientOver(Undici.layer(), url))

export const tracedOverLoopback = async (url: string): Promise<Batch> =>
  ofEffect(Effect.withTracer(await clientOver(Undici.layer(), url), tracer))

const free = Layer.succeed(HttpClient.HttpClient, nothing)

export const overNothing = async (): Promise<Batch> => ofEffect(await clientOver(free, nowhere))

export const tracedOverNothing = async (): Promise<Batch> =>
  ofEffect(Effect.withTracer(await clientOver(free, nowhere), tracer))

/** The generated client by itself. */
export const bareOverNothing = async (traced: boolean): Promise<Batch> => {
  const client = await Effect.runPromise(HttpApiClient.makeWith(api, { httpClient: nothing, baseUrl: nowhere }))
  const get = Effect.suspend(() => client.things.get({ params: { id: "a" } }))
  return ofEffect(traced ? get : Effect.provideService(get, HttpClient.TracerDisabledWhen, () => true))
}

const done = Effect.succeed(1)

export const bareEffect = (): Batch => ofEffect(done)

const options = { operation: "work", safety: "idempotent" } as const

const connected = (policy: CallPolicy.CallPolicy = {}) =>
  Effect.runPromise(Effect.provideService(Call.connect({ provider: "acme", policy }), Scope.Scope, Scope.makeUnsafe()))

/** Every policy around an effect that succeeds at once. */
export const protectedEffect = async (): Promise<Batch> =>
  ofEffect(Call.protect(done, { ...options, provider: await connected() }))

/** A call that an open circuit refuses, as its caller sees it: a typed error. */
export const circuitOpen = async (): Promise<Batch> => {
  const policy = { attempts: 1, breaker: { consecutiveFailures: 1, openFor: "5 minutes" } } as const
  const provider = await connected(policy)
  const failing = Call.protect(Effect.fail("down"), {
    ...options,
    provider,
    classify: () => ({ sent: "refused" as const })
  })
  await Effect.runPromise(silently(Effect.flip(failing)))
  return ofEffect(Effect.catchTag(failing, "RetryableError", (error) => Effect.succeed(error.reason._tag)))
}

/** A call that the provider refuses: 400, which is final. */
export const refusedByProvider = async (): Promise<Batch> => {
  const refusing = answering(400, new TextEncoder().encode('{"error":{"code":"bad_request"}}'))
  const call = await clientOver(Layer.succeed(HttpClient.HttpClient, refusing), nowhere)
  return ofEffect(silently(Effect.catchTag(call, "FatalError", (error) => Effect.succeed(error.reason._tag))))
}

/** Calls before the retry budget of a connection would be spent. */
const withinBudget = 12

/** Calls that fail twice and then succeed, with waits of at most a millisecond. */
export const retriedTwice = (): Batch => {
  const policy = { backoff: { base: "1 millis", cap: "1 millis" } } as const
  const classify = () => ({ sent: "refused" as const, unhealthy: false })
  const lane = Effect.fnUntraced(function* (calls: number) {
    let attempts = 0
    const flaky = Effect.suspend(() => (++attempts % 3 === 0 ? done : Effect.fail("busy")))
    for (let call = 0; call < calls; call += withinBudget) {
      const provider = yield* Call.connect({ provider: "acme", policy })
      const once = Call.protect(flaky, { ...options, provider, classify })
      for (let each = 0; each < Math.min(withinBudget, calls - call); each++) yield* once
    }
  })
  return (calls, width) =>
    Effect.runPromise(
      silently(
        Effect.all(
          Array.from({ length: width }, () => Effect.scoped(lane(calls / width))),
          { concurrency: "unbounded", discard: true }
        )
      )
    )
}
