//! Letters and marks outside GSM-7, written with those inside it.

use std::borrow::Cow;

use super::is_gsm7;

/// Which characters become what. None of them is in GSM-7, all that they become is.
#[rustfmt::skip]
const FOLDS: &[(&str, &str)] = &[
    // Hausa hooks, Yoruba dots, French and Portuguese accents, Vietnamese for completeness of the block.
    ("áâãāăąǎǟȁȃạảấầẩẫậắằẳẵặɑª", "a"), ("ÁÀÂÃĀĂĄǍȀȂẠẢẤẦẨẪẬẮẰẲẴẶ", "A"),
    ("ḃḅḇɓ", "b"), ("ḂḄḆƁ", "B"),
    ("çćĉċč¢", "c"), ("ĆĈĊČ", "C"),
    ("ďđḋḍḏḑḓɗɖð", "d"), ("ĎĐḊḌḎḐḒƊƉÐ", "D"),
    ("êëēĕėęěȅȇẹẻẽếềểễệɛǝə", "e"), ("ÈÊËĒĔĖĘĚȄȆẸẺẼẾỀỂỄỆƐƎƏ", "E"),
    ("ḟƒ", "f"), ("ḞƑ", "F"),
    ("ĝğġģǧḡɠɣ", "g"), ("ĜĞĠĢǦḠƓƔ", "G"),
    ("ĥħḣḥḧḩḫɦ", "h"), ("ĤĦḢḤḦḨḪ", "H"),
    ("íîïĩīĭįıǐȉȋịỉɩɨ", "i"), ("ÌÍÎÏĨĪĬĮİǏȈȊỊỈƖƗ", "I"),
    ("ĵǰ", "j"), ("Ĵ", "J"),
    ("ķǩḱḳḵƙ", "k"), ("ĶǨḰḲḴƘ", "K"),
    ("ĺļľŀłḷḹḻ", "l"), ("ĹĻĽĿŁḶḸḺ", "L"),
    ("ḿṁṃ", "m"), ("ḾṀṂ", "M"),
    ("ńņňǹṅṇṉɲ", "n"), ("ŃŅŇǸṄṆṈƝ", "N"), ("ŋ", "ng'"), ("Ŋ", "Ng'"),
    ("óôõōŏőǒǫȍȏơọỏốồổỗộớờởỡợɔº°", "o"), ("ÓÒÔÕŌŎŐǑǪȌȎƠỌỎỐỒỔỖỘỚỜỞỠỢƆ", "O"),
    ("ṕṗƥ", "p"), ("ṔṖƤ", "P"),
    ("ŕŗřṙṛṟɽ", "r"), ("ŔŖŘṘṚṞ", "R"),
    ("śŝşšșṡṣʃ", "s"), ("ŚŜŞŠȘṠṢƩ", "S"), ("ẞ", "SS"),
    ("ţťŧțṫṭṯƭʈ", "t"), ("ŢŤŦȚṪṬṮƬƮ", "T"), ("þ", "th"), ("Þ", "Th"),
    ("úûũūŭůűųǔȕȗưụủứừửữựʊʉ", "u"), ("ÙÚÛŨŪŬŮŰŲǓȔȖƯỤỦỨỪỬỮỰƱɄ", "U"),
    ("ṽṿʋ", "v"), ("ṼṾƲ", "V"),
    ("ŵẁẃẅẇẉ", "w"), ("ŴẀẂẄẆẈ", "W"),
    ("ẋẍ×", "x"), ("ẊẌ", "X"),
    ("ýÿŷẏẙỳỵỷỹƴ", "y"), ("ÝŸŶẎỲỴỶỸƳ", "Y"),
    ("źżžẑẓẕʒ", "z"), ("ŹŻŽẐẒẔƷ", "Z"),
    ("œ", "oe"), ("Œ", "OE"), ("ĳ", "ij"), ("Ĳ", "IJ"), ("ﬁ", "fi"), ("ﬂ", "fl"), ("ŉ", "'n"),
    // Marks that phones and word processors put in by themselves.
    ("‘’‚‛′´`ʹʻʼʽˈ‹›ꞌ", "'"), ("“”„‟″«»", "\""),
    ("‐‑‒–—―−•", "-"), ("…", "..."), ("·", "."),
    ("\u{a0}\u{2000}\u{2001}\u{2002}\u{2003}\u{2004}\u{2005}\u{2006}\u{2007}\u{2008}\u{2009}\u{200a}\u{202f}\u{205f}\u{3000}\t", " "),
    ("\u{85}\u{2028}\u{2029}", "\n"),
    // Zero-width blanks, byte order mark, soft hyphen.
    ("\u{200b}\u{2060}\u{feff}\u{ad}", ""),
    // Money and signs.
    ("₦", "N"), ("₵", "GHS"), ("₤", "£"),
    ("©", "(c)"), ("®", "(R)"), ("™", "TM"), ("№", "No"),
    ("½", "1/2"), ("¼", "1/4"), ("¾", "3/4"), ("¹", "1"), ("²", "2"), ("³", "3"),
];
/// Accents and tones that follow the letter they stand on.
const COMBINING: std::ops::RangeInclusive<char> = '\u{300}'..='\u{36f}';

/// Writes `text` with GSM-7 letters where a reader still knows the word: `Ẹ kú àárọ̀` is `E ku àaro`. Characters of
/// GSM-7 are left alone, and so are those that have no likeness there (Arabic, Amharic, pictures).
pub fn fold(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_gsm7) {
        return Cow::Borrowed(text);
    }
    let mut folded = String::with_capacity(text.len());
    for c in text.chars() {
        if is_gsm7(c) {
            folded.push(c);
        } else if let Some(likeness) = likeness(c) {
            folded.push_str(likeness);
        } else if !COMBINING.contains(&c)
            || folded
                .chars()
                .next_back()
                .is_some_and(|base| !is_gsm7(base))
        {
            // A mark on a letter that stays belongs to it; one on a Latin letter is what makes it foreign.
            folded.push(c);
        }
    }
    Cow::Owned(folded)
}

fn likeness(c: char) -> Option<&'static str> {
    FOLDS
        .iter()
        .find(|(from, _)| from.contains(c))
        .map(|&(_, to)| to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sms::gsm7::septets;

    #[test]
    fn foreign_letters_fold_to_what_a_reader_knows() {
        for (text, folded) in [
            ("Ẹ kú àárọ̀ ọ̀ṣẹ́", "E ku àaro ose"),
            ("e\u{323}\u{301} o\u{323} s\u{323}", "e o s"),
            ("ƙasa ɓarawo ɗaki ƁƊƘ", "kasa barawo daki BDK"),
            ("ŋŋamba Ŋoma", "ng'ng'amba Ng'oma"),
            ("Akɔɔ Ɛdan ɛ", "Akoo Edan e"),
            ("ê â î ô û ç ë ï", "e a i o u c e i"),
            ("Ê Â Î Ô Û Ç Ë Ï", "E A I O U Ç E I"),
            ("é è à ù", "é è à ù"),
            (
                "Reçu: hôtel réservé à Nyanza",
                "Recu: hotel réservé à Nyanza",
            ),
            ("Não há saldo", "Nao ha saldo"),
            (
                "it’s “good” – really… yes\u{a0}now",
                "it's \"good\" - really... yes now",
            ),
            ("₦15,000 or ₵250", "N15,000 or GHS250"),
            ("Mama `Njeri´s", "Mama 'Njeri's"),
            ("ሰላም – مرحبا 👍", "ሰላም - مرحبا 👍"),
            ("и\u{306} e\u{306}", "и\u{306} e"),
            ("\u{301}x", "x"),
            ("", ""),
        ] {
            assert_eq!(fold(text), folded, "{text}");
        }
    }

    #[test]
    fn what_is_gsm7_is_not_copied() {
        assert!(matches!(fold("Karibu! KSh 1,250 [é] €"), Cow::Borrowed(_)));
    }

    #[test]
    fn every_fold_leads_from_outside_gsm7_into_it_and_is_listed_once() {
        let all: Vec<char> = FOLDS.iter().flat_map(|(from, _)| from.chars()).collect();
        for (from, to) in FOLDS {
            assert!(septets(to).is_some(), "{to}");
            for c in from.chars() {
                assert!(!is_gsm7(c), "{c} is in GSM-7");
                assert_eq!(all.iter().filter(|&&other| other == c).count(), 1, "{c}");
            }
        }
    }
}
