//! The countries served: dialling code, currency, time zone and how a national number is written.

use chrono_tz::Tz;

use crate::booking::money::Currency;

/// One country of service. Source of the codes: ITU-T E.164 and ISO 3166-1/4217.
#[derive(Debug, PartialEq, Eq)]
pub struct Country {
    /// ISO 3166-1 alpha-2, upper case.
    pub code: &'static str,
    /// English name.
    pub name: &'static str,
    /// E.164 country code without `+`.
    pub dialling_code: &'static str,
    /// Digits of a national number without its leading zero.
    pub national_digits: usize,
    /// What lodging is priced in.
    pub currency: Currency,
    /// The one time zone of the country.
    pub time_zone: Tz,
    /// Languages offered, the default first.
    pub languages: &'static [&'static str],
}

/// Every country served, in the order lists show them.
pub const COUNTRIES: &[Country] = &[
    Country {
        code: "KE",
        name: "Kenya",
        dialling_code: "254",
        national_digits: 9,
        currency: Currency::Kes,
        time_zone: Tz::Africa__Nairobi,
        languages: &["en", "sw"],
    },
    Country {
        code: "UG",
        name: "Uganda",
        dialling_code: "256",
        national_digits: 9,
        currency: Currency::Ugx,
        time_zone: Tz::Africa__Kampala,
        languages: &["en", "lg", "sw"],
    },
    Country {
        code: "TZ",
        name: "Tanzania",
        dialling_code: "255",
        national_digits: 9,
        currency: Currency::Tzs,
        time_zone: Tz::Africa__Dar_es_Salaam,
        languages: &["sw", "en"],
    },
    Country {
        code: "RW",
        name: "Rwanda",
        dialling_code: "250",
        national_digits: 9,
        currency: Currency::Rwf,
        time_zone: Tz::Africa__Kigali,
        languages: &["rw", "en", "fr"],
    },
    Country {
        code: "NG",
        name: "Nigeria",
        dialling_code: "234",
        national_digits: 10,
        currency: Currency::Ngn,
        time_zone: Tz::Africa__Lagos,
        languages: &["en", "pcm", "ha", "yo"],
    },
    Country {
        code: "GH",
        name: "Ghana",
        dialling_code: "233",
        national_digits: 9,
        currency: Currency::Ghs,
        time_zone: Tz::Africa__Accra,
        languages: &["en"],
    },
];

impl Country {
    /// The country with this ISO code, in any case.
    pub fn find(code: &str) -> Option<&'static Country> {
        COUNTRIES
            .iter()
            .find(|country| country.code.eq_ignore_ascii_case(code))
    }
}
