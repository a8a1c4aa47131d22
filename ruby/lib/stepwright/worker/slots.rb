# frozen_string_literal: true

require_relative "attempt"

module Stepwright
  class Worker
    # The slots: so many attempts run at once, each on a thread of its own that takes the next queued step by itself.
    #
    # @api private
    class Slots
      # A step that waits for a slot.
      Job = Struct.new(:key, :wire)
      # An attempt that a slot is done with; without an outcome, the worker itself failed at it.
      Ended = Struct.new(:key, :outcome, :reason)
      # A running attempt that outlived a heartbeat, with its newest progress mark.
      Mark = Struct.new(:key, :progress)

      # How long all that does not end at once may take to, in seconds.
      SHUTDOWN_SECONDS = 1.0

      # What runs in one slot.
      Running = Struct.new(:key, :step, :thread, :deadline, :seen, :marked, :interrupted)
      private_constant :Running

      # @param count [Integer]
      # @param attempt [Attempt]
      # @param wake [#call] called whenever an attempt has ended
      def initialize(count, attempt, wake:)
        @attempt = attempt
        @wake = wake
        @mutex = Mutex.new
        @queued = ConditionVariable.new
        @queue = []
        @running = Array.new(count)
        @ended = Thread::Queue.new
        @payload_bytes_max = 1 << 20
        @threads = Array.new(count)
        count.times { |slot| start(slot) }
      end

      # The largest payload that the orchestrator takes, in bytes.
      attr_writer :payload_bytes_max

      # @param jobs [Array<Job>]
      # @return [void]
      def queue(jobs)
        @mutex.synchronize do
          @queue.concat(jobs)
          @queued.broadcast
        end
      end

      # @return [Array<Ended>] those that ended since
      def take_ended = Array.new(@ended.size) { @ended.pop }

      # @return [Boolean] whether steps wait for a slot
      def full? = @mutex.synchronize { !@queue.empty? }

      # @return [Integer] slots that run nothing
      def free = @mutex.synchronize { @running.count(&:nil?) }

      # Tells attempts to stop. The queued ones are taken out; the running ones end by themselves.
      #
      # @yieldparam key [Wire::AttemptKey]
      # @yieldreturn [Boolean] whether to stop it
      # @return [Array<Job>] the queued ones
      def stop
        @mutex.synchronize do
          @running.compact.each { |running| running.step.cancel if yield running.key }
          taken, @queue = @queue.partition { |job| yield job.key }
          taken
        end
      end

      # Ends the attempts whose time is over.
      #
      # @param now [Float] monotonic seconds
      # @return [void]
      def expire(now)
        @mutex.synchronize do
          @running.compact.each do |running|
            next if running.interrupted || now < running.deadline

            running.interrupted = true
            running.thread.raise(TimedOut)
          end
        end
      end

      # @return [Float, nil] when the next attempt's time is over
      def next_deadline = @mutex.synchronize { @running.compact.reject(&:interrupted).map(&:deadline).min }

      # Running attempts to tell of at a heartbeat: those that were running at the one before, once, and again whenever they set
      # a progress mark.
      #
      # @return [Array<Mark>]
      def marks
        @mutex.synchronize { @running.compact.map { |running| mark(running) }.compact }
      end

      # Forgets what the orchestrator was told: another connection, perhaps another orchestrator.
      def forget_marks = @mutex.synchronize { @running.compact.each { |running| running.marked = false } }

      # Empties the queue, so that only the running attempts go on.
      #
      # @return [Array<Job>] what was in it
      def clear_queue = @mutex.synchronize { @queue.slice!(0..) }

      # Ends every attempt where it stands. What does not end by then is waited for no longer, the next time either.
      #
      # @return [void]
      def shutdown
        clear_queue
        threads = @mutex.synchronize do
          @until ||= now + SHUTDOWN_SECONDS
          @threads.each(&:kill)
        end
        threads.each { |thread| thread.join([@until - now, 0.0].max) }
      end

      private

      # A handler may end its thread; the slot goes on with another one.
      def start(slot)
        @threads[slot] = Thread.new do
          Thread.current.name = "stepwright-slot-#{slot}"
          Thread.current.report_on_exception = false
          Thread.handle_interrupt(TimedOut => :never) { loop { serve(slot) } }
        ensure
          @mutex.synchronize { start(slot) unless @until }
        end
      end

      # Tells of every attempt that it takes, unless this is the end of them all.
      def serve(slot)
        job, step = take(slot)
        ended = Ended.new(job.key, @attempt.run(job.wire, step, @payload_bytes_max))
      rescue Exception => e
        ended = Ended.new(job.key, nil, "#{e.class}: #{e.message}") if job
      ensure
        ended ||= Ended.new(job.key, @attempt.broken_off(job.wire, step)) if job && !@until
        finish(slot, ended) if ended
      end

      def take(slot)
        @mutex.synchronize do
          @queued.wait(@mutex) while @queue.empty?
          job = @queue.shift
          step = @attempt.step(job.wire)
          deadline = now + (job.wire.timeout_ms / 1_000.0)
          @running[slot] = Running.new(job.key, step, Thread.current, deadline, false, false, false)
          @wake.call # the deadline is one more thing to wait for
          [job, step]
        end
      end

      def finish(slot, ended)
        @mutex.synchronize { @running[slot] = nil }
        # Nobody interrupts this attempt any more; what is on its way must not hit the next one.
        begin
          Thread.handle_interrupt(TimedOut => :immediate) { Thread.pass } if Thread.pending_interrupt?(TimedOut)
        rescue TimedOut
          nil
        end
        @ended << ended
        @wake.call
      end

      def mark(running)
        seen = running.seen
        running.seen = true
        return unless seen

        progress = running.step.take_progress
        return if progress.nil? && running.marked

        running.marked = true
        Mark.new(running.key, progress)
      end

      def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
