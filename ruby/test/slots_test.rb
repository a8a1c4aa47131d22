# frozen_string_literal: true

require_relative "support/setup"
require "minitest/mock"
require "stepwright/worker/slots"
require "timeout"

# The slots without a worker.
class SlotsTest < Minitest::Test
  Slots = Stepwright::Worker::Slots

  # A thread that does not end, whatever is done to it; time passes while it is waited for.
  Stuck = Struct.new(:clock) do
    def kill = self

    def join(seconds) = clock.tap { clock[0] += seconds } && nil
  end

  def test_what_does_not_end_is_waited_for_once_in_all
    slots = Slots.new(3, nil, wake: -> {})
    threads = slots.instance_variable_get(:@threads)
    clock = [100.0]
    slots.stub(:now, -> { clock[0] }) do
      slots.instance_variable_set(:@threads, Array.new(3) { Stuck.new(clock) })
      2.times { slots.shutdown }
    end
    assert_in_delta 100.0 + Slots::SHUTDOWN_SECONDS, clock[0]
  ensure
    threads.each(&:kill).each(&:join)
  end

  # Whatever escapes from an attempt, or ends its thread, is told of, and the slot goes on.
  def test_a_slot_outlives_everything
    ends = [-> { raise NoMemoryError, "none" }, -> { Thread.exit }, -> { throw :away }, -> { raise StopIteration }, -> { :outcome }]
    attempt = Struct.new(:ends) do
      def step(_) = nil

      def run(*) = ends.shift.call

      def broken_off(*) = :broken_off
    end
    woken = Thread::Queue.new
    slots = Slots.new(1, attempt.new(ends), wake: -> { woken << true })
    slots.queue((1..5).map { |number| Slots::Job.new(number, Struct.new(:timeout_ms).new(1_000)) })
    ended = []
    Timeout.timeout(30) { woken.pop && ended.concat(slots.take_ended) while ended.size < 5 }
    assert_equal [[1, nil, "NoMemoryError: none"], [2, :broken_off, nil], [3, nil, "UncaughtThrowError: uncaught throw :away"],
                  [4, nil, "StopIteration: StopIteration"], [5, :outcome, nil]], ended.map(&:to_a)
    assert_equal 1, slots.free
  ensure
    slots.shutdown
  end
end
