import { describe, expect, it } from 'vitest'
import { isInCidr, parseAddress, parseCidr } from '../../src/dist/ip.ts'

const within = (address: string, range: string) => isInCidr(parseAddress(address)!, parseCidr(range)!)

describe('a range of addresses', () => {
  it.each([
    ['10.1.2.3', '10.0.0.0/8', true],
    ['11.1.2.3', '10.0.0.0/8', false],
    ['192.168.1.130', '192.168.1.128/25', true],
    ['192.168.1.127', '192.168.1.128/25', false],
    ['127.0.0.1', '127.0.0.1', true],
    ['127.0.0.2', '127.0.0.1', false],
    ['1.2.3.4', '0.0.0.0/0', true],
    ['::1', '::1', true],
    ['2001:db8::5', '2001:db8::/32', true],
    ['2001:db9::5', '2001:db8::/32', false],
    ['::ffff:127.0.0.1', '127.0.0.0/8', true],
    ['127.0.0.1', '::ffff:127.0.0.1', true],
    ['127.0.0.1', '::/0', true],
    ['::1', '0.0.0.0/0', false],
    ['fe80::1%eth0', 'fe80::/10', true],
  ])('with %s in %s is %s', (address, range, expected) => {
    expect(within(address, range)).toBe(expected)
  })

  it.each([
    '',
    '1.2.3',
    '1.2.3.256',
    '1.2.3.4/33',
    'a.b.c.d',
    '::1/129',
    '1::2::3',
    ':::',
    '12345::',
    '1.2.3.4/',
    '1:2:3:4:5:6:7:8:9',
  ])('is not %j', (text) => {
    expect(parseCidr(text)).toBeUndefined()
  })

  it('reads every form of an IPv6 address alike', () => {
    const same = ['2001:db8:0:0:0:0:0:1', '2001:db8::1', '2001:DB8::0:1', '2001:db8::0.0.0.1']
    for (const form of same) expect(parseAddress(form)).toEqual(parseAddress(same[0]!))
  })
})
