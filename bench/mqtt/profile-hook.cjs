// Loaded into a node with --require: one SIGUSR2 starts the CPU profiler, the next writes the profile to AGNER_PROFILE and
// stops it. Unlike `node --cpu-prof` it leaves out start-up, connecting and warming up.
const { Session } = require('node:inspector')
const { writeFileSync } = require('node:fs')

let session
process.on('SIGUSR2', () => {
  if (session === undefined) {
    session = new Session()
    session.connect()
    session.post('Profiler.enable')
    session.post('Profiler.setSamplingInterval', { interval: 200 })
    session.post('Profiler.start')
  } else {
    session.post('Profiler.stop', (error, result) => {
      if (error) throw error
      writeFileSync(process.env.AGNER_PROFILE, JSON.stringify(result.profile))
    })
    session.disconnect()
    session = undefined
  }
})
