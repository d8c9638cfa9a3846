/** Raw clients of a broker or a listener of the test, which end with it. */
import { onTestFinished } from 'vitest'
import type { ConnectPacket, ProtocolVersion } from '../../src/broker/packet.ts'
import { RawClient } from '../support/raw-client.ts'
import { connectPacket } from './protocol-harness.ts'

/** Opens a TCP connection and sends nothing. */
export async function openClient(port: number, version: ProtocolVersion = 4): Promise<RawClient> {
  const client = await RawClient.open({ host: '127.0.0.1', port }, version)
  onTestFinished(() => client.cut())
  return client
}

/** Opens a connection and goes as far as CONNACK, whatever that says. */
export async function connectClient(port: number, packet: Partial<ConnectPacket> = {}): Promise<RawClient> {
  const client = await openClient(port, packet.protocolVersion)
  client.send(connectPacket(packet))
  client.connack = await client.expect('connack')
  return client
}
