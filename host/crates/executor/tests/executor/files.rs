//! Files: what guests see, how much they write, and that nothing stays.

use std::path::Path;

use serde_json::{Value, json};
use stepwright_executor::grants::DirectoryGrant;
use stepwright_executor::{Control, EngineOptions, Executor as _, Grants};
use stepwright_workflow::FailureClass;

use crate::bench::{Reach, eventually, failed, output, warnings};

fn directory(host: &Path, guest: &str, writable: bool) -> DirectoryGrant {
    DirectoryGrant { host: host.to_owned(), guest: guest.to_owned(), writable }
}

fn scratch(bytes: u64) -> Grants {
    Grants { scratch_bytes: Some(bytes), ..Grants::default() }
}

/// Directories of attempts that are still there.
fn attempts(reach: &Reach) -> usize {
    let base = reach.home.path().join("scratch");
    let process = std::fs::read_dir(base)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.is_dir())
        .unwrap();
    std::fs::read_dir(process).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir()).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn granted_directories_are_seen_as_granted_and_nothing_beyond_them() {
    let home = tempfile::tempdir().unwrap();
    let (data, work) = (home.path().join("data"), home.path().join("work"));
    for dir in [&data, &work] {
        std::fs::create_dir(dir).unwrap();
    }
    std::fs::write(home.path().join("outside"), "outside").unwrap();
    std::fs::write(data.join("in"), "inside").unwrap();
    std::os::unix::fs::symlink(home.path().join("outside"), data.join("absolute")).unwrap();
    std::os::unix::fs::symlink("../outside", work.join("relative")).unwrap();
    std::os::unix::fs::symlink("/proc", work.join("proc")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        work.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    let socket = std::os::unix::net::UnixListener::bind(work.join("socket")).unwrap();
    let reach = Reach::new(Grants {
        directories: vec![directory(&data, "/data", false), directory(&work, "/work", true)],
        scratch_bytes: Some(1_000),
        ..Grants::default()
    });
    let (done, _) = reach.files("/nothing", json!([])).await;
    assert_eq!(done["directories"], json!(["/data", "/work", "/scratch"]));
    let denied = |text: &Value| text.as_str().is_some_and(|text| text.starts_with("error: "));
    let (done, report) = reach
        .files(
            "/data",
            json!([
                { "do": "read", "path": "in" },
                { "do": "list" },
                { "do": "read", "path": "absolute" },
                { "do": "read", "path": "../outside" },
                { "do": "read", "path": home.path().join("outside") },
                { "do": "read", "path": "../../../../etc/passwd" },
                { "do": "write", "path": "in", "bytes": 1 },
                { "do": "write", "path": "new", "bytes": 1 },
                { "do": "directory", "path": "new" },
                { "do": "rename", "from": "in", "to": "out" },
                { "do": "remove", "path": "in" },
                { "do": "symlink", "target": "in", "path": "link" },
                { "do": "link", "from": "in", "to": "link" },
                { "do": "link_into", "from": "in", "dir": "/work", "to": "link" },
            ]),
        )
        .await;
    assert_eq!((&done[0], &done[1]), (&json!("inside"), &json!(["absolute", "in"])));
    assert!(done.as_array().unwrap()[2..].iter().all(denied), "{done}");
    assert_eq!(report.receipt.file_bytes_written, 0);
    let (done, report) = reach
        .files(
            "/work",
            json!([
                { "do": "write", "path": "new", "bytes": 5 },
                { "do": "append", "path": "new", "bytes": 2 },
                { "do": "symlink", "target": "new", "path": "good" },
                { "do": "read", "path": "good" },
                { "do": "read", "path": "relative" },
                { "do": "read", "path": "proc/self/environ" },
                { "do": "open", "path": "pipe" },
                { "do": "open", "path": "socket" },
                { "do": "write", "path": "pipe", "bytes": 1 },
                { "do": "symlink", "target": "/etc/passwd", "path": "bad" },
                { "do": "symlink", "target": "../outside", "path": "bad" },
                { "do": "rename", "from": "new", "to": "../new" },
                { "do": "link", "from": "../outside", "to": "bad" },
                { "do": "link", "from": "relative/", "to": "bad" },
                { "do": "open", "path": "relative/" },
                { "do": "link_into", "from": "new", "dir": "/scratch", "to": "link" },
            ]),
        )
        .await;
    assert_eq!((&done[0], &done[1], &done[3]), (&json!(5), &json!(2), &json!("wwwwwss")));
    assert!(done.as_array().unwrap()[4..].iter().all(denied), "{done}");
    assert_eq!(report.receipt.file_bytes_written, 7);
    assert_eq!(std::fs::read_to_string(work.join("new")).unwrap(), "wwwwwss");
    assert_eq!(std::fs::read_to_string(home.path().join("outside")).unwrap(), "outside");
    assert!(!work.join("bad").exists());
    drop(socket);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_to_write_is_counted_to_the_byte() {
    let reach = Reach::new(scratch(10_000));
    let ways = [
        json!([{ "do": "write", "path": "f", "bytes": 10_000 }, { "do": "write", "path": "g", "bytes": 1 }]),
        json!([{ "do": "write", "path": "f", "bytes": 10_001 }, { "do": "write", "path": "g", "bytes": 1 }]),
        json!([{ "do": "stream", "path": "f", "bytes": 10_000 }, { "do": "stream", "path": "f", "bytes": 1 }]),
        json!([{ "do": "stream", "path": "f", "bytes": 10_000 }, { "do": "append", "path": "f", "bytes": 1 }]),
        json!([{ "do": "append", "path": "f", "bytes": 10_000 }, { "do": "zeroes", "path": "f", "bytes": 1 }]),
        json!([{ "do": "size", "path": "f", "bytes": 10_000 }, { "do": "size", "path": "f", "bytes": 10_001 }]),
        json!([{ "do": "write", "path": "f", "bytes": 1, "at": 9_999 }, { "do": "write", "path": "f", "bytes": 1 }]),
        json!([{ "do": "stream", "path": "f", "bytes": 1, "at": 9_999 }, { "do": "stream", "path": "f", "bytes": 1 }]),
        json!([{ "do": "write", "path": "f", "bytes": 5_000 }, { "do": "splice", "from": "f", "to": "g", "bytes": 5_001 },
               { "do": "splice", "from": "f", "to": "h", "bytes": 1 }]),
    ];
    for steps in ways {
        let (done, report) = reach.files("/scratch", steps.clone()).await;
        let done = done.as_array().unwrap();
        let (last, before) = done.split_last().unwrap();
        assert!(before.iter().all(|done| !done.to_string().contains("error: ")), "{steps}: {done:?}");
        let refused = last.as_str().unwrap_or_default();
        assert!(refused.contains("quota") || refused.contains("insufficient-space"), "{steps}: {done:?}");
        assert_eq!(
            warnings(&report),
            ["the limit scratch_bytes is reached: an attempt may write 10000 bytes there"]
        );
        assert!(report.receipt.file_bytes_written <= 10_000);
    }
    let (done, _) = reach.files("/scratch", json!([{ "do": "write", "path": "f", "bytes": 10_001 }])).await;
    assert_eq!(done[0], 10_000);
    let (done, _) = reach.files("/scratch", json!([{ "do": "stream", "path": "f", "bytes": 20_000 }])).await;
    assert_eq!(done[0], "error: insufficient-space after 10000");
    let (done, report) = reach.files("/scratch", json!([{ "do": "many", "count": 20_000 }])).await;
    assert_eq!(done[0], 10_000);
    assert!(warnings(&report)[0].contains("file_entries_max is reached"), "{:?}", warnings(&report));
    assert_eq!(attempts(&reach), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_of_its_own_is_empty_at_first_and_gone_afterwards() {
    let reach = Reach::new(scratch(1 << 20));
    for _ in 0..2 {
        let (done, _) = reach
            .files("/scratch", json!([{ "do": "list" }, { "do": "write", "path": "f", "bytes": 9 }]))
            .await;
        assert_eq!(done[0], json!([]));
        assert_eq!(attempts(&reach), 0);
    }
    let (done, _) = reach.files("/scratch", json!([{ "do": "nest", "depth": 2_000 }])).await;
    assert_eq!(done[0], 2_000);
    assert_eq!(attempts(&reach), 0);
    // Also when nobody waits for the attempt any more.
    let call = reach.call("fetch", &json!({ "requests": [] }));
    {
        let mut running = std::pin::pin!(reach.executor.execute(call, Control::default()));
        while attempts(&reach) == 0 {
            tokio::select! {
                biased;
                _ = &mut running => break,
                () = tokio::task::yield_now() => {}
            }
        }
    }
    eventually(|| attempts(&reach) == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn granted_directories_share_a_limit_and_a_missing_one_is_named() {
    let home = tempfile::tempdir().unwrap();
    let grants = Grants { directories: vec![directory(home.path(), "/work", true)], ..Grants::default() };
    let options = EngineOptions { file_bytes_max: 100, ..EngineOptions::default() };
    let reach = Reach::with(options, grants, |executor| executor);
    let (done, report) = reach.files("/work", json!([{ "do": "write", "path": "f", "bytes": 101 }, { "do": "append", "path": "f", "bytes": 1 }])).await;
    assert_eq!(done, json!([100, "error: insufficient-space after 0"]));
    assert!(
        warnings(&report)[0].contains("the limit file_bytes_max is reached: an attempt may write 100 bytes")
    );
    let gone = home.path().join("gone");
    let reach =
        Reach::new(Grants { directories: vec![directory(&gone, "/gone", false)], ..Grants::default() });
    let report = reach.run("files", json!({ "dir": "/gone", "steps": [] })).await;
    let error = failed(&report);
    assert_eq!(
        (error.class, error.code.as_deref(), error.retryable),
        (FailureClass::PluginUnavailable, Some("granted_directory"), true)
    );
    assert!(error.message.contains(&*gone.to_string_lossy()), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn environment_and_settings_are_what_was_granted_and_input_is_empty() {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let reach = Reach::new(Grants {
        environment: vec![pair("REGION", "north"), pair("LEVEL", "1"), pair("REGION", "south")],
        settings: vec![pair("limit", "5")],
        ..Grants::default()
    });
    let report = reach.run("tell", json!({ "settings": ["limit", "other"] })).await;
    let told = output(&report);
    assert_eq!(told["environment"], json!([["LEVEL", "1"], ["REGION", "south"]]));
    assert_eq!(
        (&told["settings"], &told["all"], &told["stdin"]),
        (&json!(["5", null]), &json!([["limit", "5"]]), &json!(0))
    );
    assert!(
        warnings(&report)[0]
            .ends_with("[[grants]]\nplugin = \"fixtures/reach\"\nsettings = {\"other\" = \"\"}")
    );
    let nothing = Reach::new(Grants::default());
    let told = output(&nothing.run("tell", json!({})).await);
    assert_eq!((&told["environment"], &told["all"], &told["stdin"]), (&json!([]), &json!([]), &json!(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_small_calls_and_many_random_bytes_end_in_a_named_limit() {
    let options =
        EngineOptions { host_calls_max: 1_000, host_call_bytes_max: 1 << 20, ..EngineOptions::default() };
    let reach = Reach::with(options, Grants::default(), |executor| executor);
    let report = reach.run("nag", json!({ "calls": 900 })).await;
    assert_eq!(output(&report), json!(0));
    assert!(report.receipt.host_calls >= 900);
    let report = reach.run("nag", json!({ "calls": 1_001 })).await;
    let error = failed(&report);
    assert_eq!((error.class, error.code.as_deref()), (FailureClass::OutputTooLarge, Some("host_calls")));
    assert_eq!(error.message, "the calls to the host were many: 1001, the limit is 1000");
    let report = reach.run("nag", json!({ "random": 17 })).await;
    assert_eq!(failed(&report).code.as_deref(), Some("host_call_bytes"));
}
