# frozen_string_literal: true

# Built by `rake build`, which puts the program into libexec/ first; STEPWRIGHT_GEM_PLATFORM names another machine's platform.
Gem::Specification.new do |spec|
  local = Gem::Platform.local
  spec.name = "stepwright-host"
  spec.version = File.read(File.expand_path("lib/stepwright/host.rb", __dir__))[/VERSION = "(.+)"/, 1]
  spec.summary = "The program stepwright, for one platform"
  spec.description = "Carries the Stepwright host, so that adding it to a Gemfile is the whole installation."
  spec.authors = ["The Stepwright authors"]
  spec.licenses = %w[MIT Apache-2.0]
  spec.platform = ENV["STEPWRIGHT_GEM_PLATFORM"] || [local.cpu, local.os].join("-")
  spec.required_ruby_version = ">= 3.0"
  spec.homepage = "https://github.com/stepwright/stepwright"
  spec.metadata = { "rubygems_mfa_required" => "true", "source_code_uri" => spec.homepage,
                    "changelog_uri" => "#{spec.homepage}/blob/main/CHANGELOG.md" }
  spec.files = Dir.chdir(__dir__) { Dir["{exe,lib,libexec}/**/*", "LICENSE-*"].select { |path| File.file?(path) } }
  spec.bindir = "exe"
  spec.executables = ["stepwright"]
  spec.require_paths = ["lib"]
end
