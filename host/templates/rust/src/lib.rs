//! Plugin {{plugin}}.

use stepwright_sdk::prelude::*;

#[derive(Deserialize, JsonSchema)]
struct Guest {
    name: String,
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct Greeting {
    text: String,
}

/// Greets a guest by name.
#[handler]
fn greet(guest: Guest, ctx: &Context) -> StepResult<Greeting> {
    if guest.name.is_empty() {
        return Err(permanent("nobody is there to be greeted").code("no_name"));
    }
    info!(ctx, "greeting {}", guest.name; attempt = ctx.attempt());
    Ok(Greeting { text: format!("Hello, {}!", guest.name) })
}

plugin! { name: "{{plugin}}", summary: "Greets people.", handlers: [greet] }

#[cfg(test)]
mod tests {
    use super::*;
    use stepwright_sdk::testing::TestContext;

    #[test]
    fn a_guest_is_greeted() {
        let test = TestContext::new();
        let greeting = test.run(greet, Guest { name: "Ada".to_owned() }).unwrap();
        assert_eq!(greeting.text, "Hello, Ada!");
        assert_eq!(test.logs()[0].message, "greeting Ada");
    }

    #[test]
    fn nobody_is_refused() {
        let error = TestContext::new().run(greet, Guest { name: String::new() }).unwrap_err();
        assert_eq!(error.code.as_deref(), Some("no_name"));
    }
}
