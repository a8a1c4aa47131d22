# frozen_string_literal: true

require_relative "support/setup"
require "tmpdir"

# Settings: where they come from, and what is said of wrong ones.
class ConfigurationTest < Minitest::Test
  def load(text, environment: "production", variables: {})
    Dir.mktmpdir do |folder|
      file = File.join(folder, "stepwright.yml")
      File.write(file, text)
      Stepwright::Configuration.load(environment: Stepwright::Environment.new(environment), file: file, variables: variables)
    rescue Stepwright::ConfigurationError => e
      raise e.class, e.message.gsub("#{folder}/", "")
    end
  end

  def refused(text, **options) = assert_raises(Stepwright::ConfigurationError) { load(text, **options) }.message

  FILE = <<~YAML
    default: &default
      url: http://127.0.0.1:7780
      pool_size: 8
      worker:
        slots: 2
        labels: { zone: a }
    development:
      <<: *default
    production:
      url: https://stepwright.internal:7780
      token: <%= "sw_" + "x" * 20 %>
      read_timeout: 1m
      worker:
        orchestrators: [tls://10.0.0.1:5555, tls://10.0.0.2:5555]
        token_file: /etc/stepwright/worker.token
  YAML

  def test_environments_are_merged_over_the_default
    production = load(FILE)
    assert_equal ["https://stepwright.internal:7780", 8, 60.0, "sw_#{"x" * 20}"], [production.url, production.pool_size, production.read_timeout, production.secret]
    assert_equal [2, { "zone" => "a" }, 2], [production.worker.slots, production.worker.labels, production.worker.orchestrators.size]
    assert_equal "http://127.0.0.1:7780", load(FILE, environment: "development").url
    assert_equal ["http://127.0.0.1:7780", nil], load(FILE, environment: "test").then { |test| [test.url, test.secret] }
    assert_equal 5, load("").pool_size
    refute_includes production.inspect, "sw_"
  end

  def test_variables_stand_above_the_file
    changed = load(FILE, variables: { "STEPWRIGHT_URL" => "http://other:1", "STEPWRIGHT_TOKEN" => "" })
    assert_equal ["http://other:1", "sw_#{"x" * 20}"], [changed.url, changed.secret]
  end

  def test_of_token_and_token_file_the_one_that_was_set_last_counts
    Dir.mktmpdir do |folder|
      File.write(path = "#{folder}/api.token", "sw_kept\n")
      changed = load(FILE, variables: { "STEPWRIGHT_TOKEN_FILE" => path })
      assert_equal [nil, "sw_kept"], [changed.token, changed.secret]
      assert_equal "sw_said", load(FILE, variables: { "STEPWRIGHT_TOKEN_FILE" => path, "STEPWRIGHT_TOKEN" => "sw_said" }).secret
      assert_equal "sw_kept", load("default: { token: sw_old }\nproduction: { token_file: #{path} }").secret
      configured = load(FILE)
      configured.token_file = path
      assert_equal "sw_kept", configured.secret
      configured.token = "sw_said"
      assert_equal ["sw_said", nil], [configured.secret, configured.token_file]
      configured.token_file = nil
      assert_equal "sw_said", configured.secret, "nothing takes nothing back"
    end
  end

  def test_a_blank_setting_is_the_default
    blank = load("production:\n  url: <%= nil %>\n  namespace: ''\n  pool_size:\n  read_timeout: ~\n  token: ' '\n  worker:\n    slots:\n    orchestrators: ''\n")
    plain = load("")
    assert_equal plain.to_h.except(:logger), blank.to_h.except(:logger)
    assert_equal plain.worker, blank.worker
    assert_nil blank.secret
    below = load("default: { pool_size: 8, worker: { slots: 2 } }\nproduction:\n  pool_size:\n  worker:\n")
    assert_equal [8, 2], [below.pool_size, below.worker.slots]
    plain.retries = nil
    assert_equal 3, plain.retries
  end

  def test_settings_without_an_environment_are_refused
    wanted = "stepwright.yml: token: expected a map of settings, found String; settings stand below an environment's name, or below default for all"
    assert_equal wanted, refused("token: sw_secret\nproduction: {}\n")
    assert_match(/\Astepwright.yml: retries: expected a map of settings, found Integer;/, refused("default: {}\nretries: 3\n"))
    kept = load("x-shared: &shared { pool_size: 7 }\ndefault:\n  <<: *shared\nstaging:\n:production: { retries: 1 }\n")
    assert_equal [7, 1], [kept.pool_size, kept.retries]
    assert_equal 7, load("shared: &shared { pool_size: 7 }\nproduction: *shared\n").pool_size
  end

  def test_what_is_wrong_is_said_with_its_place
    assert_equal "stepwright.yml: unknown setting 'pool_sise'; did you mean 'pool_size'?", refused("default: { pool_sise: 3 }")
    assert_equal "stepwright.yml: pool_size: \"many\" is not a whole number", refused("default: { pool_size: many }")
    assert_equal "stepwright.yml: read_timeout: \"soon\" is not seconds, or a text such as '30s'", refused("default: { read_timeout: soon }")
    assert_match(/\Astepwright.yml: worker: unknown setting 'zone'; known are orchestrators, /, refused("default: { worker: { zone: a } }"))
    assert_equal "stepwright.yml: worker: expected a map of settings", refused("default: { worker: 3 }")
    assert_match(/\Astepwright.yml: default: expected a map of settings, found Integer; /, refused("default: 3"))
    assert_equal "stepwright.yml:2:1: did not find expected node content while parsing a flow node", refused("default: {")
    assert_match(/url: 'ftp:\/\/x' is not the address of a host/, assert_raises(Stepwright::ConfigurationError) { load("default: { url: ftp://x }").uri }.message)
    assert_match(/token_file: failed to read 'none'/, assert_raises(Stepwright::ConfigurationError) { load("default: { token_file: none }").secret }.message)
  end

  def test_the_environment_is_the_first_that_is_named
    detect = ->(**variables) { Stepwright::Environment.detect(variables.transform_keys(&:to_s)).name }
    assert_equal "development", detect.call
    assert_equal "a", detect.call(APP_ENV: "d", RACK_ENV: "c", RAILS_ENV: "b", STEPWRIGHT_ENV: "a")
    assert_equal "b", detect.call(APP_ENV: "d", RACK_ENV: "c", RAILS_ENV: "b", STEPWRIGHT_ENV: " ")
    assert_equal "d", detect.call(APP_ENV: "d")
    environment = Stepwright::Environment.new(:test)
    assert_equal [true, false, true, "in test"], [environment.test?, environment.production?, environment == "test", "in " + environment]
  end

  def test_spans_of_time
    texts = { 30 => "30s", 0.25 => "250ms", "5m" => "5m", 0 => "0s", 1.5r => "1500ms" }
    assert_equal texts.values, texts.keys.map { |value| Stepwright::Duration.text(value) }
    assert_equal [0.25, 30.0, 300.0, 7_200.0, 86_400.0], %w[250ms 30s 5m 2h 1d].map { |text| Stepwright::Duration.seconds(text) }
    [-1, nil, "5", "m", [], "1w"].each { |value| assert_raises(ArgumentError, value.inspect) { Stepwright::Duration.seconds(value) } }
  end

  def test_the_version_is_the_hosts
    cargo = File.read(File.join(Support::ROOT, "Cargo.toml"))
    assert_equal cargo[/^version = "(.+)"$/, 1], Stepwright::VERSION
  end
end
