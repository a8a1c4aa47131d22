# frozen_string_literal: true

require_relative "support/setup"
require_relative "support/host"
require "open3"
require "tmpdir"

# A Rails application of its own, in a process of its own.
class RailsTest < Minitest::Test
  parallelize_me! # each has processes and folders of its own

  APPLICATION = <<~'RUBY'
    require "rails"
    require "stepwright"
    module Shop
      class Application < Rails::Application
        config.root = __dir__ + "/.."
        config.eager_load = false
        config.logger = ActiveSupport::TaggedLogging.new(Logger.new(config.root.join("log.txt")))
        config.load_defaults 6.1
      end
    end
  RUBY

  def setup
    skip "Rails is not here: apt-get install ruby-railties" unless Gem::Specification.find_all_by_name("railties").any?
    @root = Dir.mktmpdir
    write("config/application.rb", APPLICATION)
    write("config/environment.rb", "require_relative 'application'\nRails.application.initialize!\n")
  end

  def teardown
    FileUtils.remove_entry(@root) if @root
  end

  def write(name, text)
    file = File.join(@root, name)
    FileUtils.mkdir_p(File.dirname(file))
    File.write(file, text)
  end

  LIB = File.expand_path("../lib", __dir__)
  EXE = File.expand_path("../exe/stepwright-ruby", __dir__)
  FAKE = File.expand_path("support/bin/fake_host", __dir__)

  def start(script, environment, variables)
    variables = { "RAILS_ENV" => environment, "RUBYOPT" => "-W0", "STEPWRIGHT_URL" => nil }.merge(variables)
    Open3.capture3(variables, RbConfig.ruby, "-I#{LIB}", "-e", script, chdir: @root)
  end

  def ruby(script, environment = "production", **variables)
    out, err, status = start(script, environment, variables.transform_keys(&:to_s))
    assert_predicate status, :success?, err
    out
  end

  def handlers(*arguments) = "ARGV.replace(%w[handlers --rails #{arguments.join(" ")}]); load #{EXE.inspect}"

  def test_an_application_from_the_generator_to_a_step
    generated = ruby(<<~RUBY)
      require "./config/environment"
      require "rails/generators"
      Rails.application.load_generators
      Rails::Generators.invoke("stepwright:install", [], behavior: :invoke, destination_root: Dir.pwd)
    RUBY
    assert_match(%r{create.*config/stepwright.yml}, generated)
    assert_equal %w[app/steps/application_step.rb config/initializers/stepwright.rb config/stepwright.yml], Dir.chdir(@root) { Dir["{app,config}/**/*stepwright*", "app/**/*.rb"].select { |path| File.file?(path) }.sort.uniq }
    write("app/steps/payments/charge_card.rb", <<~RUBY)
      module Payments
        class ChargeCard < ApplicationStep
          def call(task, _, _)
            Rails.logger.info("charging")
            { "charged" => task["order_id"] }
          end
        end
      end
    RUBY
    out = ruby(<<~RUBY)
      require "./config/environment"
      require "stepwright/worker"
      configuration = Stepwright.configuration
      before = Stepwright.handlers.names
      Stepwright::Railtie.load_steps
      step = Stepwright::Wire::StepTask.new(
        task: 42, step: 2752512, attempt: 1, name: "charge", handler: "charge_card", plugin: Stepwright::Wire::Fingerprint.of("x"),
        retry_limit: 3, idempotency_key: "k", timeout_ms: 1000, limits: Stepwright::Wire::StepLimits.new, config: {},
        context: { "order_id" => 1 }, parents: [], tags: [])
      attempt = Stepwright::Worker::Attempt.new(handlers: Stepwright.handlers, around: configuration.worker.around)
      outcome = attempt.run(step, attempt.step(step), 1 << 20)
      puts JSON.generate([before, Stepwright.handlers.names, configuration.url, configuration.by, configuration.environment.to_s,
                          configuration.logger.equal?(Rails.logger), outcome.output || outcome.error.to_wire])
    RUBY
    assert_equal [[], ["charge_card"], "https://stepwright.internal:7780", "shop", "production", true, { "charged" => 1 }], JSON.parse(out.lines.last)
    assert_includes File.read(File.join(@root, "log.txt")), "[task 42] [step charge] [attempt 1] charging"
    assert_equal "charge_card\n", ruby(handlers)
  end

  def write_step(path, name) = write("app/steps/#{path}.rb", "class #{name} < Stepwright::StepHandler\n  def call(*) = {}\nend\n")

  # What handlers share is a root of its own for Rails.
  def test_concerns_are_no_handlers
    write("app/steps/concerns/counted.rb", "module Counted\n  def call(*) = { 'n' => 1 }\nend\n")
    write("app/steps/count.rb", "class Count < Stepwright::StepHandler\n  include Counted\nend\n")
    assert_equal "count\n", ruby(handlers)
  end

  def test_a_file_that_defines_something_else_is_named
    write_step("payments/charge_card", "ChargeCard")
    _, err, status = start(handlers, "production", {})
    assert_equal 1, status.exitstatus
    assert_match(%r{\Astepwright-ruby: failed to load Payments::ChargeCard from app/steps/payments/charge_card.rb: }, err)
    write("app/steps/payments/charge_card.rb", "class Payments::ChargeCard < Stepwright::StepHandler\n  nothing_of_the_kind\nend\n")
    assert_match(%r{from app/steps/payments/charge_card.rb: undefined local variable or method `nothing_of_the_kind'}, start(handlers, "production", {})[1])
  end

  # Nothing names them in a suite.
  def test_a_suite_and_a_host_of_ones_own_have_the_handlers_of_the_application
    write_step("charge_card", "ChargeCard")
    started = ->(call) { ruby("require './config/environment'\nrequire 'stepwright/testing'\n#{call}\nputs Stepwright.handlers.names", "test") }
    assert_equal "charge_card\n", started["Stepwright::Testing.start(binary: #{FAKE.inspect}, handlers: Stepwright.handlers)"]
    assert_equal "charge_card\n", started["Stepwright::Dev.start(binary: #{FAKE.inspect}).then { |dev| dev.instance_variable_get(:@workers).one? or abort }"]
    assert_equal "", started["Stepwright::Testing.start(binary: #{FAKE.inspect})"], "who wants none needs no ZeroMQ"
  end

  def test_a_blank_variable_names_no_environment
    environment = ->(name) { ruby("require './config/environment'; print Stepwright.environment", "test", STEPWRIGHT_ENV: name) }
    assert_equal %w[test test staging], ["", " ", "staging"].map(&environment)
  end

  # The files of the guide for those who come from the earlier system, where it says that they lie.
  def test_the_handlers_of_the_migration_guide_are_found
    guide = File.read(File.join(Support::ROOT, "docs/guides/migration.md"))
    files = guide.scan(/`(app\/steps\/[^`]+\.rb)`:\n\n```ruby\n(.*?)^```/m)
    files.each { |name, text| write(name, text) }
    assert_equal "charge_card_handler\nvalidate_cart_handler\n", ruby(handlers)
    assert_equal 2, files.size
  end
end
