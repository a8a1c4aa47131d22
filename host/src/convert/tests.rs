//! Golden files: an old template, ours, and the warnings. And everything that is refused.

use std::path::{Path, PathBuf};

use stepwright_workflow::template::{Problem, Template};

use super::*;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/convert/golden").join(name)
}

/// Compares with the file, and shows what would be right.
fn check(name: &str, found: &str) {
    let expected = std::fs::read_to_string(golden(name)).unwrap_or_default();
    assert_eq!(expected, found, "{name} should be\n{found}");
}

#[test]
fn three_shapes_of_old_templates() {
    for name in ["checkout", "settlement", "returns"] {
        let text = std::fs::read_to_string(golden(&format!("{name}.old.yaml"))).unwrap();
        let file = format!("{name}.old.yaml");
        let mut converted = convert(&[OldFile { name: &file, text: &text }]).unwrap();
        let converted = converted.remove(0);
        let warnings: String = converted.warnings.iter().map(|warning| format!("{warning}\n")).collect();
        check(&format!("{name}.yaml"), &converted.text);
        check(&format!("{name}.warnings.txt"), &warnings);
        assert!(converted.warnings.iter().all(|warning| warning.help.is_some() && warning.line > 0));
    }
}

#[test]
fn environments_come_out_as_they_were() {
    let text = std::fs::read_to_string(golden("returns.old.yaml")).unwrap();
    let converted = convert(&[OldFile { name: "returns.old.yaml", text: &text }]).unwrap().remove(0);
    let template = Template::parse("returns.yaml", &converted.text).unwrap();
    let step =
        |environment: &str, at: usize| template.resolve(environment, &NoPlugins).unwrap().steps[at].clone();
    let (usual, test) = (step("production", 2), step("test", 2));
    assert_eq!((usual.handler.as_str(), test.handler.as_str()), ("refund_handler", "fake_refund_handler"));
    assert_eq!(
        (usual.timeout_ms, test.timeout_ms, usual.retry.limit, test.retry.limit),
        (30_000, 5_000, 8, 1)
    );
    assert_eq!((usual.parents.as_slice(), test.parents.as_slice()), (&[1][..], &[0, 1][..]));
    assert_eq!(usual.config, test.config);
    let delays = |at: usize| {
        let retry = step("production", at).retry;
        // The middle of the jitter.
        let delay = |failures| retry.delay(failures, None, u32::MAX / 2 + 1).as_millis().div_ceil(100) * 100;
        [delay(1), delay(2), delay(3), delay(9)]
    };
    assert_eq!(delays(0), [2_000, 4_000, 6_000, 18_000], "linear");
    assert_eq!(delays(1), [60_000; 4], "constant, beyond the usual cap");
    assert_eq!(delays(2), [5_000, 10_000, 20_000, 300_000], "with a cap of its own");
    // As the earlier engine had it, whose template says nothing.
    let text = "name: a\ntask_handler_class: A\nstep_templates: [{ name: a, handler_class: A }]\n";
    let converted = convert(&[OldFile { name: "a.yaml", text }]).unwrap().remove(0);
    assert_eq!(converted.template, "default/a@0.1.0");
    let plan = Template::parse("a.yaml", &converted.text).unwrap().resolve("", &NoPlugins).unwrap();
    let step = &plan.steps[0];
    assert_eq!(
        (step.timeout_ms, step.retry.limit, step.retry.base_ms, step.retry.cap_ms),
        (120_000, 3, 2_000, 30_000)
    );
}

#[test]
fn a_schema_means_what_it_meant() {
    let with = |schema: &str| {
        let text = format!(
            "name: a\nschema: {schema}\nstep_templates: [{{ name: a, handler_class: A, timeout_seconds: 1 }}]\n"
        );
        let converted = convert(&[OldFile { name: "a.yaml", text: &text }]).unwrap().remove(0);
        let warnings: Vec<String> =
            converted.warnings.iter().map(|warning| warning.problem.clone()).collect();
        (Template::parse("a.yaml", &converted.text).unwrap(), warnings.join("\n"))
    };
    let fits = |template: &Template, context: &str| {
        let schema = template.input_schema().unwrap();
        let schema = stepwright_workflow::template::ContextSchema::compile(schema).unwrap();
        schema.check(&stepwright_workflow::Payload::parse(context).unwrap()).is_ok()
    };
    let closed = "type: object, additionalProperties: false, required: [n], properties: { n:";
    let (draft_4, warnings) =
        with(&format!("{{ {closed} {{ type: number, minimum: 0, exclusiveMinimum: true }} }} }}"));
    assert!(warnings.is_empty(), "{warnings}");
    assert!(
        fits(&draft_4, "{\"n\": 0.1}")
            && !fits(&draft_4, "{\"n\": 0}")
            && !fits(&draft_4, "{\"n\": 1, \"m\": 1}")
    );
    let (pair, warnings) = with(&format!(
        "{{ {closed} {{ items: [{{ type: integer }}, {{ type: string, format: email }}] }} }} }}"
    ));
    assert!(
        fits(&pair, "{\"n\": [1, \"a@b.example\"]}")
            && !fits(&pair, "{\"n\": [\"a\", 1]}")
            && !fits(&pair, "{\"n\": [1, \"a\"]}")
    );
    assert!(warnings.contains("'format: email' was not checked, and may be checked here"), "{warnings}");
    let (plain, warnings) = with("{ type: object, properties: { n: { type: string, format: ipv4 } } }");
    assert!(fits(&plain, "{\"n\": \"x\"}") && fits(&plain, "{}"));
    assert!(
        warnings.contains("'format: ipv4' was checked, and is not here")
            && warnings.contains("every property had to be there")
    );
}

#[test]
fn handlers_of_one_name_are_told_apart_in_all_files() {
    let text = |name: &str, class: &str| {
        format!("name: {name}\nstep_templates: [{{ name: a, handler_class: {class}, timeout_seconds: 1 }}]\n")
    };
    let (pay, ship) = (text("pay", "Pay::CheckHandler"), text("ship", "Ship::CheckHandler"));
    let files = [OldFile { name: "pay.yaml", text: &pay }, OldFile { name: "ship.yaml", text: &ship }];
    let converted = convert(&files).unwrap();
    assert!(converted[0].text.contains("handler: pay/check_handler\n"), "{}", converted[0].text);
    assert!(converted[1].text.contains("handler: ship/check_handler\n"));
    let warning = converted[1].warnings.last().unwrap().to_string();
    assert!(
        warning.contains("ship.yaml:2:44") && warning.contains("so would Pay::CheckHandler"),
        "{warning}"
    );
    assert!(warning.contains("write 'handles \"ship/check_handler\"' in the class"), "{warning}");
    assert!(convert(&files[..1]).unwrap()[0].text.contains("handler: check_handler\n"));
}

fn refused(text: &str, expected: &[&str]) {
    let problems: Vec<Problem> = convert(&[OldFile { name: "old.yaml", text }]).unwrap_err();
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    for expected in expected {
        assert!(
            shown.iter().any(|problem| problem.contains(expected)),
            "{text}\nshould say '{expected}':\n{}",
            shown.join("\n")
        );
    }
    assert!(problems.iter().all(|problem| problem.file == "old.yaml" && problem.help.is_some()), "{shown:?}");
    assert_eq!(problems.len(), expected.len(), "{}", shown.join("\n"));
}

#[test]
fn whatever_is_wrong_is_refused_with_its_place() {
    refused(
        "name: a\n",
        &["old.yaml:1:1: step_templates: 'step_templates' is missing; a template has at least one step"],
    );
    refused("- a\n", &["old.yaml:1:1: expected a mapping, found a list"]);
    refused(
        "name: a\nsteps: []\n",
        &["old.yaml:2:8: steps: 'step_templates' is missing, and 'steps' is another format's"],
    );
    refused(
        "version: v2\nnamed_steps: one\nschema: 7\nstep_templates: []\nenvironments: []\ndescription: [a]\n",
        &[
            "old.yaml:1:1: name: 'name' is missing",
            "old.yaml:2:14: named_steps: expected a list, found a text",
            "old.yaml:3:9: schema: expected a JSON Schema, found a number",
            "old.yaml:4:17: step_templates: there is no step",
            "old.yaml:5:15: environments: expected a mapping, found a list",
            "old.yaml:6:14: description: expected a text, found a list",
        ],
    );
    let step =
        |rest: &str| format!("name: a\nstep_templates:\n  - name: pay\n    handler_class: Pay\n    {rest}\n");
    for (rest, expected) in [
        (
            "depends_on_step: chek",
            "old.yaml:5:22: step_templates[0].depends_on_step: there is no step 'chek'; known are pay",
        ),
        ("depends_on_steps: [pya]", "depends_on_steps[0]: there is no step 'pya'; did you mean 'pay'?"),
        (
            "depends_on_steps: pay",
            "depends_on_steps: expected a list, found a text; write one '- …' a line below it",
        ),
        ("depends_on_step: pay", "step_templates[0].name: the steps wait for each other: pay → pay"),
        (
            "default_retryable: maybe",
            "default_retryable: 'maybe' is not a boolean; write 'default_retryable: true'",
        ),
        ("default_retry_limit: many", "default_retry_limit: 'many' is not a whole number"),
        ("default_retry_limit: -1", "default_retry_limit: '-1' is no number of attempts; write 1 or more"),
        (
            "timeout_seconds: soon",
            "timeout_seconds: 'soon' is not a number of seconds up to a year; write seconds, such as 30",
        ),
        ("timeout_seconds: 0", "timeout_seconds: '0' would let nothing run"),
        (
            "retry_backoff: quadratic",
            "retry_backoff: 'quadratic' is not a backoff; write exponential, linear",
        ),
        ("retry_backoff: { first: 1 }", "retry_backoff: unknown key 'first'"),
        (
            "retry_backoff: { initial_delay: x }",
            "retry_backoff: initial_delay: 'x' is not a number of seconds",
        ),
        ("handler_config: [1]", "handler_config: expected a mapping, found a list"),
        ("description: { a: 1 }", "step_templates[0].description: expected a text, found a mapping"),
    ] {
        refused(&step(rest), &[expected]);
    }
    refused(
        "name: a\nstep_templates:\n  - { name: a, handler_class: pay }\n  - { name: 7, handler_class: A }\n  - { handler_class: A }\n  - x\n",
        &[
            "old.yaml:3:31: step_templates[0].handler_class: 'pay' is not the name of a Ruby class; write one such as Shop::ChargeCard",
            "step_templates[1].name: expected a text, found a number '7'",
            "old.yaml:5:5: step_templates[2].name: 'name' is missing",
            "step_templates[3]: expected a mapping, found a text",
        ],
    );
    refused(
        "name: a\nstep_templates:\n  - name: a\n",
        &["step_templates[0].handler_class: 'handler_class' is missing; name the class"],
    );
    refused(
        "name: a\nstep_templates:\n  - { name: a, handler_class: A }\n  - { name: a, handler_class: B }\n",
        &[
            "old.yaml:4:13: step_templates[1].name: the step 'a' is here a second time; rename one of the two; the first is on line 3",
        ],
    );
    refused(
        "name: a\nstep_templates:\n  - { name: a b, handler_class: A }\n  - { name: a-b, handler_class: B }\n",
        &["step_templates[1].name: 'a b' and 'a-b' are both called 'a_b' here; rename the step"],
    );
}

#[test]
fn what_only_the_whole_shows_is_refused() {
    refused(
        "name: a\nnamed_steps: [a]\nstep_templates:\n  - { name: b, handler_class: B }\n",
        &["step_templates[0].name: the step 'b' is not among 'named_steps'"],
    );
    let two = "name: a\nstep_templates:\n  - { name: a, handler_class: A }\n  - { name: b, handler_class: B, depends_on_step: a }\n";
    let around =
        format!("{two}environments:\n  test:\n    step_templates: [{{ name: a, depends_on_step: b }}]\n");
    refused(
        &around,
        &[
            "step_templates[0].name: the steps wait for each other: a → b → a; remove one of these dependencies",
        ],
    );
    let step = "step_templates: [{ name: a, handler_class: A }]\n";
    refused(
        &format!("name: '???'\n{step}"),
        &["name: no name of a template can be made of '???'; write some of a-z"],
    );
    refused(
        &format!("name: a\nversion: latest\n{step}"),
        &["version: 'latest' is not a semantic version; write three numbers"],
    );
    // Only our own parser looks into schemas; the place is that of the old file.
    refused(
        &format!("name: a\n{step}schema:\n  type: object\n  properties:\n    n: {{ type: whole }}\n"),
        &["old.yaml:6:16: schema.properties.n.type: not a JSON Schema"],
    );
    refused("name: a\nstep_templates: [\n", &["the YAML cannot be read"]);
}
