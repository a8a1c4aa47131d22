# frozen_string_literal: true

require_relative "support/setup"
require "minitest/mock"
require "stepwright/command_line"

# Handlers, and what they are called with.
class StepHandlerTest < Minitest::Test
  def setup
    @before = Stepwright.handlers.names
    @added = []
  end

  def teardown
    @added.each { |handler| Stepwright.handlers.remove(handler) }
    Names.constants.each { |name| Names.send(:remove_const, name) }
  end

  # Where classes get their names.
  module Names; end

  def define(name = nil, parent = Stepwright::StepHandler, &body)
    Class.new(parent, &body).tap do |handler|
      @added << handler
      Names.const_set(name, handler) if name
    end
  end

  def names = Stepwright.handlers.names - @before

  def test_a_handler_is_known_by_its_class_or_by_what_it_says
    call = proc { def call(*) = {} }
    base = define("Base")
    define("ChargeHTTPCard", base, &call)
    define(nil, base) { handles :other_name; class_eval(&call) }
    @added << Stepwright.handler("block") { |task, _, _| { "id" => task.id } }
    assert_equal %w[block charge_http_card other_name], names, "a base without `call` is none"
    assert_equal({ "id" => 7 }, Stepwright.handlers.build("block").call(Stepwright::Call::Task.new(id: 7), nil, nil))
    assert_nil Stepwright.handlers.build("absent")
    refute_same Stepwright.handlers.build("other_name"), Stepwright.handlers.build("other_name")
    define("OtherName", &call)
    assert_match(/two handlers are called 'other_name'/, assert_raises(Stepwright::ConfigurationError) { names }.message)
    @added.pop.tap { |handler| Stepwright.handlers.remove(handler) }
    define(nil, &call)
    assert_match(/without a name: say 'handles "name"'/, assert_raises(Stepwright::ConfigurationError) { names }.message)
  end

  # As code reloaders do: the same file once more, perhaps changed.
  def test_a_block_that_is_declared_again_takes_the_place_of_the_first
    declare = ->(file, value) { @added << eval("Stepwright.handler('again') { { 'n' => #{value} } }", binding, file, value) }
    [1, 2].each { |value| declare["steps.rb", value] }
    assert_equal [["again"], { "n" => 2 }], [names, Stepwright.handlers.build("again").call]
    declare["others.rb", 3]
    assert_match(/two handlers are called 'again'/, assert_raises(Stepwright::ConfigurationError) { names }.message)
  end

  def test_what_a_handler_is_called_with
    task = Stepwright::Call::Task.new(id: 7, context: { "order_id" => 1 }, tags: { "tenant" => "north" })
    assert_equal [7, 1, nil], [task.task_id, task[:order_id], task[:none]]
    sequence = Stepwright::Call::Sequence.new("validate" => { "ok" => true })
    assert_equal [{ "ok" => true }, nil, ["validate"]], [sequence.fetch(:validate), sequence[:none], sequence.map(&:first)]
    error = assert_raises(Stepwright::PermanentError) { sequence.fetch("none") }
    assert_equal "no_such_parent", error.error_code
    step = Stepwright::Call::Step.new(id: 1, name: "charge", attempt: 3, retry_limit: 3, timeout: 10)
    assert_equal [true, "charge", {}], [step.last_attempt?, step.handler, step.config]
    assert_includes 9.0..10.0, step.time_left
    step.progress(7, "done")
    assert_equal [[1.0, "done"], nil], [step.take_progress, step.take_progress]
    step.stop_if_cancelled!
    step.cancel
    assert_predicate step, :cancelled?
    assert_raises(Stepwright::Cancelled) { step.stop_if_cancelled! }
  end

  def test_the_last_lines_of_a_log_are_kept
    log = Stepwright::Call::Log.new(logger = Logger.new(out = StringIO.new))
    200.times { |number| log.info(number.to_s, key: number) }
    assert_equal((150..199).map(&:to_s), log.tail.map(&:message))
    assert_includes out.string, "199 key=199"
    log = Stepwright::Call::Log.new(logger)
    log.info("x" * 5_000)
    log.warn { "y" * 5_000 }
    assert_equal [["warn", 5_000]], log.tail.map { |line| [line.level, line.message.size] }
    log.error("é" * 10_000)
    assert_equal [8 << 10, true], log.tail.first.message.then { |text| [text.bytesize, text.valid_encoding?] }
    log.error("\xff".b)
    assert_predicate log.tail.last.message, :valid_encoding?
  end

  def command(*arguments)
    out, err = StringIO.new, StringIO.new
    code = Stepwright::CommandLine.new(arguments, out: out, err: err).run
    [code, out.string, err.string]
  ensure
    Stepwright.configuration = nil
  end

  def test_a_worker_without_zeromq_says_what_to_install
    require "stepwright/worker"
    missing = ->(_) { raise LoadError, "cannot load such file -- ffi-rzmq" }
    message = Stepwright::Worker::Zmq.stub(:require, missing) { command("work", "--require", File.expand_path("handlers", __dir__))[2] }
    assert_match(/needs ZeroMQ, and it cannot be loaded: .* Add gem "ffi-rzmq".*apt-get install/, message)
  end

  def test_the_command_line
    handlers = File.expand_path("handlers", __dir__)
    code, out, = command("handlers", "--require", handlers, "--json")
    assert_equal [0, ["charge_card"]], [code, JSON.parse(out)["handlers"]]
    assert_equal [0, "stepwright-ruby #{Stepwright::VERSION}\n", ""], command("--version")
    assert_match(/--orchestrator PLACE/, command("--help")[1])
    assert_match(/Usage: stepwright-ruby work/, command[1])
    assert_equal [1, "", "stepwright-ruby: invalid argument: dance: expected one of work, handlers\n"], command("dance")
    assert_match(/cannot load such file/, command("handlers", "--require", "/none.rb")[2])
    assert_match(/there is no Ruby file in/, command("handlers", "--require", File.join(Support::ROOT, "tests/contract"))[2])
    assert_match(/there is no file 'none.yml'/, command("work", "--config", "none.yml")[2])
    assert_match(/options: slots: "many" is not a whole number/, command("work", "--slots", "many")[2])
  end
end
