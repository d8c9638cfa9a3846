import { setImmediate as turn } from 'node:timers/promises'
import { inspect } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { BadArgError } from '../../src/actors/errors.ts'
import { AtomQuota, atom, atomFromPeer } from '../../src/dist/atom-table.ts'
import { eventually } from '../support/eventually.ts'

describe('an atom', () => {
  test('is the same object for the same name', () => {
    expect(atom('ok')).toBe(atom('ok'))
    expect(atom('ok')).not.toBe(atom('Ok'))
    expect(atomFromPeer('ok', new AtomQuota())).toBe(atom('ok'))
  })

  test('has a name of at most 255 characters, as Erlang counts them', () => {
    expect(atom('𝄞'.repeat(255)).name.length).toBe(510)
    expect(() => atom('𝄞'.repeat(256))).toThrow(BadArgError)
    expect(() => atom('x'.repeat(256))).toThrow(BadArgError)
    expect(() => atom('\udc00')).toThrow(BadArgError)
  })

  test('is shown as Erlang shows it', () => {
    expect(inspect([atom('ok'), atom('n1@host'), atom('Hello'), atom("it's"), atom('')])).toBe(
      "[ ok, n1@host, 'Hello', 'it\\'s', '' ]",
    )
    expect(`${atom('Hello')} ${JSON.stringify(atom('ok'))}`).toBe('Hello "ok"')
  })

  test('that nobody holds is collected, and its peer may bring in another', async () => {
    setFlagsFromString('--expose-gc')
    const collectGarbage = runInNewContext('gc') as () => void
    const quota = new AtomQuota(1000)
    const kept = atomFromPeer('kept from a peer', quota)
    for (let i = 0; !quota.isSpent; i++) atomFromPeer(`collected ${i}`, quota)
    expect(atomFromPeer('one too many', quota)).toBeUndefined()
    await eventually(async () => {
      await turn()
      collectGarbage()
      return quota.used < 10
    })
    expect(quota.used).toBeGreaterThan(0)
    expect(atom('kept from a peer')).toBe(kept)
    expect(atomFromPeer('one too many', quota)).toBe(atom('one too many'))
  })
})
