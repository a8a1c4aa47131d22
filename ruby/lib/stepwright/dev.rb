# frozen_string_literal: true

require "fileutils"
require "io/wait"
require "json"
require "tmpdir"

require_relative "../stepwright"

module Stepwright
  # One +stepwright dev+ process, on a free port and in a temporary folder: for a script, a console, or a test suite.
  #
  #   Stepwright::Dev.start(plugins: ["shop.wasm"], templates: ["order.yaml"])
  #   Stepwright.run(template: "shop/order", context: { order_id: 1 }) { |event| puts event }
  class Dev
    # How long it may take to begin, and to end, in seconds. On an idle machine it takes a quarter of one.
    PATIENCE = 30
    # Lines of its log that an error shows.
    LOG_LINES = 20

    # Starts one that {Stepwright} talks to from now on, and that ends with the block, or else with this process.
    #
    # @param plugins [Array<String>] components' files, registered in this order
    # @param templates [Array<String>] templates' files, or their texts
    # @param handlers [Handlers, nil] whose steps run in this process, as {#work} does it
    # @param options [Hash] see {#initialize}
    # @yieldparam dev [Dev]
    # @return [Dev, Object] the latter is what the block returned
    def self.start(plugins: [], templates: [], handlers: Stepwright.handlers, **options)
      dev = new(**options).start
      dev.send(:stop_at_exit)
      dev.attach
      dev.register(plugins: plugins, templates: templates)
      load_steps(handlers)
      dev.work(handlers) if handlers&.names&.any?
      block_given? ? yield(dev) : dev
    rescue StandardError
      dev&.stop
      raise
    ensure
      dev&.stop if block_given?
    end

    # The program, wherever it is: +STEPWRIGHT_BINARY+, the gem +stepwright-host+, or the path.
    #
    # @return [String]
    # @raise [ConfigurationError]
    def self.binary
      ENV["STEPWRIGHT_BINARY"] || of_gem || of_path ||
        raise(ConfigurationError, "there is no stepwright: add gem \"stepwright-host\", put it on the PATH, or set STEPWRIGHT_BINARY")
    end

    # @api private
    def self.of_gem
      require "stepwright/host"
      Stepwright::Host.binary
    rescue LoadError
      nil
    end

    # In a Rails application nothing may have named the handlers yet.
    #
    # @api private
    def self.load_steps(handlers)
      Railtie.load_steps if handlers.equal?(Stepwright.handlers) && defined?(Railtie) && ::Rails.application&.initialized?
    end

    # @api private
    def self.of_path
      ENV.fetch("PATH", "").split(File::PATH_SEPARATOR).map { |folder| File.join(folder, "stepwright") }
         .find { |path| File.file?(path) && File.executable?(path) }
    end

    # @return [String] where its data is, until it is stopped
    attr_reader :folder
    # @return [String, nil] the API's address, once it serves
    attr_reader :url
    # @return [String, nil] where workers come to, once it serves
    attr_reader :socket
    # @return [Float, nil] seconds that it took to begin
    attr_reader :started_in
    # @return [Integer, nil] the process
    attr_reader :pid

    # @param binary [String]
    # @param arguments [Array<String>] more of them, such as +["--slots", "8"]+
    # @param environment [Hash{String => String}] variables
    def initialize(binary: Dev.binary, arguments: [], environment: {})
      @binary = binary
      @arguments = arguments
      # Our own variables are no settings of the host's.
      @environment = Configuration::OWN_VARIABLES.to_h { |name| [name, nil] }.merge(environment)
      @workers = {}
    end

    # Returns once it serves.
    #
    # @return [self]
    # @raise [Unavailable] with the end of its log
    def start
      raise Error, "it runs already" if pid

      began = now
      # A socket's path may have no more than some hundred characters.
      @folder = Dir.mktmpdir("sw")
      reader, writer = IO.pipe
      @pid = Process.spawn(@environment, *command, out: writer, err: log_file)
      writer.close
      serving(reader)
      @started_in = now - began
      self
    rescue Exception # also an interrupt must not leave it behind
      stop
      raise
    ensure
      reader&.close
    end

    # Points {Stepwright.configuration} at it.
    #
    # @return [void]
    def attach
      Stepwright.configure do |configuration|
        configuration.url = url
        configuration.token = configuration.token_file = nil
        configuration.worker.orchestrators = [socket] if socket
      end
    end

    # Registers files with {Stepwright}.
    #
    # @param plugins [Array<String>] components' files, in this order
    # @param templates [Array<String>] templates' files, or their texts
    # @return [void]
    def register(plugins: [], templates: [])
      plugins.each { |file| Stepwright.register_plugin(File.binread(file)) }
      templates.each { |template| Stepwright.register_template(template.include?("\n") ? template : File.read(template)) }
    end

    # Runs the steps of handlers in this process, on threads of its own, until it is stopped. Needs the gem +ffi-rzmq+.
    #
    # @param handlers [Handlers]
    # @param settings [Hash] of the worker, such as +slots: 2+
    # @return [Worker]
    # @raise [ConfigurationError]
    def work(handlers = Stepwright.handlers, **settings)
      raise Unavailable, "#{@binary} takes no workers: it is older than this gem" unless socket

      require_relative "worker"
      Dev.load_steps(handlers)
      configuration = Stepwright.configuration.dup
      configuration.worker.merge!({ orchestrators: [socket], **settings })
      worker = Worker.new(configuration: configuration, handlers: handlers)
      @workers[worker] = Thread.new { worker.run }
      worker
    end

    # @return [Boolean]
    def running?
      !pid.nil? && Process.wait(pid, Process::WNOHANG).nil?
    rescue Errno::ECHILD
      false # it was waited for already
    end

    # Ends it with its workers, and removes its data.
    #
    # @return [void]
    # @raise [Error] what ended a worker before, unless something else is being raised
    def stop
      underway = $!
      error = end_workers
    ensure
      end_process if running?
      FileUtils.remove_entry(folder) if folder && File.exist?(folder)
      @pid = @folder = @url = @socket = nil
      raise error if error && underway.nil?
    end

    # @return [String] what it logged
    def log = folder && File.exist?(log_file) ? File.read(log_file) : ""

    private

    def command
      [@binary, "dev", "--json", "--data-dir", File.join(folder, "data"), "--run-dir", File.join(folder, "run"),
       "--set", "api.listen=127.0.0.1:0", *@arguments]
    end

    def log_file = File.join(folder, "log")

    # The ready line says where; before it, and without it, something else is wrong.
    def serving(reader)
      line = reader.gets if reader.wait_readable(PATIENCE)
      raise Unavailable, "#{@binary} did not start#{last_lines}" unless line

      ready = JSON.parse(line)
      @url = ready["api"] || raise(Unavailable, "#{@binary} serves no API: it is older than this gem")
      @socket = ready["socket"]&.delete_prefix("ipc://")
    rescue JSON::ParserError
      raise Unavailable, "#{@binary} is no stepwright: it said #{line[0, 80].inspect}"
    end

    def last_lines
      lines = log.lines.last(LOG_LINES)
      lines.empty? ? "" : ":\n#{lines.join}"
    end

    # A forked child has the host's number, and no right to end it.
    def stop_at_exit
      owner = Process.pid
      at_exit { stop if Process.pid == owner }
    end

    # First kindly: each finishes what it holds. Returns what one of them had ended with.
    def end_workers
      @workers.each_key(&:stop)
      deadline = now + PATIENCE
      @workers.map { |worker, thread| end_worker(worker, thread, deadline) }.compact.first
    ensure
      @workers.clear
    end

    def end_worker(worker, thread, deadline)
      worker.stop unless thread.join([deadline - now, 0].max)
      thread.join
      nil
    rescue StandardError => e
      e
    end

    # As kindly.
    def end_process
      Process.kill("TERM", pid)
      deadline = now + PATIENCE
      until Process.wait(pid, Process::WNOHANG)
        return kill if now > deadline

        sleep(0.01)
      end
    rescue Errno::ESRCH, Errno::ECHILD
      nil # it has ended already
    end

    def kill
      Process.kill("KILL", pid)
      Process.wait(pid)
    end

    def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end
end
