# frozen_string_literal: true

require "stepwright/worker"

module Support
  # An orchestrator's socket: a ROUTER whose every word the test says itself.
  class FakeOrchestrator
    # How long anything is waited for, in seconds.
    PATIENCE = 30
    # Three heartbeats without a word are silence: longer than a test's thread stands still on a busy machine.
    HEARTBEAT_MS = 4_000
    # The batch without steps that shows that a welcome has arrived.
    PROBE = 0

    attr_reader :path
    # Whether it answers no heartbeats.
    attr_accessor :silent

    def initialize(path)
      @path = path
      @context = ZMQ::Context.new(1)
      @envelope = Stepwright::Wire::Envelope.new("orchestrator")
      @batches = {}
      bind
    end

    def bind
      @router = @context.socket(ZMQ::ROUTER)
      @router.setsockopt(ZMQ::LINGER, 0)
      @router.setsockopt(ZMQ::RCVTIMEO, PATIENCE * 1_000)
      check(@router.bind("ipc://#{path}"))
      self
    end

    # Vanishes: connections break.
    def unbind
      @router.close
      File.unlink(path) if File.exist?(path)
    end

    def close
      @router.close
      @context.terminate
    end

    # The next message, of whichever worker.
    def receive
      frames = []
      check(@router.recv_strings(frames))
      @peer = frames.shift
      message = Stepwright::Wire::Codec.decode(frames, Stepwright::Wire::FromWorker)
      send(Stepwright::Wire::ToWorker::Heartbeat.new) if message.is_a?(Stepwright::Wire::FromWorker::Heartbeat) && !silent
      message
    end

    # The next message of a kind; others are passed over, and kept in `passed`. A worker that thought the orchestrator silent and comes
    # back meanwhile is welcome again.
    def await(kind)
      loop do
        message = receive
        return message if message.is_a?(kind) && (!block_given? || yield(message))

        welcome_back(message) if message.is_a?(Stepwright::Wire::FromWorker::Hello) && @welcome
        passed << message
      end
    end

    def passed = @passed ||= []

    def send(message) = send_frames(@envelope.seal(message))

    def send_frames(frames) = check(@router.send_strings([@peer, *frames]))

    def welcome(keep: [], heartbeat_ms: HEARTBEAT_MS)
      @welcome = { heartbeat_ms: heartbeat_ms }
      @batches.keep_if { |id, _| keep.include?(id) }
      send(Stepwright::Wire::ToWorker::Welcome.new(
             version: 1, heartbeat_ms: heartbeat_ms, lease_ms: 5_000, message_bytes_max: 8 << 20, payload_bytes_max: 1 << 20,
             keep: keep, orchestrator: "orchestrator"
           ))
    end

    # Welcomes a worker and waits until it knows.
    def admit(**welcome)
      welcome(**welcome)
      batch(PROBE)
      await(Stepwright::Wire::FromWorker::BatchCompletion) { |completion| completion.batch == PROBE }
      ack([], reconciled: [PROBE])
    end

    # What was sent through the connection before, and did not arrive, is sent again.
    def welcome_back(hello)
      lost = @batches.except(*hello.held).values
      welcome(keep: @batches.keys & hello.held, **@welcome)
      lost.each { |batch| batch(batch.batch, *batch.steps) }
    end

    def ack(keys, reconciled: [])
      reconciled.each { |id| @batches.delete(id) }
      send(Stepwright::Wire::ToWorker::Ack.new(outcomes: keys, reconciled: reconciled))
    end

    def batch(id, *steps)
      send(@batches[id] = Stepwright::Wire::ToWorker::Batch.new(batch: id, created_at: 0, steps: steps))
    end

    def check(result)
      raise "ZeroMQ: #{ZMQ::Util.error_string}" unless ZMQ::Util.resultcode_ok?(result)
    end

    # A step as orchestrators send it.
    def self.step(number, handler, **more)
      Stepwright::Wire::StepTask.new(
        task: 42, step: (42 << 16) + number, attempt: 1, name: "step_#{number}", handler: handler,
        plugin: Stepwright::Wire::Fingerprint.of("component"), retry_limit: 3, idempotency_key: "task/42/step_#{number}",
        timeout_ms: 30_000, limits: Stepwright::Wire::StepLimits.new, config: {}, context: { "order_id" => "ORD-1" },
        parents: [["before", { "total" => 7 }]], tags: [["tenant", "north"]], namespace: "shop", **more
      )
    end

    def self.key(number, batch, attempt: 1)
      Stepwright::Wire::AttemptKey.new(step: (42 << 16) + number, attempt: attempt, batch: batch)
    end
  end
end
