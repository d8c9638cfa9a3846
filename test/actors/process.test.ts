/** Statements of the chapter "Processes" of the Erlang reference manual and of the module `erlang`, one by one. */
import { beforeEach, describe, expect, test } from 'vitest'
import { BadArgError, type ExitReason, ProcessExitedError } from '../../src/actors/errors.ts'
import type { Process, ProcessContext } from '../../src/actors/process.ts'
import { isDownMessage, isExitMessage } from '../../src/actors/signal.ts'
import { recorder, World } from './world.ts'

let world: World

beforeEach(() => {
  world = new World()
})

/** A process that notes what it gets; its context is used directly, as if from its own code. */
function start(options: { trapExit?: boolean; name?: string } = {}): {
  self: Process
  box: unknown[]
  reason(): ExitReason
} {
  const box: unknown[] = []
  let reason: ExitReason
  const self = world.runtime.process(world.runtime.spawn(recorder(box), options))!
  self.onExit((why) => {
    reason = why
  })
  return { self, box, reason: () => reason }
}

function isAlive(process: { self: ProcessContext }): boolean {
  return world.runtime.isAlive(process.self.pid)
}

/** Lets a process end with what its code throws. */
function endWith(process: { self: Process }, thrown: unknown): void {
  process.self.crash(thrown)
}

describe('a process', () => {
  test('ends with reason normal when its code has nothing more to do', async () => {
    const watcher = start()
    const pid = world.runtime.spawn(async () => 'done')
    watcher.self.monitor(pid)
    await world.settle()
    expect(watcher.box).toEqual([expect.objectContaining({ tag: 'DOWN', reason: 'normal' })])
  })

  test('that throws an error ends with a reason that names the error and its stack', async () => {
    const watcher = start({ trapExit: true })
    watcher.self.spawnLink(async () => {
      throw new TypeError('bad arithmetic')
    })
    await world.settle()
    expect(watcher.box[0]).toMatchObject({ tag: 'EXIT', reason: { error: 'bad arithmetic', name: 'TypeError' } })
    expect((watcher.box[0] as { reason: { stack: string } }).reason.stack).toContain('bad arithmetic')
  })

  test('that throws what is not an error ends with nocatch', () => {
    const process = start()
    endWith(process, 'thrown')
    expect(process.reason()).toEqual({ nocatch: 'thrown' })
  })

  test('that calls exit/1 ends with that reason', async () => {
    const watcher = start()
    const pid = world.runtime.spawn(async (self) => self.stop({ shutdown: 'asked' }))
    watcher.self.monitor(pid)
    await world.settle()
    expect(watcher.box[0]).toMatchObject({ reason: { shutdown: 'asked' } })
  })

  test('that died is reported to the log when an error ended it and not when it ended in order', async () => {
    world.runtime.spawn(async (self) => self.stop('shutdown'))
    await world.settle()
    expect(world.log).toEqual([])
    world.runtime.spawn(async () => {
      throw new Error('broken')
    })
    await world.settle()
    expect(world.log).toEqual([expect.objectContaining({ level: 50, msg: 'process crashed' })])
  })

  test('has its mailbox discarded when it dies', async () => {
    const process = start()
    world.runtime.send(process.self.pid, 1)
    world.runtime.exit(process.self.pid, 'boom')
    await world.settle()
    expect(process.box).toEqual([])
  })

  test('that awaits takes no other message until its promise settles', async () => {
    const seen: unknown[] = []
    let release = (): void => {}
    const pid = world.runtime.spawn({
      receive: (message) => {
        seen.push(message)
        return message === 1 ? new Promise<void>((resolve) => (release = resolve)) : undefined
      },
    })
    world.runtime.send(pid, 1)
    world.runtime.send(pid, 2)
    await world.settle()
    expect(seen).toEqual([1])
    release()
    await world.settle()
    expect(seen).toEqual([1, 2])
  })

  test('that was killed while it awaited cannot act through its context any more', async () => {
    let thrown: unknown
    let release = (): void => {}
    const target = start()
    const pid = world.runtime.spawn(async (self) => {
      await new Promise<void>((resolve) => (release = resolve))
      try {
        self.send(target.self.pid, 'from the grave')
      } catch (error) {
        thrown = error
        throw error
      }
    })
    await world.settle()
    world.runtime.exit(pid, 'kill')
    release()
    await world.settle()
    expect(thrown).toBeInstanceOf(ProcessExitedError)
    expect(target.box).toEqual([])
    expect(world.log).toEqual([])
  })

  test('whose promise rejects after its death causes no unhandled rejection', async () => {
    const unhandled: unknown[] = []
    const listener = (error: unknown): void => void unhandled.push(error)
    process.on('unhandledRejection', listener)
    let reject = (_: Error): void => {}
    const pid = world.runtime.spawn({ receive: () => new Promise((_, no) => (reject = no)) })
    world.runtime.send(pid, 'go')
    await world.settle()
    world.runtime.exit(pid, 'kill')
    reject(new Error('late'))
    await world.settle()
    process.off('unhandledRejection', listener)
    expect(unhandled).toEqual([])
    expect(world.log).toEqual([])
  })

  test('whose mailbox grows past its bound ends with mailbox_overflow', () => {
    const process = start()
    process.self.processFlag('max_mailbox', 2)
    for (let i = 0; i < 3; i++) world.runtime.send(process.self.pid, i)
    expect(process.reason()).toBe('mailbox_overflow')
  })
})

describe('a message', () => {
  test('sent to a pid that no longer exists is dropped silently', () => {
    const [a, b] = [start(), start()]
    world.runtime.exit(b.self.pid, 'kill')
    expect(() => a.self.send(b.self.pid, 'hello')).not.toThrow()
  })

  test('sent to a local name that is not registered is an error of the sender: badarg', () => {
    expect(() => start().self.send('nobody', 'hello')).toThrow(BadArgError)
  })

  test('sent to a name on a node by {Name, Node} never fails', () => {
    const { self } = start()
    expect(() => self.send({ name: 'nobody', node: world.runtime.node.name }, 'x')).not.toThrow()
    expect(() => self.send({ name: 'nobody', node: 'far@away' }, 'x')).not.toThrow()
  })

  test('to a dead pid never reaches the process that has its slot now', async () => {
    const first = start()
    world.runtime.exit(first.self.pid, 'kill')
    const second = start()
    expect(second.self.pid.id).toBe(first.self.pid.id)
    world.runtime.send(first.self.pid, 'old')
    await world.settle()
    expect(second.box).toEqual([])
  })

  test('of a sender that then dies comes before its exit signal', async () => {
    const [a, b] = [start(), start({ trapExit: true })]
    a.self.link(b.self.pid)
    a.self.send(b.self.pid, 'last words')
    endWith(a, new Error('gone'))
    await world.settle()
    expect(b.box[0]).toBe('last words')
    expect(isExitMessage(b.box[1])).toBe(true)
  })
})

describe('a selective receive', () => {
  test('takes the first message that matches and leaves the others in order', async () => {
    const taken: unknown[] = []
    const pid = world.runtime.spawn(async (self) => {
      taken.push(await self.receive((m): m is string => m === 'c'))
      taken.push(await self.receive(), await self.receive())
    })
    for (const message of ['a', 'b', 'c']) world.runtime.send(pid, message)
    await world.settle()
    expect(taken).toEqual(['c', 'a', 'b'])
  })

  test('with a timeout gives up when nothing matched in time', async () => {
    let result: unknown = 'none yet'
    world.runtime.spawn(async (self) => {
      result = await self.receiveWithin(100)
    })
    await world.advance(99)
    expect(result).toBe('none yet')
    await world.advance(1)
    expect(result).toBeUndefined()
  })

  test('with timeout 0 looks at what is there and does not wait', async () => {
    const results: unknown[] = []
    const pid = world.runtime.spawn(async (self) => {
      await self.receive((m): m is string => m === 'go')
      results.push(await self.receiveWithin(0), await self.receiveWithin(0))
    })
    world.runtime.send(pid, 1)
    world.runtime.send(pid, 'go')
    await world.settle()
    expect(results).toEqual([1, undefined])
  })
})

describe('a link', () => {
  test('is bidirectional', () => {
    for (const dies of [0, 1] as const) {
      const pair = [start(), start()] as const
      pair[0].self.link(pair[1].self.pid)
      world.runtime.exit(pair[dies].self.pid, 'boom')
      expect(pair[1 - dies]!.reason()).toBe('boom')
    }
  })

  test('exists once however often it is made, and one unlink ends it', () => {
    const [a, b] = [start(), start()]
    a.self.link(b.self.pid)
    a.self.link(b.self.pid)
    b.self.link(a.self.pid)
    a.self.unlink(b.self.pid)
    endWith(b, new Error('boom'))
    expect(isAlive(a)).toBe(true)
  })

  test('to oneself does nothing', () => {
    const a = start({ trapExit: true })
    a.self.link(a.self.pid)
    expect(a.self.links?.size ?? 0).toBe(0)
  })

  test('to a process that does not exist brings an exit signal with reason noproc', async () => {
    const [dead, trapper, other] = [start(), start({ trapExit: true }), start()]
    world.runtime.exit(dead.self.pid, 'kill')
    trapper.self.link(dead.self.pid)
    other.self.link(dead.self.pid)
    await world.settle()
    expect(trapper.box).toEqual([{ tag: 'EXIT', from: dead.self.pid, reason: 'noproc' }])
    expect(other.reason()).toBe('noproc')
  })

  test('to a process of an unreachable node brings noconnection', async () => {
    const far = new World({ name: 'far@host' })
    const pid = far.runtime.spawn(recorder([]))
    const a = start({ trapExit: true })
    a.self.link(pid)
    await world.settle()
    expect(a.box).toEqual([{ tag: 'EXIT', from: pid, reason: 'noconnection' }])
  })

  test('that was ended by unlink carries no exit signal', async () => {
    const [a, b] = [start({ trapExit: true }), start()]
    a.self.link(b.self.pid)
    a.self.unlink(b.self.pid)
    endWith(b, new Error('boom'))
    await world.settle()
    expect(a.box).toEqual([])
  })

  test('passes a death on through all links, however long the chain', () => {
    const chain = [start()]
    for (let i = 1; i < 20_000; i++) {
      const next = start()
      next.self.link(chain[i - 1]!.self.pid)
      chain.push(next)
    }
    world.runtime.exit(chain[0]!.self.pid, 'boom')
    expect(chain.filter(isAlive)).toEqual([])
    expect(chain.at(-1)!.reason()).toBe('boom')
  })

  test('made by spawn_link is there before the child can die', async () => {
    const parent = start({ trapExit: true })
    const pid = parent.self.spawnLink(async (self) => self.stop('early'))
    await world.settle()
    expect(parent.box).toEqual([{ tag: 'EXIT', from: pid, reason: 'early' }])
  })
})

describe('an exit signal', () => {
  test('with reason normal is ignored by a process that does not trap exits', () => {
    const [a, b] = [start(), start()]
    a.self.link(b.self.pid)
    world.runtime.terminate(b.self, 'normal')
    expect(isAlive(a)).toBe(true)
  })

  test('with reason normal sent by exit/2 to another process is ignored', () => {
    const [a, b] = [start(), start()]
    a.self.exit(b.self.pid, 'normal')
    expect(isAlive(b)).toBe(true)
  })

  test('with reason normal that a process sends to itself ends it', () => {
    const a = start()
    expect(() => a.self.exit(a.self.pid, 'normal')).toThrow(ProcessExitedError)
    expect(a.reason()).toBe('normal')
  })

  test('becomes a message {EXIT, From, Reason} to a process that traps exits', async () => {
    const [a, b] = [start(), start({ trapExit: true })]
    a.self.exit(b.self.pid, 'normal')
    a.self.exit(b.self.pid, { any: 'term' })
    await world.settle()
    expect(b.box).toEqual([
      { tag: 'EXIT', from: a.self.pid, reason: 'normal' },
      { tag: 'EXIT', from: a.self.pid, reason: { any: 'term' } },
    ])
  })

  test('kill ends any process, a trapping one too, and its reason is then killed', async () => {
    const [a, linked] = [start({ trapExit: true }), start({ trapExit: true })]
    linked.self.link(a.self.pid)
    linked.self.exit(a.self.pid, 'kill')
    await world.settle()
    expect(a.reason()).toBe('killed')
    expect(linked.box).toEqual([{ tag: 'EXIT', from: a.self.pid, reason: 'killed' }])
  })

  test('with reason kill that a link carries can be trapped', async () => {
    const [a, trapper, other] = [start(), start({ trapExit: true }), start()]
    trapper.self.link(a.self.pid)
    other.self.link(a.self.pid)
    world.runtime.terminate(a.self, 'kill')
    await world.settle()
    expect(trapper.box).toEqual([{ tag: 'EXIT', from: a.self.pid, reason: 'kill' }])
    expect(other.reason()).toBe('kill')
  })

  test('needs no link', () => {
    const [a, b] = [start(), start()]
    a.self.exit(b.self.pid, 'go')
    expect(b.reason()).toBe('go')
  })

  test('to a pid that does not exist is dropped', () => {
    const [a, b] = [start(), start()]
    world.runtime.exit(b.self.pid, 'kill')
    expect(() => a.self.exit(b.self.pid, 'again')).not.toThrow()
  })

  test('is turned into a message or not by the flag at the time at which it arrives', async () => {
    const a = start()
    expect(a.self.processFlag('trap_exit', true)).toBe(false)
    world.runtime.exit(a.self.pid, 'one')
    expect(a.self.processFlag('trap_exit', false)).toBe(true)
    await world.settle()
    expect(a.box).toMatchObject([{ reason: 'one' }])
    world.runtime.exit(a.self.pid, 'two')
    expect(a.reason()).toBe('two')
  })
})

describe('a monitor', () => {
  test('is unidirectional: the end of the watcher means nothing to the watched', () => {
    const [a, b] = [start(), start()]
    a.self.monitor(b.self.pid)
    world.runtime.exit(a.self.pid, 'boom')
    expect(isAlive(b)).toBe(true)
    expect(b.self.monitoredBy?.size).toBe(0)
  })

  test('delivers one DOWN with its reference, the pid and the reason', async () => {
    const [a, b] = [start(), start()]
    const ref = a.self.monitor(b.self.pid)
    world.runtime.exit(b.self.pid, 'boom')
    await world.settle()
    expect(a.box).toEqual([{ tag: 'DOWN', ref, type: 'process', pid: b.self.pid, reason: 'boom' }])
  })

  test('made several times is several monitors, each with a DOWN of its own', async () => {
    const [a, b] = [start(), start()]
    const refs = [a.self.monitor(b.self.pid), a.self.monitor(b.self.pid), a.self.monitor(b.self.pid)]
    a.self.demonitor(refs[1]!)
    world.runtime.exit(b.self.pid, 'boom')
    await world.settle()
    expect(a.box.map((message) => (message as { ref: unknown }).ref)).toEqual([refs[0], refs[2]])
  })

  test('of a process that does not exist fires at once with noproc', async () => {
    const [a, b] = [start(), start()]
    world.runtime.exit(b.self.pid, 'boom')
    const ref = a.self.monitor(b.self.pid)
    await world.settle()
    expect(a.box).toEqual([{ tag: 'DOWN', ref, type: 'process', pid: b.self.pid, reason: 'noproc' }])
  })

  test('of a registered name follows the process that has the name now, and names it in DOWN', async () => {
    const [a, b] = [start(), start({ name: 'service' })]
    const ref = a.self.monitor('service')
    b.self.unregister('service')
    const other = start({ name: 'service' })
    world.runtime.exit(other.self.pid, 'other')
    world.runtime.exit(b.self.pid, 'first')
    await world.settle()
    const object = { name: 'service', node: world.runtime.node.name }
    expect(a.box).toEqual([{ tag: 'DOWN', ref, type: 'process', pid: object, reason: 'first' }])
  })

  test('of a name that nobody has fires with noproc', async () => {
    const a = start()
    a.self.monitor('nobody')
    await world.settle()
    expect(a.box).toMatchObject([{ tag: 'DOWN', reason: 'noproc', pid: { name: 'nobody' } }])
  })

  test('of a process of an unreachable node fires with noconnection', async () => {
    const far = new World({ name: 'far@host' })
    const a = start()
    a.self.monitor(far.runtime.spawn(recorder([])))
    a.self.monitor({ name: 'service', node: 'far@host' })
    await world.settle()
    expect(a.box).toMatchObject([{ reason: 'noconnection' }, { reason: 'noconnection' }])
  })

  test('removed by demonitor never fires', async () => {
    const [a, b] = [start(), start()]
    a.self.demonitor(a.self.monitor(b.self.pid))
    world.runtime.exit(b.self.pid, 'boom')
    await world.settle()
    expect(a.box).toEqual([])
  })

  test('removed with flush takes out a DOWN that already waits, and nothing else', async () => {
    const [a, b] = [start(), start()]
    const kept = a.self.monitor(b.self.pid)
    const flushed = a.self.monitor(b.self.pid)
    world.runtime.exit(b.self.pid, 'boom')
    a.self.demonitor(flushed, { flush: true })
    a.self.demonitor(kept)
    await world.settle()
    expect(a.box).toMatchObject([{ tag: 'DOWN', ref: kept }])
  })

  test('fires when a process of the same turn dies before the watcher ran', async () => {
    const [a, b] = [start(), start()]
    world.runtime.send(a.self.pid, 'first')
    a.self.monitor(b.self.pid)
    world.runtime.exit(b.self.pid, 'boom')
    await world.settle()
    expect(a.box[0]).toBe('first')
    expect(isDownMessage(a.box[1])).toBe(true)
  })
})

describe('a blocked process', () => {
  test('takes no message until it is unblocked, and then takes them in order', async () => {
    const world = new World()
    const seen: unknown[] = []
    const pid = world.runtime.spawn({
      receive: (message) => {
        seen.push(message)
        if (message === 1) world.runtime.process(pid)!.block()
      },
    })
    for (const message of [0, 1, 2]) world.runtime.send(pid, message)
    await world.settle()
    world.runtime.send(pid, 3)
    await world.settle()
    expect(seen).toEqual([0, 1])
    expect(world.runtime.process(pid)!.status).toBe('suspended')
    world.runtime.process(pid)!.unblock()
    await world.settle()
    expect(seen).toEqual([0, 1, 2, 3])
  })

  test('that awaits goes on only when both have ended', async () => {
    const world = new World()
    const seen: unknown[] = []
    let release = (): void => {}
    const pid = world.runtime.spawn({
      receive: (message) => {
        seen.push(message)
        if (message === 1) {
          world.runtime.process(pid)!.block()
          return new Promise<void>((resolve) => {
            release = resolve
          })
        }
      },
    })
    for (const message of [1, 2]) world.runtime.send(pid, message)
    await world.settle()
    world.runtime.process(pid)!.unblock()
    await world.settle()
    expect(seen).toEqual([1])
    world.runtime.process(pid)!.block()
    release()
    await world.settle()
    expect(seen).toEqual([1])
    world.runtime.process(pid)!.unblock()
    await world.settle()
    expect(seen).toEqual([1, 2])
  })

  test('dies of signals like any other', async () => {
    const world = new World()
    const pid = world.runtime.spawn({ receive: () => {} })
    const process = world.runtime.process(pid)!
    process.block()
    world.runtime.exit(pid, 'kill')
    process.unblock()
    await world.settle()
    expect(process.alive).toBe(false)
  })
})
