# frozen_string_literal: true

require_relative "../results/task"

module Stepwright
  class Client
    # What operators do to tasks and steps. Each deed is kept with the task: who, why and when.
    module Operations
      # Nothing of the task is begun any more, and what runs is told to stop.
      #
      # @param task_id [Integer, #task_id]
      # @param reason [String] why
      # @param by [String, nil] who; by default the setting +by+, and else the token's name
      # @return [Task]
      # @raise [Conflict] if it has ended
      def cancel(task_id, reason:, by: nil) = deed(task_id, "cancel", reason, by)

      # Nothing new of the task is begun; what runs may finish.
      #
      # @param (see #cancel)
      # @return (see #cancel)
      # @raise (see #cancel)
      def pause(task_id, reason:, by: nil) = deed(task_id, "pause", reason, by)

      # The task goes on where it was paused.
      #
      # @param (see #cancel)
      # @return (see #cancel)
      # @raise (see #cancel)
      def resume(task_id, reason:, by: nil) = deed(task_id, "resume", reason, by)

      # Failed steps get another chance: all of a task's, or one.
      #
      # @param task_id [Integer, #task_id]
      # @param step [String, Symbol, nil] its name
      # @param reason [String]
      # @param by [String, nil]
      # @return [Task]
      def retry(task_id, reason:, step: nil, by: nil) = deed(task_id, "retry", reason, by, step: step)

      # Declares a task done; or a step, with an output in place of its own.
      #
      # @param task_id [Integer, #task_id]
      # @param step [String, Symbol, nil] its name
      # @param output [Object] what the step's dependants get
      # @param reason [String]
      # @param by [String, nil]
      # @return [Task]
      def resolve(task_id, reason:, step: nil, output: nil, by: nil)
        deed(task_id, "resolve", reason, by, step: step, **(step ? { output: output } : {}))
      end

      # Goes on without a step.
      #
      # @param task_id [Integer, #task_id]
      # @param step [String, Symbol] its name
      # @param reason [String]
      # @param by [String, nil]
      # @return [Task]
      def skip(task_id, step:, reason:, by: nil) = deed(task_id, "skip", reason, by, step: step)

      # @return [Array<Record>] what is paused, by whom, and why
      def pauses = listed(Record, "pauses", "/pauses")

      # Nothing new begins under a template, a namespace, a plugin, a component or a task.
      #
      # @param kind [Symbol, String] +template+, +namespace+, +plugin+, +digest+ or +task+
      # @param name [#to_s]
      # @param reason [String]
      # @param by [String, nil]
      # @return [Record]
      def pause_all(kind, name, reason:, by: nil)
        Record.new(post("/pauses", who({ target: { kind: kind.to_s, name: name.to_s }, reason: reason }, by)))
      end

      # Ends a pause of {#pause_all}.
      #
      # @param (see #pause_all)
      # @return (see #pause_all)
      def resume_all(kind, name, reason:, by: nil)
        body = who({ target: { kind: kind.to_s, name: name.to_s }, reason: reason }, by)
        Record.new(@session.json(HTTP::Request.new(:delete, "/pauses", json: body)))
      end

      private

      def deed(task_id, deed, reason, by, step: nil, **more)
        at = step ? "/steps/#{segment(step)}" : ""
        Task.new(post("/tasks/#{id_of(task_id)}#{at}/#{deed}", who({ reason: reason, **more }, by)))
      end

      def who(body, by)
        by ||= configuration.by
        by ? body.merge(by: by) : body
      end
    end
  end
end
