# frozen_string_literal: true

module Stepwright
  # A part of a list, newest first, with the way to the next one.
  class Page
    include Enumerable

    # @return [Array<Value>]
    attr_reader :items
    # @return [Object, nil] what to hand as +before:+ for the next page; +nil+ on the last
    attr_reader :next_cursor

    # @param items [Array<Value>]
    # @param next_cursor [Object, nil]
    # @yield [cursor] gets the page before that cursor
    def initialize(items, next_cursor, &fetch)
      @items = items.freeze
      @next_cursor = next_cursor
      @fetch = fetch
      freeze
    end

    # @yieldparam item [Value] of this page
    # @return [self, Enumerator]
    def each(&block)
      return enum_for(:each) { items.size } unless block

      items.each(&block)
      self
    end

    # @return [Integer]
    def size = items.size
    alias length size

    # @return [Boolean]
    def last? = next_cursor.nil?

    # @return [Page, nil]
    def next_page = last? ? nil : @fetch.call(next_cursor)

    # Goes on through the following pages, which are fetched as they are needed.
    #
    # @return [Enumerator::Lazy]
    def all
      first = self
      Enumerator.new do |yielder|
        page = first
        while page
          page.items.each { |item| yielder << item }
          page = page.next_page
        end
      end.lazy
    end

    # @return [Hash{Symbol => Object}]
    def to_h = { items: items.map(&:to_h), next_cursor: next_cursor }

    # @return [Boolean]
    def ==(other) = other.is_a?(Page) && other.items == items && other.next_cursor == next_cursor

    # @return [String]
    def inspect = "#<#{self.class.name} size=#{size} next_cursor=#{next_cursor.inspect}>"
  end
end
