# frozen_string_literal: true

require_relative "../value"

module Stepwright
  # Why an attempt failed.
  class Failure < Value
    # @return [String] who failed and how: +retryable+, +permanent+, +timeout+, +trap+, …
    field :failure_class, from: "class"
    # @return [String, nil] the handler's own code, or the limit's name
    field :code
    # @return [String]
    field :message
    # @return [Object, nil] what the handler added
    field :details
    # @return [Integer, nil]
    field :retry_after_ms
    # @return [Boolean]
    field :retryable

    # @return [Boolean]
    def retryable? = retryable == true

    # @return [String]
    def to_s = code ? "#{failure_class} (#{code}): #{message}" : "#{failure_class}: #{message}"
  end

  # A step of a task, as it stood when it was asked for.
  class StepRecord < Value
    # @return [Integer]
    field :id
    # @return [String]
    field :name, required: true
    # @return [String, nil] of a step that was just started
    field :handler
    # @return [String, nil] the handler of your own processes that runs it; +nil+ for a plugin's, and just after a start
    field :external
    # @return [Array<String>, nil] the steps before it
    field :parents
    # @return [String] +pending+, +ready+, +leased+, +in_progress+, +complete+, +error+, +skipped+, +resolved_manually+, +cancelled+
    field :state
    # @return [Integer, nil] attempts so far
    field :attempt
    # @return [Integer, nil] failed attempts so far
    field :failures
    # @return [Integer, nil] attempts so far that were lost with their worker
    field :losses
    # @return [Integer, nil] failed attempts allowed
    field :retry_limit
    # @return [Integer, nil] parents that have not finished well
    field :pending_parents
    # @return [Time, nil] from when it may be claimed, if it must wait
    field :ready_at, :moment
    # @return [Boolean, nil] whether a pause covers it
    field :paused
    # @return [String, nil] who holds it
    field :worker
    # @return [Integer, nil] the batch that holds it
    field :batch
    # @return [Float, nil] from 0 to 1
    field :progress
    # @return [String, nil] its note for people
    field :note
    # @return [Object, nil] what it returned, with text keys
    field :output
    # @return [Failure, nil]
    field :failure, Failure
    # @return [Integer, nil] how long its last attempt ran, in microseconds
    field :execution_us

    # States in which a step is done, and its dependants may run.
    FINISHED = %w[complete skipped resolved_manually].freeze

    # @return [Boolean] whether its dependants may run
    def finished? = FINISHED.include?(state)

    # @return [Boolean]
    def failed? = state == "error"

    # @return [Array<String>] the steps before it
    def depends_on = parents || []
  end

  # Why a step does not go on, and what to do about it.
  class Reason < Value
    # @return [String] its name
    field :step, required: true
    # @return [String]
    field :why
    # @return [String, nil] what to do about it
    field :advice

    # @return [String]
    def to_s = "#{step}: #{why}"
  end

  # A task in a list.
  class TaskSummary < Value
    # @return [Integer]
    field :id, required: true
    # @return [Integer] what it runs
    field :plan
    # @return [String]
    field :namespace
    # @return [String]
    field :template
    # @return [String]
    field :version
    # @return [String] +pending+, +in_progress+, +complete+, +error+, +cancelled+, +resolved_manually+
    field :state, required: true
    # @return [Integer] higher is claimed first
    field :priority
    # @return [String, nil] the key that it was started with
    field :idempotency_key
    # @return [Time]
    field :created_at, :moment
    # @return [Time, nil] when its first step was claimed
    field :started_at, :moment
    # @return [Time, nil] when it settled
    field :finished_at, :moment
    # @return [Integer]
    field :step_count, from: "steps"
    # @return [Integer] steps that finished well
    field :steps_finished
    # @return [Integer]
    field :steps_in_error

    # States that nothing leads out of.
    ENDED = %w[complete cancelled resolved_manually].freeze

    alias task_id id

    # @return [Boolean]
    def complete? = state == "complete"

    # @return [Boolean] whether it stopped because of failed steps
    def error? = state == "error"

    # @return [Boolean]
    def cancelled? = state == "cancelled"

    # @return [Boolean] whether nothing will happen any more unless an operator does something
    def settled? = error? || ENDED.include?(state)
  end

  # A task with its steps.
  class Task < TaskSummary
    # @return [Object] what it was started with, with text keys
    field :context
    # @return [Hash{String => String}] its labels
    field :tags, :map
    # @return [Array<Record>] those that cover it, or some of its steps
    field :pauses, [Record]
    # @return [Array<StepRecord>] in the template's order
    field :steps, [StepRecord], from: "steps_detail"
    # @return [String, nil] what it does at this moment
    field :execution_status
    # @return [String, nil] what to do about it
    field :recommended_action
    # @return [Integer, nil] the share of its steps that finished well
    field :completion_percent
    # @return [Array<Reason>] steps that wait, run or failed, and why
    field :reasons, [Reason]

    # @param name [String, Symbol]
    # @return [StepRecord, nil]
    def step(name) = steps.find { |step| step.name == name.to_s }

    # @return [Hash{String => Object}] what finished steps returned, by name
    def outputs = steps.select(&:finished?).to_h { |step| [step.name, step.output] }

    # @return [Array<StepRecord>]
    def failed_steps = steps.select(&:failed?)

    # @return [Float, nil] seconds from its creation to its end
    def duration = finished_at && created_at && (finished_at - created_at)
  end

  # A task that was just started, or had been started with the same key.
  class InitializedTask < Value
    # @return [Integer]
    field :id, required: true
    # @return [Boolean, nil] see {#created?}
    field :created
    # @return [String]
    field :namespace
    # @return [String]
    field :template
    # @return [String]
    field :version
    # @return [String]
    field :state
    # @return [Array<StepRecord>] in the template's order
    field :workflow_steps, [StepRecord], from: "steps"

    alias task_id id

    # @return [Boolean] whether this call started it; +false+ if its idempotency key was known
    def created? = created == true

    # @return [Integer]
    def step_count = workflow_steps.size

    # @return [Hash{String => Integer}] ids of steps by name
    def step_mapping = workflow_steps.to_h { |step| [step.name, step.id] }
  end

  # One recorded attempt at a step.
  class Attempt < Value
    # @return [Integer]
    field :step
    # @return [String]
    field :step_name
    # @return [Integer] which one, from 1
    field :attempt
    # @return [Integer] the one that carried it
    field :batch
    # @return [String]
    field :worker_name
    # @return [String] the component that ran
    field :plugin
    # @return [String] +completed+, +failed+ or +lost+
    field :status
    # @return [Failure, nil]
    field :failure, Failure
    # @return [String, nil] the fingerprint of its outcome
    field :digest
    # @return [Time, nil]
    field :started_at, :moment
    # @return [Time, nil]
    field :recorded_at, :moment
    # @return [Integer] how long it ran, in microseconds
    field :execution_us
    # @return [Integer] processor time, in microseconds
    field :cpu_us
    # @return [Integer]
    field :memory_bytes_peak
    # @return [Array, nil] the last lines, where it failed
    field :log
    # @return [String, nil] what became of the step
    field :led_to
    # @return [Time, nil] when the next attempt may begin
    field :retry_at, :moment
  end
end
