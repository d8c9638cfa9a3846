/**
 * IP addresses and CIDR ranges: hosts of node names, access rules of listeners, `{ipaddr, …}` in acl.conf.
 *
 * Addresses become 16 bytes each, IPv4 in its IPv6-mapped form (::ffff:a.b.c.d), so that a rule for 127.0.0.1 also
 * matches a client that a dual-stack socket reports as ::ffff:127.0.0.1.
 */

/** A range of addresses: those whose first `bits` bits (of 128) are those of `address`. */
export interface Cidr {
  readonly address: Uint8Array
  readonly bits: number
}

/** The 16 bytes of an IPv4 or IPv6 address, or undefined when the text is neither. A zone (`%eth0`) is ignored. */
export function parseAddress(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(16)
  if (!text.includes(':')) {
    bytes[10] = 255
    bytes[11] = 255
    return readIPv4(text, bytes, 12) ? bytes : undefined
  }
  const zone = text.indexOf('%')
  const halves = (zone < 0 ? text : text.slice(0, zone)).split('::')
  if (halves.length > 2) return undefined
  const head = readGroups(halves[0]!)
  const tail = halves.length === 2 ? readGroups(halves[1]!) : []
  if (!head || !tail) return undefined
  const length = head.length + tail.length
  if (halves.length === 1 ? length !== 16 : length > 14) return undefined
  bytes.set(head, 0)
  bytes.set(tail, 16 - tail.length)
  return bytes
}

/** Whether a text is an address that only this machine can reach: 127.0.0.0/8, also as a dual-stack socket shows it, and ::1. */
export function isLoopback(text: string): boolean {
  const address = parseAddress(text)
  if (address === undefined) return false
  const isMapped = address[10] === 255 && address[11] === 255 && address.subarray(0, 10).every((byte) => byte === 0)
  return isMapped ? address[12] === 127 : address[15] === 1 && address.subarray(0, 15).every((byte) => byte === 0)
}

/** An IPv4 address that a dual-stack socket shows as `::ffff:a.b.c.d` in its own form. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}

/** A range from `a.b.c.d`, `a.b.c.d/n`, an IPv6 address or `address/n`; undefined when it is none of them. */
export function parseCidr(text: string): Cidr | undefined {
  const match = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text)
  const address = match ? parseAddress(match[1]!) : undefined
  if (!match || !address) return undefined
  const width = match[1]!.includes(':') ? 128 : 32
  const bits = match[2] === undefined ? width : Number(match[2])
  return bits <= width ? { address, bits: bits + 128 - width } : undefined
}

/** Whether an address lies in a range. */
export function isInCidr(address: Uint8Array, { address: network, bits }: Cidr): boolean {
  const whole = bits >> 3
  for (let i = 0; i < whole; i++) if (address[i] !== network[i]) return false
  const rest = bits & 7
  return rest === 0 || (address[whole]! ^ network[whole]!) >> (8 - rest) === 0
}

function readIPv4(text: string, into: Uint8Array, offset: number): boolean {
  const parts = text.split('.')
  if (parts.length !== 4) return false
  for (const [i, part] of parts.entries()) {
    if (!/^\d{1,3}$/.test(part) || Number(part) > 255) return false
    into[offset + i] = Number(part)
  }
  return true
}

function readGroups(text: string): number[] | undefined {
  if (text === '') return []
  const bytes: number[] = []
  const groups = text.split(':')
  for (const [i, group] of groups.entries()) {
    if (i === groups.length - 1 && group.includes('.')) {
      const last = new Uint8Array(4)
      if (!readIPv4(group, last, 0)) return undefined
      bytes.push(...last)
    } else if (/^[0-9a-f]{1,4}$/i.test(group)) {
      const value = Number.parseInt(group, 16)
      bytes.push(value >> 8, value & 255)
    } else return undefined
  }
  return bytes
}
