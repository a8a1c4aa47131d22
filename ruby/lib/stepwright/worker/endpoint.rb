# frozen_string_literal: true

require_relative "../errors"

module Stepwright
  class Worker
    # Where an orchestrator is reached: a socket on this machine, or a gate.
    #
    # @api private
    class Endpoint
      # @return [String, nil] the socket's path
      attr_reader :path
      # @return [String, nil] the gate's host
      attr_reader :host
      # @return [Integer, nil] the gate's port
      attr_reader :port
      # @return [Integer] which pump behind the gate, from 1
      attr_reader :pump

      # @param text [String] a path, +ipc://path+, +tls://host:port+ or +tcp://host:port+, the latter two with +/N+ for the N-th pump
      # @return [Endpoint]
      # @raise [ConfigurationError]
      def self.parse(text)
        scheme, rest = text.include?("://") ? text.split("://", 2) : ["", text]
        return new(path: rest) if ["", "ipc"].include?(scheme) && rest.include?("/")

        gate = rest.match(%r{\A(?<host>\[[^\]]+\]|[^:/]+):(?<port>\d{1,5})(?:/(?<pump>[1-9]\d*))?\z})
        raise ConfigurationError, refusal(text) unless gate && ["", "tcp", "tls"].include?(scheme)

        port = gate[:port].to_i
        raise ConfigurationError, refusal(text) unless port.between?(1, 65_535)

        new(host: gate[:host].delete("[]"), port: port, tls: scheme == "tls", pump: (gate[:pump] || 1).to_i)
      end

      # @api private
      def self.refusal(text)
        "orchestrators: '#{text}' leads nowhere; expected the path of a socket, tls://host:port or tcp://host:port"
      end

      # @param path [String, nil]
      # @param host [String, nil]
      # @param port [Integer, nil]
      # @param tls [Boolean]
      # @param pump [Integer]
      def initialize(path: nil, host: nil, port: nil, tls: false, pump: 1)
        @path = path
        @host = host
        @port = port
        @tls = tls
        @pump = pump
        freeze
      end

      # @return [Boolean]
      def gate? = path.nil?

      # @return [Boolean]
      def tls? = @tls

      # @return [String]
      def to_s
        return path unless gate?

        "#{tls? ? "tls" : "tcp"}://#{host.include?(":") ? "[#{host}]" : host}:#{port}#{"/#{pump}" if pump > 1}"
      end
    end
  end
end
