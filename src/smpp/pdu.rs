//! SMPP PDUs: frames off the wire, the few requests we send, and what an SMSC delivers. Pure.
//!
//! `rusmpp` reads and writes the fixed fields. Optional parameters are read here, because networks write them with wrong
//! lengths and without the zeros that the standard asks for, and one bad parameter must not lose a message.
//!
//! Source: SMPP 3.4, issue 1.2, §3.2 (PDU header), §4.1 (bind), §4.4 (`submit_sm`), §4.6 (`deliver_sm`), §5.3 (parameters).

use bytes::{Buf, BufMut, BytesMut};
use rusmpp::decode::DecodeWithLength;
use rusmpp::encode::owned::Encode;
use rusmpp::pdus::{BindTransceiver, DeliverSm, DeliverSmResp, SubmitSm, SubmitSmResp};
use rusmpp::tlvs::MessageSubmissionRequestTlvValue;
use rusmpp::types::{COctetString, OctetString};
use rusmpp::values::{
    EsmClass, InterfaceVersion, ItsSessionInfo, Npi, RegisteredDelivery, ServiceType, Ton,
    UserMessageReference, UssdServiceOp,
};
use rusmpp::{Command, CommandId, CommandStatus, Pdu};

/// The length of a PDU's header, in octets.
pub const HEADER_OCTETS: usize = 16;
/// The longest PDU taken: a payload of 64 KiB would be 400 parts of SMS, and nobody writes such.
pub const PDU_OCTETS_MAX: usize = 16 * 1024;
/// The longest text or header with text in one `submit_sm`.
pub const SHORT_MESSAGE_OCTETS_MAX: usize = 254;
/// The most optional parameters read of a PDU.
const PARAMETERS_MAX: usize = 100;

/// Optional parameters that are read. Source: SMPP 3.4, §5.3.2.
pub mod tag {
    #![expect(missing_docs, reason = "the standard's own names")]
    pub const RECEIPTED_MESSAGE_ID: u16 = 0x001e;
    pub const USER_MESSAGE_REFERENCE: u16 = 0x0204;
    pub const SAR_MSG_REF_NUM: u16 = 0x020c;
    pub const SAR_TOTAL_SEGMENTS: u16 = 0x020e;
    pub const SAR_SEGMENT_SEQNUM: u16 = 0x020f;
    pub const MESSAGE_PAYLOAD: u16 = 0x0424;
    pub const MESSAGE_STATE: u16 = 0x0427;
    pub const USSD_SERVICE_OP: u16 = 0x0501;
    pub const ITS_SESSION_INFO: u16 = 0x1383;
}

/// A PDU that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPdu {
    /// Its length is none that a PDU can have: where the next one begins is not known.
    #[error("a PDU of {0} octets")]
    Length(usize),
    /// Its fields are not those of its kind.
    #[error("a PDU with unreadable fields")]
    Fields,
}

/// One PDU, its fields not yet read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub id: CommandId,
    /// Of a response; zero in a request.
    pub status: CommandStatus,
    /// What a response repeats of its request.
    pub sequence: u32,
    /// All that follows the header.
    pub body: BytesMut,
}

impl Frame {
    /// Takes the first PDU of what has been received. `None`: it is not all there yet.
    ///
    /// # Errors
    /// [`BadPdu::Length`]; nothing that follows can be read then.
    pub fn take(received: &mut BytesMut) -> Result<Option<Frame>, BadPdu> {
        let Some(&first) = received.first_chunk() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(first) as usize;
        if !(HEADER_OCTETS..=PDU_OCTETS_MAX).contains(&length) {
            return Err(BadPdu::Length(length));
        }
        if received.len() < length {
            return Ok(None);
        }
        let mut pdu = received.split_to(length);
        pdu.advance(first.len());
        Ok(Some(Frame {
            id: CommandId::from(pdu.get_u32()),
            status: CommandStatus::from(pdu.get_u32()),
            sequence: pdu.get_u32(),
            body: pdu,
        }))
    }

    /// Whether it answers a request of ours.
    pub fn is_response(&self) -> bool {
        u32::from(self.id) & 0x8000_0000 != 0
    }

    /// The id that an SMSC gave a message; empty where it gave none.
    pub fn message_id(&self) -> String {
        let mut body = self.body.clone();
        match SubmitSmResp::decode(&mut body, 0) {
            Ok((response, _)) => text(response.message_id()),
            Err(_) => String::new(),
        }
    }
}

/// A PDU as it goes over the wire.
pub fn encode(status: CommandStatus, sequence: u32, pdu: impl Into<Pdu>) -> BytesMut {
    let mut wire = BytesMut::zeroed(4);
    Command::new(status, sequence, pdu).encode(&mut wire);
    let length = wire.len() as u32;
    wire[..4].copy_from_slice(&length.to_be_bytes());
    wire
}

/// A response that has no more to say than its status.
pub fn encode_bare(id: CommandId, status: CommandStatus, sequence: u32) -> BytesMut {
    let mut wire = BytesMut::with_capacity(HEADER_OCTETS);
    for word in [
        HEADER_OCTETS as u32,
        u32::from(id),
        u32::from(status),
        sequence,
    ] {
        wire.put_u32(word);
    }
    wire
}

/// The answer to a delivery.
pub fn delivered(status: CommandStatus, sequence: u32) -> BytesMut {
    encode(status, sequence, DeliverSmResp::default())
}

/// What we sign in with. Names longer than the standard allows have been refused by the configuration.
pub fn bind(system_id: &str, password: &str, system_type: &str) -> BindTransceiver {
    BindTransceiver {
        system_id: octets(system_id),
        password: octets(password),
        system_type: octets(system_type),
        interface_version: InterfaceVersion::Smpp3_4,
        ..BindTransceiver::default()
    }
}

/// A number, short code or name with its kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Address {
    /// Type of number: 1 international, 2 national, 5 a name.
    pub ton: u8,
    /// Numbering plan: 1 telephone.
    pub npi: u8,
    /// At most 20 characters.
    pub value: String,
}

impl Address {
    /// Of a sender: digits alone are a short code or a number in full, all else is a name.
    pub fn sender(sender: &str) -> Address {
        /// The longest short code. Source: ITU-T practice; numbers in full are longer.
        const SHORT_CODE_DIGITS_MAX: usize = 7;
        let digits = sender.strip_prefix('+').unwrap_or(sender);
        let (ton, npi, value) = if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            (5, 0, sender)
        } else if digits.len() <= SHORT_CODE_DIGITS_MAX {
            (3, 0, digits)
        } else {
            (1, 1, digits)
        };
        let value = value.to_owned();
        Address { ton, npi, value }
    }

    /// Of a subscriber, by the digits of the number in full.
    pub fn subscriber(digits: &str) -> Address {
        Address {
            ton: 1,
            npi: 1,
            value: digits.to_owned(),
        }
    }
}

/// A message for an SMSC.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Submit {
    /// Empty for SMS, `USSD`.
    pub service_type: String,
    /// From.
    pub source: Address,
    /// To.
    pub destination: Address,
    /// Whether the octets begin with a header.
    pub has_header: bool,
    /// Whether a receipt is wanted.
    pub wants_receipt: bool,
    /// How the octets are to be read.
    pub data_coding: u8,
    /// Header and text, at most [`SHORT_MESSAGE_OCTETS_MAX`].
    pub short_message: Vec<u8>,
    /// Of a USSD dialogue: what the text is there.
    pub ussd_service_op: Option<u8>,
    /// Of a USSD dialogue: its name.
    pub user_message_reference: Option<u16>,
    /// Of a USSD dialogue: its name.
    pub its_session_info: Option<u16>,
}

impl From<&Submit> for SubmitSm {
    fn from(submit: &Submit) -> SubmitSm {
        /// A header with text follows, §5.2.12.
        const HEADER: u8 = 0x40;
        let mut pdu = SubmitSm::builder()
            .service_type(ServiceType::new(octets(&submit.service_type)))
            .source_addr_ton(Ton::from(submit.source.ton))
            .source_addr_npi(Npi::from(submit.source.npi))
            .source_addr(octets(&submit.source.value))
            .dest_addr_ton(Ton::from(submit.destination.ton))
            .dest_addr_npi(Npi::from(submit.destination.npi))
            .destination_addr(octets(&submit.destination.value))
            // Not the library's default, which has a bit set.
            .esm_class(EsmClass::from(if submit.has_header { HEADER } else { 0 }))
            .registered_delivery(RegisteredDelivery::from(u8::from(submit.wants_receipt)))
            .data_coding(submit.data_coding.into())
            .build();
        let message = &submit.short_message;
        let length = message.len().min(SHORT_MESSAGE_OCTETS_MAX);
        pdu.set_short_message(OctetString::from_slice(&message[..length]).unwrap_or_default());
        let parameters = [
            submit
                .ussd_service_op
                .map(|op| MessageSubmissionRequestTlvValue::UssdServiceOp(UssdServiceOp::from(op))),
            submit.user_message_reference.map(|reference| {
                MessageSubmissionRequestTlvValue::UserMessageReference(UserMessageReference::new(
                    reference,
                ))
            }),
            submit.its_session_info.map(|info| {
                let [number, sequence] = info.to_be_bytes();
                MessageSubmissionRequestTlvValue::ItsSessionInfo(ItsSessionInfo::new(
                    number, sequence,
                ))
            }),
        ];
        for parameter in parameters.into_iter().flatten() {
            pdu.push_tlv(parameter);
        }
        pdu
    }
}

/// Text for a field of the standard's; what does not fit there is left out, and the peer refuses it.
fn octets<const MAX: usize>(text: &str) -> COctetString<1, MAX> {
    COctetString::from_string(text.to_owned()).unwrap_or_default()
}

fn text(octets: &[u8]) -> String {
    let end = octets.iter().position(|&octet| octet == 0);
    String::from_utf8_lossy(&octets[..end.unwrap_or(octets.len())]).into_owned()
}

/// What an SMSC delivers: a subscriber's message, a receipt, or a step of a USSD dialogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deliver {
    /// `USSD` where it is that.
    pub service_type: String,
    /// From.
    pub source: Address,
    /// To.
    pub destination: Address,
    /// What kind of message it is, and whether its octets begin with a header.
    pub esm_class: u8,
    /// How its octets are to be read.
    pub data_coding: u8,
    /// Header and text, wherever the PDU had them.
    pub message: Vec<u8>,
    /// By tag, the first of each that counts.
    parameters: Vec<(u16, Vec<u8>)>,
}

impl Deliver {
    /// Reads the body of a `deliver_sm`.
    ///
    /// # Errors
    /// [`BadPdu::Fields`]
    pub fn read(body: &[u8]) -> Result<Deliver, BadPdu> {
        let mut rest = BytesMut::from(body);
        // Told that there is no room for optional parameters, it leaves them to us.
        let (pdu, _) = DeliverSm::decode(&mut rest, 0).map_err(|_| BadPdu::Fields)?;
        let address = |ton: Ton, npi: Npi, value: &[u8]| Address {
            ton: ton.into(),
            npi: npi.into(),
            value: text(value),
        };
        let mut deliver = Deliver {
            service_type: text(pdu.service_type.value()),
            source: address(pdu.source_addr_ton, pdu.source_addr_npi, &pdu.source_addr),
            destination: address(pdu.dest_addr_ton, pdu.dest_addr_npi, &pdu.destination_addr),
            esm_class: pdu.esm_class.into(),
            data_coding: pdu.data_coding.into(),
            message: pdu.short_message().to_vec(),
            parameters: parameters(&rest),
        };
        if deliver.message.is_empty()
            && let Some(payload) = deliver.parameter(tag::MESSAGE_PAYLOAD)
        {
            deliver.message = payload.to_vec();
        }
        Ok(deliver)
    }

    /// The value of an optional parameter.
    pub fn parameter(&self, tag: u16) -> Option<&[u8]> {
        let found = self.parameters.iter().find(|(known, _)| *known == tag);
        found.map(|(_, value)| value.as_slice())
    }

    /// The same as a number, whose length is often not the one it should have.
    pub fn number(&self, tag: u16) -> Option<u32> {
        let value = self.parameter(tag)?;
        (1..=4).contains(&value.len()).then(|| {
            value
                .iter()
                .fold(0, |sum, &octet| sum << 8 | u32::from(octet))
        })
    }

    /// The same as a text, with or without the zero that ends it.
    pub fn text(&self, tag: u16) -> Option<String> {
        self.parameter(tag)
            .map(text)
            .filter(|text| !text.is_empty())
    }
}

/// What is whole of a list of tags, lengths and values.
fn parameters(mut rest: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut found = Vec::new();
    while found.len() < PARAMETERS_MAX
        && let Some((&[t1, t2, l1, l2], tail)) = rest.split_first_chunk()
        && let Some((value, tail)) =
            tail.split_at_checked(usize::from(u16::from_be_bytes([l1, l2])))
    {
        found.push((u16::from_be_bytes([t1, t2]), value.to_vec()));
        rest = tail;
    }
    found
}
