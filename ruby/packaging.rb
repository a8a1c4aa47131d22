# frozen_string_literal: true

require "fileutils"
require "rubygems/package"

# Builds the gems, each from a folder with exactly what belongs to it.
module Packaging
  ROOT = __dir__
  LICENSES = Dir[File.expand_path("../LICENSE-*", ROOT)].freeze
  # What each gem is made of.
  PARTS = { "stepwright" => %w[examples exe lib sig README.md .yardopts], "stepwright-host" => %w[exe lib] }.freeze

  module_function

  # @param into [String] the folder for the .gem files
  # @param binary [String, nil] the program for stepwright-host; without one that gem is not built
  # @return [Array<String>] the files
  def build(into:, binary: nil)
    files = [pack("stepwright", ROOT, into)]
    return files unless binary
    raise ArgumentError, "'#{binary}' is no program" unless File.executable?(binary) && File.file?(binary)

    files << pack("stepwright-host", File.join(ROOT, "host"), into) do |stage|
      FileUtils.mkdir_p(File.join(stage, "libexec"))
      FileUtils.install(binary, File.join(stage, "libexec/stepwright"), mode: 0o755)
    end
  end

  # @api private
  def pack(name, source, into)
    stage = File.join(into, "stage", name)
    FileUtils.rm_rf(stage)
    FileUtils.mkdir_p(stage)
    PARTS.fetch(name).each { |part| FileUtils.cp_r(File.join(source, part), stage) }
    FileUtils.cp([File.join(source, "#{name}.gemspec"), *LICENSES], stage)
    yield stage if block_given?
    spec = Gem::Specification.load(File.join(stage, "#{name}.gemspec"))
    Dir.chdir(stage) { FileUtils.mv(Gem::Package.build(spec), into) }
    File.join(into, File.basename(spec.cache_file))
  ensure
    FileUtils.rm_rf(File.join(into, "stage"))
  end
end
