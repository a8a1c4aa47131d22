# frozen_string_literal: true

require_relative "support/setup"
require_relative "support/fake_orchestrator"
require_relative "support/host"
require "open3"
require "stepwright/testing"

# What suites of others use.
class TestingTest < Minitest::Test
  include Support::Needs

  FAKE = File.expand_path("support/bin/fake_host", __dir__)
  Shapes = Stepwright::Testing::Shapes

  def teardown
    Stepwright::Testing.stop
    Stepwright.configuration = nil
  end

  def test_a_suite_has_a_host_from_beginning_to_end
    ENV["STEPWRIGHT_ENV"], before = "test", ENV["STEPWRIGHT_ENV"]
    host = Stepwright::Testing.start(binary: FAKE, arguments: ["--slots", "8"])
    assert_same host, Stepwright::Testing.start
    health = Stepwright.health
    assert_equal ["dev", "--json", "--data-dir", "#{host.folder}/data", "--run-dir", "#{host.folder}/run", "--set", "api.listen=127.0.0.1:0", "--slots", "8"], health.arguments
    assert_empty health.variables, "the host knows no variables of ours"
    assert_equal [host.pid, true, "/x/o.sock", ["/x/o.sock"]], [health.pid, host.running?, host.socket, Stepwright.configuration.worker.orchestrators]
    folder = host.folder
    Stepwright::Testing.stop
    refute_path_exists folder
    assert_raises(Errno::ESRCH) { Process.kill(0, health.pid) }
    assert_nil host.url
  ensure
    ENV["STEPWRIGHT_ENV"] = before
  end

  def test_a_dev_of_its_own_ends_with_the_block
    seen = Stepwright::Dev.start(binary: FAKE) do |dev|
      assert_equal dev.pid, Stepwright.health.pid
      dev
    end
    assert_equal [nil, nil, nil, ""], [seen.pid, seen.socket, seen.folder, seen.log]
    assert_raises(RuntimeError) { Stepwright::Dev.start(binary: FAKE) { |dev| seen = dev and raise "no" } }
    assert_nil seen.pid
    assert_raises(Errno::ENOENT) { Stepwright::Dev.start(binary: FAKE, plugins: ["/none.wasm"]) }
    assert_raises(Stepwright::Unavailable) { Stepwright::Dev.new(binary: FAKE).work(Stepwright::Handlers.new) }
  end

  # A suite in a process of its own, which tells of its host; what is left of that afterwards.
  def suite(script)
    script = "#{script}\nSTARTED = Stepwright::Testing.start(binary: #{FAKE.inspect})\nputs STARTED.pid, STARTED.folder\n$stdout.flush\n#{yield if block_given?}"
    out, = Open3.capture2e(RbConfig.ruby, "-W0", "-I#{File.expand_path("../lib", __dir__)}", "-rstepwright/testing", "-e", script)
    pid, folder, *said = out.lines(chomp: true)
    left = File.exist?(folder) || Process.kill(0, pid.to_i)
    Process.kill("KILL", pid.to_i) if left
    [left, said]
  rescue Errno::ESRCH
    [false, said]
  end

  def test_nothing_is_left_of_a_suite_however_it_is_run
    assert_equal [false, []], suite("")
    assert_equal [false, []], suite('require "minitest"'), "loaded as RSpec loads it, but not run"
    tests = 'class Late < Minitest::Test; def test_it = puts("runs: #{STARTED.running?}"); end'
    left, said = suite('require "minitest/autorun"') { tests }
    assert_equal [false, true], [left, said.include?("runs: true")], said.join("\n")
    left, said = suite("") { "require 'minitest/autorun'\n#{tests}" }
    assert_equal [false, true], [left, said.include?("runs: true")], said.join("\n")
    left, said = suite('require "minitest/autorun"') { "raise 'a file cannot be loaded'" }
    assert_equal [false, 1], [left, said.grep(/a file cannot be loaded/).size]
  end

  def test_a_host_that_died_is_none_that_runs
    dev = Stepwright::Dev.new(binary: FAKE).start
    Process.kill("KILL", dev.pid)
    Process.wait(dev.pid)
    2.times { refute_predicate dev, :running? }
  ensure
    dev&.stop
  end

  def test_a_worker_that_failed_does_not_keep_the_host
    folder = Dir.mktmpdir
    Stepwright::Worker::Zmq.load!
    orchestrator = Support::FakeOrchestrator.new(File.join(folder, "o.sock"))
    dev = Stepwright::Dev.new(binary: FAKE).start
    handlers = Stepwright::Handlers.new.tap { |all| all.add(Stepwright::Handlers::Block.new("note", -> {})) }
    pid, data = dev.pid, dev.folder
    _, err = capture_io do
      dev.work(handlers, orchestrators: [orchestrator.path])
      orchestrator.await(Stepwright::Wire::FromWorker::Hello)
      orchestrator.send(Stepwright::Wire::ToWorker::Refuse.new(reason: "too old"))
      assert_match(/too old/, assert_raises(Stepwright::Worker::Refused) { dev.stop }.message)
    end
    assert_match(/too old/, err, "it is told of at once")
    refute_path_exists data
    assert_raises(Errno::ESRCH) { Process.kill(0, pid) }
    dev.stop
  ensure
    orchestrator&.close
    FileUtils.remove_entry(folder)
  end

  def test_a_host_that_does_not_start_says_why
    start = ->(flag) { assert_raises(Stepwright::Unavailable) { Stepwright::Testing.start(binary: FAKE, arguments: [flag]) }.message }
    assert_match(/fake_host did not start:\nthe settings are wrong/, start["--fail"])
    assert_match(/serves no API: it is older than this gem/, start["--old"])
    assert_match(/is no stepwright: it said "hello\\n"/, start["--foreign"])
    assert_nil Stepwright::Testing.host
  end

  def test_shapes
    shapes = { linear: { steps: 3 }, diamond: {}, merge: { roots: 2 }, tree: {}, mixed_dag: {} }
    parsed = shapes.to_h { |shape, options| [shape, YAML.safe_load(Shapes.public_send(shape, "noop", plugin: "examples/shapes@^1", **options))] }
    assert_equal [3, 4, 3, 7, 7], parsed.values.map { |template| template["steps"].size }
    assert_equal({ "template" => "linear_3", "namespace" => "test", "version" => "1.0.0", "plugin" => "examples/shapes@^1",
                   "steps" => [{ "name" => "step_1", "handler" => "noop" }, { "name" => "step_2", "handler" => "noop", "depends_on" => ["step_1"] },
                               { "name" => "step_3", "handler" => "noop", "depends_on" => ["step_2"] }] }, parsed[:linear])
    assert_equal %w[root_1 root_2], parsed[:merge]["steps"].last["depends_on"]
    own = YAML.safe_load(Shapes.diamond(->(step) { "do_#{step}" }, name: "mine", defaults: { timeout: "5s" }) { |step| { config: { add: 1 } } if step == "left" })
    assert_equal ["mine", { "timeout" => "5s" }, { "name" => "left", "handler" => "do_left", "depends_on" => ["top"], "config" => { "add" => 1 } }],
                 [own["template"], own["defaults"], own["steps"][1]]
  end

  def test_the_host_takes_every_shape
    need_host
    Dir.mktmpdir do |folder|
      files = %i[linear diamond merge tree mixed_dag].map do |shape|
        File.join(folder, "#{shape}.yaml").tap { |file| File.write(file, Shapes.public_send(shape, "noop", plugin: "examples/shapes@^1", defaults: { timeout: "5s" })) }
      end
      out, status = Open3.capture2e(Support::RealHost::ENVIRONMENT, Support::RealHost.binary, "template", "check", "--syntax-only", *files)
      assert_predicate status, :success?, out
    end
  end

  # The whole gem against the whole host.
  def test_an_order_from_the_template_to_the_result
    need_host
    need_shapes
    begin
      Stepwright::Testing.start(binary: Support::RealHost.binary, plugins: [Support::RealHost::SHAPES])
    rescue Stepwright::Unavailable => e
      need(false, "the host is older than its API") if e.message.match?(/serves no API|api\.listen/)
      raise
    end
    assert_predicate Stepwright, :ready?
    template = Stepwright.register_template(Shapes.mixed_dag(->(step) { step == "init" ? "start" : "sum" }, plugin: "examples/shapes@^1"))
    assert_equal ["test/mixed_dag@1.0.0", true], [template.ref, template.created?]
    events = []
    result = Stepwright.run(template: "test/mixed_dag", context: { n: 4 }, tags: { tenant: "north" }, idempotency_key: "a", timeout: 60) { |event| events << event.name }
    assert_predicate result, :success?
    assert_equal [7, { "tenant" => "north" }, 7], [result.steps_executed, result.task.tags, result.outputs.size]
    assert_equal "task.completed", events.last
    again = Stepwright.initialize_task(template: "test/mixed_dag", context: { n: 4 }, idempotency_key: "a")
    assert_equal [false, result.task_id, 7], [again.created?, again.task_id, again.step_count]
    assert_equal(7, Stepwright.attempts(result.task_id).count { |attempt| attempt.status == "completed" })
    assert_equal [result.task_id], Stepwright.tasks(state: "complete").map(&:id)

    Stepwright.register_template(Shapes.linear("start", steps: 1, plugin: "examples/shapes@^1", name: "fails") { { retry: { limit: 1 } } })
    failed = Stepwright.run(template: "test/fails", context: {}, timeout: 60)
    assert_equal [false, "error", ["step_1"]], [failed.success?, failed.status, failed.failed_steps.map(&:name)]
    assert_match(/step_1/, failed.blocking_reason)
    resolved = Stepwright.resolve(failed.task_id, step: "step_1", output: { "n" => 1 }, reason: "done by hand")
    assert_equal({ "n" => 1 }, resolved.step("step_1").output)
    assert_equal "complete", Stepwright.handle(failed.task_id, timeout: 60).status
    assert_raises(Stepwright::Conflict) { Stepwright.cancel(failed.task_id, reason: "late") }
    assert_equal "task_not_found", assert_raises(Stepwright::NotFound) { Stepwright.task(4_711) }.code
    assert_match(/template/, assert_raises(Stepwright::Invalid) { Stepwright.register_template("steps: 3") }.message)
    assert_equal "template_not_found", assert_raises(Stepwright::NotFound) { Stepwright.run(template: "no/such") }.code
    page = Stepwright.tasks(limit: 1)
    assert_equal [1, 2], [page.size, page.all.count]
    assert_equal 1, Stepwright.workers.size
    assert_equal ["examples/shapes@1.0.0"], Stepwright.plugins.map(&:ref)
    assert_steps_in_the_suite_itself
  end

  # Steps in Ruby run in this very process, where tests can look at them; and another host is in nobody's way.
  def assert_steps_in_the_suite_itself
    handlers = Stepwright::Handlers.new
    seen = []
    handlers.add(Stepwright::Handlers::Block.new("note", ->(task, _, step) { seen << step.name and { n: task["n"] } }))
    template = Shapes.diamond("note", plugin: "external", name: "noted", defaults: { timeout: "5s" })
    host = Stepwright::Testing.start(handlers: handlers, templates: [template])
    result = Stepwright.run(template: "test/noted", context: { n: 4 }, timeout: 60)
    assert_equal [true, %w[bottom left right top], ["note"]], [result.success?, seen.sort, result.task.steps.map(&:external).uniq]
    assert_equal({ "n" => 4 }, result.outputs["bottom"])
    other = Stepwright::Dev.new(binary: Support::RealHost.binary).start
    refute_equal [host.url, host.socket], [other.url, other.socket]
    assert_equal 2, Stepwright.workers.size
  ensure
    other&.stop
  end
end
