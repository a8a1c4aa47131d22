# frozen_string_literal: true

require_relative "support/setup"
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

  def ruby(script, environment = "production")
    variables = { "RAILS_ENV" => environment, "RUBYOPT" => "-W0", "STEPWRIGHT_URL" => nil }
    out, err, status = Open3.capture3(variables, RbConfig.ruby, "-I#{File.expand_path("../lib", __dir__)}", "-e", script, chdir: @root)
    assert_predicate status, :success?, err
    out
  end

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
    exe = File.expand_path("../exe/stepwright-ruby", __dir__)
    assert_equal "charge_card\n", ruby("ARGV.replace(%w[handlers --rails]); load #{exe.inspect}")
  end
end
