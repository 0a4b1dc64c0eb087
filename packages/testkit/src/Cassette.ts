/**
 * Real HTTP, recorded once and played back for ever: an `HttpClient` that writes what it sees to one file of JSON, without secrets, and one that answers from it. @since 0.1.0
 */
import { HttpClient, HttpClientError } from "@breakwater/core/Platform"
import type { HttpClientRequest, HttpClientResponse } from "@breakwater/core/Platform"
import type { HttpApi } from "@breakwater/core/PlatformApi"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Exit from "effect/Exit"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as CassetteDrifts from "./CassetteDrift.ts"
import type { Body, Interaction, RawRequest, RawResponse } from "./CassetteFormat.ts"
import { Cassette, formatVersion } from "./CassetteFormat.ts"
import { differences } from "./CassetteMatch.ts"
import type { RedactingOptions, Redactor } from "./CassetteRedaction.ts"
import * as CassetteRedaction from "./CassetteRedaction.ts"
import { HttpServerRequest } from "./Platform.ts"
import { SimulatedResponse } from "./SimulatedResponse.ts"

export {
  /** What a cassette's file holds. @category schemas @since 0.1.0 */
  Cassette
}

/** @category models @since 0.1.0 */
export interface Options {
  /** Path of the cassette. */
  readonly file: string
  /** What is secret beside the built-in. `secrets` are found wherever they stand, as is what requests and the services of the fiber that sends them hold as `Redacted`. */
  readonly redaction?: RedactingOptions | undefined
  /** Bytes of all bodies together. Default 16 MiB. */
  readonly maxBytes?: number | undefined
}

/** @category models @since 0.1.0 */
export interface RecordOptions extends Options {
  /** Whether a cassette that is there is replaced. Default false: it is an error. */
  readonly overwrite?: boolean | undefined
  /** What the cassette says about where it comes from, beside when and by what. */
  readonly provenance?:
    | {
        /** Default: the origin of the first request. */
        readonly baseUrl?: string | undefined
        readonly provider?: string | undefined
        readonly apiVersion?: string | undefined
      }
    | undefined
}

/** @category models @since 0.1.0 */
export interface ReplayOptions extends Options {
  /**
   * `strict`: the same requests in the same order, and all of them. `lenient`: each recorded answer once, for the request of the same method, URL and body, in whatever order.
   * Default `"strict"`.
   */
  readonly match?: "strict" | "lenient" | undefined
}

/** The values used when an option is left out. @category constants @since 0.1.0 */
export const defaults = { maxBytes: 16 * 1024 * 1024, match: "strict" } as const

/** Who writes cassettes. @category constants @since 0.1.0 */
export const recordedBy = "@breakwater/testkit 0.0.0"

/** A cassette cannot be used, or must not be written. @category errors @since 0.1.0 */
export class CassetteError extends Schema.TaggedError<CassetteError>("@breakwater/testkit/Cassette/CassetteError")(
  "CassetteError",
  {
    file: Schema.String,
    problem: Schema.Literals(["not found", "not a cassette", "newer format", "exists", "too large", "not accessible"]),
    detail: Schema.String
  }
) {
  override get message(): string {
    return `cassette ${this.file}: ${this.problem}, ${this.detail}`
  }
}

/** A request was made that the cassette does not have, or one that it has was not made. A defect, so that nothing under test takes it for an outage. @category errors @since 0.1.0 */
export class CassetteMismatch extends Schema.TaggedError<CassetteMismatch>(
  "@breakwater/testkit/Cassette/CassetteMismatch"
)("CassetteMismatch", { file: Schema.String, detail: Schema.String }) {
  override get message(): string {
    return `cassette ${this.file}: ${this.detail}`
  }
}

/** Recorded answers no longer are what the declaration expects. @category errors @since 0.1.0 */
export class CassetteDrift extends Schema.TaggedError<CassetteDrift>("@breakwater/testkit/Cassette/CassetteDrift")(
  "CassetteDrift",
  { drifts: Schema.Array(CassetteDrifts.Drift) }
) {
  override get message(): string {
    const lines = this.drifts.map(({ expected, interaction, operation, path, status }) => {
      const place = path === "" ? "" : ` at ${path}`
      return `interaction ${interaction}, ${operation} ${status}${place}: expected ${expected}`
    })
    return ["recorded answers drifted", ...lines].join("\n")
  }
}

const fileError =
  (file: string) =>
  (error: { readonly reason: { readonly _tag: string }; readonly message: string }): CassetteError =>
    error.reason._tag === "NotFound"
      ? new CassetteError({ file, problem: "not found", detail: "record it first, or use the mode auto" })
      : new CassetteError({ file, problem: "not accessible", detail: error.message })

const Head = Schema.Struct({ format: Schema.Literal("breakwater-cassette"), version: Schema.Int })
const decodeHead = Schema.decodeUnknownResult(Schema.fromJsonString(Head))
const decode = Schema.decodeUnknownResult(Schema.fromJsonString(Cassette))

const parse = (file: string, text: string): Result.Result<Cassette, CassetteError> => {
  const head = decodeHead(text)
  const no = (detail: string) => Result.fail(new CassetteError({ file, problem: "not a cassette", detail }))
  if (Result.isFailure(head)) return no("it is not JSON with the format breakwater-cassette and a version")
  const { version } = head.success
  if (version > formatVersion) {
    const detail = `it has version ${version} and this testkit reads ${formatVersion}: update it`
    return Result.fail(new CassetteError({ file, problem: "newer format", detail }))
  }
  return Result.match(decode(text), { onFailure: (issue) => no(String(issue)), onSuccess: Result.succeed })
}

/** Reads a cassette. @category constructors @since 0.1.0 */
export const read = Effect.fnUntraced(function* (
  file: string,
  options?: { readonly maxBytes?: number | undefined }
): Effect.fn.Return<typeof Cassette.Type, CassetteError, FileSystem.FileSystem> {
  const fs = yield* FileSystem.FileSystem
  const info = yield* Effect.mapError(fs.stat(file), fileError(file))
  // A body takes at most twice its size in Base64 or JSON's escapes; what is around it is small.
  const limit = 2 * (options?.maxBytes ?? defaults.maxBytes) + 1024 * 1024
  const size = Number(info.size)
  if (size > limit) {
    return yield* new CassetteError({ file, problem: "too large", detail: `${size} bytes, at most ${limit}` })
  }
  const text = yield* Effect.mapError(fs.readFileString(file), fileError(file))
  return yield* Effect.fromResult(parse(file, text))
})

/**
 * Decodes every recorded answer with the schema of its own operation, and fails with each place that does not fit and what was expected there. What was redacted is passed over.
 * @category assertions @since 0.1.0
 */
export const check = (cassette: typeof Cassette.Type, api: HttpApi.Constraint): Effect.Effect<void, CassetteDrift> =>
  Effect.suspend(() => {
    const drifts = CassetteDrifts.driftsOf(cassette, api)
    return drifts.length === 0 ? Effect.void : Effect.fail(new CassetteDrift({ drifts }))
  })

/** How a body came over the wire, which is no longer so once it was read, and ids that differ in every run. */
const transient = new Set([
  "content-encoding",
  "content-length",
  "transfer-encoding",
  "connection",
  "traceparent",
  "tracestate",
  "b3"
])

const headersOf = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !transient.has(name)))

const rawRequest = (
  request: HttpClientRequest.HttpClientRequest,
  url: URL
): Effect.Effect<RawRequest, HttpClientError.HttpClientError> =>
  Effect.mapBoth(HttpServerRequest.fromClientRequest(request).arrayBuffer, {
    onSuccess: (buffer) => ({
      method: request.method,
      url,
      headers: headersOf(request.headers),
      body: new Uint8Array(buffer)
    }),
    onFailure: (cause) =>
      new HttpClientError.HttpClientError({ reason: new HttpClientError.EncodeError({ request, cause }) })
  })

const responseOf = (
  request: HttpClientRequest.HttpClientRequest,
  url: URL,
  { body, headers, status }: RawResponse
): HttpClientResponse.HttpClientResponse =>
  new SimulatedResponse(request, url.href, {
    _tag: "Answered",
    status,
    headers,
    chunks: body.length === 0 ? [] : [body],
    end: "complete"
  })

/** What a value holds as `Redacted`, not deeper than the fields of a service's configuration. No getter is asked. */
const heldIn = (value: unknown, depth = 0): ReadonlyArray<string> => {
  if (Redacted.isRedacted(value)) {
    const secret = Redacted.value(value)
    return Predicate.isString(secret) ? [secret] : []
  }
  if (!Predicate.isObject(value) || depth > 2) return []
  return Object.values(Object.getOwnPropertyDescriptors(value)).flatMap((field) => heldIn(field.value, depth + 1))
}

/** The secrets that a request carries as `Redacted`, and those in the services of the fiber that sends it. */
const redactedOf = (request: HttpClientRequest.HttpClientRequest): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(Effect.context<never>(), ({ mapUnsafe }) => [
    ...request.urlParams.params.flatMap(([, value]) => heldIn(value)),
    ...[...mapUnsafe.values()].flatMap((service) => heldIn(service))
  ])

interface Recorded {
  readonly request: RawRequest
  readonly response: RawResponse
}

const bodyBytes = (response: HttpClientResponse.HttpClientResponse, file: string, room: number) => {
  const chunks: Array<Uint8Array> = []
  let length = 0
  const collect = (chunk: Uint8Array) => {
    length += chunk.length
    if (length > room) {
      const detail = "the bodies are larger than maxBytes"
      return Effect.die(new CassetteError({ file, problem: "too large", detail }))
    }
    return Effect.sync(() => void chunks.push(chunk))
  }
  return Effect.map(Stream.runForEach(response.stream, collect), () => {
    const bytes = new Uint8Array(length)
    let offset = 0
    for (const chunk of chunks) {
      bytes.set(chunk, offset)
      offset += chunk.length
    }
    return bytes
  })
}

const write = Effect.fnUntraced(function* (
  fs: FileSystem.FileSystem,
  options: RecordOptions,
  redactor: Redactor,
  recorded: ReadonlyArray<Recorded>
) {
  const { apiVersion, baseUrl, provider } = options.provenance ?? {}
  const interactions = recorded.map(({ request, response }) => ({
    request: redactor.request(request),
    response: redactor.response(response)
  }))
  const base = baseUrl ?? interactions[0]?.request.origin
  const cassette: typeof Cassette.Type = {
    format: "breakwater-cassette",
    version: formatVersion,
    provenance: {
      recordedAt: DateTime.formatIso(yield* DateTime.now),
      recordedBy,
      ...(base === undefined ? {} : { baseUrl: base }),
      ...(provider === undefined ? {} : { provider }),
      ...(apiVersion === undefined ? {} : { apiVersion })
    },
    interactions
  }
  const partial = `${options.file}.partial`
  yield* fs.writeFileString(partial, `${JSON.stringify(cassette, undefined, 2)}\n`)
  yield* fs.rename(partial, options.file)
})

/**
 * A client that records what goes through another one, and writes the cassette when its scope closes, unless it closes for a failure: half a recording would be played back for
 * ever. Requests that got no answer are not recorded. @category constructors @since 0.1.0
 */
export const record = Effect.fnUntraced(function* (
  inner: HttpClient.HttpClient,
  options: RecordOptions
): Effect.fn.Return<HttpClient.HttpClient, CassetteError, FileSystem.FileSystem | Scope.Scope> {
  const { file, maxBytes = defaults.maxBytes, overwrite = false, redaction = {} } = options
  const fs = yield* FileSystem.FileSystem
  if (!overwrite && (yield* Effect.mapError(fs.exists(file), fileError(file)))) {
    return yield* new CassetteError({ file, problem: "exists", detail: "delete it, or set overwrite" })
  }
  const redactor = CassetteRedaction.make(redaction)
  const slots: Array<Recorded | undefined> = []
  let bytes = 0
  yield* Effect.addFinalizer((exit) => {
    const recorded = slots.filter((slot) => slot !== undefined)
    return Exit.isSuccess(exit) ? Effect.orDie(write(fs, options, redactor, recorded)) : Effect.void
  })
  return HttpClient.make(
    Effect.fnUntraced(function* (request, url) {
      const slot = slots.push(undefined) - 1
      const sent = yield* rawRequest(request, url)
      redactor.learn(sent)
      redactor.know(yield* redactedOf(request))
      const answer = yield* inner.execute(request)
      const body = yield* bodyBytes(answer, file, maxBytes - bytes - sent.body.length)
      const response: RawResponse = { status: answer.status, headers: headersOf(answer.headers), body }
      bytes += sent.body.length + body.length
      redactor.learn(response)
      slots[slot] = { request: sent, response }
      return responseOf(request, url, response)
    })
  )
})

const encoder = new TextEncoder()

const bytesOf = (body: Body | undefined): Uint8Array => {
  if (body === undefined) return new Uint8Array(0)
  if ("base64" in body) return Result.getOrElse(Base64.decode(body.base64), () => new Uint8Array(0))
  return encoder.encode("json" in body ? JSON.stringify(body.json) : body.text)
}

const line = ({ method, path, query }: Interaction["request"]): string => {
  const search = query.map(([name, value]) => `${name}=${value}`).join("&")
  return search === "" ? `${method} ${path}` : `${method} ${path}?${search}`
}

/** Which recorded answers were given. */
class Player {
  private readonly played = new Set<number>()
  private readonly file: string
  private readonly interactions: ReadonlyArray<Interaction>
  private readonly strict: boolean

  constructor(file: string, interactions: ReadonlyArray<Interaction>, strict: boolean) {
    this.file = file
    this.interactions = interactions
    this.strict = strict
  }

  answer(sent: Interaction["request"]): Interaction["response"] | CassetteMismatch {
    const left = this.interactions
      .map(({ request, response }, index) => ({ index, request, response, differs: differences(request, sent) }))
      .filter(({ index }) => !this.played.has(index))
    const [nearest] = left.toSorted((a, b) => a.differs.length - b.differs.length)
    const wanted = this.strict ? left[0] : nearest
    if (wanted?.differs.length === 0) {
      this.played.add(wanted.index)
      return wanted.response
    }
    const about = ({ differs, index, request }: (typeof left)[number]): ReadonlyArray<string> => [
      `#${index} ${line(request)}`,
      ...differs.map((each) => `  ${each}`)
    ]
    const lines =
      wanted === undefined || nearest === undefined
        ? [`all ${this.interactions.length} recorded requests were made already`]
        : [
            ...(this.strict ? ["the next one recorded is", ...about(wanted)] : []),
            ...(nearest === wanted && this.strict ? [] : ["the nearest one left is", ...about(nearest)])
          ]
    const detail = [`request ${this.played.size + 1} is not recorded here: ${line(sent)}`, ...lines].join("\n")
    return new CassetteMismatch({ file: this.file, detail })
  }

  get rest(): CassetteMismatch | undefined {
    const next = this.interactions.find((_, index) => !this.played.has(index))
    if (!this.strict || next === undefined) return undefined
    const count = this.interactions.length - this.played.size
    const detail = `${count} recorded requests were not made, the next one is ${line(next.request)}`
    return new CassetteMismatch({ file: this.file, detail })
  }
}

/**
 * A client that answers from a cassette, and has no network. A request that is not there is a defect, `CassetteMismatch`, and so are requests that are left over when the scope of
 * a strict one closes well. @category constructors @since 0.1.0
 */
export const replay = Effect.fnUntraced(function* (
  options: ReplayOptions
): Effect.fn.Return<HttpClient.HttpClient, CassetteError, FileSystem.FileSystem | Scope.Scope> {
  const { file, match = defaults.match, redaction = {} } = options
  const cassette = yield* read(file, options)
  const player = new Player(file, cassette.interactions, match === "strict")
  const redactor = CassetteRedaction.make(redaction)
  yield* Effect.addFinalizer((exit) => {
    const { rest } = player
    return Exit.isSuccess(exit) && rest !== undefined ? Effect.die(rest) : Effect.void
  })
  return HttpClient.make(
    Effect.fnUntraced(function* (request, url) {
      const sent = yield* rawRequest(request, url)
      redactor.learn(sent)
      redactor.know(yield* redactedOf(request))
      const answer = player.answer(redactor.request(sent))
      if (answer instanceof CassetteMismatch) return yield* Effect.die(answer)
      const { body, headers, status } = answer
      return responseOf(request, url, { status, headers, body: bytesOf(body) })
    })
  )
})

/** `replay` as a layer. @category layers @since 0.1.0 */
export const layerReplay = (
  options: ReplayOptions
): Layer.Layer<HttpClient.HttpClient, CassetteError, FileSystem.FileSystem> =>
  Layer.effect(HttpClient.HttpClient, replay(options))

/**
 * A client that records through the one below it, replays, or does what the file asks for: `auto`, the default, replays if it is there and records if it is not.
 * @category layers @since 0.1.0
 */
export const layer = (
  options: RecordOptions & ReplayOptions & { readonly mode?: "auto" | "record" | "replay" | undefined }
): Layer.Layer<HttpClient.HttpClient, CassetteError, HttpClient.HttpClient | FileSystem.FileSystem> =>
  Layer.effect(
    HttpClient.HttpClient,
    Effect.gen(function* () {
      const { file, mode = "auto" } = options
      const inner = yield* HttpClient.HttpClient
      const fs = yield* FileSystem.FileSystem
      const isThere = mode === "auto" && (yield* Effect.mapError(fs.exists(file), fileError(file)))
      return yield* mode === "replay" || isThere ? replay(options) : record(inner, options)
    })
  )
