# frozen_string_literal: true

Gem::Specification.new do |spec|
  spec.name = "stepwright"
  spec.version = File.read(File.expand_path("lib/stepwright/version.rb", __dir__))[/VERSION = "(.+)"/, 1]
  spec.summary = "Client, worker and Rails integration for Stepwright"
  spec.description = "Starts and follows workflows whose steps are sandboxed WebAssembly components, and runs steps written in Ruby. " \
                     "Pure Ruby; the client needs the standard library only."
  spec.authors = ["The Stepwright authors"]
  spec.licenses = %w[MIT Apache-2.0]
  spec.required_ruby_version = ">= 3.0"
  spec.homepage = "https://github.com/stepwright/stepwright"
  spec.metadata = { "rubygems_mfa_required" => "true", "source_code_uri" => "#{spec.homepage}/tree/main/ruby",
                    "changelog_uri" => "#{spec.homepage}/blob/main/CHANGELOG.md",
                    "documentation_uri" => "#{spec.homepage}/blob/main/docs/guides/ruby.md" }
  spec.files = Dir.chdir(__dir__) do
    Dir["{examples,exe,lib,sig}/**/*", "README.md", ".yardopts", "LICENSE-*"].select { |path| File.file?(path) }
  end
  spec.bindir = "exe"
  spec.executables = ["stepwright-ruby"]
  spec.require_paths = ["lib"]
end
