/** `status`: whether the node and the broker on it run. */
import { type Command, done } from '../command.ts'
import { atomText } from '../format.ts'

export const status: Command = {
  name: 'status',
  usages: [{ syntax: 'status', text: 'Whether this node and its broker run' }],
  run({ runtime, services: { version } }, words) {
    if (words.length > 0) return undefined
    const { name } = runtime.node
    return done([`Node ${atomText(name)} is started`, `agner ${version} is running`], {
      node: name,
      status: 'started',
      version,
      running: true,
    })
  },
}
