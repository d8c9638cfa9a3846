/**
 * A node that can be observed, as a process of its own: NAME EPMD_PORT COOKIE [shell]. Says `ready` when it is there.
 *
 * On it run the application `shop` with a counter, and the table `words`.
 */
import pino from 'pino'
import { start } from '../../src/actors/application.ts'
import { genServer, ok, reply } from '../../src/actors/gen-server.ts'
import { child, supervisor } from '../../src/actors/supervisor.ts'
import { startNode } from '../../src/dist/start-node.ts'
import { makeObservable } from '../../src/observer/backend/application.ts'

const [name, epmdPort, cookie, shell] = process.argv.slice(2) as [string, string, string, string?]

const counter = genServer<{ n: number }, { read: () => number }>({
  label: 'counter',
  init: () => ok({ n: 42 }),
  calls: { read: ({ state }) => reply(state.n, state) },
})
const top = supervisor({
  label: 'shop_sup',
  strategy: 'one_for_one',
  children: () => [child('counter', counter, [undefined, { name: 'counter' }])],
})

const started = await startNode({ name, epmdPort: Number(epmdPort), cookie, logger: pino({ level: 'silent' }) })
if (!started.ok) throw new Error(started.problem)
const { runtime, exports } = started.node
await makeObservable({ runtime, exports }, { version: '0.1.0', remoteShell: shell === 'shell' })
await start(runtime, {
  name: 'shop',
  version: '1.2',
  description: 'of a test',
  start: (self) => top.startLink(self, undefined, { name: 'shop_sup' }),
})
const words = runtime.ets.create<{ id: number; word: string }>(runtime.init, 'words', { key: 'id', named: true })
for (let id = 1; id <= 3; id++) words.insert({ id, word: `w${id}` })
process.stdout.write('ready\n')
