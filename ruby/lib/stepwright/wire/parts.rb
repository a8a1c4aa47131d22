# frozen_string_literal: true

require_relative "shape"

module Stepwright
  module Wire
    # One attempt of one batch: what outcomes and acknowledgements are about.
    class AttemptKey < Shape
      field :step, :u64
      field :attempt, :u32
      field :batch, :u64
    end

    # Which handlers a worker serves.
    class Serves < Shape
      field :wasm, :boolean
      field :external, [:text]
    end

    # Why an attempt failed.
    class Failure < Shape
      # Classes, and whether a failure of each is usually tried again.
      CLASSES = {
        "retryable" => true, "permanent" => false, "timeout" => true, "trap" => true, "memory" => true,
        "output_too_large" => true, "invalid_output" => false, "denied" => false, "cancelled" => false,
        "plugin_unavailable" => true, "lost" => true, "poisoned" => false
      }.freeze

      field :failure_class, :text, key: "class"
      field :code, :text, default: nil
      field :message, :text
      field :details, :json, default: nil
      field :retry_after_ms, :u64, default: nil
      field :retryable, :boolean

      # A failure that is as retryable as its class usually is.
      #
      # @param failure_class [String]
      # @param message [String]
      # @return [Failure]
      def self.of(failure_class, message, **more)
        new(failure_class: failure_class, message: message, retryable: CLASSES.fetch(failure_class), **more)
      end
    end

    # What an attempt used.
    class Receipt < Shape
      field :cpu_us, :u64
      field :memory_bytes_peak, :u64
      field :bytes_in, :u64
      field :bytes_out, :u64
      field :host_calls, :u64
      field :http_calls, :u64, default: 0
      field :http_bytes_out, :u64, default: 0
      field :http_bytes_in, :u64, default: 0
      field :file_bytes_written, :u64, default: 0

      # For an attempt that never ran.
      NONE = new(cpu_us: 0, memory_bytes_peak: 0, bytes_in: 0, bytes_out: 0, host_calls: 0)
    end

    # One line of a step's log.
    class LogLine < Shape
      field :level, :text
      field :message, :text
      field :fields, [:pairs, :text], default: [].freeze
    end

    # How one attempt ended.
    class StepOutcome < Shape
      field :task, :u64
      field :step, :u64
      field :attempt, :u32
      field :status, :text
      field :output, :json, default: nil
      field :error, Failure, default: nil
      field :digest, :digest
      field :started_at, :i64
      field :execution_us, :u64
      field :receipt, Receipt
      field :log, [LogLine]

      # @return [Boolean]
      def completed? = status == "completed"
    end

    # A step that runs long.
    class StepRunning < Shape
      field :step, :u64
      field :attempt, :u32
      field :fraction, :number, default: nil
      field :note, :text, default: nil
    end

    # One line of a batch's closing list.
    class StepSummary < Shape
      field :task, :u64
      field :step, :u64
      field :attempt, :u32
      field :status, :text
      field :execution_us, :u64
      field :digest, :digest
    end

    # What a worker is willing to hold from now on.
    class Offer < Shape
      field :number, :u64
      field :slots, :u32
      field :credit, :u32
      field :credit_bytes, :u64
    end

    # An orchestrator that workers may go to.
    class Peer < Shape
      field :incarnation, :text
      field :endpoints, [:text]
    end

    # What an attempt may use.
    class StepLimits < Shape
      field :memory_bytes_max, :u64, default: nil
      field :cpu_ms_max, :u64, default: nil
      field :output_bytes_max, :u64, default: nil
    end

    # One step of a batch: all that the worker needs.
    class StepTask < Shape
      field :task, :u64
      field :step, :u64
      field :attempt, :u32
      field :name, :text
      field :handler, :text
      field :plugin, :digest
      field :plugin_name, :text, default: "", written: true
      field :plugin_version, :text, default: "", written: true
      field :namespace, :text, default: "", written: true
      field :retry_limit, :u32
      field :idempotency_key, :text
      field :timeout_ms, :u64
      field :limits, StepLimits
      field :config, :json
      field :context, :json
      field :parents, [:pairs, :json]
      field :tags, [:pairs, :text]
    end

    # Who vouches for a component.
    class Signature < Shape
      field :key, :text
      field :signature, :text
    end
  end
end
