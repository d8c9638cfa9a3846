// The floor: the least that a Node process can spend on QoS 0, `node relay-server.mjs PORT [FAULT]`.
//
// No sessions, QoS, wildcards, access control or limits: it splits frames, looks a topic up in a Map, shares the
// publisher's own bytes among the subscribers and writes once per socket and turn. What our broker costs above this is
// the price of being a broker. With FAULT (lose, double, swap) one message in 1000 is treated so, which the load
// generator has to notice.
import { createServer } from 'node:net'

const fault = process.argv[3]
const subscribers = new Map() // topic → Set of sockets
const waiting = new Set() // sockets with frames to write at the end of the turn
let count = 0

function flush() {
  for (const socket of waiting) {
    const frames = socket.frames
    socket.frames = []
    if (frames.length === 1) socket.write(frames[0])
    else if (frames.reduce((sum, frame) => sum + frame.length, 0) < 65536) socket.write(Buffer.concat(frames))
    else {
      socket.cork()
      for (const frame of frames) socket.write(frame)
      socket.uncork()
    }
  }
  waiting.clear()
}

function send(socket, frame) {
  if (waiting.size === 0) setImmediate(flush)
  waiting.add(socket)
  socket.frames.push(frame)
}

function deliver(socket, frame) {
  if (fault !== undefined && ++count % 1000 === 0) {
    if (fault === 'lose') return
    if (fault === 'double') send(socket, frame)
    if (fault === 'swap' && socket.frames.length > 0) {
      socket.frames.splice(-1, 0, frame)
      return
    }
  }
  send(socket, frame)
}

/** The topic of a PUBLISH, or the first filter of a SUBSCRIBE or UNSUBSCRIBE. */
const text = (body, at) => body.latin1Slice(at + 2, at + 2 + body.readUInt16BE(at))

function handle(socket, frame, body) {
  switch (frame[0] >> 4) {
    case 1:
      return send(socket, Buffer.from([0x20, 2, 0, 0]))
    case 3: {
      const members = subscribers.get(text(body, 0))
      if (members !== undefined) for (const member of members) deliver(member, frame)
      return
    }
    case 8: {
      const filter = text(body, 2)
      if (!subscribers.has(filter)) subscribers.set(filter, new Set())
      subscribers.get(filter).add(socket)
      return send(socket, Buffer.from([0x90, 3, body[0], body[1], 0]))
    }
    case 10: {
      const filter = text(body, 2)
      subscribers.get(filter)?.delete(socket)
      if (subscribers.get(filter)?.size === 0) subscribers.delete(filter)
      return send(socket, Buffer.from([0xb0, 2, body[0], body[1]]))
    }
    case 12:
      return send(socket, Buffer.from([0xd0, 0]))
    default:
      return socket.destroy()
  }
}

createServer({ noDelay: true }, (socket) => {
  socket.frames = []
  let carried
  socket.on('data', (chunk) => {
    const bytes = carried === undefined ? chunk : Buffer.concat([carried, chunk])
    let at = 0
    for (;;) {
      let length = 0
      let body = at + 1
      for (let shift = 0; body < bytes.length; shift += 7) {
        length |= (bytes[body] & 127) << shift
        if ((bytes[body++] & 128) === 0) break
      }
      if (body === at + 1 || (bytes[body - 1] & 128) !== 0 || body + length > bytes.length) break
      handle(socket, bytes.subarray(at, body + length), bytes.subarray(body, body + length))
      at = body + length
    }
    carried = at < bytes.length ? bytes.subarray(at) : undefined
  })
  socket.on('error', () => socket.destroy())
  socket.on('close', () => {
    for (const members of subscribers.values()) members.delete(socket)
  })
}).listen(Number(process.argv[2]), '127.0.0.1', () => console.log('listening'))
