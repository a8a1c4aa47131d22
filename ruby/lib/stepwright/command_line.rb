# frozen_string_literal: true

require "json"
require "optparse"

require_relative "../stepwright"

module Stepwright
  # +stepwright-ruby+: a worker for steps in Ruby until a signal comes.
  class CommandLine
    # How it is used.
    BANNER = <<~TEXT
      Runs the steps of Stepwright that are written in Ruby.

      Usage: stepwright-ruby work [options]        take steps and run them, until SIGTERM
             stepwright-ruby handlers [options]    list the handlers

      Settings come from config/stepwright.yml, then STEPWRIGHT_* variables, then these options:
    TEXT
    # What it can do.
    VERBS = %w[work handlers].freeze
    # Options that are settings of the worker.
    SETTINGS = {
      name: ["--name NAME", "The worker's name, for people"],
      slots: ["--slots N", "Steps that run at once"],
      token_file: ["--token-file FILE", "The token for a gate, in a file of mode 0600"],
      tls_ca: ["--tls-ca FILE", "The certificates that may have signed a gate's"],
      tls_certificate: ["--tls-certificate FILE", "A certificate of the worker's own"],
      tls_key: ["--tls-key FILE", "Its private key"],
      drain: ["--drain SECONDS", "How long steps may go on after SIGTERM"]
    }.freeze

    # @param arguments [Array<String>]
    # @param out [IO] for data
    # @param err [IO] for everything else
    def initialize(arguments, out: $stdout, err: $stderr)
      @arguments = arguments.dup
      @out = out
      @err = err
      @settings = {}
      @requires = []
      @orchestrators = []
      @labels = {}
      @file = Configuration::FILE
    end

    # @return [Integer] the exit code
    def run
      verb = read_arguments
      return 0 if verb.nil?

      load_code
      verb == "work" ? work : list
    rescue Error, OptionParser::ParseError, LoadError => e
      @err.puts "stepwright-ruby: #{e.message}"
      1
    end

    private

    def parser
      @parser ||= OptionParser.new do |options|
        options.banner = BANNER
        options.on("--require PATH", "A file with handlers, or a folder of them; may be given several times") { |path| @requires << path }
        options.on("--rails [DIR]", "A Rails application, with its handlers in app/steps") { |dir| @rails = dir || "." }
        options.on("--orchestrator PLACE", "A socket's path, tls://host:port or tcp://host:port; the first that answers is worked for") do |place|
          @orchestrators << place
        end
        SETTINGS.each { |name, (flag, text)| options.on(flag, text) { |value| @settings[name] = value } }
        options.on("--label NAME=VALUE", "A label, for people") { |label| @labels.store(*label.split("=", 2)) }
        options.on("--config FILE", "The configuration file [default: #{Configuration::FILE}]") { |file| @file = file }
        options.on("--environment NAME", "Which part of it applies") { |name| @environment = Environment.new(name) }
        options.on("--log-level LEVEL", %w[debug info warn error], "What is logged to stderr [default: info]") { |level| @level = level }
        options.on("--json", "Print JSON") { @json = true }
        options.on("--version", "Print version") { @shown = "stepwright-ruby #{VERSION}" }
        options.on("-h", "--help", "Print help") { @shown = options.help }
      end
    end

    # The verb; nil if all there was to do was to show something.
    def read_arguments
      rest = parser.parse(@arguments)
      @shown ||= parser.help if rest.empty?
      return @out.puts(@shown) if @shown
      return rest.first if rest.size == 1 && VERBS.include?(rest.first)

      raise OptionParser::InvalidArgument, "#{rest.join(" ")}: expected one of #{VERBS.join(", ")}"
    end

    # The application first, since it configures; then this command's settings, which stand above all.
    def load_code
      if @rails
        # This command was loaded before Rails, and so without what belongs to it.
        require "rails"
        require_relative "railtie"
        require File.expand_path("config/environment", @rails)
      else
        Stepwright.configuration = Configuration.load(environment: @environment || Environment.detect, file: checked(@file))
      end
      Stepwright.configure { |configuration| apply(configuration) }
      (Stepwright.configuration.worker.require + @requires).each { |path| load_handlers(path) }
      Railtie.load_steps if @rails
    end

    def checked(file)
      return file if File.file?(file) || file == Configuration::FILE

      raise ConfigurationError, "--config: there is no file '#{file}'"
    end

    def apply(configuration)
      settings = @settings.dup
      settings[:orchestrators] = @orchestrators unless @orchestrators.empty?
      settings[:labels] = configuration.worker.labels.merge(@labels) unless @labels.empty?
      configuration.worker.merge!(settings, origin: "options")
      configuration.logger = Logger.new(@err, level: @level || :info, progname: "stepwright") unless @rails && @level.nil?
    end

    def load_handlers(path)
      files = File.directory?(path) ? Dir[File.join(path, "**/*.rb")].sort : [path]
      raise ConfigurationError, "--require: there is no Ruby file in '#{path}'" if files.empty?

      files.each { |file| require File.expand_path(file) }
    end

    def list
      handlers = Stepwright.handlers.names
      @out.puts(@json ? JSON.generate({ handlers: handlers }) : handlers)
      0
    end

    def work
      require "stepwright/worker"
      worker = Worker.new
      # The second one ends at once.
      %w[TERM INT].each { |signal| Signal.trap(signal) { worker.stop } }
      ready(worker)
      finish(worker.run)
    end

    def ready(worker)
      handlers = Stepwright.handlers.names
      if @json
        @out.puts JSON.generate({ ready: "worker", name: worker.name, slots: worker.slots, handlers: handlers })
      else
        @out.puts "worker ready: #{worker.name} with #{worker.slots} slots for #{handlers.join(", ")}"
      end
      @out.flush
    end

    def finish(ending)
      Stepwright.logger&.info("worker stopped, since #{ending.reason}: #{ending.steps_ended} steps, #{ending.steps_given_up} given up")
      ending.aborted ? 1 : 0
    end
  end
end
