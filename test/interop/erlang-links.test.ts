/** Links, monitors, aliases and exit signals between a process here and one on a real Erlang node, in either direction. */
import { describe, expect, it } from 'vitest'
import type { Pid } from '../../src/actors/pid.ts'
import type { Ref } from '../../src/actors/ref.ts'
import { isDownMessage } from '../../src/actors/signal.ts'
import { disconnectNode, monitorNodes } from '../../src/dist/net-kernel.ts'
import { atom, type Tuple, tuple } from '../../src/dist/term.ts'
import { startErl } from '../support/erl.ts'
import { eventually } from '../support/eventually.ts'
import { OurNode } from '../support/fault-cluster.ts'
import { testEpmd, testNode } from '../support/node.ts'
import { ERL, erlPair, notes, OURS, type Pair, pidOf } from '../support/pair.ts'

/** Evaluates in a process that is linked to and monitors `target`, by pid and by name, and answers what it is told, sorted. */
const watching = (target: string, name: string, count: number): string => `
  begin process_flag(trap_exit, true), P = ${target}, link(P), M = monitor(process, P), N = monitor(process, ${name}),
  lists:sort([receive {'EXIT', P, R} -> {exit, R}; {'DOWN', M, process, P, R} -> {pid, R}; {'DOWN', N, process, O, R} -> {name, O, R}
    after 8000 -> timeout end || _ <- lists:seq(1, ${count})]) end`

/** A process of ours that ends as a message tells it to. */
function mortal({ runtime }: Pair, name: string): Pid {
  return runtime.spawn(
    async (self) => {
      self.stop(await self.receive())
    },
    { name },
  )
}

async function isWatching({ ours, erl }: Pair, monitors: number): Promise<void> {
  await eventually(() => ours.distribution.peer(erl.name)?.counts.peerMonitors === monitors)
}

describe('a process of ours that ends', () => {
  it.each([
    ['normal', 'normal'],
    [{ shutdown: 'enough' }, '{shutdown,enough}'],
    [{ because: [1, atom('two')] }, '{because,[1,two]}'],
    [{ error: 'it broke', name: 'TypeError', stack: undefined }, `{{'TypeError',<<"it broke">>},undefined}`],
  ])('of %j is told to Erlang by link, by monitor and by name', async (reason, term) => {
    const pair = await erlPair()
    mortal(pair, 'mortal')
    const told = pair.erl.eval(watching(`rpc:call('${OURS}', erlang, whereis, [mortal])`, `{mortal, '${OURS}'}`, 3))
    await isWatching(pair, 2)
    pair.runtime.send('mortal', reason)
    expect(await told).toBe(`[{exit,${term}},{pid,${term}},{name,{mortal,'${OURS}'},${term}}]`)
    expect(pair.ours.distribution.peer(ERL)!.counts).toMatchObject({ links: 0, peerMonitors: 0 })
    expect(pair.runtime.footprint().foreignMonitors).toBe(0)
  })

  it('before it is watched is noproc', async () => {
    const pair = await erlPair()
    const pid = mortal(pair, 'mortal')
    await pair.erl.eval(`{mortal, '${OURS}'} ! normal`)
    await eventually(() => !pair.runtime.isAlive(pid))
    const { messages } = notes(pair.runtime, 'asked')
    const told = pair.erl.eval(`register(waits, self()), receive P -> ${watching('P', `{nobody, '${OURS}'}`, 3)} end`)
    await eventually(async () => (await pair.erl.eval('whereis(waits) =/= undefined')) === 'true')
    pair.runtime.send({ name: 'waits', node: ERL }, pid)
    expect(await told).toBe(`[{exit,noproc},{pid,noproc},{name,{nobody,'${OURS}'},noproc}]`)
    expect(messages).toEqual([])
  })

  it('with its node, killed, is noconnection, and the node is told as down', async () => {
    const epmdPort = await testEpmd()
    const erl = await startErl({ name: ERL, epmdPort })
    const node = await OurNode.start({ name: OURS, epmdPort, join: [] })
    const told = erl.eval(`
      net_kernel:monitor_nodes(true, [nodedown_reason]), true = net_kernel:connect_node('${OURS}'),
      receive {nodeup, '${OURS}', []} -> ok end, monitor_node('${OURS}', true),
      L = ${watching(`rpc:call('${OURS}', erlang, whereis, [echo])`, `{echo, '${OURS}'}`, 3)},
      [L, receive {nodedown, '${OURS}'} -> down end, receive {nodedown, '${OURS}', I} -> I end, nodes()]`)
    await eventually(async () => (await node.footprint()).foreignMonitors === 2)
    node.signal('SIGKILL')
    expect(await told).toBe(
      `[[{exit,noconnection},{pid,noconnection},{name,{echo,'${OURS}'},noconnection}],down,[{nodedown_reason,connection_closed}],[]]`,
    )
  })

  it('with its node, frozen, is noconnection after the tick time', async () => {
    const epmdPort = await testEpmd()
    const erl = await startErl({ name: ERL, epmdPort, flags: ['-kernel', 'net_ticktime', '4'] })
    const node = await OurNode.start({ name: OURS, epmdPort, join: [ERL] })
    const told = erl.eval(`net_kernel:monitor_nodes(true, [nodedown_reason]),
      L = ${watching(`rpc:call('${OURS}', erlang, whereis, [echo])`, `{echo, '${OURS}'}`, 3)},
      [L, receive {nodedown, '${OURS}', I} -> I end]`)
    await eventually(async () => (await node.footprint()).foreignMonitors === 2)
    node.signal('SIGSTOP')
    expect(await told).toBe(
      `[[{exit,noconnection},{pid,noconnection},{name,{echo,'${OURS}'},noconnection}],[{nodedown_reason,net_tick_timeout}]]`,
    )
    node.signal('SIGCONT')
    expect(await eventually(async () => (await node.ping(ERL)) === 'pong')).toBe(true)
    await eventually(async () => (await node.footprint()).foreignMonitors === 0)
  })
})

describe('a process of Erlang that ends', () => {
  const WATCHED = `length(element(2, process_info(whereis(victim), monitored_by)))`
  const victim = `spawn(fun() -> receive {die, R} -> exit(R) end end)`

  it.each([
    ['normal', 'normal'],
    ['{shutdown, enough}', { shutdown: 'enough' }],
    ['{{badmatch, 1}, [{m, f, 1, []}]}', tuple(tuple(atom('badmatch'), 1), [tuple(atom('m'), atom('f'), 1, [])])],
    ['<<"text">>', Buffer.from('text')],
  ])('of %s is told to ours by link, by monitor and by name', async (term, reason) => {
    const pair = await erlPair()
    const { messages, process } = notes(pair.runtime)
    const pid = await pidOf(pair, `begin P = ${victim}, register(victim, P), P end`)
    process.link(pid)
    const [byPid, byName] = [process.monitor(pid), process.monitor({ name: 'victim', node: ERL })]
    await eventually(async () => (await pair.erl.eval(WATCHED)) === '2')
    await pair.erl.eval(`victim ! {die, ${term}}`)
    await eventually(() => messages.length === 3)
    expect(messages).toContainEqual({ tag: 'EXIT', from: pid, reason })
    expect(messages).toContainEqual({ tag: 'DOWN', ref: byPid, type: 'process', pid, reason })
    expect(messages).toContainEqual({
      tag: 'DOWN',
      ref: byName,
      type: 'process',
      pid: { name: 'victim', node: ERL },
      reason,
    })
    expect(pair.ours.distribution.peer(ERL)!.counts).toMatchObject({ links: 0, ownMonitors: 0 })
  })

  it('before it is watched is noproc', async () => {
    const pair = await erlPair()
    const { messages, process } = notes(pair.runtime)
    const pid = await pidOf(
      pair,
      `begin P = ${victim}, M = monitor(process, P), exit(P, kill), receive {'DOWN', M, _, _, _} -> P end end`,
    )
    process.link(pid)
    const refs = [process.monitor(pid), process.monitor({ name: 'nobody', node: ERL })]
    await eventually(() => messages.length === 3)
    expect(messages).toContainEqual({ tag: 'EXIT', from: pid, reason: 'noproc' })
    expect(
      messages.filter(isDownMessage).map(({ ref, reason }) => [refs.findIndex((one) => one.equals(ref)), reason]),
    ).toEqual([
      [0, 'noproc'],
      [1, 'noproc'],
    ])
  })

  it('as far as ours can tell, since Erlang has disconnected, is noconnection', async () => {
    const pair = await erlPair()
    const { messages, process } = notes(pair.runtime)
    monitorNodes(process)
    const pid = await pidOf(pair, victim)
    process.link(pid)
    process.monitor(pid)
    await eventually(async () => expect(await pair.erl.eval(`erlang:disconnect_node('${OURS}')`)).toBe('true'))
    await eventually(() => messages.length === 4)
    expect(messages.slice(1)).toMatchObject([
      { tag: 'EXIT', reason: 'noconnection' },
      { tag: 'DOWN', reason: 'noconnection' },
      { tag: 'nodedown', reason: 'connection_closed' },
    ])
    // What ours held there is gone, too.
    expect(
      await pair.erl.eval(
        'length([P || P <- processes(), {links, [L | _]} <- [process_info(P, links)], node(L) =/= node()])',
      ),
    ).toBe('0')
  })
})

describe('an unlink', () => {
  const ROUNDS = 300

  it('of Erlang, at the moment in which our process ends, leaves no exit behind', async () => {
    const pair = await erlPair()
    const told = pair.erl.eval(`
      process_flag(trap_exit, true), register(racer, self()),
      Round = fun F(0) -> []; F(N) -> receive P when is_pid(P) -> link(P), {box, '${OURS}'} ! linked, case N rem 3 of 0 -> timer:sleep(1); _ -> ok end, unlink(P),
        After = receive {'EXIT', P, _} -> before after 0 -> none end, timer:sleep(2),
        Late = receive {'EXIT', P, R} -> [R] after 0 -> [] end, {box, '${OURS}'} ! next, [{After, Late} | F(N - 1)] end end,
      Seen = Round(${ROUNDS}), [X || {_, L} <- Seen, X <- L]`)
    await eventually(async () => (await pair.erl.eval('whereis(racer) =/= undefined')) === 'true')
    const { runtime } = pair
    let current: Pid
    const next = (): void => {
      current = runtime.spawn({ receive: () => {} })
      runtime.send({ name: 'racer', node: ERL }, current)
    }
    runtime.spawn(
      { receive: (message) => (message === atom('linked') ? runtime.exit(current, 'crash') : next()) },
      { name: 'box' },
    )
    next()
    expect(await told).toBe('[]')
    await eventually(() => pair.ours.distribution.peer(ERL)!.counts.links === 0)
  })

  it('of ours, at the moment in which the process of Erlang ends, leaves no exit behind', async () => {
    const pair = await erlPair()
    const { runtime } = pair
    const late: unknown[] = []
    await pair.erl.eval(
      `register(maker, spawn(fun F() -> receive From -> P = spawn(fun() -> receive go -> exit(crash) end end), From ! P, F() end end))`,
    )
    const done = new Promise<void>((resolve) => {
      runtime.spawn(async (self) => {
        self.processFlag('trap_exit', true)
        for (let round = 0; round < ROUNDS; round++) {
          self.send({ name: 'maker', node: ERL }, self.pid)
          const pid = await self.receive<Pid>()
          self.link(pid)
          self.send(pid, atom('go'))
          if (round % 3 === 0) await self.receiveWithin(1, (_message): _message is never => false)
          self.unlink(pid)
          // What has come before the unlink may be there; afterwards nothing comes.
          while ((await self.receiveWithin(0)) !== undefined);
          const message = await self.receiveWithin(2)
          if (message !== undefined) late.push(message)
        }
        resolve()
      })
    })
    await done
    expect(late).toEqual([])
    await eventually(() => pair.ours.distribution.peer(ERL)!.counts.links === 0)
  })

  it('and a link made again after it hold as the last of them says', async () => {
    const pair = await erlPair()
    const { messages, process } = notes(pair.runtime)
    const pid = await pidOf(
      pair,
      `spawn(fun F() -> receive {die, R} -> exit(R); {links, P} -> P ! length(element(2, process_info(self(), links))), F() end end)`,
    )
    for (let i = 0; i < 50; i++) {
      process.link(pid)
      process.unlink(pid)
    }
    process.link(pid)
    process.send(pid, tuple(atom('links'), process.pid))
    await eventually(() => messages.length === 1)
    expect(messages.shift()).toBe(1)
    process.send(pid, tuple(atom('die'), atom('crash')))
    await eventually(() => messages.length === 1)
    expect(messages).toEqual([{ tag: 'EXIT', from: pid, reason: 'crash' }])
    await eventually(() => pair.ours.distribution.peer(ERL)!.counts.links === 0)
  })
})

describe('a monitor that is taken back', () => {
  it('tells nothing any more, either way', async () => {
    const pair = await erlPair()
    const { messages, process } = notes(pair.runtime)
    const pid = await pidOf(pair, 'spawn(fun() -> receive go -> ok end end)')
    process.demonitor(process.monitor(pid), { flush: true })
    process.send(pid, atom('go'))
    mortal(pair, 'mortal')
    const seen = await pair.erl.eval(`
      P = rpc:call('${OURS}', erlang, whereis, [mortal]), M = monitor(process, P), K = monitor(process, P), N = monitor(process, {mortal, '${OURS}'}),
      demonitor(M, [flush]), demonitor(N, [flush]), P ! bye,
      receive {'DOWN', K, process, P, bye} -> ok end, receive X -> X after 50 -> nothing end`)
    expect(seen).toBe('nothing')
    expect(messages).toEqual([])
    expect(pair.runtime.footprint().foreignMonitors).toBe(0)
    expect(pair.ours.distribution.peer(ERL)!.counts).toMatchObject({ ownMonitors: 0, peerMonitors: 0 })
  })
})

describe('an alias', () => {
  it('of ours takes what Erlang sends until it is taken back, and one of Erlang what we send', async () => {
    const pair = await erlPair()
    const { messages, process, pid } = notes(pair.runtime)
    const alias = process.alias()
    const theirs = pair.erl.eval(`register(holder, self()), A = alias(), receive {P, Ours} -> P ! A, Ours ! one,
      L = receive L1 -> L1 after 2000 -> none end, unalias(A), P ! {gone, Ours}, receive X -> [L, X] after 200 -> [L] end end`)
    await eventually(async () => (await pair.erl.eval('whereis(holder) =/= undefined')) === 'true')
    process.send({ name: 'holder', node: ERL }, tuple(pid, alias))
    await eventually(() => messages.length === 2)
    const there = messages.find((message) => message !== atom('one')) as Ref
    expect(messages).toContain(atom('one'))
    process.send(there, atom('first'))
    await eventually(() => messages.length === 3)
    process.send(there, atom('late'))
    expect(await theirs).toBe('[first]')
    process.unalias(alias)
    const ours = (messages[2] as Tuple).elements[1] as Ref
    expect(ours.equals(alias)).toBe(true)
    await pair.erl.eval(`register(sender, spawn(fun() -> receive {Alias, Pid} -> Alias ! late, Pid ! last end end))`)
    process.send({ name: 'sender', node: ERL }, tuple(alias, pid))
    await eventually(() => messages.length === 4)
    expect(messages[3]).toBe(atom('last'))
  })
})

describe('a pid of a former incarnation', () => {
  it('of ours means nobody to Erlang, though a process of the same number lives', async () => {
    const epmdPort = await testEpmd()
    const erl = await startErl({ name: ERL, epmdPort })
    const first = await OurNode.start({ name: OURS, epmdPort, join: [] })
    const [old] = await first.spawn(1)
    expect(
      await erl.eval(`P = binary_to_term(base64:decode("${old}")), is_process_alive(self()), ${aliveAt('P')}`),
    ).toBe('true')
    first.signal('SIGKILL')
    await eventually(async () => (await erl.eval('nodes()')) === '[]')
    const second = await OurNode.start({ name: OURS, epmdPort, join: [] })
    const [fresh] = await second.spawn(1)
    const decoded = (text: string) => `binary_to_term(base64:decode("${text}"))`
    expect(
      await erl.eval(
        `{pid_to_list(${decoded(old!)}) =:= pid_to_list(${decoded(fresh!)}), ${decoded(old!)} =:= ${decoded(fresh!)}}`,
      ),
    ).toBe('{true,false}')
    expect(
      await erl.eval(`process_flag(trap_exit, true), P = ${decoded(old!)}, P ! {finish, stale}, exit(P, kill), link(P), M = monitor(process, P),
        [receive {'DOWN', M, _, _, R} -> R end, receive {'EXIT', P, X} -> X end]`),
    ).toBe('[noproc,noproc]')
    expect(await erl.eval(`P = ${decoded(fresh!)}, ${aliveAt('P')}`)).toBe('true')
  })

  it('of Erlang means nobody to ours', async () => {
    const epmdPort = await testEpmd()
    const ours = await testNode(OURS, epmdPort)
    const first = await startErl({ name: ERL, epmdPort })
    const old = await pidOf({ ours, erl: first }, 'spawn(timer, sleep, [infinity])')
    first.kill()
    await eventually(() => ours.distribution.nodes().length === 0)
    await eventually(() => startErl({ name: ERL, epmdPort }))
    const { messages, process } = notes(ours.runtime)
    process.send(old, 'stale')
    process.link(old)
    const ref = process.monitor(old)
    await eventually(() => messages.length === 2)
    expect(messages).toContainEqual({ tag: 'EXIT', from: old, reason: 'noproc' })
    expect(messages).toContainEqual({ tag: 'DOWN', ref, type: 'process', pid: old, reason: 'noproc' })
  })
})

describe('messages', () => {
  it('between two processes keep their order, however many and however long, both ways', async () => {
    const pair = await erlPair()
    const { runtime } = pair
    const COUNT = 20_000
    const echo = pair.erl.eval(
      `register(echo, self()), Loop = fun F(0) -> ok; F(N) -> receive {From, I, B} -> From ! {I, B}, F(N - 1) end end, Loop(${COUNT})`,
    )
    await eventually(async () => (await pair.erl.eval('whereis(echo) =/= undefined')) === 'true')
    const wrong: number[] = []
    let seen = 0
    const sender = runtime.spawn({
      receive: (message) => {
        const [i, body] = (message as Tuple).elements as [number, Buffer]
        if (i !== seen || body.length !== lengthOf(i)) wrong.push(i)
        seen++
      },
    })
    for (let i = 0; i < COUNT; i++) {
      runtime.sendFrom(sender, { name: 'echo', node: ERL }, tuple(sender, i, Buffer.alloc(lengthOf(i), i)))
    }
    expect(await echo).toBe('ok')
    await eventually(() => seen === COUNT)
    expect(wrong).toEqual([])
  })
})

/** A long one now and then, which goes out by itself. */
function lengthOf(i: number): number {
  return i % 500 === 0 ? 200_000 : i % 50
}

describe('a group leader', () => {
  it('is what Erlang has set, or the one of who has spawned the process', async () => {
    const pair = await erlPair()
    mortal(pair, 'mortal')
    const leaderOf = (pid: string) => `element(2, rpc:call('${OURS}', erlang, process_info, [${pid}, group_leader]))`
    expect(
      await pair.erl.eval(
        `P = rpc:call('${OURS}', erlang, whereis, [mortal]), Q = spawn('${OURS}', timer, sleep, [infinity]), A = ${leaderOf('P')}, group_leader(self(), P),
         {node(A), ${leaderOf('P')} =:= self(), ${leaderOf('Q')} =:= group_leader(), exit(Q, kill)}`,
      ),
    ).toBe(`{'${OURS}',true,true,true}`)
  })
})

function aliveAt(variable: string): string {
  return `rpc:call('${OURS}', erlang, is_process_alive, [${variable}])`
}

describe('a connection that ours ends', () => {
  it('is noconnection to both, and is made again by the next message', async () => {
    const pair = await erlPair()
    mortal(pair, 'mortal')
    const told = pair.erl.eval(watching(`rpc:call('${OURS}', erlang, whereis, [mortal])`, `{mortal, '${OURS}'}`, 3))
    await isWatching(pair, 2)
    disconnectNode(pair.runtime, ERL)
    expect(await told).toBe(`[{exit,noconnection},{pid,noconnection},{name,{mortal,'${OURS}'},noconnection}]`)
    // A link holds both ways.
    await eventually(() => pair.runtime.whereis('mortal') === undefined)
    const { messages } = notes(pair.runtime, 'box')
    await pair.erl.eval(`{box, '${OURS}'} ! again`)
    await eventually(() => messages.length === 1)
  })
})
