/** The read-only shell calls commands with literal arguments, and runs nothing else whatever is typed. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { observerCommands } from '../../src/observer/commands/all.ts'
import { type Callable, evaluateExpression } from '../../src/observer/remote-shell/expression.ts'

const callable: Callable = {
  command: (name) =>
    ['i', 'whereis', 'sys.getState'].includes(name) ? async (node, args) => ({ name, node, args }) : undefined,
  term: (name) => (name === 'pid' ? (...parts) => `pid ${parts.join('.')}` : undefined),
}
const run = (line: string): Promise<unknown> => evaluateExpression(line, callable)

describe('an expression', () => {
  it.each<[string, unknown]>([
    ['i()', { name: 'i', node: undefined, args: [] }],
    ['i().', { name: 'i', node: undefined, args: [] }],
    ["i({ limit: 5, sort: 'reds' })", { name: 'i', node: undefined, args: [{ limit: 5, sort: 'reds' }] }],
    ['whereis(rex)', { name: 'whereis', node: undefined, args: ['rex'] }],
    ['sys.getState(<0.12.0>)', { name: 'sys.getState', node: undefined, args: ['pid 0.12.0'] }],
    ["at('n2').i(-1, [true, null], undefined)", { name: 'i', node: 'n2', args: [-1, [true, null], undefined] }],
    ["at(n2).sys.getState('x')", { name: 'sys.getState', node: 'n2', args: ['x'] }],
    ['await i(`text`)', { name: 'i', node: undefined, args: ['text'] }],
    ['<1.2.3>', 'pid 1.2.3'],
    ['5', 5],
  ])('%s is understood', async (line, value) => {
    expect(await run(line)).toEqual(value)
  })

  it('takes the value of a command as an argument of another', async () => {
    expect(await run('i(whereis(rex))')).toMatchObject({ args: [{ name: 'whereis', args: ['rex'] }] })
  })

  it.each([
    'exit(1)',
    'process.exit()',
    'i.constructor("return process")()',
    'i["call"]()',
    'i().then(x)',
    'x = 1',
    '1 + 1',
    '(() => 1)()',
    'new Date()',
    'i(...[1])',
    'i({ ["a"]: 1 })',
    'i({ __proto__: {} })',
    'i({ get a() { return 1 } })',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: what is typed has it
    'i(`${1}`)',
    'i(/x/)',
    'import("fs")',
    'i(); i()',
    'i(',
    '',
    'this',
    'at(5).i()',
    'typeof i',
  ])('%s is refused', async (line) => {
    await expect(run(line)).rejects.toThrow(/only commands|no command|syntax|one command|at takes/)
  })

  it('of any text runs nothing but commands', async () => {
    const token = fc.constantFrom(
      'i',
      '(',
      ')',
      '.',
      'at',
      "'n'",
      '{',
      '}',
      ':',
      ',',
      '[',
      ']',
      'constructor',
      '=>',
      '`',
      '1',
    )
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.string(),
          fc.array(token).map((tokens) => tokens.join('')),
        ),
        async (line) => {
          const outcome = await run(line).catch((error: Error) => error.name)
          expect(typeof outcome === 'function').toBe(false)
          expect(outcome === 'ObserverError' || outcome !== 'TypeError').toBe(true)
        },
      ),
      { numRuns: 500 },
    )
  })
})

it('the commands that only read leave out everything that sends, calls or changes', () => {
  const left = [...observerCommands().readOnly().commands].map(({ name }) => name)
  expect(left).toEqual([
    ...['node', 'nodes', 'names', 'ping', 'nodeInfo'],
    ...['i', 'regs', 'whereis', 'processInfo', 'top', 'topWindow', 'links', 'messages'],
    ...['sys.getState', 'sys.getStatus', 'supervisor.whichChildren', 'supervisor.countChildren', 'supTree', 'apps'],
    ...['tables', 'tableInfo', 'tv', 'memory', 'uptime', 'load', 'help'],
  ])
})

it('modules add groups of commands, under names that are free', () => {
  const table = observerCommands()
  table.add({ title: 'MQTT', commands: [{ name: 'clients', params: '()', help: 'connected clients', run: () => [] }] })
  expect(table.find('clients')?.help).toBe('connected clients')
  expect(() => table.add({ title: 'Again', commands: [{ name: 'i', params: '', help: '', run: () => 0 }] })).toThrow(
    'there is a command i already',
  )
})
