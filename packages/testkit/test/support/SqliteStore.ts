/** The shop's store in a file. */
import { Effect } from "effect"
import { DatabaseSync } from "node:sqlite"
import { Process } from "@breakwater/testkit"

const open = (path: string) =>
  Effect.sync(() => {
    const database = new DatabaseSync(path)
    database.exec("CREATE TABLE IF NOT EXISTS paid (id TEXT PRIMARY KEY)")
    return database
  })

/** A connection that ends with its process. */
export const connect = (path: string) => Process.handle(open(path), (database) => database.close())

export const make = (path: string) =>
  Effect.map(connect(path), (database) => ({
    isPaid: Effect.sync(() => database.prepare("SELECT id FROM paid").all().length > 0),
    markPaid: Effect.sync(() => void database.prepare("INSERT OR IGNORE INTO paid VALUES ('order/1')").run())
  }))
