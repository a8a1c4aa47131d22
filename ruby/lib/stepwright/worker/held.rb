# frozen_string_literal: true

require "set"

require_relative "../wire/messages"

module Stepwright
  class Worker
    # What the worker holds: open batches, outcomes that nobody has acknowledged, and what of it has yet to be sent. No I/O.
    #
    # @api private
    class Held
      # Heartbeats that an answer may take before what was sent is sent again: each time twice as many, up to the second.
      PATIENCE = [7, 56].freeze
      # What an outcome weighs on the wire beyond its texts: names, ids, digest, receipt.
      OUTCOME_BYTES = 1_024

      # One batch. Attempts in it are pairs of a step and a number.
      class Batch
        # @return [Set<Array>] attempts that have not ended
        attr_reader :left
        # @return [Hash{Array => Wire::StepOutcome}] outcomes without an acknowledgement
        attr_reader :outcomes
        # @return [Array<Array>] those of them that the present connection has not carried, in the order of their ends
        attr_reader :unsent
        # @return [Hash{Array => Wire::StepSummary}] every attempt that ended
        attr_reader :summaries
        # @return [Boolean] whether the present connection carried the completion
        attr_accessor :listed
        # @return [Integer] heartbeats since anything of it was sent or acknowledged
        attr_accessor :unanswered
        # @return [Integer] times that everything was sent again for want of an answer
        attr_accessor :repeats

        def initialize(left)
          @left = left
          @outcomes = {}
          @unsent = []
          @summaries = {}
          @listed = false
          @unanswered = 0
          @repeats = 0
        end

        # @return [Boolean]
        def ended? = left.empty?

        # @return [Boolean]
        def something_to_say? = !unsent.empty? || (ended? && !listed)

        # @return [Boolean] whether something was sent and the answer has not come
        def waits_for_an_answer? = listed || outcomes.size > unsent.size

        # Whatever was not acknowledged is to be sent again, first what was sent first.
        def rewind
          @unsent = (outcomes.keys - unsent).sort + unsent
          @listed = false
          @unanswered = 0
        end

        # Takes outcomes of about so many bytes, at least one.
        def next_outcomes(bytes_max)
          bytes = 0
          count = unsent.take_while.with_index do |pair, at|
            bytes += Held.weight(outcomes.fetch(pair))
            at.zero? || bytes <= bytes_max
          end.size
          unsent.shift(count).map { |pair| outcomes.fetch(pair) }
        end

        # @return [Boolean] whether there is nothing left but what still runs
        def settled? = outcomes.empty? && !ended?
      end

      # @param outcome [Wire::StepOutcome]
      # @return [Integer] about how many bytes it takes
      def self.weight(outcome)
        text = ->(payload) { payload.is_a?(Wire::Payload) ? payload.bytes : 0 }
        error = outcome.error ? (2 * outcome.error.message.bytesize) + text[outcome.error.details] : 0
        log = outcome.log.sum do |line|
          (2 * (line.message.bytesize + line.fields.sum { |name, value| name.bytesize + value.bytesize })) + 64
        end
        OUTCOME_BYTES + text[outcome.output] + error + log
      end

      def initialize
        @batches = {}
      end

      # Takes a batch in.
      #
      # @param id [Integer]
      # @param pairs [Array<Array>] its attempts
      # @return [Boolean] whether it is new
      def take(id, pairs)
        return false if @batches.key?(id)

        @batches[id] = Batch.new(pairs.to_set)
        true
      end

      # Notes how an attempt ended. One of a batch that was dropped meanwhile is nobody's business.
      #
      # @param key [Wire::AttemptKey]
      # @param outcome [Wire::StepOutcome]
      # @return [void]
      def ended(key, outcome)
        batch = @batches[key.batch]
        pair = pair(key)
        return unless batch&.left&.delete?(pair)

        note(batch, pair, outcome)
        batch.unsent << pair
      end

      # Puts another outcome in place of one that cannot be sent, to be sent in turn.
      def replace(key, outcome)
        batch = @batches[key.batch] or return
        note(batch, pair(key), outcome)
        send_again(key)
      end

      # Gives attempts back: the completion will not list them, so their leases end without charging their steps.
      def give_back(key) = @batches[key.batch]&.left&.delete(pair(key))

      # The next message. What it carries counts as sent.
      #
      # @param bytes_max [Integer] about how large it may be, unless a single outcome is larger
      # @return [Wire::Shape, nil]
      def next_message(bytes_max)
        id, batch = @batches.find { |_, held| held.something_to_say? }
        return unless batch

        batch.unanswered = 0
        return completion(id, batch.tap { batch.listed = true }) if batch.unsent.empty?

        Wire::FromWorker::PartialResult.new(batch: id, outcomes: batch.next_outcomes(bytes_max), running: [])
      end

      # Forgets what is recorded for good.
      #
      # @param ack [Wire::ToWorker::Ack]
      # @return [void]
      def acknowledged(ack)
        ack.outcomes.each do |key|
          batch = @batches[key.batch] or next
          batch.unanswered = batch.repeats = 0
          # An acknowledgement may cross with the same outcome's second sending.
          batch.unsent.delete(pair(key)) if batch.outcomes.delete(pair(key))
        end
        ack.reconciled.each { |id| @batches.delete(id) }
      end

      # Sends an outcome again, if it is here.
      #
      # @return [Boolean] whether it is, or will be
      def send_again(key)
        batch = @batches[key.batch] or return false
        pair = pair(key)
        here = batch.outcomes.key?(pair)
        batch.unsent << pair if here && !batch.unsent.include?(pair)
        here || batch.left.include?(pair)
      end

      # The connection broke: whatever was not acknowledged is to be sent again.
      def rewind
        @batches.each_value do |batch|
          batch.repeats = 0
          batch.rewind
        end
      end

      # A heartbeat's time has passed. What has waited too long for an answer is to be sent again: a single message may be lost
      # without its connection.
      #
      # @return [Array<Integer>] those batches
      def beat
        waiting = @batches.select { |_, batch| batch.waits_for_an_answer? }
        late = waiting.select do |_, batch|
          batch.unanswered += 1
          batch.unanswered >= [PATIENCE[0] << [batch.repeats, 8].min, PATIENCE[1]].min
        end
        late.each_value do |batch|
          batch.repeats += 1
          batch.rewind
        end
        late.keys
      end

      # Drops every batch but these.
      #
      # @return [Array<Integer>] those that were dropped
      def keep(kept)
        dropped = @batches.keys - kept
        dropped.each { |id| @batches.delete(id) }
        dropped
      end

      # @return [Wire::StepOutcome, nil] one that nobody has acknowledged
      def outcome(key) = @batches[key.batch]&.outcomes&.fetch(pair(key), nil)

      # @return [Array<Integer>] the batches that a heartbeat lists
      def batches = @batches.keys.sort

      # @return [Array<Wire::AttemptKey>] attempts whose outcome nobody has acknowledged
      def unacknowledged
        batches.flat_map do |id|
          @batches[id].outcomes.keys.sort.map { |step, attempt| Wire::AttemptKey.new(step: step, attempt: attempt, batch: id) }
        end
      end

      # @return [Integer] steps that have not ended
      def steps_left = @batches.sum { |_, batch| batch.left.size }

      # @return [Integer] outcomes that wait to be sent
      def unsent = @batches.sum { |_, batch| batch.unsent.size }

      # @return [Boolean] whether there is something to send
      def waiting? = @batches.any? { |_, batch| batch.something_to_say? }

      # @return [Boolean] whether a batch has ended whose completion was not sent
      def ended_batch? = @batches.any? { |_, batch| batch.ended? && batch.something_to_say? }

      # @return [Boolean] whether every outcome is acknowledged, and every completion that could be sent is reconciled
      def settled? = @batches.all? { |_, batch| batch.settled? }

      private

      def pair(key) = [key.step, key.attempt]

      def note(batch, pair, outcome)
        batch.outcomes[pair] = outcome
        batch.summaries[pair] = Wire::StepSummary.new(
          task: outcome.task, step: outcome.step, attempt: outcome.attempt, status: outcome.status,
          execution_us: outcome.execution_us, digest: outcome.digest
        )
      end

      def completion(id, batch)
        summaries = batch.summaries.values
        completed = summaries.count { |summary| summary.status == "completed" }
        Wire::FromWorker::BatchCompletion.new(batch: id, completed: completed, failed: summaries.size - completed,
                                              summaries: summaries)
      end
    end
  end
end
