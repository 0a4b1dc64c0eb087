/** The bundles of `Stores`, and the one for a file of SQLite. For `@breakwater/core/node/Stores`. @since 0.1.0 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { StoreError } from "../store/StoreError.ts"
import type { SqlClient } from "./Drivers.ts"
import type { SqliteOptions } from "./Sqlite.node.ts"
import * as Sqlite from "./Sqlite.node.ts"
import type { SqlOptions } from "./SqlDatabase.ts"
import { fromSql } from "./SqlDatabase.ts"
import type { StoreOptions, Stores } from "./Stores.ts"
import { layerSql } from "./Stores.ts"

export * from "./Stores.ts"

/**
 * All stores in one file, and the `SqlClient` over it, whose transactions outbox commands join: the durable default for one machine. Several processes may share the file.
 * @category layers @since 0.1.0
 */
export const layerSqlite = (
  options: StoreOptions & SqlOptions & SqliteOptions
): Layer.Layer<Stores | SqlClient.SqlClient, StoreError> =>
  Layer.provideMerge(layerSql(options), layerDatabase(options))

const layerDatabase = (options: SqliteOptions): Layer.Layer<SqlClient.SqlClient, StoreError> =>
  Layer.effectContext(
    Effect.mapError(Layer.build(Sqlite.layer(options)), (error) => fromSql({ store: "sql", operation: "open" }, error))
  )
