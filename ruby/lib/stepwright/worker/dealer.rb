# frozen_string_literal: true

require_relative "zmq"

module Stepwright
  class Worker
    # One connection after another to a unix socket, each with a DEALER of its own: one that reconnected by itself would go on
    # without a new +hello+. For one thread only, as ZeroMQ's sockets are.
    #
    # @api private
    class Dealer
      # Milliseconds that a closing socket may take to hand over what was sent.
      LINGER_MS = 2_000
      # The monitor's events that count.
      EVENTS = Zmq::CONNECTED | Zmq::CLOSED | Zmq::DISCONNECTED

      def initialize
        Zmq.load!
        @context = ZMQ::Context.new(1)
        @number = 0
      end

      # Begins to connect. {#events} tells what becomes of it.
      #
      # @param path [String]
      # @param message_bytes_max [Integer]
      # @return [void]
      def open(path, message_bytes_max:)
        close
        @socket = @context.socket(ZMQ::DEALER)
        { ZMQ::LINGER => 0, ZMQ::RECONNECT_IVL => -1, ZMQ::MAXMSGSIZE => message_bytes_max }.each do |option, value|
          Zmq.check(@socket.setsockopt(option, value), "set up a socket")
        end
        watch
        Zmq.check(@socket.connect("ipc://#{path}"), "connect to #{path}")
        @ios = [@socket, @monitor].map { |socket| IO.for_fd(Zmq.option(socket, ZMQ::FD), autoclose: false) }
      end

      # @return [Boolean] whether there is a socket
      def open? = !@socket.nil?

      # @return [Array<IO>] what to wait for, unless {#pending?}
      def ios = @ios || []

      # The sockets' handles tell of changes only, so what is there already is to be asked for.
      #
      # @return [Boolean]
      def pending? = open? && (Zmq.readable?(@monitor) || Zmq.readable?(@socket))

      # Takes in what there is. What the connection brought comes before its end.
      #
      # @yieldparam event [:connected, :disconnected, Array<String>] the latter a message's frames
      # @return [void]
      def events(&block)
        return unless (socket = @socket)

        seen = monitored
        yield :connected if seen & Zmq::CONNECTED != 0
        receive(socket, &block)
        yield :disconnected if seen & (Zmq::CLOSED | Zmq::DISCONNECTED) != 0 && @socket.equal?(socket)
      end

      # Queues a message. A queue that is full counts as a failure: waiting for a stalled peer would help nobody.
      #
      # @param frames [Array<String>]
      # @return [Boolean] whether it is queued
      def send(frames)
        open? && ZMQ::Util.resultcode_ok?(@socket.send_strings(frames, ZMQ::DONTWAIT))
      end

      # @param linger [Boolean] whether to hand over first what was sent
      # @return [void]
      def close(linger: false)
        return unless open?

        @socket.setsockopt(ZMQ::LINGER, LINGER_MS) if linger
        @monitor.close
        @socket.close
        @socket = @monitor = @ios = nil
      end

      # Closes for good.
      #
      # @return [void]
      def terminate
        close(linger: true)
        @context.terminate
      end

      private

      def watch
        name = "inproc://stepwright-monitor-#{@number += 1}"
        Zmq.monitor(@socket, name, EVENTS)
        @monitor = @context.socket(ZMQ::PAIR)
        Zmq.check(@monitor.setsockopt(ZMQ::LINGER, 0), "set up a socket")
        Zmq.check(@monitor.connect(name), "watch a socket")
      end

      # The kinds of the monitor's events: the first two bytes of each message.
      def monitored
        seen = 0
        while (frames = Zmq.receive(@monitor))
          seen |= frames.first.unpack1("S")
        end
        seen
      end

      # What is done about an event may be the socket's end.
      def receive(socket)
        while @socket.equal?(socket) && (frames = Zmq.receive(socket))
          yield frames
        end
      end
    end
  end
end
