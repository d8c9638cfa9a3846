/** Messages of QoS 1 from one publisher to one subscriber, so many of them under way at a time. */
import { LoadClient } from './client.ts'
import type { ClusterNode } from './nodes.ts'

const TOPIC = 'bench/t'
const PAYLOAD = Buffer.alloc(64, 'x')

export interface Figures {
  readonly perSec: number
  /** CPU of all nodes for a message, us. */
  readonly cpuUs: number
}

export class Delivery {
  readonly #subscriber: LoadClient
  readonly #publisher: LoadClient

  private constructor(subscriber: LoadClient, publisher: LoadClient) {
    this.#subscriber = subscriber
    this.#publisher = publisher
  }

  static async open(from: ClusterNode, to: ClusterNode, clean: boolean): Promise<Delivery> {
    const subscriber = await LoadClient.open(to.port, 'subscriber', clean)
    subscriber.subscribe(TOPIC, 1)
    await subscriber.until(() => subscriber.subscribed === 1)
    return new Delivery(subscriber, await LoadClient.open(from.port, 'publisher'))
  }

  /** Publishes so many and resolves when they are acknowledged, and, unless its client is away, delivered. */
  async run(count: number, window: number, isAway = false): Promise<void> {
    const publisher = this.#publisher
    const subscriber = this.#subscriber
    const heard = subscriber.published
    const acked = publisher.acknowledged
    for (let sent = 0; sent < count; ) {
      for (; sent < count && sent - (publisher.acknowledged - acked) < window; sent += 1) {
        publisher.publish(TOPIC, PAYLOAD, 1, 1 + (sent % 65_000))
      }
      const floor = publisher.acknowledged + 1
      await publisher.until(() => publisher.acknowledged >= floor)
    }
    await publisher.until(() => publisher.acknowledged - acked >= count)
    if (!isAway) await subscriber.until(() => subscriber.published - heard >= count)
  }

  async measure(nodes: readonly ClusterNode[], count: number, window: number, isAway = false): Promise<Figures> {
    const cpu = nodes.map((node) => node.cpuMs())
    const begun = performance.now()
    await this.run(count, window, isAway)
    const seconds = (performance.now() - begun) / 1000
    const cpuMs = nodes.reduce((sum, node, i) => sum + node.cpuMs() - cpu[i]!, 0)
    return { perSec: count / seconds, cpuUs: (cpuMs * 1000) / count }
  }

  /** The subscriber goes; a lasting session stays. */
  leave(): void {
    this.#subscriber.close()
  }

  close(): void {
    this.#publisher.close()
    this.#subscriber.close()
  }
}
