# frozen_string_literal: true

require_relative "../errors"

module Stepwright
  class Worker
    # ZeroMQ, which only workers need: the gem +ffi-rzmq+ is no dependency of this one.
    #
    # @api private
    module Zmq
      # Events of a socket's monitor (zmq_socket_monitor(3)).
      CONNECTED = 0x0001
      CLOSED = 0x0080
      DISCONNECTED = 0x0200

      module_function

      # @return [void]
      # @raise [ConfigurationError] if the gem or the library is not there
      def load!
        require "ffi-rzmq"
      rescue LoadError => e
        raise ConfigurationError, "a worker needs ZeroMQ, and it cannot be loaded: #{e.message}. Add gem \"ffi-rzmq\" to the " \
                                  "Gemfile and install libzmq (Debian: apt-get install libzmq5, or ruby-ffi-rzmq for both)"
      end

      # @param socket [ZMQ::Socket]
      # @param name [String] an inproc address
      # @param events [Integer] a sum of the above
      # @return [void]
      def monitor(socket, name, events)
        check(LibZMQ.zmq_socket_monitor(socket.socket, FFI::MemoryPointer.from_string(name), events), "watch a socket")
      end

      # @param result [Integer] of a call to libzmq
      # @param deed [String]
      # @return [void]
      # @raise [Unavailable]
      def check(result, deed)
        raise Unavailable, "failed to #{deed}: #{ZMQ::Util.error_string}" unless ZMQ::Util.resultcode_ok?(result)
      end

      # @param socket [ZMQ::Socket]
      # @param option [Integer]
      # @return [Integer]
      def option(socket, option)
        value = []
        check(socket.getsockopt(option, value), "ask a socket")
        value.first
      end

      # @param socket [ZMQ::Socket]
      # @return [Array<String>, nil] a whole message, if there is one
      def receive(socket)
        frames = []
        ZMQ::Util.resultcode_ok?(socket.recv_strings(frames, ZMQ::DONTWAIT)) ? frames : nil
      end

      # @param socket [ZMQ::Socket]
      # @return [Boolean] whether there is a message
      def readable?(socket) = option(socket, ZMQ::EVENTS) & ZMQ::POLLIN != 0
    end
  end
end
