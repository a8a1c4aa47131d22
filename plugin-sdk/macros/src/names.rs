//! The rules for names, checked while the plugin is built instead of when it is registered.

/// Says what is wrong with a handler's name, if anything is.
pub(crate) fn check_handler_name(name: &str) -> Result<(), String> {
    if is_word(name, '_', 64) {
        return Ok(());
    }
    Err(format!(
        "`{name}` cannot name a handler: lower-case letters, digits and `_`, a letter first, at most 64"
    ))
}

/// Says what is wrong with a plugin's name, if anything is.
pub(crate) fn check_plugin_name(name: &str) -> Result<(), String> {
    match name.split_once('/') {
        Some((namespace, name)) if is_word(namespace, '-', 64) && is_word(name, '-', 64) => Ok(()),
        _ => Err(format!(
            "`{name}` cannot name a plugin: `namespace/name`, each of lower-case letters, digits, `_` and `-`, \
             a letter first, at most 64"
        )),
    }
}

fn is_word(word: &str, extra: char, length_max: usize) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == extra;
    word.len() <= length_max
        && word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::{check_handler_name, check_plugin_name};

    #[test]
    fn handler_names() {
        for good in ["a", "validate_order", "step_2"] {
            check_handler_name(good).unwrap();
        }
        for bad in ["", "_a", "2a", "Order", "a-b", "a.b", &"a".repeat(65)] {
            check_handler_name(bad).unwrap_err();
        }
    }

    #[test]
    fn plugin_names() {
        for good in ["examples/shop", "my-team/card_payment", "a/b2"] {
            check_plugin_name(good).unwrap();
        }
        for bad in ["shop", "a/b/c", "/b", "a/", "A/b", "a b/c"] {
            check_plugin_name(bad).unwrap_err();
        }
    }
}
