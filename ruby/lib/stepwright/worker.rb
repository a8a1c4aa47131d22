# frozen_string_literal: true

require "securerandom"
require "socket"
require "tmpdir"

require_relative "../stepwright"
require_relative "backoff"
require_relative "wire/codec"
require_relative "worker/dealer"
require_relative "worker/draining"
require_relative "worker/endpoint"
require_relative "worker/greeting"
require_relative "worker/held"
require_relative "worker/reporting"
require_relative "worker/slots"
require_relative "worker/tunnel"

module Stepwright
  # A worker in Ruby: takes batches of steps from an orchestrator, runs them on its slots, reports every outcome twice.
  #
  #                    batch                   job
  #   orchestrator ------------> Worker ------------------> slot --> StepHandler
  #        ^                     |  ^                        |
  #        |   partial_result,   |  +------------------------+ ended
  #        +---------------------+
  #            batch_completion
  #
  # One thread owns the connection and what is held, and reacts to one event at a time. An outcome is kept until the orchestrator
  # has acknowledged it.
  class Worker
    include Greeting
    include Reporting
    include Draining

    # Pauses between tries to connect, in seconds.
    PAUSES = { base: 0.05, cap: 5.0 }.freeze
    # How long a try may take, in seconds.
    TRY_SECONDS = 1.0
    # Steps in a row at which the worker itself failed before it gives up. One or two may be the steps' doing.
    BROKEN_MAX = 8
    # What is taken until the orchestrator has said its own limit.
    MESSAGE_BYTES_MAX = 8 << 20

    # How a worker's life ended.
    End = Struct.new(:reason, :aborted, :steps_ended, :steps_given_up, :outcomes_unacknowledged, keyword_init: true)

    # The orchestrator does not want this worker: its settings must change.
    class Refused < Error; end
    # Steps cannot be run here, whatever the step.
    class Broken < Error; end

    # @return [String] random, new for each worker: who holds a lease
    attr_reader :incarnation

    # @param configuration [Configuration]
    # @param handlers [Handlers]
    # @raise [ConfigurationError]
    def initialize(configuration: Stepwright.configuration, handlers: Stepwright.handlers)
      @settings = configuration.worker
      @logger = configuration.logger
      @handlers = handlers
      @slots_max = [@settings.slots, 1].max
      @credit = @settings.credit || [@slots_max * 8, 16].max
      @endpoints = @settings.orchestrators.map { |text| Endpoint.parse(text) }
      raise ConfigurationError, "orchestrators: name at least one" if @endpoints.empty?
      raise ConfigurationError, "there is no handler: require a file with a subclass of Stepwright::StepHandler" if handlers.names.empty?

      # Before it says that it is ready.
      Token.read(@settings.token_file) if @endpoints.any?(&:gate?)
      Zmq.load!
      begin_life
    end

    # @return [String] the worker's name, for people
    def name = @settings.name || Socket.gethostname

    # @return [Integer] steps that run at once
    def slots = @slots_max

    # Works until it is told to stop, by {#stop} or by the orchestrator, or cannot go on.
    #
    # @return [End]
    # @raise [Refused, Broken]
    def run
      open
      step until @end
      raise @error if @error

      @end
    ensure
      close
    end

    # Lets it finish what it holds and leave. May be called in a signal handler; the second time it ends at once.
    #
    # @return [void]
    def stop
      @stops += 1
      wake
    end

    private

    def begin_life
      @incarnation = SecureRandom.hex(8)
      @envelope = Wire::Envelope.new(@incarnation)
      @held = Held.new
      @wake_reader, @wake_writer = IO.pipe
      @stops = 0
      @link = :down
      @latest = nil
      @heartbeat = 1.0
      @heard_at = @beat_at = now
      @message_bytes = MESSAGE_BYTES_MAX / 2
      @backoff = Backoff.new(**PAUSES)
      @tries = @steps_ended = @broken_in_a_row = 0
      @connect_at = now
    end

    def open
      @dealer = Dealer.new
      @folder = Dir.mktmpdir("stepwright") # of mode 0700
      @tunnels = {}
      @ways = @endpoints.each_with_index.map { |endpoint, at| way(endpoint, at) }
      attempt = Attempt.new(handlers: @handlers, around: @settings.around, logger: @logger)
      @slots = Slots.new(@slots_max, attempt, wake: method(:wake))
    end

    def way(endpoint, at)
      return endpoint.path unless endpoint.gate?

      tunnel = Tunnel.new(endpoint, File.join(@folder, "gate-#{at}"), @settings, logger: @logger)
      (@tunnels[at] = tunnel).path
    end

    def close
      @slots&.shutdown
      @dealer&.terminate
      @tunnels&.each_value(&:close)
      FileUtils.remove_entry(@folder) if @folder
      [@wake_reader, @wake_writer].each(&:close)
    end

    # One turn: waits until there is something to do, and does all of it.
    def step
      wait
      return @end = ended("it was told to stop at once", aborted: true) if @stops > 1

      begin_drain("it was told to stop") if @stops == 1
      disconnected if @link == :connecting && now >= @try_until
      connect if @link == :down && now >= @connect_at
      @dealer.events { |event| take_event(event) }
      beat if now >= @beat_at
      drain_deadline
      @slots.expire(now)
      take_ended
      flush_if_due
      advance_drain
    end

    def wait
      return if @dealer.pending?

      IO.select([@wake_reader, *@dealer.ios], nil, nil, (next_moment - now).clamp(0.0, 60.0))
      @wake_reader.read_nonblock(4_096, exception: false)
    end

    def next_moment
      connect_at = @connect_at if @link == :down
      try_until = @try_until if @link == :connecting
      [@beat_at, connect_at, try_until, @coalesce_until, @drain&.until, @slots.next_deadline].compact.min
    end

    # Also from slots' threads and from signal handlers.
    def wake
      @wake_writer.write_nonblock(".", exception: false)
    rescue IOError
      nil # the worker has ended
    end

    # The slots hand over what has ended.
    def take_ended
      @slots.take_ended.each do |ended|
        @steps_ended += 1
        next broken(ended) unless ended.outcome

        @broken_in_a_row = 0
        @held.ended(ended.key, ended.outcome)
      end
    end

    # The step is not charged for it: its lease ends with the batch, and it is tried elsewhere.
    def broken(ended)
      @logger&.error("failed to run step #{ended.key.step}: the worker is broken: #{ended.reason}")
      @held.give_back(ended.key)
      @broken_in_a_row += 1
      return unless @broken_in_a_row == BROKEN_MAX

      begin_drain("it is broken", error: Broken.new("failed to run #{BROKEN_MAX} steps in a row, the last time because: #{ended.reason}"))
    end

    def ended(reason, aborted: false)
      End.new(reason: reason, aborted: aborted, steps_ended: @steps_ended, steps_given_up: @held.steps_left,
              outcomes_unacknowledged: @held.unacknowledged.size)
    end

    def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end
end
