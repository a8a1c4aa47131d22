//! Who is found, who is missed, and who is chosen.

use super::*;

fn gate(address: &str) -> Endpoint {
    Endpoint::parse(&format!("tcp://{address}")).unwrap()
}

fn outlook(links_max: usize) -> Outlook {
    Outlook { host: "here".to_owned(), discover: true, links_max, salt: "salt".to_owned() }
}

fn peer(incarnation: &str, endpoints: &[&str]) -> Peer {
    let endpoints = endpoints.iter().map(|endpoint| (*endpoint).to_owned()).collect();
    Peer { incarnation: incarnation.to_owned(), endpoints }
}

fn said(orchestrator: &str, at_home: bool, peers: &[Peer]) -> Said {
    Said { at_home, heard: Heard { orchestrator: orchestrator.to_owned(), peers: peers.to_vec() } }
}

fn later(seconds: u64) -> Instant {
    static BEGAN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    // The clock of the tests stands still; only differences count.
    #[allow(clippy::disallowed_methods, reason = "an instant must come from somewhere")]
    let began = BEGAN.get_or_init(Instant::now);
    *began + Duration::from_secs(seconds)
}

fn one(endpoint: Endpoint) -> Places {
    let (places, changes) = Places::new(outlook(4), std::slice::from_ref(&endpoint));
    assert_eq!(changes, [Change::Open(0, endpoint), Change::Link(0)]);
    places
}

#[test]
fn others_are_found_through_one() {
    let mut places = one(gate("a:1"));
    let peers = [
        peer("a-1", &["ipc://there/a.sock", "tcp://a.example:1"]),
        peer("b-1", &["ipc://here/b.sock", "tcp://b:1"]),
        peer("c-1", &["ipc://there/c.sock", "tcp://c:1/2"]),
        peer("d-1", &["ipc://there/d.sock", "carrier-pigeon://d"]),
    ];
    let changes = places.hear(&[(0, said("a-1", true, &peers))].into(), later(0), |_| true);
    let socket = Endpoint::Socket(PathBuf::from("/b.sock"));
    assert_eq!(changes[..2], [Change::Open(1, socket), Change::Open(2, gate("c:1/2"))]);
    let mut links: Vec<_> = changes[2..].iter().collect();
    links.sort_by_key(|change| format!("{change:?}"));
    assert_eq!(links, [&Change::Link(1), &Change::Link(2)]);
    assert_eq!(places.hear(&[(0, said("a-1", true, &peers))].into(), later(1), |_| true), []);
}

#[test]
fn a_socket_that_is_not_there_is_passed_over_for_the_gate() {
    let mut places = one(gate("a:1"));
    let peers = [peer("b-1", &["ipc://here/b.sock", "tcp://b:1"])];
    let changes = places.hear(&[(0, said("a-1", true, &peers))].into(), later(0), |way| way == &gate("b:1"));
    assert_eq!(changes, [Change::Open(1, gate("b:1")), Change::Link(1)]);
}

#[test]
fn a_restarted_orchestrator_is_at_the_same_place() {
    let mut places = one(gate("a:1"));
    let before = [peer("a-1", &["ipc://here/a.sock"]), peer("b-1", &["ipc://here/b.sock"])];
    assert_eq!(places.hear(&[(0, said("a-1", true, &before))].into(), later(0), |_| true).len(), 2);
    // Before its own link has heard it, another tells of it: it is known by where it is.
    let after = [peer("a-2", &["ipc://here/a.sock"]), peer("b-2", &["ipc://here/b.sock"])];
    assert_eq!(places.hear(&[(1, said("b-2", true, &after))].into(), later(1), |_| true), []);
}

#[test]
fn a_link_that_is_away_from_home_does_not_take_its_host_for_home() {
    let mut places = one(gate("a:1"));
    let peers = [peer("b-1", &["tcp://b:1"])];
    let changes = places.hear(&[(0, said("b-1", false, &peers))].into(), later(0), |_| true);
    assert_eq!(changes, [Change::Open(1, gate("b:1")), Change::Link(1)]);
}

#[test]
fn a_place_is_closed_a_minute_after_it_was_last_told_of() {
    let mut places = one(gate("a:1"));
    let (a, b) = (peer("a-1", &["tcp://a:1"]), peer("b-1", &["tcp://b:1"]));
    let hear = |places: &mut Places, peers: &[Peer], seconds| {
        places.hear(&[(0, said("a-1", true, peers))].into(), later(seconds), |_| true)
    };
    let both = [a.clone(), b];
    assert_eq!(hear(&mut places, &both, 0).len(), 2);
    assert_eq!(hear(&mut places, std::slice::from_ref(&a), 10), []);
    assert_eq!(hear(&mut places, std::slice::from_ref(&a), 69), []);
    assert_eq!(hear(&mut places, &both, 69), [], "it is back");
    assert_eq!(hear(&mut places, std::slice::from_ref(&a), 70), []);
    assert_eq!(hear(&mut places, &[], 200), [], "whoever hears nothing knows nothing");
    assert_eq!(hear(&mut places, std::slice::from_ref(&a), 130), [Change::Close(1)]);
    assert!(places.has(0) && !places.has(1));
    assert_eq!(hear(&mut places, &both, 131), [Change::Open(2, gate("b:1")), Change::Link(2)]);
}

#[test]
fn places_of_the_settings_stay_and_come_first() {
    let configured = [gate("a:1"), gate("b:1"), gate("a:1"), gate("c:1")];
    let (mut places, changes) = Places::new(outlook(2), &configured);
    assert_eq!(
        changes,
        [
            Change::Open(0, gate("a:1")),
            Change::Open(1, gate("b:1")),
            Change::Open(2, gate("c:1")),
            Change::Link(0),
            Change::Link(1)
        ]
    );
    let peers = [peer("a-1", &["tcp://a:1"]), peer("d-1", &["tcp://d:1"])];
    let heard = [(0, said("a-1", true, &peers))].into();
    assert_eq!(places.hear(&heard, later(0), |_| true), [Change::Open(3, gate("d:1"))]);
    assert_eq!(places.hear(&heard, later(100), |_| true), []);
    assert!(!places.shun(1));
}

#[test]
fn the_same_orchestrator_at_two_places_is_left_with_one() {
    let mut places = one(gate("a:1"));
    let peers = [peer("a-1", &["tcp://10.0.0.1:1"])];
    // Somebody else told of it before our own link had arrived there.
    let changes = places.hear(&[(0, said("b-1", false, &peers))].into(), later(0), |_| true);
    assert_eq!(changes, [Change::Open(1, gate("10.0.0.1:1")), Change::Link(1)]);
    let heard = [(0, said("a-1", true, &peers)), (1, said("a-1", true, &peers))].into();
    assert_eq!(places.hear(&heard, later(1), |_| true), [Change::Close(1)]);
    assert_eq!(places.hear(&heard, later(2), |_| true), []);
}

#[test]
fn whoever_refuses_us_is_not_asked_again_until_it_is_another() {
    let mut places = one(gate("a:1"));
    let peers = |incarnation: &str| [peer(incarnation, &["tcp://b:1"])];
    let hear = |places: &mut Places, incarnation: &str| {
        places.hear(&[(0, said("a-1", true, &peers(incarnation)))].into(), later(0), |_| true)
    };
    assert_eq!(hear(&mut places, "b-1").len(), 2);
    assert!(places.shun(1));
    assert_eq!(hear(&mut places, "b-1"), []);
    assert_eq!(hear(&mut places, "b-2"), [Change::Open(2, gate("b:1")), Change::Link(2)]);
}

#[test]
fn nobody_is_looked_for_where_that_is_switched_off() {
    let outlook = Outlook { discover: false, ..outlook(4) };
    let (mut places, _) = Places::new(outlook, &[gate("a:1")]);
    let peers = [peer("b-1", &["tcp://b:1"])];
    assert_eq!(places.hear(&[(0, said("a-1", true, &peers))].into(), later(0), |_| true), []);
}

#[test]
fn processes_with_few_slots_choose_different_places() {
    let peers: Vec<Peer> =
        (0..8).map(|number| peer(&format!("p-{number}"), &[&*format!("tcp://p{number}:1")])).collect();
    let choice = |salt: &str| {
        let outlook = Outlook { salt: salt.to_owned(), ..outlook(2) };
        let (mut places, _) = Places::new(outlook, &[gate("p0:1")]);
        let changes = places.hear(&[(0, said("p-0", true, &peers))].into(), later(0), |_| true);
        assert_eq!(changes.len(), 8, "seven places and one link");
        format!("{:?}", changes.last())
    };
    let choices: BTreeSet<String> = (0..40).map(|number| choice(&number.to_string())).collect();
    assert!(choices.len() > 3, "{choices:?}");
}
