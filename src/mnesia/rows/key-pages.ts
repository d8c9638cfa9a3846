/**
 * A map from string keys to small sets of small integers that lives outside of V8's heap: what a table of millions of routes is made of.
 *
 * A shard is a page: slots, and an arena of bytes in which a record for each key lies, so that ten million of them are some
 * ten thousand buffers and not ten million strings to be marked by each garbage collection. About 44 bytes for a key of 26 characters,
 * against 87 in a Map (bench/mnesia/rows.ts). A record is
 *
 *     varint  2 × length of the key + 1 when a character of it needs two bytes
 *     bytes   the key, Latin-1 or UTF-16 little endian
 *     varint  number of integers
 *     varint… the integers, at most 2^53, in the order in which they came
 *
 * and is a unit of the wire too: a snapshot copies records. A record that changes is written anew behind the others; the arena is
 * compacted when half of it is dead. Growth and the order of keys are those of shards.ts. Keys that collide on purpose go to a
 * Map of their own, as in key-map.ts.
 */
import { byCodeUnits } from '../../actors/sorted-keys.ts'
import { HashSlots } from './hash-slots.ts'
import { hashOf } from './key-hash.ts'
import { END, type Position, Shards } from './shards.ts'

/** Twice what a page can have by chance. */
const MOST_RECORDS = 4096
const LEAST_BYTES = 256

const NO_NUMBERS: readonly never[] = Object.freeze([])
