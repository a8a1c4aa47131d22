# frozen_string_literal: true

require_relative "../events/stream"

module Stepwright
  class Client
    # What happens, as it happens.
    module Streams
      # Seconds without a sign of life after which another connection is made.
      SILENCE = 30.0
      # The same while one task is followed: it is looked at then, in case its end was missed. Less than the host's own ten seconds.
      TASK_SILENCE = 5.0
      # The same once it has settled: the host looks once a second for what others wrote.
      REST_SILENCE = 1.5
      # The one settling event that is not the last of its kind if the task was opened anew after it.
      FAILED = "task.failed"
      private_constant :FAILED

      # Every event from a position on, for ever. A connection that breaks is made again, from where it ended.
      #
      # @param after [Integer, String, nil] the position of the last event that is known; +nil+ for new ones only
      # @param filters [Hash] as the API has them
      # @yieldparam event [Event]
      # @return [Enumerator, void]
      # @raise [Expired] if events after that position are not kept any more
      def events(after: nil, **filters, &block)
        return enum_for(:events, after: after, **filters) unless block

        Events::Stream.new(@session, filters, after).follow(silence: SILENCE, &block)
      end

      private

      # Tells of a task's events until it settles or the time is over.
      def follow(task_id, deadline, &block)
        stream = Events::Stream.new(@session, { task: task_id }, 0)
        settled = false
        until now >= deadline
          return if tell(stream, deadline, settled, &block)
          next if settled || !patiently(deadline) { task(task_id) }.settled?

          # Its end is written, and was not told yet: what is left is read no longer than a restart of the host takes.
          settled = true
          deadline = [deadline, now + Tasks::AWAY_MAX].min
        end
      end

      # Hands one connection's events on. Returns whether no more are to come: the last one was told, or of a task that has settled
      # there was nothing new.
      def tell(stream, deadline, settled)
        position = stream.position
        stream.read(silence: (deadline - now).clamp(0.1, settled ? REST_SILENCE : TASK_SILENCE)) do |event|
          yield event if event
          return true if event&.settling? && last?(event, deadline)
          return false if now >= deadline
        end
        settled && stream.position == position
      rescue Unavailable, RateLimited => e
        raise if stream.yielding?

        sleep((e.retry_after || Tasks::WAIT_PAUSE).clamp(0.0, [deadline - now, 0.0].max))
        false # the task is looked at next, with patience
      end

      # Whether a settling event is the one by which the task stands as it does. Both have one transaction's moment.
      def last?(event, deadline)
        return true unless event.name == FAILED

        task = patiently(deadline) { task(event.task_id) }
        task.error? && (event.at.nil? || task.finished_at.nil? || event.at == task.finished_at)
      end
    end
  end
end
