/** Our node and a real Erlang node: names, ping, messages, links, monitors, calls, and what ends a connection. */
import { describe, expect, it } from 'vitest'
import { call } from '../../src/actors/gen.ts'
import { genServer, noreply, ok, reply } from '../../src/actors/gen-server.ts'
import type { Pid } from '../../src/actors/pid.ts'
import { child, supervisor } from '../../src/actors/supervisor.ts'
import * as sys from '../../src/actors/sys.ts'
import { ping } from '../../src/dist/net-adm.ts'
import { connectNode, disconnectNode, monitorNodes, nodes } from '../../src/dist/net-kernel.ts'
import { atom, type Tuple, tuple } from '../../src/dist/term.ts'
import { hasErlang, startErl } from '../support/erl.ts'
import { eventually } from '../support/eventually.ts'
import { testEpmd, testNode } from '../support/node.ts'

type Calls = { read: () => number; add: (by: number) => number; fail: () => never }
type Casts = { reset: () => void }

const counter = genServer<{ n: number }, Calls, Casts, number>({
  label: 'counter',
  init: (n) => ok({ n }),
  calls: {
    read: ({ state }) => reply(state.n, state),
    add: ({ state }, by) => reply(state.n + by, { n: state.n + by }),
    fail: ({ self }) => self.stop({ shutdown: 'told_so' }),
  },
  casts: { reset: () => noreply({ n: 0 }) },
})

async function pair(options: { erlCookie?: string; hidden?: boolean; flags?: readonly string[] } = {}) {
  const epmdPort = await testEpmd()
  const ours = await testNode('ours@127.0.0.1', epmdPort, { hidden: options.hidden ?? false })
  const { erlCookie: cookie = 'secret', flags = [] } = options
  const erl = await startErl({ name: 'erl@127.0.0.1', epmdPort, cookie, flags })
  return { ours, erl, epmdPort, runtime: ours.runtime }
}

/** A process that notes what it gets. */
function notes(runtime: Awaited<ReturnType<typeof pair>>['runtime'], name?: string) {
  const messages: unknown[] = []
  const pid = runtime.spawn(
    { receive: (message) => void messages.push(message) },
    { trapExit: true, ...(name === undefined ? {} : { name }) },
  )
  return { pid, messages, process: runtime.process(pid)! }
}

describe.skipIf(!hasErlang)('with a real Erlang node', () => {
  it('each pings the other and sees it among its nodes', async () => {
    const { ours, erl, runtime } = await pair()
    expect(await ping(runtime, erl.name)).toBe('pong')
    expect(nodes(runtime)).toEqual([erl.name])
    expect(await erl.eval('nodes()')).toBe(`['${ours.name}']`)
    expect(await erl.eval(`net_adm:ping('${ours.name}')`)).toBe('pong')
    expect(await ping(runtime, 'nobody@127.0.0.1')).toBe('pang')
  })

  it('Erlang connects to ours, and finds it by net_adm:names', async () => {
    const { ours, erl, runtime } = await pair()
    expect(await erl.eval(`net_adm:ping('${ours.name}')`)).toBe('pong')
    expect(nodes(runtime)).toEqual([erl.name])
    expect(await erl.eval('[N || {N, _} <- element(2, net_adm:names())]')).toBe('["ours","erl"]')
  })

  it('messages arrive by name and by pid, both ways', async () => {
    const { ours, erl, runtime } = await pair()
    const { pid, messages } = notes(runtime, 'box')
    const answer = erl.eval(
      `register(echo, self()), receive {From, X} -> From ! {got, X, self()} end,
       {box, '${ours.name}'} ! {hello, [1, 2.5, <<"bytes">>, #{a => b}]}, receive stop -> ok after 3000 -> timeout end`,
    )
    await eventually(async () => expect(await erl.eval('whereis(echo) =/= undefined')).toBe('true'))
    runtime.sendFrom(pid, { name: 'echo', node: erl.name }, tuple(pid, 'text'))
    await eventually(() => expect(messages).toHaveLength(2))
    expect(messages[0]).toEqual(tuple(atom('got'), Buffer.from('text'), expect.anything()))
    expect(messages[1]).toEqual(tuple(atom('hello'), [1, 2.5, Buffer.from('bytes'), { a: atom('b') }]))
    const theirs = (messages[0] as Tuple).elements[2] as Pid
    runtime.send(theirs, atom('stop'))
    expect(await answer).toBe('ok')
  })

  it('gen_server:call, cast and their failures work from Erlang', async () => {
    const { ours, erl, runtime } = await pair()
    await counter.start(runtime, 5, { name: 'counter' })
    const server = `{counter, '${ours.name}'}`
    expect(await erl.eval(`gen_server:call(${server}, read)`)).toBe('5')
    expect(await erl.eval(`gen_server:call(${server}, {add, 2})`)).toBe('7')
    expect(await erl.eval(`gen_server:cast(${server}, reset), gen_server:call(${server}, read)`)).toBe('0')
    expect(await erl.eval(`gen_server:call({nobody, '${ours.name}'}, read)`)).toBe(
      `{'CAUGHT',exit,{noproc,{gen_server,call,[{nobody,'${ours.name}'},read]}}}`,
    )
    expect(await erl.eval(`gen_server:call(${server}, fail)`)).toContain(`{'CAUGHT',exit,{{shutdown,told_so},`)
  })

  it('sys and supervisor functions of Erlang work on our processes', async () => {
    const { ours, erl, runtime } = await pair()
    const tree = supervisor({ children: () => [child('counter', counter, [3, { name: 'counter' }])] })
    await tree.startLink(runtime, undefined, { name: 'top' })
    const at = (name: string) => `{${name}, '${ours.name}'}`
    expect(await erl.eval(`sys:get_state(${at('counter')})`)).toBe('#{n => 3}')
    expect(await erl.eval(`element(3, sys:get_status(${at('counter')}))`)).toBe('{module,gen_server}')
    expect(await erl.eval(`length(element(4, sys:get_status(${at('counter')})))`)).toBe('5')
    expect(await erl.eval(`sys:suspend(${at('counter')})`)).toBe('ok')
    expect(await erl.eval(`sys:resume(${at('counter')})`)).toBe('ok')
    expect(await erl.eval(`[{I, is_pid(P), T, M} || {I, P, T, M} <- supervisor:which_children(${at('top')})]`)).toBe(
      '[{counter,true,worker,[]}]',
    )
    expect(await erl.eval(`supervisor:count_children(${at('top')})`)).toBe(
      '[{specs,1},{active,1},{supervisors,0},{workers,1}]',
    )
    expect(await erl.eval(`supervisor:terminate_child(${at('top')}, counter)`)).toBe('ok')
    expect(await erl.eval(`supervisor:terminate_child(${at('top')}, other)`)).toBe('{error,not_found}')
    expect(await erl.eval(`element(1, supervisor:restart_child(${at('top')}, counter))`)).toBe('ok')
  })

  it('our calls reach a gen_server of Erlang, and say why they fail', async () => {
    const { erl, runtime } = await pair()
    expect(await call(runtime, { name: 'net_kernel', node: erl.name }, ['is_auth', atom('x')])).toBe(atom('yes'))
    await expect(call(runtime, { name: 'nobody', node: erl.name }, ['x'])).rejects.toMatchObject({ reason: 'noproc' })
    await expect(call(runtime, { name: 'x', node: 'none@127.0.0.1' }, ['x'])).rejects.toMatchObject({
      reason: 'nodedown',
    })
    const status = await sys.getStatus(runtime, { name: 'kernel_sup', node: erl.name })
    expect(status.behaviour).toBe('gen_server')
    expect(status.status).toBe('running')
  })

  it('links and monitors tell of deaths with their reasons, both ways', async () => {
    const { ours, erl, runtime } = await pair()
    const { messages, process } = notes(runtime, 'watcher')
    await erl.eval(
      `P = spawn(fun() -> register(victim, self()), receive {die, R} -> exit(R) end end), {watcher, '${ours.name}'} ! P`,
    )
    await eventually(() => expect(messages).toHaveLength(1))
    const victim = messages[0] as Pid
    process.link(victim)
    const ref = process.monitor(victim)
    const named = process.monitor({ name: 'victim', node: erl.name })
    runtime.send(victim, tuple(atom('die'), tuple(atom('shutdown'), atom('because'))))
    await eventually(() => expect(messages).toHaveLength(4))
    expect(messages).toContainEqual({ tag: 'EXIT', from: victim, reason: { shutdown: 'because' } })
    expect(messages).toContainEqual({
      tag: 'DOWN',
      ref,
      type: 'process',
      pid: victim,
      reason: { shutdown: 'because' },
    })
    expect(messages).toContainEqual({
      tag: 'DOWN',
      ref: named,
      type: 'process',
      pid: { name: 'victim', node: erl.name },
      reason: { shutdown: 'because' },
    })

    const watching = erl.eval(
      `process_flag(trap_exit, true), {mortal, '${ours.name}'} ! self(),
       receive P when is_pid(P) -> link(P), M = monitor(process, P), N = monitor(process, {mortal, '${ours.name}'}),
         P ! die,
         [receive {'EXIT', P, R} -> R; {'DOWN', M, process, P, R} -> {pid, R}; {'DOWN', N, process, O, R} -> {O, R} end || _ <- [1, 2, 3]]
       end`,
    )
    runtime.spawn(
      async (self) => {
        const theirs = await self.receive<Pid>()
        self.send(theirs, self.pid)
        await self.receive()
        self.stop({ because: [1, atom('two')] })
      },
      { name: 'mortal' },
    )
    const result = await watching
    expect(result).toContain('{because,[1,two]}')
    expect(result).toContain('{pid,{because,[1,two]}}')
    expect(result).toContain(`{{mortal,'${ours.name}'},{because,[1,two]}}`)
  })

  it('exit/2 crosses with its reasons; kill becomes killed', async () => {
    const { ours, erl, runtime } = await pair()
    const { messages, process } = notes(runtime, 'watcher')
    await erl.eval(`{watcher, '${ours.name}'} ! spawn(fun() -> receive never -> ok end end)`)
    await eventually(() => expect(messages).toHaveLength(1))
    process.monitor(messages[0] as Pid)
    process.exit(messages[0] as Pid, 'kill')
    await eventually(() => expect(messages[1]).toMatchObject({ tag: 'DOWN', reason: 'killed' }))
    const target = notes(runtime, 'target')
    const killed = erl.eval(
      `register(killer, self()), receive P -> M = monitor(process, P), exit(P, kill), receive {'DOWN', M, _, _, R} -> R end end`,
    )
    await eventually(async () => expect(await erl.eval('whereis(killer) =/= undefined')).toBe('true'))
    runtime.send({ name: 'killer', node: erl.name }, target.pid)
    expect(await killed).toBe('killed')
  })

  it('a wrong cookie is refused both ways, and told in the log', async () => {
    const { ours, erl, runtime } = await pair({ erlCookie: 'other' })
    expect(await connectNode(runtime, erl.name)).toBe(false)
    expect(await erl.eval(`net_adm:ping('${ours.name}')`)).toBe('pang')
    expect(nodes(runtime, 'known')).toEqual([ours.name])
    const line = ours.logs.find(({ msg }) => String(msg).includes('Invalid challenge reply'))
    expect(line?.msg).toContain(`from node '${erl.name}'`)
    expect(JSON.stringify(ours.logs)).not.toContain('secret')
  })

  it('a node that is killed ends links and monitors with noconnection, and is told as down', async () => {
    const { ours, erl, runtime } = await pair()
    const { messages, process } = notes(runtime, 'watcher')
    monitorNodes(process)
    await erl.eval(`{watcher, '${ours.name}'} ! spawn(fun() -> receive never -> ok end end)`)
    await eventually(() => expect(messages).toHaveLength(2))
    expect(messages[0]).toEqual({ tag: 'nodeup', node: erl.name, nodeType: 'visible' })
    const theirs = messages[1] as Pid
    process.link(theirs)
    const ref = process.monitor(theirs)
    erl.kill()
    await eventually(() => expect(messages).toHaveLength(5))
    expect(messages.slice(2)).toEqual([
      { tag: 'EXIT', from: theirs, reason: 'noconnection' },
      { tag: 'DOWN', ref, type: 'process', pid: theirs, reason: 'noconnection' },
      { tag: 'nodedown', node: erl.name, nodeType: 'visible', reason: 'connection_closed' },
    ])
    expect(nodes(runtime)).toEqual([])
  })

  it('a frozen node is given up after the tick time', async () => {
    const epmdPort = await testEpmd()
    const ours = await testNode('ours@127.0.0.1', epmdPort, { netTicktimeMs: 1000 })
    const erl = await startErl({ name: 'erl@127.0.0.1', epmdPort, flags: ['-kernel', 'net_ticktime', '4'] })
    const { messages, process } = notes(ours.runtime, 'watcher')
    monitorNodes(process)
    expect(await ping(ours.runtime, erl.name)).toBe('pong')
    erl.kill('SIGSTOP')
    await eventually(() => expect(messages).toHaveLength(2))
    expect(messages[1]).toMatchObject({ tag: 'nodedown', reason: 'net_tick_timeout' })
  })

  it('a disconnect ends what depends on it on the Erlang side, too', async () => {
    // Erlang's global, when it is late, greets a node that is down again already, and so connects to it.
    const { ours, erl, runtime } = await pair({ flags: ['-kernel', 'dist_auto_connect', 'once'] })
    notes(runtime, 'box')
    const waiting = erl.eval(
      `net_kernel:monitor_nodes(true), M = monitor(process, {box, '${ours.name}'}), register(waits, self()),
       D = receive {'DOWN', M, _, _, R} -> R after 5000 -> timeout end,
       receive {nodedown, N} -> {D, N} after 5000 -> timeout end`,
    )
    await eventually(async () => expect(await erl.eval('whereis(waits) =/= undefined')).toBe('true'))
    await eventually(() => expect(ours.distribution.peer(erl.name)?.counts.peerMonitors).toBe(1))
    expect(disconnectNode(runtime, erl.name)).toBe(true)
    expect(await waiting).toBe(`{noconnection,'${ours.name}'}`)
    expect(disconnectNode(runtime, erl.name)).toBe(false)
  })

  it('a hidden node is hidden', async () => {
    const { ours, erl, runtime } = await pair({ hidden: true })
    expect(await ping(runtime, erl.name)).toBe('pong')
    expect(await erl.eval('{nodes(), nodes(hidden)}')).toBe(`{[],['${ours.name}']}`)
    expect(nodes(runtime)).toEqual([])
    expect(nodes(runtime, 'hidden')).toEqual([erl.name])
  })

  it('of connections that both begin at once one survives, every time', async () => {
    const { ours, erl, runtime } = await pair()
    const { messages } = notes(runtime, 'box')
    for (let round = 0; round < 100; round++) {
      const [theirs, mine] = await Promise.all([
        erl.eval(`net_kernel:connect_node('${ours.name}')`),
        connectNode(runtime, erl.name),
      ])
      expect([theirs, mine]).toEqual(['true', true])
      await erl.eval(`{box, '${ours.name}'} ! ${round}`)
      await eventually(() => expect(messages.at(-1)).toBe(round))
      disconnectNode(runtime, erl.name)
      await eventually(async () => expect(await erl.eval('nodes()')).toBe('[]'))
    }
  })

  it('a large message crosses both ways', async () => {
    const { ours, erl, runtime } = await pair()
    const { messages, pid } = notes(runtime, 'box')
    const size = 20 * 1024 * 1024
    const echo = erl.eval(`register(echo, self()), receive {P, B} -> P ! {byte_size(B), B} end, ok`)
    await eventually(async () => expect(await erl.eval('whereis(echo) =/= undefined')).toBe('true'))
    runtime.send({ name: 'echo', node: erl.name }, tuple(pid, Buffer.alloc(size, 7)))
    expect(await echo).toBe('ok')
    await eventually(() => expect(messages).toHaveLength(1), { withinMs: 15_000 })
    const [bytes, body] = (messages[0] as Tuple).elements
    expect(bytes).toBe(size)
    expect((body as Buffer).equals(Buffer.alloc(size, 7))).toBe(true)
    expect(ours.logs.filter(({ level }) => Number(level) >= 50)).toEqual([])
  })

  it('spawning here what is not exported gives a process that ends with undef', async () => {
    const { ours, erl } = await pair()
    const result = await erl.eval(
      `{P, M} = spawn_monitor('${ours.name}', os, cmd, ["true"]), receive {'DOWN', M, process, P, R} -> R end`,
    )
    expect(result).toBe('{undef,[{os,cmd,["true"],[]}]}')
    expect(await erl.eval(`rpc:call('${ours.name}', os, cmd, ["true"])`)).toContain('badrpc')
  })
})
