# frozen_string_literal: true

require_relative "../events/changes"
require_relative "../events/stream"

module Stepwright
  class Client
    # What happens, as it happens.
    module Streams
      # Seconds without a sign of life after which another connection is made.
      SILENCE = 30.0
      # The same while one task is followed: it is looked at then, in case its end was missed.
      TASK_SILENCE = 10.0
      # Between two looks at a task whose host serves no events.
      LOOK = 0.25
      # The host has no such route: one of before there were events.
      NoEvents = Class.new(StandardError)
      private_constant :NoEvents

      # Every event from a position on, for ever. A connection that breaks is made again, from where it ended.
      #
      # @param after [Integer, String, nil] the position of the last event that is known; +nil+ for new ones only
      # @param filters [Hash] as the API has them
      # @yieldparam event [Event]
      # @return [Enumerator, void]
      # @raise [NotFound] if the host serves no events
      def events(after: nil, **filters, &block)
        return enum_for(:events, after: after, **filters) unless block

        Events::Stream.new(@session, filters, after).follow(silence: SILENCE, &block)
      end

      private

      # Tells of a task's events until it settles or the time is over.
      def follow(task_id, deadline, &block)
        follow_stream(task_id, deadline, &block)
      rescue NoEvents
        follow_changes(task_id, deadline, &block)
      end

      def follow_stream(task_id, deadline, &block)
        stream = Events::Stream.new(@session, { task: task_id }, 0)
        until now >= deadline
          return if tell(stream, deadline, &block) || patiently(deadline) { task(task_id) }.settled?
        end
      end

      # Hands one connection's events on. Returns whether the last one settles the task.
      def tell(stream, deadline)
        stream.read(silence: (deadline - now).clamp(0.1, TASK_SILENCE)) do |event|
          yield event if event
          return true if event&.settling?
          return false if now >= deadline
        end
        false
      rescue NotFound => e
        raise unless stream.unheard? && e.code == "not_found"

        raise NoEvents
      rescue Unavailable
        raise if stream.yielding?

        false # the task is looked at next, with patience
      end

      def follow_changes(task_id, deadline)
        changes = Events::Changes.new
        loop do
          slice = (deadline - now).clamp(0.0, LOOK)
          task = patiently(deadline) { Task.new(get("/tasks/#{task_id}/wait", { timeout: Duration.text(slice) }, waits: slice)) }
          changes.of(task).each { |event| yield event }
          return if task.settled? || now >= deadline
        end
      end
    end
  end
end
