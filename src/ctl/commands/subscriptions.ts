/** `subscriptions`: what the sessions of this node subscribe, and static subscriptions, which an operator makes for a client id. */
import type { QoS } from '../../broker/packet.ts'
import type { StaticSubscriptions } from '../../broker/session/static-subscriptions.ts'
import type { SubscriptionRow } from '../../broker/tables.ts'
import { type Command, done, NOT_FOUND, OK, type Outcome, refused } from '../command.ts'
import { tooMany } from '../format.ts'

export const subscriptions: Command = {
  name: 'subscriptions',
  usages: [
    { syntax: 'subscriptions list', text: 'All subscriptions of this node' },
    { syntax: 'subscriptions list static', text: 'All static subscriptions, the same on every member' },
    { syntax: 'subscriptions show <ClientId>', text: 'Subscriptions of a client whose session is on this node' },
    { syntax: 'subscriptions add <ClientId> <Topic> <QoS>', text: 'Subscribe for a client, from its next CONNECT on' },
    { syntax: 'subscriptions del <ClientId>', text: 'Delete the static subscriptions of a client' },
    { syntax: 'subscriptions del <ClientId> <Topic>', text: 'Delete one of them' },
  ],
  run({ services: { routing, staticSubscriptions } }, [action, clientId, topic, qos, ...more]) {
    if (more.length > 0) return undefined
    if (action === 'add' && clientId !== undefined && topic !== undefined && qos !== undefined) {
      return add(staticSubscriptions, clientId, topic, qos)
    }
    if (qos !== undefined) return undefined
    if (action === 'del' && clientId !== undefined) {
      staticSubscriptions.delete(clientId, topic)
      return OK
    }
    if (topic !== undefined) return undefined
    if (action === 'list' && clientId === 'static') return listStatic(staticSubscriptions)
    const table = routing.subscriptions
    if (action === 'list' && clientId === undefined) {
      const refusal = tooMany('subscriptions', table.size)
      if (refusal !== undefined) return refusal
      const all = [...table.keys()].sort().map((key) => table.read(key))
      return done(all.map(subscriptionsLine), all.flat())
    }
    if (action !== 'show' || clientId === undefined) return undefined
    const rows = table.read(clientId)
    return rows.length === 0 ? NOT_FOUND : done([subscriptionsLine(rows)], rows)
  },
}

function add(known: StaticSubscriptions, clientId: string, topic: string, qos: string): Outcome {
  if (!/^[0-2]$/.test(qos)) return refused('QoS should be 0, 1, 2', 'bad_qos')
  const result = known.add(clientId, topic, Number(qos) as QoS)
  if (result === 'added') return OK
  return result === 'existed'
    ? refused('Error: already existed', 'already_existed')
    : refused(`Error: ${topic} is no topic filter`, 'bad_filter')
}

function listStatic(known: StaticSubscriptions): Outcome {
  const refusal = tooMany('static subscriptions', known.count)
  if (refusal !== undefined) return refusal
  const all = known.clientIds().map((clientId) => known.of(clientId))
  return done(all.map(subscriptionsLine), all.flat())
}

function subscriptionsLine(rows: readonly Pick<SubscriptionRow, 'clientId' | 'filter' | 'qos'>[]): string {
  return `${rows[0]!.clientId} -> ${rows.map(({ filter, qos }) => `${filter}:${qos}`).join(',')}`
}
