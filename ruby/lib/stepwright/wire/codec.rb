# frozen_string_literal: true

require "json"

require_relative "messages"

module Stepwright
  # @api private
  module Wire
    # What stands before every body.
    class Header < Shape
      field :v, :u32
      field :kind, :text
      field :seq, :u64
      field :sender, :text
    end

    # Counts messages and names their sender.
    class Envelope
      # @param sender [String] an incarnation
      def initialize(sender)
        @sender = sender
        @seq = 0
      end

      # @param body [Shape] one of a side's messages
      # @return [Array(String, String)] the two frames
      def seal(body)
        kind = Codec::NAMES.fetch(body.class)
        header = Header.new(v: PROTOCOL_VERSION, kind: kind, seq: @seq += 1, sender: @sender)
        [JSON.generate(header.to_wire), JSON.generate(body.to_wire, max_nesting: Codec::DEPTH_MAX)]
      end
    end

    # Frames to messages: a header and a body, both JSON. What is no message is refused with a reason.
    module Codec
      # The largest header, in bytes.
      HEADER_BYTES_MAX = 1_024
      # The deepest nesting of a body: that of a payload, and five around it.
      DEPTH_MAX = Payload::DEPTH_MAX + 5
      # Each body's kind.
      NAMES = [FromWorker, ToWorker].flat_map { |side| side::KINDS.to_a }.to_h { |kind, body| [body, kind] }.freeze

      module_function

      # @param frames [Array<String>]
      # @param side [Module] {FromWorker} or {ToWorker}: what may come
      # @param bytes_max [Integer] the largest message
      # @return [Shape] the body
      # @raise [ProtocolError]
      def decode(frames, side, bytes_max: 8 << 20)
        raise ProtocolError, "expected 2 frames, a header and a body, got #{frames.size}" unless frames.size == 2

        check_sizes(frames, bytes_max)
        header = Header.read(parse(frames[0], "the header"), "the header")
        unless header.v == PROTOCOL_VERSION
          raise ProtocolError, "protocol version #{header.v} is not spoken here, #{PROTOCOL_VERSION} is; upgrade the older of the two"
        end

        body = side::KINDS.fetch(header.kind) { raise ProtocolError, unknown(header.kind, side) }
        body.read(parse(frames[1], "the body of '#{header.kind}'"), "the body of '#{header.kind}'")
      end

      # @api private
      def check_sizes(frames, bytes_max)
        header, body = frames.map(&:bytesize)
        if header > HEADER_BYTES_MAX
          raise ProtocolError, "a header of #{header} bytes is larger than the limit of #{HEADER_BYTES_MAX}"
        end
        return unless header + body > bytes_max

        raise ProtocolError, "a message of #{header + body} bytes is larger than the limit of #{bytes_max}"
      end

      # @api private
      def parse(frame, what)
        text = frame.dup.force_encoding(Encoding::UTF_8)
        # The parser would let bytes through that are no text.
        raise ProtocolError, "#{what} is not UTF-8" unless text.valid_encoding?

        JSON.parse(text, max_nesting: DEPTH_MAX)
      rescue JSON::ParserError, EncodingError => e
        raise ProtocolError, "#{what} is not readable: #{e.message[0, 200]}"
      end

      # @api private
      def unknown(kind, side)
        "'#{kind[0, 40]}' is no message that can be sent here; known are #{side::KINDS.keys.join(", ")}"
      end
    end
  end
end
