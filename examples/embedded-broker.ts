/** A broker in one's own program, with a hook and a client: `node --import tsx examples/embedded-broker.ts`. */
import { startBroker } from 'agner/broker'
import mqtt from 'mqtt'

const broker = await startBroker({ name: 'n1@127.0.0.1', listeners: { tcp: { port: 0 } } })
broker.hooks.on('message.publish', (message) => (message.topic.startsWith('private/') ? 'drop' : message))

const [listener] = broker.listeners
const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${listener?.port}`)
await client.subscribeAsync(['hello', 'private/#'], { qos: 1 })

const received = new Promise<void>((resolve) => {
  client.on('message', (topic, payload) => {
    console.log(topic, payload.toString()) // hello world
    resolve()
  })
})
await broker.publish({ topic: 'private/key', payload: 'secret', qos: 1 }) // dropped by the hook
await broker.publish({ topic: 'hello', payload: 'world', qos: 1 })
await received

await client.endAsync()
await broker.stop()
