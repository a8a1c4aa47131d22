# frozen_string_literal: true

require_relative "../wire/messages"

module Stepwright
  class Worker
    # What is sent of an attempt's end.
    #
    # @api private
    module Outcomes
      # The longest message of a failure and the longest code, in bytes, as the host has them for WebAssembly steps.
      MESSAGE_BYTES_MAX = 4 << 10
      CODE_BYTES_MAX = 128
      # How an attempt went, beside its end.
      Course = Struct.new(:started_at, :execution_us, :receipt, :log)

      module_function

      # @param step [Wire::StepTask, Wire::StepOutcome] who it is
      # @param output [Wire::Payload]
      # @param course [Course]
      # @return [Wire::StepOutcome]
      def completed(step, output, course)
        outcome(step, course, status: "completed", output: output, digest: Wire::Fingerprint.of_output(output), log: [])
      end

      # @param step [Wire::StepTask, Wire::StepOutcome] who it is
      # @param error [Wire::Failure]
      # @param course [Course]
      # @return [Wire::StepOutcome]
      def failed(step, error, course)
        outcome(step, course, status: "failed", error: error, digest: Wire::Fingerprint.of_failure(error), log: course.log)
      end

      # An attempt that was ended before any handler saw it.
      #
      # @param step [Wire::StepTask]
      # @param error [Wire::Failure]
      # @param now [Integer] milliseconds since 1970
      # @return [Wire::StepOutcome]
      def never_ran(step, error, now)
        failed(step, error, Course.new(now, 0, Wire::Receipt::NONE, []))
      end

      # The attempt's outcome with another end: for one that cannot be sent as it is.
      #
      # @param before [Wire::StepOutcome]
      # @param error [Wire::Failure]
      # @return [Wire::StepOutcome]
      def replaced(before, error)
        failed(before, error, Course.new(before.started_at, before.execution_us, before.receipt, []))
      end

      # @param text [#to_s]
      # @param bytes_max [Integer]
      # @return [String] valid UTF-8 of at most so many bytes
      def cut(text, bytes_max)
        text = text.to_s
        text = text.encode(Encoding::UTF_8, invalid: :replace, undef: :replace) unless text.encoding == Encoding::UTF_8
        text = text.scrub
        text.bytesize > bytes_max ? text.byteslice(0, bytes_max).scrub("") : text
      end

      # @api private
      def outcome(step, course, **ending)
        Wire::StepOutcome.new(task: step.task, step: step.step, attempt: step.attempt, started_at: course.started_at,
                              execution_us: course.execution_us, receipt: course.receipt, **ending)
      end
    end
  end
end
