# frozen_string_literal: true

module Stepwright
  # The gem's version; that of the host with which it was tested.
  VERSION = "0.1.0"
end
