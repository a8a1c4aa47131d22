# frozen_string_literal: true

require_relative "parts"

module Stepwright
  # The messages, exactly as they stand on the wire. The repository's +tests/contract+ has a golden example of each.
  #
  # @api private
  module Wire
    # The protocol version that this gem speaks.
    PROTOCOL_VERSION = 1

    # What a worker says.
    module FromWorker
      # Who a worker is and what it can do.
      class Hello < Shape
        field :versions, [:u32]
        field :name, :text
        field :incarnation, :text
        field :host, :text
        field :pid, :u32
        field :slots, :u32
        field :credit, :u32
        field :credit_bytes, :u64
        field :labels, [:pairs, :text]
        field :serves, Serves
        field :held, [:u64]
        field :unacknowledged, [AttemptKey]
      end

      # Outcomes of steps of one batch, and marks of steps that run long.
      class PartialResult < Shape
        field :batch, :u64
        field :outcomes, [StepOutcome]
        field :running, [StepRunning]
      end

      # The closing list of a batch.
      class BatchCompletion < Shape
        field :batch, :u64
        field :completed, :u32
        field :failed, :u32
        field :summaries, [StepSummary]
      end

      # A worker's sign of life.
      class Heartbeat < Shape
        field :held, [:u64]
        field :latest, :u64, default: nil
        field :slots_free, :u32
        field :credit_free, :u32
        field :draining, :boolean
        field :offer, Offer, default: nil
      end

      # A worker's farewell.
      class Goodbye < Shape
        field :reason, :text
      end

      # Which component a worker wants, and from where on. Workers in Ruby run none.
      class ComponentRequest < Shape
        field :digest, :digest
        field :offset, :u64
      end

      # Each kind's body.
      KINDS = {
        "hello" => Hello, "partial_result" => PartialResult, "batch_completion" => BatchCompletion,
        "heartbeat" => Heartbeat, "goodbye" => Goodbye, "component_request" => ComponentRequest
      }.freeze
    end

    # What an orchestrator says.
    module ToWorker
      # What a worker must know to begin.
      class Welcome < Shape
        field :version, :u32
        field :heartbeat_ms, :u64
        field :lease_ms, :u64
        field :message_bytes_max, :u64
        field :payload_bytes_max, :u64
        field :keep, [:u64]
        field :orchestrator, :text, default: "", written: true
        field :peers, [Peer], default: [].freeze
      end

      # Steps to run.
      class Batch < Shape
        field :batch, :u64
        field :created_at, :i64
        field :steps, [StepTask]
      end

      # What is recorded for good.
      class Ack < Shape
        field :outcomes, [AttemptKey]
        field :reconciled, [:u64]
      end

      # What to send again.
      class Resend < Shape
        field :attempts, [AttemptKey]
      end

      # What to stop.
      class Cancel < Shape
        field :attempts, [AttemptKey]
      end

      # Why to leave.
      class Drain < Shape
        field :reason, :text
      end

      # An orchestrator's sign of life.
      class Heartbeat < Shape
        field :peers, [Peer], default: [].freeze
        field :offer, :u64, default: nil
      end

      # Why the peer is not accepted.
      class Refuse < Shape
        field :reason, :text
      end

      # A part of a component. Workers in Ruby ask for none.
      class ComponentPart < Shape
        field :digest, :digest
        field :offset, :u64
        field :total, :u64
        field :data, :text
        field :signatures, [Signature], default: [].freeze
        field :missing, :text, default: nil
      end

      # Each kind's body.
      KINDS = {
        "welcome" => Welcome, "batch" => Batch, "ack" => Ack, "resend" => Resend, "cancel" => Cancel, "drain" => Drain,
        "heartbeat" => Heartbeat, "refuse" => Refuse, "component_part" => ComponentPart
      }.freeze
    end
  end
end
