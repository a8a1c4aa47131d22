# frozen_string_literal: true

require "rails/generators/base"

module Stepwright
  module Generators
    # +rails generate stepwright:install+
    class InstallGenerator < ::Rails::Generators::Base
      source_root File.expand_path("templates", __dir__)
      desc "Creates config/stepwright.yml, an initializer, and app/steps for handlers in Ruby."

      # @return [void]
      def create_settings
        template "stepwright.yml.tt", "config/stepwright.yml"
        template "stepwright.rb.tt", "config/initializers/stepwright.rb"
      end

      # @return [void]
      def create_steps
        template "application_step.rb.tt", "app/steps/application_step.rb"
      end
    end
  end
end
