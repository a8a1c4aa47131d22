# frozen_string_literal: true

require "socket"

module Stepwright
  class Worker
    # The connection: made, greeted, and what comes through it.
    #
    # @api private
    module Greeting
      private

      # Turns to the next orchestrator of the list.
      def connect
        at = @tries % @ways.size
        @dealer.open(@ways[at], message_bytes_max: MESSAGE_BYTES_MAX)
        @link = :connecting
        @accepted = false
        @try_until = now + [TRY_SECONDS, @backoff.pause(1 + (@tries / @ways.size))].max
      end

      def take_event(event)
        case event
        when :connected then greet if @link == :connecting
        when :disconnected then disconnected
        else message(event)
        end
      end

      def greet
        @heard_at = now
        @held.rewind
        @link = :greeting
        say(Wire::FromWorker::Hello.new(
              versions: [Wire::PROTOCOL_VERSION], name: name, incarnation: @incarnation, host: Socket.gethostname,
              pid: Process.pid, slots: @slots_max, credit: @drain ? 0 : @credit, credit_bytes: @settings.credit_bytes,
              labels: @settings.labels.to_a, serves: serves,
              held: @held.batches, unacknowledged: @held.unacknowledged
            ))
      end

      def serves = Wire::Serves.new(wasm: false, external: @handlers.names)

      # The connection is gone, or there was none to be had. Whoever is refused each time must not try without a pause.
      def disconnected
        at = @endpoints[@tries % @ways.size]
        if @link == :connecting
          @logger&.info("no orchestrator answers at #{at}; trying on") if @tries.zero?
        else
          @logger&.warn("the connection to the orchestrator at #{at} is gone; #{@held.steps_left} steps are held")
        end
        @tries = @accepted ? 0 : @tries + 1
        @dealer.close
        @link = :down
        @connect_at = now + @backoff.pause(1 + (@tries / @ways.size))
      end

      def message(frames)
        return if @link == :down

        body = Wire::Codec.decode(frames, Wire::ToWorker, bytes_max: MESSAGE_BYTES_MAX)
        @heard_at = now
        take(body)
      rescue ProtocolError => e
        @logger&.warn("the orchestrator sent what is no message; connecting anew: #{e.message}")
        disconnected
      end

      def take(body)
        case body
        when Wire::ToWorker::Welcome then welcome(body)
        when Wire::ToWorker::Refuse then fail_with(Refused.new("the orchestrator refused this worker: #{body.reason}"))
        else welcomed(body) if @link == :welcome # only a welcome says which of the earlier connection's batches still count
        end
      end

      def welcomed(body)
        case body
        when Wire::ToWorker::Batch then batch(body)
        when Wire::ToWorker::Ack then @held.acknowledged(body)
        when Wire::ToWorker::Resend then resend(body)
        when Wire::ToWorker::Cancel then cancel(body)
        when Wire::ToWorker::Drain then begin_drain("the orchestrator asked: #{body.reason}")
        end
      end

      def welcome(welcome)
        unless welcome.version == Wire::PROTOCOL_VERSION
          return fail_with(Refused.new("the orchestrator chose protocol version #{welcome.version}, but this worker speaks " \
                                       "#{Wire::PROTOCOL_VERSION}; upgrade the older of the two"))
        end
        @accepted = true
        @heartbeat = [welcome.heartbeat_ms, 1].max / 1_000.0
        @beat_at = now + @heartbeat
        # Escapes and punctuation make a message larger than the estimate, but not twice as large.
        @message_bytes = welcome.message_bytes_max / 2
        @slots.payload_bytes_max = welcome.payload_bytes_max
        @slots.forget_marks
        drop(@held.keep(welcome.keep))
        @link = :welcome
        @logger&.info("welcome at the orchestrator #{welcome.orchestrator}, #{welcome.keep.size} batches are kept")
        say_heartbeat if @drain
      end

      def drop(batches)
        return if batches.empty?

        @logger&.warn("dropped batches that the orchestrator gave up meanwhile: #{batches.join(", ")}")
        @slots.stop { |key| batches.include?(key.batch) }
      end

      # Takes a batch in. One that is not taken is not in the next heartbeats either, and so is given to another worker.
      def batch(batch)
        @latest = [@latest, batch.batch].compact.max
        if @held.steps_left + batch.steps.size > @credit + @slots_max
          @logger&.error("refused batch #{batch.batch} beyond the credit: #{@held.steps_left} steps are held of #{@credit}")
          return
        end
        return if @drain&.takes_nothing?
        return unless @held.take(batch.batch, batch.steps.map { |step| [step.step, step.attempt] })

        @slots.queue(batch.steps.uniq { |step| [step.step, step.attempt] }.map { |step| job(batch.batch, step) })
        @drain.crossed = true if @drain
      end

      def job(batch, step)
        Slots::Job.new(Wire::AttemptKey.new(step: step.step, attempt: step.attempt, batch: batch), step)
      end

      def resend(resend)
        resend.attempts.each do |key|
          next if @held.send_again(key)

          @logger&.warn("was asked for an outcome that is not here any more: step #{key.step}, attempt #{key.attempt}")
        end
      end

      def cancel(cancel)
        @slots.stop { |key| cancel.attempts.include?(key) }.each do |job|
          failure = Wire::Failure.of("cancelled", "the attempt was told to stop before it began")
          @held.ended(job.key, Outcomes.never_ran(job.wire, failure, (Time.now.to_r * 1_000).to_i))
        end
      end

      # It cannot go on as it is, and starting again would not help.
      def fail_with(error)
        @error = error
        @end = ended(error.message)
      end
    end
  end
end
