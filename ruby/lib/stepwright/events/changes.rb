# frozen_string_literal: true

require_relative "event"

module Stepwright
  module Events
    # What happened to a task between two looks at it, for hosts that serve no events. What came and went between the two is not
    # seen.
    class Changes
      # The event of each state of a task.
      TASK = { "in_progress" => "task.started", "complete" => "task.completed", "error" => "task.failed",
               "cancelled" => "task.cancelled", "resolved_manually" => "task.resolved_manually" }.freeze
      # The event of each state of a step.
      STEP = { "ready" => "step.viable", "leased" => "step.started", "in_progress" => "step.started",
               "complete" => "step.completed", "error" => "step.failed", "skipped" => "step.skipped",
               "resolved_manually" => "step.resolved_manually", "cancelled" => "step.cancelled" }.freeze

      def initialize
        @task = nil
        @steps = {}
      end

      # @param task [Task] as it stands now
      # @return [Array<Event>]
      def of(task)
        events = [*(initialized(task) if @task.nil?)]
        changed = @task != task.state ? [event(TASK[task.state], task)].compact : []
        @task = task.state
        steps = task.steps.flat_map { |step| step_events(task, step) }
        # A task starts before its steps do, and ends after them.
        task.state == "in_progress" ? events + changed + steps : events + steps + changed
      end

      private

      def initialized(task) = event("task.initialized", task)

      def step_events(task, step)
        before = @steps[step.id]
        mark = [STEP.fetch(step.state, step.state), step.attempt, step.progress, step.note]
        @steps[step.id] = mark
        return [] if before == mark || !STEP.key?(step.state)

        [event(name_of(step, before, mark), task, step)]
      end

      def name_of(step, before, mark)
        return "step.progress" if before && before.take(2) == mark.take(2)

        step.state == "ready" && step.failures.to_i.positive? ? "step.retry_scheduled" : mark.first
      end

      def event(name, task, step = nil)
        return unless name

        data = { "task" => task.id, "namespace" => task.namespace, "template" => task.template }
        data.merge!("step" => step.id, "step_name" => step.name, "attempt" => step.attempt, "state" => step.state) if step
        data.merge!("progress" => step.progress, "note" => step.note) if step&.progress
        data["failure"] = step.failure.as_json if step&.failure
        Event.new(name, data)
      end
    end
  end
end
