/** Bytes as Erlang/OTP 25's epmd sent them, and what must not be taken for a request or a reply. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  encodeAlive2,
  encodeAlive2Reply,
  encodeNamesReply,
  encodePort2Reply,
  encodePortPlease2,
  encodeStop,
  KILL_REQUEST,
  MAX_REQUEST_BYTES,
  NAMES_REQUEST,
  parseAlive2Reply,
  parseNamesReply,
  parsePort2Reply,
  parseRequest,
  RequestReader,
} from '../../src/dist/epmd-protocol.ts'

const hex = (text: string) => Buffer.from(text, 'hex')
const A = {
  name: 'a',
  port: 1111,
  nodeType: 77,
  protocol: 0,
  highest: 6,
  lowest: 5,
  extra: Buffer.from('xy'),
}

describe('a request to epmd', () => {
  it('has the bytes that Erlang sends', () => {
    expect(encodeAlive2(A)).toEqual(hex('0010780457 4d 00 0006 0005 0001 61 0002 7879'.replaceAll(' ', '')))
    expect(encodePortPlease2('n1')).toEqual(hex('00037a6e31'))
    expect(NAMES_REQUEST).toEqual(hex('00016e'))
    expect(KILL_REQUEST).toEqual(hex('00016b'))
    expect(encodeStop('n1')).toEqual(hex('0003736e31'))
  })

  it('is read whole however it is cut', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20), { maxLength: 20 }), (cuts) => {
        const bytes = Buffer.concat([encodeAlive2(A), Buffer.from('more')])
        const reader = new RequestReader()
        let at = 0
        let body: Buffer | 'more' | 'bad' = 'more'
        for (const cut of [...cuts, bytes.length]) {
          if (body !== 'more') break
          body = reader.push(bytes.subarray(at, at + cut))
          at += cut
        }
        expect(body).toBeInstanceOf(Buffer)
        expect(parseRequest(body as Buffer)).toEqual({ tag: 'alive2', node: A })
      }),
    )
  })

  it('is refused when it is empty or longer than any request may be', () => {
    expect(new RequestReader().push(hex('0000'))).toBe('bad')
    expect(new RequestReader().push(Buffer.of((MAX_REQUEST_BYTES + 1) >> 8, (MAX_REQUEST_BYTES + 1) & 255))).toBe('bad')
  })

  it.each([
    ['an unknown one', '51'],
    ['an empty name', '7a'],
    ['a name with a line end, which would forge a line of NAMES', '7a610a62'],
    ['a name with a blank', '7a612062'],
    ['a name that is no UTF-8', '7aff'],
    ['a registration that is cut off', '7804574d000006000500ff61'],
    ['a registration without a name', '7804574d00000600050000' + '0000'],
  ])('is refused when it is %s', (_, body) => {
    expect(parseRequest(hex(body))).toBeUndefined()
  })

  it('has a name of at most 255 bytes', () => {
    expect(parseRequest(Buffer.from(`z${'n'.repeat(255)}`))).toBeDefined()
    expect(parseRequest(Buffer.from(`z${'n'.repeat(256)}`))).toBeUndefined()
  })
})

describe('an answer of epmd', () => {
  it('to ALIVE2 carries a creation of 32 bits for version 6', () => {
    expect(parseAlive2Reply(hex('76006b0253ec'))).toEqual({ creation: 0x6b0253ec })
    expect(encodeAlive2Reply(0x6b0253ec, 6)).toEqual(hex('76006b0253ec'))
    expect(parseAlive2Reply(hex('760100000063'))).toBe('refused')
    expect(encodeAlive2Reply(undefined, 6)).toEqual(hex('760100000063'))
  })

  it('to ALIVE2 carries a creation of 1 to 3 for version 5', () => {
    expect(parseAlive2Reply(hex('79000003'))).toEqual({ creation: 3 })
    for (let creation = 4; creation < 10; creation++) {
      const reply = parseAlive2Reply(encodeAlive2Reply(creation, 5))
      expect([1, 2, 3]).toContain((reply as { creation: number }).creation)
    }
    expect(parseAlive2Reply(hex('79010063'))).toBe('refused')
  })

  it('to ALIVE2 is awaited until it is whole, and must be one', () => {
    const whole = hex('76006b0253ec')
    for (let length = 0; length < whole.length; length++) {
      expect(parseAlive2Reply(whole.subarray(0, length))).toBe('more')
    }
    expect(parseAlive2Reply(Buffer.from('HTTP/1.1 400'))).toBe('bad')
    expect(parseAlive2Reply(hex('760000000000'))).toBe('bad')
  })

  it('to PORT_PLEASE2 has the node or that there is none', () => {
    const bytes = hex('770004574d000006000500016100027879')
    expect(parsePort2Reply(bytes)).toEqual(A)
    expect(encodePort2Reply(A)).toEqual(bytes)
    expect(parsePort2Reply(hex('7701'))).toBe('noport')
    expect(encodePort2Reply(undefined)).toEqual(hex('7701'))
    for (let length = 0; length < bytes.length; length++) {
      expect(parsePort2Reply(bytes.subarray(0, length))).toBe('bad')
    }
  })

  it('to NAMES has a line a node', () => {
    const bytes = hex('0000383f6e616d65206220617420706f727420323232320a6e616d65206120617420706f727420313131310a')
    const nodes = [
      { name: 'b', port: 2222 },
      { name: 'a', port: 1111 },
    ]
    expect(parseNamesReply(bytes)).toEqual({ epmdPort: 14_399, nodes })
    expect(encodeNamesReply(14_399, nodes)).toEqual(bytes)
    expect(parseNamesReply(hex('0000383f'))).toEqual({ epmdPort: 14_399, nodes: [] })
    expect(parseNamesReply(hex('00'))).toBe('bad')
    expect(parseNamesReply(Buffer.from('0000rubbish\n'))).toBe('bad')
  })

  it('of any bytes is read without an exception', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const buffer = Buffer.from(bytes)
        parseAlive2Reply(buffer)
        parsePort2Reply(buffer)
        parseNamesReply(buffer)
        parseRequest(buffer)
        new RequestReader().push(buffer)
      }),
    )
  })
})
