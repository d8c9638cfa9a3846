/** Commands of an observer about nodes of ours, over TCP: what they give, what they ask before, and how they fail. */
import { describe, expect, it, onTestFinished } from 'vitest'
import { start } from '../../src/actors/application.ts'
import { genServer, noreply, ok, reply } from '../../src/actors/gen-server.ts'
import { child, supervisor } from '../../src/actors/supervisor.ts'
import { makeObservable } from '../../src/observer/backend/application.ts'
import { observerCommands } from '../../src/observer/commands/all.ts'
import { Pids } from '../../src/observer/print/pids.ts'
import { print } from '../../src/observer/print/print.ts'
import { Session } from '../../src/observer/session.ts'
import { Evaluator } from '../../src/observer/shell/evaluator.ts'
import { promptNames } from '../../src/observer/shell/names.ts'
import { eventually } from '../support/eventually.ts'
import { type TestNode, testEpmd, testNode } from '../support/node.ts'

type Calls = { read: () => number; add: (by: number) => number; never: () => number }
type Casts = { reset: () => void }
const counter = genServer<{ n: number }, Calls, Casts>({
  label: 'counter',
  init: () => ok({ n: 1 }),
  calls: {
    read: ({ state }) => reply(state.n, state),
    add: ({ state }, by) => reply(state.n + by, { n: state.n + by }),
    never: ({ state }) => noreply(state),
  },
  casts: { reset: () => noreply({ n: 0 }) },
})
const tree = supervisor({
  label: 'shop_sup',
  strategy: 'one_for_one',
  children: () => [child('counter', counter, [undefined, { name: 'counter' }])],
})

async function observed(name: string, epmdPort: number): Promise<TestNode> {
  const node = await testNode(name, epmdPort)
  await makeObservable(node, { version: '0.1.0', simulated: true })
  await start(node.runtime, {
    name: 'shop',
    version: '1.2',
    description: 'of a test',
    start: (self) => tree.startLink(self, undefined, { name: 'shop_sup' }),
  })
  return node
}

async function world({ backend = true, confirm = true } = {}) {
  const epmdPort = await testEpmd()
  const n1 = backend ? await observed('n1@127.0.0.1', epmdPort) : await testNode('n1@127.0.0.1', epmdPort)
  const own = await testNode('me@127.0.0.1', epmdPort, { hidden: true })
  const questions: string[] = []
  const pids = new Pids(own.runtime.node)
  const session = new Session({
    runtime: own.runtime,
    node: n1.name,
    commands: observerCommands(),
    pids,
    deadlineMs: 1000,
    confirm: async (question) => {
      questions.push(question)
      return confirm
    },
  })
  onTestFinished(() => session.close())
  const options = { columns: 100, pid: (pid: Parameters<Pids['write']>[0]) => pids.write(pid) }
  const text = (value: unknown): string => print(value, options)
  const evaluator = new Evaluator({ names: promptNames(session, () => options), log: () => {}, print: text })
  /** Types a line; the value, or the message of what went wrong. */
  const type = async (source: string): Promise<unknown> => {
    const outcome = await evaluator.evaluate(source, new AbortController().signal)
    if (outcome.tag === 'thrown') return (outcome.error as Error).message
    return outcome.tag === 'value' ? outcome.value : outcome.tag
  }
  return { epmdPort, n1, own, session, questions, type, shown: async (source: string) => text(await type(source)) }
}

describe('an observer', () => {
  it('is a hidden node: it is among no nodes but the hidden ones', async () => {
    const { type } = await world()
    expect(await type('nodes()')).toEqual([])
    expect(await type("nodes('hidden')")).toEqual(['me@127.0.0.1'])
    expect(await type('node()')).toBe('n1@127.0.0.1')
  })

  it('asks the node about its cluster, and has it connect', async () => {
    const { type, epmdPort } = await world()
    await observed('n2@127.0.0.1', epmdPort)
    expect(await type("ping('n9')")).toBe('pang')
    expect(await type("connect('n2')")).toBe(true)
    expect(await type('nodes()')).toEqual(['n2@127.0.0.1'])
    expect(await type("at('n2').nodes()")).toEqual(['n1@127.0.0.1'])
    expect(await type("at('n2').whereis('counter')")).toMatchObject({ owner: { name: 'n2@127.0.0.1' } })
    expect(await type('names().map(({ name }) => name).sort()')).toEqual(['me', 'n1', 'n2'])
    expect(await type('nodeInfo()')).toMatchObject({ product: 'agner 0.1.0', nodes: ['n2@127.0.0.1'] })
    expect(await type("disconnect('n2')")).toBe(true)
    expect(await type('nodes()')).toEqual([])
  })

  it('shows processes, trees, applications and tables', async () => {
    const { type, shown, n1 } = await world()
    n1.runtime.ets
      .create<{ id: number; word: string }>(n1.runtime.init, 'words', { key: 'id', named: true })
      .insert({ id: 1, word: 'x' })
    expect(await shown("i({ match: 'counter' })")).toMatch(
      /^PID +NAME +MSGQ.*\n<1\.\d+\.0> +counter +0.*\n1 processes, by msgq$/,
    )
    expect(await shown("supTree('shop_sup')")).toMatch(/^shop_sup .* supervisor\n└─ counter {2}<1/)
    expect(await shown('apps()')).toMatch(/^NAME.*\nshop +1\.2 +of a test\nobserver/)
    expect(await shown("tv('words')")).toBe('ID  WORD\n 1  x\n1 of 1 rows')
    expect(await type("tableInfo('words').then((t) => t.size)")).toBe(1)
    expect(await type("regs().map(({ name }) => name).filter((name) => name.startsWith('shop'))")).toEqual(['shop_sup'])
    expect(await type("top('name', 1).map(({ name }) => name)")).toEqual(['agner_mesh'])
    expect(await type("topWindow('reds', 2, 20).map((row) => row.change >= 0)")).toEqual([true, true])
    expect(await shown("links('counter')")).toMatch(/^KIND +PROCESS\nlink +<1\.\d+\.0>\n1 links and monitors$/)
    expect(await type("messages('counter')")).toEqual([])
    expect(await type("i('counter').then((p) => p.behaviour)")).toBe('gen_server')
    expect(await type("processInfo('counter', ['status', 'trap_exit'])")).toEqual({
      status: 'waiting',
      trap_exit: false,
    })
    expect(await type("processInfo('counter', 'registered_name')")).toBe('counter')
    expect(await type("processInfo('counter').then((info) => info.current_function)")).toBe('gen_server:loop/7')
  })

  it('looks into servers and talks to them', async () => {
    const { type } = await world()
    expect(await type("sys.getState('counter')")).toEqual({ n: 1 })
    expect(await type("sys.getStatus('counter').then((s) => s.module)")).toBe('counter')
    expect(await type("call('counter', 'read')")).toBe(1)
    expect(await type("call('counter', ['add', 2])")).toBe(3)
    expect(await type("cast('counter', 'reset')")).toBe('ok')
    expect(await type("call(await whereis('counter'), 'read')")).toBe(0)
    expect(await type("call('counter', 'never', 50)")).toBe('counter did not answer within 0.05 s')
    expect(await type("sys.statistics('counter', true)")).toBe('ok')
    expect(await type("send('counter', { any: 'thing' })")).toEqual({ any: 'thing' })
    expect(await type("sys.statistics('counter').then((s) => s.messagesIn)")).toBe(1)
    expect(await type("supervisor.countChildren('shop_sup')")).toEqual({
      specs: 1,
      active: 1,
      supervisors: 0,
      workers: 1,
    })
    expect(await type("supervisor.whichChildren('shop_sup').map(({ id }) => id)")).toEqual(['counter'])
    expect(await type("rpc('erlang', 'whereis', [atom('nobody')])")).toBeUndefined()
  })

  it('gets messages at its own process', async () => {
    const { type } = await world()
    await type("rex = await whereis('counter')")
    await type('monitor(rex)')
    await type('link(rex)')
    expect(await type("exit(rex, 'kill')")).toBe(true)
    const all: unknown[] = []
    await eventually(async () => {
      all.push(...((await type('flush()')) as unknown[]))
      return all.length === 2
    })
    expect(all).toMatchObject([{ tag: expect.stringMatching(/DOWN|EXIT/), reason: 'killed' }, { reason: 'killed' }])
  })

  it('asks before it changes anything, and says what falls', async () => {
    const { type, questions, n1 } = await world({ confirm: false })
    const before = n1.runtime.whereis('counter')
    expect(await type("exit('counter')")).toBe('not done')
    expect(await type("exit('shop_sup', 'shutdown')")).toBe('not done')
    expect(await type("exit('net_kernel')")).toBe('not done')
    expect(await type("sys.suspend('counter')")).toBe('not done')
    expect(await type("disconnect('n2')")).toBe('not done')
    expect(questions).toEqual([
      expect.stringMatching(/^exit ends <1\.\d+\.0> counter on n1@127\.0\.0\.1 with 'kill'$/),
      expect.stringMatching(
        /ends <1\.\d+\.0> shop_sup .* with 'shutdown'; it is a supervisor, and its 1 children end with it$/,
      ),
      expect.stringMatching(/net_kernel .*; all connections of the node end with it$/),
      'counter handles no messages until it is resumed',
      'disconnect cuts n1@127.0.0.1 off from n2@127.0.0.1',
    ])
    expect(n1.runtime.whereis('counter')).toBe(before)
    expect(await type("sys.resume('counter')")).toBe('ok')
    expect(questions).toHaveLength(5)
  })

  it('leaves nothing suspended behind', async () => {
    const { type, session, n1 } = await world()
    expect(await type("sys.suspend('counter')")).toBe('ok')
    expect(await type("call('counter', 'read', 100)")).toBe('counter did not answer within 0.1 s')
    await session.close()
    expect(await counter.call(n1.runtime, 'counter', 'read')).toBe(1)
  })

  it('says in one line what went wrong', async () => {
    const { type } = await world()
    expect(await type("rpc('erlang', 'halt')")).toBe('n1@127.0.0.1 does not export erlang:halt/0')
    expect(await type("i('nobody')")).toBe('there is no process nobody on n1@127.0.0.1')
    expect(await type("call('nobody', 'x')")).toBe('there is no process nobody on n1@127.0.0.1')
    expect(await type("tv('nothing')")).toBe('n1@127.0.0.1 has no table nothing that others may read')
    expect(await type('i({ limt: 1 })')).toBe('limt is no option: sort, limit, match are')
    expect(await type("top('x')")).toBe("sort is one of msgq, reds, memory, links, name, pid, not 'x'")
    expect(await type('i({ limit: 0 })')).toBe('limit is a number from 1 to 500, not 0')
    expect(await type("at('n9').nodes()")).toBe('n9@127.0.0.1 cannot be reached')
    expect(await type('send(5, 1)')).toBe('5 is no process: give a pid, a registered name, or { name, node }')
    expect(await type("rpc('erlang', 'whereis', [5])")).toBe('erlang:whereis/1 on n1@127.0.0.1: badarg')
  })

  it('goes on when the node comes back, as another incarnation', async () => {
    const { type, n1, epmdPort } = await world()
    await type("before = await whereis('counter')")
    await n1.stop()
    expect(await type('uptime()')).toBe('n1@127.0.0.1 cannot be reached')
    await observed('n1@127.0.0.1', epmdPort)
    expect(await type("call('counter', 'read')")).toBe(1)
    expect(await type('sys.getState(before)')).toMatch(/noproc|no process/)
  })

  it('makes do with OTP’s functions on a node without a backend', async () => {
    const { type, shown } = await world({ backend: false })
    expect(await shown("i({ match: 'rex' })")).toMatch(/rex/)
    expect(await type('regs().map(({ name }) => name)')).toContain('net_kernel')
    expect(await type('nodeInfo().then((info) => info.product)')).toBe('agner, without a backend')
  })

  it('has help for every command', async () => {
    const { shown, session } = await world()
    const help = await shown('help()')
    for (const { name } of session.commands.commands) expect(help).toContain(`  ${name}(`)
    expect(await shown('help(whereis)')).toBe('whereis(name)  the pid of a registered process, or undefined')
    expect(await shown("help('sys.getState')")).toBe('sys.getState(process)  the state of a server')
    for (const line of help.split('\n')) expect(line.length).toBeLessThanOrEqual(120)
  })
})
