//! What the ledger says of a worker that lies: injected into a real orchestrator, counted, visible, and without effect.

use std::collections::BTreeMap;

use serde_json::Value;
use stepwright_store::{AttemptStatus, BatchEnd, NoteKind};
use stepwright_tests::liar::{InProcess, Liar, forged, lie, line, truth};
use stepwright_tests::processes::{Deployment, plugin, template};
use stepwright_tests::rig::Rig;
use stepwright_transport::zmq::{self, ConnectOptions, Routes};
use stepwright_workflow::task::TaskState;
use stepwright_workflow::{BatchId, StepId};

fn kinds(notes: &[stepwright_store::NoteRecord]) -> BTreeMap<&'static str, usize> {
    let mut kinds = BTreeMap::new();
    for note in notes {
        *kinds.entry(note.kind.as_str()).or_default() += 1;
    }
    kinds
}

#[tokio::test]
async fn whatever_a_worker_claims_the_first_outcome_stands_and_the_lie_is_noted() {
    let (world, mut liar) = InProcess::start().await;
    let task = world.task(3).await;
    let batch = liar.batch().await;
    let (id, steps) = (batch.batch, batch.steps);
    assert_eq!(steps.len(), 3);
    let told: Vec<_> = steps.iter().map(truth).collect();
    liar.report(id, vec![told[0].clone(), told[1].clone()]);
    // Another outcome for the same attempt, the same again, and one for an attempt that never was.
    liar.report(id, vec![lie(&steps[0])]);
    liar.report(id, vec![told[1].clone()]);
    let mut early = told[0].clone();
    early.attempt = 7;
    liar.report(id, vec![early]);
    // Another digest, one that was never reported, and a step that is not in the batch.
    let mut foreign = line(&told[0]);
    foreign.step = StepId::new(task, 9);
    liar.complete(id, vec![forged(&told[0]), line(&told[1]), line(&told[2]), foreign]);
    assert_eq!(liar.until_asked_again().await, 1);
    liar.report(id, vec![told[2].clone()]);
    liar.until_closed(id).await;
    assert_eq!(world.handle.settled(task).await.expect("it settles"), TaskState::Complete);
    // And the whole list once more.
    liar.complete(id, told.iter().map(line).collect());
    liar.until_closed(id).await;

    let record = world.store.task(task).await.expect("it answers").expect("it is there");
    for step in &record.steps_detail {
        let output = step.output.as_ref().expect("an output").as_str();
        assert_eq!(output, Rig::output(step.id, 1), "the first outcome stands");
    }
    let batch = world.store.batch(id).await.expect("it answers").expect("it is there");
    assert_eq!(batch.summary.end, Some(BatchEnd::Discrepancy));
    assert_eq!(batch.summary.asked_again, 1);
    assert!(batch.summary.completed_at <= batch.summary.closed_at);
    assert_eq!(kinds(&batch.notes), BTreeMap::from([("discrepancy", 3), ("duplicate", 2), ("late", 1)]));
    assert!(batch.steps_detail.iter().all(|step| step.status == Some(AttemptStatus::Completed)));
    let of_task = world.store.notes(task).await.expect("it answers");
    assert_eq!(kinds(&of_task), BTreeMap::from([("discrepancy", 2), ("duplicate", 1), ("late", 1)]));
    let stats = world.handle.stats();
    assert_eq!((stats.discrepancies, stats.outcomes_duplicate, stats.outcomes_late), (3, 1, 1));
    assert_eq!(world.store.discrepancies().await.expect("it answers").count, 3);
    liar.close().await;
    world.stop().await;
}

#[tokio::test]
async fn attempts_that_a_completion_leaves_out_are_lost_and_tried_again() {
    let (world, mut liar) = InProcess::start().await;
    let task = world.task(2).await;
    let first = liar.batch().await;
    let told = truth(&first.steps[0]);
    liar.report(first.batch, vec![told.clone()]);
    liar.complete(first.batch, vec![line(&told)]);
    let second = liar.batch().await;
    assert_eq!((second.steps[0].step, second.steps[0].attempt), (first.steps[1].step, 2));
    let told: Vec<_> = second.steps.iter().map(truth).collect();
    liar.report(second.batch, told.clone());
    liar.complete(second.batch, told.iter().map(line).collect());
    liar.until_closed(second.batch).await;
    assert_eq!(world.handle.settled(task).await.expect("it settles"), TaskState::Complete);

    let batch = world.store.batch(first.batch).await.expect("it answers").expect("it is there");
    assert_eq!(batch.summary.end, Some(BatchEnd::Discrepancy));
    let lost = &batch.steps_detail[1];
    assert_eq!(lost.status, Some(AttemptStatus::Lost));
    assert_eq!(lost.led_to.map(|state| state.as_str()), Some("ready"));
    assert_eq!(batch.notes.len(), 1);
    assert_eq!((batch.notes[0].kind, batch.notes[0].step), (NoteKind::Discrepancy, Some(lost.step)));
    let second = world.store.batch(second.batch).await.expect("it answers").expect("it is there");
    assert_eq!((second.summary.end, second.notes.len()), (Some(BatchEnd::Reconciled), 0));
    assert_eq!(world.handle.stats().discrepancies, 1);
    // A batch that never was closes nothing.
    liar.complete(BatchId(9_999), Vec::new());
    liar.until_closed(BatchId(9_999)).await;
    let notes = world.store.batch_notes(&[BatchId(9_999)]).await.expect("it answers");
    assert_eq!(kinds(&notes), BTreeMap::from([("late", 1)]));
    liar.close().await;
    world.stop().await;
}

#[tokio::test]
async fn an_operator_sees_what_a_worker_of_a_real_deployment_lied_about() {
    let deployment = Deployment::new();
    // The liar speaks when the test wants it to; it must not be taken for dead.
    let patience = "[orchestrator]\nheartbeat = \"60s\"\nlease = \"600s\"\n";
    std::fs::write(deployment.data().join("stepwright.toml"), patience).expect("a file");
    let run_dir = deployment.run_dir_of(0).to_string_lossy().into_owned();
    let orchestrator = deployment.start(&["orchestrate", "--run-dir", &run_dir]);
    let options = ConnectOptions {
        routes: Routes::new(vec![deployment.socket_of(0).into()]),
        incarnation: "one".to_owned(),
        message_bytes_max: 8 << 20,
    };
    let mut liar = Liar::join(Box::new(zmq::connect(options).expect("it connects"))).await;
    deployment.succeed(&["plugin", "add", &plugin("shapes")]);
    deployment.succeed(&["template", "add", &template("noop_1")]);
    deployment.succeed(&["task", "run", "shapes/noop_1", "--json-input", "{\"n\":1}"]);
    let batch = liar.batch().await;
    let told = truth(&batch.steps[0]);
    liar.report(batch.batch, vec![told.clone()]);
    liar.report(batch.batch, vec![lie(&batch.steps[0])]);
    liar.complete(batch.batch, vec![forged(&told)]);
    liar.until_closed(batch.batch).await;

    let listed = deployment.json(&["batch", "list", "--state", "discrepancy", "--worker", "driven"]);
    assert_eq!(listed["batches"][0]["id"], batch.batch.0);
    assert_eq!(deployment.json(&["batch", "list", "--state", "lost"])["batches"], serde_json::json!([]));
    let shown = deployment.succeed(&["batch", "show", &batch.batch.to_string()]);
    for told in [
        "discrepancy  1 steps",
        "worker        driven",
        "incarnation one",
        "with discrepancies",
        "examples/shapes@",
    ] {
        assert!(shown.contains(told), "'{told}' is missing in\n{shown}");
    }
    assert_eq!(shown.matches("nothing: what was recorded stands").count(), 2, "{shown}");
    let history = deployment.succeed(&["task", "show", "1", "--history"]);
    let order = [
        "created from shapes/noop_1",
        "claimed by orchestrator",
        "partial result recorded: completed",
        "task complete",
    ];
    let places: Vec<Option<usize>> = order.iter().map(|text| history.find(text)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{history}");
    assert!(history.contains("driven (one)"), "{history}");
    let json = deployment.json(&["task", "show", "1", "--history"]);
    let of = |kind: &str| -> Vec<&Value> {
        json["history"].as_array().expect("lines").iter().filter(|line| line["kind"] == kind).collect()
    };
    assert_eq!(
        (of("discrepancy").len(), of("completed").len(), of("batch_closed").len()),
        (2, 1, 1),
        "{json}"
    );
    assert_eq!(of("discrepancy")[0]["changed"], "nothing: what was recorded stands");
    let doctor = deployment.succeed(&["doctor"]);
    assert!(doctor.contains("the ledger holds 2 discrepancies"), "{doctor}");
    assert_eq!(deployment.json(&["doctor"])["discrepancies"]["count"], 2);
    let missing = deployment.output(&["batch", "show", "9999"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("there is no batch 9999"));
    liar.close().await;
    assert_eq!(orchestrator.terminate(), Some(0));
}
