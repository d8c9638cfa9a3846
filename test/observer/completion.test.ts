/** What Tab finds, and what of a session is kept for the next. */
import { describe, expect, it } from 'vitest'
import { commonPrefix, complete } from '../../src/observer/shell/completion.ts'
import { isKept } from '../../src/observer/shell/history.ts'

const commands = { sys: { getState: () => {}, getStatus: () => {} }, supTree: () => {}, i: () => {} }

const tab = async (line: string): Promise<string[]> => {
  const { candidates } = await complete(line, {
    names: () => Object.keys(commands),
    lookUp: ([name]) => commands[name as keyof typeof commands],
    pids: () => ['<1.77.0>', '<1.7.0>', '<0.5.0>'],
    words: async () => ['n1@127.0.0.1', 'router', 'route'],
  })
  return candidates
}

describe('completion', () => {
  it.each<[string, string[]]>([
    ['su', ['supTree']],
    ['i(s', ['supTree', 'sys']],
    ['sys.get', ['getState', 'getStatus']],
    ['i(sys.getSta', ['getState', 'getStatus']],
    ["whereis('rou", ['router', 'route']],
    ['at("n', ['n1@127.0.0.1']],
    ["whereis('it\\'s' + 'router', su", ['supTree']],
    ['i(<1.7', ['<1.77.0>', '<1.7.0>']],
    ['<', ['<1.77.0>', '<1.7.0>', '<0.5.0>']],
    ['nothing.', []],
    ["i('x').", []],
  ])('of %s finds %j', async (line, found) => {
    expect(await tab(line)).toEqual(found)
  })

  it('goes as far as all candidates agree', () => {
    expect(commonPrefix(['getState', 'getStatus'])).toBe('getStat')
    expect(commonPrefix(['a', 'b'])).toBe('')
    expect(commonPrefix([])).toBe('')
  })
})

it('lines with a cookie or a password are not kept', () => {
  expect(["rpc('a', 'b')", "x = 'mysecret'", "const COOKIE = 'x'", 'password', 'passwd'].map(isKept)).toEqual([
    true,
    false,
    false,
    false,
    false,
  ])
})
