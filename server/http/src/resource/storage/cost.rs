//! What a repository costs. All of it is computed in whole millionths of the currency.

use keepfast_api::storage::StorageCost;
use keepfast_config::model::repository::Price;
use keepfast_config::values::money::Money;

/// Bytes of a gigabyte, as stores count them.
const GB: u128 = 1_000_000_000;

/// What it costs to store and to read this much, now and later.
pub fn cost(price: &Price, used: Option<u64>, later: Option<u64>) -> StorageCost {
    let of = |price: &Option<Money>, bytes: Option<u64>| Some(amount(bytes?, price.as_ref()?));
    let micros = |price: &Option<Money>| price.map(|price| price.micros);
    StorageCost {
        currency: price.currency.clone(),
        storage_per_gb_month_micros: micros(&price.storage_per_gb_month),
        egress_per_gb_micros: micros(&price.egress_per_gb),
        month_micros: of(&price.storage_per_gb_month, used),
        month_in_90_days_micros: of(&price.storage_per_gb_month, later),
        restore_micros: of(&price.egress_per_gb, used),
    }
}

/// To the nearest millionth.
fn amount(bytes: u64, per_gb: &Money) -> u64 {
    let amount = (u128::from(bytes) * u128::from(per_gb.micros) + GB / 2) / GB;
    u64::try_from(amount).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use keepfast_config::model::repository::Price;
    use keepfast_config::values::money::Money;

    use super::cost;

    #[test]
    fn sums_are_exact_to_a_millionth() {
        let price = Price {
            storage_per_gb_month: Some(Money { micros: 23_000 }),
            egress_per_gb: Some(Money { micros: 90_000 }),
            requests_per_thousand: None,
            currency: "EUR".to_owned(),
        };
        let of = cost(&price, Some(1_234_567_890_123), Some(2_000_000_000_000));
        // 1234.567890123 GB at 0.023 and at 0.09.
        assert_eq!(of.month_micros, Some(28_395_061));
        assert_eq!(of.month_in_90_days_micros, Some(46_000_000));
        assert_eq!(of.restore_micros, Some(111_111_110));
        assert_eq!(cost(&price, Some(u64::MAX), None).month_micros, Some(424_275_113_695_320));
        let unknown = cost(&Price { egress_per_gb: None, ..price }, None, None);
        assert_eq!((unknown.month_micros, unknown.restore_micros), (None, None));
        assert_eq!(unknown.currency, "EUR");
    }
}
