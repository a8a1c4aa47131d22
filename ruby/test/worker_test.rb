# frozen_string_literal: true

require_relative "support/setup"
require_relative "support/fake_orchestrator"
require "tmpdir"

# A whole worker over ZeroMQ, against an orchestrator whose every word the test says.
class WorkerTest < Minitest::Test
  parallelize_me! # each has processes and folders of its own

  From = Stepwright::Wire::FromWorker
  To = Stepwright::Wire::ToWorker
  Fake = Support::FakeOrchestrator

  def setup
    @folder = Dir.mktmpdir
    Stepwright::Worker::Zmq.load!
    @orchestrator = Fake.new(File.join(@folder, "o.sock"))
    @handlers = Stepwright::Handlers.new
    @gates = Hash.new { |gates, name| gates[name] = Thread::Queue.new }
    handler("echo") { |task, sequence, step| { "order" => task["order_id"], "before" => sequence["before"], "key" => step.idempotency_key } }
    handler("held") { |_, _, step| @gates[:began] << step and @gates[:go].pop and { "held" => true } }
  end

  def teardown
    2.times { @worker&.stop }
    @thread&.join(Fake::PATIENCE)
  rescue Stepwright::Worker::Refused
    nil # was looked at
  ensure
    @orchestrator.close
    FileUtils.remove_entry(@folder)
  end

  def handler(name, &body) = @handlers.add(Stepwright::Handlers::Block.new(name, body))

  def start(**settings)
    configuration = Stepwright::Configuration.new(environment: Stepwright::Environment.new("test"))
    configuration.logger = Logger.new(@log = StringIO.new)
    configuration.worker.merge!({ orchestrators: [@orchestrator.path], name: "ruby-1", slots: 2, labels: { zone: "a" } }.merge(settings))
    @worker = Stepwright::Worker.new(configuration: configuration, handlers: @handlers)
    @thread = Thread.new { @worker.run }
    @thread.report_on_exception = false
  end

  def joined(**welcome)
    start
    @orchestrator.await(From::Hello).tap { @orchestrator.admit(**welcome) }
  end

  def ended
    assert @thread.join(Fake::PATIENCE), "the worker does not end: #{@log.string}"
    @thread.value
  end

  def test_a_session_from_hello_to_goodbye
    hello = joined
    assert_equal [[1], "ruby-1", 2, 16, [%w[zone a]], Process.pid], [hello.versions, hello.name, hello.slots, hello.credit, hello.labels, hello.pid]
    assert_equal Stepwright::Wire::Serves.new(wasm: false, external: %w[echo held]), hello.serves
    assert_equal [[], []], [hello.held, hello.unacknowledged]

    @orchestrator.batch(7, Fake.step(0, "echo"), Fake.step(1, "echo"))
    outcomes = []
    outcomes.concat(@orchestrator.await(From::PartialResult).outcomes) while outcomes.size < 2
    completion = @orchestrator.await(From::BatchCompletion)
    output = { "order" => "ORD-1", "before" => { "total" => 7 }, "key" => "task/42/step_0" }
    first = outcomes.find { |outcome| outcome.step == 42 << 16 }
    assert_equal ["completed", output, nil], [first.status, first.output, first.error]
    assert_equal Stepwright::Wire::Fingerprint.of(JSON.generate(output)), first.digest
    assert_equal [outcomes.map(&:digest).sort, 2, 0], [completion.summaries.map(&:digest).sort, completion.completed, completion.failed]
    assert_operator first.receipt.bytes_in, :>, 0
    assert_equal JSON.generate(output).bytesize, first.receipt.bytes_out

    @orchestrator.ack([Fake.key(0, 7), Fake.key(1, 7)])
    heartbeat = @orchestrator.await(From::Heartbeat)
    assert_equal [[7], 7, 2, 16, false], [heartbeat.held, heartbeat.latest, heartbeat.slots_free, heartbeat.credit_free, heartbeat.draining]
    @orchestrator.ack([], reconciled: [7])
    @orchestrator.await(From::Heartbeat) { |it| it.held.empty? }
    @worker.stop
    @orchestrator.await(From::Heartbeat, &:draining)
    assert_equal "it was told to stop", @orchestrator.await(From::Goodbye).reason
    assert_equal [2, 0, 0, false], ended.to_h.values_at(:steps_ended, :steps_given_up, :outcomes_unacknowledged, :aborted)
  end

  def test_a_lost_connection_loses_no_outcome
    joined
    @orchestrator.batch(7, Fake.step(0, "echo"), Fake.step(1, "held"))
    @orchestrator.batch(8, Fake.step(2, "held"))
    first = @orchestrator.await(From::PartialResult).outcomes
    2.times { @gates[:began].pop }
    @orchestrator.unbind
    @gates[:go] << true # it ends while nobody is there to be told
    @orchestrator.bind
    hello = @orchestrator.await(From::Hello)
    assert_equal @worker.incarnation, hello.incarnation
    assert_equal [7, 8], hello.held
    assert_includes hello.unacknowledged, Fake.key(0, 7)
    @orchestrator.welcome(keep: [7])
    @gates[:go] << true
    again = []
    again.concat(@orchestrator.await(From::PartialResult).outcomes) while again.size < 2
    assert_includes again, first.first, "what was not acknowledged is sent again as it was"
    completion = @orchestrator.await(From::BatchCompletion)
    assert_equal [7, 2], [completion.batch, completion.summaries.size]
    @orchestrator.send(To::Resend.new(attempts: [Fake.key(0, 7), Fake.key(9, 9)]))
    assert_equal first, @orchestrator.await(From::PartialResult).outcomes
    @orchestrator.ack([Fake.key(0, 7), Fake.key(1, 7)], reconciled: [7])
    assert_equal [[], 8], @orchestrator.await(From::Heartbeat) { |heartbeat| heartbeat.held.empty? }.then { |it| [it.held, it.latest] }
    assert_match(/was asked for an outcome that is not here any more/, @log.string)
    assert_match(/dropped batches that the orchestrator gave up meanwhile: 8/, @log.string)
  end

  # Connections break, messages are lost, and the orchestrator knows only what it took in: like the real one, it asks again.
  def test_no_outcome_is_lost_whatever_breaks
    random = Random.new(20_261_126)
    joined(heartbeat_ms: 200)
    batches = (1..40).to_h { |batch| [batch, Array.new(1 + random.rand(4)) { |at| Fake.step((batch * 10) + at, "echo") }] }
    unsent, sent, recorded, done = batches.keys, [], {}, []
    until done.size == batches.size
      while unsent.any? && sent.size < 4
        sent << unsent.shift
        @orchestrator.batch(sent.last, *batches[sent.last])
      end
      message = @orchestrator.receive
      if random.rand(12).zero?
        @orchestrator.unbind
        @orchestrator.bind
        message = @orchestrator.await(From::Hello)
      end
      if message.is_a?(From::Hello) # also if nothing was said to it for three heartbeats
        @orchestrator.welcome(heartbeat_ms: 200, keep: sent & message.held)
        unsent.concat(sent - message.held)
        sent &= message.held
      elsif message.is_a?(From::PartialResult) && random.rand(4).positive?
        message.outcomes.each { |outcome| assert_equal outcome.digest, (recorded[outcome.step] ||= outcome.digest) }
        @orchestrator.ack(message.outcomes.map { |outcome| Fake.key(outcome.step - (42 << 16), message.batch) })
      elsif message.is_a?(From::BatchCompletion)
        missing = message.summaries.reject { |summary| recorded.key?(summary.step) }
        if missing.any?
          @orchestrator.send(To::Resend.new(attempts: missing.map { |summary| Fake.key(summary.step - (42 << 16), message.batch) }))
        else
          done |= [message.batch]
          sent.delete(message.batch)
          @orchestrator.ack([], reconciled: [message.batch])
        end
      end
    end
    assert_equal batches.values.flatten.map(&:step).sort, recorded.keys.sort
    @orchestrator.admit # who is not connected says no goodbye
    @worker.stop
    @orchestrator.await(From::Goodbye)
    assert_equal [0, 0], ended.to_h.values_at(:steps_given_up, :outcomes_unacknowledged)
  end

  def test_each_end_of_a_handler_has_its_class
    handler("retry") { raise Stepwright::RetryableError.new("busy", retry_after: 0.25, error_code: "gateway_busy", details: { queue: 3 }) }
    handler("never") { |_, _, step| step.log.warn("no", order: 1) || raise(Stepwright::PermanentError.new("declined", error_code: "card_declined")) }
    handler("bug") { nil.nothing }
    handler("exits") { exit(3) }
    handler("number") { 7 }
    handler("nan") { { "n" => Float::NAN } }
    handler("large") { { "text" => "x" * 2_000_000 } }
    handler("nothing") { nil }
    handler("slow") { sleep }
    handler("asserts") { raise Minitest::Assertion, "expected 1" }
    handler("nameless") { raise Class.new(NoMemoryError), "none" }
    handler("mute") { raise Class.new(StandardError) { def message = raise("no") }.tap { |type| def type.to_s = "Mute" } }
    handler("leaves") { |_, _, step| step.log.info("going") || Thread.exit }
    handler("throws") { throw :away }
    handler("later") { raise Stepwright::RetryableError.new("busy", retry_after: Float::NAN) }
    handler("someday") { raise Stepwright::RetryableError.new("busy", retry_after: "tomorrow", details: Object.new.tap { |object| def object.to_json(*) = raise("no") }) }
    handler("changes") { |task, _, _| task.context["n"] = Float::NAN and nil }
    ends = {
      "retry" => ["retryable", "gateway_busy", "busy", true], "never" => ["permanent", "card_declined", "declined", false],
      "bug" => ["retryable", nil, /\ANoMethodError: undefined method/, true], "exits" => ["trap", "system_exit", "SystemExit: exit", true],
      "number" => ["invalid_output", "output_json", /returned Integer; a Hash was expected/, false],
      "nan" => ["invalid_output", "output_json", /not acceptable JSON/, false],
      "large" => ["output_too_large", "payload_bytes_max", "the output has 2000011 bytes, the limit is 1048576", true],
      "absent" => ["plugin_unavailable", "unknown_handler", /no handler 'absent'; it has asserts, bug, changes, echo/, true],
      "slow" => ["timeout", "wall_clock", "the step ran out of time: its timeout is 50 ms", true],
      "asserts" => ["trap", "assertion", "Minitest::Assertion: expected 1", true],
      "nameless" => ["trap", "no_memory_error", /: none\z/, true],
      "mute" => ["retryable", nil, "Mute: its message raises RuntimeError", true],
      "leaves" => ["trap", "thread_exit", "the handler ended its own thread", true],
      "throws" => ["retryable", nil, /\AUncaughtThrowError: /, true],
      "later" => ["retryable", nil, "busy", true], "someday" => ["retryable", nil, "busy", true]
    }
    joined
    steps = (ends.keys + %w[changes nothing]).each_with_index.map { |name, at| Fake.step(at, name, timeout_ms: name == "slow" ? 50 : 30_000) }
    @orchestrator.batch(7, *steps)
    outcomes = []
    outcomes.concat(@orchestrator.await(From::PartialResult).outcomes) while outcomes.size < steps.size
    outcomes.sort_by!(&:step)
    ends.each_value.with_index do |(type, code, message, retryable), at|
      error = outcomes[at].error
      assert_equal [type, code, retryable], [error.failure_class, error.code, error.retryable]
      assert_operator message, :===, error.message
      assert_equal Stepwright::Wire::Fingerprint.of("#{type}\0#{code}\0#{error.message}"), outcomes[at].digest
    end
    assert_equal [250, { "queue" => 3 }], [outcomes[0].error.retry_after_ms, outcomes[0].error.details]
    assert_equal [["warn", "no", [%w[order 1]]]], outcomes[1].log.map { |line| [line.level, line.message, line.fields] }
    assert_match(/NoMethodError/, outcomes[2].log.first.message)
    assert_equal [{}, {}], outcomes.last(2).map(&:output)
    of = ends.keys.zip(outcomes).to_h
    assert_equal ["going"], of["leaves"].log.map(&:message)
    assert_equal([nil, 'retry_after is no number of seconds: invalid value for Float(): "tomorrow"'], of["someday"].then { |outcome| [outcome.error.retry_after_ms, outcome.log.last.message] })
    assert_equal [nil, "retry_after is no number of seconds: NaN"], of["later"].then { |outcome| [outcome.error.retry_after_ms, outcome.log.last.message] }
    refute_match(/the worker is broken/, @log.string)
  end

  def test_a_payload_as_deep_as_the_host_takes_passes
    deep = Array.new(Stepwright::Wire::Payload::DEPTH_MAX - 1).inject([]) { |inner, _| [inner] }
    handler("deep") { |task, _, _| { "in" => task["in"].first } }
    joined
    @orchestrator.batch(7, Fake.step(0, "deep", context: { "in" => deep.first }))
    outcome = @orchestrator.await(From::PartialResult).outcomes.first
    assert_equal [nil, { "in" => deep.first.first }], [outcome.error, outcome.output]
    assert_operator outcome.receipt.bytes_in, :>, 2 * 126
  end

  def test_marks_and_cancelling
    handler("long") do |_, _, step|
      step.progress(0.5, "half way")
      @gates[:began] << step
      @gates[:go].pop
      step.stop_if_cancelled!
    end
    joined
    @orchestrator.batch(7, Fake.step(0, "long"), Fake.step(1, "long"), Fake.step(2, "long"))
    2.times { @gates[:began].pop }
    marks = []
    marks.concat(@orchestrator.await(From::PartialResult).running) while marks.size < 2
    assert_equal [[0.5, "half way"]] * 2, marks.map { |mark| [mark.fraction, mark.note] }
    @orchestrator.send(To::Cancel.new(attempts: [Fake.key(0, 7), Fake.key(2, 7)]))
    queued = @orchestrator.await(From::PartialResult) { |partial| partial.outcomes.any? }.outcomes.first
    assert_equal [(42 << 16) + 2, "cancelled", 0], [queued.step, queued.error.failure_class, queued.execution_us]
    2.times { @gates[:go] << true }
    outcomes = []
    outcomes.concat(@orchestrator.await(From::PartialResult).outcomes) while outcomes.size < 2
    assert_equal ["cancelled", nil], outcomes.sort_by(&:step).map { |outcome| outcome.error&.failure_class }
  end

  def test_a_silent_orchestrator_is_left_and_a_message_that_is_none_too
    @orchestrator.silent = true
    start
    @orchestrator.await(From::Hello)
    @orchestrator.welcome(heartbeat_ms: 50)
    @orchestrator.await(From::Hello) # nothing was said for three heartbeats
    @orchestrator.admit
    @orchestrator.send_frames(%w[what is])
    @orchestrator.await(From::Hello)
    @orchestrator.admit
    @orchestrator.send(To::Drain.new(reason: "upgrade"))
    assert_equal "the orchestrator asked: upgrade", @orchestrator.await(From::Goodbye).reason
    ended
  end

  def test_a_drain_finishes_what_is_held_and_takes_what_was_on_its_way
    joined
    @orchestrator.batch(7, Fake.step(0, "held"))
    @gates[:began].pop
    @worker.stop
    @orchestrator.await(From::Heartbeat, &:draining)
    @orchestrator.batch(8, Fake.step(1, "echo"))
    @orchestrator.await(From::BatchCompletion)
    @gates[:go] << true
    @orchestrator.await(From::BatchCompletion)
    @orchestrator.ack([Fake.key(0, 7), Fake.key(1, 8)], reconciled: [7, 8])
    @orchestrator.await(From::Goodbye)
    assert_equal [2, 0, 0], ended.to_h.values_at(:steps_ended, :steps_given_up, :outcomes_unacknowledged)
  end

  def test_what_does_not_end_in_time_is_given_up
    start(drain: 0.05)
    @orchestrator.await(From::Hello)
    @orchestrator.admit
    @orchestrator.batch(7, Fake.step(0, "held"))
    @gates[:began].pop
    @worker.stop
    assert_match(/1 steps were not finished in time/, @orchestrator.await(From::Goodbye).reason)
    assert_equal [1, false], ended.to_h.values_at(:steps_given_up, :aborted)
  end

  def test_a_refused_worker_ends_with_the_reason
    start
    @orchestrator.await(From::Hello)
    @orchestrator.send(To::Refuse.new(reason: "speak version 2"))
    error = assert_raises(Stepwright::Worker::Refused) { ended }
    assert_match(/refused this worker: speak version 2/, error.message)
  end

  def test_more_than_the_credit_is_not_taken
    start(credit: 1, slots: 1)
    @orchestrator.await(From::Hello)
    @orchestrator.admit
    @orchestrator.batch(7, *Array.new(3) { |at| Fake.step(at, "echo") })
    assert_empty @orchestrator.await(From::Heartbeat) { |it| it.latest == 7 }.held
  end

  def test_settings_that_lead_nowhere_are_refused
    assert_match(/nowhere.*leads nowhere; expected the path of a socket/,
                 assert_raises(Stepwright::ConfigurationError) { start(orchestrators: "nowhere") }.message)
    @handlers = Stepwright::Handlers.new
    assert_match(/there is no handler/, assert_raises(Stepwright::ConfigurationError) { start }.message)
    handler("echo") { nil }
    assert_match(/a gate wants a token/, assert_raises(Stepwright::ConfigurationError) { start(orchestrators: "tls://h:1") }.message)
    endpoints = %w[/run/o.sock ipc:///run/o.sock tls://host:5555 tcp://127.0.0.1:1/2 tls://[::1]:5555].map { |text| Stepwright::Worker::Endpoint.parse(text).to_s }
    assert_equal %w[/run/o.sock /run/o.sock tls://host:5555 tcp://127.0.0.1:1/2 tls://[::1]:5555], endpoints
  end
end
