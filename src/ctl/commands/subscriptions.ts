/** `subscriptions`: what the sessions of this node subscribe. */
import type { SubscriptionRow } from '../../broker/tables.ts'
import { type Command, done, NOT_FOUND } from '../command.ts'
import { tooMany } from '../format.ts'

export const subscriptions: Command = {
  name: 'subscriptions',
  usages: [
    { syntax: 'subscriptions list', text: 'All subscriptions of this node' },
    { syntax: 'subscriptions show <ClientId>', text: 'Subscriptions of a client whose session is on this node' },
  ],
  run({ services: { routing } }, [action, clientId, ...more]) {
    const table = routing.subscriptions
    if (action === 'list' && clientId === undefined) {
      const refusal = tooMany('subscriptions', table.size)
      if (refusal !== undefined) return refusal
      const all = [...table.keys()].sort().map((key) => table.read(key))
      return done(all.map(subscriptionsLine), all.flat())
    }
    if (action !== 'show' || clientId === undefined || more.length > 0) return undefined
    const rows = table.read(clientId)
    return rows.length === 0 ? NOT_FOUND : done([subscriptionsLine(rows)], rows)
  },
}

function subscriptionsLine(rows: readonly SubscriptionRow[]): string {
  return `${rows[0]!.clientId} -> ${rows.map(({ filter, qos }) => `${filter}:${qos}`).join(',')}`
}
