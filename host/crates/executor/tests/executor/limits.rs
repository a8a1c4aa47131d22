//! The reference of limits is what the code says.

use stepwright_executor::limit_table::{LIMITS, markdown, values};
use stepwright_executor::{EgressOptions, EngineOptions};

#[test]
fn the_reference_is_what_the_code_prints() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/reference/limits.md");
    let written = std::fs::read_to_string(path).unwrap_or_default();
    let printed = markdown();
    assert!(written == printed, "{path} differs from the code; it should be:\n{printed}");
}

#[test]
fn names_are_unique_and_values_positive_and_in_the_tables_order() {
    let values = values(&EngineOptions::default(), &EgressOptions::default());
    assert_eq!(values.len(), LIMITS.len());
    for (at, (limit, (name, value))) in LIMITS.iter().zip(values).enumerate() {
        assert!(limit.name == name && value > 0, "{name}");
        assert!(LIMITS[..at].iter().all(|other| other.name != name), "{name}");
    }
}
