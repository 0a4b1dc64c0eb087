/**
 * Between the generated client and ours: what could not be encoded is `InvalidRequest`, what does not fit its schema is drift, and the body is parsed once. @internal
 */
// Schemas of a declaration may fail with anything until it is told apart here.
// @effect-diagnostics anyUnknownInErrorContext:off
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Streamed } from "../definition/Body.ts"
import type { BodyKind, Operation } from "../definition/Operation.ts"
import * as Operations from "../definition/Operation.ts"
import type { BufferedResponse } from "../transport/BufferedResponse.ts"
import { refusal } from "../vocabulary/AttemptFailure.ts"
import { InvalidRequest, ResponseInvalid } from "../vocabulary/FatalReason.ts"
import type { HttpApiEndpoint, HttpApiGroup } from "../vocabulary/PlatformApi.ts"
import { HttpClientError } from "../vocabulary/Platform.ts"
import { HttpApi, HttpApiClient } from "../vocabulary/PlatformApi.ts"
import type { FatalError, OutcomeUnknown, ProviderError } from "../vocabulary/ProviderError.ts"
import { isProviderError } from "../vocabulary/ProviderError.ts"
import * as CallErrors from "./CallErrors.ts"
import { firstIssue } from "../vocabulary/FirstIssue.ts"
import * as CallLog from "./CallLog.ts"
import * as DryRuns from "./DryRuns.ts"
import * as HttpAttempt from "./HttpAttempt.ts"
import type { Connection } from "./Connection.ts"
import * as Pipeline from "./Pipeline.ts"
import { RunningCall, defects, nowOf } from "./RunningCall.ts"
import type { StreamedBody } from "./StreamedBody.ts"

type Decode = (response: BufferedResponse) => Effect.Effect<unknown, unknown>

const schemaErrorIn = (cause: Cause.Cause<unknown>): Schema.SchemaError | undefined => {
  for (const reason of cause.reasons)
    if (Cause.isFailReason(reason) && Schema.isSchemaError(reason.error)) return reason.error
  return undefined
}

type Schemas = ReadonlyMap<number, readonly [Schema.Top, ...ReadonlyArray<Schema.Top>]>

/** What each status with a JSON body is read by, where the body alone says what the answer is. */
const jsonSchemas = (schemas: Schemas, kinds: ReadonlyMap<number, BodyKind>): ReadonlyMap<number, Schema.Top> =>
  new Map(
    [...schemas]
      .filter(([status, each]) => kinds.get(status) === "json" && !each.some(Operations.readsHeaders))
      .map(([status, each]) => [status, oneOf(each)])
  )

const jsonDecoders = (
  schemas: ReadonlyMap<number, Schema.Top>,
  options: SchemaParseOptions
): ReadonlyMap<number, (json: unknown) => Effect.Effect<unknown, unknown>> =>
  new Map(
    [...schemas].map(([status, schema]) => [
      status,
      Schema.decodeUnknownEffect(schema as unknown as Schema.ConstraintDecoder<unknown>, options)
    ])
  )

/** A union of one would be looked through at every answer. */
const oneOf = (schemas: readonly [Schema.Top, ...ReadonlyArray<Schema.Top>]): Schema.Top =>
  schemas.length === 1 ? schemas[0] : Schema.Union(schemas)

type SchemaParseOptions = Parameters<typeof Schema.decodeUnknownEffect>[1]

/** Where a client has the method of an operation, and what reads its answers. @category models @since 0.1.0 */
export interface Decoded {
  readonly group: string
  readonly endpoint: string
  /** The method stands in the client itself, not in a group of it. */
  readonly topLevel: boolean
  /** `group.endpoint`, or the endpoint alone. */
  readonly path: string
  readonly decode: Decode
  /** What its JSON answers are read by. */
  readonly schemas: ReadonlyArray<Schema.Top>
}

const compile = (api: HttpApi.Top): ReadonlyArray<Decoded> => {
  const decoders: Array<Decoded> = []
  HttpApi.reflect(api, {
    onGroup: () => undefined,
    onEndpoint: ({ endpoint, errors, group, mergedAnnotations, successes }) => {
      const all = Context.getOrUndefined(mergedAnnotations, HttpApi.ParseOptions)
      const kinds = Operations.declaredOf(endpoint, successes, errors)
      const jsonSuccesses = jsonSchemas(successes, kinds.success)
      const jsonErrors = jsonSchemas(errors, kinds.error)
      const ofSuccess = jsonDecoders(
        jsonSuccesses,
        Context.getOrUndefined(mergedAnnotations, HttpApi.SuccessParseOptions) ?? all
      )
      const ofError = jsonDecoders(
        jsonErrors,
        Context.getOrUndefined(mergedAnnotations, HttpApi.ErrorParseOptions) ?? all
      )
      const streams = [...Operations.streamsOf(endpoint.success)]
      const bytes = new Set(
        streams.filter(([, schema]) => Operations.isStreamedBytes(schema)).map(([status]) => status)
      )
      const generated = generatedDecoder(api, group, endpoint)
      const decode: Decode = (response) => {
        const { parsed, status } = response
        // Bytes are handed on as they come, whatever their type.
        if (bytes.has(status)) return Effect.void
        if (kinds.success.get(status) === "none" || kinds.error.get(status) === "none")
          return generated(response.withoutBody())
        if (parsed._tag !== "Json") return generated(response)
        const error = ofError.get(status)
        if (error !== undefined && status >= 400) return Effect.flatMap(error(parsed.value), Effect.fail)
        return ofSuccess.get(status)?.(parsed.value) ?? generated(response)
      }
      const { topLevel } = group
      const path = topLevel ? endpoint.identifier : `${group.identifier}.${endpoint.identifier}`
      const schemas = [...jsonSuccesses.values(), ...jsonErrors.values()]
      decoders.push({ group: group.identifier, endpoint: endpoint.identifier, topLevel, path, decode, schemas })
    }
  })
  return decoders
}

/** Declarations do not change: the decoders of each are made once, however many clients are made of it. */
const compiled = new WeakMap<HttpApi.Top, ReadonlyArray<Decoded>>()

/** A decoder for each operation: JSON from the value that was parsed already, everything else as the generated client does. @category constructors @since 0.1.0 */
export const ofApi = (api: HttpApi.Top): ReadonlyArray<Decoded> => {
  const known = compiled.get(api) ?? compile(api)
  compiled.set(api, known)
  return known
}

const generatedDecoder = (api: HttpApi.Top, group: HttpApiGroup.Top, endpoint: HttpApiEndpoint.Top): Decode =>
  HttpApiClient.decodeResponse(api, { group: group.identifier, endpoint: endpoint.identifier }) as unknown as Decode

/** The decoder as the pipeline runs it: what does not fit is `ResponseInvalid`, with the answer's status and id. @category combinators @since 0.1.0 */
export const inCall =
  (decode: Decode) =>
  (call: RunningCall, response: BufferedResponse): Effect.Effect<unknown, unknown> => {
    if (call.body?.isOpen === true) return streamed(call.body, decode)
    const decoded = decode(response)
    return Effect.catchCause(decoded, (cause) => {
      const drift = schemaErrorIn(cause)
      return drift === undefined ? Effect.failCause(cause) : drifted(call, response, drift)
    })
  }

/** The answer with its body on its way; an item of it that does not fit is drift, and the end of the stream. */
const streamed = (body: StreamedBody, decode: Decode): Effect.Effect<unknown, unknown> => {
  const { announced, response } = body
  const { headers, status } = response
  const head = { status, headers, contentType: headers["content-type"], contentLength: announced }
  const decoded = Effect.catch(decode(response), (error) => unfit(body, error))
  return Effect.map(decoded, (items): Streamed<unknown, unknown> => ({
    ...head,
    stream: Stream.isStream(items) ? Stream.catch(items as Items, (error) => unstreamed(body, error)) : body.stream
  }))
}

type Items = Stream.Stream<unknown, unknown>

const unfit = (body: StreamedBody, error: unknown): Effect.Effect<never, ProviderError> => {
  const issue = Schema.isSchemaError(error) ? firstIssue(error) : { path: "", expected: "a body that can be read" }
  return Effect.withFiber((fiber) => body.unfit(fiber, issue.path, issue.expected))
}

const unstreamed = (body: StreamedBody, error: unknown): Items => {
  const ours = HttpClientError.isHttpClientError(error) ? error.cause : undefined
  return isProviderError(ours) ? Stream.fail(ours) : Stream.fromEffect(unfit(body, error))
}

/** A success that cannot be read has happened all the same: of a write, nobody knows what came of it. */
const landed = (call: RunningCall, status: number): boolean =>
  status < 300 && (call.operation.safety === "keyed" || call.operation.safety === "unsafe")

const drifted = (
  call: RunningCall,
  response: BufferedResponse,
  error: Schema.SchemaError
): Effect.Effect<never, FatalError | OutcomeUnknown> =>
  Effect.withFiber((fiber) => {
    const { redaction } = call.connection.options
    const { expected, path } = firstIssue(error)
    const reason = new ResponseInvalid({ status: response.status, path: redaction.text(path, 256), expected })
    const failure = {
      ...refusal(reason),
      status: response.status,
      requestId: call.connection.requestIdOf(response.headers),
      excerpt: redaction.body(response.content)
    }
    const now = nowOf(fiber)
    call.lastFailure = failure
    const [next, made] = landed(call, response.status)
      ? ["outcome unknown, not sent again", CallErrors.unknown(call, failure, now)]
      : ["final", CallErrors.fatal(call, failure, reason, now)]
    return Effect.andThen(CallLog.failed(call, fiber, now, failure, next), Effect.fail(made))
  })

const idle = HttpAttempt.declared(identity as never)

const diedBeforeTheCall = (cause: Cause.Cause<unknown>): boolean =>
  cause.reasons.some(
    (reason) => Cause.isDieReason(reason) && Predicate.isObject(reason.defect) && !defects.has(reason.defect)
  )

/** What failed before the call began failed while the request was encoded: its input is wrong, and nothing was sent. */
const encodeFailed = (
  connection: Connection,
  operation: Operation,
  cause: Cause.Cause<unknown>
): Effect.Effect<never, unknown> => {
  const error = Cause.findErrorOption(cause)
  if (error._tag === "Some" && isProviderError(error.value)) return Effect.failCause(cause)
  const schemaError = schemaErrorIn(cause)
  if (schemaError === undefined && !diedBeforeTheCall(cause)) return Effect.failCause(cause)
  const issue =
    schemaError === undefined ? { path: "request", expected: "values that can be encoded" } : firstIssue(schemaError)
  return invalid(connection, operation, issue.path === "" ? "request" : issue.path, `must be ${issue.expected}`)
}

/** A call that is refused before it begins, and seen like any other: it has an id, a span, a count and a line. @category constructors @since 0.1.0 */
export const invalid = (
  connection: Connection,
  operation: Operation,
  field: string,
  detail: string
): Effect.Effect<never, ProviderError> =>
  Effect.suspend(() =>
    Pipeline.run<never>(
      new RunningCall({ kind: idle, connection, operation, problem: new InvalidRequest({ field, detail }) })
    )
  )

/** The parameter that would walk up the path; encoding does not mend a dot segment. */
const dotSegment = (request: unknown): string | undefined => {
  const params = (request as { readonly params?: Record<string, unknown> } | undefined)?.params
  for (const name in params) if (params[name] === ".." || params[name] === ".") return name
  return undefined
}

/** A method of the client: the generated one, with the errors of ours. @category constructors @since 0.1.0 */
export const method = (
  connection: Connection,
  operation: Operation,
  generated: (request: unknown) => Effect.Effect<unknown, unknown>
): ((request: unknown) => Effect.Effect<unknown, unknown>) => {
  const onCause = (cause: Cause.Cause<unknown>) => encodeFailed(connection, operation, cause)
  return (request) => {
    const dots = dotSegment(request)
    if (dots !== undefined) return invalid(connection, operation, `params.${dots}`, "must not be '.' or '..'")
    const called = Effect.catchCause(
      generated({ ...(request as object | undefined), responseMode: "response-only" }),
      onCause
    )
    return operation.dryRun === undefined ? called : DryRuns.answered(called, operation.dryRun)
  }
}
