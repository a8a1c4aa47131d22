# frozen_string_literal: true

require_relative "../call"
require_relative "outcomes"

module Stepwright
  class Worker
    # Raised in a slot's thread when the attempt's time is over. No StandardError, so that handlers do not rescue it by accident.
    #
    # @api private
    class TimedOut < Exception; end

    # Runs attempts: from the wire's step to the wire's outcome.
    #
    # @api private
    class Attempt
      # Lines of a backtrace that ride with a failure.
      BACKTRACE_MAX = 10

      # @param handlers [Handlers]
      # @param around [#call, nil] called as +around.call(task, step) { … }+
      # @param logger [Logger, nil]
      def initialize(handlers:, around: nil, logger: nil)
        @handlers = handlers
        @around = around || ->(_task, _step, &run) { run.call }
        @logger = logger
      end

      # What a handler is handed as its third argument, made before the attempt begins so that others can cancel it.
      #
      # @param step [Wire::StepTask]
      # @return [Call::Step]
      def step(step)
        Call::Step.new(id: step.step, name: step.name, handler: step.handler, attempt: step.attempt,
                       retry_limit: step.retry_limit, idempotency_key: step.idempotency_key, config: step.config,
                       timeout: step.timeout_ms / 1_000.0, log: Call::Log.new(@logger))
      end

      # Runs one attempt to its end, whatever that is. {TimedOut} is let in only while the handler runs.
      #
      # @param wire [Wire::StepTask]
      # @param step [Call::Step] of {#step}
      # @param payload_bytes_max [Integer] the largest payload that the orchestrator takes
      # @return [Wire::StepOutcome]
      def run(wire, step, payload_bytes_max)
        started_at = milliseconds
        handed_in = handed_in(wire) # before a handler could change it
        wall, cpu = clocks
        ending = within(wire, payload_bytes_max, ending(wire, step))
        receipt = receipt(handed_in, ending, clocks[1] - cpu)
        course = Outcomes::Course.new(started_at, clocks[0] - wall, receipt, log_of(step))
        ending.is_a?(Wire::Failure) ? Outcomes.failed(wire, ending, course) : Outcomes.completed(wire, ending, course)
      end

      # An attempt from which {#run} did not come back.
      #
      # @param wire [Wire::StepTask]
      # @param step [Call::Step] of {#step}
      # @return [Wire::StepOutcome]
      def broken_off(wire, step)
        failure = Wire::Failure.of("trap", "the handler ended its own thread", code: "thread_exit")
        Outcomes.failed(wire, failure, Outcomes::Course.new(milliseconds, 0, Wire::Receipt::NONE, log_of(step)))
      end

      private

      def milliseconds = (Time.now.to_r * 1_000).to_i

      def clocks
        [Process::CLOCK_MONOTONIC, Process::CLOCK_THREAD_CPUTIME_ID].map { |clock| Process.clock_gettime(clock, :microsecond) }
      end

      # The output as a payload, or the failure. Whatever a handler raises ends its attempt, and not the slot.
      def ending(wire, step)
        problem = problem_of(wire)
        return Wire::Failure.of("permanent", problem, code: "invalid_step") if problem

        output = call(wire, step)
        output.is_a?(Wire::Failure) ? output : payload(wire, output)
      rescue TimedOut
        timed_out(wire)
      rescue StandardError => e
        failure(e, step)
      rescue Exception => e
        describe(e, step)
        Wire::Failure.of("trap", Outcomes.cut("#{e.class}: #{said(e)}", Outcomes::MESSAGE_BYTES_MAX), code: code_of(e.class))
      end

      def problem_of(wire)
        return "attempt 0: attempts are counted from 1" if wire.attempt.zero?
        return "timeout_ms 0: a step needs at least 1 ms" if wire.timeout_ms.zero?

        "handler '': the name of a handler was expected" if wire.handler.empty?
      end

      # The handler is looked up last: what is around it may have loaded its code anew.
      def call(wire, step)
        task = Call::Task.new(id: wire.task, namespace: wire.namespace, context: wire.context, tags: wire.tags.to_h)
        sequence = Call::Sequence.new(wire.parents.to_h)
        Thread.handle_interrupt(TimedOut => :immediate) do
          @around.call(task, step) do
            handler = @handlers.build(wire.handler)
            handler ? handler.call(task, sequence, step) : unknown_handler(wire)
          end
        end
      end

      def payload(wire, output)
        unless output.nil? || output.is_a?(Hash)
          return Wire::Failure.of("invalid_output", "the handler '#{wire.handler}' returned #{output.class}; a Hash was expected",
                                  code: "output_json")
        end
        Wire::Payload.of(output || {})
      rescue JSON::GeneratorError, JSON::NestingError, EncodingError => e
        Wire::Failure.of("invalid_output", Outcomes.cut("the output is not acceptable JSON: #{e.message}", 1_000), code: "output_json")
      end

      def unknown_handler(wire)
        Wire::Failure.of("plugin_unavailable", "this worker has no handler '#{wire.handler}'; it has #{@handlers.names.join(", ")}",
                         code: "unknown_handler")
      end

      def timed_out(wire)
        Wire::Failure.of("timeout", "the step ran out of time: its timeout is #{wire.timeout_ms} ms", code: "wall_clock")
      end

      def failure(error, step)
        describe(error, step) unless error.is_a?(HandlerError)
        failure_class = failure_class(error, step)
        message = error.is_a?(HandlerError) ? said(error) : "#{error.class}: #{said(error)}"
        Wire::Failure.of(failure_class, Outcomes.cut(message, Outcomes::MESSAGE_BYTES_MAX), **said_by(error),
                         retry_after_ms: (retry_after(error, step) if failure_class == "retryable"))
      end

      # An exception may be one that cannot even be looked at.
      def said(error)
        error.message.to_s
      rescue StandardError => e
        "its message raises #{e.class}"
      end

      # Whoever was told to stop and then fails was stopped.
      def failure_class(error, step)
        return "permanent" if error.is_a?(PermanentError)

        error.is_a?(Cancelled) || step.cancelled? ? "cancelled" : "retryable"
      end

      def said_by(error)
        return {} unless error.is_a?(HandlerError)

        code = error.error_code
        { code: (Outcomes.cut(code, Outcomes::CODE_BYTES_MAX) if code), details: details(error) }
      end

      # Details that JSON cannot hold are kept as the text that they are.
      def details(error)
        error.details.nil? ? nil : Wire::Payload.of(error.details)
      rescue StandardError, SystemStackError
        Wire::Payload.of(Outcomes.cut(error.details.inspect, 1_000))
      end

      # What is no number of seconds is passed over: then the template's back-off applies.
      def retry_after(error, step)
        given = error.respond_to?(:retry_after) ? error.retry_after : nil
        return if given.nil?

        seconds = Float(given)
        raise FloatDomainError, "NaN" if seconds.nan?

        (seconds.clamp(0.0, 1e9) * 1_000).round
      rescue StandardError => e
        step.log.warn("retry_after is no number of seconds: #{e.message}")
        nil
      end

      def describe(error, step)
        step.log.error("#{error.class}: #{said(error)}")
        error.backtrace&.first(BACKTRACE_MAX)&.each { |line| step.log.error("  #{line}") }
      end

      # The name of an exception's class in snake case; one without a name has its parent's.
      def code_of(type)
        type = type.superclass until type.name
        code = type.name.split("::").last.gsub(/([a-z\d])([A-Z])/, '\1_\2').downcase
        Outcomes.cut(code, Outcomes::CODE_BYTES_MAX)
      end

      # An outcome that is larger than a limit becomes a failure that says so.
      def within(wire, payload_bytes_max, ending)
        failed = ending.is_a?(Wire::Failure)
        payload = failed ? ending.details : ending
        return ending unless payload.is_a?(Wire::Payload)

        max = [payload_bytes_max, wire.limits.output_bytes_max].compact.min
        return ending if payload.bytes <= max

        what = failed ? "details of the error have" : "output has"
        code = max == payload_bytes_max ? "payload_bytes_max" : "output_bytes"
        Wire::Failure.of("output_too_large", "the #{what} #{payload.bytes} bytes, the limit is #{max}", code: code)
      end

      # How deep it is was checked when it came.
      def handed_in(wire)
        [wire.context, wire.config, *wire.parents.map(&:last)].sum { |value| JSON.generate(value, max_nesting: 0).bytesize }
      end

      def receipt(handed_in, ending, cpu_us)
        handed_out = ending.is_a?(Wire::Payload) ? ending.bytes : 0
        Wire::Receipt.new(cpu_us: cpu_us, memory_bytes_peak: 0, bytes_in: handed_in, bytes_out: handed_out, host_calls: 0)
      end

      def log_of(step)
        step.log.tail.map { |line| Wire::LogLine.new(level: line.level, message: line.message, fields: line.fields) }
      end
    end
  end
end
