# frozen_string_literal: true

module Stepwright
  # Pauses that double up to a cap, each somewhere between half and all of it, so that many do not come back at one moment.
  class Backoff
    # @return [Float] seconds
    attr_reader :base, :cap

    # @param base [Numeric] seconds before the first try again
    # @param cap [Numeric] seconds at most
    # @param random [#rand]
    def initialize(base:, cap:, random: Random)
      @base = base.to_f
      @cap = cap.to_f
      @random = random
      freeze
    end

    # @param failures [Integer] tries that failed, from 1
    # @return [Float] seconds
    def pause(failures)
      whole = [base * (2**[failures - 1, 30].min), cap].min
      (whole / 2) + (whole / 2 * @random.rand)
    end
  end
end
