//! What a plugin could say of itself: the check lists what is wrong and never panics, and what it says stays short whatever it was
//! given. What has no problems reads back as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stepwright_registry::Description;

/// Each field is named once or twice, with at most a few hundred bytes of it.
const PROBLEM_BYTES_MAX: usize = 4 << 10;

fuzz_target!(|input: &[u8]| {
    let Ok(description) = serde_json::from_slice::<Description>(input) else { return };
    let problems = description.check();
    for problem in &problems {
        let text = problem.to_string();
        assert!(text.len() <= PROBLEM_BYTES_MAX, "{} bytes", text.len());
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
    if problems.is_empty() {
        let text = serde_json::to_string(&description).expect("it can be written");
        assert_eq!(serde_json::from_str::<Description>(&text).expect("it can be read"), description);
    }
});
