import { describe, expect, it } from 'vitest'
import { keyLines, lineOf } from '../../src/boot/toml-lines.ts'

const TEXT = `# a comment = 1
top = 1
[a]
b = """
not = "a key"
"""
c.d = [
  1,
]
[a.'x.y']
"q\\"r" = 2
e = { f = 1 }
[[rows]]
g = 1
[[rows]]
g = 2
`

describe('the line of a key', () => {
  const at = (...path: string[]) => lineOf(keyLines(TEXT), path)

  it('is found for plain, dotted, quoted and table keys', () => {
    expect(at('top')).toBe(2)
    expect(at('a')).toBe(3)
    expect(at('a', 'b')).toBe(4)
    expect(at('a', 'c', 'd')).toBe(7)
    expect(at('a', 'x.y', 'q"r')).toBe(11)
  })

  it('is that of the inline table for a key inside one', () => {
    expect(at('a', 'x.y', 'e', 'f')).toBe(12)
  })

  it('is that of the nearest table for a key that is not written', () => {
    expect(at('a', 'x.y', 'missing')).toBe(10)
    expect(at('nowhere')).toBeUndefined()
  })

  it('is not taken from inside a string of several lines', () => {
    expect(at('a', 'not')).toBe(3)
  })

  it('is found in each table of a list by its number', () => {
    expect(at('rows')).toBe(13)
    expect(at('rows', '0', 'g')).toBe(14)
    expect(at('rows', '1', 'missing')).toBe(15)
    expect(at('rows', '1', 'g')).toBe(16)
  })
})
