/** Process groups over a real Erlang node and nodes of ours. */
import { describe, expect, it } from 'vitest'
import type { Runtime } from '../../src/actors/runtime.ts'
import { connectNode, disconnectNode } from '../../src/dist/net-kernel.ts'
import * as pg from '../../src/dist/pg.ts'
import { atom } from '../../src/dist/term.ts'
import { hasErlang, startErl } from '../support/erl.ts'
import { eventually } from '../support/eventually.ts'
import { testEpmd, testNode } from '../support/node.ts'

const GROUP = atom('workers')

const idle = (runtime: Runtime) => runtime.spawn({ receive: () => {} })

describe('pg between nodes of ours', () => {
  it('members are known everywhere, and gone with their process, their scope or their node', async () => {
    const epmdPort = await testEpmd()
    const a = (await testNode('a@127.0.0.1', epmdPort)).runtime
    const b = (await testNode('b@127.0.0.1', epmdPort)).runtime
    await pg.startLink(a)
    const early = idle(a)
    await pg.join(a, GROUP, [early, early])
    await pg.startLink(b)
    const { messages, pid: watcher } = notes(b)
    const { ref, members } = await pg.monitor(b.process(watcher)!, GROUP)
    expect(members).toEqual([])
    await connectNode(a, 'b@127.0.0.1')
    await eventually(() => expect(keys(pg.getMembers(b, GROUP))).toEqual([early.key, early.key]))
    const late = idle(b)
    await pg.join(b, GROUP, late)
    await eventually(() => expect(keys(pg.getMembers(a, GROUP))).toEqual([early.key, early.key, late.key].sort()))
    expect(keys(pg.getLocalMembers(a, GROUP))).toEqual([early.key, early.key])
    expect(await pg.leave(a, GROUP, early)).toBe('ok')
    await eventually(() => expect(pg.getMembers(b, GROUP)).toHaveLength(2))
    b.exit(late, 'kill')
    await eventually(() => expect(keys(pg.getMembers(a, GROUP))).toEqual([early.key]))
    expect(await pg.leave(a, GROUP, idle(a))).toBe('not_joined')
    disconnectNode(a, 'b@127.0.0.1')
    await eventually(() => expect(pg.whichGroups(b)).toEqual([]))
    expect(messages.map((message) => [message.change, message.pids.length])).toEqual([
      ['join', 2],
      ['join', 1],
      ['leave', 1],
      ['leave', 1],
      ['leave', 1],
    ])
    expect(messages.every((message) => message.ref.equals(ref))).toBe(true)
    await connectNode(b, 'a@127.0.0.1')
    await eventually(() => expect(keys(pg.getMembers(b, GROUP))).toEqual([early.key]))
    await expect(pg.join(b, GROUP, early)).rejects.toThrow('only processes of this node')
  })
})

describe.skipIf(!hasErlang)('pg with a real Erlang node', () => {
  it('each sees the members of the other, their comings and goings', async () => {
    const epmdPort = await testEpmd()
    const { runtime } = await testNode('ours@127.0.0.1', epmdPort)
    const erl = await startErl({ name: 'erl@127.0.0.1', epmdPort })
    await pg.startLink(runtime)
    const ours = idle(runtime)
    await pg.join(runtime, GROUP, ours)
    await erl.eval('pg:start(pg), P = spawn(timer, sleep, [infinity]), register(member, P), pg:join(workers, P)')
    await connectNode(runtime, erl.name)
    await eventually(() => expect(pg.getMembers(runtime, GROUP)).toHaveLength(2))
    await eventually(async () =>
      expect(await erl.eval('lists:sort([node(P) || P <- pg:get_members(workers)])')).toBe(
        "['erl@127.0.0.1','ours@127.0.0.1']",
      ),
    )
    await erl.eval('pg:join({other, 1}, [whereis(member), whereis(member)])')
    await eventually(() => expect(pg.whichGroups(runtime)).toHaveLength(2))
    await erl.eval('pg:leave({other, 1}, whereis(member))')
    await erl.eval('exit(whereis(member), kill)')
    await eventually(() => expect(pg.getMembers(runtime, GROUP)).toEqual([ours]))
    expect(pg.whichGroups(runtime)).toEqual([GROUP])
    runtime.exit(ours, 'kill')
    await eventually(async () => expect(await erl.eval('pg:which_groups()')).toBe('[]'))
    const again = idle(runtime)
    await pg.join(runtime, GROUP, [again, again])
    await eventually(async () => expect(await erl.eval('length(pg:get_members(workers))')).toBe('2'))
    await pg.leave(runtime, GROUP, again)
    await eventually(async () => expect(await erl.eval('length(pg:get_members(workers))')).toBe('1'))
    runtime.exit(runtime.whereis('pg')!, 'kill')
    await eventually(async () => expect(await erl.eval('pg:get_members(workers)')).toBe('[]'))
    expect(await erl.eval('is_pid(whereis(pg))')).toBe('true')
  })
})

function keys(pids: readonly { readonly key: string }[]): string[] {
  return pids.map(({ key }) => key).sort()
}

/** A process that notes the changes it is told of. */
function notes(runtime: Runtime) {
  const messages: pg.PgMessage[] = []
  const pid = runtime.spawn({ receive: (message) => void messages.push(message as pg.PgMessage) })
  return { messages, pid }
}
