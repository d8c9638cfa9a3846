/** The observer looks at a real Erlang node, by what OTP itself answers. */
import { describe, expect, it, onTestFinished } from 'vitest'
import { observerCommands } from '../../src/observer/commands/all.ts'
import { Pids } from '../../src/observer/print/pids.ts'
import { print } from '../../src/observer/print/print.ts'
import { Session } from '../../src/observer/session.ts'
import { Evaluator } from '../../src/observer/shell/evaluator.ts'
import { promptNames } from '../../src/observer/shell/names.ts'
import { type Erl, hasErlang, startErl } from '../support/erl.ts'
import { testEpmd, testNode } from '../support/node.ts'

async function world(flags: readonly string[] = []) {
  const epmdPort = await testEpmd()
  const erl = await startErl({ name: 'erl@127.0.0.1', epmdPort, flags })
  const own = await testNode('me@127.0.0.1', epmdPort, { hidden: true })
  const pids = new Pids(own.runtime.node)
  const session = new Session({
    runtime: own.runtime,
    node: erl.name,
    commands: observerCommands(),
    pids,
    confirm: async () => true,
  })
  onTestFinished(() => session.close())
  const options = () => ({
    columns: 120,
    pid: (pid: Parameters<Pids['write']>[0]) => pids.write(pid),
    charlists: session.isErlang,
  })
  const text = (value: unknown): string => print(value, options())
  const evaluator = new Evaluator({ names: promptNames(session, options), log: () => {}, print: text })
  const type = async (source: string): Promise<unknown> => {
    const outcome = await evaluator.evaluate(source, new AbortController().signal)
    if (outcome.tag === 'thrown') return (outcome.error as Error).message
    return outcome.tag === 'value' ? outcome.value : outcome.tag
  }
  return { erl, type, shown: async (source: string) => text(await type(source)) }
}

/** A table, a process with messages, and a process that works, which live as long as the node. */
const START = `Start = fun(F) -> Self = self(), P = spawn(fun() -> F(), Self ! up, receive stop -> ok end end), receive up -> P end end,
  Start(fun() -> ets:new(tt, [named_table]), [ets:insert(tt, {I, I * 2, <<"b">>}) || I <- lists:seq(1, 200)],
    ets:new(secret, [named_table, private]) end),
  Slow = Start(fun() -> register(slow, self()) end), [Slow ! M || M <- [hello, {a, "str", #{k => v}}]],
  spawn(fun() -> register(worker, self()), (fun Loop() -> lists:sum(lists:seq(1, 1000)), timer:sleep(1), Loop() end)() end), ok`

async function started(erl: Erl): Promise<void> {
  expect(await erl.eval(START)).toBe('ok')
}

describe.skipIf(!hasErlang)('an Erlang node', () => {
  it('lists its processes, sorted and cut', async () => {
    const { erl, type, shown } = await world()
    await started(erl)
    expect(await shown('top()')).toMatch(
      /^PID +NAME +MSGQ +REDS +MEMORY +CURRENT\n<1\.\d+\.0> +slow +2 [\s\S]*\n10 of \d+ processes, by msgq$/,
    )
    expect(await type('i({ limit: 1 }).map(({ name, msgq }) => ({ name, msgq }))')).toEqual([{ name: 'slow', msgq: 2 }])
    expect(await type("i({ match: 'code_server' }).map(({ name }) => name)")).toEqual(['code_server'])
    expect(await type("topWindow('reds', 1, 300).map(({ name }) => name)")).toEqual(['worker'])
    expect(await type('regs().map(({ name }) => name)')).toEqual(expect.arrayContaining(['init', 'rex', 'slow']))
  })

  it('tells of one process, its links and messages', async () => {
    const { erl, type, shown } = await world()
    await started(erl)
    expect(await type("i('slow')")).toMatchObject({ name: 'slow', msgq: 2, status: 'waiting', linkCount: 0 })
    expect(await shown("messages('slow')")).toBe('[ hello, {a, "str", { k: v }} ]\n2 messages')
    expect(await type("links('kernel_sup').then((list) => list.length > 5)")).toBe(true)
    expect(await type("processInfo('slow', 'message_queue_len')")).toBe(2)
    expect(await type("processInfo('slow').then((info) => info.registered_name)")).toBe('slow')
    expect(await type("exit('slow')")).toBe(true)
    expect(await type("whereis('slow')")).toBeUndefined()
    expect(await type("i('slow')")).toBe('there is no process slow on erl@127.0.0.1')
  })

  it('refuses to have a mailbox sent that is too long', async () => {
    const { erl, type } = await world()
    await started(erl)
    await erl.eval('[slow ! N || N <- lists:seq(1, 2000)], ok')
    expect(await type("messages('slow')")).toBe('2002 messages wait there, and erl@127.0.0.1 would send all of them')
  })

  it('shows its supervision trees and applications', async () => {
    const { type, shown } = await world()
    expect(await shown("supTree('kernel_sup', 1)")).toMatch(
      /^kernel_sup {2}<1\.\d+\.0> {2}supervisor\n├─ code_server {2}</,
    )
    expect(await shown("supTree('kernel_sup', 2)")).toMatch(/├─ net_sup .* supervisor\n│ {2}├─ erl_epmd/)
    expect(await shown('supTree()')).toMatch(/^kernel .* application\n└─ kernel_sup/)
    expect(await type('apps().map(({ name }) => name)')).toEqual(['stdlib', 'kernel'])
    expect(await type("supervisor.countChildren('kernel_sup').then((c) => c.supervisors)")).toBeGreaterThan(3)
    expect(await type("supervisor.whichChildren('kernel_sup', 2).map(({ id }) => id)")).toEqual([
      'logger_sup',
      'kernel_safe_sup',
    ])
    expect(await type("sys.getState('kernel_safe_sup').then((s) => s.length)")).toBeGreaterThan(5)
    // As in OTP's own answer: a supervisor is a gen_server, and its callback module is in the initial call.
    expect(await type("sys.getStatus('kernel_sup').then((s) => [s.module, s.behaviour])")).toEqual([
      'kernel',
      'gen_server',
    ])
    expect(await type("exit('kernel_safe_sup', 'normal')")).toBe(true)
  })

  it('shows its tables, and their rows page by page', async () => {
    const { erl, type, shown } = await world()
    await started(erl)
    expect(await type("tables().filter(({ name }) => name === 'tt')")).toMatchObject([
      { kind: 'ets', type: 'set', size: 200 },
    ])
    expect(await type("tableInfo('tt').then((t) => t.protection)")).toBe('protected')
    expect(await shown("tv('tt', { match: '155', limit: 5 })")).toMatch(
      /^\[ \{155, 310, <<"b">>\} \]\n1 of 200 rows, 200 looked at$/,
    )
    const rows = await type(`
      const seen = []
      let after
      do {
        const page = await tv('tt', { limit: 60, after })
        seen.push(...page.map((row) => row.elements[0]))
        after = page.next
      } while (after !== undefined)
      seen`)
    expect([...(rows as number[])].sort((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, at) => at + 1))
    expect(await type("tv('secret')")).toBe('erl@127.0.0.1 has no table secret that others may read')
    expect(await type("tv('nothing')")).toBe('erl@127.0.0.1 has no table nothing that others may read')
  })

  it('tells of itself, and takes messages, calls and remote calls', async () => {
    const { erl, type, shown } = await world()
    await started(erl)
    expect(await type('nodeInfo()')).toMatchObject({
      product: 'Erlang/OTP 25',
      runtime: expect.stringMatching(/^erts /),
      hiddenNodes: ['me@127.0.0.1'],
    })
    expect(await shown('memory()')).toMatch(/^KIND +BYTES +SIZE\ntotal /)
    expect(await type('load().then((load) => load.processes > 30)')).toBe(true)
    expect(await type('uptime()')).toMatch(/^00:00:\d\d$/)
    expect(await type("rpc('lists', 'seq', [1, 3])")).toEqual([1, 2, 3])
    expect(await type("rpc('nosuch', 'seq', [1, 3])")).toBe('erl@127.0.0.1 does not export nosuch:seq/2')
    expect(await type("call('kernel_sup', 'which_children').then((list) => list.length > 5)")).toBe(true)
    expect(await type("send('slow', tuple(atom('from'), self()))")).toBeDefined()
    expect(await type("processInfo('slow', 'message_queue_len')")).toBe(3)
    expect(await type('names().map(({ name }) => name).sort()')).toEqual(['erl', 'me'])
  })
})

describe.skipIf(!hasErlang)('an Erlang node without runtime_tools', () => {
  it('has its processes asked one by one', async () => {
    const { erl, type } = await world()
    await started(erl)
    // As if the application were not installed.
    await erl.eval(
      'code:purge(observer_backend), code:delete(observer_backend), code:purge(observer_backend), code:del_path(runtime_tools)',
    )
    expect(await erl.eval('code:which(observer_backend)')).toBe('non_existing')
    expect(await type('i({ limit: 1 }).map(({ name, msgq }) => ({ name, msgq }))')).toEqual([{ name: 'slow', msgq: 2 }])
    expect(await type('regs().map(({ name }) => name)')).toEqual(expect.arrayContaining(['init', 'rex', 'slow']))
  })
})
