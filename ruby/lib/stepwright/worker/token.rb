# frozen_string_literal: true

require_relative "../errors"

module Stepwright
  class Worker
    # A worker's secret for a gate, in a file that only its owner can read.
    #
    # @api private
    module Token
      # 16 to 128 visible ASCII characters.
      PATTERN = /\A[!-~]{16,128}\z/

      module_function

      # Read anew for each connection: what was rotated counts from the next one on.
      #
      # @param path [String, nil]
      # @return [String]
      # @raise [ConfigurationError]
      def read(path)
        raise ConfigurationError, "a gate wants a token: set worker.token_file, or give --token-file" unless path

        mode = File.stat(path).mode & 0o777
        if mode & 0o077 != 0
          raise ConfigurationError, format("the token file %<path>s has mode %<mode>o, so other users could read it; " \
                                           "run 'chmod 600 %<path>s'", path: path, mode: mode)
        end
        text = File.read(path, 1_024).to_s.rstrip
        return text if text.match?(PATTERN)

        raise ConfigurationError, "the token in #{path} has #{text.length} characters; it must have 16 to 128 visible ASCII " \
                                  "characters and nothing else"
      rescue Errno::ENOENT
        raise ConfigurationError, "there is no token file #{path}; make a token where the orchestrator's database is, with " \
                                  "'stepwright token create --name NAME --out FILE'"
      end
    end
  end
end
