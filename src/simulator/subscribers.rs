//! People to be on the phone: one network of each country served.

use serde::Serialize;

/// A subscriber that the page offers.
#[derive(Debug, Serialize)]
pub(super) struct Subscriber {
    /// Shown in the list.
    name: &'static str,
    /// E.164.
    msisdn: &'static str,
    /// ISO 3166-1 alpha-2 of the country.
    country: &'static str,
    /// What the idle screen shows.
    network: &'static str,
    /// What the menu speaks to a new number.
    language: &'static str,
    /// IANA name, for the clock of the phone.
    time_zone: &'static str,
}

/// Two of Kenya, so that one can take a room before the other; one of each other country.
pub(super) const SUBSCRIBERS: &[Subscriber] = &[
    subscriber(
        "Wanjiru",
        "+254711000001",
        "KE",
        "Safaricom",
        "English",
        "Africa/Nairobi",
    ),
    subscriber(
        "Otieno",
        "+254711000002",
        "KE",
        "Safaricom",
        "English",
        "Africa/Nairobi",
    ),
    subscriber(
        "Namukasa",
        "+256772000001",
        "UG",
        "MTN Uganda",
        "English",
        "Africa/Kampala",
    ),
    subscriber(
        "Neema",
        "+255754000001",
        "TZ",
        "Vodacom TZ",
        "Kiswahili",
        "Africa/Dar_es_Salaam",
    ),
    subscriber(
        "Uwase",
        "+250788000001",
        "RW",
        "MTN Rwanda",
        "Kinyarwanda",
        "Africa/Kigali",
    ),
    subscriber(
        "Chinedu",
        "+2348030000001",
        "NG",
        "MTN NG",
        "English",
        "Africa/Lagos",
    ),
    subscriber(
        "Akosua",
        "+233244000001",
        "GH",
        "MTN Ghana",
        "English",
        "Africa/Accra",
    ),
];

const fn subscriber(
    name: &'static str,
    msisdn: &'static str,
    country: &'static str,
    network: &'static str,
    language: &'static str,
    time_zone: &'static str,
) -> Subscriber {
    Subscriber {
        name,
        msisdn,
        country,
        network,
        language,
        time_zone,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;
    use crate::country::COUNTRIES;
    use crate::phone::Msisdn;

    #[test]
    fn every_country_served_has_a_subscriber_of_its_own() {
        for country in COUNTRIES {
            let mut of_country = SUBSCRIBERS.iter().filter(|one| one.country == country.code);
            assert!(of_country.next().is_some(), "{}", country.name);
        }
        for subscriber in SUBSCRIBERS {
            let country = Msisdn::parse(subscriber.msisdn).unwrap().country().unwrap();
            assert_eq!(country.code, subscriber.country, "{}", subscriber.name);
            assert_eq!(
                country.time_zone.name(),
                subscriber.time_zone,
                "{}",
                subscriber.name
            );
            let spoken = match country.languages[0] {
                "sw" => "Kiswahili",
                "rw" => "Kinyarwanda",
                _ => "English",
            };
            assert_eq!(subscriber.language, spoken, "{}", subscriber.name);
        }
    }
}
