/** The backend tells of a node in small, sorted answers, whatever the size of the node and whatever it is asked. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { start } from '../../src/actors/application.ts'
import { genServer, ok } from '../../src/actors/gen-server.ts'
import type { Pid } from '../../src/actors/pid.ts'
import type { Runtime } from '../../src/actors/runtime.ts'
import { child, supervisor } from '../../src/actors/supervisor.ts'
import * as sys from '../../src/actors/sys.ts'
import { otpExports } from '../../src/dist/exports/all.ts'
import { atom } from '../../src/dist/term.ts'
import { makeObservable } from '../../src/observer/backend/application.ts'
import { OBSERVER_BACKEND, observerBackend } from '../../src/observer/backend/backend.ts'
import type { Page, ProcessRow, TablePage, TreeNode } from '../../src/observer/rows.ts'
import { eventually } from '../support/eventually.ts'
import { testRuntime } from '../support/runtime.ts'

async function node() {
  const { runtime } = testRuntime()
  const exports = otpExports()
  await makeObservable({ runtime, exports }, { version: '1.2.3', simulated: true })
  const { call } = observerBackend
  return {
    runtime,
    exports,
    processes: (query?: object) => call(runtime, OBSERVER_BACKEND, 'processes', query) as Promise<Page<ProcessRow>>,
    rows: (table: unknown, query?: object) =>
      call(runtime, OBSERVER_BACKEND, 'rows', table, query) as Promise<TablePage | undefined>,
    tree: (...args: unknown[]) =>
      observerBackend.callWithin(runtime, 10_000, OBSERVER_BACKEND, 'tree', ...(args as [])) as Promise<TreeNode[]>,
    ask: (name: 'about' | 'load' | 'memory' | 'registered' | 'tables') => call(runtime, OBSERVER_BACKEND, name),
    call,
  }
}

/** A process that handles nothing, with so many messages waiting. */
function stuck(runtime: Runtime, messages: number, label = 'stuck'): Pid {
  const pid = runtime.spawn(() => new Promise(() => {}), { label })
  for (let n = 0; n < messages; n++) runtime.send(pid, n)
  return pid
}

const idle = genServer({ label: 'idle', init: () => ok({ answer: 42 }) })

describe('processes', () => {
  it('come in the order that is asked for, as many as are asked for', async () => {
    const { runtime, processes } = await node()
    const pids = [3, 1, 2].map((messages) => stuck(runtime, messages))
    const { rows, total } = await processes({ limit: 2 })
    expect(rows.map(({ pid, msgq, name }) => [String(pid), msgq, name])).toEqual([
      [String(pids[0]), 3, 'stuck'],
      [String(pids[2]), 2, 'stuck'],
    ])
    expect(total).toBe(runtime.processes.count)
    expect((await processes({ sort: 'name', limit: 3 })).rows.map(({ name }) => name)).toEqual([
      'application_controller',
      'application_master observer',
      'init',
    ])
    expect((await processes({ match: 'tuck' })).total).toBe(3)
    expect((await processes({ match: 'gen_server:loop' })).rows.map(({ name }) => name)).toContain('observer_sup')
  })

  it('are sorted as a plain sort would, whatever there is', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat({ max: 5 }), { maxLength: 40 }),
        fc.integer({ min: 1, max: 50 }),
        async (queues, limit) => {
          const { runtime, processes } = await node()
          const pids = queues.map((messages) => stuck(runtime, messages, 'worker'))
          const expected = pids
            .map((pid, at) => ({ pid, msgq: queues[at]! }))
            .sort((a, b) => b.msgq - a.msgq)
            .slice(0, limit)
          const { rows, total } = await processes({ match: 'worker', limit })
          expect(rows.map(({ pid, msgq }) => ({ pid, msgq }))).toEqual(expected)
          expect(total).toBe(queues.length)
          runtime.stop()
        },
      ),
      { numRuns: 30 },
    )
  })

  it('of a large node are gone through in pieces, between which others have their turn', async () => {
    const { runtime, processes } = await node()
    for (let n = 0; n < 12_000; n++) runtime.spawn({ receive: () => {} })
    let turns = 0
    const count = (): void => {
      turns++
      if (turns < 100) runtime.timers.set(0, count)
    }
    const listed = processes({ limit: 500 })
    runtime.timers.set(0, count)
    expect((await listed).rows).toHaveLength(500)
    expect(turns).toBeGreaterThan(0)
  })

  it('that worked while they were watched come first', async () => {
    const { runtime, call } = await node()
    const busy = runtime.spawn({ receive: () => {} }, { label: 'busy' })
    stuck(runtime, 5)
    const watched = call(runtime, OBSERVER_BACKEND, 'window', 'reds', 1, 100)
    await eventually(() => {
      runtime.send(busy, 'work')
      return runtime.process(busy)!.reductions > 20
    })
    expect(await watched).toMatchObject({ rows: [{ name: 'busy', msgq: 0 }] })
  })

  it('are watched by a few at a time', async () => {
    const { runtime, call } = await node()
    const watches = Array.from({ length: 5 }, () => call(runtime, OBSERVER_BACKEND, 'window', 'reds', 1, 50))
    const problems = (await Promise.all(watches)).filter((answer) => 'problem' in answer)
    expect(problems).toHaveLength(1)
    expect(await call(runtime, OBSERVER_BACKEND, 'window', 'msgq', 1, 1)).toHaveProperty('rows')
  })

  it('are told of one by one, with their oldest messages', async () => {
    const { runtime, call } = await node()
    const pid = stuck(runtime, 3)
    runtime.send(pid, { tag: 'with a function', fn: () => 1 })
    expect(await call(runtime, OBSERVER_BACKEND, 'process', pid)).toMatchObject({
      pid,
      label: 'stuck',
      msgq: 4,
      linkCount: 0,
    })
    expect(await call(runtime, OBSERVER_BACKEND, 'messages', pid, 2)).toEqual({ rows: [0, 1], total: 4 })
    expect(await call(runtime, OBSERVER_BACKEND, 'messages', pid, 10)).toMatchObject({
      rows: [0, 1, 2, { tag: 'with a function', fn: '[function fn]' }],
    })
    runtime.exit(pid, 'kill')
    expect(await call(runtime, OBSERVER_BACKEND, 'process', pid)).toBeUndefined()
    expect(await call(runtime, OBSERVER_BACKEND, 'messages', pid, 2)).toBeUndefined()
  })
})

describe('tables', () => {
  it('are read page by page, each row once, while they change', async () => {
    const { runtime, rows } = await node()
    const table = runtime.ets.create<{ id: number }>(runtime.init, 'numbers', { key: 'id', named: true })
    for (let id = 0; id < 450; id++) table.insert({ id })
    const seen: unknown[] = []
    let after: string | undefined
    do {
      const page = await rows('numbers', { limit: 100, ...(after === undefined ? {} : { after }) })
      seen.push(...page!.rows)
      after = page!.next
      table.insert({ id: 1000 + seen.length })
      table.delete(0)
    } while (after !== undefined)
    const ids = (seen as { id: number }[]).map(({ id }) => id)
    expect(ids.slice(0, 450)).toEqual(Array.from({ length: 450 }, (_, id) => id))
    expect(new Set(ids).size).toBe(ids.length)
  })

  it('are searched by text in the key, or by the values of properties', async () => {
    const { runtime, rows } = await node()
    const table = runtime.ets.create<{ filter: string; node: string }>(runtime.init, 'route', {
      key: 'filter',
      named: true,
    })
    for (const filter of ['t/a', 't/b', 'u/a']) table.insert({ filter, node: filter.startsWith('t') ? 'n1' : 'n2' })
    expect((await rows('route', { match: '/a' }))?.rows).toEqual([
      { filter: 't/a', node: 'n1' },
      { filter: 'u/a', node: 'n2' },
    ])
    expect((await rows('route', { match: { node: 'n2' } }))?.rows).toEqual([{ filter: 'u/a', node: 'n2' }])
    expect((await rows('route', { match: { node: atom('n2') } }))?.scanned).toBe(3)
  })

  it('with large rows have short pages', async () => {
    const { runtime, rows } = await node()
    const table = runtime.ets.create<{ id: number; text: string }>(runtime.init, 'large', { key: 'id', named: true })
    for (let id = 0; id < 20; id++) table.insert({ id, text: 'x'.repeat(100_000) })
    const page = await rows('large', { limit: 500 })
    expect(page?.rows).toHaveLength(3)
    expect(page?.next).toBeDefined()
  })

  it('are found by name or by reference; private ones are not read', async () => {
    const { runtime, rows, call, ask } = await node()
    const { init } = runtime
    const anonymous = runtime.ets.create<{ id: number }>(init, 'anonymous', { key: 'id' })
    anonymous.insert({ id: 7 })
    runtime.ets.create<{ id: number }>(init, 'hidden', { key: 'id', named: true, protection: 'private' })
    expect(await rows(anonymous.info().id)).toMatchObject({ rows: [{ id: 7 }], total: 1 })
    expect(await rows('anonymous')).toBeUndefined()
    expect(await rows('hidden')).toBeUndefined()
    expect(await call(runtime, OBSERVER_BACKEND, 'table', 'hidden')).toMatchObject({ protection: 'private', size: 0 })
    expect(await ask('tables')).toMatchObject({ rows: [{ name: 'anonymous' }, { name: 'hidden' }], total: 2 })
  })

  it('forget where a page has ended when there are too many', async () => {
    const { runtime, rows } = await node()
    const table = runtime.ets.create<{ id: number }>(runtime.init, 'numbers', { key: 'id', named: true })
    for (let id = 0; id < 10; id++) table.insert({ id })
    const first = await rows('numbers', { limit: 1 })
    for (let n = 0; n < 16; n++) await rows('numbers', { limit: 1 })
    expect(await rows('numbers', { after: first!.next })).toMatchObject({
      problem: expect.stringContaining('begin again'),
    })
  })

  it('of the layer below are shown as well', async () => {
    const { runtime } = testRuntime()
    const exports = otpExports()
    const table = {
      definition: { name: 'route', type: 'bag', key: 'filter', copies: 'ram_copies' } as const,
      size: 2,
      rows: () =>
        [
          { node: 'n1', filter: 'a' },
          { node: 'n2', filter: 'b' },
        ][Symbol.iterator](),
    }
    await makeObservable({ runtime, exports }, { version: '1', simulated: true, tables: { all: () => [table] } })
    const { call } = observerBackend
    expect(await call(runtime, OBSERVER_BACKEND, 'table', 'route')).toEqual({
      ...{ name: 'route', kind: 'mnesia', type: 'bag', size: 2, storage: 'ram_copies' },
    })
    expect(await call(runtime, OBSERVER_BACKEND, 'rows', 'route', { match: 'b' })).toMatchObject({
      rows: [{ node: 'n2' }],
    })
    expect(exports.tables()?.[0]?.attributes).toEqual(['filter', 'node'])
  })
})

describe('trees', () => {
  const workers = supervisor<number>({
    label: 'workers',
    strategy: 'one_for_one',
    children: (count) => Array.from({ length: count }, (_, at) => child(`w${at}`, idle, [])),
  })
  const top = supervisor({
    label: 'top',
    strategy: 'one_for_one',
    children: () => [child('workers', workers, [30, { name: 'workers' }], { type: 'supervisor' })],
  })

  it('are as deep and wide as is asked for, and tell what is not shown', async () => {
    const { runtime, tree } = await node()
    await start(runtime, { name: 'shop', start: (self) => top.startLink(self, undefined, { name: 'top' }) })
    const [, shop] = await tree(undefined, 3, 2)
    const [root] = shop!.children!
    expect(root).toMatchObject({ id: 'top', type: 'supervisor', count: 1 })
    expect(root!.children![0]).toMatchObject({ id: 'workers', count: 30, children: [{ id: 'w0' }, { id: 'w1' }] })
    const [below] = await tree(runtime.whereis('top'), 1)
    expect(below!.children![0]).toEqual({
      id: 'workers',
      pid: runtime.whereis('workers'),
      type: 'supervisor',
      count: 30,
    })
  })

  it('do not wait for a supervisor that does not answer', async () => {
    const { runtime, tree } = await node()
    await start(runtime, { name: 'shop', start: (self) => top.startLink(self, undefined, { name: 'top' }) })
    await sys.suspend(runtime, 'workers')
    const [root] = await tree(runtime.whereis('top'), 3)
    expect(root!.children![0]).toMatchObject({ id: 'workers', problem: 'busy' })
  })
})

describe('the backend', () => {
  it('is kept by an application of its own', async () => {
    const { runtime, ask } = await node()
    const before = runtime.whereis(OBSERVER_BACKEND)!
    runtime.exit(before, 'kill')
    await eventually(() => runtime.whereis(OBSERVER_BACKEND)?.equals(before) === false)
    expect(await ask('about')).toMatchObject({ product: 'agner', version: '1.2.3' })
    expect(await ask('load')).toMatchObject({ busy: 0, runQueue: 0 })
    expect(await ask('memory')).toHaveProperty('rss')
    expect(await ask('registered')).toMatchObject({
      rows: [{ name: 'application_controller' }, { name: 'init' }, {}, {}],
    })
  })

  it('answers any question with a value or with what is wrong with it, and lives on', async () => {
    const { runtime, call } = await node()
    const before = runtime.whereis(OBSERVER_BACKEND)
    const argument = fc.oneof(
      fc.constantFrom<unknown>(
        undefined,
        null,
        'x',
        atom('reds'),
        before,
        [],
        {},
        Buffer.from('reds'),
        runtime.makeRef(),
      ),
      fc.integer({ min: -2, max: 20 }),
      fc.dictionary(fc.constantFrom('sort', 'limit', 'match', 'after'), fc.anything({ maxDepth: 1 }), { maxKeys: 3 }),
      fc.anything({ maxDepth: 2 }),
    )
    const name = fc.constantFrom(
      'processes',
      'process',
      'messages',
      'registered',
      'tree',
      'tables',
      'table',
      'rows' as const,
    )
    await fc.assert(
      fc.asyncProperty(name, fc.array(argument, { maxLength: 3 }), async (question, args) => {
        const answer = await call(runtime, OBSERVER_BACKEND, question as 'processes', ...(args as []))
        if (typeof answer === 'object' && 'problem' in answer) expect(answer.problem).toBeTypeOf('string')
        expect(runtime.whereis(OBSERVER_BACKEND)).toBe(before)
      }),
      { numRuns: 300 },
    )
  })

  it('can be asked by rpc as well', async () => {
    const { runtime, exports } = await node()
    const answer = new Promise((resolve) => {
      runtime.spawn(async (self) => {
        const query = { limit: 1, sort: atom('name') }
        resolve(await exports.apply(self, atom('agner_observer'), atom('processes'), [query]))
      })
    })
    expect(await answer).toMatchObject({ rows: [{ name: 'application_controller' }], total: runtime.processes.count })
  })
})
