/** `listeners`: the addresses that are open for clients. */
import { tcpListener } from '../../broker/connection/listener-tcp.ts'
import { LISTENER_TCP } from '../../broker/sup.ts'
import { type Command, done } from '../command.ts'
import { labelled } from '../format.ts'

const WIDTH = 16

/** The event loop of the node accepts, and nobody else. */
const ACCEPTORS = 1

export const listeners: Command = {
  name: 'listeners',
  usages: [{ syntax: 'listeners', text: 'Listeners, how many clients they have, and why those that left did' }],
  async run({ runtime }, words) {
    if (words.length > 0) return undefined
    const info = await tcpListener.call(runtime, LISTENER_TCP, 'info')
    const { protocol, host, port, maxClients, currentClients, peakClients, shutdownCount } = info
    const counts = Object.entries(shutdownCount).map(([reason, count]) => `{${reason},${count}}`)
    const fields = [
      ['acceptors', ACCEPTORS],
      ['max_clients', maxClients],
      ['current_clients', currentClients],
      ['peak_clients', peakClients],
      ['shutdown_count', `[${counts.join(',')}]`],
    ] as const
    const lines = labelled(WIDTH, fields).map((line) => `  ${line}`)
    return done([`listener on ${protocol}:${host}:${port}`, ...lines], [info])
  },
}
