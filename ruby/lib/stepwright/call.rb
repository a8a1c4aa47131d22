# frozen_string_literal: true

require_relative "errors"

module Stepwright
  # What a handler is called with.
  module Call
    # The task that the step is a part of.
    class Task
      # @return [Integer]
      attr_reader :id
      # @return [String] the namespace of its template
      attr_reader :namespace
      # @return [Hash{String => Object}] what it was started with
      attr_reader :context
      # @return [Hash{String => String}] its labels
      attr_reader :tags

      alias task_id id

      # @param id [Integer]
      # @param namespace [String]
      # @param context [Hash{String => Object}]
      # @param tags [Hash{String => String}]
      def initialize(id:, namespace: "", context: {}, tags: {})
        @id = id
        @namespace = namespace
        @context = context
        @tags = tags
      end

      # @param key [String, Symbol]
      # @return [Object, nil] a field of the context
      def [](key) = context.is_a?(Hash) ? context[key.to_s] : nil
    end

    # What the steps before this one returned, in the template's order.
    class Sequence
      include Enumerable

      # @return [Hash{String => Object}] outputs of the direct parents by name
      attr_reader :previous_results

      # @param previous_results [Hash{String => Object}]
      def initialize(previous_results = {})
        @previous_results = previous_results
      end

      # @param name [String, Symbol]
      # @return [Object, nil] a parent's output
      def [](name) = previous_results[name.to_s]

      # @param name [String, Symbol]
      # @return [Object] a parent's output
      # @raise [PermanentError] if the step does not depend on it: no attempt would find it
      def fetch(name)
        previous_results.fetch(name.to_s) do
          raise PermanentError.new("'#{name}' is no parent of this step; its parents are #{previous_results.keys.join(", ")}",
                                   error_code: "no_such_parent")
        end
      end

      # @yieldparam name [String]
      # @yieldparam output [Object]
      def each(&block) = previous_results.each(&block)
    end

    # The attempt: who it is, until when it may run, and what it tells meanwhile.
    class Step
      # The longest note of a progress mark, in characters.
      NOTE_MAX = 1_000

      # @return [Integer]
      attr_reader :id
      # @return [String] its name in the template
      attr_reader :name
      # @return [String] the handler's name
      attr_reader :handler
      # @return [Integer] which try this is, from 1
      attr_reader :attempt
      # @return [Integer] failed attempts allowed in all
      attr_reader :retry_limit
      # @return [String] the same for every attempt: hand it to the services that you call
      attr_reader :idempotency_key
      # @return [Hash{String => Object}] its configuration in the template
      attr_reader :config
      # @return [Float] seconds that the attempt may take
      attr_reader :timeout
      # @return [Log] lines that are kept if the attempt fails
      attr_reader :log

      alias logger log
      alias handler_config config

      # @param id [Integer]
      # @param name [String]
      # @param handler [String]
      # @param attempt [Integer]
      # @param retry_limit [Integer]
      # @param idempotency_key [String]
      # @param config [Hash{String => Object}]
      # @param timeout [Float] seconds
      # @param log [#info]
      def initialize(id:, name:, handler: name, attempt: 1, retry_limit: 3, idempotency_key: "", config: {},
                     timeout: 30.0, log: nil)
        @id = id
        @name = name
        @handler = handler
        @attempt = attempt
        @retry_limit = retry_limit
        @idempotency_key = idempotency_key
        @config = config
        @timeout = timeout
        @log = log || Log.new
        @deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + timeout
        @mutex = Mutex.new
        @cancelled = false
        @progress = nil
      end

      # @return [Boolean] whether a failure of this attempt is the step's last
      def last_attempt? = attempt >= retry_limit

      # @return [Float] seconds that are left
      def time_left = [@deadline - Process.clock_gettime(Process::CLOCK_MONOTONIC), 0.0].max

      # Tells how far it is; shown to people while the step runs.
      #
      # @param fraction [Numeric] from 0 to 1
      # @param note [String]
      # @return [void]
      def progress(fraction, note = "")
        fraction = fraction.to_f
        fraction = fraction.nan? ? 0.0 : fraction.clamp(0.0, 1.0)
        @mutex.synchronize { @progress = [fraction, note.to_s[0, NOTE_MAX]] }
      end

      # @return [Boolean] whether it was told to stop. Long steps ask now and then.
      def cancelled? = @mutex.synchronize { @cancelled }

      # Ends the attempt if it was told to stop.
      #
      # @return [void]
      # @raise [Cancelled]
      def stop_if_cancelled!
        raise Cancelled, "the attempt was told to stop" if cancelled?
      end

      # @api private
      def cancel = @mutex.synchronize { @cancelled = true }

      # The newest progress mark, once.
      #
      # @api private
      def take_progress = @mutex.synchronize { @progress.tap { @progress = nil } }
    end

    # What an attempt logs: the last lines ride with its failure, and all of them go to the worker's own log.
    class Log
      # Lines that are kept.
      LINES_MAX = 50
      # Bytes of text that are kept, so that a full batch of failures fits in a message.
      BYTES_MAX = 8 << 10
      # The levels, as the wire spells them.
      LEVELS = %w[trace debug info warn error].freeze

      # One line.
      Line = Struct.new(:level, :message, :fields) do
        # @return [Integer]
        def weight = message.bytesize + fields.sum { |name, value| name.bytesize + value.bytesize }
      end

      # @param logger [Logger, nil] where all lines go
      def initialize(logger = nil)
        @logger = logger
        @mutex = Mutex.new
        @lines = []
      end

      LEVELS.each do |level|
        define_method(level) { |message = nil, **fields, &block| add(level, message || block&.call, fields) }
      end

      # @return [Array<Line>] the last lines within the limits, oldest first; a single one that is too long is cut
      def tail
        kept = []
        left = BYTES_MAX
        @mutex.synchronize { @lines.dup }.reverse_each do |line|
          break kept << cut(line) if line.weight > left && kept.empty?
          break if line.weight > left

          left -= line.weight
          kept << line
        end
        kept.reverse
      end

      private

      def add(level, message, fields)
        text = message.to_s.encode(Encoding::UTF_8, invalid: :replace, undef: :replace).scrub
        line = Line.new(level, text, fields.map { |name, value| [name.to_s, value.to_s.dup.force_encoding("UTF-8").scrub] })
        @mutex.synchronize do
          @lines << line
          @lines.shift if @lines.size > LINES_MAX
        end
        tell(line)
        nil
      end

      def tell(line)
        severity = line.level == "trace" ? "debug" : line.level
        fields = line.fields.map { |name, value| " #{name}=#{value}" }.join
        @logger&.public_send(severity) { "#{line.message}#{fields}" }
      end

      def cut(line)
        Line.new(line.level, line.message.byteslice(0, BYTES_MAX).scrub(""), [])
      end
    end
  end
end
