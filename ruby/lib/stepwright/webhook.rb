# frozen_string_literal: true

require "json"
require "openssl"

require_relative "errors"
require_relative "events/event"

module Stepwright
  # Takes in what the host sends to a webhook, signed as the Standard Webhooks specification says.
  #
  #   event = Stepwright::Webhook.verify(body: request.raw_post, headers: request.env, secret: ENV.fetch("WEBHOOK_SECRET"))
  #
  # A message may come more than once: +event.position+ tells which.
  module Webhook
    # The message is not to be believed: it is not signed with this secret, was changed, is too old, or is none of the host's.
    class Invalid < Error; end

    # The header with the message's id.
    ID = "webhook-id"
    # The header with the time, in seconds since 1970.
    TIMESTAMP = "webhook-timestamp"
    # The header with one signature or several.
    SIGNATURE = "webhook-signature"
    # How a secret begins.
    PREFIX = "whsec_"

    module_function

    # @param body [String] as it came, byte for byte: no JSON that was parsed and written anew
    # @param headers [#each] by name, as HTTP or Rack (+HTTP_WEBHOOK_ID+) spells them
    # @param secret [String] +whsec_…+, as the host showed it
    # @param tolerance [Numeric] how far the message's time may be from ours, in seconds: an old one may be somebody's copy
    # @param now [Time]
    # @return [Event]
    # @raise [Invalid]
    # @raise [ConfigurationError] if the secret is none
    def verify(body:, headers:, secret:, tolerance: 300, now: Time.now)
      key = key_of(secret)
      id, timestamp, signatures = said(headers)
      check_time(timestamp, tolerance, now)
      expected = OpenSSL::HMAC.digest("SHA256", key, "#{id}.#{timestamp}.".b << body.b)
      return event_of(body) if signed?(signatures, expected)

      raise Invalid, "the signature is wrong: another secret, or a body that was changed on its way"
    end

    # @api private
    def key_of(secret)
      text = secret.to_s.delete_prefix(PREFIX)
      # Some write it without its padding.
      key = (text + ("=" * (-text.size % 4))).unpack1("m0")
      return key if secret.to_s.start_with?(PREFIX) && !key.empty?

      raise ConfigurationError, "secret: expected #{PREFIX} and Base64, as the host showed it"
    rescue ArgumentError
      raise ConfigurationError, "secret: what follows #{PREFIX} is not Base64"
    end

    # @api private
    def said(headers)
      found = {}
      headers.each do |name, value|
        name = name.to_s.downcase.tr("_", "-").delete_prefix("http-")
        found[name] = Array(value).first.to_s if [ID, TIMESTAMP, SIGNATURE].include?(name)
      end
      [ID, TIMESTAMP, SIGNATURE].map do |name|
        found[name].to_s.then { |value| value.empty? ? raise(Invalid, "the header #{name} is missing") : value }
      end
    end

    # @api private
    def check_time(timestamp, tolerance, now)
      raise Invalid, "the header #{TIMESTAMP} is no time: #{timestamp[0, 40].inspect}" unless timestamp.match?(/\A\d{1,12}\z/)

      off = now.to_i - timestamp.to_i
      return if off.abs <= tolerance

      raise Invalid, "the message is #{off.abs} s #{off.positive? ? "old" : "ahead of this machine's clock"}, and #{tolerance} s are allowed"
    end

    # Several signatures are there while a secret is replaced. Versions that are not known here are passed over.
    #
    # @api private
    def signed?(signatures, expected)
      signatures.split.any? do |signature|
        version, text = signature.split(",", 2)
        given = version == "v1" ? text.to_s.unpack1("m") : ""
        given.bytesize == expected.bytesize && OpenSSL.fixed_length_secure_compare(given, expected)
      end
    end

    # @api private
    def event_of(body)
      data = JSON.parse(body)
      return Event.new(data["event"], data, position: data["position"]) if data.is_a?(Hash) && data["event"].is_a?(String)

      raise Invalid, "the body is no event"
    rescue JSON::ParserError
      raise Invalid, "the body is no event: it is not JSON"
    end
  end
end
