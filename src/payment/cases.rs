//! What each provider sends and is sent, as its documents show it.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::payment::{daraja::Daraja, find};

const KEY: Uuid = Uuid::from_u128(0x1111_2222_3333_4444_8555_6666_7777_8888);

fn account(name: &str) -> Account {
    match name {
        "daraja" => Account::new([
            ("consumer_key", "key"),
            ("consumer_secret", "secret"),
            ("short_code", "174379"),
            ("passkey", "pass"),
            ("access_token", "t0ken"),
        ]),
        "mtn_momo" => Account::new([
            ("subscription_key", "sub"),
            ("api_user", "user"),
            ("api_key", "key"),
            ("target_environment", "mtnuganda"),
            ("currency", "UGX"),
            ("access_token", "t0ken"),
        ]),
        _ => Account::new([
            ("client_id", "id"),
            ("client_secret", "secret"),
            ("country", "KE"),
            ("currency", "KES"),
            ("access_token", "t0ken"),
        ]),
    }
}

fn moment() -> DateTime<Utc> {
    "2026-03-14T09:00:00Z".parse().unwrap()
}

fn kes(units: i64) -> Money {
    Money::from_units(units, Currency::Kes)
}

fn answer(status: u16, body: &[u8]) -> Answer<'_> {
    Answer {
        status,
        retry_after_seconds: None,
        body,
    }
}

fn asked(amount: Money) -> Asked<'static> {
    Asked {
        key: KEY,
        provider_id: "ws_CO_1",
        amount,
        now: moment(),
    }
}

fn callback(name: &str, account: &Account, door: Door, body: &str) -> Result<Notice, BadCallback> {
    find(name).unwrap().decode(
        account,
        &Callback {
            door,
            request: Inbound {
                method: "POST",
                path: "",
                query: "",
                headers: &[],
                body: body.as_bytes(),
            },
        },
    )
}

#[test]
fn the_prompt_of_daraja_is_as_documented() {
    let msisdn = Msisdn::parse("+254711000001").unwrap();
    let prompt = Prompt {
        key: KEY,
        msisdn: &msisdn,
        amount: kes(4500),
        reference: "48217736",
        callback_url: "https://pay.example.com/p/daraja/abc/result",
        now: moment(),
    };
    let request = Daraja.encode_prompt(&account("daraja"), &prompt).unwrap();
    assert!(request.url.ends_with("/mpesa/stkpush/v1/processrequest"));
    assert!(
        request
            .headers
            .contains(&("Authorization", "Bearer t0ken".to_owned()))
    );
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(
        body,
        json!({
            "BusinessShortCode": "174379",
            // base64 of 174379pass20260314120000: East Africa Time.
            "Password": "MTc0Mzc5cGFzczIwMjYwMzE0MTIwMDAw",
            "Timestamp": "20260314120000",
            "TransactionType": "CustomerPayBillOnline",
            "Amount": 4500,
            "PartyA": "254711000001",
            "PartyB": "174379",
            "PhoneNumber": "254711000001",
            "CallBackURL": "https://pay.example.com/p/daraja/abc/result",
            "AccountReference": "48217736",
            "TransactionDesc": "Room",
        })
    );
    let half = Prompt {
        amount: Money {
            minor: 450_050,
            currency: Currency::Kes,
        },
        ..prompt
    };
    assert!(Daraja.encode_prompt(&account("daraja"), &half).is_err());
}

#[test]
fn answers_to_prompts() {
    let accepted = |id: Option<&str>| Prompted::Accepted {
        provider_id: id.map(str::to_owned),
    };
    let paused = |reason: &str| Prompted::Paused {
        reason: reason.to_owned(),
    };
    let later = |reason: &str| Prompted::RetryLater {
        reason: reason.to_owned(),
    };
    let unknown = |reason: &str| Prompted::Unknown {
        reason: reason.to_owned(),
    };
    for (name, status, body, wanted) in [
        (
            "daraja",
            200,
            r#"{"MerchantRequestID":"1","CheckoutRequestID":"ws_CO_1","ResponseCode":"0"}"#,
            accepted(Some("ws_CO_1")),
        ),
        (
            "daraja",
            400,
            r#"{"requestId":"1","errorCode":"400.002.02","errorMessage":"Bad Request - Invalid PhoneNumber"}"#,
            Prompted::Failed(Failure::NoAccount),
        ),
        (
            "daraja",
            400,
            r#"{"errorCode":"400.002.02","errorMessage":"Bad Request - Invalid BusinessShortCode"}"#,
            paused("400.002.02"),
        ),
        (
            "daraja",
            500,
            r#"{"errorCode":"500.001.1001","errorMessage":"Unable to lock subscriber"}"#,
            Prompted::Failed(Failure::LineBusy),
        ),
        (
            "daraja",
            500,
            r#"{"errorCode":"500.001.1001","errorMessage":"Wrong credentials"}"#,
            paused("500.001.1001"),
        ),
        (
            "daraja",
            500,
            r#"{"errorCode":"500.003.02","errorMessage":"System is busy"}"#,
            later("500.003.02"),
        ),
        (
            "daraja",
            500,
            r#"{"errorCode":"500.003.1001","errorMessage":"Internal Server Error"}"#,
            unknown("http_500"),
        ),
        ("daraja", 200, "<html>", unknown("http_200")),
        ("daraja", 504, "", unknown("http_504")),
        ("daraja", 429, "", later("http_429")),
        ("mtn_momo", 202, "", accepted(None)),
        (
            "mtn_momo",
            409,
            r#"{"code":"RESOURCE_ALREADY_EXIST","message":"Duplicated reference id"}"#,
            accepted(None),
        ),
        ("mtn_momo", 401, "", paused("http_401")),
        ("mtn_momo", 503, "", unknown("http_503")),
        (
            "airtel_money",
            200,
            r#"{"data":{"transaction":{"id":"1","status":"SUCCESS"}},"status":{"code":"200","response_code":"DP00800001006","success":true}}"#,
            accepted(None),
        ),
        (
            "airtel_money",
            200,
            r#"{"status":{"response_code":"DP00800001002","success":false}}"#,
            Prompted::Failed(Failure::WrongPin),
        ),
        (
            "airtel_money",
            200,
            r#"{"status":{"response_code":"DP00800001026","success":false}}"#,
            paused("DP00800001026"),
        ),
        ("airtel_money", 500, "", unknown("http_500")),
    ] {
        let provider = find(name).unwrap();
        assert_eq!(
            provider.decode_prompt(&answer(status, body.as_bytes())),
            wanted,
            "{name} {status} {body}"
        );
    }
}

#[test]
fn answers_to_queries() {
    let unknown = |reason: &str| Fate::Unknown {
        reason: reason.to_owned(),
    };
    let paid = |receipt: Option<&str>, amount: Option<Money>| {
        Fate::Paid(Paid {
            receipt: receipt.map(str::to_owned),
            amount,
        })
    };
    let ugx = Money::from_units(120_000, Currency::Ugx);
    for (name, amount, status, body, wanted) in [
        (
            "daraja",
            kes(1),
            200,
            r#"{"ResponseCode":"0","CheckoutRequestID":"ws_CO_1","ResultCode":"0","ResultDesc":"ok"}"#,
            paid(None, None),
        ),
        (
            "daraja",
            kes(1),
            200,
            r#"{"ResponseCode":"0","ResultCode":"1032"}"#,
            Fate::Failed(Failure::Cancelled),
        ),
        (
            "daraja",
            kes(1),
            500,
            r#"{"errorCode":"500.001.1001","errorMessage":"The transaction is being processed"}"#,
            Fate::Pending,
        ),
        (
            "daraja",
            kes(1),
            500,
            r#"{"errorCode":"500.003.02","errorMessage":"Spike Arrest Violation"}"#,
            unknown("500.003.02"),
        ),
        (
            "mtn_momo",
            ugx,
            200,
            r#"{"amount":"120000","currency":"UGX","financialTransactionId":"363440463","externalId":"x","status":"SUCCESSFUL"}"#,
            paid(Some("363440463"), Some(ugx)),
        ),
        (
            "mtn_momo",
            ugx,
            200,
            r#"{"amount":"120000","currency":"RWF","financialTransactionId":1,"externalId":"x","status":"SUCCESSFUL"}"#,
            unknown("other_currency"),
        ),
        (
            "mtn_momo",
            ugx,
            200,
            r#"{"amount":"120000","currency":"UGX","externalId":"x","status":"FAILED","reason":{"code":"APPROVAL_REJECTED","message":"no"}}"#,
            Fate::Failed(Failure::Cancelled),
        ),
        (
            "mtn_momo",
            ugx,
            200,
            r#"{"amount":"120000","currency":"UGX","status":"FAILED","reason":"NOT_ENOUGH_FUNDS"}"#,
            Fate::Failed(Failure::NoFunds),
        ),
        (
            "mtn_momo",
            ugx,
            404,
            r#"{"code":"RESOURCE_NOT_FOUND","message":"Requested resource was not found."}"#,
            Fate::Missing,
        ),
        ("mtn_momo", ugx, 503, "", unknown("http_503")),
        (
            "airtel_money",
            kes(9),
            200,
            r#"{"data":{"transaction":{"status":"TS","airtel_money_id":"MP1"}},"status":{"response_code":"DP00800001001"}}"#,
            paid(Some("MP1"), Some(kes(9))),
        ),
        (
            "airtel_money",
            kes(9),
            200,
            r#"{"data":{"transaction":{"status":"TF"}},"status":{"response_code":"DP00800001007"}}"#,
            Fate::Failed(Failure::NoFunds),
        ),
        (
            "airtel_money",
            kes(9),
            200,
            r#"{"data":{"transaction":{"status":"TA"}},"status":{"response_code":"DP00800001000"}}"#,
            Fate::Pending,
        ),
        (
            "airtel_money",
            kes(9),
            200,
            r#"{"status":{"response_code":"DP00800001025"}}"#,
            Fate::Missing,
        ),
    ] {
        let provider = find(name).unwrap();
        assert_eq!(
            provider.decode_query(&asked(amount), &answer(status, body.as_bytes())),
            wanted,
            "{name} {status} {body}"
        );
    }
}

#[test]
fn callbacks_of_daraja() {
    let account = account("daraja");
    let read = |door, body: &str| callback("daraja", &account, door, body);
    let success = r#"{"Body":{"stkCallback":{"MerchantRequestID":"29115-34620561-1","CheckoutRequestID":"ws_CO_191220191020363925","ResultCode":0,"ResultDesc":"ok","CallbackMetadata":{"Item":[{"Name":"Amount","Value":1.00},{"Name":"MpesaReceiptNumber","Value":"NLJ7RT61SV"},{"Name":"Balance"},{"Name":"TransactionDate","Value":20191219102115},{"Name":"PhoneNumber","Value":254708374149}]}}}}"#;
    assert_eq!(
        read(Door::Result, success),
        Ok(Notice::Prompt {
            provider_id: "ws_CO_191220191020363925".to_owned(),
            fate: Fate::Paid(Paid {
                receipt: Some("NLJ7RT61SV".to_owned()),
                amount: Some(kes(1)),
            }),
        })
    );
    for (code, wanted) in [
        (json!(1), Failure::NoFunds),
        (json!("1"), Failure::NoFunds),
        (json!(17), Failure::TooSoon),
        (json!(1001), Failure::LineBusy),
        (json!(1025), Failure::NotShown),
        (json!(9999), Failure::Other),
        (json!(1032), Failure::Cancelled),
        (json!(1037), Failure::Unreachable),
        (json!(2001), Failure::WrongPin),
        (json!("SFC_IC0003"), Failure::Other),
        (json!(777), Failure::Other),
    ] {
        let body = json!({"Body": {"stkCallback": {"CheckoutRequestID": "x", "ResultCode": code}}});
        assert_eq!(
            read(Door::Result, &body.to_string()),
            Ok(Notice::Prompt {
                provider_id: "x".to_owned(),
                fate: Fate::Failed(wanted),
            }),
            "{code}"
        );
    }
    // A success whose sum or receipt is missing cannot be checked.
    let bare = r#"{"Body":{"stkCallback":{"CheckoutRequestID":"x","ResultCode":0}}}"#;
    assert_eq!(
        read(Door::Result, bare),
        Err(BadCallback::InvalidField("Amount"))
    );
    assert_eq!(read(Door::Result, "{}"), Err(BadCallback::Body));

    let by_hand = r#"{"TransactionType":"Pay Bill","TransID":"RKTQDM7W6S","TransTime":"20191122063845","TransAmount":"10","BusinessShortCode":"174379","BillRefNumber":"4821 7736","InvoiceNumber":"","OrgAccountBalance":"","ThirdPartyTransID":"","MSISDN":"25470****149","FirstName":"John","MiddleName":"","LastName":"Doe"}"#;
    assert_eq!(
        read(Door::Confirmation, by_hand),
        Ok(Notice::Received(Received {
            receipt: "RKTQDM7W6S".to_owned(),
            reference: "4821 7736".to_owned(),
            amount: kes(10),
            short_code: "174379".to_owned(),
            at: Some("2019-11-22T03:38:45Z".parse().unwrap()),
        }))
    );
    let result = r#"{"Result":{"ResultType":0,"ResultCode":"R000001","ResultDesc":"reversed","OriginatorConversationID":"o","ConversationID":"AG_1","TransactionID":"T1","ReferenceData":{"ReferenceItem":{"Key":"Occasion"}}}}"#;
    assert_eq!(
        read(Door::Refund, result),
        Ok(Notice::Refund {
            provider_id: "AG_1".to_owned(),
            outcome: Refunding::Done {
                receipt: Some("T1".to_owned()),
            },
        })
    );
    assert!(matches!(
        read(Door::RefundLate, result),
        Ok(Notice::Refund {
            outcome: Refunding::Unknown { .. },
            ..
        })
    ));
    let rejected = Daraja.acknowledge(Door::Validation, Err(Rejection::Reference));
    assert_eq!(
        rejected.body,
        r#"{"ResultCode":"C2B00012","ResultDesc":"Rejected"}"#
    );
}

#[test]
fn the_callback_of_airtel_is_believed_only_with_its_hash() {
    let transaction =
        r#"{"id":"BK1","message":"Paid KES 1,000","status_code":"TS","airtel_money_id":"MP1"}"#;
    let account = Account::new([("callback_key", "hush")]);
    let hash = {
        use base64::Engine;
        let signature = crate::sms::sign::hmac(
            crate::sms::sign::Algorithm::Sha256,
            b"hush",
            transaction.as_bytes(),
        );
        base64::engine::general_purpose::STANDARD.encode(signature)
    };
    let signed = format!(r#"{{"transaction":{transaction},"hash":"{hash}"}}"#);
    assert_eq!(
        callback("airtel_money", &account, Door::Result, &signed),
        Ok(Notice::Prompt {
            provider_id: "BK1".to_owned(),
            fate: Fate::Paid(Paid {
                receipt: Some("MP1".to_owned()),
                amount: None,
            }),
        })
    );
    for forged in [
        signed.replace("BK1", "BK2"),
        format!(r#"{{"transaction":{transaction}}}"#),
        format!(r#"{{"transaction":{transaction},"hash":""}}"#),
    ] {
        assert_eq!(
            callback("airtel_money", &account, Door::Result, &forged),
            Err(BadCallback::Signature)
        );
    }
}

#[test]
fn a_collection_of_airtel_is_signed_over_its_very_bytes() {
    use ::rsa::pkcs8::EncodePublicKey;
    use ::rsa::{Pkcs1v15Encrypt, PrivateKey, PublicKey};
    use aes::cipher::{BlockModeDecrypt, KeyIvInit, block_padding::Pkcs7};
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    let portal = PrivateKey::new(&mut rand::rng(), 1024).unwrap();
    let der = PublicKey::from(&portal).to_public_key_der().unwrap();
    let account = account("airtel_money").with(&Token {
        setting: "signing_key",
        value: STANDARD.encode(der.as_bytes()).into(),
        lasts: std::time::Duration::from_secs(60),
    });
    let msisdn = Msisdn::parse("+254733000001").unwrap();
    let provider = find("airtel_money").unwrap();
    assert!(provider.encode_login(&account).is_none());
    let request = provider
        .encode_prompt(
            &account,
            &Prompt {
                key: KEY,
                msisdn: &msisdn,
                amount: kes(1000),
                reference: "48217736",
                callback_url: "",
                now: moment(),
            },
        )
        .unwrap();
    assert!(request.body.contains(r#""msisdn":"733000001""#));
    let header = |name: &str| {
        let found = request.headers.iter().find(|(key, _)| *key == name);
        STANDARD.decode(&found.unwrap().1).unwrap()
    };
    let pair = portal.decrypt(Pkcs1v15Encrypt, &header("x-key")).unwrap();
    let pair = String::from_utf8(pair).unwrap();
    let (key, iv) = pair.split_once(':').unwrap();
    let (key, iv): ([u8; 32], [u8; 16]) = (
        STANDARD.decode(key).unwrap().try_into().unwrap(),
        STANDARD.decode(iv).unwrap().try_into().unwrap(),
    );
    let opened = cbc::Decryptor::<aes::Aes256>::new(&key.into(), &iv.into())
        .decrypt_padded_vec::<Pkcs7>(&header("x-signature"))
        .unwrap();
    assert_eq!(opened, request.body.as_bytes());
}

#[test]
fn tokens_are_asked_for_as_documented() {
    let bare = Account::new([("consumer_key", "key"), ("consumer_secret", "secret")]);
    let login = Daraja.encode_login(&bare).unwrap();
    assert!(
        login
            .url
            .ends_with("/oauth/v1/generate?grant_type=client_credentials")
    );
    for body in [
        r#"{"access_token":"c9SQ","expires_in":"3599"}"#,
        r#"{"access_token":"c9SQ","expires_in":3599}"#,
    ] {
        let token = Daraja
            .decode_login(&bare, &answer(200, body.as_bytes()))
            .unwrap();
        assert_eq!(token.lasts.as_secs(), 3599);
        assert!(Daraja.encode_login(&bare.with(&token)).is_none());
    }
    let ended = r#"{"errorCode":"404.001.03","errorMessage":"Invalid Access Token"}"#;
    assert!(Daraja.is_logged_out(&answer(404, ended.as_bytes())));
}

proptest! {
    #[test]
    fn no_body_is_too_odd(body in ".{0,200}", status in 100_u16..600, place in 0..PROVIDERS.len()) {
        let provider = PROVIDERS[place];
        let account = account(provider.name());
        for door in Door::ALL {
            callback(provider.name(), &account, door, &body).ok();
        }
        let answer = answer(status, body.as_bytes());
        provider.decode_prompt(&answer);
        provider.decode_query(&asked(kes(1)), &answer);
        provider.decode_refund(&answer);
        provider.decode_login(&account, &answer);
    }
}
