/** Nodes of ours among themselves, over a simulated network: connecting, losing connections, mesh, ticks, back-pressure. */
import { describe, expect, it, vi } from 'vitest'
import { Exit } from '../../src/actors/errors.ts'
import { call, type ServerRef } from '../../src/actors/gen.ts'
import { genEvent } from '../../src/actors/gen-event.ts'
import { genServer, ok, reply } from '../../src/actors/gen-server.ts'
import { genStatem, started } from '../../src/actors/gen-statem.ts'
import type { Process } from '../../src/actors/process.ts'
import type { Runtime } from '../../src/actors/runtime.ts'
import type { RemoteName } from '../../src/actors/signal.ts'
import { child, countChildren, startChild, supervisor, whichChildren } from '../../src/actors/supervisor.ts'
import * as sys from '../../src/actors/sys.ts'
import { ping } from '../../src/dist/net-adm.ts'
import { monitorNodes, nodes } from '../../src/dist/net-kernel.ts'
import { atom, tuple } from '../../src/dist/term.ts'
import { Cluster, nameOf } from './cluster.ts'

type Calls = { echo: (value: unknown) => unknown }

const echo = genServer<{ seen: number }, Calls>({
  label: 'echo',
  init: () => ok({ seen: 0 }),
  calls: { echo: ({ state }, value) => reply(value, { seen: state.seen + 1 }) },
})

function notes(runtime: Runtime, name?: string): { process: Process; messages: unknown[] } {
  const messages: unknown[] = []
  const pid = runtime.spawn(
    { receive: (message) => void messages.push(message) },
    { trapExit: true, ...(name === undefined ? {} : { name }) },
  )
  return { process: runtime.process(pid)!, messages }
}

describe('nodes of ours', () => {
  it('connect at the first message, which arrives', async () => {
    const cluster = new Cluster({ nodes: ['a', 'b'] })
    const { messages } = notes(cluster.runtime('b'), 'box')
    cluster.runtime('a').send({ name: 'box', node: nameOf('b') }, { tag: 'hello', list: [1, 'two', { three: null }] })
    await cluster.sim.advance('1s')
    expect(messages).toEqual([{ tag: 'hello', list: [1, 'two', { three: null }] }])
    expect(nodes(cluster.runtime('a'))).toEqual([nameOf('b')])
    expect(nodes(cluster.runtime('b'))).toEqual([nameOf('a')])
  })

  it('do not connect for a message that is sent with noconnect, which arrives once they are about to', async () => {
    const cluster = new Cluster({ nodes: ['a', 'b'] })
    const { messages } = notes(cluster.runtime('b'), 'box')
    const { process } = notes(cluster.runtime('a'))
    const tell = (text: string) => process.send({ name: 'box', node: nameOf('b') }, text, { noconnect: true })
    tell('before')
    await cluster.sim.advance('10s')
    expect(cluster.distribution('a').nodes('known')).toEqual([nameOf('a')])
    const connecting = cluster.distribution('a').connect(nameOf('b'))
    tell('meanwhile')
    await cluster.run(connecting)
    tell('then')
    await cluster.sim.advance('1s')
    expect(messages).toEqual(['meanwhile', 'then'])
  })

  it('answer calls with values exactly as they were given, and ping', async () => {
    const cluster = new Cluster({ nodes: ['a', 'b'] })
    await cluster.run(echo.start(cluster.runtime('b'), undefined, { name: 'echo' }))
    const to = { name: 'echo', node: nameOf('b') }
    const value = {
      text: 'ok',
      none: undefined,
      nothing: null,
      list: ['a', ['b']],
      big: 2n ** 70n,
      bytes: Buffer.of(1),
    }
    expect(await cluster.run(echo.call(cluster.runtime('a'), to, 'echo', value))).toEqual(value)
    expect(await cluster.run(ping(cluster.runtime('a'), nameOf('b')))).toBe('pong')
    expect(await cluster.run(ping(cluster.runtime('a'), 'none@none.sim'))).toBe('pang')
    await expect(cluster.run(call(cluster.runtime('a'), { name: 'none', node: nameOf('b') }, ['x']))).rejects.toThrow(
      'noproc',
    )
  })

  it('see each other by sys and supervisor as they see themselves', async () => {
    const cluster = new Cluster({ nodes: ['a', 'b'] })
    const [a, b] = [cluster.runtime('a'), cluster.runtime('b')]
    const top = supervisor({ children: () => [child('echo', echo, [undefined, { name: 'echo' }])] })
    const pid = await cluster.run(top.startLink(b, undefined, { name: 'top' }))
    const server = { name: 'echo', node: nameOf('b') }
    for (const [asked, local] of [
      [sys.getState(a, server), sys.getState(b, 'echo')],
      [sys.getStatus(a, server), sys.getStatus(b, 'echo')],
      [sys.getStatus(a, pid), sys.getStatus(b, pid)],
      [sys.statistics(a, server, 'get'), sys.statistics(b, 'echo', 'get')],
      [whichChildren(a, pid), whichChildren(b, pid)],
      [countChildren(a, pid), countChildren(b, pid)],
    ] as const) {
      expect(await cluster.run<unknown>(asked)).toEqual(await cluster.run<unknown>(local))
    }
    await expect(cluster.run(sys.replaceState(a, server, (state) => state))).rejects.toThrow('badarg')
    expect(await cluster.run(startChild(a, { name: 'top', node: nameOf('b') }, []))).toMatchObject({ ok: false })
  })

  it('call event managers and state machines of each other as their own', async () => {
    const cluster = new Cluster({ nodes: ['a', 'b'] })
    const [a, b] = [cluster.runtime('a'), cluster.runtime('b')]
    const events: unknown[] = []
    const bus = genEvent<unknown>()
    const handler = {
      name: 'handler',
      init: () => ({ seen: 0 }),
      handleEvent: (event: unknown) => void events.push(event),
      handleCall: (request: unknown) => {
        if (request === 'fail') throw new Exit({ told: 'so' })
        return { reply: [request] }
      },
    }
    await cluster.run(bus.start(b, undefined, { name: 'bus' }))
    for (const id of [undefined, '1', 'one', 'No 1', '01']) {
      await cluster.run(bus.addHandler(b, 'bus', handler, undefined, id))
    }
    const at = { name: 'bus', node: nameOf('b') }
    bus.notify(a, at, { n: 1 })
    await cluster.run(bus.syncNotify(a, at, 'two'))
    expect(events).toEqual([...Array(5).fill({ n: 1 }), ...Array(5).fill('two')])
    for (const ask of [
      (from: Runtime, to: ServerRef) => bus.whichHandlers(from, to),
      (from: Runtime, to: ServerRef) => bus.call(from, to, 'handler/No 1', { any: 'thing' }),
      (from: Runtime, to: ServerRef) => bus.call(from, to, 'nobody', 1),
      (from: Runtime, to: ServerRef) => bus.deleteHandler(from, to, 'nobody', 1),
      (from: Runtime, to: ServerRef) => sys.getStatus(from, to),
    ]) {
      expect(await cluster.run<unknown>(ask(a, at))).toEqual(await cluster.run<unknown>(ask(b, 'bus')))
    }
    expect(await cluster.run(bus.call(a, at, 'handler', 'fail'))).toEqual({ ok: false, reason: { told: 'so' } })
    expect(await cluster.run(bus.deleteHandler(a, at, 'handler/01', 1))).toEqual({ ok: true, value: undefined })
    expect(await cluster.run(bus.whichHandlers(a, at))).toEqual(['handler/No 1', 'handler/one', 'handler/1'])
    expect(await cluster.run(bus.addHandler(a, at, handler, undefined).catch((error) => error))).toMatchObject({
      reason: { badarg: expect.stringContaining('function') },
    })
    const machine = genStatem<'idle', { n: number }>({
      init: () => started('idle', { n: 1 }),
      states: { idle: () => {} },
    })
    const pid = await cluster.run(machine.start(b, undefined))
    expect(await cluster.run(sys.getStatus(a, pid))).toEqual(await cluster.run(sys.getStatus(b, pid)))
    // As from Erlang: nothing in the term tells a machine's state from any other.
    expect(await cluster.run(sys.getState(a, pid))).toEqual(tuple(atom('idle'), { n: 1 }))
  })

  it('a reply that is no plain data is sent as well as it can be, and the server lives', async () => {
    const cluster = new Cluster({ nodes: ['a', 'b'] })
    const pid = await cluster.run(echo.start(cluster.runtime('b'), undefined))
    const state = { fn: () => 1, when: new Date(0), set: new Set([1]) }
    await cluster.run(sys.replaceState(cluster.runtime('b'), pid, () => state))
    expect(await cluster.run(sys.getState(cluster.runtime('a'), pid))).toEqual({
      fn: '[function fn]',
      when: '1970-01-01T00:00:00.000Z',
      set: [1],
    })
  })

  it('those that connect at the same time keep one connection, whatever the timing', async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const cluster = new Cluster({ seed, nodes: ['a', 'b'] })
      const [a, b] = [cluster.distribution('a'), cluster.distribution('b')]
      const ups: string[] = []
      a.subscribe(({ tag }) => ups.push(tag))
      // That the attempt which has lost is given up is no news, on either side.
      const warn = [a, b].map(({ runtime }) => vi.spyOn(runtime.logger, 'warn'))
      const both = Promise.all([a.connect(nameOf('b')), b.connect(nameOf('a'))])
      expect(await cluster.run(both)).toEqual([true, true])
      await cluster.sim.advance('10s')
      expect([ups, a.nodes(), b.nodes()]).toEqual([['nodeup'], [nameOf('b')], [nameOf('a')]])
      for (const spy of warn) expect(spy).not.toHaveBeenCalled()
      cluster.sim.stop()
    }
  })

  it('those that connect a moment after each other keep one connection, and never lose it', async () => {
    for (let seed = 1; seed <= 600; seed++) {
      const cluster = new Cluster({ seed, nodes: ['a', 'b'] })
      const [first, second] = seed % 2 === 0 ? ['a', 'b'] : ['b', 'a']
      const events: string[] = []
      for (const name of ['a', 'b']) cluster.distribution(name).subscribe(({ tag }) => events.push(`${tag} ${name}`))
      const one = cluster.distribution(first!).connect(nameOf(second!))
      await cluster.sim.advance(30 * cluster.sim.random.next())
      const other = cluster.distribution(second!).connect(nameOf(first!))
      expect(await cluster.run(Promise.all([one, other])), `seed ${seed}`).toEqual([true, true])
      await cluster.sim.advance('20s')
      expect(events.sort(), `seed ${seed}`).toEqual(['nodeup a', 'nodeup b'])
      cluster.sim.stop()
    }
  })

  it('a node that connects to one learns of all: full mesh', async () => {
    const names = ['a', 'b', 'c', 'd', 'e']
    for (let seed = 1; seed <= 5; seed++) {
      const cluster = new Cluster({ seed, nodes: names })
      for (const name of names.slice(1)) void cluster.distribution('a').connect(nameOf(name))
      await cluster.sim.advance('5s')
      for (const name of names) {
        const others = names.filter((other) => other !== name).map(nameOf)
        expect(nodes(cluster.runtime(name)).sort()).toEqual(others)
      }
      cluster.sim.stop()
    }
  })

  it('a lost connection within the mesh is made again, one that was ended on purpose is not', async () => {
    const cluster = new Cluster({ nodes: ['a', 'b', 'c'] })
    for (const name of ['b', 'c']) await cluster.run(cluster.distribution('a').connect(nameOf(name)))
    await cluster.sim.advance('5s')
    cluster.net.reset('b.sim', 'c.sim')
    await cluster.sim.advance('100ms')
    expect(cluster.distribution('b').isConnected(nameOf('c'))).toBe(false)
    await cluster.sim.advance('5s')
    expect(cluster.distribution('b').isConnected(nameOf('c'))).toBe(true)
    cluster.distribution('b').disconnect(nameOf('c'))
    await cluster.sim.advance('60s')
    expect(cluster.distribution('b').nodes()).toEqual([nameOf('a')])
    expect(cluster.distribution('c').nodes()).toEqual([nameOf('a')])
  })

  it('a hidden node joins no mesh, and is listed as hidden', async () => {
    const cluster = new Cluster({ nodes: ['a', 'b'] })
    cluster.start('h', { hidden: true })
    await cluster.run(cluster.distribution('a').connect(nameOf('b')))
    expect(await cluster.run(cluster.distribution('h').connect(nameOf('a')))).toBe(true)
    await cluster.sim.advance('5s')
    expect(nodes(cluster.runtime('a'))).toEqual([nameOf('b')])
    expect(nodes(cluster.runtime('a'), 'hidden')).toEqual([nameOf('h')])
    expect(nodes(cluster.runtime('h'))).toEqual([])
    expect(nodes(cluster.runtime('b'), 'connected')).toEqual([nameOf('a')])
  })

  it('a wrong cookie connects nobody, and does not harm the connection of the node whose name was used', async () => {
    const cluster = new Cluster({ nodes: ['a', 'b'] })
    await cluster.run(cluster.distribution('a').connect(nameOf('b')))
    const events: string[] = []
    cluster.distribution('a').subscribe(({ tag }) => events.push(tag))
    cluster.start('w', { cookie: 'wrong' })
    expect(await cluster.run(cluster.distribution('w').connect(nameOf('a')))).toBe(false)
    expect(await cluster.run(cluster.distribution('a').connect(nameOf('w')))).toBe(false)
    await cluster.sim.advance('10s')
    expect(events).toEqual([])
    expect(nodes(cluster.runtime('a'))).toEqual([nameOf('b')])
  })

  it('a lost connection ends links and monitors with noconnection once, in both directions', async () => {
    const cluster = new Cluster({ nodes: ['a', 'b'] })
    const left = notes(cluster.runtime('a'))
    const right = notes(cluster.runtime('b'), 'right')
    monitorNodes(left.process)
    left.process.link(right.process.pid)
    const ref = left.process.monitor({ name: 'right', node: nameOf('b') })
    const back = right.process.monitor(left.process.pid)
    await cluster.sim.advance('1s')
    cluster.cut('a', 'b')
    await cluster.sim.advance('1s')
    expect(left.messages).toEqual([
      { tag: 'nodeup', node: nameOf('b'), nodeType: 'visible' },
      { tag: 'EXIT', from: right.process.pid, reason: 'noconnection' },
      { tag: 'DOWN', ref, type: 'process', pid: { name: 'right', node: nameOf('b') }, reason: 'noconnection' },
      { tag: 'nodedown', node: nameOf('b'), nodeType: 'visible', reason: 'connection_closed' },
    ])
    expect(right.messages).toEqual([
      { tag: 'EXIT', from: left.process.pid, reason: 'noconnection' },
      { tag: 'DOWN', ref: back, type: 'process', pid: left.process.pid, reason: 'noconnection' },
    ])
    expect([left.process.links?.size, right.process.links?.size]).toEqual([0, 0])
    expect(cluster.runtime('a').footprint().foreignMonitors).toBe(0)
  })

  it('what waits for a connection that never comes ends with noconnection', async () => {
    const cluster = new Cluster({ nodes: ['a', 'b'] })
    const other = notes(cluster.runtime('b'))
    const { process, messages } = notes(cluster.runtime('a'))
    cluster.cut('a', 'b')
    process.link(other.process.pid)
    const ref = process.monitor(other.process.pid)
    await cluster.sim.advance('10s')
    expect(messages).toEqual([
      { tag: 'EXIT', from: other.process.pid, reason: 'noconnection' },
      { tag: 'DOWN', ref, type: 'process', pid: other.process.pid, reason: 'noconnection' },
    ])
    expect(cluster.distribution('a').nodes('known')).toEqual([nameOf('a')])
  })

  it('a silent peer is given up after the tick time, and not while it only has nothing to say', async () => {
    const cluster = new Cluster({ nodes: ['a', 'b'], options: { netTicktimeMs: 4000 } })
    const downs: unknown[] = []
    await cluster.run(cluster.distribution('a').connect(nameOf('b')))
    cluster.distribution('a').subscribe((event) => downs.push(event))
    await cluster.sim.advance('60s')
    expect(downs).toEqual([])
    cluster.freeze('a', 'b')
    await cluster.sim.advance('2900ms')
    expect(downs).toEqual([])
    await cluster.sim.advance('2200ms')
    expect(downs).toEqual([{ tag: 'nodedown', node: nameOf('b'), hidden: false, reason: 'net_tick_timeout' }])
  })

  it('a pid of a former incarnation reaches nobody', async () => {
    const cluster = new Cluster({ nodes: ['a', 'b'] })
    const { process, messages } = notes(cluster.runtime('a'))
    const old = notes(cluster.runtime('b')).process.pid
    await cluster.run(cluster.distribution('a').connect(nameOf('b')))
    cluster.kill('b')
    await cluster.sim.advance('1s')
    cluster.start('b')
    const fresh = notes(cluster.runtime('b'))
    expect([fresh.process.pid.id, fresh.process.pid.serial]).toEqual([old.id, old.serial])
    process.send(old, 'stale')
    process.link(old)
    const ref = process.monitor(old)
    process.exit(old, 'stale')
    await cluster.sim.advance('1s')
    expect(fresh.messages).toEqual([])
    expect(messages).toEqual([
      { tag: 'EXIT', from: old, reason: 'noproc' },
      { tag: 'DOWN', ref, type: 'process', pid: old, reason: 'noproc' },
    ])
  })

  it('a node that comes back while its old connection is still open replaces it', async () => {
    const cluster = new Cluster({ nodes: ['a', 'b'] })
    const events: unknown[] = []
    await cluster.run(cluster.distribution('a').connect(nameOf('b')))
    await cluster.sim.advance('1s')
    cluster.distribution('a').subscribe(({ tag, ...rest }) => events.push('reason' in rest ? rest.reason : tag))
    cluster.net.vanish('b.sim')
    cluster.sim.kill(nameOf('b'))
    await cluster.sim.advance('1s')
    cluster.start('b')
    expect(await cluster.run(cluster.distribution('b').connect(nameOf('a')))).toBe(true)
    expect(events).toEqual(['replaced', 'nodeup'])
    expect(cluster.distribution('a').creationOf(nameOf('b'))).toBe(2)
  })

  it('a sender that fills the link waits until it has emptied, and other processes do not', async () => {
    const cluster = new Cluster({ nodes: ['a', 'b'], options: { limits: { busyBytes: 10_000 } } })
    const a = cluster.runtime('a')
    const box = notes(cluster.runtime('b'))
    const quick = notes(a)
    let sent = 0
    const pid = a.spawn({
      receive: () => {
        sent++
        a.sendFrom(pid, box.process.pid, Buffer.alloc(4000))
      },
    })
    for (let i = 0; i < 50; i++) a.send(pid, i)
    a.send(quick.process.pid, 'x')
    await cluster.sim.run()
    expect(sent).toBeLessThan(6)
    expect(a.process(pid)!.status).toBe('suspended')
    expect(quick.messages).toEqual(['x'])
    await cluster.sim.advance('5s')
    expect(sent).toBe(50)
    expect(box.messages).toHaveLength(50)
  })

  it('a process with async_dist is never suspended by a full link', async () => {
    const cluster = new Cluster({ nodes: ['a', 'b'], options: { limits: { busyBytes: 10_000 } } })
    const a = cluster.runtime('a')
    const box = notes(cluster.runtime('b'))
    const { process } = notes(a)
    expect([process.processFlag('async_dist', true), process.processFlag('async_dist', true)]).toEqual([false, true])
    for (let i = 0; i < 50; i++) process.send(box.process.pid, Buffer.alloc(4000))
    expect(process.status).toBe('waiting')
    await cluster.sim.advance('5s')
    expect(box.messages).toHaveLength(50)
  })

  it('more than may wait gives the peer up, and blocks nobody for ever', async () => {
    const cluster = new Cluster({ nodes: ['a', 'b'], options: { limits: { busyBytes: 1000, maxBytes: 20_000 } } })
    const downs: unknown[] = []
    await cluster.run(cluster.distribution('a').connect(nameOf('b')))
    cluster.distribution('a').subscribe((event) => downs.push(event))
    cluster.freeze('a', 'b')
    const { process } = notes(cluster.runtime('a'))
    for (let i = 0; i < 30; i++) process.send({ name: 'x', node: nameOf('b') }, Buffer.alloc(1000))
    await cluster.sim.advance('1s')
    expect(downs).toMatchObject([{ tag: 'nodedown', reason: 'queue_overflow' }])
    expect(process.status).toBe('waiting')
  })

  it('a message longer than a frame may be is refused by its sender, and the link stays', async () => {
    const cluster = new Cluster({ nodes: ['a', 'b'], options: { limits: { maxFrameBytes: 100_000 } } })
    await cluster.run(echo.start(cluster.runtime('b'), undefined, { name: 'echo' }))
    const { messages } = notes(cluster.runtime('b'), 'box')
    const [to, box] = ['echo', 'box'].map((name) => ({ name, node: nameOf('b') })) as [RemoteName, RemoteName]
    const a = cluster.runtime('a')
    a.send(box, Buffer.alloc(100_001))
    a.send(box, Buffer.alloc(90_000))
    await expect(cluster.run(echo.call(a, to, 'echo', Buffer.alloc(99_999)))).rejects.toThrow('badarg')
    expect(await cluster.run(echo.call(a, to, 'echo', 'short'))).toBe('short')
    expect(messages).toEqual([Buffer.alloc(90_000)])
  })

  it('one that stops passes on what was sent before, and waits for a peer that takes nothing no longer than a second', async () => {
    const cluster = new Cluster({ nodes: ['a', 'b', 'c'], network: { delayMs: { least: 100, most: 200 } } })
    const [a, b] = [cluster.runtime('a'), notes(cluster.runtime('b'), 'box')]
    for (const node of ['b', 'c']) await cluster.run(cluster.distribution('a').connect(nameOf(node)))
    cluster.freeze('a', 'c')
    for (const node of ['b', 'c']) a.send({ name: 'box', node: nameOf(node) }, Buffer.alloc(500_000))
    const before = cluster.sim.time.monotonic()
    await cluster.run(cluster.distribution('a').stop())
    expect(cluster.sim.time.monotonic() - before).toBeCloseTo(1000, -2)
    expect(b.messages).toEqual([Buffer.alloc(500_000)])
    expect(nodes(a)).toEqual([])
  })
})
