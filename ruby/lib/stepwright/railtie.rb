# frozen_string_literal: true

require "rails/railtie"

require_relative "../stepwright"

module Stepwright
  # Stepwright in a Rails application: settings from +config/stepwright.yml+, the application's logger, handlers in +app/steps+.
  class Railtie < ::Rails::Railtie
    # Where handlers are.
    STEPS = "app/steps"

    # Runs each attempt as Rails runs a request: with code that is up to date, connections that are given back, and a log whose
    # lines name the task and the step.
    AROUND = lambda do |task, step, &run|
      wrapped = -> { ::Rails.application.reloader.wrap(&run) }
      logger = ::Rails.logger
      next wrapped.call unless logger.respond_to?(:tagged)

      logger.tagged("task #{task.id}", "step #{step.name}", "attempt #{step.attempt}") { wrapped.call }
    end

    initializer "stepwright.configuration" do |app|
      Stepwright.configuration = Railtie.configuration(app)
    end

    # Under their names in +log/production.log+, once there is a logger.
    initializer "stepwright.logger", after: :initialize_logger do
      Stepwright.configure do |configuration|
        configuration.logger = ::Rails.logger if ::Rails.logger
      end
    end

    generators do
      require "generators/stepwright/install/install_generator"
    end

    # @param app [Rails::Application]
    # @return [Configuration]
    def self.configuration(app)
      file = app.root.join(Configuration::FILE).to_s
      environment = Environment.detect("STEPWRIGHT_ENV" => ENV["STEPWRIGHT_ENV"], "RAILS_ENV" => ::Rails.env)
      Configuration.load(environment: environment, file: file).tap { |configuration| configuration.worker.around = AROUND }
    end

    # Loads the handlers of {STEPS}, which nothing else names: only workers need them all.
    #
    # @return [void]
    # @raise [ConfigurationError] if a file does not define what its name says
    def self.load_steps
      reloader = ::Rails.application.reloader
      reloader.to_prepare { Railtie.name_steps } unless @names_steps
      @names_steps = true
      reloader.prepare!
    end

    # Names the classes of {STEPS}, so that they are loaded.
    #
    # @api private
    def self.name_steps
      folder = ::Rails.root.join(STEPS).to_s
      Dir["#{folder}/**/*.rb"].sort.each do |file|
        path = file.delete_prefix("#{folder}/")
        # Rails takes that folder for a root of its own.
        name_step(path) unless path.start_with?("concerns/")
      end
    end

    # @api private
    def self.name_step(path)
      name = path.delete_suffix(".rb").camelize
      name.constantize
    rescue NameError => e
      raise ConfigurationError, "failed to load #{name} from #{STEPS}/#{path}: #{e.message}"
    end
  end
end
