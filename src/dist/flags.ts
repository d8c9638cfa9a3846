/**
 * Distribution flags: what a node can do, exchanged in the handshake [OTP erts, Distribution Protocol, Distribution Flags].
 *
 * What two nodes use is what both have. Left out on purpose: DIST_HDR_ATOM_CACHE, which saves no time (docs/decisions), and NAME_ME, since a node of ours has its name before it connects.
 *
 * 64 bits, so a bigint: they are read a few times a connection. Keep what is asked for each message as a boolean.
 */

/** The bits, by the names that OTP gives them without `DFLAG_`. */
export const FLAG = {
  PUBLISHED: 0x1n,
  ATOM_CACHE: 0x2n,
  EXTENDED_REFERENCES: 0x4n,
  DIST_MONITOR: 0x8n,
  FUN_TAGS: 0x10n,
  DIST_MONITOR_NAME: 0x20n,
  NEW_FUN_TAGS: 0x80n,
  EXTENDED_PIDS_PORTS: 0x100n,
  EXPORT_PTR_TAG: 0x200n,
  BIT_BINARIES: 0x400n,
  NEW_FLOATS: 0x800n,
  UNICODE_IO: 0x1000n,
  DIST_HDR_ATOM_CACHE: 0x2000n,
  SMALL_ATOM_TAGS: 0x4000n,
  UTF8_ATOMS: 0x10000n,
  MAP_TAG: 0x20000n,
  BIG_CREATION: 0x40000n,
  SEND_SENDER: 0x80000n,
  EXIT_PAYLOAD: 0x400000n,
  FRAGMENTS: 0x800000n,
  HANDSHAKE_23: 0x1000000n,
  UNLINK_ID: 0x2000000n,
  // The protocol guide prints bit 36; the source and the wire have bit 26.
  MANDATORY_25_DIGEST: 0x4000000n,
  SPAWN: 1n << 32n,
  NAME_ME: 1n << 33n,
  V4_NC: 1n << 34n,
  ALIAS: 1n << 35n,
} as const

/** The name of a flag. */
export type FlagName = keyof typeof FLAG

/** What OTP 25 insists on; MANDATORY_25_DIGEST stands for all of them. */
const MANDATORY_25: readonly FlagName[] = [
  'EXTENDED_REFERENCES',
  'FUN_TAGS',
  'NEW_FUN_TAGS',
  'EXTENDED_PIDS_PORTS',
  'EXPORT_PTR_TAG',
  'BIT_BINARIES',
  'NEW_FLOATS',
  'UTF8_ATOMS',
  'MAP_TAG',
  'BIG_CREATION',
  'HANDSHAKE_23',
]

/** What we have and a peer need not have. FRAGMENTS: see fragments.ts. SPAWN: without it Erlang's `rpc:call` to us answers `notsup`. */
const OPTIONAL: readonly FlagName[] = [
  'DIST_MONITOR',
  'DIST_MONITOR_NAME',
  'UNICODE_IO',
  'SMALL_ATOM_TAGS',
  'SEND_SENDER',
  'EXIT_PAYLOAD',
  'FRAGMENTS',
  'UNLINK_ID',
  'MANDATORY_25_DIGEST',
  'SPAWN',
  'V4_NC',
  'ALIAS',
]

const MANDATORY_25_BITS = bitsOf(MANDATORY_25)
const HIDDEN_FLAGS = MANDATORY_25_BITS | bitsOf(OPTIONAL)

/** The flags that a node of ours sends; a hidden one is not published. */
export function ourFlags(isHidden: boolean): bigint {
  return isHidden ? HIDDEN_FLAGS : HIDDEN_FLAGS | FLAG.PUBLISHED
}

/** A peer's flags with those that its digest bit stands for. */
export function expandFlags(flags: bigint): bigint {
  return (flags & FLAG.MANDATORY_25_DIGEST) === 0n ? flags : flags | MANDATORY_25_BITS
}

/** The mandatory flags that a peer, its flags expanded, does not have. */
export function missingFlags(flags: bigint): readonly FlagName[] {
  return MANDATORY_25.filter((name) => (flags & FLAG[name]) === 0n)
}

/** Whether a set has a flag. */
export function hasFlag(flags: bigint, name: FlagName): boolean {
  return (flags & FLAG[name]) !== 0n
}

function bitsOf(names: readonly FlagName[]): bigint {
  return names.reduce((bits, name) => bits | FLAG[name], 0n)
}
