//! Compilers that end in every way but well, as shell scripts: what the host makes of them, and what it keeps open.

use super::*;

fn compile(script: &str, wall_max: Duration) -> Result<Code, CompileError> {
    let process = CompilerProcess {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        cpu_max: Duration::from_secs(30),
        wall_max,
        memory_bytes_max: 1 << 30,
    };
    let engine = Engine::default();
    process.compile(&engine, &EngineOptions::default(), &vec![0; 1 << 20])
}

fn check(script: &str, expect: &str) -> CompileError {
    let error = compile(script, Duration::from_secs(60)).unwrap_err();
    assert!(error.to_string().contains(expect), "{script}: {error}");
    error
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn every_end_of_a_compiler_has_its_error_and_leaves_nothing_open() {
    let before = open_files();
    let limit =
        check("kill -XCPU $$", "within 30 s of CPU; if it is to be trusted, raise sandbox.compile_time");
    assert!(matches!(limit, CompileError::Limit { .. }));
    let limit = check(
        "echo 'memory allocation of 64 bytes failed' >&2; kill -ABRT $$",
        "within 1073741824 bytes of memory; if it is to be trusted, raise sandbox.compile_memory",
    );
    assert!(matches!(limit, CompileError::Limit { .. }));
    let limit = check("cat >/dev/null; echo '\"out_of_memory\"'", "bytes of memory");
    assert!(matches!(limit, CompileError::Limit { .. }));
    // Somebody else ended it: the next attempt may fare better.
    for signal in ["KILL", "TERM"] {
        let killed = check(&format!("kill -{signal} $$"), "broke off: the compiler ended with signal");
        assert!(matches!(killed, CompileError::BrokeOff(_)));
    }
    let crashed =
        check("echo overflow >&2; kill -SEGV $$", "does not compile: the compiler ended with signal: 11");
    assert!(matches!(&crashed, CompileError::Refused(reason) if reason.ends_with("overflow")), "{crashed}");
    let refused = check("cat >/dev/null; echo '{\"refused\":{\"reason\":\"no\"}}'", "does not compile: no");
    assert!(matches!(refused, CompileError::Refused(_)));
    check("echo 'of another build' >&2; exit 1", "exit status: 1: of another build");
    for incomplete in
        ["true", "echo '{\"code\":{\"bytes\":5}}'", "echo nonsense", "exec head -c 3000 /dev/zero"]
    {
        let error = check(incomplete, "the compiler's answer is incomplete");
        assert!(matches!(error, CompileError::BrokeOff(_)));
    }
    // One that hangs with its pipe open, and one that hangs without.
    let hung = compile("exec sleep 600", Duration::from_millis(50)).unwrap_err();
    assert!(hung.to_string().contains("it took more than 50 ms of wall clock"), "{hung}");
    let code = compile(
        "echo '{\"code\":{\"bytes\":2}}'; printf ok; exec sleep 600 >&- 2>&-",
        Duration::from_secs(30),
    );
    assert!(matches!(code, Err(CompileError::BrokeOff(_))), "it was ended before it said how it ended");
    let code = compile("cat >/dev/null; echo '{\"code\":{\"bytes\":2}}'; printf ok", Duration::from_secs(30));
    assert_eq!(code.unwrap().bytes(), b"ok");
    assert_eq!(open_files(), before);
    assert!(matches!(
        CompilerProcess {
            program: "/nowhere".into(),
            arguments: Vec::new(),
            cpu_max: Duration::from_secs(1),
            wall_max: Duration::from_secs(1),
            memory_bytes_max: 1,
        }
        .compile(&Engine::default(), &EngineOptions::default(), b""),
        Err(CompileError::BrokeOff(reason)) if reason.starts_with("/nowhere")
    ));
}
