// An SMSC for tests, made of the package `smpp`. Orders come in on stdin, one JSON object a line; what happens goes out on
// stdout the same way.
//
//   {"statuses":[88]}                   what the next submits are answered with; then 0
//   {"hangup":true}                     the next submit is read, and the connection breaks
//   {"receipts":false}                  no receipts are sent
//   {"hold":true}                       submits are not answered; with false those held are, one after the other
//   {"deliver":{…}}                     a deliver_sm with these fields; `hex` is a short_message in octets
//   {"drop":true}                       every connection breaks
'use strict'
const fs = require('node:fs')
const readline = require('node:readline')
const smpp = require('smpp')

const port = Number(process.argv[2])
const say = (event) => process.stdout.write(JSON.stringify(event) + '\n')
const order = { statuses: [], hangup: false, receipts: true, hold: false }
const held = []
const sessions = new Set()
let submits = 0

const octets = (message) => {
  if (message === undefined || message === null) return Buffer.alloc(0)
  return Buffer.isBuffer(message) ? message : Buffer.from(String(message), 'latin1')
}

const receipt = (session, pdu, id) => session.deliver_sm({
  source_addr_ton: 1,
  source_addr_npi: 1,
  source_addr: pdu.destination_addr,
  destination_addr: pdu.source_addr,
  esm_class: 4,
  data_coding: 0,
  receipted_message_id: id,
  message_state: 2,
  short_message: `id:${id} sub:001 dlvrd:001 submit date:2601010000 done date:2601010000 stat:DELIVRD err:000 text:`
})

// With TLS where the paths of a key and a certificate follow the port.
const tls = process.argv[4] ? { key: fs.readFileSync(process.argv[3]), cert: fs.readFileSync(process.argv[4]) } : {}
const server = smpp.createServer(tls, (session) => {
  session.on('error', () => {})
  session.on('close', () => { sessions.delete(session); say({ event: 'closed' }) })
  session.on('bind_transceiver', (pdu) => {
    const known = pdu.system_id === 'gw' && pdu.password === 'gwpass'
    say({ event: 'bind', known, interface_version: pdu.interface_version })
    if (!known) {
      session.send(pdu.response({ command_status: smpp.ESME_RINVPASWD }))
      return session.close()
    }
    session.send(pdu.response({ system_id: 'TEST' }))
    sessions.add(session)
  })
  session.on('enquire_link', (pdu) => { say({ event: 'enquire_link' }); session.send(pdu.response()) })
  session.on('unbind', (pdu) => { say({ event: 'unbind' }); session.send(pdu.response()); session.close() })
  session.on('submit_sm', (pdu) => {
    const id = (++submits).toString(16).padStart(8, '0').toUpperCase()
    const status = order.statuses.shift() || 0
    const message = pdu.short_message
    say({
      event: 'submit',
      id,
      status,
      from: pdu.source_addr,
      from_ton: pdu.source_addr_ton,
      to: pdu.destination_addr,
      service_type: pdu.service_type,
      esm_class: pdu.esm_class,
      data_coding: pdu.data_coding,
      registered_delivery: pdu.registered_delivery,
      // As the package reads it: the alphabet is its own table, not ours.
      text: typeof message.message === 'string' ? message.message : octets(message.message).toString('latin1'),
      udh: (message.udh || []).map((element) => Buffer.from(element).toString('hex')),
      op: pdu.ussd_service_op,
      reference: pdu.user_message_reference
    })
    if (order.hangup) {
      order.hangup = false
      return session.destroy()
    }
    const answer = () => {
      say({ event: 'answer', id })
      if (status !== 0) return session.send(pdu.response({ command_status: status }))
      session.send(pdu.response({ message_id: id }))
      if (order.receipts && pdu.registered_delivery & 1) receipt(session, pdu, id)
    }
    if (order.hold) held.push(answer)
    else answer()
  })
})

server.listen(port, '127.0.0.1', () => say({ event: 'listening' }))

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const { deliver, drop, ...rest } = JSON.parse(line)
  Object.assign(order, rest)
  if (!order.hold) for (const answer of held.splice(0)) answer()
  for (const session of sessions) {
    if (drop) session.destroy()
    if (deliver) {
      const { hex, silent, ...fields } = deliver
      if (hex !== undefined) fields.short_message = Buffer.from(hex, 'hex')
      session.deliver_sm({ source_addr_ton: 1, source_addr_npi: 1, data_coding: 0, ...fields },
        (response) => say({ event: 'delivered', status: response.command_status }))
    }
  }
}).on('close', () => process.exit(0))
