//! Templates that are right, and every way to be wrong.

use proptest::prelude::*;

use super::*;

const GOOD: &str = r#"
template: order
namespace: shop
version: 1.2.0
plugin: shop/shop@^1
input_schema:
  type: object
  required: [order_id]
  properties: { order_id: { type: string } }
defaults: { timeout: 20s, retry: { limit: 5 } }
steps:
  - name: check
    handler: validate
    config: { depth: 1, nested: { a: 1, b: 2 } }
  - { name: item, handler: count, depends_on: check, repeat: 3 }
  - { name: ship, handler: ship, depends_on: [item, check], timeout: 5s }
environments:
  production:
    defaults: { timeout: 60s }
    steps:
      - { name: check, config: { nested: { b: 3 } }, retry: { backoff: none } }
"#;

struct Shop;

impl PluginSource for Shop {
    fn versions(&self, name: &str) -> Vec<PluginOffer> {
        let handler = |name: &str, schema: Option<&str>| HandlerOffer {
            name: name.to_owned(),
            config_schema: schema.map(|text| Payload::parse(text).unwrap()),
            input_schema: None,
            output_schema: None,
            parents: Vec::new(),
        };
        let schema = r#"{"type":"object","properties":{"depth":{"type":"integer","maximum":9}}}"#;
        let offer = |version: &str| PluginOffer {
            name: "shop/shop".to_owned(),
            version: version.parse().unwrap(),
            digest: Digest::of(version.as_bytes()),
            terms: match version {
                "1.12.0" => OfferTerms::Exact,
                "3.0.0" => OfferTerms::Closed,
                _ => OfferTerms::Open,
            },
            handlers: vec![handler("validate", Some(schema)), handler("count", None), handler("ship", None)],
        };
        let all = ["1.0.0", "1.9.0", "1.10.0", "2.0.0", "1.11.0-beta.1", "1.12.0", "3.0.0"].map(offer);
        all.into_iter().filter(|offer| offer.name == name).collect()
    }

    fn names(&self) -> Vec<String> {
        vec!["shop/shop".to_owned()]
    }
}

fn problems(text: &str) -> String {
    Template::parse("t.yaml", text).unwrap_err().to_string()
}

/// The good template with one text replaced by another.
fn changed(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    GOOD.replacen(from, to, 1)
}

fn check(from: &str, to: &str, expect: &str) {
    assert_eq!(problems(&changed(from, to)), expect);
}

#[test]
fn a_plan_has_merged_settings_pinned_plugins_and_expanded_steps() {
    let template = Template::parse("t.yaml", GOOD).unwrap();
    let plan = template.resolve("production", &Shop).unwrap();
    let names: Vec<&str> = plan.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["check", "item_1", "item_2", "item_3", "ship"]);
    assert_eq!(plan.steps[0].plugin_version, "1.10.0");
    assert_eq!(plan.steps[0].config.as_str(), r#"{"depth":1,"nested":{"a":1,"b":3}}"#);
    assert_eq!(plan.steps[2].config.as_str(), r#"{"index":2}"#);
    assert_eq!(plan.steps[4].parents, [1, 2, 3, 0]);
    let timeouts: Vec<u64> = plan.steps.iter().map(|step| step.timeout_ms).collect();
    assert_eq!(timeouts, [60_000, 60_000, 60_000, 60_000, 5_000]);
    assert_eq!(plan.steps[0].retry.limit, 5);
    assert_eq!(plan.steps[0].retry.backoff, crate::retry::Backoff::None);
    let base = template.resolve("development", &Shop).unwrap();
    assert_eq!(base.steps[0].config.as_str(), r#"{"depth":1,"nested":{"a":1,"b":2}}"#);
    assert_eq!(base.steps[0].timeout_ms, 20_000);
}

#[test]
fn an_external_handler_needs_no_plugin_and_takes_no_limit_of_a_sandbox() {
    let ship = "{ name: ship, handler: ship, depends_on: [item, check], timeout: 5s }";
    let external = |fields: &str| changed(ship, &format!("{{ name: ship, plugin: external, {fields} }}"));
    let with_limits = external("handler: Shop::Ship, depends_on: [item]").replace(
        "defaults: { timeout: 20s,",
        "defaults: { timeout: 20s, limits: { memory: 8MiB, output: 1KiB },",
    );
    let plan = Template::parse("t.yaml", &with_limits).unwrap().resolve("production", &Shop).unwrap();
    let ship = &plan.steps[4];
    assert_eq!((ship.external(), ship.plugin_reference().as_str()), (Some("Shop::Ship"), "external"));
    assert_eq!(ship.digest, crate::external_digest("Shop::Ship"));
    assert_eq!((ship.limits.memory_bytes_max, ship.limits.output_bytes_max), (None, Some(1 << 10)));
    assert_eq!((plan.steps[0].external(), plan.steps[0].limits.memory_bytes_max), (None, Some(8 << 20)));

    let bad_name = Template::parse("t.yaml", &external("handler: 'no name'")).unwrap();
    let refused = bad_name.resolve("production", &Shop).unwrap_err().to_string();
    assert!(
        refused.contains("steps[2].handler: 'no name' is no name of an external handler; write up to 128 of"),
        "{refused}"
    );
    let refused = problems(&external("handler: ship, limits: { cpu: 1s }"));
    assert!(
        refused.contains("steps[2].limits.cpu: 'cpu' limits a sandbox, and an external handler runs"),
        "{refused}"
    );
}

#[test]
fn each_mistake_has_its_message() {
    check(
        "version: 1.2.0",
        "version: 1.2",
        "t.yaml:4:10: version: '1.2' is not a semantic version (unexpected end of input while parsing minor version number); write three numbers, such as 1.0.0",
    );
    check(
        "namespace: shop\n",
        "",
        "t.yaml:2:1: namespace: 'namespace' is missing; write 'namespace: some_name'",
    );
    check(
        "timeout: 20s",
        "timeout: 10 parsecs",
        "t.yaml:10:22: defaults.timeout: '10 parsecs' is not a duration; write a whole number and a unit, such as 250ms, 30s, 5m, 2h or 1d",
    );
    check(
        "timeout: 20s",
        "timeout: 0s",
        "t.yaml:10:22: defaults.timeout: '0s' would let nothing run; leave 'timeout' out for the default",
    );
    check(
        "timeout: 20s",
        "timeuot: 20s",
        "t.yaml:10:13: defaults.timeuot: unknown key 'timeuot'; did you mean 'timeout'?",
    );
    check(
        "limit: 5",
        "limit: 0",
        "t.yaml:10:43: defaults.retry.limit: '0' is not a whole number from 1 to 1000",
    );
    check(
        "backoff: none",
        "backoff: quadratic",
        "t.yaml:21:72: environments.production.steps[0].retry.backoff: 'quadratic' is not a backoff; known are none, linear, exponential, fibonacci",
    );
    check(
        "depends_on: check",
        "depends_on: chek",
        "t.yaml:15:47: steps[1].depends_on[0]: there is no step 'chek'; did you mean 'check'?",
    );
    check(
        "name: ship",
        "name: check",
        "t.yaml:16:5: steps[2].name: the step 'check' is here a second time; rename one of the two; the first is on line 12",
    );
    check(
        "handler: ship,",
        "",
        "t.yaml:16:5: steps[2].handler: 'handler' is missing; name the handler of the plugin that runs this step",
    );
    check(
        "type: object",
        "type: objekt",
        "t.yaml:7:9: input_schema.type: not a JSON Schema: \"objekt\" is not valid under any of the schemas listed in the 'anyOf' keyword",
    );
    check(
        "plugin: shop/shop@^1",
        "plugin: shop@^1",
        "t.yaml:5:9: plugin: 'shop@^1' is not a plugin requirement; write namespace/name@requirement, such as shop/shop@^1, or 'external' for a handler that workers of your own run",
    );
    check(
        "version: 1.2.0",
        "version: &v 1.2.0",
        "t.yaml:4:10: an anchor (&name) is not allowed in a template; write the value out wherever it is used",
    );
    check(
        "namespace: shop",
        "namespace: shop\nnamespace: store",
        "t.yaml:4:1: namespace: the key 'namespace' stands here a second time; keep one of the two; the first is on line 3",
    );
    check(
        "name: ship",
        "name: item_2",
        "t.yaml:16:5: steps[2].name: 'item_2' is also made by the repetition of 'item'; rename it",
    );
    check(
        "repeat: 3",
        "repeat: 10000",
        "t.yaml:16:5: steps: 10002 steps with their repetitions; a template has at most 10000",
    );
}

#[test]
fn a_cycle_is_printed() {
    let text = changed("    handler: validate\n", "    handler: validate\n    depends_on: ship\n");
    assert_eq!(
        problems(&text),
        "t.yaml:12:5: steps[0].depends_on: the steps wait for each other: check → item → ship → check; remove one of these dependencies"
    );
}

#[test]
fn every_problem_is_reported_at_once() {
    let text = changed("version: 1.2.0", "version: one")
        .replace("limit: 5", "limit: many")
        .replace("depends_on: check", "depends_on: [x]");
    let error = Template::parse("t.yaml", &text).unwrap_err();
    let fields: Vec<&str> = error.problems().iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, ["version", "defaults.retry.limit", "steps[1].depends_on[0]"]);
}

#[test]
fn what_does_not_fit_the_plugins_is_listed() {
    let resolve = |text: &str| {
        let template = Template::parse("t.yaml", text).unwrap();
        template.resolve("production", &Shop).unwrap_err().to_string()
    };
    assert_eq!(
        resolve(&changed("shop/shop@^1", "shop/shop@^4")).lines().next().unwrap(),
        "t.yaml:5:9: steps[0].plugin: no registered version of 'shop/shop' satisfies ^4; registered are 1.0.0, 1.9.0, 1.10.0, 2.0.0, 1.11.0-beta.1, 1.12.0, 3.0.0"
    );
    assert_eq!(
        resolve(&changed("shop/shop@^1", "shop/shup@^1")).lines().next().unwrap(),
        "t.yaml:5:9: steps[0].plugin: no plugin 'shop/shup' is registered; did you mean 'shop/shop'?"
    );
    assert_eq!(
        resolve(&changed("handler: validate", "handler: valid")),
        "t.yaml:13:14: steps[0].handler: shop/shop@1.10.0 has no handler 'valid'; known are validate, count, ship"
    );
    assert_eq!(
        resolve(&changed("depth: 1", "depth: 10")),
        "t.yaml:21:32: steps[0].config.depth: does not fit the handler 'validate': 10 is greater than the maximum of 9"
    );
}

#[test]
fn what_was_withdrawn_is_chosen_only_on_its_terms() {
    let resolve = |requirement: &str| {
        let text = changed("shop/shop@^1", &format!("shop/shop@{requirement}"));
        let template = Template::parse("t.yaml", &text).unwrap();
        let plan = template.resolve("production", &Shop);
        plan.map(|plan| plan.steps[0].plugin_version.clone()).map_err(|error| error.to_string())
    };
    let chosen = |requirement: &str| resolve(requirement).unwrap();
    assert_eq!([chosen("^1"), chosen(">=1.0"), chosen("=1.12.0")], ["1.10.0", "2.0.0", "1.12.0"]);
    let refused = |requirement: &str| resolve(requirement).unwrap_err();
    for requirement in ["=1.12", "~1.12", "^1.12"] {
        let error = refused(requirement);
        assert!(
            error.contains("is enabled: 1.12.0 is yanked; 'stepwright plugin enable shop/shop@1.12.0'"),
            "{error}"
        );
        assert!(error.contains("'=1.12.0' asks"), "{error}");
    }
    let disabled = refused("=3.0.0");
    assert!(disabled.contains("satisfies =3.0.0 is enabled: 3.0.0 is disabled"), "{disabled}");
    assert!(!disabled.contains("asks for"), "{disabled}");
}

#[test]
fn contexts_are_checked_with_every_problem() {
    let template = Template::parse("t.yaml", GOOD).unwrap();
    let schema = ContextSchema::compile(template.input_schema().unwrap()).unwrap();
    assert!(schema.check(&Payload::parse(r#"{"order_id":"a"}"#).unwrap()).is_ok());
    let problems = schema.check(&Payload::parse(r#"{"order_id":1}"#).unwrap()).unwrap_err();
    assert_eq!(problems.to_string(), "/order_id: 1 is not of type \"string\"");
    let problems = schema.check(&Payload::parse("[]").unwrap()).unwrap_err();
    assert_eq!(problems.to_string(), "the context: [] is not of type \"object\"");
}

#[test]
fn pictures_show_repetitions_as_one_box() {
    let template = Template::parse("t.yaml", GOOD).unwrap();
    let mermaid = render::mermaid(&template);
    assert!(
        mermaid.contains("item[\"item ×3<br/>count\"]") && mermaid.contains("check --> item"),
        "{mermaid}"
    );
    let dot = render::dot(&template);
    assert!(dot.starts_with("digraph \"shop/order@1.2.0\" {") && dot.contains("item -> ship;"), "{dot}");
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
        let _ = Template::parse("t.yaml", &text);
    }

    #[test]
    fn no_mutation_of_a_template_makes_the_reader_panic(at in 0..GOOD.len(), with in "[\\[\\]{}:,&*!|>'\"#%@`\\n -]{0,3}") {
        let at = (at..GOOD.len()).find(|at| GOOD.is_char_boundary(*at)).unwrap_or(0);
        let text = format!("{}{with}{}", &GOOD[..at], &GOOD[at..]);
        if let Ok(template) = Template::parse("t.yaml", &text) {
            let _ = template.resolve("production", &Shop);
        }
    }
}

/// One plugin whose `take` reads `total_cents` of a parent called `give`, and whose `give` gives it as this.
struct Linked(&'static str);

impl PluginSource for Linked {
    fn versions(&self, _: &str) -> Vec<PluginOffer> {
        let schema = |kind: &str| {
            Payload::parse(format!(
                r#"{{"type":"object","required":["total_cents"],"properties":{{"total_cents":{{"type":"{kind}"}}}}}}"#
            ))
            .unwrap()
        };
        let parent = |step: &str, optional| ParentOffer {
            step: step.to_owned(),
            optional,
            schema: Some(schema("integer")),
        };
        let handler = |name: &str, output_schema, parents| HandlerOffer {
            name: name.to_owned(),
            config_schema: None,
            input_schema: None,
            output_schema,
            parents,
        };
        let give = handler("give", Some(schema(self.0)), Vec::new());
        let take = handler("take", None, vec![parent("give", false), parent("bonus", true)]);
        let (name, version) = ("shop/links".to_owned(), "1.0.0".parse().unwrap());
        let handlers = vec![give, take, handler("any", None, Vec::new())];
        vec![PluginOffer { name, version, digest: Digest::of(b"links"), terms: OfferTerms::Open, handlers }]
    }

    fn names(&self) -> Vec<String> {
        vec!["shop/links".to_owned()]
    }
}

#[test]
fn steps_must_find_what_they_read_of_their_parents() {
    let resolve = |kind: &'static str, steps: &str| {
        let text =
            format!("template: t\nnamespace: shop\nversion: 1.0.0\nplugin: shop/links@^1\nsteps:\n{steps}");
        let resolved = Template::parse("t.yaml", &text).unwrap().resolve("development", &Linked(kind));
        resolved.map(|_| ()).map_err(|problems| problems.to_string())
    };
    let steps = "  - { name: give, handler: give }\n  - { name: take, handler: take, depends_on: [give] }\n";
    assert_eq!(resolve("integer", steps), Ok(()));
    assert_eq!(
        resolve("string", steps).unwrap_err(),
        "t.yaml:7:47: steps[1].depends_on: 'give' does not give what the handler 'take' reads: output.total_cents: the \
         parent gives string, the child reads integer; the schemas are those of the output of 'give' in \
         shop/links@1.0.0 and of the parent 'give' of 'take' in shop/links@1.0.0: see 'stepwright plugin inspect'"
    );
    // Who runs a step of that name does not matter, and one without a schema gives anything.
    assert_eq!(resolve("string", &steps.replacen("handler: give", "handler: any", 1)), Ok(()));
    let unlinked = steps.replace(", depends_on: [give]", "");
    assert_eq!(
        resolve("integer", &unlinked).unwrap_err(),
        "t.yaml:7:28: steps[1].depends_on: the handler 'take' reads the output of 'give', which 'take' does not depend on; \
         add 'give' to depends_on"
    );
    let renamed = steps.replace("name: give", "name: gave").replace("[give]", "[gave]");
    assert_eq!(
        resolve("integer", &renamed).unwrap_err(),
        "t.yaml:7:28: steps[1].depends_on: the handler 'take' reads the output of 'give', which 'take' does not depend on; \
         a step that 'take' depends on must be called 'give'; did you mean 'gave'?"
    );
    // A repeated step's copies have names of their own.
    let repeated = steps.replace("handler: give }", "handler: give, repeat: 2 }");
    assert!(resolve("integer", &repeated).unwrap_err().contains("must be called 'give'"));
    // An optional parent may be missing; if it is there, it must fit.
    let bonus = format!("  - {{ name: bonus, handler: give }}\n{}", steps.replace("[give]", "[give, bonus]"));
    assert_eq!(resolve("number", &bonus).unwrap_err().lines().count(), 2);
}
