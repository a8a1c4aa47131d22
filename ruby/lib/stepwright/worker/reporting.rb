# frozen_string_literal: true

module Stepwright
  class Worker
    # What the worker says: outcomes when nobody gains by their waiting, marks and signs of life once in every heartbeat's time.
    #
    # @api private
    module Reporting
      # Heartbeats without a word from the orchestrator before the connection is given up.
      SILENT_HEARTBEATS_MAX = 3
      # How long an outcome may wait for others while more steps wait for a slot, in seconds: less than a commit takes.
      COALESCE_SECONDS = 0.002
      # Outcomes that wait at most, whatever the time: a full batch.
      COALESCE_OUTCOMES_MAX = 64
      # The code of a failure that stands in for an outcome too large to send.
      TOO_LARGE = "message_bytes_max"

      private

      # Once in every heartbeat's time.
      def beat
        @beat_at = now + @heartbeat
        silence = now - @heard_at
        if %i[greeting welcome].include?(@link) && silence > @heartbeat * SILENT_HEARTBEATS_MAX
          @logger&.warn("the orchestrator has been silent for #{silence.round(1)} s; connecting anew")
          disconnected
        end
        report if @link == :welcome
      end

      def report
        repeated = @held.beat
        @logger&.warn("sends outcomes again that nobody has acknowledged: batches #{repeated.join(", ")}") unless repeated.empty?
        flush
        say_running
        say_heartbeat
      end

      # Sends outcomes if nobody gains by their waiting: a slot is free, a batch has ended, enough have gathered, or they have
      # waited long enough.
      def flush_if_due
        return @coalesce_until = nil unless @link == :welcome && @held.waiting?

        waited = @coalesce_until && now >= @coalesce_until
        if waited || @held.unsent >= COALESCE_OUTCOMES_MAX || @held.ended_batch? || !@slots.full?
          flush
        else
          @coalesce_until ||= now + COALESCE_SECONDS
        end
      end

      def flush
        @coalesce_until = nil
        outcomes = false
        while @link == :welcome && (message = @held.next_message(@message_bytes))
          outcomes ||= message.is_a?(Wire::FromWorker::PartialResult)
          say(message)
        end
        insist_on_drain if outcomes
      end

      def say_running
        @slots.marks.group_by { |mark| mark.key.batch }.each do |batch, marks|
          running = marks.map do |mark|
            fraction, note = mark.progress
            Wire::StepRunning.new(step: mark.key.step, attempt: mark.key.attempt, fraction: fraction,
                                  note: (note unless note.to_s.empty?))
          end
          # A lost mark is no loss: another connection begins with new ones.
          say(Wire::FromWorker::PartialResult.new(batch: batch, outcomes: [], running: running))
        end
      end

      def say_heartbeat
        return unless @link == :welcome

        free = @drain ? 0 : [@credit - @held.steps_left, 0].max
        say(Wire::FromWorker::Heartbeat.new(held: @held.batches, latest: @latest, slots_free: @slots.free, credit_free: free,
                                            draining: !@drain.nil?))
      end

      # Sends a message; a connection that does not take it is given up, and everything is sent again on the next one.
      def say(body)
        frames = @envelope.seal(body)
        bytes = frames.sum(&:bytesize)
        return too_large(body, bytes) if bytes > @message_bytes * 2

        disconnected unless @dealer.send(frames)
      end

      # A message that nobody would take: in smaller pieces, and a single outcome as a failure that says why.
      def too_large(body, bytes)
        outcomes = body.is_a?(Wire::FromWorker::PartialResult) ? body.outcomes : []
        return @logger&.error("a message of #{bytes} bytes is not sent; it may have #{@message_bytes * 2}") if outcomes.empty?

        keys = outcomes.map { |outcome| Wire::AttemptKey.new(step: outcome.step, attempt: outcome.attempt, batch: body.batch) }
        return replace(keys.first, outcomes.first, bytes) if outcomes.one?

        keys.each { |key| @held.send_again(key) }
        flush_singly
      end

      def replace(key, outcome, bytes)
        if outcome.error&.code == TOO_LARGE
          return @logger&.error("not even a failure of step #{key.step} fits in a message: #{bytes} bytes")
        end

        message = "the outcome takes #{bytes} bytes on the wire; a message may have #{@message_bytes * 2}"
        failure = Wire::Failure.of("output_too_large", message, code: TOO_LARGE)
        @held.replace(key, Outcomes.replaced(outcome, failure))
      end

      # One outcome in each message.
      def flush_singly
        while @link == :welcome && (message = @held.next_message(0))
          say(message)
        end
      end
    end
  end
end
