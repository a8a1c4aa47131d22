//! Webhooks: kept without showing their secrets, spoken for by one holder at a time, and how far each has come.

use stepwright_workflow::Timestamp;

use super::{NOW, at};
use crate::{NewWebhook, Store, StoreError, WebhookFilter, WebhookProgress, WebhookRecord, WebhookSecret};

const SECRET: &str = "whsec_bm9ib2R5IHJlYWRzIHRoaXMgaW4gYSBsaXN0";

fn webhook(name: &str) -> NewWebhook {
    NewWebhook {
        name: name.to_owned(),
        url: "https://shop.example/hook".to_owned(),
        secret: WebhookSecret(SECRET.to_owned()),
        filter: WebhookFilter {
            events: vec!["task.*".to_owned(), "step.failed".to_owned()],
            namespace: Some("shop".to_owned()),
            template: None,
        },
        created_by: "ann".to_owned(),
        position: "7-2".to_owned(),
    }
}

/// What lists show of it while nothing has happened.
fn untouched(name: &str, created_at: Timestamp) -> WebhookRecord {
    let NewWebhook { name, url, filter, created_by, position, .. } = webhook(name);
    WebhookRecord {
        name,
        url,
        filter,
        enabled: true,
        created_at,
        created_by,
        position,
        delivered: 0,
        delivered_at: None,
        failures: 0,
        failed_at: None,
        failure: None,
    }
}

/// Nothing more than a position.
fn progress(position: &str) -> WebhookProgress {
    WebhookProgress {
        position: position.to_owned(),
        delivered: 0,
        delivered_at: None,
        failures: 0,
        failed: None,
        enabled: true,
    }
}

async fn add(store: &dyn Store, name: &str) {
    store.add_webhook(&webhook(name), NOW).await.unwrap();
}

async fn find(store: &dyn Store, name: &str) -> WebhookRecord {
    store.webhooks().await.unwrap().into_iter().find(|webhook| webhook.name == name).unwrap()
}

/// The names of what a holder gets.
async fn hold(store: &dyn Store, holder: &str, until: Timestamp, now: Timestamp) -> Vec<String> {
    let held = store.hold_webhooks(holder, until, now).await.unwrap();
    let mut names: Vec<String> = held.into_iter().map(|held| held.record.name).collect();
    names.sort();
    names
}

/// By name; only whoever speaks for it gets the secret, and no text shows it by accident.
pub async fn a_webhook_is_kept_and_its_secret_is_not_shown(store: &dyn Store) {
    assert_eq!(store.webhooks().await.unwrap(), []);
    add(store, "pay").await;
    store.add_webhook(&webhook("audit"), at(3)).await.unwrap();
    let plain = NewWebhook { filter: WebhookFilter::default(), ..webhook("till") };
    store.add_webhook(&plain, NOW).await.unwrap();
    let till = WebhookRecord { filter: WebhookFilter::default(), ..untouched("till", NOW) };
    let expect = [untouched("audit", at(3)), untouched("pay", NOW), till];
    let listed = store.webhooks().await.unwrap();
    assert_eq!(listed, expect);
    let held = store.hold_webhooks("a", at(100), NOW).await.unwrap();
    assert!(held.len() == 3 && held.iter().all(|held| held.secret.0 == SECRET));
    for held in &held {
        assert!(expect.contains(&held.record), "{held:?}");
    }
    // Being held is nothing that lists show.
    assert_eq!(store.webhooks().await.unwrap(), expect);
    let shown = [serde_json::to_string(&listed).unwrap(), format!("{listed:?}{held:?}{:?}", webhook("pay"))];
    for shown in shown {
        assert!(shown.contains("shop.example") && !shown.contains(SECRET), "{shown}");
    }
}

/// The second is refused and changes nothing, whatever it says.
pub async fn a_name_has_one_webhook(store: &dyn Store) {
    add(store, "pay").await;
    assert_eq!(hold(store, "a", at(100), NOW).await, ["pay"]);
    let other = NewWebhook {
        url: "https://else.example".to_owned(),
        secret: WebhookSecret("whsec_b3RoZXI=".to_owned()),
        position: "0".to_owned(),
        ..webhook("pay")
    };
    for second in [&webhook("pay"), &other] {
        let error = store.add_webhook(second, at(1)).await.unwrap_err();
        assert!(matches!(&error, StoreError::Exists { subject, .. } if subject.contains("'pay'")), "{error}");
    }
    assert_eq!(store.webhooks().await.unwrap(), [untouched("pay", NOW)]);
    let held = store.hold_webhooks("a", at(200), at(1)).await.unwrap();
    assert_eq!((held.len(), &*held[0].secret.0), (1, SECRET));
    assert_eq!(hold(store, "b", at(200), at(1)).await, [""; 0]);
}

/// The other gets it once the hold has expired, and from then on what the first one says counts for nothing.
pub async fn one_at_a_time_speaks_for_a_webhook(store: &dyn Store) {
    assert_eq!(hold(store, "a", at(100), NOW).await, [""; 0]);
    add(store, "pay").await;
    assert!(!store.advance_webhook("pay", "a", &progress("9-0")).await.unwrap(), "nobody holds it");
    assert_eq!(hold(store, "a", at(100), NOW).await, ["pay"]);
    assert_eq!(hold(store, "b", at(199), at(99)).await, [""; 0]);
    assert!(!store.advance_webhook("pay", "b", &progress("9-0")).await.unwrap());
    // Whoever holds it holds it longer.
    assert_eq!(hold(store, "a", at(150), at(50)).await, ["pay"]);
    assert_eq!(hold(store, "b", at(249), at(149)).await, [""; 0]);
    assert!(store.advance_webhook("pay", "a", &progress("8-0")).await.unwrap());
    assert_eq!(hold(store, "b", at(250), at(150)).await, ["pay"]);
    let before = find(store, "pay").await;
    assert_eq!(before.position, "8-0");
    let late = WebhookProgress {
        delivered: 5,
        delivered_at: Some(at(151)),
        failures: 4,
        failed: Some((at(151), "late".to_owned())),
        enabled: false,
        ..progress("99-0")
    };
    assert!(!store.advance_webhook("pay", "a", &late).await.unwrap());
    assert_eq!(find(store, "pay").await, before);
    assert_eq!(hold(store, "a", at(260), at(151)).await, [""; 0]);
    assert!(store.advance_webhook("pay", "b", &progress("9-0")).await.unwrap());
    assert_eq!(find(store, "pay").await.position, "9-0");
}

/// What a holder lets go of is free at once; what others hold is not touched.
pub async fn a_released_webhook_is_free(store: &dyn Store) {
    add(store, "pay").await;
    add(store, "audit").await;
    assert_eq!(hold(store, "a", at(100), NOW).await, ["audit", "pay"]);
    add(store, "till").await;
    assert_eq!(hold(store, "b", at(100), NOW).await, ["till"]);
    assert_eq!(hold(store, "a", at(100), NOW).await, ["audit", "pay"]);
    store.release_webhooks("c").await.unwrap();
    assert_eq!(hold(store, "c", at(100), NOW).await, [""; 0]);
    store.release_webhooks("a").await.unwrap();
    assert!(!store.advance_webhook("pay", "a", &progress("9-0")).await.unwrap());
    assert_eq!(find(store, "pay").await, untouched("pay", NOW));
    assert_eq!(hold(store, "c", at(100), at(1)).await, ["audit", "pay"]);
    assert_eq!(hold(store, "a", at(100), at(1)).await, [""; 0]);
    assert!(store.advance_webhook("till", "b", &progress("9-0")).await.unwrap());
}

/// Of several that ask at the same moment.
pub async fn each_webhook_goes_to_one_of_those_that_ask(store: &dyn Store) {
    let all = ["audit", "pay", "till"];
    for name in all {
        add(store, name).await;
    }
    for moment in 0..10 {
        let holders = ["a", "b", "c", "d"];
        let asked = holders.map(|holder| hold(store, holder, at(moment + 1), at(moment)));
        let mut got: Vec<String> = futures::future::join_all(asked).await.concat();
        got.sort();
        assert_eq!(got, all, "at {moment}");
    }
}

/// The position is where it is; deliveries add up; failures are those since the last success, with the last one's reason.
pub async fn a_holder_notes_how_far_a_webhook_has_come(store: &dyn Store) {
    add(store, "pay").await;
    add(store, "audit").await;
    hold(store, "a", at(1_000), NOW).await;
    let advance = async |progress: WebhookProgress| {
        assert!(store.advance_webhook("pay", "a", &progress).await.unwrap());
        find(store, "pay").await
    };
    let told = WebhookProgress { delivered: 3, delivered_at: Some(at(10)), ..progress("8-1") };
    let mut expect = WebhookRecord {
        position: "8-1".to_owned(),
        delivered: 3,
        delivered_at: Some(at(10)),
        ..untouched("pay", NOW)
    };
    assert_eq!(advance(told).await, expect);
    let why = |why: &str, ms: i64| Some((at(ms), why.to_owned()));
    let fails = WebhookProgress { failures: 1, failed: why("the answer was 500", 20), ..progress("8-1") };
    (expect.failures, expect.failed_at, expect.failure) =
        (1, Some(at(20)), Some("the answer was 500".to_owned()));
    assert_eq!(advance(fails).await, expect);
    let again = WebhookProgress { failures: 2, failed: why("nobody answered", 30), ..progress("8-1") };
    (expect.failures, expect.failed_at, expect.failure) =
        (2, Some(at(30)), Some("nobody answered".to_owned()));
    assert_eq!(advance(again).await, expect);
    // A success ends them.
    let told = WebhookProgress { delivered: 4, delivered_at: Some(at(40)), ..progress("12") };
    (expect.failures, expect.failed_at, expect.failure) = (0, None, None);
    (expect.position, expect.delivered, expect.delivered_at) = ("12".to_owned(), 7, Some(at(40)));
    assert_eq!(advance(told).await, expect);
    // What was not wanted moves nothing but the position.
    expect.position = "15".to_owned();
    assert_eq!(advance(progress("15")).await, expect);
    // Whatever stands in the reason, it does not keep the position from being noted.
    let odd = WebhookProgress { failures: 1, failed: why("it said \"\0\u{1F980}\"", 50), ..progress("16") };
    let found = advance(odd).await;
    assert_eq!((&*found.position, found.failures, found.failed_at), ("16", 1, Some(at(50))));
    assert!(found.failure.is_some_and(|why| why.starts_with("it said") && why.ends_with("\u{1F980}\"")));
    assert!(!store.advance_webhook("nothing", "a", &progress("9-0")).await.unwrap());
    assert_eq!(find(store, "audit").await, untouched("audit", NOW));
}

/// Who wants no more is told of nothing until somebody enables it; then it goes on where it was, with its failures forgotten.
pub async fn a_disabled_webhook_is_held_by_nobody(store: &dyn Store) {
    add(store, "pay").await;
    hold(store, "a", at(1_000), NOW).await;
    let gone = WebhookProgress {
        delivered: 2,
        delivered_at: Some(at(10)),
        failures: 1,
        failed: Some((at(20), "the answer was 410".to_owned())),
        enabled: false,
        ..progress("8-1")
    };
    assert!(store.advance_webhook("pay", "a", &gone).await.unwrap());
    let disabled = WebhookRecord {
        enabled: false,
        position: "8-1".to_owned(),
        delivered: 2,
        delivered_at: Some(at(10)),
        failures: 1,
        failed_at: Some(at(20)),
        failure: Some("the answer was 410".to_owned()),
        ..untouched("pay", NOW)
    };
    assert_eq!(find(store, "pay").await, disabled);
    for (holder, now) in [("a", at(30)), ("b", at(30)), ("b", at(2_000))] {
        assert_eq!(hold(store, holder, at(3_000), now).await, [""; 0]);
    }
    assert!(store.enable_webhook("pay", true).await.unwrap());
    let afresh = WebhookRecord { enabled: true, failures: 0, failed_at: None, failure: None, ..disabled };
    assert_eq!(find(store, "pay").await, afresh);
    // Whoever held it before has to begin anew, and another may be first.
    assert!(!store.advance_webhook("pay", "a", &progress("9-0")).await.unwrap());
    assert_eq!(hold(store, "b", at(100), at(40)).await, ["pay"]);
    // The same where an operator does it while it is held: the holder cannot enable it again.
    assert!(store.enable_webhook("pay", false).await.unwrap());
    assert!(!store.advance_webhook("pay", "b", &progress("9-0")).await.unwrap());
    assert_eq!(find(store, "pay").await, WebhookRecord { enabled: false, ..afresh.clone() });
    assert_eq!(hold(store, "b", at(100), at(50)).await, [""; 0]);
    assert!(store.enable_webhook("pay", true).await.unwrap());
    assert_eq!(find(store, "pay").await, afresh);
    assert_eq!(hold(store, "a", at(100), at(50)).await, ["pay"]);
    for enabled in [true, false] {
        assert!(!store.enable_webhook("nothing", enabled).await.unwrap());
    }
}

/// Also while it is held; a new one of its name has nothing of it.
pub async fn a_removed_webhook_leaves_nothing(store: &dyn Store) {
    assert!(!store.remove_webhook("pay").await.unwrap());
    add(store, "pay").await;
    add(store, "audit").await;
    hold(store, "a", at(1_000), NOW).await;
    let told = WebhookProgress { delivered: 2, delivered_at: Some(at(10)), ..progress("8-1") };
    assert!(store.advance_webhook("pay", "a", &told).await.unwrap());
    assert!(store.remove_webhook("pay").await.unwrap());
    assert!(!store.remove_webhook("pay").await.unwrap());
    assert!(!store.advance_webhook("pay", "a", &told).await.unwrap());
    assert_eq!(store.webhooks().await.unwrap(), [untouched("audit", NOW)]);
    assert_eq!(hold(store, "a", at(1_000), at(20)).await, ["audit"]);
    store.add_webhook(&webhook("pay"), at(30)).await.unwrap();
    assert!(!store.advance_webhook("pay", "a", &told).await.unwrap());
    assert_eq!(find(store, "pay").await, untouched("pay", at(30)));
    assert_eq!(hold(store, "b", at(1_000), at(30)).await, ["pay"]);
}
