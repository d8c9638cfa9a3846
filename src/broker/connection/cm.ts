/**
 * The connections of this node: client id → the process that owns its socket, and who the client is [emqttd_cm].
 *
 * Unlike sessions, which any node finds in a replicated table, connections are of interest where they are: to those who list
 * them and to those who close them. A connection enters when its CONNACK has been sent and leaves when it is closed; one
 * whose process was killed is left out, and forgotten, by whoever looks.
 */
import type { Runtime } from '../../actors/runtime.ts'
import type { ClientInfo } from '../process-messages.ts'

export class Connections {
  readonly #runtime: Pick<Runtime, 'isAlive'>
  readonly #clients = new Map<string, ClientInfo>()

  constructor(runtime: Pick<Runtime, 'isAlive'>) {
    this.#runtime = runtime
  }

  /** Number of clients that are connected here, killed ones included until somebody looks. */
  get count(): number {
    return this.#clients.size
  }

  /** Enters a connection. Of two for one client id the later one is known: the earlier is about to be closed. */
  add(client: ClientInfo): void {
    this.#clients.set(client.clientId, client)
  }

  /** Takes a connection out, unless a later one has its client id. */
  remove({ clientId, connection }: ClientInfo): void {
    if (this.#clients.get(clientId)?.connection.equals(connection)) this.#clients.delete(clientId)
  }

  /** The client with this id that is connected here. */
  get(clientId: string): ClientInfo | undefined {
    const client = this.#clients.get(clientId)
    if (client === undefined || this.#runtime.isAlive(client.connection)) return client
    this.#clients.delete(clientId)
    return undefined
  }

  /** All clients that are connected here, the oldest connection first. */
  *list(): IterableIterator<ClientInfo> {
    for (const clientId of this.#clients.keys()) {
      const client = this.get(clientId)
      if (client !== undefined) yield client
    }
  }
}
