# frozen_string_literal: true

require_relative "support/setup"
require_relative "../packaging"
require "open3"
require "tmpdir"

# The gems as they are installed.
class PackagingTest < Minitest::Test
  def test_both_gems_are_built_installed_and_used
    Dir.mktmpdir(["gems of ", ""]) do |folder|
      program = File.join(folder, "program")
      File.write(program, "#!/bin/sh\necho \"host $1\"\n", perm: 0o755)
      gems = quietly { Packaging.build(into: folder, binary: program) }
      assert_equal ["stepwright-0.1.0.gem", "stepwright-host-0.1.0-#{Gem::Platform.local.cpu}-#{Gem::Platform.local.os}.gem"], gems.map { |gem| File.basename(gem) }
      files = Gem::Package.new(gems.first).contents
      %w[LICENSE-MIT README.md .yardopts exe/stepwright-ruby lib/stepwright.rb lib/generators/stepwright/install/templates/stepwright.yml.tt sig/stepwright.rbs].each { |file| assert_includes files, file }
      assert_links files
      gems.each { |gem| assert_addresses Gem::Package.new(gem).spec }
      assert_empty files.grep(/test/).grep_v(/testing/)
      home = File.join(folder, "home")
      execute("gem", "install", "--local", "--no-document", "--install-dir", home, *gems)
      variables = { "GEM_HOME" => home, "GEM_PATH" => home, "STEPWRIGHT_BINARY" => nil }
      assert_equal "host hello\n", execute(variables, File.join(home, "bin/stepwright"), "hello")
      assert_equal "host \n", execute(variables, File.join(home, "bin/stepwright")), "no shell takes the path apart"
      assert_equal "stepwright-ruby 0.1.0\n", execute(variables, File.join(home, "bin/stepwright-ruby"), "--version")
      assert_equal "true\n", execute(variables, RbConfig.ruby, "-rstepwright/dev", "-e", "puts Stepwright::Dev.binary.start_with?(ENV['GEM_HOME'])")
    end
  end

  # In the gem there is nothing beside the gem.
  def assert_links(files)
    links = File.read(File.expand_path("../README.md", __dir__)).scan(/\]\(([^)#]+)/).flatten
    inside, outside = links.partition { |link| !link.include?("://") }
    assert_empty inside - files
    outside.filter_map { |link| link[%r{\Ahttps://github.com/stepwright/stepwright/blob/main/(.*)}, 1] }.each { |path| assert_path_exists File.join(Support::ROOT, path) }
    assert_includes inside, "examples/order.rb"
  end

  def assert_addresses(spec)
    addresses = [spec.homepage, *spec.metadata.values_at("source_code_uri", "changelog_uri")]
    addresses.each { |address| assert_match(%r{\Ahttps://github.com/stepwright/stepwright}, address) }
    assert_path_exists File.join(Support::ROOT, addresses.last[%r{/blob/main/(.*)}, 1])
  end

  def test_a_program_that_is_none_is_refused
    Dir.mktmpdir do |folder|
      assert_raises(ArgumentError) { quietly { Packaging.build(into: folder, binary: "/none") } }
    end
  end

  def test_both_gems_have_one_version
    assert_includes File.read(File.expand_path("../host/lib/stepwright/host.rb", __dir__)), "VERSION = \"#{Stepwright::VERSION}\""
  end

  def execute(*command)
    out, err, status = Open3.capture3(*command)
    assert_predicate status, :success?, err
    out
  end

  def quietly
    Gem::DefaultUserInteraction.use_ui(Gem::SilentUI.new) { yield }
  end
end
