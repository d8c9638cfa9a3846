/** A listener whose sockets are the near ends of simulated wires: starts a connection process for each, linked to it. */
import { genServer, noreply, ok } from '../../../src/actors/gen-server.ts'
import type { Pid } from '../../../src/actors/pid.ts'
import { isExitMessage } from '../../../src/actors/signal.ts'
import { connection } from '../../../src/broker/connection/connection.ts'
import type { ConnectionEnvironment } from '../../../src/broker/connection/connection-environment.ts'
import type { Transport } from '../../../src/broker/connection/transport.ts'

/** Registered name. */
export const LISTENER_SIM = 'listener_sim'

export interface Accepted {
  readonly tag: 'accepted'
  readonly transport: Transport
}

interface State {
  readonly environment: ConnectionEnvironment
  readonly connections: Map<string, Connection>
}

/** A connection process with its end of the wire. */
export interface Connection {
  readonly pid: Pid
  readonly transport: Transport
}

export const simListener = genServer<State, Record<never, never>, Record<never, never>, ConnectionEnvironment>({
  label: 'listener_sim',
  init: (environment, self) => {
    self.processFlag('trap_exit', true)
    return ok({ environment, connections: new Map() })
  },
  info: ({ state, self }, message) => {
    if (isExitMessage(message)) state.connections.delete(message.from.key)
    else {
      const { transport } = message as Accepted
      const pid = self.spawnLink(connection(state.environment, transport), { label: 'connection' })
      state.connections.set(pid.key, { pid, transport })
    }
    return noreply(state)
  },
  formatState: ({ connections }) => [...connections.values()],
})
