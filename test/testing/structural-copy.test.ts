import { expect, test } from 'vitest'
import { Pid } from '../../src/actors/pid.ts'
import { Ref } from '../../src/actors/ref.ts'
import { simulate } from '../../src/testing/simulation.ts'
import { NotPlainDataError, structuralCopy } from '../../src/testing/structural-copy.ts'

const NODE = { name: 'a@sim', creation: 1 }

test('plain data arrives equal and new', () => {
  const message = {
    tag: 'm',
    list: [1, 'two', null, undefined, true, 5n, Number.POSITIVE_INFINITY],
    bytes: Buffer.from('abc'),
    nested: { none: undefined, bare: Object.assign(Object.create(null), { x: '1' }) },
  }
  const copy = structuralCopy(message) as typeof message
  expect(copy).toEqual(message)
  expect(copy).not.toBe(message)
  expect(copy.list).not.toBe(message.list)
  message.bytes[0] = 0
  expect(copy.bytes.toString()).toBe('abc')
})

test('pids and references arrive as other objects of the same value', () => {
  const pid = new Pid(NODE, 3, 1)
  const ref = new Ref(NODE, 9)
  const copy = structuralCopy({ pid, ref }) as { pid: Pid; ref: Ref }
  expect(copy.pid).not.toBe(pid)
  expect(copy.pid.equals(pid)).toBe(true)
  expect(copy.ref).not.toBe(ref)
  expect(copy.ref.equals(ref)).toBe(true)
})

test('fields under symbols stay behind', () => {
  const CACHE = Symbol('cache')
  expect(Object.getOwnPropertySymbols(structuralCopy({ a: 1, [CACHE]: 2 }))).toEqual([])
})

class Thing {
  readonly x = 1
}
const cyclic: { self?: unknown } = {}
cyclic.self = cyclic

test.each([
  ['a function', { a: [() => 1] }, 'message.a[0] is no plain data: function'],
  ['an instance of a class', { a: new Thing() }, 'message.a is no plain data: instance of Thing'],
  ['a map', new Map(), 'message is no plain data: instance of Map'],
  ['an error', new Error('x'), 'message is no plain data: instance of Error'],
  ['a symbol', Symbol('x'), 'message is no plain data: symbol'],
  ['a cycle', cyclic, 'structure without end'],
])('%s is refused', (_name, message, said) => {
  expect(() => structuralCopy(message)).toThrow(NotPlainDataError)
  expect(() => structuralCopy(message)).toThrow(said)
})

test('a simulation that copies tells of a message that could not have been sent', async () => {
  const sim = simulate({ seed: 1, nodes: ['a', 'b'], copyMessages: true })
  const seen: unknown[] = []
  const there = sim.node('b').spawn({ receive: (message) => void seen.push(message) })
  sim.node('a').send(there, { thing: new Thing() })
  await expect(sim.settled()).rejects.toThrow('seed 1: NotPlainDataError: message.thing')
  sim.node('a').send(there, { thing: { x: 1 } })
  await sim.settled()
  expect(seen).toEqual([{ thing: { x: 1 } }])
  sim.stop()
})
