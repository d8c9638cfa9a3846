/** rpc, erpc and global locks between nodes of ours; the same with Erlang is in test/interop/erlang-rpc.test.ts. */
import { describe, expect, it } from 'vitest'
import { call } from '../../src/actors/gen.ts'
import { genServer, ok } from '../../src/actors/gen-server.ts'
import { isDownMessage } from '../../src/actors/signal.ts'
import { child, supervisor } from '../../src/actors/supervisor.ts'
import { distributionOf } from '../../src/dist/distribution.ts'
import * as erpc from '../../src/dist/erpc.ts'
import { UnsendableError } from '../../src/dist/errors.ts'
import { encode } from '../../src/dist/etf-encode.ts'
import { ErlangError, type ExportedModule } from '../../src/dist/exports.ts'
import { disconnectNode } from '../../src/dist/net-kernel.ts'
import * as rpc from '../../src/dist/rpc.ts'
import { atom, tuple } from '../../src/dist/term.ts'
import { eventually } from '../support/eventually.ts'
import { testEpmd, testNode } from '../support/node.ts'

const [A, B] = ['a@127.0.0.1', 'b@127.0.0.1'] as const

const functions: ExportedModule = {
  'add/2': (_context, a, b) => (a as number) + (b as number),
  'throw/1': (_context, term) => {
    throw new ErlangError('throw', term)
  },
  'self/0': ({ self }) => self.pid,
  'wait/0': ({ self }) => self.receive(),
}

async function nodes(options: Parameters<typeof testNode>[2] = {}) {
  const epmdPort = await testEpmd()
  const a = await testNode(A, epmdPort, options)
  const b = await testNode(B, epmdPort, options)
  b.exports.register('tests', functions)
  return { a: a.runtime, b: b.runtime, exports: b.exports }
}

const waiting = (runtime: Awaited<ReturnType<typeof nodes>>['b']): number =>
  [...runtime.processes].filter(({ label }) => label === 'tests:wait/0').length

describe('erpc between nodes of ours', () => {
  it('resolves with the value, wherever the function runs', async () => {
    const { a, b } = await nodes()
    expect(await erpc.call(a, B, 'tests', 'add', [1, 2])).toBe(3)
    expect(await erpc.call(b, B, 'tests', 'add', [1, 2])).toBe(3)
    const pid = await erpc.call(a, B, 'tests', 'self')
    expect(pid).toMatchObject({ node: B })
    expect(await erpc.multicall(a, [B, A], 'tests', 'add', [1, 2])).toEqual([
      { ok: true, value: 3 },
      { ok: false, error: expect.objectContaining({ class: 'error' }) },
    ])
  })

  it('rejects with class and reason of the exception', async () => {
    const { a, b } = await nodes()
    for (const caller of [a, b]) {
      await expect(erpc.call(caller, B, 'tests', 'throw', [atom('ball')])).rejects.toMatchObject({
        class: 'throw',
        reason: atom('ball'),
      })
      await expect(erpc.call(caller, B, 'tests', 'nothing', [1])).rejects.toMatchObject({
        class: 'error',
        reason: tuple(atom('exception'), atom('undef'), [tuple(atom('tests'), atom('nothing'), [1], [])]),
      })
      await expect(erpc.call(caller, B, 'tests', 'wait', [], 10)).rejects.toMatchObject({
        reason: tuple(atom('erpc'), atom('timeout')),
      })
    }
    await expect(erpc.call(a, B, 'tests', 'add', [() => {}, 2])).rejects.toThrow(UnsendableError)
  })

  it('tells when the process is ended or the node is lost', async () => {
    const { a, b } = await nodes()
    const killed = erpc.call(a, B, 'tests', 'wait')
    const outcome = expect(killed).rejects.toMatchObject({ reason: tuple(atom('signal'), atom('stopped')) })
    await eventually(() => waiting(b) === 1)
    for (const { pid, label } of b.processes) if (label === 'tests:wait/0') b.exit(pid, 'stopped')
    await outcome
    const lost = rpc.call(a, B, 'tests', 'wait')
    await eventually(() => waiting(b) === 1)
    disconnectNode(a, B)
    expect(await lost).toEqual({ ok: false, reason: 'nodedown' })
  })

  it.each([0, 20])(
    'leaves nothing behind when it is given up after %d ms, before or after the process is known',
    async (ms) => {
      const { a, b } = await nodes()
      await Promise.allSettled(Array.from({ length: 20 }, () => erpc.call(a, B, 'tests', 'wait', [], ms)))
      await eventually(() => waiting(b) === 20)
      // The monitor of a call that was given up is taken back.
      await eventually(() => expect(distributionOf(b)!.peer(A)!.counts.peerMonitors).toBe(0))
      for (const { pid, label } of b.processes) if (label === 'tests:wait/0') b.exit(pid, 'kill')
      expect(await erpc.call(a, B, 'tests', 'add', [1, 1])).toBe(2)
    },
  )

  it('is given up when the process that calls ends', async () => {
    const { a, b } = await nodes()
    const caller = a.spawn(async (self) => {
      await Promise.all([1, 2, 3].map(() => erpc.call(self, B, 'tests', 'wait')))
    })
    await eventually(() => waiting(b) === 3)
    expect(distributionOf(a)!.peer(B)!.counts.ownSpawns).toBe(3)
    a.exit(caller, 'kill')
    // One whose process the other node has not yet told of is given up when it has.
    await eventually(() => expect(distributionOf(a)!.peer(B)!.counts.ownSpawns).toBe(0))
    await eventually(() => expect(distributionOf(b)!.peer(A)!.counts.peerMonitors).toBe(0))
  })

  it('is refused with system_limit when too many run', async () => {
    const { a, b } = await nodes({ remoteCalls: { maxProcesses: 1 } })
    const first = rpc.call(a, B, 'tests', 'wait')
    await eventually(() => waiting(b) === 1)
    await expect(erpc.call(a, B, 'tests', 'add', [1, 2])).rejects.toMatchObject({
      reason: tuple(atom('erpc'), atom('system_limit')),
    })
    for (const { pid, label } of b.processes) if (label === 'tests:wait/0') b.send(pid, atom('go'))
    expect(await first).toEqual({ ok: true, value: atom('go') })
    expect(await erpc.call(a, B, 'tests', 'add', [1, 2])).toBe(3)
  })
})

describe('rex', () => {
  it('takes no other call during a block_call, and answers all', async () => {
    const { a, b } = await nodes()
    const rex = { name: 'rex', node: B }
    const blocked = call(a, rex, ['block_call', atom('tests'), atom('wait'), [], atom('user')])
    await eventually(() => waiting(b) === 1)
    const next = call(a, rex, ['call', atom('tests'), atom('add'), [1, 2], atom('user')])
    for (const { pid, label } of b.processes) if (label === 'tests:wait/0') b.send(pid, atom('go'))
    expect(await blocked).toBe(atom('go'))
    expect(await next).toBe(3)
  })

  it('answers raw messages of C nodes', async () => {
    const { a } = await nodes()
    const messages: unknown[] = []
    const pid = a.spawn({ receive: (message) => void messages.push(message) })
    const send = (request: unknown): void => a.sendFrom(pid, { name: 'rex', node: B }, tuple(pid, request))
    send(tuple(atom('call'), atom('tests'), atom('add'), [1, 2], atom('user')))
    await eventually(() => expect(messages).toEqual([tuple(atom('rex'), 3)]))
    send(atom('features_request'))
    send(tuple(atom('sbcast'), atom('nobody'), 1))
    await eventually(() => expect(messages).toHaveLength(3))
    expect(messages.slice(1)).toEqual([
      tuple(atom('features_reply'), atom(B), [atom('erpc')]),
      tuple(atom('rex'), atom(B), tuple(atom('nonexisting_name'), atom('nobody'))),
    ])
  })
})

describe('functions started by a peer', () => {
  it('run as processes that can be monitored', async () => {
    const { a, b } = await nodes()
    const ends: unknown[] = []
    const watcher = a.process(a.spawn({ receive: () => {} }))!
    const abandon = distributionOf(a)!.spawnRequest(watcher, B, 'timer', 'sleep', [5], (end) => void ends.push(end))
    await eventually(() => expect(ends).toEqual([{ tag: 'down', reason: atom('normal') }]))
    abandon()
    const down: unknown[] = []
    const sleeper = (await erpc.call(a, B, 'tests', 'self')) as Parameters<typeof a.exit>[0]
    a.spawn({
      create: (self) => {
        self.monitor(sleeper)
        return { receive: (message) => void (isDownMessage(message) && down.push(message.reason)) }
      },
    })
    await eventually(() => expect(down).toEqual(['noproc']))
    expect(b.whereis('rex')).toBeDefined()
  })

  it('see the tree of a supervisor of another node by its name', async () => {
    const { a, b, exports } = await nodes()
    const idle = genServer({ label: 'idle', init: () => ok({}) })
    const tree = supervisor({ strategy: 'one_for_one', children: () => [child('only', idle, [])] })
    await tree.startLink(b, undefined, { name: 'top' })
    expect(exports.has('supervisor', 'which_children', 1)).toBe(true)
    const there = await erpc.call(a, B, 'supervisor', 'which_children', [atom('top')])
    const away = await erpc.call(a, A, 'supervisor', 'which_children', [tuple(atom('top'), atom(B))])
    expect(there).toEqual([tuple(atom('only'), expect.anything(), atom('worker'), [])])
    expect(away).toEqual(there)
  })

  it('tell the cookie to nobody, whatever is asked of whatever process', async () => {
    const cookie = 'a_cookie_that_is_secret'
    const { a, b } = await nodes({ cookie })
    const ask = (module: string, name: string, args: unknown[]): Promise<unknown> =>
      erpc.call(a, B, module, name, args).catch((error: erpc.ErpcError) => error.reason)
    const items = ['messages', 'dictionary', 'links', 'current_stacktrace', 'initial_call', 'group_leader'].map(atom)
    const answers: unknown[] = []
    for (const { pid, name } of b.processes) {
      answers.push(await ask('erlang', 'process_info', [pid]), await ask('erlang', 'process_info', [pid, items]))
      // Of init, which is no server, they would wait in vain.
      if (name === 'init') continue
      answers.push(await ask('sys', 'get_state', [pid]), await ask('sys', 'get_status', [pid]))
    }
    answers.push(await ask('observer_backend', 'get_table_list', [atom('ets'), []]))
    for (const answer of answers) expect(encode(answer).includes(cookie)).toBe(false)
    expect(answers.length).toBeGreaterThan(15)
  })
})
