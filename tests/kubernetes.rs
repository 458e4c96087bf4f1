//! The examples for Kubernetes, as far as that goes without a cluster. That they are what the published schemas want is a step of `.ci/run`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use crate::support::skip::present;
use crate::support::wait::{DEADLINE, poll};
use crate::support::{Dwindle, Sandbox, needs, programs};

const EXAMPLES: [&str; 3] = ["node-logs.yaml", "inbox-sidecar.yaml", "backlog-job.yaml"];

/// The objects of an example; none, after saying so, where nothing can read YAML.
fn objects(example: &str) -> Option<Vec<Value>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("packaging/kubernetes")
        .join(example);
    let python = |script: &str| {
        let mut command = Command::new("python3");
        programs::output(command.args(["-c", script]).arg(&path)).expect("python3 starts")
    };
    if !present("python3-yaml", python("import yaml").status.success()) {
        return None;
    }
    let output = python("import json, sys, yaml; json.dump(list(yaml.safe_load_all(open(sys.argv[1]))), sys.stdout)");
    assert!(output.status.success(), "{output:?}");
    Some(serde_json::from_slice(&output.stdout).expect("what python3 wrote"))
}

fn kind<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let found = objects.iter().find(|object| object["kind"] == kind);
    found.unwrap_or_else(|| panic!("no {kind}"))
}

/// The one object that makes pods, and what it makes them of.
fn workload(objects: &[Value]) -> (&Value, &Value) {
    let found = objects.iter().find(|object| object["spec"]["template"].is_object());
    let found = found.expect("a workload");
    (found, &found["spec"]["template"]["spec"])
}

/// The container that runs dwindle.
fn container(pod: &Value) -> &Value {
    let all = ["initContainers", "containers"]
        .into_iter()
        .filter_map(|key| pod[key].as_array());
    let mut all = all.flatten();
    all.find(|container| container["name"] == "dwindle").expect("dwindle")
}

/// Files of an example's configuration, in a folder of the sandbox.
fn write_configuration(sandbox: &Sandbox, objects: &[Value]) -> PathBuf {
    let files = kind(objects, "ConfigMap")["data"].as_object().expect("files").clone();
    for (name, text) in files {
        sandbox.file(Path::new("mounted").join(name), text.as_str().expect("a text"));
    }
    sandbox.path("mounted")
}

#[test]
fn each_example_s_configuration_passes_the_check() {
    needs!(tool "python3");
    for example in EXAMPLES {
        let Some(objects) = objects(example) else { return };
        let sandbox = Sandbox::new();
        let config = write_configuration(&sandbox, &objects).join("config.toml");
        // Not beside the logrotate of this machine.
        let check = ["check", "--logrotate", "/dev/null", "-c"];
        let output = Dwindle::new(&sandbox).args(check).args([&config]).finish();
        let output = output.expect_code(0);
        assert!(output.stdout.ends_with(b"\n"), "{example}: {output}");
        // The folder is the pod's; nothing else is to be warned of.
        let warnings = output.stderr.matches("warning: ").count();
        let missing = output.stderr.matches("there is no such folder now").count();
        assert_eq!(warnings, missing, "{example}: {output}");
    }
}

#[test]
fn each_pod_has_the_time_to_drain_and_no_right_that_it_does_not_need() {
    needs!(tool "python3");
    let service = include_str!("../packaging/systemd/dwindle.service");
    let capabilities = service
        .lines()
        .find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    let capabilities = capabilities.expect("the service's capabilities").replace("CAP_", "");
    for example in EXAMPLES {
        let Some(objects) = objects(example) else { return };
        let (_, pod) = workload(&objects);
        let container = container(pod);
        let of_container = |key: &str| match &container["securityContext"][key] {
            Value::Null => &pod["securityContext"][key],
            value => value,
        };
        assert_eq!(of_container("seccompProfile")["type"], "RuntimeDefault", "{example}");
        assert_eq!(of_container("allowPrivilegeEscalation"), false, "{example}");
        assert_eq!(of_container("readOnlyRootFilesystem"), true, "{example}");
        assert_eq!(
            of_container("capabilities")["drop"],
            serde_json::json!(["ALL"]),
            "{example}"
        );
        assert_eq!(pod["automountServiceAccountToken"], false, "{example}");
        let added = of_container("capabilities")["add"].as_array();
        if of_container("runAsUser") == 0 {
            let added: Vec<_> = added.expect("capabilities").iter().filter_map(Value::as_str).collect();
            assert_eq!(added.join(" "), capabilities, "{example}: others than the service has");
        } else {
            assert_eq!(
                (of_container("runAsNonRoot"), added),
                (&Value::Bool(true), None),
                "{example}"
            );
        }

        let config = kind(&objects, "ConfigMap")["data"]["config.toml"]
            .as_str()
            .expect("a configuration");
        assert!(config.contains("shutdown-timeout = \"60s\""), "{example}");
        assert!(pod["terminationGracePeriodSeconds"].as_u64() > Some(60), "{example}");
        // Where the root file system is read-only, its locks need a place.
        let mounts = container["volumeMounts"].as_array().expect("mounts");
        assert!(mounts.iter().any(|mount| mount["mountPath"] == "/run"), "{example}");
        let variables = container["env"].as_array().expect("variables");
        assert!(
            variables.contains(&serde_json::json!({"name": "RUNTIME_DIRECTORY", "value": "/run/dwindle"})),
            "{example}"
        );
        for mount in mounts {
            let volumes = pod["volumes"].as_array().expect("volumes");
            assert!(
                volumes.iter().any(|volume| volume["name"] == mount["name"]),
                "{example}: {mount}"
            );
        }
        // Every folder that is watched is mounted under that name.
        for path in config.lines().filter_map(|line| line.strip_prefix("path = ")) {
            let path = path.trim_matches('"');
            assert!(
                mounts.iter().any(|mount| mount["mountPath"] == path),
                "{example}: {path}"
            );
        }
    }
}

/// The script of the Job, with a program in dwindle's place that writes down how it was called.
struct Shard {
    sandbox: Sandbox,
    script: PathBuf,
}

impl Shard {
    fn new(objects: &[Value]) -> Self {
        let sandbox = Sandbox::new();
        let script = write_configuration(&sandbox, objects).join("run.sh");
        Shard { sandbox, script }
    }

    fn command(&self, index: &str, stand_in: &str) -> Command {
        let program = self.sandbox.file("bin/dwindle", format!("#!/bin/sh\n{stand_in}\n"));
        fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("our own file");
        let path = program.parent().expect("a folder").display();
        let mut command = Command::new("sh");
        command
            .arg(&self.script)
            .env("SHARDS", "8")
            .env("JOB_COMPLETION_INDEX", index);
        command.env("PATH", format!("{path}:{}", std::env::var("PATH").unwrap_or_default()));
        command
    }
}

/// A program in a process group of its own. Dropped, whatever is left of the group is killed: a test that fails leaves nobody behind.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.wait();
    }
}

#[test]
fn the_job_gives_each_of_its_pods_one_shard() {
    needs!(tool "python3");
    let Some(objects) = objects("backlog-job.yaml") else {
        return;
    };
    let (job, pod) = workload(&objects);
    let shards = job["spec"]["completions"].as_u64().expect("a number");
    let variable = serde_json::json!({"name": "SHARDS", "value": shards.to_string()});
    assert!(container(pod)["env"].as_array().expect("variables").contains(&variable));
    assert_eq!(job["spec"]["completionMode"], "Indexed");
    let shard = Shard::new(&objects);
    for index in 0..shards {
        let output = programs::output(&mut shard.command(&index.to_string(), "echo \"$@\"")).unwrap();
        let expected = format!(
            "run --once --json --config /etc/dwindle/config.toml --shard {}/{shards}\n",
            index + 1
        );
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    }
}

/// The Job tells by it whether the shard is done, may be tried again, or never will be.
#[test]
fn a_pod_of_the_job_ends_as_the_program_does_but_never_well_when_it_was_told_to_go() {
    needs!(tool "python3");
    let Some(objects) = objects("backlog-job.yaml") else {
        return;
    };
    let shard = Shard::new(&objects);
    for code in [0, 1, 75, 78] {
        let status = programs::status(&mut shard.command("0", &format!("exit {code}"))).unwrap();
        assert_eq!(status.code(), Some(code));
    }
    // As dwindle does, it takes its time, and then says that all is well.
    let [begun, told, go, ended] = ["begun", "told", "go", "ended"].map(|name| shard.sandbox.path(name));
    let until = |path: &Path| format!("until [ -e {} ]; do sleep 0.05; done", path.display());
    let stand_in = format!(
        "trap ': >{}; {}; : >{}; exit 0' TERM; : >{}; while :; do sleep 0.05; done",
        told.display(),
        until(&go),
        ended.display(),
        begun.display(),
    );
    let mut command = shard.command("0", &stand_in);
    let mut pod = Group(programs::start(command.stdin(Stdio::null()).process_group(0)).unwrap());
    let wait_for = |path: &Path| poll(DEADLINE, || path.exists().then_some(())).expect("it comes");
    wait_for(&begun);
    programs::status(Command::new("kill").arg(pod.0.id().to_string())).unwrap();
    wait_for(&told);
    fs::write(&go, "").unwrap();
    let status = poll(DEADLINE, || pod.0.try_wait().unwrap()).expect("it ends");
    assert_eq!(status.code(), Some(143));
    assert!(ended.exists(), "the script ended before the program");
}
