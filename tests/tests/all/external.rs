//! Steps that workers of the application's own run: each handler's steps go to whoever serves it, and wait for nobody else.

use std::sync::Arc;

use sqlx::postgres::PgListener;
use stepwright_postgres_harness::Database;
use stepwright_store::{NewTask, TaskFilter};
use stepwright_store_postgres::{PostgresOptions, PostgresStore};
use stepwright_tests::liar::{InProcess, Liar, line, truth};
use stepwright_tests::model::Script;
use stepwright_tests::rig::plan;
use stepwright_transport::wire::Batch;
use stepwright_workflow::step::StepState;
use stepwright_workflow::task::TaskState;
use stepwright_workflow::{EXTERNAL, Payload, PlanId, TaskId, external_digest};

/// A component's step, an external one after it, a component's after that, and an external one beside them.
async fn start(world: &InProcess) -> TaskId {
    let parents = vec![vec![], vec![0], vec![1], vec![]];
    let counts: Vec<u32> = parents.iter().map(|parents| u32::try_from(parents.len()).unwrap()).collect();
    let mut plan = plan(&Script { endings: vec![Vec::new(); parents.len()], parents, retry_limit: 3 });
    for (position, handler) in [(1_usize, "charge"), (3, "fax")] {
        let step = &mut plan.steps[position];
        (step.plugin, step.plugin_version) = (EXTERNAL.to_owned(), String::new());
        (step.handler, step.digest) = (handler.to_owned(), external_digest(handler));
    }
    let id: PlanId = world.store.add_plan(&plan).await.unwrap();
    let task = NewTask {
        plan: id,
        namespace: plan.namespace.clone(),
        template: plan.name.clone(),
        parents: counts.into(),
        external: [(1, "charge".to_owned()), (3, "fax".to_owned())].into(),
        context: Payload::parse("{\"order\":1}").unwrap(),
        tags: Vec::new(),
        priority: 0,
        idempotency_key: None,
        start_at: None,
    };
    world.handle.start(vec![task]).await.unwrap()[0].task
}

/// Takes the next batch, which has these steps, and does them.
async fn work(worker: &mut Liar, expected: &[&str]) -> Batch {
    let batch = worker.batch().await;
    let names: Vec<&str> = batch.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, expected);
    let told: Vec<_> = batch.steps.iter().map(truth).collect();
    worker.report(batch.batch, told.clone());
    worker.complete(batch.batch, told.iter().map(line).collect());
    worker.until_closed(batch.batch).await;
    batch
}

#[tokio::test]
async fn each_handler_has_its_workers_and_nobody_waits_for_anothers() {
    let (world, mut components) = InProcess::start().await;
    let task = start(&world).await;
    work(&mut components, &["s0"]).await;
    // Nobody serves 'charge' yet; when somebody does, it comes at once, and the step after it is a component's again.
    let mut ruby = world.external("ruby", &["charge", "refund"]).await;
    let charged = work(&mut ruby, &["s1"]).await;
    let step = &charged.steps[0];
    assert_eq!(
        (step.handler.as_str(), step.plugin_name.as_str(), step.plugin),
        ("charge", EXTERNAL, external_digest("charge"))
    );
    assert_eq!((step.context.as_str(), step.parents[0].0.as_str()), ("{\"order\":1}", "s0"));
    work(&mut components, &["s2"]).await;

    let waiting = world.store.task(task).await.unwrap().unwrap();
    assert_eq!(
        (waiting.summary.state, waiting.steps_detail[3].state),
        (TaskState::InProgress, StepState::Ready)
    );
    // A second task finds its worker while the first one's fax still waits.
    let second = start(&world).await;
    work(&mut components, &["s0"]).await;
    work(&mut ruby, &["s1"]).await;
    work(&mut components, &["s2"]).await;
    let mut fax = world.external("fax", &["fax"]).await;
    work(&mut fax, &["s3", "s3"]).await;
    for task in [task, second] {
        assert_eq!(world.handle.settled(task).await.unwrap(), TaskState::Complete);
    }
    let all = world.store.tasks(&TaskFilter { limit: 10, ..TaskFilter::default() }).await.unwrap();
    assert!(all.iter().all(|task| task.state == TaskState::Complete));
    for worker in [components, ruby, fax] {
        worker.close().await;
    }
    world.stop().await;
}

#[tokio::test]
async fn other_orchestrators_are_called_for_external_steps_that_nobody_here_serves() {
    let database = Database::fresh().await;
    let store = PostgresStore::connect(&database.url(), PostgresOptions::default()).await.unwrap();
    let (world, mut components) = InProcess::over(Arc::new(store)).await;
    let mut listener = PgListener::connect(&database.url()).await.unwrap();
    listener.listen("stepwright").await.unwrap();
    // Its worker has room for more of its kind, so that nothing but external steps is left over. Calls are a quarter of a second
    // apart, so that the first tasks may go without one.
    let tasks = async {
        loop {
            start(&world).await;
            work(&mut components, &["s0"]).await;
        }
    };
    tokio::select! {
        call = listener.recv() => assert_eq!(call.unwrap().channel(), "stepwright"),
        () = tasks => {}
    }
    components.close().await;
    world.stop().await;
}
