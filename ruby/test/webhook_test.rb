# frozen_string_literal: true

require_relative "support/setup"

# Messages to webhooks. The signatures were made with `openssl dgst -sha256 -hmac`, and one is the specification's own example.
class WebhookTest < Minitest::Test
  SECRET = "whsec_YSBzZWNyZXQgb2YgdHdlbnR5LWZvdXIh"
  BODY = '{"position":"17","event":"step.completed","at":"2026-01-02T03:04:05.678Z","task":42,"step":"ship_order","attempt":2,' \
         '"namespace":"shop","template":"order","note":"grün"}'
  SENT = 1_767_323_046
  SIGNED = "v1,yzVRDyX8MKxkl7whamoBLLV9Sc3f25m1AanSKufYSNI="
  HEADERS = { "webhook-id" => "msg_1", "webhook-timestamp" => SENT.to_s, "webhook-signature" => SIGNED }.freeze
  RACK = { "HTTP_WEBHOOK_ID" => "msg_1", "HTTP_WEBHOOK_TIMESTAMP" => SENT.to_s, "HTTP_WEBHOOK_SIGNATURE" => SIGNED, "rack.input" => nil }.freeze

  def verify(body: BODY, headers: HEADERS, secret: SECRET, now: Time.at(SENT + 5), **options)
    Stepwright::Webhook.verify(body: body, headers: headers, secret: secret, now: now, **options)
  end

  def refused(message, type: Stepwright::Webhook::Invalid, **changed)
    assert_match message, assert_raises(type) { verify(**changed) }.message
  end

  def test_a_signed_message_is_an_event
    event = verify
    assert_equal ["step.completed", "17", 42, "ship_order", 2, "grün"], [event.name, event.position, event.task_id, event.step, event.data.attempt, event.data.note]
    assert_equal [Time.utc(2026, 1, 2, 3, 4, 5.678r), false], [event.at, event.settling?]
    assert_equal event, verify(body: BODY.b, headers: RACK)
    assert_equal event, verify(headers: HEADERS.to_h { |name, value| [name.split("-").map(&:capitalize).join("-"), [value]] })
    # While the secret is replaced there are two, and later versions may stand beside them.
    other = "v1a,AAAA v1,/0nJL/R4VInqgKbd5WxlNXjYXtDIGbn1eX2ozdlJzdE="
    assert_equal event, verify(headers: HEADERS.merge("webhook-signature" => "#{other} #{SIGNED}"))
    assert_equal event, verify(secret: SECRET.delete_suffix("="))
    assert_equal event, verify(now: Time.at(SENT - 300))
    assert_equal event, verify(now: Time.at(SENT + 900), tolerance: 900)
  end

  def test_whatever_else_comes_is_refused
    %w[webhook-id webhook-timestamp webhook-signature].each { |name| refused(/header #{name} is missing/, headers: HEADERS.reject { |known, _| known == name }) }
    refused(/no time: "soon"/, headers: HEADERS.merge("webhook-timestamp" => "soon"))
    refused(/301 s old, and 300 s are allowed/, now: Time.at(SENT + 301))
    refused(/301 s ahead of this machine's clock/, now: Time.at(SENT - 301))
    wrong = /signature is wrong/
    refused(wrong, body: BODY.sub("42", "43"))
    refused(wrong, headers: HEADERS.merge("webhook-id" => "msg_2"))
    refused(wrong, headers: HEADERS.merge("webhook-timestamp" => (SENT + 1).to_s))
    refused(wrong, secret: "whsec_YW5vdGhlciBzZWNyZXQgb2YgMjQgYiEh")
    ["v1,", "v1", "v2#{SIGNED[2..]}", SIGNED[3..], "v1,!", SIGNED.swapcase].each { |text| refused(wrong, headers: HEADERS.merge("webhook-signature" => text)) }
    refused(/not JSON/, body: "nothing", headers: HEADERS.merge("webhook-signature" => "v1,4K4EgCuj+zVs384ZbzO8YGc/8QqiZU0CQe9VJ6mikA8="))
    refused(/is no event/, body: '{"event":1}', headers: HEADERS.merge("webhook-signature" => "v1,0oEA1kTZfztoncOJ9eJ+6a1m24EDV4bTlyk5axa34ZI="))
    ["", "whsec_", "YSBzZWNyZXQ=", "whsec_?"].each { |secret| refused(/\Asecret: /, type: Stepwright::ConfigurationError, secret: secret) }
  end

  # Standard Webhooks' own test vector. What is signed there is no event, and that is all there is against it.
  def test_the_specifications_example
    headers = { "webhook-id" => "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp" => "1614265330",
                "webhook-signature" => "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" }
    refused(/is no event/, body: '{"test": 2432232314}', headers: headers, secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", now: Time.at(1_614_265_330))
  end
end
