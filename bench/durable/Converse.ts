/** Holds a system's side of a conversation on a connection of its own. */
import { ask, type Connection, open } from "../Connection.ts"
import type { Converse, DurableSystem } from "./DurableSystem.ts"

const STALLED_AFTER_MS = 10_000

export const openConnection = async (system: DurableSystem, port: number): Promise<Connection> => {
  const connection = await open(port)
  try {
    await ask(connection, system.connect(), "a connection")
    return connection
  } catch (error) {
    connection.close()
    throw error
  }
}

/** Settles when exactly `total` messages are done; fails on one too many, or when for ten seconds none is. */
export const converse = (connection: Connection, make: Converse, total: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const dialogue = make(total, (bytes) => connection.socket.write(bytes))
    let done = 0
    let before = -1
    const finish = (error?: Error) => {
      clearInterval(watchdog)
      connection.onBytes = () => {}
      connection.onFailure = () => {}
      if (error === undefined) resolve()
      else reject(error)
    }
    const watchdog = setInterval(() => {
      if (done === before) finish(new Error(`stalled: ${done} of ${total} messages are done`))
      before = done
    }, STALLED_AFTER_MS)
    connection.onFailure = finish
    connection.onBytes = (bytes, length) => {
      done += dialogue.read(bytes, length)
      if (done === total) finish()
      else if (done > total) finish(new Error(`${done} messages came, of ${total}`))
    }
    dialogue.begin()
  })

/** Opens a connection for `act`, and closes it. */
export const withConnection = async <A>(
  system: DurableSystem,
  port: number,
  act: (connection: Connection) => Promise<A>
): Promise<A> => {
  const connection = await openConnection(system, port)
  try {
    return await act(connection)
  } finally {
    connection.close()
  }
}

/** Fails unless the system says that it has stored so many. */
export const checkStored = async (system: DurableSystem, port: number, expected: number): Promise<void> => {
  const stored = await withConnection(system, port, (connection) =>
    ask(connection, system.stored, "the number of messages")
  )
  if (stored !== expected) throw new Error(`${stored} messages are stored, of ${expected} with receipts`)
}
