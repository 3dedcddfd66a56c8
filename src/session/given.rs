//! What every text can show besides the variables of its dialogue: made once a day for each version of the menus, country and
//! short code.

use std::sync::Arc;

use arc_swap::ArcSwap;
use chrono::NaiveDate;

use crate::country::Country;
use crate::menu::Menus;
use crate::menu::value::Values;

/// The most that are kept; one more takes the place of the oldest.
const KEPT_MAX: usize = 64;

/// What was made lately.
#[derive(Default)]
pub struct Given(ArcSwap<Vec<Kept>>);

/// For whom.
#[derive(Clone, Copy)]
pub struct Whom<'a> {
    /// In which menus.
    pub menus: &'a Arc<Menus>,
    /// In which country.
    pub country: &'static Country,
    /// Who dialled this.
    pub service_code: &'a str,
    /// On this day there.
    pub today: NaiveDate,
}

#[derive(Clone)]
struct Kept {
    menus: Arc<Menus>,
    country: &'static str,
    service_code: String,
    today: NaiveDate,
    values: Arc<Values>,
}

impl Kept {
    fn is_for(&self, whom: &Whom<'_>) -> bool {
        self.today == whom.today
            && Arc::ptr_eq(&self.menus, whom.menus)
            && self.country == whom.country.code
            && self.service_code == whom.service_code
    }
}

impl Given {
    /// What is shown to them. No lock.
    pub fn find(&self, whom: Whom<'_>, make: impl FnOnce() -> Values) -> Arc<Values> {
        if let Some(kept) = self.0.load().iter().find(|kept| kept.is_for(&whom)) {
            return kept.values.clone();
        }
        let values = Arc::new(make());
        let new = Kept {
            menus: whom.menus.clone(),
            country: whom.country.code,
            service_code: whom.service_code.to_owned(),
            today: whom.today,
            values: values.clone(),
        };
        self.0.rcu(|kept| {
            let others = kept.iter().filter(|kept| !kept.is_for(&whom)).cloned();
            let all = std::iter::once(new.clone()).chain(others);
            all.take(KEPT_MAX).collect::<Vec<_>>()
        });
        values
    }
}
