/**
 * The Node transport: Effect's undici client with a connect timeout that holds to the millisecond. For `@breakwater/core/node/Undici`. @since 0.1.0
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Duration from "effect/Duration"
import type * as Layer from "effect/Layer"
import { buildConnector } from "undici"
import type { Agent } from "undici"
import { defaults } from "../definition/CallPolicy.ts"
import type { HttpClient } from "../vocabulary/Platform.ts"

/** @category models @since 0.1.0 */
export interface UndiciOptions {
  /** To make a connection, TLS included. Default `"2 seconds"`. */
  readonly connectTimeout?: Duration.Input | undefined
  /** Sockets for each origin. Default: no limit; the bulkhead bounds them. */
  readonly connections?: number | undefined
  /** An idle socket is closed after this. Default `"4 seconds"`. */
  readonly keepAlive?: Duration.Input | undefined
}

/** What undici itself says when it cannot connect in time. */
class ConnectTimeout extends Error {
  readonly code = "UND_ERR_CONNECT_TIMEOUT"
}

/**
 * Undici's own connect timeout is checked about once a second; a socket's is exact. It is taken off when the connection stands, since silence is the pipeline's business.
 */
const connector = (millis: number): buildConnector.connector => {
  const connect = buildConnector({ timeout: 0 })
  return (options, callback) => {
    const socket = connect(options, (...result) => {
      opened?.setTimeout(0)
      callback(...result)
    }) as unknown as
      | { setTimeout(millis: number, listener?: () => void): void; destroy(error: Error): void }
      | undefined
    const opened = socket
    opened?.setTimeout(millis, () => opened.destroy(new ConnectTimeout(`no connection within ${millis} ms`)))
    return socket
  }
}

/** An `HttpClient` over undici, to put below `Call.layer` or a provider's layer. @category layers @since 0.1.0 */
export const layer = (options: UndiciOptions = {}): Layer.Layer<HttpClient.HttpClient> => {
  const agent: Agent.Options = {
    connect: connector(Duration.toMillis(options.connectTimeout ?? defaults.connectTimeout)),
    connections: options.connections ?? null,
    keepAliveTimeout: Duration.toMillis(options.keepAlive ?? "4 seconds")
  }
  return NodeHttpClient.layerUndiciOptions(agent)
}
