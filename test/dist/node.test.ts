/** Nodes of ours over TCP and an epmd: names, mesh, cookies, names in use. */
import { describe, expect, it } from 'vitest'
import { names, ping } from '../../src/dist/net-adm.ts'
import { connectNode, nodes } from '../../src/dist/net-kernel.ts'
import * as rpc from '../../src/dist/rpc.ts'
import { startNode } from '../../src/dist/start-node.ts'
import { atom } from '../../src/dist/term.ts'
import { tlsTransport } from '../../src/dist/transport-tls.ts'
import { type Authority, authority } from '../support/certificates.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/free-port.ts'
import { type TestNode, testEpmd, testNode } from '../support/node.ts'
import { notes } from '../support/pair.ts'
import { epmdServer } from './epmd-support.ts'

const name = (index: number): string => `node${index}@127.0.0.1`

describe('nodes over TCP', () => {
  it('four connect to each other, and are listed by epmd, oldest first', async () => {
    const epmdPort = await testEpmd()
    const all = []
    for (const index of [1, 2, 3, 4]) all.push(await testNode(name(index), epmdPort))
    const [first, second] = all as [(typeof all)[0], (typeof all)[0]]
    for (const index of [2, 3, 4]) expect(await connectNode(first.runtime, name(index))).toBe(true)
    expect(nodes(first.runtime)).toEqual([name(2), name(3), name(4)])
    await eventually(() => expect(nodes(second.runtime).sort()).toEqual([name(1), name(3), name(4)]))
    expect(await connectNode(first.runtime, 'missing@127.0.0.1')).toBe(false)
    expect(await ping(first.runtime, name(3))).toBe('pong')
    expect(await ping(first.runtime, 'missing@127.0.0.1')).toBe('pang')
    expect(await rpc.call(first.runtime, name(2), 'erlang', 'node')).toEqual({ ok: true, value: atom(name(2)) })
    const listed = await names(first.epmd)
    expect(listed).toEqual({
      ok: true,
      names: all.map(({ port }, i) => ({ name: `node${i + 1}`, port })),
    })
    await all[2]!.stop()
    await eventually(async () => expect(await names(first.epmd)).toMatchObject({ names: { length: 3 } }))
    await eventually(() => expect(nodes(first.runtime)).toEqual([name(2), name(4)]))
  })

  it('a node with another cookie stays out, which the other one logs', async () => {
    const epmdPort = await testEpmd()
    const target = await testNode(name(1), epmdPort)
    const stranger = await testNode('w@127.0.0.1', epmdPort, { cookie: 'other' })
    expect(await connectNode(stranger.runtime, name(1))).toBe(false)
    expect(await ping(stranger.runtime, name(1))).toBe('pang')
    expect(nodes(target.runtime)).toEqual([])
    const line = target.logs.find(({ msg }) => String(msg).includes('Invalid challenge reply'))
    expect(line?.msg).toContain(`'w@127.0.0.1'`)
  })

  it('a name is given once, to whichever address of the machine', async () => {
    const epmdPort = await testEpmd()
    await testNode('n1@127.0.0.1', epmdPort)
    for (const taken of ['n1@127.0.0.1', 'n1@127.0.0.2']) {
      expect(await startNode({ name: taken, cookie: 'secret', epmdPort })).toMatchObject({
        ok: false,
        reason: 'name_in_use',
        problem: `the name ${taken} seems to be in use by another node`,
      })
    }
    const other = await testNode('n9@127.0.0.2', epmdPort)
    expect(await ping(other.runtime, 'n1@127.0.0.1')).toBe('pong')
  })

  it('a node without epmd says so', async () => {
    const started = await startNode({ name: 'n1@127.0.0.1', cookie: 'secret', epmdPort: 1 })
    expect(started).toMatchObject({ ok: false, reason: 'epmd' })
  })

  it('talk over IPv6, and over TLS with those of the same authority alone', async () => {
    const { port: epmdPort } = await epmdServer()
    const six = [await testNode('six1@::1', epmdPort), await testNode('six2@::1', epmdPort)]
    expect(await ping(six[0]!.runtime, 'six2@::1')).toBe('pong')
    const [ca, forger] = [await authority(), await authority()]
    const over = async (short: string, by: Authority): Promise<TestNode> => {
      const transport = tlsTransport(await by.sign(short, 'IP:127.0.0.1'))
      return testNode(`${short}@127.0.0.1`, epmdPort, { transport })
    }
    const [one, two, forged] = [await over('one', ca), await over('two', ca), await over('forged', forger)]
    expect(await ping(one.runtime, two.name)).toBe('pong')
    expect(await rpc.call(two.runtime, one.name, 'erlang', 'node')).toEqual({ ok: true, value: atom(one.name) })
    expect(await ping(forged.runtime, one.name)).toBe('pang')
    expect(await ping(one.runtime, forged.name)).toBe('pang')
    expect(nodes(one.runtime)).toEqual([two.name])
  })

  it('stay connected while 50 MB cross both ways, and answer pings meanwhile', async () => {
    const epmdPort = await testEpmd()
    const [a, b] = [await testNode(name(1), epmdPort), await testNode(name(2), epmdPort)]
    const downs: unknown[] = []
    for (const { distribution } of [a, b])
      distribution.subscribe((event) => event.tag === 'nodedown' && downs.push(event))
    const [here, there] = [notes(a.runtime, 'box'), notes(b.runtime, 'box')]
    const body = Buffer.alloc(50 << 20, 'x')
    a.runtime.sendFrom(here.pid, { name: 'box', node: b.name }, body)
    b.runtime.sendFrom(there.pid, { name: 'box', node: a.name }, body)
    expect(await Promise.all([ping(a.runtime, b.name), ping(b.runtime, a.name)])).toEqual(['pong', 'pong'])
    for (const { messages } of [here, there]) {
      await eventually(() => messages.length === 1)
      expect((messages[0] as Buffer).equals(body)).toBe(true)
    }
    expect(downs).toEqual([])
  })

  it('register again when epmd was started anew, and are found by it', async () => {
    const port = await freePort()
    const first = await epmdServer({ port })
    const [a, b] = [await testNode(name(1), port), await testNode(name(2), port)]
    await connectNode(a.runtime, b.name)
    await first.close()
    expect(await ping(a.runtime, b.name)).toBe('pong')
    await eventually(() => a.logs.some(({ msg }) => String(msg).includes('lost')))
    await epmdServer({ port })
    await eventually(async () => expect(await names(a.epmd)).toMatchObject({ ok: true, names: { length: 2 } }))
    const late = await testNode(name(3), port)
    expect([await ping(late.runtime, a.name), await ping(late.runtime, b.name)]).toEqual(['pong', 'pong'])
  })
})
