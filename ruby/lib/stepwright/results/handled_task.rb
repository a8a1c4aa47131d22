# frozen_string_literal: true

require_relative "task"

module Stepwright
  # What became of a task within the time that was given to it.
  class HandledTask
    # @return [Task] as it stood at the end
    attr_reader :task
    # @return [Boolean] whether it settled in time
    attr_reader :settled

    # @param task [Task]
    # @param settled [Boolean]
    def initialize(task, settled:)
      @task = task
      @settled = settled
      freeze
    end

    alias settled? settled

    # @return [Integer]
    def task_id = task.id

    # @return [String] the task's state
    def status = task.state

    # @return [Boolean] whether every step finished well
    def success? = task.complete?
    alias complete? success?

    # @return [Boolean] whether the time was over first
    def timed_out? = !settled

    # @return [Integer] steps that finished well
    def steps_executed = task.steps.count { |step| step.state == "complete" }

    # @return [Float, nil] seconds from the task's creation to its end
    def total_time = task.duration

    # @return [Array<StepRecord>]
    def failed_steps = task.failed_steps

    # @return [Hash{String => Object}] what finished steps returned, by name
    def outputs = task.outputs

    # @return [String, nil] why it does not go on, unless it is complete
    def blocking_reason
      return if task.complete? || TaskSummary::ENDED.include?(status)

      reasons = task.reasons.empty? ? failed_steps.map { |step| "#{step.name}: #{step.failure}" } : task.reasons.map(&:to_s)
      reasons.empty? ? nil : reasons.join("; ")
    end

    # @return [Hash{Symbol => Object}]
    def to_h
      { task_id: task_id, status: status, settled: settled, steps_executed: steps_executed, total_time: total_time,
        failed_steps: failed_steps.map(&:to_h), blocking_reason: blocking_reason, outputs: outputs }
    end

    # @api private
    def deconstruct_keys(_keys) = to_h.merge(failed_steps: failed_steps, task: task)

    # @return [Boolean]
    def ==(other) = other.instance_of?(self.class) && other.task == task && other.settled == settled
    alias eql? ==

    # @return [Integer]
    def hash = [task, settled].hash

    # @return [String]
    def inspect = "#<#{self.class.name} task_id=#{task_id} status=#{status.inspect} settled=#{settled}>"
  end
end
