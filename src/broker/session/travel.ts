/**
 * Messages between broker processes of different nodes: the form in which they leave, and what becomes of them where they arrive.
 *
 * Within a node a batch is shared as it is, with its encodings. What crosses to another node is given the plain form here, by
 * the sender, which knows where it sends; the receiver makes batches of it again (`batchOf`). All else that these
 * processes say to each other is plain data already, which the distribution brings over as it is. What a session sends to a far
 * connection goes in parts, so that a large window is no single frame, and other traffic fits in between.
 *
 * What arrives has Buffers that are views of what was received from the node: whatever outlives the turn is copied, since a few
 * bytes would otherwise hold a chunk of the socket in memory.
 */

import { Batch, plainBatch, type Run } from '../message.ts'
import { ownBytes } from '../own-bytes.ts'
import type { ForwardedProperties } from '../packet.ts'
import type { ClientInfo, OutPacket, SessionPacket } from '../process-messages.ts'

/** A part is closed when its payloads and topics have so many bytes; a single message may be larger. */
const PART_BYTES = 262_144

/** Returns packets for a connection on another node, in parts that are to be sent one by one. */
export function travellingPackets(packets: readonly OutPacket[]): readonly (readonly OutPacket[])[] {
  const parts: OutPacket[][] = []
  let part: OutPacket[] = []
  let bytes = 0
  for (const packet of packets) {
    part.push(
      packet.cmd === 'batch' && packet.batch instanceof Batch
        ? { cmd: 'batch', batch: plainBatch(packet.batch) }
        : packet,
    )
    bytes += bytesOf(packet)
    if (bytes < PART_BYTES) continue
    parts.push(part)
    part = []
    bytes = 0
  }
  if (part.length > 0) parts.push(part)
  return parts
}

/** Returns a run for a session on another node. */
export function travellingRun({ batch, matched }: Run): Run {
  return { batch: batch instanceof Batch ? plainBatch(batch) : batch, matched }
}

/** Frees packets of a client on another node from the chunk in which they came, but for payloads, which a message makes its own. */
export function arrivedPackets(packets: readonly SessionPacket[]): readonly SessionPacket[] {
  for (const packet of packets) if (packet.cmd === 'publish') ownProperties(packet.properties)
  return packets
}

/** Frees what is kept of a client on another node from the chunk in which it came. */
export function arrivedClient(client: ClientInfo): ClientInfo {
  const { will } = client
  if (will === undefined) return client
  ownProperties(will.properties)
  return { ...client, will: { ...will, payload: ownBytes(will.payload) } }
}

function bytesOf(packet: OutPacket): number {
  if (packet.cmd === 'publish') return packet.message.topic.length + packet.message.payload.length
  if (packet.cmd !== 'batch') return 0
  return packet.batch instanceof Batch ? packet.batch.bytes : 0
}

/** What has just been decoded is nobody else's, so it is changed in its place. */
function ownProperties(properties: ForwardedProperties | undefined): void {
  if (properties?.correlationData !== undefined) properties.correlationData = ownBytes(properties.correlationData)
}
