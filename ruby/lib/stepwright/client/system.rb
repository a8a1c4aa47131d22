# frozen_string_literal: true

require_relative "../results/page"
require_relative "../value"

module Stepwright
  class Client
    # The host itself, and who works for it.
    module System
      # @return [Record] +status+ and +version+, as long as the process answers
      def health = Record.new(get("/health"))

      # @return [Boolean] whether it can do its work: its database is there, and it does not drain
      def ready?
        Record.new(@session.json(HTTP::Request.new(:get, "/ready", idempotent: false)))[:status] == "ready"
      rescue Unavailable, Timeout
        false
      end

      # @param all [Boolean] also those that left or were lost
      # @return [Array<Record>]
      def workers(all: false) = listed(Record, "workers", "/workers", { all: all ? true : nil })

      # @return [Array<Record>]
      def orchestrators = listed(Record, "orchestrators", "/orchestrators")

      # @param worker [String, nil] its name
      # @param state [String, nil] +open+, +reconciled+, +discrepancy+ or +lost+
      # @param since [Numeric, String, nil]
      # @param limit [Integer, nil]
      # @param before [Integer, nil] the cursor of the page before
      # @return [Page] of {Record}, newest first
      def batches(worker: nil, state: nil, since: nil, limit: nil, before: nil)
        query = { worker: worker, state: state, since: since && Duration.text(since), limit: limit, before: before }
        page(Record, "batches", "/batches", query)
      end

      # @param id [Integer]
      # @return [Record] its attempts, and what came of them
      # @raise [NotFound]
      def batch(id) = Record.new(get("/batches/#{Integer(id)}"))

      # @return [Array<Record>]
      def tokens = listed(Record, "tokens", "/tokens")

      # @param name [String] whose it is
      # @param scope [String] +read+, +run+, +operate+, +admin+ or +worker+
      # @param details [Hash] whatever else the API takes, such as +expires_in+
      # @return [Record] +token+ and +secret+, which is told only now
      def create_token(name:, scope:, **details)
        Record.new(post("/tokens", { name: name, scope: scope, **details }))
      end

      # @param id [Integer]
      # @return [Record]
      def revoke_token(id) = Record.new(delete("/tokens/#{Integer(id)}"))

      # @return [Array<Record>]
      def webhooks = listed(Record, "webhooks", "/webhooks")

      # @param name [String]
      # @return [Record]
      # @raise [NotFound]
      def webhook(name) = Record.new(get("/webhooks/#{segment(name)}"))

      # @param name [String]
      # @param url [String] where events go
      # @param details [Hash] whatever else the API takes, such as +events+, +namespace+, +template+ and +after+
      # @return [Record] the webhook and its +secret+, which is told only now; {Webhook.verify} checks with it
      def create_webhook(name:, url:, **details)
        Record.new(post("/webhooks", { name: name, url: url, **details }))
      end

      # @param name [String]
      # @return [Record]
      def enable_webhook(name) = Record.new(post("/webhooks/#{segment(name)}/enable", nil))

      # @param name [String]
      # @return [Record]
      def disable_webhook(name) = Record.new(post("/webhooks/#{segment(name)}/disable", nil))

      # @param name [String]
      # @return [Record]
      def remove_webhook(name) = Record.new(delete("/webhooks/#{segment(name)}"))
    end
  end
end
