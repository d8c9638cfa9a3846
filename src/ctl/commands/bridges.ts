/** `bridges`: have messages of this node published on a node of another cluster as well. The words and the lines are emqttd's. */
import type { BridgeRecord } from '../../broker/bridge/bridges.ts'
import { BRIDGE_SETTINGS, type BridgeOptions } from '../../broker/bridge/options.ts'
import type { Services } from '../../broker/services.ts'
import { check } from '../../broker/settings.ts'
import { type Command, done, type Outcome } from '../command.ts'
import { fullName } from '../node-argument.ts'

const OPTION_LINES = [
  'Options:',
  '  qos     = 0 | 1 | 2',
  '  prefix  = string',
  '  suffix  = string',
  '  queue   = integer',
  'Example:',
  '  qos=2,prefix=abc/,suffix=/yxz,queue=1000',
]

const OPTIONS = ['qos', 'prefix', 'suffix', 'queue']

export const bridges: Command = {
  name: 'bridges',
  usages: [
    { syntax: 'bridges list', text: 'Bridges from this node to others' },
    { syntax: 'bridges options', text: 'What a bridge can be started with' },
    { syntax: 'bridges start <Node> <Topic>', text: 'Publish messages of a filter on another node, too' },
    { syntax: 'bridges start <Node> <Topic> <Options>', text: 'The same, with options' },
    { syntax: 'bridges stop <Node> <Topic>', text: 'Stop a bridge; what waits in it is given up' },
  ],
  run({ services }, [action, node, filter, options, ...more]) {
    if (more.length > 0) return undefined
    if (action === 'start' && filter !== undefined) return start(services, node!, filter, options ?? '')
    if (options !== undefined) return undefined
    if (action === 'stop' && filter !== undefined) return stop(services, node!, filter)
    if (node !== undefined) return undefined
    if (action === 'list') return list(services)
    return action === 'options' ? done(OPTION_LINES, { options: OPTIONS }) : undefined
  },
}

function list({ runtime, bridges: known }: Services): Outcome {
  const all = known.list()
  const { name } = runtime.node
  return done(
    all.map(({ options }) => `bridge: ${name}--${options.filter}-->${options.node}`),
    all.map((record) => ({ from: name, ...described(record) })),
  )
}

function described({ options, queue, state }: BridgeRecord): object {
  const { filter, maxQueue, ...others } = options
  return { ...others, topic: filter, queue: maxQueue, state, queued: queue.length }
}

async function start({ runtime, bridges: known }: Services, name: string, filter: string, words: string) {
  const table: Record<string, unknown> = { node: fullName(runtime, name), topic: filter }
  for (const word of words === '' ? [] : words.split(',')) {
    const equals = word.indexOf('=')
    const option = equals < 0 ? word : word.slice(0, equals)
    if (!OPTIONS.includes(option) || equals < 0) {
      return failed(
        `Bad Option: ${option}`,
        'bad_option',
        `an option is ${OPTIONS.map((each) => `${each}=…`).join(', ')}`,
      )
    }
    const value = word.slice(equals + 1)
    table[option] = /^\d+$/.test(value) && (option === 'qos' || option === 'queue') ? Number(value) : value
  }
  const checked = check(BRIDGE_SETTINGS, table)
  if (!checked.ok) {
    const text = checked.problems.map(({ path, problem }) => `${path.join('.')} ${problem}`).join('; ')
    return failed('error: bad_option', 'bad_option', text)
  }
  const options: BridgeOptions = checked.value
  const started = await known.start(options)
  if (started.ok) return done(['bridge is started.'], { result: 'started' })
  const { reason, text, pid } = started
  return failed(`error: ${pid === undefined ? reason : `{${reason},${pid}}`}`, reason, text)
}

async function stop({ runtime, bridges: known }: Services, name: string, filter: string): Promise<Outcome> {
  const node = fullName(runtime, name)
  if (await known.stop({ node, filter })) return done(['bridge is stopped.'], { result: 'stopped' })
  return failed('error: not_found', 'not_found', `there is no bridge of ${filter} to ${node}; \`bridges list\` has all`)
}

/** emqttd's line, and a sentence. */
function failed(line: string, error: string, message: string): Outcome {
  return { ok: false, lines: [line, message], data: { error, message } }
}
