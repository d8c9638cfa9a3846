/** What is typed is run, awaited, numbered, remembered and forgotten. */
import { describe, expect, it } from 'vitest'
import { Pending } from '../../src/observer/commands/pending.ts'
import { print } from '../../src/observer/print/print.ts'
import { Evaluator, type Outcome } from '../../src/observer/shell/evaluator.ts'
import { errorText } from '../../src/observer/shell/outcome-text.ts'

function prompt(names: Readonly<Record<string, unknown>> = {}) {
  const logged: string[] = []
  const evaluator = new Evaluator({
    names,
    log: (text) => logged.push(text),
    print: (value) => print(value, { columns: 80, pid: String }),
  })
  const type = (source: string, signal: AbortSignal = new AbortController().signal): Promise<Outcome> =>
    evaluator.evaluate(source, signal)
  const value = async (source: string): Promise<unknown> => {
    const outcome = await type(source)
    if (outcome.tag !== 'value') throw new Error(outcome.tag === 'thrown' ? errorText(outcome.error) : outcome.tag)
    return outcome.value
  }
  return { evaluator, logged, type, value }
}

describe('the prompt', () => {
  it('gives the value of an expression, and of what a declaration binds', async () => {
    const { value } = prompt({ soon: async () => 7 })
    expect(await value('1 + 1')).toBe(2)
    expect(await value('const x = await soon()')).toBe(7)
    expect(await value('x')).toBe(7)
    expect(await value('let y = x + 1, z = y + 1')).toBe(9)
    expect(await value('function add(a) { return a + z }')).toBeTypeOf('function')
    expect(await value('add(1)')).toBe(10)
    expect(await value('const { a } = { a: 5 }; a')).toBe(5)
  })

  it('awaits a promise that is typed, and rows that are bound', async () => {
    const { value } = prompt({ soon: async () => 7, rows: () => Pending.from(Promise.resolve([{ n: 1 }, { n: 2 }])) })
    expect(await value('soon()')).toBe(7)
    expect(await value('const r = rows()')).toEqual([{ n: 1 }, { n: 2 }])
    expect(await value('r[1].n')).toBe(2)
    expect(await value('rows().filter((row) => row.n > 1).map((row) => row.n)')).toEqual([2])
    expect(await value('rows().sort((a, b) => b.n - a.n).at(0)')).toEqual({ n: 2 })
    expect(await value('rows().reduce((sum, row) => sum + row.n, 0)')).toBe(3)
  })

  it('counts lines, and gives their values and runs them again', async () => {
    const { evaluator, value, type } = prompt()
    expect(evaluator.results.next).toBe(1)
    await value('20 + 1')
    await value('v(1) * 2')
    expect(await value('v(-1)')).toBe(42)
    await value('let n = 0')
    await value('n += 1')
    expect(await value('e(5)')).toBe(2)
    expect(evaluator.results.next).toBe(7)
    expect(await type('if (true) {')).toEqual({ tag: 'incomplete' })
    expect(evaluator.results.next).toBe(7)
    await expect(value('v(99)')).rejects.toThrow('line 99 is not remembered')
  })

  it('forgets variables, and what hid a command', async () => {
    const { value } = prompt({ i: () => 'command' })
    await value('const i = 5, other = 6')
    expect(await value('i + other')).toBe(11)
    expect(await value("f('i')")).toBe('ok')
    expect(await value('i()')).toBe('command')
    expect(await value('other')).toBe(6)
    await value('f()')
    await expect(value('other')).rejects.toThrow('other is not defined')
  })

  it('tells what was thrown, in one line', async () => {
    const { type } = prompt({ fails: async () => Promise.reject(new RangeError('no')) })
    const said = async (source: string): Promise<string> => {
      const outcome = await type(source)
      return outcome.tag === 'thrown' ? errorText(outcome.error) : outcome.tag
    }
    expect(await said('nosuch')).toBe('ReferenceError: nosuch is not defined')
    expect(await said('fails()')).toBe('RangeError: no')
    expect(await said('throw 5')).toBe('thrown: 5')
    expect(await said('1 +* 2')).toBe('syntax: Unexpected token')
  })

  it('leaves an await when it is interrupted', async () => {
    const { type, value } = prompt({ never: () => new Promise(() => {}) })
    const controller = new AbortController()
    const outcome = type('await never()', controller.signal)
    controller.abort()
    expect(await outcome).toEqual({ tag: 'interrupted' })
    expect(await value('1')).toBe(1)
  })

  it('keeps the program apart from what is typed', async () => {
    const { value, logged } = prompt()
    await value('Array.prototype.map = undefined')
    expect([1].map((n) => n + 1)).toEqual([2])
    await expect(value('process')).rejects.toThrow('process is not defined')
    await value("console.log('a', { b: 1 })")
    expect(logged).toEqual(['a { b: 1 }'])
  })
})
