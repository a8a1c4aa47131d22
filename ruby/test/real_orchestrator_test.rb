# frozen_string_literal: true

require_relative "support/setup"
require_relative "support/certificates"
require_relative "support/host"
require "stepwright/wire/codec"

# The worker's process beside the real orchestrator's.
class RealOrchestratorTest < Minitest::Test
  parallelize_me! # each has processes and folders of its own

  include Support::Needs

  EXE = File.expand_path("../exe/stepwright-ruby", __dir__)
  HANDLERS = File.expand_path("handlers", __dir__)

  def setup
    need_host
    @host = Support::RealHost.new
    @workers = []
  end

  def teardown
    @workers&.each { |worker| worker.pid && Process.kill("KILL", worker.pid) }
    @host&.remove
  end

  # Starts a worker's process and waits for its ready line.
  def work(*arguments, handlers: HANDLERS)
    log = File.join(@host.folder, "worker.log")
    worker = IO.popen([RbConfig.ruby, "-I#{File.expand_path("../lib", __dir__)}", EXE, "work", "--json", "--require", handlers, *arguments], err: log)
    @workers << worker
    line = worker.gets
    line ? [worker, JSON.parse(line)] : flunk("the worker did not start: #{File.read(log)}")
  end

  def workers(state, *all)
    @host.run("worker", "list", *all)["workers"].select { |worker| worker["state"] == state }
  end

  def leave(worker)
    Process.kill("TERM", worker.pid)
    ended(worker)
  end

  def ended(worker)
    worker.read
    @workers.delete(worker)
    worker.close
    $?.exitstatus
  end

  def test_over_the_socket_from_hello_to_goodbye
    socket = @host.start("orchestrate").fetch("socket").delete_prefix("ipc://")
    worker, ready = work("--name", "ruby-1", "--slots", "3", "--orchestrator", socket)
    assert_equal({ "ready" => "worker", "name" => "ruby-1", "slots" => 3, "handlers" => ["charge_card"] }, ready)
    joined = @host.until("the worker") { workers("joined").first }
    assert_equal ["ruby-1", 3, worker.pid, 0], joined.values_at("name", "slots", "pid", "steps_held")
    # Its heartbeats renew its lease.
    @host.until("a heartbeat") { workers("joined").first&.fetch("seen_at")&.> joined["seen_at"] }
    # The orchestrator vanishes, comes again, and finds the same incarnation.
    @host.stop("KILL")
    before = workers("joined").first.fetch("seen_at")
    @host.start("orchestrate")
    again = @host.until("the worker again") { workers("joined").find { |one| one["seen_at"] > before } }
    # It was welcomed once a heartbeat of its has come; before, it could not say goodbye.
    @host.until("its heartbeat") { workers("joined").find { |one| one["seen_at"] > again["seen_at"] } }
    assert_equal joined["incarnation"], again["incarnation"]
    assert_equal 0, leave(worker)
    left = @host.until("the goodbye") { workers("left", "--all").first }
    assert_equal joined["incarnation"], left["incarnation"]
  end

  def test_through_the_gate_with_tls_and_a_token
    certificates = Support::Certificates.new(@host.folder)
    token = File.join(@host.folder, "worker.token")
    @host.run("token", "create", "--name", "ruby", "--out", token)
    gate = @host.start("orchestrate", "--gate-listen", "127.0.0.1:0", "--set", "gate.tls_certificate=#{certificates.gate}",
                       "--set", "gate.tls_key=#{certificates.gate_key}", "--set", "gate.tls_client_ca=#{certificates.ca}").fetch("gate")
    assert_match(%r{\Atls://127\.0\.0\.1:\d+\z}, gate)
    worker, = work("--name", "far", "--orchestrator", gate, "--token-file", token, "--tls-ca", certificates.ca,
                   "--tls-certificate", certificates.worker, "--tls-key", certificates.worker_key)
    joined = @host.until("the worker") { workers("joined").first }
    assert_equal "far", joined["name"]
    @host.until("a heartbeat") { workers("joined").first&.fetch("seen_at")&.> joined["seen_at"] }
    @host.run("token", "revoke", "ruby")
    @host.until("the end of the connection") { File.read(File.join(@host.folder, "worker.log")).include?("the token is wrong, revoked or expired") }
    assert_equal 0, leave(worker)
  end

  # A worker that is told to stop finishes its step, has it acknowledged, and says goodbye, all through a gate.
  def test_a_drain_through_the_gate
    token = File.join(@host.folder, "worker.token")
    @host.run("token", "create", "--name", "ruby", "--out", token)
    gate = @host.start("orchestrate", "--gate-listen", "127.0.0.1:0").fetch("gate")
    template = File.join(@host.folder, "piped.yaml")
    File.write(template, <<~YAML)
      template: piped
      namespace: test
      version: 1.0.0
      steps:
        - { name: only, plugin: external, handler: piped, timeout: 10m }
    YAML
    @host.run("template", "add", template)
    worker, = work("--name", "far", "--orchestrator", gate, "--token-file", token, handlers: File.expand_path("piped_handlers", __dir__))
    File.mkfifo(pipe = File.join(@host.folder, "pipe"))
    task = @host.run("task", "run", "test/piped", "--json-input", JSON.generate(pipe: pipe))["tasks"][0]["task"].to_s
    writer = @host.until("the step") { writer_of(pipe) }
    Process.kill("TERM", worker.pid)
    @host.until("the drain") { File.read(File.join(@host.folder, "worker.log")).include?("draining, since it was told to stop: 1 steps are held") }
    writer.write("late")
    writer.close
    assert_equal 0, ended(worker)
    @host.until("the goodbye") { workers("left", "--all").first }
    shown = @host.run("task", "show", task, "--attempts")
    assert_equal ["complete", { "read" => "late" }, [%w[far completed]]],
                 [shown["state"], shown["steps_detail"][0]["output"], shown["attempts"].map { |attempt| attempt.values_at("worker_name", "status") }]
  end

  # There is none before somebody reads.
  def writer_of(pipe)
    File.open(pipe, File::WRONLY | File::NONBLOCK)
  rescue Errno::ENXIO
    nil
  end

  # One task of steps in WebAssembly and one in Ruby, each where it belongs.
  def test_a_template_mixes_components_and_ruby
    need_shapes
    socket = @host.start("orchestrate").fetch("socket").delete_prefix("ipc://")
    @host.start("work", "--name", "sandbox")
    @host.run("plugin", "add", Support::RealHost::SHAPES)
    template = File.join(@host.folder, "mixed.yaml")
    File.write(template, <<~YAML)
      template: mixed
      namespace: shapes
      version: 1.0.0
      plugin: examples/shapes@^1
      steps:
        - { name: first, handler: start }
        - { name: second, handler: add, depends_on: first, config: { add: 3 } }
        - { name: twice, plugin: external, handler: double, depends_on: second }
        - { name: last, handler: start, depends_on: twice }
    YAML
    @host.run("template", "add", template)
    task = @host.run("task", "run", "shapes/mixed", "--json-input", '{"n": 4}')["tasks"][0]["task"].to_s
    waits = @host.until("the step in Ruby") { @host.run("task", "show", task)["reasons"].find { |reason| reason["step"] == "twice" && reason["why"].include?("serves") } }
    assert_equal "waits for a free worker that serves 'double'", waits["why"]
    worker, = work("--name", "ruby", "--orchestrator", socket, handlers: File.expand_path("shapes_handlers", __dir__))
    done = @host.until("the end") { @host.run("task", "show", task).then { |shown| shown if %w[complete error].include?(shown["state"]) } }
    assert_equal "complete", done["state"], done.to_s
    ran = done["attempts"].to_h { |attempt| [attempt["step_name"], attempt["worker_name"]] }
    assert_equal "ruby", ran["twice"]
    assert_equal({ "value" => 14, "trail" => %w[first last second twice] }, done["steps_detail"][3]["output"])
    refute_includes ran.values_at("first", "second", "last"), "ruby"
    assert_equal 0, leave(worker)
  end

  # A worker beside `dev`, killed in the middle of a step: another one takes that over.
  def test_dev_takes_workers_and_outlives_them
    socket = @host.start("dev", "--api-listen", "127.0.0.1:0", "--set", "orchestrator.reconnect_grace=100ms").fetch("socket")
    template = File.join(@host.folder, "stubborn.yaml")
    File.write(template, <<~YAML)
      template: stubborn
      namespace: test
      version: 1.0.0
      steps:
        - { name: only, plugin: external, handler: stubborn, timeout: 10m }
    YAML
    @host.run("template", "add", template)
    first, = work("--name", "first", "--orchestrator", socket, handlers: File.expand_path("stubborn_handlers", __dir__))
    mark = File.join(@host.folder, "mark")
    task = @host.run("task", "run", "test/stubborn", "--json-input", JSON.generate(mark: mark))["tasks"][0]["task"].to_s
    @host.until("the first attempt") { File.exist?(mark) }
    Process.kill("KILL", first.pid)
    second, = work("--name", "second", "--orchestrator", socket, handlers: File.expand_path("stubborn_handlers", __dir__))
    done = @host.until("the end") { @host.run("task", "show", task, "--attempts").then { |shown| shown if shown["state"] == "complete" } }
    assert_equal [["first", "lost"], ["second", "completed"]], done["attempts"].map { |attempt| attempt.values_at("worker_name", "status") }
    assert_equal [{ "attempt" => 2, "key" => "task/#{task}/only" }, "1\n2\n"], [done["steps_detail"][0]["output"], File.read(mark)]
    assert_equal 0, leave(second)
    @workers.delete(first)
  end

  # The host's own workers compute the same fingerprints.
  def test_fingerprints_are_those_that_the_host_records
    need_shapes
    @host.start("dev", "--api-listen", "127.0.0.1:0")
    @host.run("plugin", "add", Support::RealHost::SHAPES)
    template = File.join(@host.folder, "two.yaml")
    File.write(template, <<~YAML)
      template: two
      namespace: shapes
      version: 1.0.0
      plugin: examples/shapes@^1
      steps:
        - { name: first, handler: start }
        - { name: second, handler: add, depends_on: first, config: { add: 3 } }
    YAML
    @host.run("template", "add", template)
    good, bad = [{ n: 4 }, { n: "four" }].map do |context|
      started = @host.run("task", "run", "shapes/two", "--json-input", JSON.generate(context), "--wait")
      @host.run("task", "show", started["tasks"][0]["task"].to_s, "--attempts")
    end
    good["attempts"].zip(good["steps_detail"]) do |attempt, step|
      assert_equal attempt["digest"], Stepwright::Wire::Fingerprint.of_output(Stepwright::Wire::Payload.of(step["output"]))
    end
    failed = bad["attempts"].find { |attempt| attempt["status"] == "failed" }
    refute_nil failed, bad.to_s
    failure = Stepwright::Wire::Failure.read(failed["failure"])
    assert_equal failed["digest"], Stepwright::Wire::Fingerprint.of_failure(failure)
  end
end
