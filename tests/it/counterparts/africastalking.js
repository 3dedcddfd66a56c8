// The official SDK of Africa's Talking: `send` an SMS to a stand-in, or `serve` a USSD application made with it.
'use strict'
const africastalking = require('africastalking')

const at = africastalking({ username: 'lodging', apiKey: 'key' })
const say = (event) => process.stdout.write(JSON.stringify(event) + '\n')
const [, , what, where] = process.argv

if (what === 'send') {
  // It has no setting for the host.
  Object.assign(require('africastalking/lib/common'), { SMS_URL: where })
  at.SMS.send({ to: ['+254711000001'], message: 'Karibu é €', from: '22384', enqueue: true })
    .then((answer) => say({ event: 'sent', answer }), (error) => say({ event: 'failed', why: String(error) }))
} else {
  const app = require('express')()
  app.post('/ussd/africastalking/demo', at.USSD((call, answer) => {
    const { text } = call
    say({ event: 'call', ...call })
    if (text === '') answer({ response: 'What is your name?', endSession: false })
    else answer({ response: `Bye ${text}`, endSession: true })
  }))
  app.post('/ussd/africastalking/demo/events', (_, response) => response.sendStatus(200))
  app.listen(Number(where), '127.0.0.1', () => say({ event: 'listening' }))
}
