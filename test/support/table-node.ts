/**
 * A program for tests: a node with tables and nothing else, as `test/support/peer.ts` starts it; an epmd must be there. The test asks
 * it by rpc, module `tables`. Arguments and answers are JSON, so that a test reads what the library returned.
 *
 *     --name NAME --cookie COOKIE --data-dir DIR [--seed NODE] [--policy manual] [--rename] [--bag] [--tick MS]
 *
 * It ends with 1 and one sentence when it cannot start; SIGTERM ends it in order.
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import pino from 'pino'
import { stopRuntime } from '../../src/actors/application.ts'
import { realSystem } from '../../src/actors/system.ts'
import { startNode } from '../../src/dist/start-node.ts'
import { backupTo } from '../../src/mnesia/backup-to.ts'
import { type Mnesia, startMnesia } from '../../src/mnesia/mnesia.ts'
import { openStore } from '../../src/mnesia/store/open-store.ts'
import { RETAINED, ROUTE } from './table-definitions.ts'

const { values } = parseArgs({
  args: process.argv.slice(2),
  options: {
    name: { type: 'string', default: '' },
    cookie: { type: 'string', default: '' },
    'data-dir': { type: 'string', default: '' },
    seed: { type: 'string', multiple: true, default: [] },
    policy: { type: 'string', default: 'autoheal' },
    rename: { type: 'boolean', default: false },
    /** Defines `retained_message` in another way. */
    bag: { type: 'boolean', default: false },
    tick: { type: 'string', default: '8000' },
    set: { type: 'string', multiple: true },
  },
})

const retained = values.bag ? { ...RETAINED, type: 'bag' as const } : RETAINED
const alarms = new Map<string, string>()
const logger = pino({ level: 'info', base: null, formatters: { level: (level) => ({ level }) } }, pino.destination(2))

await run()

async function run(): Promise<void> {
  const { name, cookie } = values
  const directory = values['data-dir']
  const system = realSystem()
  const started = await startNode({
    name,
    cookie,
    system,
    logger,
    epmdPort: Number(process.env.AGNER_EPMD_PORT),
    netTicktimeMs: Number(values.tick),
  })
  if (!started.ok) return fail(started.problem)
  const { node } = started
  const { store } = await openStore({ directory: join(directory, 'tables'), system, owner: name })
  const begun = performance.now()
  const tables = await startMnesia(node.runtime, {
    store,
    tables: [retained, ROUTE],
    seeds: values.seed,
    partitionPolicy: values.policy === 'manual' ? 'manual' : 'autoheal',
    rename: values.rename,
    backup: backupTo(node.runtime, join(directory, 'backup')),
    alarms: { raise: (alarm, text) => void alarms.set(alarm, text), clear: (alarm) => void alarms.delete(alarm) },
  })
  if (!tables.ok) return fail(tables.problem)
  const startMs = performance.now() - begun
  node.exports.register('tables', { 'call/2': (_context, what, args) => answer(tables.mnesia, what, args, startMs) })
  process.once('SIGTERM', () => {
    void stopRuntime(node.runtime)
      .then(() => node.stop())
      .then(() => process.exit(0))
  })
  process.stdout.write(`Node '${name}' is started\nTry: nothing\n`)
}

function fail(problem: string): void {
  process.stderr.write(`${problem}\n`)
  process.exit(1)
}

async function answer(mnesia: Mnesia, what: unknown, args: unknown, startMs: number): Promise<string> {
  const given = JSON.parse(String(args)) as string[]
  return JSON.stringify((await call(mnesia, String(what), given, startMs)) ?? null)
}

async function call(mnesia: Mnesia, what: string, [a = '', b = '']: string[], startMs: number): Promise<unknown> {
  const table = mnesia.open(retained)
  switch (what) {
    case 'write':
      return table.write({ topic: a, text: b }, { wait: 'durable' })
    case 'write_members':
      return table.write({ topic: a, text: b }, { wait: 'members' })
    case 'fill':
      return table.batch(
        Array.from({ length: Number(b) }, (_, i) => ({ op: 'write', row: { topic: `${a}/${i}`, text: a } })),
        { wait: 'durable' },
      )
    case 'delete':
      return table.delete(a, { wait: 'durable' })
    case 'get':
      return table.get(a)
    case 'size':
      return table.size
    case 'route':
      return mnesia.open(ROUTE).write({ filter: a, node: mnesia.status().node }, { wait: 'members' })
    case 'routes':
      return [...mnesia.open(ROUTE).rows()].map(({ filter, node }) => `${filter} ${node}`).sort()
    case 'join':
      return mnesia.join(a, { confirm: b === 'confirm' })
    case 'leave':
      return mnesia.leave()
    case 'remove':
      return mnesia.remove(a)
    case 'heal':
      return mnesia.heal()
    case 'status':
      return mnesia.status()
    case 'alarms':
      return Object.fromEntries(alarms)
    case 'info':
      return mnesia.tableInfo(RETAINED.name)
    case 'start_ms':
      return startMs
    default:
      throw new TypeError(`${what} is nothing that can be asked`)
  }
}
