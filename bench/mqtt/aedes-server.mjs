// aedes as a process of its own, for the benchmark: `node aedes-server.mjs PORT`. Its defaults, in memory,
// on a plain TCP server. JavaScript, so that no loader adds to the memory that is measured.
import { createServer } from 'node:net'
import { Aedes } from 'aedes'

const broker = await Aedes.createBroker()
// The default backlog of 511 is kept: 100 handshakes at a time fit.
createServer(broker.handle).listen(Number(process.argv[2]), '127.0.0.1')
