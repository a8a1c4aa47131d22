# frozen_string_literal: true

require "fileutils"
require "io/wait"
require "json"
require "tmpdir"

require_relative "../configuration"
require_relative "../errors"

module Stepwright
  module Testing
    # One +stepwright dev+ process.
    class Host
      # How long it may take to begin, and to end, in seconds. On an idle machine it takes a quarter of one.
      PATIENCE = 30
      # Lines of its log that an error shows.
      LOG_LINES = 20

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

      # @api private
      def self.of_path
        ENV.fetch("PATH", "").split(File::PATH_SEPARATOR).map { |folder| File.join(folder, "stepwright") }
           .find { |path| File.file?(path) && File.executable?(path) }
      end

      # @return [String] where its data is, until it is stopped
      attr_reader :folder
      # @return [String, nil] the API's address, once it serves
      attr_reader :url
      # @return [Float, nil] seconds that it took to begin
      attr_reader :started_in
      # @return [Integer, nil] the process
      attr_reader :pid

      # @param binary [String]
      # @param arguments [Array<String>] more of them, such as +["--slots", "8"]+
      # @param environment [Hash{String => String}] variables
      def initialize(binary: Host.binary, arguments: [], environment: {})
        @binary = binary
        @arguments = arguments
        # Our own variables are no settings of the host's.
        @environment = Configuration::OWN_VARIABLES.to_h { |name| [name, nil] }.merge(environment)
      end

      # Returns once it serves.
      #
      # @return [self]
      # @raise [Unavailable] with the end of its log
      def start
        raise Error, "it runs already" if pid

        began = now
        @folder = Dir.mktmpdir("stepwright-test")
        reader, writer = IO.pipe
        @pid = Process.spawn(@environment, *command, out: writer, err: log_file)
        writer.close
        @url = address(reader)
        @started_in = now - began
        self
      rescue StandardError
        stop
        raise
      ensure
        reader&.close
      end

      # @return [Boolean]
      def running? = !pid.nil? && Process.wait(pid, Process::WNOHANG).nil?

      # Ends it, and removes its data.
      #
      # @return [void]
      def stop
        end_process if pid
        FileUtils.remove_entry(folder) if folder && File.exist?(folder)
        @pid = @folder = @url = nil
      end

      # @return [String] what it logged
      def log = folder && File.exist?(log_file) ? File.read(log_file) : ""

      private

      def command
        [@binary, "dev", "--json", "--data-dir", File.join(folder, "data"), "--run-dir", File.join(folder, "run"),
         "--set", "api.listen=127.0.0.1:0", *@arguments]
      end

      def log_file = File.join(folder, "log")

      # The ready line says it; before it, and without it, something else is wrong.
      def address(reader)
        line = reader.gets if reader.wait_readable(PATIENCE)
        raise Unavailable, "#{@binary} did not start#{last_lines}" unless line

        JSON.parse(line)["api"] || raise(Unavailable, "#{@binary} serves no API: it is older than this gem")
      rescue JSON::ParserError
        raise Unavailable, "#{@binary} is no stepwright: it said #{line[0, 80].inspect}"
      end

      def last_lines
        lines = log.lines.last(LOG_LINES)
        lines.empty? ? "" : ":\n#{lines.join}"
      end

      # First kindly: it finishes what it holds.
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
end
