/**
 * A third party, simulated from its own declaration: its `HttpApi` with handlers behind it, the state of its protocol around them, and a ledger of what it really did. The
 * same value answers in memory (`SimulatedNetwork`) and on a port (`Serve`); no promise is in its path, so that its time is Effect's clock. @since 0.1.0
 */
// A body that an endpoint streams fails with whatever it fails with: a bug of the simulation.
// @effect-diagnostics anyUnknownInErrorContext:off
import type * as Provider from "@breakwater/core/Provider"
import { HttpBody, HttpClientRequest } from "@breakwater/core/Platform"
import { HttpApi } from "@breakwater/core/PlatformApi"
import type { HttpApiGroup } from "@breakwater/core/PlatformApi"
import * as Safety from "@breakwater/core/Safety"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Answer, Received } from "./Exchange.ts"
import * as Exchanges from "./Exchange.ts"
import * as Trap from "./kernel/Trap.ts"
import type { Ledger } from "./Ledger.ts"
import { HttpApiBuilder, HttpApiSchemaError, HttpRouter, HttpServer, HttpServerRequest } from "./Platform.ts"
import type { HttpServerResponse } from "./Platform.ts"

/** Answers a request. @category models @since 0.1.0 */
export type Handle = (request: Received) => Effect.Effect<Answer>

/** A part of the protocol, such as idempotency keys: stands before what it is given and decides what reaches it. @category models @since 0.1.0 */
export type Part = (next: Handle) => Handle

/** @category models @since 0.1.0 */
export interface SimulatedProvider {
  readonly name: string
  /** Where it answers in memory. */
  readonly origins: ReadonlyArray<string>
  readonly ledger: Ledger
  /** Which operation of the declaration a request is for, and its idempotency key. */
  readonly identify: (request: Received) => { readonly operation: string; readonly key: string | undefined }
  readonly handle: Handle
  /** What something in front of the provider says with this status. */
  readonly edge: (status: number) => Answer
}

/** What is wrong with a request that does not fit its declaration. @category models @since 0.1.0 */
export interface Problem {
  readonly place: "params" | "query" | "headers" | "payload"
  /** Name of the field, with dots. Empty for the whole. */
  readonly field: string
  readonly missing: boolean
  /** What was expected, in words. */
  readonly expected: string
}

/** How the provider words what its handlers are not asked about. @category models @since 0.1.0 */
export interface Words {
  /** The request does not fit its declaration. */
  readonly invalid: (problem: Problem, request: Received) => Answer
  /** No such path. */
  readonly unknownPath: (request: Received) => Answer
  /** An error of this status, without an occasion. */
  readonly failure: (status: number) => Answer
}

/** Errors as `{"error": "…"}`, for a provider whose own words do not matter. @category constants @since 0.1.0 */
export const plainWords: Words = {
  invalid: ({ expected, field, place }) => Exchanges.json(400, { error: `${place} ${field}: expected ${expected}` }),
  unknownPath: (request) => Exchanges.json(404, { error: `no ${request.method} ${Exchanges.path(request)}` }),
  failure: (status) => Exchanges.json(status, { error: `status ${status}` })
}

/** What handlers may require: the server's half of the safety markers. @category models @since 0.1.0 */
export type HandlerServices = Safety.Safe | Safety.Idempotent | Safety.Keyed | Safety.Unsafe

/** @category models @since 0.1.0 */
export interface Options<Id extends string, Groups extends HttpApiGroup.Constraint> {
  readonly provider: Provider.Provider<string, HttpApi.HttpApi<Id, Groups>>
  /** `HttpApiBuilder.group` for each group of the declaration. */
  readonly handlers: Layer.Layer<HttpApiGroup.ToService<Id, Groups>, never, HandlerServices>
  readonly ledger: Ledger
  /**
   * Values of references that the handlers read, such as the account. Where it is given, handlers are built once for all simulations that have the same ones, which takes most of
   * the time that a simulation takes to make: they must keep no state of their own. Default: they are built anew.
   */
  readonly state?: Context.Context<never> | undefined
  /** Default `plainWords`. */
  readonly words?: Words | undefined
  /** Parts of the protocol, the outermost first. Default none. */
  readonly parts?: ReadonlyArray<Part> | undefined
  /** How long the endpoints work, inside all parts. Default `0`. */
  readonly latency?: Duration.Input | undefined
}

/** The server's half of the safety markers: they change nothing there. */
const markers: Layer.Layer<HandlerServices> = Layer.mergeAll(
  Layer.succeed(Safety.Safe, (effect) => effect),
  Layer.succeed(Safety.Idempotent, (effect) => effect),
  Layer.succeed(Safety.Keyed, (effect) => effect),
  Layer.succeed(Safety.Unsafe, (effect) => effect)
)

const originsOf = (provider: Provider.Any): ReadonlyArray<string> => [
  ...new Set(Object.values(provider.environments).map((url) => new URL(url).origin))
]

interface Route {
  readonly operation: string
  readonly method: string
  readonly pattern: RegExp
  readonly keyHeader: string | undefined
}

/** `/v1/refunds/:id` as a pattern of paths. */
const patternOf = (template: string): RegExp =>
  new RegExp(`^${template.replaceAll(/[.*+?^${}()|[\]\\]/gu, "\\$&").replaceAll(/:\w+/gu, "[^/]+")}$`, "u")

const readRoutes = (provider: Provider.Any): ReadonlyArray<Route> => {
  const routes: Array<Route> = []
  HttpApi.reflect(provider.api as HttpApi.Top, {
    onGroup: () => undefined,
    onEndpoint: ({ endpoint, group, mergedAnnotations }) => {
      routes.push({
        operation: `${group.identifier}.${endpoint.identifier}`,
        method: endpoint.method,
        pattern: patternOf(endpoint.path),
        keyHeader: Context.getOrUndefined(mergedAnnotations, Safety.Keys)?.header?.toLowerCase()
      })
    }
  })
  return routes
}

/** Declarations do not change: each is read once. */
const knownRoutes = new WeakMap<Provider.Any, ReadonlyArray<Route>>()

const routesOf = (provider: Provider.Any): ReadonlyArray<Route> => {
  const routes = knownRoutes.get(provider) ?? readRoutes(provider)
  knownRoutes.set(provider, routes)
  return routes
}

const identifyBy =
  (routes: ReadonlyArray<Route>): SimulatedProvider["identify"] =>
  (request) => {
    const path = Exchanges.path(request)
    const route = routes.find(({ method, pattern }) => method === request.method && pattern.test(path))
    const key = route?.keyHeader === undefined ? undefined : request.headers[route.keyHeader]
    return { operation: route?.operation ?? "unknown", key }
  }

const serverRequest = (origin: string, request: Received): HttpServerRequest.HttpServerRequest => {
  const { body, headers, method, target } = request
  const type = headers["content-type"]
  // A body of no bytes has a type all the same: it is a form without fields.
  const bytes = body.length === 0 && type === undefined ? HttpBody.empty : HttpBody.uint8Array(body, type)
  const sent = HttpClientRequest.make(method as "GET")(`${origin}${target}`, { headers, body: bytes })
  return HttpServerRequest.fromClientRequest(sent)
}

/** Pieces of a body that an endpoint streams: it must come to an end, since a fault has to know where its middle is. @category constants @since 0.1.0 */
export const maxPieces = 100_000

type Sent = Pick<Answer, "body" | "pieces">

const nothing = new Uint8Array(0)

const bytesOf = ({ body }: HttpServerResponse.HttpServerResponse): Effect.Effect<Sent> => {
  switch (body._tag) {
    case "Uint8Array":
      return Effect.succeed({ body: body.body })
    case "Empty":
      return Effect.succeed({ body: nothing })
    case "Stream":
      return Effect.map(Effect.orDie(Stream.runCollect(Stream.take(body.stream, maxPieces + 1))), (pieces) => {
        if (pieces.length > maxPieces) throw new RangeError(`a simulated provider streams at most ${maxPieces} pieces`)
        return { body: nothing, pieces }
      })
    default:
      throw new TypeError(`a simulated provider answers with bytes, not with a body of kind ${body._tag}`)
  }
}

const answerOf = (response: HttpServerResponse.HttpServerResponse): Effect.Effect<Answer> => {
  const { body } = response
  const type = body._tag === "Empty" || body.contentType === undefined ? {} : { "content-type": body.contentType }
  // How long the body is, the wire says: a fault may change it.
  const { "content-length": _, ...headers } = response.headers
  return Effect.map(bytesOf(response), (sent) => ({
    status: response.status,
    headers: { ...type, ...headers },
    ...sent,
    executed: true
  }))
}

const missing = "a value"

/** The first leaf of an issue: where, and what was expected. */
const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1({
  leafHook: (issue) => (issue._tag === "MissingKey" ? missing : SchemaIssue.defaultLeafHook(issue))
})

const places: { readonly [kind: string]: Problem["place"] } = {
  Params: "params",
  Query: "query",
  Headers: "headers",
  Payload: "payload"
}

const problemOf = (place: Problem["place"], error: Schema.SchemaError): Problem => {
  const first = formatIssue(error.issue).issues[0]
  const field = (first?.path ?? [])
    .map((segment) => String(typeof segment === "object" ? segment.key : segment))
    .join(".")
  const expected = (first?.message ?? missing).replace(/^Expected /u, "")
  return { place, field, missing: first?.message === missing, expected }
}

/** What the declaration refuses is the provider's business; any other defect is a bug of the simulation, and stays one. */
const invalidOr =
  (words: Words, request: Received) =>
  (defect: unknown): Effect.Effect<Answer> => {
    const place = HttpApiSchemaError.is(defect) ? places[defect.kind] : undefined
    if (!HttpApiSchemaError.is(defect) || place === undefined) return Effect.die(defect)
    return Effect.succeed(words.invalid(problemOf(place, defect.cause), request))
  }

type App = Effect.Success<ReturnType<typeof appOf>>

/** The declaration with its handlers, as what answers a request. */
const appOf = <Id extends string, Groups extends HttpApiGroup.Constraint>({
  handlers,
  provider
}: Options<Id, Groups>) => {
  const served = HttpApiBuilder.layer(provider.api).pipe(
    Layer.provide(handlers),
    Layer.provide(markers),
    Layer.provide(HttpServer.layerServices)
  )
  // All that is left to require is the router, but the types cannot tell while the groups are a parameter.
  const routes = served as unknown as Layer.Layer<never, never, HttpRouter.HttpRouter>
  return HttpRouter.toHttpEffect(routes)
}

/** By their handlers. */
const sharedApps = new WeakMap<object, App>()

/** Belongs to no run: clock and randomness are those of whoever asks, and what is built stays. */
const sharedApp = <Id extends string, Groups extends HttpApiGroup.Constraint>(options: Options<Id, Groups>): App => {
  // Handlers keep the services that they are built with: there must be none, not even a scheduler.
  const nothing = (_: Context.Context<never>) => Context.make(Scope.Scope, Scope.makeUnsafe())
  const build = Effect.updateContext(appOf(options), nothing)
  const app = sharedApps.get(options.handlers) ?? Trap.aside(() => Effect.runSync(build))
  sharedApps.set(options.handlers, app)
  return app
}

/** The endpoints themselves, behind all parts. */
const endpoints = Effect.fnUntraced(function* <Id extends string, Groups extends HttpApiGroup.Constraint>(
  options: Options<Id, Groups>,
  origin: string
): Effect.fn.Return<Handle, never, Scope.Scope> {
  const { state, words = plainWords } = options
  const app = state === undefined ? yield* appOf(options) : Effect.provideContext(sharedApp(options), state)
  return (request) =>
    Effect.provideService(app, HttpServerRequest.HttpServerRequest, serverRequest(origin, request)).pipe(
      Effect.flatMap(answerOf),
      Effect.scoped,
      Effect.catch((error) =>
        error.reason._tag === "RouteNotFound" ? Effect.succeed(words.unknownPath(request)) : Effect.die(error)
      ),
      Effect.catchDefect(invalidOr(words, request))
    )
})

/** The endpoint as it works: so long, and broken where the plan says so. */
const working = (
  options: { readonly latency?: Duration.Input | undefined; readonly words: Words },
  next: Handle
): Handle => {
  const delay = Duration.fromInputUnsafe(options.latency ?? Duration.zero)
  const failed = (status: number): Answer => ({ ...options.words.failure(status), executed: true })
  const work: Handle = (request) => {
    const { crash } = request
    if (crash === undefined) return next(request)
    if (!crash.processed) return Effect.succeed(failed(crash.status))
    return Effect.map(next(request), (answer) => (answer.executed ? failed(crash.status) : answer))
  }
  return Duration.isZero(delay) ? work : (request) => Effect.andThen(Effect.sleep(delay), work(request))
}

/**
 * A simulated provider out of its declaration, until the scope closes. A handler that dies is a bug of the simulation: in memory the client dies of it, on a port the answer is
 * a 500 and the log has the cause. @category constructors @since 0.1.0
 */
export const make = Effect.fnUntraced(function* <Id extends string, Groups extends HttpApiGroup.Constraint>(
  options: Options<Id, Groups>
): Effect.fn.Return<SimulatedProvider, never, Scope.Scope> {
  const provider = options.provider as Provider.Any
  const words = options.words ?? plainWords
  const origins = originsOf(provider)
  const routed = yield* endpoints(options, origins[0] ?? "http://localhost")
  const handle = (options.parts ?? []).reduceRight(
    (next, part) => part(next),
    working({ latency: options.latency, words }, routed)
  )
  return {
    name: provider.name,
    origins,
    ledger: options.ledger,
    identify: identifyBy(routesOf(provider)),
    handle,
    edge: words.failure
  }
})
