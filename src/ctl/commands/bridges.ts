/** `bridges`: this version has none. Members of a cluster need no bridge, they share all routes. */
import { type Command, done, refused } from '../command.ts'

export const bridges: Command = {
  name: 'bridges',
  usages: [
    { syntax: 'bridges list', text: 'Bridges to other nodes: none, this version has no bridges' },
    { syntax: 'bridges start <Node> <Topic>', text: 'Start a bridge: refused' },
    { syntax: 'bridges stop <Node> <Topic>', text: 'Stop a bridge: refused, there is none' },
  ],
  run(_context, [action, node, topic]) {
    if (action === 'list' && node === undefined) return done([], [])
    if (node === undefined || topic === undefined) return undefined
    if (action === 'start') {
      return refused('error: this version has no bridges; members of a cluster need none', 'not_supported')
    }
    return action === 'stop' ? refused('error: not_found', 'not_found') : undefined
  },
}
