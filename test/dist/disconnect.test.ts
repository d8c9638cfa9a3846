/**
 * What the processes of a node have to say to another one whose connection was ended before they came to say it: it is not said, since it
 * would connect the nodes again. The process is suspended while what it is to answer arrives, and goes on after the disconnect.
 */
import { describe, expect, it } from 'vitest'
import { call, cast } from '../../src/actors/gen.ts'
import type { ProcessContext } from '../../src/actors/process.ts'
import type { Runtime } from '../../src/actors/runtime.ts'
import * as sys from '../../src/actors/sys.ts'
import * as pg from '../../src/dist/pg.ts'
import { atom, tuple } from '../../src/dist/term.ts'
import { Cluster, nameOf } from './cluster.ts'

const [A, B] = [nameOf('a'), nameOf('b')]

/** Sends or calls from a process of node `b`. */
type Ask = (self: ProcessContext) => unknown

const GLOBAL_ID = tuple(atom('resource'), atom('requester'))

function raw(name: string, request: (self: ProcessContext) => unknown): Ask {
  return (self) => self.send({ name, node: A }, request(self))
}

function calls(name: string, ...request: readonly [string, ...unknown[]]): Ask {
  return (self) => void call(self, { name, node: A }, request)
}

const ASKED: readonly [process: string, what: string, ask: Ask][] = [
  ['net_kernel', 'is_auth', calls('net_kernel', 'is_auth', atom(B))],
  ['rex', 'features_request', raw('rex', ({ pid }) => tuple(pid, atom('features_request')))],
  [
    'rex',
    'a call of a C node',
    raw('rex', ({ pid }) => tuple(pid, tuple(atom('call'), atom('erlang'), atom('node'), [], atom('user')))),
  ],
  ['rex', 'sbcast', raw('rex', ({ pid }) => tuple(pid, tuple(atom('sbcast'), atom('net_kernel'), 1)))],
  ['rex', 'send to nobody', raw('rex', ({ pid }) => tuple(pid, tuple(atom('send'), atom('nobody'), 1)))],
  ['rex', 'call', calls('rex', 'call', atom('erlang'), atom('node'), [], atom('user'))],
  ['rex', 'block_call', calls('rex', 'block_call', atom('erlang'), atom('node'), [], atom('user'))],
  [
    'global_name_server',
    'init_connect',
    (self) => cast(self, { name: 'global_name_server', node: A }, ['init_connect', tuple(8, 1), atom(B), atom('x')]),
  ],
  ['global_name_server', 'set_lock', calls('global_name_server', 'set_lock', GLOBAL_ID)],
  ['global_name_server', 'del_lock', calls('global_name_server', 'del_lock', GLOBAL_ID)],
  ['global_name_server', 'get_known', calls('global_name_server', 'get_known')],
  [
    'global_name_server',
    'whereis',
    raw('global_name_server', (self) => tuple(atom('whereis'), atom('name'), tuple(self.pid, self.makeRef()))),
  ],
  ['pg', 'discover', raw('pg', ({ pid }) => tuple(atom('discover'), pid))],
  ['pg', 'sync', (self) => cast(self, { name: 'pg', node: A }, ['sync', self.pid, []])],
]

/** Two connected nodes, `a` with a scope of pg. */
async function pair(): Promise<{ cluster: Cluster; a: Runtime; b: Runtime }> {
  const cluster = new Cluster({ nodes: ['a', 'b'] })
  const [a, b] = [cluster.runtime('a'), cluster.runtime('b')]
  await cluster.run(pg.startLink(a))
  await cluster.run(cluster.distribution('a').connect(B))
  await cluster.sim.advance('1s')
  return { cluster, a, b }
}

/** Ends the connection, lets the process go on and expects that the nodes stay apart. */
async function staysApart(cluster: Cluster, name: string): Promise<void> {
  const a = cluster.distribution('a')
  const events: unknown[] = []
  a.subscribe((event) => events.push(event))
  expect(a.disconnect(B)).toBe(true)
  await cluster.sim.advance('1s')
  await cluster.run(sys.resume(a.runtime, name))
  expect(a.nodes('known')).toEqual([A])
  await cluster.sim.advance('10s')
  expect(events).toEqual([{ tag: 'nodedown', node: B, hidden: false, reason: 'disconnect' }])
  expect(a.disconnect(B)).toBe(false)
}

describe('a disconnect is not undone', () => {
  it.each(ASKED)('by what %s answers to %s that came before it', async (name, _what, ask) => {
    const { cluster, a, b } = await pair()
    await cluster.run(sys.suspend(a, name))
    const { bytesIn } = cluster.distribution('a').traffic()
    b.spawn(async (self) => {
      ask(self)
      await self.receive()
    })
    await cluster.sim.advance('1s')
    expect(cluster.distribution('a').traffic().bytesIn).toBeGreaterThan(bytesIn)
    await staysApart(cluster, name)
  })

  it('by the end of a function that was called before it', async () => {
    const { cluster, a, b } = await pair()
    void call(b, { name: 'rex', node: A }, ['call', atom('timer'), atom('sleep'), [5000], atom('user')])
    await cluster.sim.advance('1s')
    const events: unknown[] = []
    cluster.distribution('a').subscribe(({ tag }) => events.push(tag))
    cluster.distribution('a').disconnect(B)
    await cluster.sim.advance('60s')
    expect(events).toEqual(['nodedown'])
    expect([...a.processes].filter(({ label }) => label === 'timer:sleep/1')).toEqual([])
  })

  it.each(['agner_mesh', 'pg'])('by what %s tells to every node that comes', async (name) => {
    const cluster = new Cluster({ nodes: ['a', 'b'] })
    const a = cluster.runtime('a')
    await cluster.run(pg.startLink(a))
    await cluster.run(sys.suspend(a, name))
    await cluster.run(cluster.distribution('a').connect(B))
    await staysApart(cluster, name)
  })

  it('by what a scope of pg tells to those that it knows', async () => {
    const { cluster, a, b } = await pair()
    await cluster.run(pg.startLink(b))
    await cluster.run(pg.join(b, 'group', b.spawn({ receive: () => {} })))
    await cluster.sim.advance('1s')
    expect(pg.getMembers(a, 'group')).toHaveLength(1)
    await cluster.run(sys.suspend(a, 'pg'))
    const joined = pg.join(a, 'group', a.spawn({ receive: () => {} }))
    await staysApart(cluster, 'pg')
    await joined
    expect(pg.getMembers(a, 'group')).toEqual(pg.getLocalMembers(a, 'group'))
  })
})
