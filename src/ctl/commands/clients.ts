/** `clients`: the clients that are connected to this node. */
import type { ClientInfo } from '../../broker/process-messages.ts'
import { type Command, done, NOT_FOUND, OK } from '../command.ts'
import { record, tooMany, unixSeconds } from '../format.ts'

export const clients: Command = {
  name: 'clients',
  usages: [
    { syntax: 'clients list', text: 'All clients that are connected to this node' },
    { syntax: 'clients show <ClientId>', text: 'A client that is connected to this node' },
    { syntax: 'clients kick <ClientId>', text: 'Close the connection of a client, wherever it is' },
  ],
  run({ services: { connections, sessions } }, [action, clientId, ...more]) {
    if (action === 'list' && clientId === undefined) {
      const refusal = tooMany('clients', connections.count)
      if (refusal !== undefined) return refusal
      const all = [...connections.list()].sort((a, b) => (a.clientId < b.clientId ? -1 : 1))
      return done(all.map(clientLine), all.map(clientData))
    }
    if (clientId === undefined || more.length > 0) return undefined
    if (action === 'kick') return sessions.kick(clientId) ? OK : NOT_FOUND
    if (action !== 'show') return undefined
    const client = connections.get(clientId)
    return client === undefined ? NOT_FOUND : done([clientLine(client)], clientData(client))
  },
}

function clientLine(client: ClientInfo): string {
  const { clientId, username, peer, expirySec, connectedAtMs } = client
  return record('Client', clientId, [
    ['clean_sess', expirySec === 0],
    ['username', username],
    ['peername', peer],
    ['connected_at', unixSeconds(connectedAtMs)],
  ])
}

function clientData({ clientId, username, peer, protocolVersion, keepAliveSec, expirySec, connectedAtMs }: ClientInfo) {
  return {
    clientId,
    cleanSession: expirySec === 0,
    username: username ?? null,
    peer,
    protocolVersion,
    keepAliveSec,
    sessionExpirySec: expirySec,
    connectedAt: unixSeconds(connectedAtMs),
  }
}
