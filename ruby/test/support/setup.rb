# frozen_string_literal: true

$LOAD_PATH.unshift File.expand_path("../../lib", __dir__)

# Those that run beside each other wait for processes, more than they compute.
ENV["MT_CPU"] ||= "6"

require "minitest/autorun"
require "stepwright"

# What the tests share.
module Support
  ROOT = File.expand_path("../../..", __dir__)
end
