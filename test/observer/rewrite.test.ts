/** What is typed at the prompt becomes code, and what is no notation of the prompt's own stays what it is. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { rewrite } from '../../src/observer/shell/rewrite.ts'

const code = (source: string): string => {
  const rewritten = rewrite(source)
  if (rewritten.tag !== 'code') throw new Error(JSON.stringify(rewritten))
  return rewritten.code
}

describe('rewriting', () => {
  it.each([
    ['i(<1.77.0>)', 'i(pid(1,77,0))'],
    ['<0.12.0>', 'pid(0,12,0)'],
    ['[<1.2.3>, <10.20.30>]', '[pid(1,2,3), pid(10,20,30)]'],
    ['a <0.5', 'a <0.5'],
    ["send('<1.2.3>', `<1.2.3>`)", "send('<1.2.3>', `<1.2.3>`)"],
    ['/<0.1.2>/.test(x)', '/<0.1.2>/.test(x)'],
    ['x // <1.2.3>', 'x'],
  ])('reads %s as %s', (source, expected) => {
    expect(code(source)).toBe(expected)
  })

  it.each([
    ['nodes().', 'nodes()'],
    ['nodes() . ', 'nodes()'],
    ['{ a: 1 }', '({ a: 1 }\n)'],
    ['const x = 1', '(x = 1);'],
    ['let x', '(x = undefined);'],
    ['var a = 1, b = 2', '(a = 1), (b = 2);'],
    ['const { a } = o', '({ a } = o);'],
    ['function f() {}', '(f = function f() {});'],
    ['class A {}', '(A = class A {});'],
  ])('makes of %s: %s', (source, expected) => {
    expect(code(source)).toBe(expected)
  })

  it('returns the value of the last expression of what awaits', () => {
    expect(code('const x = await f()')).toBe('(async () => {\nreturn ((x = await f())\n)\n})()')
    expect(code('await a; b')).toBe('(async () => {\nawait a;\nreturn (b\n)\n})()')
    expect(code('for await (const m of n) console.log(m)')).toContain('async')
    expect(code('async () => { await 1 }')).toBe('async () => { await 1 }')
  })

  it.each(['f(', '{ a: 1', '`abc', '/* a', 'x =>', 'for (;;) {', 'x.', "'a\\"])(
    '%s goes on, on the next line',
    (source) => {
      expect(rewrite(source)).toEqual({ tag: 'incomplete' })
    },
  )

  it.each(['1 +* 2', "'abc", 'return 1', 'a b', ')'])('%s is told to be wrong', (source) => {
    expect(rewrite(source).tag).toBe('error')
  })

  it('tells which variables are assigned at the top', () => {
    expect(rewrite('const a = 1, b = 2; c = 3; d.e = 4; f()')).toMatchObject({ names: ['a', 'b', 'c'] })
  })

  it('leaves any JSON alone, and never throws', () => {
    fc.assert(
      fc.property(fc.json(), (json) => {
        const source = `x(${json})`
        expect(code(source)).toBe(source)
      }),
    )
    fc.assert(fc.property(fc.string(), (text) => void rewrite(text)))
  })
})
