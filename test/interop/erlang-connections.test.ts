/** How nodes of ours and of Erlang connect, and what a connection carries and survives: names, TLS, IPv6, hidden nodes, ticks, epmd. */
import { writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { call } from '../../src/actors/gen.ts'
import type { Runtime } from '../../src/actors/runtime.ts'
import { names, ping } from '../../src/dist/net-adm.ts'
import { connectNode, monitorNodes, nodes } from '../../src/dist/net-kernel.ts'
import { atom, isTuple, type Tuple, tuple } from '../../src/dist/term.ts'
import { tlsTransport } from '../../src/dist/transport-tls.ts'
import { epmdServer } from '../dist/epmd-support.ts'
import { authority, type Certificate } from '../support/certificates.ts'
import { type Erl, startErl } from '../support/erl.ts'
import { killed, startErlangEpmd } from '../support/erlang-epmd.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/free-port.ts'
import { testEpmd, testNode } from '../support/node.ts'
import { ERL, erlPair, notes, OURS } from '../support/pair.ts'

/** Sends back what it gets, in a process that the message comes back from. */
const ECHO = `register(echo, spawn(fun F() -> receive {From, X} -> From ! {back, X}, F() end end))`

/** Messages cross both ways, and calls are answered. */
async function talk(runtime: Runtime, erl: Erl, ours: string): Promise<void> {
  expect(await ping(runtime, erl.name)).toBe('pong')
  expect(await erl.eval(`net_adm:ping('${ours}')`)).toBe('pong')
  expect(await erl.eval(`nodes() =:= ['${ours}']`)).toBe('true')
  expect(nodes(runtime)).toEqual([erl.name])
  expect(await erl.eval(`rpc:call('${ours}', erlang, node, []) =:= '${ours}'`)).toBe('true')
  const { messages, pid } = notes(runtime)
  await erl.eval(ECHO)
  const body = Buffer.alloc(3_000_000, 'x')
  runtime.sendFrom(pid, { name: 'echo', node: erl.name }, tuple(pid, body))
  await eventually(() => messages.length === 1)
  expect(((messages[0] as Tuple).elements[1] as Buffer).equals(body)).toBe(true)
}

describe('nodes with short names', () => {
  it('talk to each other, and not to those with long names', async () => {
    const epmdPort = await testEpmd()
    const host = hostname().split('.')[0]!
    const ours = await testNode(`ours@${host}`, epmdPort, { listen: { host: '::' } })
    const erl = await startErl({ name: `erl@${host}`, epmdPort, short: true })
    await talk(ours.runtime, erl, ours.name)
    const long = await startErl({ name: 'long@127.0.0.1', epmdPort })
    expect(await ping(ours.runtime, long.name)).toBe('pang')
    expect(await long.eval(`net_adm:ping('${ours.name}')`)).toBe('pang')
    const other = await testNode('other@127.0.0.1', epmdPort)
    expect(await ping(other.runtime, erl.name)).toBe('pang')
    expect(nodes(ours.runtime)).toEqual([erl.name])
  })
})

describe('nodes over IPv6', () => {
  it('talk to each other', async () => {
    const { port: epmdPort } = await epmdServer()
    const ours = await testNode('ours@::1', epmdPort)
    const erl = await startErl({ name: 'erl@::1', epmdPort, flags: ['-proto_dist', 'inet6_tcp'] })
    await talk(ours.runtime, erl, ours.name)
  })
})

describe('nodes over TLS', () => {
  // Erlang looks for the host of a node among the DNS names of its certificate even when it is an address.
  const HOST = 'IP:127.0.0.1,DNS:127.0.0.1'

  async function flagsOf({ files }: Certificate): Promise<string[]> {
    const verified = `{verify,verify_peer},{certfile,"${files.cert}"},{keyfile,"${files.key}"},{cacertfile,"${files.ca}"}`
    const optfile = join(files.cert, '..', 'dist.conf')
    await writeFile(optfile, `[{server,[${verified},{fail_if_no_peer_cert,true}]},{client,[${verified}]}].\n`)
    return ['-proto_dist', 'inet_tls', '-ssl_dist_optfile', optfile]
  }

  it('talk to each other, and not to one with a certificate of somebody else, nor to one without TLS', async () => {
    const ca = await authority()
    const epmdPort = await testEpmd()
    const ours = await testNode(OURS, epmdPort, { transport: tlsTransport(await ca.sign('ours', HOST)) })
    const erl = await startErl({ name: ERL, epmdPort, flags: await flagsOf(await ca.sign('erl', HOST)) })
    await talk(ours.runtime, erl, ours.name)
    const forger = await authority()
    const forged = await startErl({
      name: 'forged@127.0.0.1',
      epmdPort,
      flags: await flagsOf(await forger.sign('forged', HOST)),
    })
    expect(await forged.eval(`net_adm:ping('${OURS}')`)).toBe('pang')
    expect(await ping(ours.runtime, forged.name)).toBe('pang')
    const plain = await startErl({ name: 'plain@127.0.0.1', epmdPort })
    expect(await plain.eval(`net_adm:ping('${OURS}')`)).toBe('pang')
    expect(await ping(ours.runtime, plain.name)).toBe('pang')
    const other = await testNode('other@127.0.0.1', epmdPort, { transport: tlsTransport(await ca.sign('other', HOST)) })
    expect(await ping(other.runtime, OURS)).toBe('pong')
    expect(nodes(ours.runtime)).toEqual([ERL, 'other@127.0.0.1'])
  })
})

describe('hidden nodes', () => {
  it('of Erlang are hidden from ours, and are called all the same', async () => {
    const { erl, ours, runtime } = await erlPair({ flags: ['-hidden'] })
    const { messages, process } = notes(runtime)
    monitorNodes(process)
    expect(await erl.eval(`net_adm:ping('${OURS}')`)).toBe('pong')
    expect([nodes(runtime), nodes(runtime, 'hidden'), nodes(runtime, 'connected')]).toEqual([[], [ERL], [ERL]])
    expect(await call(runtime, { name: 'net_kernel', node: ERL }, ['is_auth', atom('x')])).toBe(atom('yes'))
    expect(messages).toEqual([])
    expect(ours.distribution.isConnected(ERL)).toBe(true)
  })

  it('of ours bring nobody along', async () => {
    const epmdPort = await testEpmd()
    const first = await testNode('first@127.0.0.1', epmdPort)
    const viewer = await testNode('viewer@127.0.0.1', epmdPort, { hidden: true })
    const erl = await startErl({ name: ERL, epmdPort })
    await connectNode(first.runtime, ERL)
    await connectNode(viewer.runtime, 'first@127.0.0.1')
    expect(await ping(viewer.runtime, ERL)).toBe('pong')
    expect(await erl.eval('{nodes(), nodes(hidden)}')).toBe(`{['first@127.0.0.1'],['viewer@127.0.0.1']}`)
    expect([nodes(first.runtime), nodes(first.runtime, 'hidden')]).toEqual([[ERL], ['viewer@127.0.0.1']])
  })
})

describe('a cookie that differs', () => {
  it('is refused both ways and logged by the side that is asked, and nobody is told the cookie', async () => {
    const { erl, ours, runtime } = await erlPair({ cookie: 'other_cookie' })
    expect(await ping(runtime, ERL)).toBe('pang')
    await eventually(() =>
      erl.output.join('\n').includes(`Connection attempt from node '${OURS}' rejected. Invalid challenge reply.`),
    )
    expect(await erl.eval(`net_adm:ping('${OURS}')`)).toBe('pang')
    const line = ours.logs.find(({ msg }) => String(msg).includes('Invalid challenge reply'))
    expect(line?.msg).toBe(`** Connection attempt from node '${ERL}' rejected. Invalid challenge reply. **`)
    expect([nodes(runtime, 'known'), await erl.eval('nodes(connected)')]).toEqual([[OURS], '[]'])
    expect(JSON.stringify(ours.logs)).not.toContain('secret')
    expect(await erl.eval(`erlang:set_cookie('${OURS}', secret), net_adm:ping('${OURS}')`)).toBe('pong')
  })
})

describe('a connection', () => {
  it('stays while nobody has anything to say, and while 50 MB cross it both ways, and pings do not wait for all of it', async () => {
    const flags = ['-kernel', 'net_ticktime', '4']
    const { erl, runtime } = await erlPair({ flags, ours: { netTicktimeMs: 4000 } })
    const { messages: events, process } = notes(runtime)
    monitorNodes(process, 'all')
    const theirs = erl.eval(
      `net_kernel:monitor_nodes(true), register(events, self()), Loop = fun F(L) -> receive stop -> lists:reverse(L); X -> F([X | L]) end end, Loop([])`,
    )
    expect(await ping(runtime, ERL)).toBe('pong')
    // More than the tick time passes: it is ticks that keep the connection.
    await erl.eval('timer:sleep(5500)')
    const { messages, pid } = notes(runtime, 'box')
    await erl.eval(ECHO)
    for (const megabytes of [1, 50]) {
      const body = Buffer.alloc(megabytes << 20, megabytes)
      runtime.sendFrom(pid, { name: 'echo', node: ERL }, tuple(pid, body))
      const pings = await Promise.all([ping(runtime, ERL), erl.eval(`net_adm:ping('${OURS}')`), ping(runtime, ERL)])
      expect(pings).toEqual(['pong', 'pong', 'pong'])
      await eventually(() => messages.length === 1, { withinMs: 20_000 })
      expect(((messages.shift() as Tuple).elements[1] as Buffer).equals(body)).toBe(true)
    }
    expect(events).toEqual([{ tag: 'nodeup', node: ERL, nodeType: 'visible' }])
    await erl.eval('events ! stop')
    expect(await theirs).toBe(`[{nodeup,'${OURS}'}]`)
  })

  it('that one process fills with 20 MB messages lets the pings of others through between them', async () => {
    const { erl, runtime } = await erlPair()
    const COUNT = 10
    await erl.eval(`register(sink, spawn(fun F() -> receive {From, B} -> From ! byte_size(B), F() end end))`)
    expect(await ping(runtime, ERL)).toBe('pong')
    const { messages, pid } = notes(runtime)
    const body = Buffer.alloc(20 << 20)
    const sender = runtime.spawn({
      receive: () => runtime.sendFrom(sender, { name: 'sink', node: ERL }, tuple(pid, body)),
    })
    for (let i = 0; i < COUNT; i++) runtime.send(sender, i)
    await eventually(() => runtime.process(sender)?.status === 'suspended')
    expect(await ping(runtime, ERL)).toBe('pong')
    expect(messages.length).toBeLessThan(COUNT)
    await eventually(() => messages.length === COUNT, { withinMs: 20_000 })
  })

  it('over which Erlang sends more than we can take lets neither node lose the other', async () => {
    const flags = ['-kernel', 'net_ticktime', '4']
    const { erl, runtime } = await erlPair({ flags, ours: { netTicktimeMs: 4000 } })
    const COUNT = 50_000
    let seen = 0
    runtime.spawn({ receive: () => void seen++ }, { name: 'counter' })
    await erl.eval(`[{counter, '${OURS}'} ! {I, <<"some text of a usual length">>} || I <- lists:seq(1, ${COUNT})], ok`)
    await eventually(() => seen === COUNT, { withinMs: 20_000 })
    expect(await erl.eval('nodes()')).toBe(`['${OURS}']`)
  })
})

describe("Erlang's epmd and ours", () => {
  it('take the place of each other under running nodes, which register again and find each other', async () => {
    const epmdPort = await freePort()
    const theirs = await startErlangEpmd(epmdPort)
    const { erl, ours, runtime } = await erlPair({ epmdPort })
    await talk(runtime, erl, OURS)
    await killed(theirs)
    expect(await ping(runtime, ERL)).toBe('pong')
    const mine = await eventually(() => epmdServer({ port: epmdPort }))
    const both = async (): Promise<boolean> => {
      const found = await names(ours.epmd)
      return found.ok && found.names.length === 2
    }
    await eventually(both)
    ours.distribution.disconnect(ERL)
    await eventually(async () => (await erl.eval('nodes()')) === '[]')
    expect(await erl.eval(`net_adm:ping('${OURS}')`)).toBe('pong')
    expect(await erl.eval('[N || {N, _} <- lists:sort(element(2, net_adm:names()))]')).toBe('["erl","ours"]')
    await mine.close()
    await startErlangEpmd(epmdPort)
    await eventually(both)
    ours.distribution.disconnect(ERL)
    await eventually(async () => (await erl.eval('nodes()')) === '[]')
    expect(await ping(runtime, ERL)).toBe('pong')
    const third = await testNode('third@127.0.0.1', epmdPort)
    expect(await ping(third.runtime, ERL)).toBe('pong')
  })
})

describe('everything that Erlang may send', () => {
  it('arrives as what it is, and comes back the same', async () => {
    const { erl, runtime } = await erlPair()
    const terms = [
      '[]',
      '"text"',
      'lists:seq(1, 100000)',
      '<<>>',
      '<<1, 2, 3:5>>',
      '1 bsl 4000',
      '-(1 bsl 63)',
      '1.0e-300',
      "''",
      'list_to_atom(lists:duplicate(255, 955))',
      '[a | b]',
      '{}',
      'list_to_tuple(lists:seq(1, 300))',
      '#{}',
      '#{a => 1, "b" => 2, {c} => #{}}',
      'maps:from_list([{I, I} || I <- lists:seq(1, 100)])',
      'self()',
      'make_ref()',
      'hd(erlang:ports())',
      'fun lists:map/2',
      'fun(X) -> X end',
      'process_flag(trap_exit, false)',
    ]
    runtime.spawn(
      {
        receive: (message) => {
          if (!isTuple(message, 3)) return
          const [from, ref, term] = message.elements
          runtime.send(from as never, tuple(ref, term))
        },
      },
      { name: 'mirror' },
    )
    const round = (term: string) =>
      `begin T = ${term}, R = make_ref(), {mirror, '${OURS}'} ! {self(), R, T}, receive {R, T} -> same; {R, Other} -> {T, Other} after 3000 -> timeout end end`
    for (const term of terms) expect(await erl.eval(round(term)), term).toBe('same')
  })
})
