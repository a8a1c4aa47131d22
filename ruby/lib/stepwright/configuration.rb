# frozen_string_literal: true

require "logger"
require "uri"

require_relative "configuration_file"
require_relative "environment"
require_relative "settings"

module Stepwright
  # How a worker in Ruby finds its orchestrator, and how much it takes.
  class WorkerSettings < Settings
    # The orchestrators, as a socket's path, +tls://host:port+ or +tcp://host:port+: the first one that answers is worked for.
    setting :orchestrators, :texts, ["stepwright-data/run/orchestrator.sock"].freeze
    # The worker's name, for people. Default: the machine's name.
    setting :name, :text
    # Steps that run at once, each on a thread of its own.
    setting :slots, :count, 5
    # Steps held, running ones included. Default: 8 for each slot, which keeps the slots busy while an outcome travels.
    setting :credit, :count
    # Payload bytes held. Default: 64 MiB.
    setting :credit_bytes, :count, 64 << 20
    # Labels for people.
    setting :labels, :labels, {}.freeze
    # The file with the token for a gate, of mode 0600.
    setting :token_file, :text
    # The certificates that may have signed a gate's, in PEM. Default: the system's.
    setting :tls_ca, :text
    # A certificate of the worker's own, in PEM.
    setting :tls_certificate, :text
    # Its private key, in PEM.
    setting :tls_key, :text
    # How long running and queued steps may go on after SIGTERM.
    setting :drain, :seconds, 20.0
    # Ruby files, or folders of them, with step handlers.
    setting :require, :texts, [].freeze
    # Called as +around.call(task, step) { … }+ around each attempt: connections, reloading, tags.
    setting :around, :any
  end

  # How the host is reached. Settings come from +config/stepwright.yml+, then variables, then {Stepwright.configure}.
  class Configuration < Settings
    # Variables that stand above the file.
    VARIABLES = {
      "STEPWRIGHT_URL" => :url, "STEPWRIGHT_TOKEN_FILE" => :token_file, "STEPWRIGHT_TOKEN" => :token
    }.freeze
    # Every variable that is this gem's, and none of the host's settings.
    OWN_VARIABLES = [*VARIABLES.keys, "STEPWRIGHT_ENV", "STEPWRIGHT_BINARY"].freeze
    # Where the file is, unless told otherwise.
    FILE = "config/stepwright.yml"
    # Two ways to the same: the one that was assigned last counts.
    INSTEAD = { token: :token_file, token_file: :token }.freeze
    private_constant :INSTEAD

    # Where the host's API is.
    setting :url, :text, "http://127.0.0.1:7780"
    # The token. Assigning it takes back {#token_file}.
    setting :token, :text
    # The file that holds the token, read anew for each call. Assigning it takes back {#token}.
    setting :token_file, :text
    # The namespace of templates that are named without one.
    setting :namespace, :text
    # Who does what operators do. Default: the token's name.
    setting :by, :text
    # How long to wait for a connection.
    setting :open_timeout, :seconds, 5.0
    # How long to wait for an answer, beyond what was asked to be waited for.
    setting :read_timeout, :seconds, 30.0
    # Tries after the first, of calls that may safely be made twice.
    setting :retries, :count, 3
    # The first pause between tries.
    setting :retry_base, :seconds, 0.1
    # The longest pause between tries.
    setting :retry_cap, :seconds, 5.0
    # The longest Retry-After that is waited for rather than raised.
    setting :retry_after_cap, :seconds, 30.0
    # Connections at once. A web server has one for each thread.
    setting :pool_size, :count, 5
    # How long to wait for one of them.
    setting :pool_timeout, :seconds, 5.0
    # How long a connection may be idle and still be used.
    setting :keep_alive, :seconds, 30.0
    # The largest answer, in bytes.
    setting :answer_bytes_max, :count, 64 << 20
    # The certificates that may have signed the host's, in PEM. Default: the system's.
    setting :tls_ca, :text
    # Where to log.
    setting :logger, :any

    # @return [WorkerSettings]
    attr_reader :worker
    # @return [Environment]
    attr_reader :environment

    # @param environment [Environment]
    # @param file [String, nil] the YAML file; +nil+ for none
    # @param variables [#[]] usually +ENV+
    # @return [Configuration] as file and variables say
    def self.load(environment: Environment.detect, file: FILE, variables: ENV)
      configuration = new(environment: environment)
      configuration.read(file) if file && File.file?(file)
      VARIABLES.each do |variable, name|
        value = variables[variable]
        configuration.merge!({ name => value }, origin: variable) if value && !value.empty?
      end
      configuration
    end

    # @param environment [Environment]
    def initialize(environment: Environment.detect)
      super()
      @environment = environment
      @worker = WorkerSettings.new
      self.logger = Logger.new($stderr, level: Logger::WARN, progname: "stepwright")
    end

    # @api private
    def initialize_copy(other)
      super
      @worker = @worker.dup
    end

    # Takes the settings of a YAML file for this environment.
    #
    # @param file [String]
    # @return [self]
    # @raise [ConfigurationError]
    def read(file)
      merge!(ConfigurationFile.new(file).settings(environment), origin: file)
    end

    # Takes settings by name, as from a file; those of the worker under +worker+.
    #
    # @param (see Settings#merge!)
    # @return (see Settings#merge!)
    # @raise [ConfigurationError]
    def merge!(values, origin: "settings")
      values = values.to_h { |name, value| [name.to_s, value] }
      worker = values.delete("worker")
      raise ConfigurationError, "#{origin}: worker: expected a map of settings" unless worker.nil? || worker.is_a?(Hash)

      @worker.merge!(worker || {}, origin: "#{origin}: worker")
      super(values, origin: origin)
    end

    # @return [URI::HTTP]
    # @raise [ConfigurationError]
    def uri
      uri = URI.parse(url.to_s)
      return uri if uri.is_a?(URI::HTTP) && uri.host && ["", "/"].include?(uri.path)

      raise ConfigurationError, "url: '#{url}' is not the address of a host; expected http://host:port or https://host:port"
    rescue URI::InvalidURIError
      raise ConfigurationError, "url: '#{url}' is not an address; expected http://host:port or https://host:port"
    end

    # @return [String, nil] the token, from wherever it is
    # @raise [ConfigurationError]
    def secret
      return token if token

      File.read(token_file).strip if token_file
    rescue SystemCallError => e
      raise ConfigurationError, "token_file: failed to read '#{token_file}': #{e.message}"
    end

    # Never prints the token.
    #
    # @return [String]
    def inspect = "#<#{self.class} #{url} environment=#{environment}>"

    private

    def assign(name, value, origin: nil)
      super
      @values[INSTEAD[name]] = nil if INSTEAD.key?(name) && !blank?(value)
    end
  end
end
