# frozen_string_literal: true

require_relative "support/setup"
require_relative "support/host"
require "stepwright/worker"

# Whole tasks of the real orchestrator, done in Ruby by a worker that pretends to run components: the plugin `shapes` is registered,
# and each of its steps is done by a handler in Ruby of the same name, whatever the host routes to external ones.
class RealTasksTest < Minitest::Test
  parallelize_me! # each has processes and folders of its own

  include Support::Needs

  # Says that it runs components.
  class Pretender < Stepwright::Worker
    private

    def serves = Stepwright::Wire::Serves.new(wasm: true, external: [])
  end

  # Arithmetic as in the plugin.
  ARITHMETIC = {
    "start" => ->(numbers, _) { numbers.sum }, "sum" => ->(numbers, _) { numbers.sum },
    "add" => ->(numbers, config) { numbers.sum + config.fetch("add", 0) },
    "multiply" => ->(numbers, config) { numbers.inject(:*) * config.fetch("by", 1) }, "square" => ->(numbers, _) { numbers.sum**2 }
  }.freeze
  TASKS = 60

  def setup
    need_host
    need_shapes
    @host = Support::RealHost.new
    @calls = Hash.new(0)
    @mutex = Mutex.new
    @handlers = Stepwright::Handlers.new
    ARITHMETIC.each do |name, compute|
      @handlers.add(Stepwright::Handlers::Block.new(name, ->(task, sequence, step) { trouble(name, task, step) || compute_in(compute, task, sequence, step) }))
    end
  end

  def teardown
    2.times { @worker&.stop }
    @thread&.join(30)
  ensure
    @host&.remove
  end

  def compute_in(compute, task, sequence, step)
    numbers = sequence.count.zero? ? [task["n"]] : sequence.map { |_, output| output.fetch("value") }
    { "value" => compute.call(numbers, step.config) }
  end

  # Every seventh task's third step fails once, and every twentieth's for good.
  def trouble(name, task, step)
    calls = @mutex.synchronize { @calls[[task.id, step.name]] += 1 }
    return if name != "multiply" || step.name != "c"
    raise Stepwright::PermanentError.new("no", error_code: "never", details: { n: task["n"] }) if (task["n"] % 20).zero?

    raise Stepwright::RetryableError.new("not yet", retry_after: 0.05) if (task["n"] % 7).zero? && calls == 1
  end

  def work
    configuration = Stepwright::Configuration.new(environment: Stepwright::Environment.new("test"))
    configuration.logger = Logger.new(@log = StringIO.new)
    configuration.worker.merge!({ orchestrators: [File.join(@host.folder, "run/orchestrator.sock")], slots: 4, credit: 24 })
    @worker = Pretender.new(configuration: configuration, handlers: @handlers)
    @thread = Thread.new { @worker.run }
  end

  def test_every_task_ends_as_it_should_though_the_orchestrator_is_killed
    @host.start("orchestrate")
    @host.run("plugin", "add", Support::RealHost::SHAPES)
    @host.run("template", "add", File.join(Support::ROOT, "config/templates/mixed_dag_7.yaml"))
    lines = File.join(@host.folder, "tasks.jsonl")
    File.write(lines, (1..TASKS).map { |n| JSON.generate(context: { n: n }) << "\n" }.join)
    @host.run("task", "run", "shapes/mixed_dag_7", "--batch", lines)
    work
    @host.until("the first results") { @mutex.synchronize { @calls.size > TASKS } }
    @host.stop("KILL")
    @host.start("orchestrate")
    settled = %w[complete error]
    tasks = @host.until("the end of the tasks") do
      @host.run("task", "list", "--limit", "100")["tasks"].then { |all| all if all.all? { |task| settled.include?(task["state"]) } }
    end
    assert_equal({ "complete" => TASKS - 3, "error" => 3 }, tasks.map { |task| task["state"] }.tally)
    [4, 7].each { |n| assert_task(n) }
    failed = @host.run("task", "show", "20", "--attempts")
    attempt = failed["attempts"].find { |one| one["status"] == "failed" }
    assert_equal [["permanent", "never", { "n" => 20 }], Stepwright::Wire::Fingerprint.of("permanent\0never\0no")],
                 [attempt["failure"].values_at("class", "code", "details"), attempt["digest"]]
    blocked = Stepwright::HandledTask.new(Stepwright::Task.new(failed), settled: true)
    assert_match(/\Ac: .*\bno\b/, blocked.blocking_reason)
    assert_reconciled
    @worker.stop
    assert @thread.join(30), @log.string
    assert_equal [0, 0], @thread.value.to_h.values_at(:steps_given_up, :outcomes_unacknowledged)
  end

  # The API's answers have the fields that the command line prints.
  def assert_values(shown)
    task = Stepwright::Task.new(shown)
    attempts = Stepwright::Attempt.list(shown["attempts"])
    assert_equal ["complete", 7, 7, %w[d f a]], [task.state, task.step_count, task.outputs.size, task.step("g").depends_on]
    assert_operator task.duration, :>, 0
    assert_equal attempts.size, task.steps.sum(&:attempt)
    result = Stepwright::HandledTask.new(task, settled: true)
    assert_equal [true, 7, nil], [result.success?, result.steps_executed, result.blocking_reason]
  end

  def assert_task(n)
    shown = @host.run("task", "show", n.to_s, "--attempts")
    assert_values(shown)
    output = shown["steps_detail"].last["output"]
    assert_equal({ "value" => ((3 * n) + (n + 1)) * ((2 * n) + ((n + 1)**2)) * n }, output)
    last = shown["attempts"].reverse.find { |attempt| attempt["step_name"] == "g" && attempt["status"] == "completed" }
    assert_equal Stepwright::Wire::Fingerprint.of(JSON.generate(output)), last["digest"]
    assert_operator last["execution_us"], :>, 0
    return unless (n % 7).zero?

    assert_equal 1, shown["steps_detail"].find { |step| step["name"] == "c" }["failures"]
  end

  # What the orchestrator holds against the worker's reports: nothing.
  def assert_reconciled
    @host.until("the last completions") { @host.run("batch", "list", "--state", "open")["batches"].empty? }
    assert_empty @host.run("batch", "list", "--state", "discrepancy")["batches"]
    refute_empty @host.run("batch", "list", "--state", "reconciled")["batches"]
    assert_equal [[], 0], @host.run("doctor").then { |found| [found.fetch("contradictions"), found.fetch("discrepancies").fetch("count")] }
  end
end
