# frozen_string_literal: true

require_relative "../value"

module Stepwright
  # Why an attempt failed.
  class Failure < Value
    # @!attribute [r] failure_class
    #   @return [String] who failed and how: +retryable+, +permanent+, +timeout+, +trap+, …
    field :failure_class, from: "class"
    # @!attribute [r] code
    #   @return [String, nil] the handler's own code, or the limit's name
    field :code
    # @!attribute [r] message
    #   @return [String]
    field :message
    # @!attribute [r] details
    #   @return [Object, nil] what the handler added
    field :details
    # @!attribute [r] retry_after_ms
    #   @return [Integer, nil]
    field :retry_after_ms
    # @!attribute [r] retryable
    #   @return [Boolean]
    field :retryable

    # @return [Boolean]
    def retryable? = retryable == true

    # @return [String]
    def to_s = code ? "#{failure_class} (#{code}): #{message}" : "#{failure_class}: #{message}"
  end

  # A step of a task, as it stood when it was asked for.
  class StepRecord < Value
    field :id
    field :name, required: true
    # @!attribute [r] handler
    #   @return [String, nil] of a step that was just started
    field :handler
    # @!attribute [r] external
    #   @return [String, nil] the handler of your own processes that runs it; +nil+ for a plugin's, and just after a start
    field :external
    field :parents
    # @!attribute [r] state
    #   @return [String] +pending+, +ready+, +leased+, +in_progress+, +complete+, +error+, +skipped+, +resolved_manually+, +cancelled+
    field :state
    field :attempt
    field :failures
    field :losses
    field :retry_limit
    field :pending_parents
    field :ready_at, :moment
    field :paused
    field :worker
    field :batch
    # @!attribute [r] progress
    #   @return [Float, nil] from 0 to 1
    field :progress
    field :note
    # @!attribute [r] output
    #   @return [Object, nil] what it returned, with text keys
    field :output
    # @!attribute [r] failure
    #   @return [Failure, nil]
    field :failure, Failure
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
    field :step, required: true
    field :why
    field :advice

    # @return [String]
    def to_s = "#{step}: #{why}"
  end

  # A task in a list.
  class TaskSummary < Value
    field :id, required: true
    field :plan
    field :namespace
    field :template
    field :version
    # @!attribute [r] state
    #   @return [String] +pending+, +in_progress+, +complete+, +error+, +cancelled+, +resolved_manually+
    field :state, required: true
    field :priority
    field :idempotency_key
    field :created_at, :moment
    field :started_at, :moment
    field :finished_at, :moment
    field :step_count, from: "steps"
    field :steps_finished
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
    field :context
    field :tags, :map
    field :pauses, [Record]
    field :steps, [StepRecord], from: "steps_detail"
    field :execution_status
    field :recommended_action
    field :completion_percent
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
    field :id, required: true
    field :created
    field :namespace
    field :template
    field :version
    field :state
    # @!attribute [r] workflow_steps
    #   @return [Array<StepRecord>] in the template's order
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
    field :step
    field :step_name
    field :attempt
    field :batch
    field :worker_name
    field :plugin
    # @!attribute [r] status
    #   @return [String] +completed+, +failed+ or +lost+
    field :status
    field :failure, Failure
    field :digest
    field :started_at, :moment
    field :recorded_at, :moment
    field :execution_us
    field :cpu_us
    field :memory_bytes_peak
    field :log
    field :led_to
    field :retry_at, :moment
  end
end
