# frozen_string_literal: true

module Stepwright
  # The program that this gem carries.
  module Host
    # The program's version.
    VERSION = "0.1.0"
    # Where it is.
    PATH = File.expand_path("../../libexec/stepwright", __dir__)

    # @return [String] the path of the program
    # @raise [LoadError] if this gem was made without it
    def self.binary
      return PATH if File.executable?(PATH)

      raise LoadError, "the gem stepwright-host has no program at #{PATH}: it was not built by 'rake build'"
    end
  end
end
