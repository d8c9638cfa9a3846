/** An MQTT 3.1.1 client that costs little: frames are made by hand and only counted when they come. */
import { connect, type Socket } from 'node:net'

const CONNACK = 2
const PUBLISH = 3
const PUBACK = 4
const SUBACK = 9

export class LoadClient {
  /** Frames of each type that have come. */
  readonly counts = new Array<number>(16).fill(0)
  readonly #socket: Socket
  #rest: Buffer = Buffer.alloc(0)
  #waiting: { readonly isDone: () => boolean; readonly done: () => void } | undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('data', (chunk) => this.#take(chunk))
    socket.on('error', () => {})
  }

  static async open(port: number, clientId: string, clean = true): Promise<LoadClient> {
    const socket = connect(port, '127.0.0.1')
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    const client = new LoadClient(socket)
    const id = Buffer.from(clientId)
    const body = Buffer.concat([
      Buffer.from([0, 4]),
      Buffer.from('MQTT'),
      Buffer.from([4, clean ? 2 : 0, 0, 0]),
      text(id),
    ])
    client.#send(0x10, body)
    await client.until(() => client.counts[CONNACK] === 1)
    return client
  }

  get published(): number {
    return this.counts[PUBLISH]!
  }

  get acknowledged(): number {
    return this.counts[PUBACK]!
  }

  get subscribed(): number {
    return this.counts[SUBACK]!
  }

  subscribe(filter: string, messageId: number, qos = 1): void {
    this.#send(0x82, Buffer.concat([number(messageId), text(Buffer.from(filter)), Buffer.from([qos])]))
  }

  publish(topic: string, payload: Buffer, qos: number, messageId: number): void {
    const parts =
      qos === 0 ? [text(Buffer.from(topic)), payload] : [text(Buffer.from(topic)), number(messageId), payload]
    this.#send(0x30 | (qos << 1), Buffer.concat(parts))
  }

  /** Resolves when a condition holds that frames which come make true. */
  until(isDone: () => boolean): Promise<void> {
    if (isDone()) return Promise.resolve()
    return new Promise((done) => {
      this.#waiting = { isDone, done }
    })
  }

  close(): void {
    this.#socket.destroy()
  }

  #send(head: number, body: Buffer): void {
    const length: number[] = []
    let rest = body.length
    do {
      length.push((rest & 127) | (rest > 127 ? 128 : 0))
      rest >>= 7
    } while (rest > 0)
    this.#socket.write(Buffer.concat([Buffer.from([head, ...length]), body]))
  }

  #take(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const acks: Buffer[] = []
    let at = 0
    for (;;) {
      let length = 0
      let size = 1
      while (size < 5 && at + size < bytes.length && bytes[at + size]! > 127) size += 1
      if (at + size >= bytes.length) break
      for (let i = 0; i < size; i += 1) length |= (bytes[at + 1 + i]! & 127) << (7 * i)
      const body = at + 1 + size
      if (body + length > bytes.length) break
      const head = bytes[at]!
      this.counts[head >> 4]! += 1
      if (head >> 4 === PUBLISH && (head & 6) !== 0) {
        const id = body + 2 + bytes.readUInt16BE(body)
        acks.push(Buffer.from([0x40, 2, bytes[id]!, bytes[id + 1]!]))
      }
      at = body + length
    }
    this.#rest = bytes.subarray(at)
    if (acks.length > 0) this.#socket.write(Buffer.concat(acks))
    const waiting = this.#waiting
    if (waiting === undefined || !waiting.isDone()) return
    this.#waiting = undefined
    waiting.done()
  }
}

function text(bytes: Buffer): Buffer {
  return Buffer.concat([number(bytes.length), bytes])
}

function number(value: number): Buffer {
  return Buffer.from([value >> 8, value & 255])
}
