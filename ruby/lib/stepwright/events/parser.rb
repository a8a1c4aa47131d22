# frozen_string_literal: true

module Stepwright
  # How events are read.
  #
  # @api private
  module Events
    # Server-sent events (WHATWG HTML, 9.2.6) from the bytes of a stream, however they are cut.
    #
    # @api private
    class Parser
      # The longest line, in bytes: more than any event of the host.
      LINE_BYTES_MAX = 8 << 20

      # One event as it stood on the stream.
      Message = Struct.new(:id, :event, :data)

      # @return [String, nil] the id that was seen last
      attr_reader :last_id

      def initialize
        @rest = +"".b
        @after_return = false
        clear
      end

      # @param bytes [String]
      # @yieldparam message [Message, nil] an event, or +nil+ for a comment, which is a sign of life
      # @return [void]
      # @raise [ProtocolError]
      def feed(bytes, &block)
        @rest << bytes.b
        while (line = next_line)
          take(line.force_encoding(Encoding::UTF_8).scrub, &block)
        end
        raise ProtocolError, "a line of the event stream is longer than #{LINE_BYTES_MAX} bytes" if @rest.bytesize > LINE_BYTES_MAX
      end

      private

      # Lines end with CR, LF or both; of the latter, the LF may come with the next bytes.
      def next_line
        @rest.slice!(0) if @after_return && @rest.start_with?("\n")
        @after_return = false unless @rest.empty?
        at = @rest.index(/[\r\n]/n) or return
        line = @rest.slice!(0..at)
        @after_return = line.end_with?("\r")
        line.chop
      end

      def take(line)
        return dispatch { |message| yield message } if line.empty?
        return yield(nil) if line.start_with?(":")

        name, value = line.split(":", 2)
        value = (value || "").delete_prefix(" ")
        case name
        when "data" then @data << value
        when "event" then @event = value
        when "id" then @last_id = value unless value.include?("\0")
        end
      end

      def dispatch
        message = Message.new(@last_id, @event || "message", @data.join("\n")) unless @data.empty?
        clear
        yield message if message
      end

      def clear
        @data = []
        @event = nil
      end
    end
  end
end
