//! Real components in the real sandbox: what arrives, what is limited, what is kept, and what is refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a wrong sandbox is a failed test, and what it is given is written on the spot"
)]

mod bench;
mod files;
mod http;
mod limits;
mod secrets;
mod server;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use stepwright_executor::{
    CompiledFolder, ComponentCache, Components, Control, EngineOptions, Executor as _, Fetched, Order,
    Outcome, ParentOutput, Refusal, Sandbox, Signature, StepCall, StepReport, Supply, Trust, WasmExecutor,
    inspect, inspect_and_keep,
};
use stepwright_registry::PluginFolder;
use stepwright_workflow::{Clock, Digest, FailureClass, Payload, StepLimits, TaskId, Timestamp};

struct StillClock;

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_000_000)
    }
}

fn guest(name: &str) -> Vec<u8> {
    let path =
        format!("{}/../../../plugins/target/wasm32-wasip2/release/{name}.wasm", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{path}: {error}; build it with 'cargo xtask plugins'"))
}

struct Bench {
    home: tempfile::TempDir,
    sandbox: Arc<Sandbox>,
    executor: Arc<WasmExecutor>,
    misbehave: Digest,
}

impl Bench {
    fn new(slots: u32) -> Self {
        let home = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::start(EngineOptions { slots, ..EngineOptions::default() }).unwrap();
        let misbehave =
            PluginFolder::open(&home.path().join("plugins")).unwrap().put(&guest("misbehave")).unwrap();
        let executor = Arc::new(executor(home.path(), &sandbox));
        Self { home, sandbox, executor, misbehave }
    }

    fn call(&self, handler: &str, context: &str) -> StepCall {
        StepCall {
            task: TaskId(42),
            step_name: "step".to_owned(),
            attempt: 2,
            retry_limit: 5,
            idempotency_key: "task/42/step".to_owned(),
            plugin: "fixtures/misbehave".to_owned(),
            plugin_version: "1.0.0".to_owned(),
            namespace: "fixtures".to_owned(),
            digest: self.misbehave,
            handler: handler.to_owned(),
            timeout: Duration::from_secs(60),
            limits: StepLimits::default(),
            context: Payload::parse(context).unwrap(),
            config: Payload::parse("{}").unwrap(),
            parents: Vec::new(),
            tags: Vec::new(),
        }
    }

    async fn run(&self, call: StepCall) -> StepReport {
        self.executor.execute(call, Control::default()).await.unwrap()
    }
}

fn executor(home: &Path, sandbox: &Arc<Sandbox>) -> WasmExecutor {
    let folder = PluginFolder::open(&home.join("plugins")).unwrap();
    let compiled = CompiledFolder::open(&home.join("compiled"), 1 << 30).unwrap();
    WasmExecutor::new(Arc::clone(sandbox), folder, compiled, Arc::new(StillClock))
}

fn failure(report: &StepReport) -> (FailureClass, String) {
    match &report.outcome {
        Outcome::Failed { error } => (error.class, error.code.clone().unwrap_or_default()),
        Outcome::Completed { output } => panic!("it completed with {output:?}"),
    }
}

fn output(report: &StepReport) -> &str {
    match &report.outcome {
        Outcome::Completed { output } => output.as_str(),
        Outcome::Failed { error } => panic!("it failed: {error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_is_told_everything_about_its_attempt() {
    let bench = Bench::new(2);
    let mut call = bench.call("echo", "{\"n\":1}");
    call.config = Payload::parse("{\"c\":2}").unwrap();
    let parent = |step: &str, output: &str| ParentOutput {
        step: step.to_owned(),
        output: Payload::parse(output).unwrap(),
    };
    call.parents = vec![parent("b", "[1]"), parent("a", "null")];
    call.tags = vec![("tenant".to_owned(), "north".to_owned())];
    let report = bench.run(call).await;
    assert_eq!(
        output(&report),
        "{\"task_id\":\"42\",\"step_name\":\"step\",\"attempt\":2,\"retry_limit\":5,\"idempotency_key\":\"task/42/step\",\
         \"context\":{\"n\":1},\"config\":{\"c\":2},\"parents\":[[\"b\",[1]],[\"a\",null]],\"tags\":[[\"tenant\",\"north\"]]}"
    );
    assert_eq!(report.receipt.bytes_in, 21);
    assert!(report.receipt.memory_bytes_peak > 0 && report.receipt.bytes_out > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_calls_than_slots_all_end_in_fresh_instances_of_one_compilation() {
    let bench = Bench::new(3);
    let calls = (0..16).map(|_| bench.run(bench.call("count_calls", "{}")));
    for report in futures::future::join_all(calls).await {
        assert_eq!(output(&report), "1");
    }
    assert_eq!(bench.executor.slots_free(), 3);
    let counts = bench.executor.cache_counts();
    assert_eq!((counts.compiled, counts.loaded), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_templates_limits_are_enforced_and_the_slot_is_free_again() {
    let bench = Bench::new(1);
    // On a busy machine only a loop may run out of CPU time soon.
    let limits = StepLimits {
        memory_bytes_max: Some(8 << 20),
        cpu_ms_max: Some(600_000),
        output_bytes_max: Some(100),
    };
    let limited = |handler: &str, context: &str| StepCall { limits, ..bench.call(handler, context) };
    let spin =
        StepCall { limits: StepLimits { cpu_ms_max: Some(100), ..limits }, ..bench.call("spin", "{}") };
    assert_eq!(failure(&bench.run(spin).await), (FailureClass::Timeout, "cpu".to_owned()));
    assert_eq!(
        failure(&bench.run(limited("hoard", "{}")).await),
        (FailureClass::Memory, "memory_bytes".to_owned())
    );
    let ramble = bench.run(limited("ramble", "{\"n\":200}")).await;
    assert_eq!(failure(&ramble), (FailureClass::OutputTooLarge, "output_bytes".to_owned()));
    let sleepy = StepCall { timeout: Duration::from_millis(50), ..limited("sleep", "{}") };
    assert_eq!(failure(&bench.run(sleepy).await), (FailureClass::Timeout, "wall_clock".to_owned()));
    assert_eq!(output(&bench.run(limited("ramble", "{\"n\":3}")).await), "\"xxx\"");
    assert_eq!(bench.executor.slots_free(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_and_prints_are_kept_and_bounded() {
    let bench = Bench::new(1);
    let report = bench.run(bench.call("chatter", "{\"n\":2}")).await;
    let lines: Vec<(&str, &str)> =
        report.log.iter().map(|line| (line.level, line.message.as_str())).collect();
    assert!(lines.contains(&("info", "line 0")) && lines.contains(&("stdout", "printed 1")), "{lines:?}");
    assert!(lines.contains(&("stderr", "complained 1")), "{lines:?}");
    let flood = bench.run(bench.call("chatter", "{\"n\":20000}")).await;
    assert!(flood.receipt.log_dropped > 0 && flood.log.len() < 20_000, "{} lines", flood.log.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_is_told_to_stop_stops() {
    let bench = Bench::new(1);
    let control = Control::default();
    control.cancel();
    let report = bench.executor.execute(bench.call("spin", "{}"), control).await.unwrap();
    assert_eq!(failure(&report).0, FailureClass::Cancelled);

    let control = Control::default();
    let running = bench.executor.execute(bench.call("wait_for_cancel", "{}"), control.clone());
    let stop = async {
        // Its first progress mark says that it runs.
        while control.take_progress().is_none() {
            tokio::task::yield_now().await;
        }
        control.cancel();
    };
    let (report, ()) = tokio::join!(running, stop);
    assert_eq!(failure(&report.unwrap()).0, FailureClass::Cancelled);
    assert_eq!(bench.executor.slots_free(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_call_frees_its_slot() {
    let bench = Bench::new(1);
    bench.run(bench.call("count_calls", "{}")).await;
    let control = Control::default();
    {
        let mut running =
            std::pin::pin!(bench.executor.execute(bench.call("wait_for_cancel", "{}"), control.clone()));
        while control.take_progress().is_none() {
            tokio::select! {
                biased;
                _ = &mut running => panic!("it ended by itself"),
                () = tokio::task::yield_now() => {}
            }
        }
    }
    assert_eq!(output(&bench.run(bench.call("count_calls", "{}")).await), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_is_not_there_or_not_what_it_was_is_unavailable() {
    let bench = Bench::new(1);
    let missing = StepCall { digest: Digest::of(b"nothing"), ..bench.call("echo", "{}") };
    assert_eq!(
        failure(&bench.run(missing).await),
        (FailureClass::PluginUnavailable, "plugin_missing".to_owned())
    );
    let unknown = bench.run(bench.call("no_such_handler", "{}")).await;
    assert_eq!(failure(&unknown), (FailureClass::PluginUnavailable, "unknown_handler".to_owned()));
    let folder = PluginFolder::open(&bench.home.path().join("plugins")).unwrap();
    let module = folder.put(b"\0asm\x01\0\0\0").unwrap();
    let call = StepCall { digest: module, ..bench.call("echo", "{}") };
    assert_eq!(
        failure(&bench.run(call).await),
        (FailureClass::PluginUnavailable, "plugin_invalid".to_owned())
    );
}

fn compiled_file(home: &Path) -> PathBuf {
    let files = std::fs::read_dir(home.join("compiled")).unwrap().map(|entry| entry.unwrap().path());
    files.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "compiled")).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compiled_code_is_used_again_unless_somebody_touched_it() {
    let bench = Bench::new(1);
    bench.run(bench.call("count_calls", "{}")).await;
    let again = executor(bench.home.path(), &bench.sandbox);
    again.warm(bench.misbehave).await.unwrap();
    assert_eq!((again.cache_counts().loaded, again.cache_counts().compiled), (1, 0));

    let path = compiled_file(bench.home.path());
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let suspicious = executor(bench.home.path(), &bench.sandbox);
    suspicious.warm(bench.misbehave).await.unwrap();
    let counts = suspicious.cache_counts();
    assert_eq!((counts.rejected, counts.compiled, counts.loaded), (1, 1, 0));

    // Code under another host's key is as good as damaged.
    std::fs::write(bench.home.path().join("compiled/host.key"), [7; 32]).unwrap();
    let foreign = executor(bench.home.path(), &bench.sandbox);
    foreign.warm(bench.misbehave).await.unwrap();
    assert_eq!(foreign.cache_counts().rejected, 1);
}

/// An executor without components of its own, that runs only what somebody called "us" vouches for.
fn fetching(bench: &Bench) -> (WasmExecutor, tokio::sync::mpsc::Receiver<Order>) {
    let cache = ComponentCache::open(&bench.home.path().join("cache"), 1 << 30).unwrap();
    let (supply, orders) = Supply::new(Duration::from_secs(60));
    let trust = Trust::Check(Arc::new(|plugin, _, signatures| {
        assert_eq!(plugin, "fixtures/misbehave");
        let vouched = signatures.iter().any(|signature| signature.key == "us");
        if vouched { Ok(()) } else { Err(format!("{plugin} is signed by nobody that is trusted")) }
    }));
    let components = (Components::Cache(cache, supply), trust);
    let compiled = CompiledFolder::open(&bench.home.path().join("compiled"), 1 << 30).unwrap();
    let sandbox = Arc::clone(&bench.sandbox);
    (WasmExecutor::trusting(sandbox, components, compiled, Arc::new(StillClock)), orders)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_is_fetched_proven_and_trusted_before_it_runs() {
    let bench = Bench::new(1);
    let (executor, mut orders) = fetching(&bench);
    let component = |signer: Option<&str>| Fetched {
        bytes: guest("misbehave"),
        signatures: signer
            .map(|key| Signature { key: key.to_owned(), signature: String::new() })
            .into_iter()
            .collect(),
    };
    let mut run = async |deliveries: Vec<Result<Fetched, String>>| {
        let running = executor.execute(bench.call("count_calls", "{}"), Control::default());
        let delivering = async {
            for delivery in deliveries {
                let Order { digest, reply } = orders.recv().await.unwrap();
                assert_eq!(digest, bench.misbehave);
                reply.send(delivery).unwrap();
            }
        };
        tokio::join!(running, delivering).0.unwrap()
    };
    let missing = run(vec![Err("nobody has it".to_owned())]).await;
    assert_eq!(failure(&missing), (FailureClass::PluginUnavailable, "plugin_missing".to_owned()));
    let wrong = Fetched { bytes: b"something else".to_vec(), signatures: Vec::new() };
    let Outcome::Failed { error } = run(vec![Ok(wrong)]).await.outcome else { panic!("it ran") };
    assert_eq!((error.code.as_deref(), error.retryable), (Some("plugin_corrupt"), true));
    assert!(error.message.contains(&Digest::of(b"something else").to_string()), "{error}");
    // Unsigned: looked for once more, and refused for good.
    let Outcome::Failed { error } = run(vec![Ok(component(None)), Ok(component(Some("them")))]).await.outcome
    else {
        panic!("it ran")
    };
    assert_eq!((error.code.as_deref(), error.retryable), (Some("plugin_untrusted"), false));
    // Signed meanwhile; and then it is here, with its signatures and its code.
    assert_eq!(output(&run(vec![Ok(component(Some("us")))]).await), "1");
    assert_eq!(output(&run(Vec::new()).await), "1");
    let (again, mut orders) = fetching(&bench);
    let report = again.execute(bench.call("count_calls", "{}"), Control::default()).await.unwrap();
    assert_eq!(output(&report), "1");
    let counts = again.cache_counts();
    assert_eq!((counts.fetched, counts.loaded, counts.compiled), (0, 1, 0));
    assert!(orders.try_recv().is_err());
    // One that was damaged here is fetched again.
    let file = bench.home.path().join(format!("cache/{}.wasm", bench.misbehave.hex()));
    std::fs::write(&file, "damaged").unwrap();
    assert_eq!(output(&run(Vec::new()).await), "1", "it is ready already");
    let (mended, mut orders) = fetching(&bench);
    let running = mended.execute(bench.call("count_calls", "{}"), Control::default());
    let delivering = async { orders.recv().await.unwrap().reply.send(Ok(component(Some("us")))).unwrap() };
    assert_eq!(output(&tokio::join!(running, delivering).0.unwrap()), "1");
    assert_eq!(std::fs::read(&file).unwrap(), guest("misbehave"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_that_was_made_for_a_look_is_there_for_the_first_step() {
    let bench = Bench::new(1);
    let kept = Arc::new(CompiledFolder::open(&bench.home.path().join("compiled"), 1 << 30).unwrap());
    inspect_and_keep(&bench.sandbox, guest("misbehave"), &kept).await.unwrap();
    bench.run(bench.call("count_calls", "{}")).await;
    assert_eq!((bench.executor.cache_counts().loaded, bench.executor.cache_counts().compiled), (1, 0));
}

async fn refused(sandbox: &Arc<Sandbox>, bytes: impl Into<Vec<u8>>) -> Refusal {
    inspect(sandbox, bytes.into()).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_plugin_is_refused_with_wanted_against_offered() {
    let sandbox = Sandbox::start(EngineOptions { slots: 1, ..EngineOptions::default() }).unwrap();
    let found = inspect(&sandbox, guest("shapes")).await.unwrap();
    assert_eq!(found.description.name, "examples/shapes");
    assert!(found.imports.iter().any(|import| import == "stepwright:step/log@0.1.0"), "{:?}", found.imports);

    assert!(matches!(refused(&sandbox, *b"\x7fELF").await, Refusal::NotWasm));
    assert!(matches!(refused(&sandbox, *b"\0asm\x01\0\0\0").await, Refusal::CoreModule));
    let component = |text: &str| wat::parse_str(text).unwrap();
    let empty = refused(&sandbox, component("(component)")).await;
    assert_eq!(empty.to_string(), "it does not export stepwright:step/handler@0.1.0; it exports nothing");
    let foreign = "(component (import \"acme:gpu/render@1.0.0\" (instance (export \"draw\" (func)))))";
    let message = refused(&sandbox, component(foreign)).await.to_string();
    assert!(
        message.starts_with(
            "it imports acme:gpu/render@1.0.0, which this host does not offer; offered are stepwright:step"
        ),
        "{message}"
    );
    // Told from their types alone: the module of this one would trap as soon as it was instantiated.
    let other = "(component
        (core module $m (func $trap unreachable) (start $trap)
            (func (export \"describe\") (result i32) unreachable))
        (core instance $c (instantiate $m))
        (func $f (result u32) (canon lift (core func $c \"describe\")))
        (instance $i (export \"describe\" (func $f)) (export \"handle\" (func $f)))
        (export \"stepwright:step/handler@0.1.0\" (instance $i)))";
    let message = refused(&sandbox, component(other)).await.to_string();
    let expect = "its interface has the right names and other types: stepwright:step/handler@0.1.0: 'describe': \
                  expected `record` found `u32`";
    assert!(message.starts_with(expect), "{message}");
    let wrong = "(component (instance $i) (export \"stepwright:step/handler@0.1.0\" (instance $i)))";
    let message = refused(&sandbox, component(wrong)).await.to_string();
    assert!(message.starts_with("its interface has the right names and other types"), "{message}");
}
