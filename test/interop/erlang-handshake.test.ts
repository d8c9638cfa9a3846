/** Our handshake and a real Erlang node's, in both directions. */
import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { hasFlag } from '../../src/dist/flags.ts'
import { epmdClient, epmdServer } from '../dist/epmd-support.ts'
import { startErl } from '../support/erl.ts'
import { eventually } from '../support/eventually.ts'
import { probe } from './probe-node.ts'

const ERL = 'erl1@127.0.0.1'
const OURS = 'ours@127.0.0.1'

async function both(more: { cookie?: string; isHidden?: boolean } = {}) {
  const { port: epmdPort } = await epmdServer()
  const [erl, ours] = await Promise.all([
    startErl({ cookie: 'x', name: ERL, epmdPort }),
    probe({ name: OURS, epmdPort, ...more }),
  ])
  return { erl, ours, epmdPort }
}

describe('a node of ours and one of Erlang', () => {
  it('connect when ours begins', async () => {
    const { erl, ours } = await both()
    expect(await ours.dial(ERL)).toBe('connected')
    expect(await erl.eval('nodes()')).toBe(`['${OURS}']`)
    const { peer, stream } = ours.links.get(ERL)!
    expect(peer).toMatchObject({ name: ERL, isPublished: true })
    expect(String(peer.creation)).toBe(await erl.eval('erlang:system_info(creation)'))
    expect(hasFlag(peer.flags, 'SPAWN')).toBe(true)
    expect(hasFlag(peer.flags, 'FRAGMENTS')).toBe(true)
    expect(hasFlag(peer.flags, 'DIST_HDR_ATOM_CACHE')).toBe(false)
    stream.write([Buffer.alloc(4)], 4)
    // Erlang's `global` greets a visible node: whole frames, with a distribution header.
    await eventually(() => ours.links.get(ERL)!.frames.length > 0)
    expect(ours.links.get(ERL)!.frames.map((frame) => frame[0])).toEqual(expect.arrayContaining([131]))
    expect(await erl.eval(`erlang:disconnect_node('${OURS}')`)).toBe('true')
    await eventually(() => ours.links.size === 0)
  })

  it('connect when Erlang begins', async () => {
    const { erl, ours } = await both()
    expect(await erl.eval(`net_kernel:connect_node('${OURS}')`)).toBe('true')
    expect(await erl.eval('nodes()')).toBe(`['${OURS}']`)
    expect(ours.links.get(ERL)?.peer.isPublished).toBe(true)
    ours.links.get(ERL)!.stream.destroy()
    await eventually(async () => (await erl.eval('nodes()')) === '[]')
  })

  it('do not connect with different cookies, and both say why', async () => {
    const { erl, ours } = await both({ cookie: 'other' })
    expect(await ours.dial(ERL)).toBe('closed')
    expect(ours.reports[0]).toMatchObject({ level: 'warn', text: expect.stringContaining('the cookies may differ') })
    await eventually(() =>
      erl.output.join('\n').includes(`Connection attempt from node '${OURS}' rejected. Invalid challenge reply.`),
    )
    expect(await erl.eval(`net_kernel:connect_node('${OURS}')`)).toBe('false')
    expect(ours.reports[1]?.text).toBe(`** Connection attempt from node '${ERL}' rejected. Invalid challenge reply. **`)
    expect(await erl.eval('nodes()')).toBe('[]')
    expect(ours.links.size).toBe(0)
  })

  it('are hidden from each other when ours says so', async () => {
    const { erl, ours } = await both({ isHidden: true })
    expect(await ours.dial(ERL)).toBe('connected')
    expect(await erl.eval('{nodes(), nodes(hidden)}')).toBe(`{[],['${OURS}']}`)
  })

  it('are hidden from each other when Erlang says so', async () => {
    const { port: epmdPort } = await epmdServer()
    const ours = await probe({ name: OURS, epmdPort })
    const erl = await startErl({ cookie: 'x', name: ERL, epmdPort, flags: ['-hidden'] })
    expect(await erl.eval(`net_kernel:connect_node('${OURS}')`)).toBe('true')
    expect(ours.links.get(ERL)?.peer.isPublished).toBe(false)
  })

  it('talk over IPv6', async () => {
    const { port: epmdPort } = await epmdServer()
    const ours = await probe({ name: 'ours@::1', epmdPort })
    const erl = await startErl({ cookie: 'x', name: 'erl1@::1', epmdPort, flags: ['-proto_dist', 'inet6_tcp'] })
    expect(await erl.eval("net_kernel:connect_node('ours@::1')")).toBe('true')
    ours.links.get('erl1@::1')!.stream.destroy()
    await eventually(async () => (await erl.eval('nodes()')) === '[]')
    expect(await ours.dial('erl1@::1')).toBe('connected')
    expect(await erl.eval('nodes()')).toBe("['ours@::1']")
  })

  it('end with one connection when both begin at once, a hundred times', async () => {
    // The greater name differs from run to run.
    for (const name of ['aaa@127.0.0.1', 'zzz@127.0.0.1']) {
      const { port: epmdPort } = await epmdServer()
      const [erl, ours] = await Promise.all([startErl({ cookie: 'x', name: ERL, epmdPort }), probe({ name, epmdPort })])
      for (let i = 0; i < 50; i++) {
        const [theirs] = await Promise.all([erl.eval(`net_kernel:connect_node('${name}')`), ours.dial(ERL)])
        expect(theirs).toBe('true')
        await eventually(() => ours.links.size === 1)
        expect(await erl.eval('nodes()')).toBe(`['${name}']`)
        ours.links.get(ERL)!.stream.destroy()
        await eventually(async () => ours.links.size === 0 && (await erl.eval('nodes()')) === '[]')
      }
    }
  })

  it('replace a connection that Erlang has lost without our knowing, once the cookie is right', async () => {
    const { erl, ours, epmdPort } = await both()
    expect(await erl.eval(`net_kernel:connect_node('${OURS}')`)).toBe('true')
    const old = ours.links.get(ERL)!
    // A thief in the name of the peer, without the cookie: answers `alive` with `true` and then cannot go on.
    const thief = await probe({ name: 'thief@127.0.0.1', epmdPort, cookie: 'wrong' })
    Object.defineProperty(thief, 'name', { value: ERL })
    expect(await thief.dial(OURS)).toBe('closed')
    expect(ours.reports[0]?.text).toContain('rejected. Invalid challenge reply.')
    expect(ours.links.get(ERL)).toBe(old)
    const again = await probe({ name: 'again@127.0.0.1', epmdPort })
    Object.defineProperty(again, 'name', { value: ERL })
    expect(await again.dial(OURS)).toBe('connected')
    await eventually(() => ours.connects === 2)
    expect(ours.links.get(ERL)).not.toBe(old)
  })
})

describe('a stranger at our port', () => {
  it('is told nothing and dropped', async () => {
    const { port: epmdPort } = await epmdServer()
    const ours = await probe({ name: OURS, epmdPort })
    const found = await epmdClient(epmdPort).portPlease('ours', '127.0.0.1')
    if (!found.ok) throw new Error(found.reason)
    const answer = await new Promise<string>((resolve) => {
      let text = ''
      const socket = connect(found.node.port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\n\r\n'))
      socket.on('data', (chunk) => (text += chunk))
      socket.on('close', () => resolve(text))
    })
    expect(answer).toBe('')
    expect(ours.reports).toMatchObject([{ level: 'debug' }])
  })
})
