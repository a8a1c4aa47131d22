//! One example of each message, with every optional field filled.

use stepwright_transport::wire::*;
use stepwright_workflow::{
    AttemptKey, BatchId, Digest, Failure, FailureClass, Payload, StepId, StepLimits, TaskId, Timestamp,
};

const NOW: Timestamp = Timestamp(1_795_455_005_007);

fn key(position: u16) -> AttemptKey {
    AttemptKey { step: step(position), attempt: 1, batch: BatchId(7) }
}

fn step(position: u16) -> StepId {
    StepId::new(TaskId(42), position)
}

fn json(text: &str) -> Payload {
    Payload::parse(text).unwrap()
}

fn completed() -> StepOutcome {
    StepOutcome {
        task: TaskId(42),
        step: step(0),
        attempt: 1,
        status: OutcomeStatus::Completed,
        output: Some(json(r#"{"total_cents":10000}"#)),
        error: None,
        digest: Digest::of(b"output"),
        started_at: NOW,
        execution_us: 812,
        receipt: Receipt {
            cpu_us: 640,
            memory_bytes_peak: 1_179_648,
            bytes_in: 412,
            bytes_out: 21,
            host_calls: 1,
            http_calls: 2,
            http_bytes_out: 512,
            http_bytes_in: 2_048,
            file_bytes_written: 0,
        },
        log: Vec::new(),
    }
}

fn failed() -> StepOutcome {
    let error = Failure {
        class: FailureClass::Retryable,
        code: Some("gateway_busy".to_owned()),
        message: "the payment gateway is busy".to_owned(),
        details: Some(json(r#"{"queue":3}"#)),
        retry_after_ms: Some(250),
        retryable: true,
    };
    let line = LogLine {
        level: "warn".to_owned(),
        message: "busy".to_owned(),
        fields: vec![("order".to_owned(), "ORD-1".to_owned())],
    };
    StepOutcome {
        step: step(1),
        status: OutcomeStatus::Failed,
        output: None,
        error: Some(error),
        log: vec![line],
        ..completed()
    }
}

fn summary(outcome: &StepOutcome) -> StepSummary {
    StepSummary {
        task: outcome.task,
        step: outcome.step,
        attempt: outcome.attempt,
        status: outcome.status,
        execution_us: outcome.execution_us,
        digest: outcome.digest,
    }
}

pub(crate) fn from_worker() -> Vec<FromWorker> {
    let running =
        StepRunning { step: step(2), attempt: 1, fraction: Some(0.5), note: Some("half way".to_owned()) };
    vec![
        FromWorker::Hello(Hello {
            versions: vec![1],
            name: "worker-1".to_owned(),
            incarnation: "9f86d081884c7d65".to_owned(),
            host: "machine".to_owned(),
            pid: 4_711,
            slots: 2,
            credit: 64,
            credit_bytes: 67_108_864,
            labels: vec![("zone".to_owned(), "a".to_owned())],
            serves: Serves { wasm: true, external: vec!["legacy_invoice".to_owned()] },
            held: vec![BatchId(7)],
            unacknowledged: vec![key(0)],
        }),
        FromWorker::PartialResult(PartialResult {
            batch: BatchId(7),
            outcomes: vec![completed(), failed()],
            running: vec![running],
        }),
        FromWorker::BatchCompletion(BatchCompletion {
            batch: BatchId(7),
            completed: 1,
            failed: 1,
            summaries: vec![summary(&completed()), summary(&failed())],
        }),
        FromWorker::Heartbeat(WorkerHeartbeat {
            held: vec![BatchId(7)],
            latest: Some(BatchId(7)),
            slots_free: 1,
            credit_free: 62,
            draining: false,
            offer: Some(Offer { number: 3, slots: 1, credit: 32, credit_bytes: 33_554_432 }),
        }),
        FromWorker::Goodbye(Goodbye { reason: "drained".to_owned() }),
        FromWorker::ComponentRequest(ComponentRequest {
            digest: Digest::of(b"component"),
            offset: 1_048_576,
        }),
    ]
}

fn peer() -> Peer {
    Peer {
        incarnation: "0a1b2c3d4e5f6071".to_owned(),
        endpoints: vec![
            "ipc://machine/run/stepwright/orchestrator.sock".to_owned(),
            "tcp://10.0.0.1:5555".to_owned(),
        ],
    }
}

pub(crate) fn to_worker() -> Vec<ToWorker> {
    let limits = StepLimits {
        memory_bytes_max: Some(67_108_864),
        cpu_ms_max: Some(5_000),
        output_bytes_max: Some(65_536),
    };
    vec![
        ToWorker::Welcome(Welcome {
            version: 1,
            heartbeat_ms: 1_000,
            lease_ms: 5_000,
            message_bytes_max: 8_388_608,
            payload_bytes_max: 1_048_576,
            keep: vec![BatchId(7)],
            orchestrator: "0a1b2c3d4e5f6071".to_owned(),
            peers: vec![peer()],
        }),
        ToWorker::Batch(Batch {
            batch: BatchId(7),
            created_at: NOW,
            steps: vec![StepTask {
                task: TaskId(42),
                step: step(1),
                attempt: 1,
                name: "process_payment".to_owned(),
                handler: "process_payment".to_owned(),
                plugin: Digest::of(b"component"),
                plugin_name: "shop/payments".to_owned(),
                plugin_version: "1.4.0".to_owned(),
                namespace: "orders".to_owned(),
                retry_limit: 3,
                idempotency_key: "task/42/process_payment".to_owned(),
                timeout_ms: 30_000,
                limits,
                config: json("{}"),
                context: json(r#"{"order_id":"ORD-1"}"#),
                parents: vec![("validate_order".to_owned(), json(r#"{"total_cents":10000}"#))],
                tags: vec![("tenant".to_owned(), "north".to_owned())],
            }],
        }),
        ToWorker::Ack(Ack { outcomes: vec![key(0), key(1)], reconciled: vec![BatchId(7)] }),
        ToWorker::Resend(Resend { attempts: vec![key(1)] }),
        ToWorker::Cancel(Cancel { attempts: vec![key(2)] }),
        ToWorker::Drain(Drain { reason: "upgrade".to_owned() }),
        ToWorker::Heartbeat(OrchestratorHeartbeat { peers: vec![peer()], offer: Some(3) }),
        ToWorker::Refuse(Refuse { reason: "the first message of a connection must be 'hello'".to_owned() }),
        ToWorker::ComponentPart(ComponentPart {
            digest: Digest::of(b"component"),
            offset: 0,
            total: 9,
            data: "Y29tcG9uZW50".to_owned(),
            signatures: vec![Signature {
                key: "operator@example.org".to_owned(),
                signature: "c2lnbmF0dXJl".to_owned(),
            }],
            missing: Some("no such component is registered".to_owned()),
        }),
    ]
}
