/** `routes` and `topics`: which filters are routed, and to which nodes. The same on every node of a cluster. */
import type { RouteListing } from '../../broker/routing/routing.ts'
import { type Command, done, NOT_FOUND } from '../command.ts'
import { tooMany } from '../format.ts'

export const routes: Command = {
  name: 'routes',
  usages: [
    { syntax: 'routes list', text: 'All routes, sorted' },
    { syntax: 'routes show <Topic>', text: 'The route of a topic filter' },
  ],
  run({ services: { routing } }, [action, filter, ...more]) {
    if (action === 'list' && filter === undefined) {
      const refusal = tooMany('routes', routing.global.routes.keyCount)
      if (refusal !== undefined) return refusal
      const all = [...routing.routes()].sort((a, b) => (a.filter < b.filter ? -1 : 1))
      return done(all.map(routeLine), all)
    }
    if (action !== 'show' || filter === undefined || more.length > 0) return undefined
    const route = routing.route(filter)
    return route === undefined ? NOT_FOUND : done([routeLine(route)], route)
  },
}

export const topics: Command = {
  name: 'topics',
  usages: [
    { syntax: 'topics list', text: 'All topic filters that are subscribed, sorted' },
    { syntax: 'topics show <Topic>', text: 'Whether a topic filter is subscribed' },
  ],
  run({ services: { routing } }, [action, filter, ...more]) {
    const { routes: table } = routing.global
    if (action === 'list' && filter === undefined) {
      const refusal = tooMany('topics', table.keyCount)
      if (refusal !== undefined) return refusal
      const all = [...table.keys()].sort()
      return done(all, all)
    }
    if (action !== 'show' || filter === undefined || more.length > 0) return undefined
    return table.has(filter) ? done([filter], filter) : NOT_FOUND
  },
}

function routeLine({ filter, nodes }: RouteListing): string {
  return `${filter} -> ${nodes.join(',')}`
}
