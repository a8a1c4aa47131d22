# frozen_string_literal: true

require_relative "support/setup"
require "stepwright/wire/codec"

# The spelling of every message, by the golden files that the host's tests read too.
class WireTest < Minitest::Test
  include Stepwright
  Wire = Stepwright::Wire
  SIDES = { "worker" => Wire::FromWorker, "orchestrator" => Wire::ToWorker }.freeze
  CONTRACT = File.join(Support::ROOT, "tests/contract")

  # The two frames, byte for byte.
  def frames(sender, kind)
    text = File.read(File.join(CONTRACT, "#{sender}.#{kind}.json"))
    text.match(/\A\{"header":(.*),\n "body":(.*)\}\n\z/).captures
  end

  def test_every_golden_message_is_read_and_written_byte_for_byte
    seen = Dir.children(CONTRACT).grep(/\.json\z/).map { |name| name.delete_suffix(".json").split(".") }
    assert_equal SIDES.flat_map { |sender, side| side::KINDS.keys.map { |kind| [sender, kind] } }.sort, seen.sort
    seen.each do |sender, kind|
      golden = frames(sender, kind)
      body = Wire::Codec.decode(golden, SIDES.fetch(sender))
      assert_instance_of SIDES.fetch(sender)::KINDS.fetch(kind), body
      assert_equal golden, Wire::Envelope.new("9f86d081884c7d65").seal(body), "#{sender}.#{kind}"
      assert_equal body, Wire::Codec.decode(golden, SIDES.fetch(sender))
      other = SIDES.values.find { |side| side != SIDES.fetch(sender) }
      assert_raises(Stepwright::ProtocolError) { Wire::Codec.decode(golden, other) } unless kind == "heartbeat"
    end
  end

  def test_fingerprints_are_those_of_the_golden_messages
    golden = Wire::Codec.decode(frames("worker", "partial_result"), Wire::FromWorker).outcomes.first
    assert_equal golden.digest, Wire::Fingerprint.of("output")
    component = Wire::Codec.decode(frames("worker", "component_request"), Wire::FromWorker)
    assert_equal component.digest, Wire::Fingerprint.of("component")
  end

  def refused(frames, side = Wire::FromWorker, **options)
    assert_raises(Stepwright::ProtocolError) { Wire::Codec.decode(frames, side, **options) }.message
  end

  def test_what_is_no_message_is_refused_with_a_reason
    header = ->(kind, v = 1) { %({"v":#{v},"kind":"#{kind}","seq":1,"sender":"a"}) }
    assert_equal "expected 2 frames, a header and a body, got 0", refused([])
    assert_match(/\Athe header is not readable: /, refused(["", "{}"]))
    assert_equal "the header: missing field 'v'", refused(["{}", "{}"])
    assert_equal "protocol version 2 is not spoken here, 1 is; upgrade the older of the two", refused([header["hello", 2], "{}"])
    assert_match(/\A'partialResult' is no message that can be sent here; known are hello, /, refused([header["partialResult"], "{}"]))
    assert_equal "the body of 'goodbye': missing field 'reason'", refused([header["goodbye"], "{}"])
    assert_equal "the body of 'goodbye'.reason: expected a text, got Integer", refused([header["goodbye"], '{"reason":1}'])
    assert_equal "the body of 'resend'.attempts[0]: missing field 'batch'",
                 refused([header["resend"], '{"attempts":[{"step":1,"attempt":1}]}'], Wire::ToWorker)
    assert_match(/expected a whole number of 32 bits/, refused([header["hello"], '{"versions":[4294967296]}']))
    assert_equal "a header of 1025 bytes is larger than the limit of 1024", refused(["x" * 1_025, "{}"])
    assert_equal "a message of 102 bytes is larger than the limit of 100", refused(["{}", "x" * 100], bytes_max: 100)
  end

  def test_fields_of_a_newer_peer_are_ignored_and_those_of_an_older_one_may_be_missing
    header = ->(kind) { %({"v":1,"kind":"#{kind}","seq":1,"sender":"a","newer":true}) }
    older = '{"version":1,"heartbeat_ms":1000,"lease_ms":5000,"message_bytes_max":8388608,"payload_bytes_max":1048576,"keep":[7],"newer":{}}'
    welcome = Wire::Codec.decode([header["welcome"], older], Wire::ToWorker)
    assert_equal ["", []], [welcome.orchestrator, welcome.peers]
    heartbeat = Wire::Codec.decode([header["heartbeat"], "{}"], Wire::ToWorker)
    assert_equal "{}", Wire::Envelope.new("a").seal(heartbeat).last
  end

  def test_nesting_has_a_limit
    nested = ->(depth) { [%({"v":1,"kind":"goodbye","seq":1,"sender":"a"}), %({"reason":"[{","extra":#{"[" * depth}#{"]" * depth}})] }
    Wire::Codec.decode(nested[Wire::Codec::DEPTH_MAX - 1], Wire::FromWorker)
    assert_match(/nesting/, refused(nested[Wire::Codec::DEPTH_MAX]))
    assert_match(/nesting/, refused(nested[100_000]))
  end

  def test_damaged_messages_are_refused_and_nothing_else
    random = Random.new(7)
    SIDES.each do |sender, side|
      side::KINDS.each_key do |kind|
        200.times do
          damaged = frames(sender, kind).map(&:dup)
          frame = damaged.sample(random: random)
          at = random.rand(frame.bytesize)
          random.rand(2).zero? ? frame.setbyte(at, random.rand(256)) : frame.slice!(at..)
          Wire::Codec.decode(damaged, side)
        rescue Stepwright::ProtocolError
          next
        end
      end
    end
  end

  def test_a_payload_is_sent_as_it_was_fingerprinted
    payload = Wire::Payload.of({ "b" => 1.5, "a" => ["ü", nil] })
    assert_equal '{"b":1.5,"a":["ü",null]}', payload.text
    assert_equal '{"output":{"b":1.5,"a":["ü",null]}}', JSON.generate({ output: payload })
    assert_raises(JSON::GeneratorError) { Wire::Payload.of(Float::NAN) }
    assert_raises(JSON::GeneratorError) { Wire::Payload.of("\xff") }
    assert_raises(JSON::NestingError) { Wire::Payload.of(128.times.reduce(1) { |inner, _| [inner] }) }
  end

  # Loaded by the first thread that fingerprints something, it fails others that do so at the same time.
  def test_what_fingerprints_is_loaded_before_there_are_threads
    script = "require 'stepwright/wire/codec'; exit Digest.const_defined?(:SHA256, false)"
    assert system(RbConfig.ruby, "-I", File.join(Support::ROOT, "ruby/lib"), "-e", script)
  end
end
