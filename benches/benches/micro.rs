//! The pure parts of the hot path, one at a time.

use criterion::{Criterion, criterion_group, criterion_main};
use stepwright_workflow::batch::{BatchLimits, Candidate, Room, pack};
use stepwright_workflow::graph::Graph;
use stepwright_workflow::{Digest, StepId, WorkerId};

fn packing(criterion: &mut Criterion) {
    let digest = Digest::of(b"plugin");
    let candidates: Vec<Candidate> =
        (0..512).map(|n| Candidate { step: StepId(n), digest, external: None, bytes: 700 }).collect();
    let room = |n| Room {
        worker: WorkerId(n),
        wasm: true,
        external: Default::default(),
        steps: 256,
        bytes: 1 << 20,
        load: 0,
    };
    let rooms: Vec<Room> = (1..=4).map(room).collect();
    let limits = BatchLimits { steps_max: 64, bytes_max: 1 << 20 };
    criterion.bench_function("pack 512 steps for 4 workers", |bench| {
        bench.iter(|| pack(&candidates, &rooms, limits));
    });
}

fn graphs(criterion: &mut Criterion) {
    let parents: Vec<Vec<u16>> = (0..1_000_u16).map(|n| (n.saturating_sub(3)..n).collect()).collect();
    let graph = Graph::of(parents);
    criterion.bench_function("levels of 1,000 steps", |bench| bench.iter(|| graph.levels()));
}

fn digests(criterion: &mut Criterion) {
    let output = vec![b'x'; 200];
    criterion.bench_function("digest of 200 bytes", |bench| bench.iter(|| Digest::of(&output)));
}

criterion_group!(benches, packing, graphs, digests);
criterion_main!(benches);
