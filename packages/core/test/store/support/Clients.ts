/** The servers of the tests, on their standard local ports. */
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import * as PgClient from "@effect/sql-pg/PgClient"

export const postgresClient = PgClient.layer({
  host: "127.0.0.1",
  username: "postgres",
  database: "test",
  maxConnections: 6
})

export const redisClient = NodeRedis.layer({ url: "redis://127.0.0.1:6379" })
