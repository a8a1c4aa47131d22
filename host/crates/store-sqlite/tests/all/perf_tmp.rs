use std::sync::Arc;
use stepwright_store::*;
use stepwright_workflow::*;
fn cpu() -> f64 { let s=std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default(); let _=s;
 let mut total=0u64; for e in std::fs::read_dir("/proc/self/task").unwrap(){ let p=e.unwrap().path().join("schedstat"); if let Ok(t)=std::fs::read_to_string(p){ total+=t.split(' ').next().unwrap().parse::<u64>().unwrap();} } total as f64/1e3 }
#[tokio::test]
async fn perf() {
    for chunk in [1usize, 16, 128] {
    for big in [20usize, 300, 3000] {
    let (store,_f)=crate::file().await;
    let step=|p:Vec<u16>| PlanStep{name:format!("s{}",p.len()),plugin:"a/b".into(),plugin_version:"1.0.0".into(),digest:Digest::of(b"x"),handler:"h".into(),parents:p,config:Payload::null(),timeout_ms:1,retry:Default::default(),limits:Default::default()};
    let plan=store.add_plan(&Plan{namespace:"n".into(),name:"t".into(),version:"1".into(),environment:"e".into(),input_schema:None,steps:vec![step(vec![]),step(vec![0]),step(vec![1]),step(vec![2]),step(vec![3])]}).await.unwrap();
    let ctx=Payload::parse(format!("{{\"a\":\"{}\"}}","x".repeat(big))).unwrap();
    let t=NewTask{plan,namespace:"n".into(),template:"t".into(),parents:Arc::from([0,1,1,1,1]),context:ctx.clone(),tags:vec![],priority:0,idempotency_key:None};
    let n=if chunk==1 {200} else {1280usize};
    let now=Timestamp(1);
    let c0=cpu(); 
    store.create(&vec![t;n],now).await.unwrap();
    let c1=cpu();
    let mut r=store.round().await.unwrap();
    let w=r.join(&NewWorker{name:"w".into(),incarnation:"i".into(),host:"h".into(),pid:1,slots:8},Timestamp(5),now).await.unwrap();
    r.commit().await.unwrap();
    let (mut tc,mut tl,mut tcm,mut tr,mut ts,mut tx)=(0.,0.,0.,0.,0.,0.); let mut steps=0;
    loop {
        let mut r=store.round().await.unwrap();
        let a=cpu();
        let ready=r.claimable(chunk).await.unwrap();
        if ready.is_empty(){break}
        steps+=ready.len();
        let tasks:Vec<TaskId>=ready.iter().map(|x|x.step.task()).collect();
        r.inputs(&tasks).await.unwrap();
        let ps:Vec<StepId>=ready.iter().filter(|x|x.step.position()>0).map(|x|StepId(x.step.0-1)).collect();
        r.outputs(&ps).await.unwrap();
        let b=cpu(); tc+=b-a;
        let b_=r.lease(&[NewBatch{worker:w,steps:ready.iter().map(|x|(x.step,x.attempt+1)).collect()}],now).await.unwrap();
        let c=cpu(); tl+=c-b;
        r.commit().await.unwrap();
        let mut r=store.round().await.unwrap();
        let c2=cpu(); tx+=c2-c;
        let done:Vec<_>=ready.iter().map(|x|CompletedAttempt{key:AttemptKey{step:x.step,attempt:x.attempt+1,batch:b_[0]},output:ctx.clone(),line:AttemptLine{digest:Some(Digest::of(b"x")),started_at:Some(now),execution_us:5,cpu_us:6,memory_bytes_peak:7,log:None}}).collect();
        assert_eq!(r.complete(&done,now).await.unwrap().len(),ready.len());
        let d=cpu(); tcm+=d-c2;
        let rel:Vec<_>=ready.iter().filter(|x|x.step.position()<4).map(|x|(StepId(x.step.0+1),1)).collect();
        r.release(&rel).await.unwrap();
        let e=cpu(); tr+=e-d;
        let fin:Vec<TaskId>=ready.iter().filter(|x|x.step.position()==4).map(|x|x.step.task()).collect();
        let cs=r.count_steps(&fin).await.unwrap();
        let cs:Vec<_>=cs.iter().map(|x|(x.0,x.1,stepwright_workflow::task::TaskState::Complete)).collect();
        r.settle(&cs,now).await.unwrap();
        r.close_batches(&[(b_[0],BatchEnd::Reconciled)],now).await.unwrap();
        let f=cpu(); ts+=f-e;
        r.commit().await.unwrap();
        tx+=cpu()-f;
    }
    let s=steps as f64;
    println!("chunk {chunk} payload {big}: create {:.1}us/step claim {:.1} lease {:.1} complete {:.1} release {:.1} settle+close {:.1} begin/commit {:.1} total/step {:.1}",(c1-c0)/s,tc/s,tl/s,tcm/s,tr/s,ts/s,tx/s,(cpu()-c0)/s);
    }}
}
