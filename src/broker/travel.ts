/**
 * Messages between broker processes in the form in which they leave the node: plain data only.
 *
 * Within a node a batch is shared as it is, with its encodings. What crosses to another node is given the plain form here, by
 * the sender, which knows where it sends; the receiver makes batches of it again (`batchOf`). All else that these
 * processes say to each other is plain data already.
 */
import { Batch, plainBatch, type Run } from './message.ts'
import type { OutPacket, ToSession } from './process-messages.ts'

type Deliver = Extract<ToSession, { tag: 'deliver' }>

/** Returns packets for a connection on another node. */
export function travellingPackets(packets: readonly OutPacket[]): readonly OutPacket[] {
  return packets.map((packet) =>
    packet.cmd === 'batch' && packet.batch instanceof Batch
      ? { cmd: 'batch', batch: plainBatch(packet.batch) }
      : packet,
  )
}

/** Returns a delivery for a session on another node. */
export function travellingDelivery({ tag, runs }: Deliver): Deliver {
  return { tag, runs: runs.map(travellingRun) }
}

function travellingRun({ batch, matched }: Run): Run {
  return { batch: batch instanceof Batch ? plainBatch(batch) : batch, matched }
}
