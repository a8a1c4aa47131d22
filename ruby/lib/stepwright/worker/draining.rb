# frozen_string_literal: true

module Stepwright
  class Worker
    # Leaving in order: finish what is held, have it acknowledged, say goodbye.
    #
    # @api private
    module Draining
      # How long a drained worker waits for its last acknowledgements, in seconds: longer than a lease.
      ACK_SECONDS = 7.0

      # A drain under way: +:finishing+ while steps run, then +:acknowledging+, then +:over+.
      Drain = Struct.new(:reason, :stage, :until, :told_at, :crossed, :stranded, :error) do
        # @return [Boolean] whether not even a batch that was on its way is taken
        def takes_nothing? = stage != :finishing || !error.nil?
      end
      private_constant :Drain

      private

      # Begins to drain. With an error the queued steps are not run any more.
      def begin_drain(reason, error: nil)
        stranded = error ? @slots.clear_queue.size : 0
        if @drain
          @drain.stranded += stranded
          @drain.error ||= error
          return
        end
        @logger&.info("draining, since #{reason}: #{@held.steps_left} steps are held")
        @drain = Drain.new(reason, :finishing, now + @settings.drain, now, false, stranded, error)
        # The orchestrator sends nothing to a worker that says it has no room.
        say_heartbeat
      end

      # Tells an orchestrator again that still sends batches: a worker that was full when it said so first looked busy, not
      # draining. Not often: a batch that two heartbeats do not list counts as lost, and one may be on its way.
      def insist_on_drain
        return unless @drain&.crossed && now - @drain.told_at >= @heartbeat / 10

        @drain.crossed = false
        @drain.told_at = now
        say_heartbeat
      end

      # A stage has taken as long as it may.
      def drain_deadline
        return unless @drain && now >= @drain.until

        case @drain.stage
        when :finishing
          @slots.shutdown
          take_ended
          enter(:acknowledging)
        when :acknowledging then enter(:over)
        end
      end

      def enter(stage)
        @drain.stage = stage
        @drain.until = now + ACK_SECONDS
      end

      # Goes on to the next stage where that is possible.
      def advance_drain
        return unless @drain && @end.nil?

        enter(:acknowledging) if @drain.stage == :finishing && @held.steps_left <= @drain.stranded
        drained if @drain.stage == :over || (@drain.stage == :acknowledging && @held.settled?)
      end

      def drained
        @error = @drain.error
        @end = ended(@drain.reason)
        if @end.outcomes_unacknowledged.positive?
          @logger&.error("left before the orchestrator acknowledged #{@end.outcomes_unacknowledged} outcomes")
        elsif @link == :welcome
          given_up = @end.steps_given_up
          rest = given_up.zero? ? "" : "; #{given_up} steps were not finished in time"
          say(Wire::FromWorker::Goodbye.new(reason: "#{@drain.reason}#{rest}"))
        end
      end
    end
  end
end
