/** Nodes of ours over TCP and an epmd: names, mesh, cookies, names in use. */
import { describe, expect, it } from 'vitest'
import { names, ping } from '../../src/dist/net-adm.ts'
import { connectNode, nodes } from '../../src/dist/net-kernel.ts'
import * as rpc from '../../src/dist/rpc.ts'
import { startNode } from '../../src/dist/start-node.ts'
import { atom } from '../../src/dist/term.ts'
import { eventually } from '../support/eventually.ts'
import { testEpmd, testNode } from '../support/node.ts'

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
})
