/**
 * A peer that has the cookie sends hundreds of frames that are changed at random, over real sockets: it loses its connection whenever a
 * frame is none, and nobody else loses anything.
 */
import { describe, expect, it } from 'vitest'
import { genServer, ok, reply } from '../../src/actors/gen-server.ts'
import { Pid } from '../../src/actors/pid.ts'
import { Ref } from '../../src/actors/ref.ts'
import { realSystem } from '../../src/actors/system.ts'
import { encode } from '../../src/dist/etf-encode.ts'
import { connectNode } from '../../src/dist/net-kernel.ts'
import { atom, ImproperList, tuple } from '../../src/dist/term.ts'
import { tcpTransport } from '../../src/dist/transport-tcp.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { eventually } from '../support/eventually.ts'
import { testEpmd, testNode } from '../support/node.ts'
import { notes } from '../support/pair.ts'
import { connectHostile, framed, type Hostile, send } from './hostile-support.ts'

const FRAMES = 1000
const OWN = { name: 'hostile@127.0.0.1', creation: 77 }
const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))

/** It traps exits: who links to it may, by the protocol, take it with him otherwise. */
const server = genServer<number, { add: (by: number) => number }>({
  label: 'server',
  init: (_arg, self) => {
    self.processFlag('trap_exit', true)
    return ok(0)
  },
  calls: { add: ({ state }, by) => reply(state + by, state + by) },
})

/** Every control message, in the form without a trace token and with one. */
function controlMessages(to: Pid): Buffer[] {
  const from = new Pid(OWN, 5, 1)
  const ref = new Ref(OWN, [1, 2, 3])
  const cookie = atom('')
  const reason = atom('x')
  const token = tuple(0, 1, 2, from, 3)
  const call = tuple(atom('$gen_call'), tuple(from, new ImproperList([atom('alias')], ref)), tuple(atom('add'), 1))
  const mfa = tuple(atom('timer'), atom('sleep'), 1)
  const options = [atom('link'), atom('monitor')]
  const names = ['net_kernel', 'rex', 'global_name_server', 'agner_mesh', 'net_sup', 'init', 'server', 'nobody']
  const messages: unknown[] = [
    call,
    tuple(atom('$gen_cast'), tuple(atom('init_connect'), tuple(8, 1), atom(OWN.name), 1)),
    tuple(atom('system'), tuple(from, ref), atom('get_status')),
    tuple(from, tuple(atom('call'), atom('erlang'), atom('node'), [], atom('user'))),
    tuple(atom('peers'), atom(OWN.name), [atom('x@127.0.0.1'), 1]),
    tuple(atom('DOWN'), ref, atom('process'), from, reason),
    tuple(atom('EXIT'), from, reason),
    { any: [1, 2.5, Buffer.from('bytes'), new Map([[1, 2n ** 70n]])] },
  ]
  const withTerms: (readonly unknown[])[] = [
    ...names.flatMap((name) => messages.map((message) => [tuple(6, from, cookie, atom(name)), message])),
    ...messages.map((message) => [tuple(22, from, to), message]),
    [tuple(1, from, to)],
    [tuple(2, cookie, to), call],
    [tuple(3, from, to, reason)],
    [tuple(4, from, to)],
    [tuple(5)],
    [tuple(7, from, to)],
    [tuple(12, cookie, to, token), call],
    [tuple(13, from, to, token, reason)],
    [tuple(16, from, cookie, atom('server'), token), call],
    [tuple(19, from, to, ref)],
    [tuple(19, from, atom('server'), ref)],
    [tuple(20, from, to, ref)],
    [tuple(21, from, to, ref, reason)],
    [tuple(23, from, to, token), call],
    [tuple(24, from, to), reason],
    [tuple(25, from, to, token), reason],
    [tuple(28, from, to, ref), reason],
    [tuple(29, ref, from, from, mfa, options), [1]],
    [tuple(30, ref, from, from, mfa, options, token), [1]],
    [tuple(31, ref, to, 3, from)],
    [tuple(32, ref, to, 3, from, token)],
    [tuple(33, from, ref), call],
    [tuple(34, from, ref, token), call],
    [tuple(35, 1, from, to)],
    [tuple(36, 1, from, to)],
  ]
  return withTerms.map((terms) => Buffer.concat([Buffer.of(112), ...terms.map((term) => encode(term))]))
}

function changed(body: Buffer, random: SeededRandom): Buffer {
  const bytes = [...body]
  for (let changes = 1 + random.below(4); changes > 0; changes--) {
    const at = random.below(bytes.length)
    const byte = random.below(3) === 0 ? random.pick([0, 1, 127, 128, 255]) : random.below(256)
    const kind = random.below(4)
    if (kind < 2) bytes[at] = byte
    else if (kind === 2) bytes.splice(at, 1 + random.below(4))
    else bytes.splice(at, 0, byte)
  }
  return Buffer.from(bytes)
}

describe('a peer with the cookie, over real sockets,', () => {
  it(`loses its own connection by frames that are changed, and nobody else anything: ${FRAMES} frames`, async () => {
    const random = new SeededRandom(SEED)
    const epmdPort = await testEpmd()
    const [a, b] = [await testNode('a@127.0.0.1', epmdPort), await testNode('b@127.0.0.1', epmdPort)]
    const events: unknown[] = []
    a.distribution.subscribe((event) => event.node === b.name && events.push(event.tag))
    await connectNode(a.runtime, b.name)
    const serverPid = await server.start(a.runtime, undefined, { name: 'server' })
    const [here, there] = [notes(a.runtime), notes(b.runtime)]
    here.process.link(there.pid)
    here.process.monitor(there.pid)
    there.process.monitor(here.pid)
    await eventually(() => a.runtime.footprint().foreignMonitors === 1)
    const before = pidsOf(a.runtime.registered(), (name) => a.runtime.whereis(name))
    const labels = () => Array.from(a.runtime.processes, ({ label }) => label).sort()
    const processes = labels()
    const frames = controlMessages(here.pid)
    let closings = 0
    let calls = 0
    let hostile: Hostile | undefined
    for (let i = 0; i < FRAMES; i++) {
      hostile ??= await connectHostile({
        transport: tcpTransport(),
        at: { host: '127.0.0.1', port: a.port },
        node: a.name,
        system: realSystem(),
        own: OWN,
      })
      const { received, closed } = hostile
      const known = received.length
      send(hostile, framed(changed(random.pick(frames), random)))
      // An unlink is answered in any case: either this comes, or the connection has ended.
      send(hostile, framed(Buffer.concat([Buffer.of(112), encode(tuple(35, i + 1, new Pid(OWN, 9, 9), here.pid))])))
      while (received.length === known && closed.length === 0) await hostile.heard()
      if (closed.length > 0) {
        closings++
        hostile = undefined
      }
      if (i % 50 === 0) {
        expect(
          await server.call(b.runtime, { name: 'server', node: a.name }, 'add', 1),
          `seed ${SEED}`,
        ).toBeGreaterThan(0)
        calls++
      }
    }
    hostile?.stream.destroy()
    expect(calls).toBe(FRAMES / 50)
    expect(closings, `seed ${SEED}`).toBeGreaterThan(FRAMES / 20)
    // Whatever it had here is gone with it.
    await eventually(() => expect(a.distribution.nodes('connected'), `seed ${SEED}`).toEqual([b.name]))
    await eventually(() => expect(labels(), `seed ${SEED}`).toEqual(processes))
    expect(
      pidsOf(a.runtime.registered(), (name) => a.runtime.whereis(name)),
      `seed ${SEED}`,
    ).toEqual(before)
    expect(a.runtime.isAlive(serverPid)).toBe(true)
    expect(a.runtime.footprint()).toMatchObject({ foreignMonitors: 1, activeAliases: 0 })
    expect(a.distribution.peer(b.name)?.counts).toMatchObject({ links: 1, ownMonitors: 1, peerMonitors: 1 })
    for (const { links } of a.runtime.processes) {
      expect(
        [...(links ?? [])].filter((pid) => pid.node === OWN.name),
        `seed ${SEED}`,
      ).toEqual([])
    }
    expect(events).toEqual(['nodeup'])
    expect(there.messages).toEqual([])
    // A signal that makes the code throw is a mistake of ours, though the node survives it.
    expect(
      a.logs.filter(({ msg }) => msg === 'signal of another node failed'),
      `seed ${SEED}`,
    ).toEqual([])
    expect(a.logs.filter(({ level }) => Number(level) >= 60)).toEqual([])
    a.runtime.exit(here.pid, 'kill')
    await eventually(() => there.messages.length === 2)
  })
})

function pidsOf(names: readonly string[], whereis: (name: string) => Pid | undefined): string[] {
  return names.map((name) => `${name} ${whereis(name)?.key}`).sort()
}
