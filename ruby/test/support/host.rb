# frozen_string_literal: true

require "io/wait"
require "json"
require "open3"
require "tmpdir"

module Support
  # Skips a test that needs what is not built; with REQUIRE_HOST set it fails instead.
  module Needs
    def need_host = need(RealHost.binary, "the host is not built; set STEPWRIGHT_BINARY")

    def need_shapes = need(RealHost::SHAPES, "the plugin shapes is not built; set SHAPES_WASM")

    def need(there, message)
      return if there

      ENV["REQUIRE_HOST"] ? flunk(message) : skip(message)
    end
  end

  # The real host, where it has been built; tests that need it are skipped without it.
  class RealHost
    # Where it is looked for.
    PLACES = [ENV["STEPWRIGHT_BINARY"], *%w[debug release].map { |profile| File.join(ROOT, "target", profile, "stepwright") }].freeze
    # The plugin of config/templates, where it has been built.
    SHAPES = [ENV["SHAPES_WASM"], File.join(ROOT, "plugins/target/wasm32-wasip2/release/shapes.wasm")].compact
                                                                                                   .find { |path| File.file?(path) }
    # Variables of ours that hosts before this gem do not know.
    ENVIRONMENT = Stepwright::Configuration::OWN_VARIABLES.to_h { |name| [name, nil] }.freeze
    # How long anything is waited for, in seconds.
    PATIENCE = 300

    attr_reader :folder

    def self.binary = PLACES.compact.find { |path| File.executable?(path) }

    def initialize
      @folder = Dir.mktmpdir("sw")
      @processes = []
    end

    # Starts a role and returns its ready line.
    def start(*arguments)
      @out, writer = IO.pipe
      @processes << Process.spawn(ENVIRONMENT, *command(*arguments), out: writer, err: File.join(folder, "log"))
      writer.close
      line = @out.wait_readable(PATIENCE) && @out.gets
      line ? JSON.parse(line) : raise("the host did not start: #{log}")
    end

    def run(*arguments)
      out, err, status = Open3.capture3(ENVIRONMENT, *command(*arguments))
      raise "#{arguments.join(" ")}: #{err}" unless [0, 2].include?(status.exitstatus)

      JSON.parse(out)
    end

    def command(*arguments)
      [self.class.binary, *arguments, "--json", "--data-dir", folder, "--run-dir", File.join(folder, "run")]
    end

    def log = File.read(File.join(folder, "log"))

    # Waits until the block has a value.
    def until(what)
      deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + PATIENCE
      loop do
        value = yield
        return value if value
        raise "#{what} did not come: #{log}" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline

        IO.select(nil, nil, nil, 0.05)
      end
    end

    def stop(signal = "TERM")
      @processes.each { |pid| Process.kill(signal, pid) }
      @processes.each { |pid| Process.wait(pid) }
      @processes.clear
    end

    def remove
      stop("KILL")
      FileUtils.remove_entry(folder)
    end
  end
end
